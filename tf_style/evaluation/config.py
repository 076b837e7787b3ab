"""Every option of evaluating stylizers: default, help, source of its number."""

import os
import re
from dataclasses import dataclass

from tf_style.config import option
from tf_style.errors import UserError
from tf_style.option_groups import (
    INPUT,
    JUDGES,
    METHOD,
    OUTPUT,
    PRECISIONS,
    EncoderWeights,
)

__all__ = ["EvaluateConfig"]

# Rows that are no models: a model of such a name gets another.
TAKEN = r"photo|recoloured|gatys( \d+)?"


@dataclass(frozen=True)
class EvaluateConfig(EncoderWeights):
    """What `python -m tf_style.evaluate` does.

    Example:
        >>> EvaluateConfig(checkpoint=("adain", "magenta")).gatys_evaluations
        (50, 100, 300)
    """

    checkpoint: tuple[str, ...] = option(
        ("adain",), "The models: checkpoint folders, names of models that ship, or folders of "
        "SavedModels that were exported here (a SavedModel is a program: only those you trust).",
        group=METHOD,
    )  # fmt: skip
    content_path: str = option("", "Photos: folders, files or globs.", group=INPUT, path="in")
    style_path: str = option(
        "", "Paintings: folders, files or globs. A model with a table of styles is tried only "
        "on paintings that are named as its styles.", group=INPUT, path="in",
    )  # fmt: skip
    size: int = option(
        256, "Pixels of the middle square that is cut out of every picture.", low=64, group=INPUT
    )
    pairs: int = option(
        0, "Use this many of the pairs of a photo and a painting, drawn by --seed; 0: all.", low=0,
        group=INPUT,
    )  # fmt: skip
    seed: int = option(0, "Seed of --pairs.", low=0, group=INPUT)

    encoder: str = "vgg16"
    content_layer: str = option("relu4_1", "Layer of the content loss.", group=JUDGES)
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), "Layers of the style loss.", group=JUDGES
    )
    gatys_evaluations: tuple[int, ...] = option(
        (50, 100, 300), "Compare with Gatys' method after these numbers of evaluations, from the "
        "photo; none: leave it out.", low=1, group=JUDGES,
    )  # fmt: skip
    gatys_pairs: int = option(
        10, "Pairs that Gatys' method is run on, which takes a minute or more each; 0: all.",
        low=0, group=JUDGES,
    )  # fmt: skip
    precision: str = option(
        "auto", "Number format of the convolutions; auto: bfloat16 where the processor is fast at "
        "it.", choices=PRECISIONS, group=JUDGES,
    )  # fmt: skip

    out_path: str = option(
        "evaluation", "Folder for the pictures, evaluation.json, evaluation.md and sheet.jpg. The "
        "same command resumes an evaluation, and repeats what depends on a changed picture or "
        "model.", group=OUTPUT, changeable=True, path="out",
    )  # fmt: skip
    overwrite: bool = option(
        False, "Begin anew in a folder that has an evaluation.", group=OUTPUT, changeable=True
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.checkpoint or len(self.models()) < len(self.checkpoint):
            raise UserError(
                "`checkpoint` must be one or more, whose last names differ. Received: "
                f"{','.join(self.checkpoint) or 'none'}"
            )

    def models(self) -> dict[str, str]:
        """Return what is judged, by the name of its row: the last of its path.

        Example:
            >>> EvaluateConfig(checkpoint=("runs/a/", "photo")).models()
            {'a': 'runs/a/', 'photo (model)': 'photo'}
        """
        last = {name: os.path.basename(os.path.abspath(name)) for name in self.checkpoint}
        return {
            f"{row} (model)" if re.fullmatch(TAKEN, row) else row: name
            for name, row in last.items()
        }
