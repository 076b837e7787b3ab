"""Every option of evaluating stylizers: default, help, source of its number."""

import os
import re
from dataclasses import dataclass

from tf_style.config import Options, option, same
from tf_style.errors import UserError
from tf_style.option_groups import INPUT, OUTPUT, StylizeConfig, TrainConfig

__all__ = ["EvaluateConfig"]

JUDGES = "judges"

# Rows that are no models: a model of such a name gets another.
TAKEN = r"photo|recoloured|gatys( \d+)?"


@dataclass(frozen=True)
class EvaluateConfig(Options):
    """What `python -m tf_style.evaluate` does.

    Example:
        >>> EvaluateConfig(checkpoint=("adain", "magenta")).gatys_evaluations
        (50, 100, 300)
    """

    checkpoint: tuple[str, ...] = option(
        ("adain",), "What is judged: checkpoint folders, names of models that ship, or folders of "
        "SavedModels that were exported here (a SavedModel is a program: only those you trust).",
        group=INPUT,
    )  # fmt: skip
    content_path: str = same(
        StylizeConfig, "content_path", default="", help="Photos: a folder, a file or a glob."
    )
    style_path: str = option(
        "", "Paintings, likewise; of a model with a table of styles only those that are named as "
        "its styles.", group=INPUT,
    )  # fmt: skip
    size: int = option(
        256, "The middle square of every picture, at so many pixels.", low=64, group=INPUT
    )
    pairs: int = option(
        0, "Use this many of the pairs of a photo and a painting, drawn by --seed; 0: all.", low=0,
        group=INPUT,
    )  # fmt: skip
    seed: int = option(0, "Of --pairs.", low=0, group=INPUT)

    encoder: str = same(TrainConfig, "encoder", default="vgg16", group=JUDGES)
    encoder_weights: str = same(TrainConfig, "encoder_weights", group=JUDGES)
    content_layer: str = option("relu4_1", "Layer of the content loss.", group=JUDGES)
    style_layers: tuple[str, ...] = same(TrainConfig, "style_layers", group=JUDGES)
    gatys_evaluations: tuple[int, ...] = option(
        (50, 100, 300), "Gatys' method after so many evaluations, from the photo, as a measure; "
        "none: leave it out.", low=1, group=JUDGES,
    )  # fmt: skip
    gatys_pairs: int = option(
        10, "Pairs that Gatys' method is run on: a minute and more each; 0: all.", low=0,
        group=JUDGES,
    )  # fmt: skip
    precision: str = same(StylizeConfig, "precision", group=JUDGES)

    out_path: str = option(
        "evaluation", "Folder for the pictures, evaluation.json, evaluation.md and sheet.jpg; the "
        "same command again goes on with what is there, and judges anew what has changed: a "
        "model's weights, a picture.", group=OUTPUT,
    )  # fmt: skip
    overwrite: bool = option(False, "Begin anew in a folder that has an evaluation.", group=OUTPUT)

    def __post_init__(self):
        super().__post_init__()
        if not self.checkpoint or len(self.models()) < len(self.checkpoint):
            raise UserError(
                "`checkpoint` must be one or more, whose last names differ. Received: "
                f"{','.join(self.checkpoint) or 'none'}"
            )

    def models(self) -> dict[str, str]:
        """What is judged, by the name of its row: the last of its path.

        Example:
            >>> EvaluateConfig(checkpoint=("runs/a/", "photo")).models()
            {'a': 'runs/a/', 'photo (model)': 'photo'}
        """
        last = {name: os.path.basename(os.path.abspath(name)) for name in self.checkpoint}
        return {
            f"{row} (model)" if re.fullmatch(TAKEN, row) else row: name
            for name, row in last.items()
        }
