"""Every option of exporting a stylizer: default, help, source of its number."""

from dataclasses import dataclass

from tf_style.config import StylizeConfig
from tf_style.errors import UserError
from tf_style.options import Options, option, same

__all__ = ["ExportConfig"]

MODEL, REQUESTS, OUTPUT = "model", "requests", "output"


@dataclass(frozen=True)
class ExportConfig(Options):
    """What `stylize.py --export-path` does: a SavedModel that TensorFlow Serving serves as it is.

    Example:
        >>> ExportConfig(export_path="serving/adain").max_pixels
        4194304
    """

    checkpoint: str = same(StylizeConfig, "checkpoint", group=MODEL)
    precision: str = option(
        "float32", "Of the convolutions. bfloat16 needs a server whose processor is fast at it; "
        "weights, statistics, inputs and outputs are float32 always.",
        choices=("float32", "bfloat16"), group=MODEL,
    )  # fmt: skip

    max_bytes: int = option(
        16 * 2**20, "A picture of more bytes is refused.", low=1, group=REQUESTS
    )
    max_pixels: int = option(
        2048 * 2048, "A picture of more pixels is refused, by its header. A megapixel takes about "
        "1 GB of the server's memory.", low=1, group=REQUESTS,
    )  # fmt: skip
    quality: int = option(95, "Of the JPEGs that are sent back.", low=1, high=100, group=REQUESTS)
    warmup_sizes: tuple[int, ...] = option(
        (), "Sides of squares, such as 256,512, on which a server warms itself up before its first "
        "request; needs pip install 'tf_style[serving]'.", low=16, group=REQUESTS,
    )  # fmt: skip

    export_path: str = option(
        "", "Folder of the model's versions, named as the model is to be served; the export is its "
        "next version.", group=OUTPUT,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        large = [side for side in self.warmup_sizes if side**2 > self.max_pixels]
        if large:
            raise UserError(
                f"`warmup_sizes` must be within `max_pixels`={self.max_pixels}. "
                f"Received: {large[0]}"
            )
