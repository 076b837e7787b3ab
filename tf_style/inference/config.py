"""Every option of stylising with a trained model: default, help, source of its number."""

from dataclasses import dataclass

from tf_style.config import option
from tf_style.errors import UserError
from tf_style.option_groups import (
    INPUT,
    LOOK,
    MEMORY,
    METHOD,
    Blend,
    Machine,
    Pictures,
    Results,
    Tiles,
)

__all__ = ["StylizeConfig"]


@dataclass(frozen=True)
class StylizeConfig(Pictures, Blend, Machine, Tiles, Results):
    """What `stylize.py` does.

    Example:
        >>> StylizeConfig(alpha=0.5).content_size
        1024
    """

    method: str = option(
        "adain", "adain: a trained network, in one pass; gatys: optimise the pixels of each "
        "picture (`stylize.py --method gatys --help` has its flags).", choices=("adain",),
        group=METHOD,
    )  # fmt: skip
    checkpoint: str = option(
        "adain", "A checkpoint folder, or the name of a model that ships: adain, paintings, "
        "predicted, magenta, magenta26.", group=METHOD,
    )  # fmt: skip
    style_size: int = option(
        512, "Resize paintings to this many pixels on their shorter side; smaller gives finer "
        "strokes; 0: keep their size.", low=0, group=INPUT,
    )  # fmt: skip
    crop: bool = option(False, "Cut the middle square out of photos and paintings.", group=INPUT)
    style: tuple[str, ...] = option(
        (), "A style, or a mixture as in starry:0.6,wave:0.4: names from a model's table of "
        "styles; for other models picture files, or the names of files in --style-path. A name "
        "wins over a file.", group=LOOK,
    )  # fmt: skip
    style_grid: tuple[str, ...] = option(
        (), "Names of two styles, for a row of pictures from one to the other; or of four, for a "
        "square of mixtures with a style in each corner.", group=LOOK,
    )  # fmt: skip
    all_styles: bool = option(
        False, "Make one contact sheet of all styles for each photo.", group=LOOK
    )
    random_styles: int = option(
        0, "Use this many of the paintings, drawn by --seed; 0: all.", low=0, group=LOOK
    )
    seed: int = option(0, "Seed of --random-styles.", low=0, group=LOOK)
    alpha: float = option(
        1.0, "Strength of the style from 0, almost the photo, to 1. A model with a table of styles "
        "mixes its result with the photo, pixel by pixel; others weaken the style itself.", low=0,
        high=1, group=LOOK,
    )  # fmt: skip
    passes: int = option(1, "How many times the network is applied.", low=1, group=LOOK)
    max_memory: float = option(
        0.0, "GB that a picture may take above the program's own; one that needs more is computed "
        "in tiles, with a scratch file if need be; 0: what the machine has free.", low=0,
        group=MEMORY,
    )  # fmt: skip
    tile_statistics: str = option(
        "exact", "Statistics of a transfer network's normalisations in tiles: exact, those of the "
        "whole picture; or thumbnail, those of a copy of 1024 px, which is quicker and needs no "
        "scratch file, but gives another picture (PSNR 21 to 30 dB for detailed photos of twice "
        "that size).", choices=("exact", "thumbnail"), group=MEMORY,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        chosen = ("style", "style_grid", "all_styles", "style_weights")
        given = [name for name in chosen if getattr(self, name)]
        if len(given) > 1:
            raise UserError(f"`{given[0]}` and `{given[1]}` exclude each other.")
