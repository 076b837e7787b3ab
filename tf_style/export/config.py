"""Every option of exporting a stylizer: default, help, source of its number."""

import os
from dataclasses import dataclass

from tf_style.config import Options, option
from tf_style.errors import UserError
from tf_style.option_groups import METHOD, MODEL, OUTPUT, REQUESTS

__all__ = ["BESIDE", "SUFFIXES", "ExportConfig"]

# Format -> what its file's name ends in; a SavedModel is a folder.
SUFFIXES = {"savedmodel": "", "onnx": ".onnx", "openvino": ".xml", "litert_float16": ".tflite",
            "litert_int8": ".tflite"}  # fmt: skip

# Format -> suffixes of further files.
BESIDE = {"openvino": (".bin",)}


@dataclass(frozen=True)
class ExportConfig(Options):
    """What `stylize.py --export-path` does: a SavedModel that TensorFlow Serving serves as it is.

    Example:
        >>> ExportConfig(export_path="serving/adain").max_pixels
        4194304
    """

    checkpoint: str = option(
        "adain", "A checkpoint folder, or the name of a model that ships: adain, paintings, "
        "predicted, magenta, magenta26.", group=METHOD,
    )  # fmt: skip
    export_format: str = option(
        "savedmodel", "savedmodel, for TensorFlow Serving; or a file for other programs, by the "
        "package's extra of that name: onnx, openvino (.xml and .bin, to be compiled with "
        "INFERENCE_PRECISION_HINT f32), litert_float16 or litert_int8 (.tflite).",
        choices=tuple(SUFFIXES), group=MODEL,
    )  # fmt: skip
    precision: str = option(
        "float32", "Number format of the convolutions. bfloat16 needs a server whose processor is "
        "fast at it; weights, statistics, inputs and outputs are always float32.",
        choices=("float32", "bfloat16"), group=MODEL,
    )  # fmt: skip

    max_bytes: int = option(16 * 2**20, "Refuse pictures of more bytes.", low=1, group=REQUESTS)
    max_pixels: int = option(
        2048 * 2048, "Refuse pictures of more pixels, by their headers. A megapixel takes about "
        "1 GB of the server's memory.", low=1, group=REQUESTS,
    )  # fmt: skip
    quality: int = option(
        95, "Quality of the JPEGs that are sent back.", low=1, high=100, group=REQUESTS
    )
    warmup_sizes: tuple[int, ...] = option(
        (), "Sides of squares, such as 256,512, on which a server warms itself up before its first "
        "request; needs pip install 'tf_style[serving]'.", low=16, group=REQUESTS,
    )  # fmt: skip

    export_path: str = option(
        "", "Folder of the model's versions, named as the model is to be served; the export "
        "becomes its next version. For other formats, the path of the file.", group=OUTPUT,
    )  # fmt: skip
    overwrite: bool = option(False, "Replace a file that exists.", group=OUTPUT)

    def __post_init__(self):
        super().__post_init__()
        self._check_suffix()
        if self.export_format != "savedmodel":
            if self.warmup_sizes:
                raise UserError("`warmup_sizes` are for --export-format savedmodel.")
            if self.precision != "float32":
                raise UserError(
                    "`precision` must be float32 but for --export-format savedmodel: other "
                    f"programs choose it when they load. Received: {self.precision!r}"
                )
        large = [side for side in self.warmup_sizes if side**2 > self.max_pixels]
        if large:
            raise UserError(
                f"`warmup_sizes` must be within `max_pixels`={self.max_pixels}. "
                f"Received: {large[0]}"
            )

    def _check_suffix(self):
        """The file's name goes with its format, and no folder is named as a file."""
        found, meant = os.path.splitext(self.export_path)[1], SUFFIXES[self.export_format]
        if self.export_path and meant and found != meant:
            raise UserError(
                f"`export_path` ends in {meant} for {self.export_format}. "
                f"Received: {self.export_path}"
            )
        others = [name for name, suffix in SUFFIXES.items() if suffix and suffix == found]
        if others and not meant:
            raise UserError(
                f"`export_path` is a folder for savedmodel; for a file of that name give "
                f"--export-format {' or '.join(others)}. Received: {self.export_path}"
            )
