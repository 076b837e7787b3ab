"""Which pairs of a photo and a painting are judged."""

import filecmp
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_style.errors import UserError, counted
from tf_style.evaluation.config import EvaluateConfig
from tf_style.images.listing import list_images
from tf_style.images.outputs import short_names

__all__ = ["Pair", "chosen_pairs", "every_pair"]


class Pair(NamedTuple):
    """A photo and a painting, by their files; `style` is what the painting is called.

    `name` is `photo/painting`: no file has a slash in its name, so that no two pairs have one name.
    """

    name: str
    photo: Path
    painting: Path
    style: str


def every_pair(config: EvaluateConfig) -> list[Pair]:
    """Return every photo of an evaluation with every painting.

    Example:
        >>> from tf_style.nn.vgg import CALIBRATION
        >>> moose, rocket = (f"{CALIBRATION}/{name}.jpg" for name in ("moose", "rocket"))
        >>> config = EvaluateConfig(content_path=moose, style_path=rocket)
        >>> [pair.name for pair in every_pair(config)]
        ['moose/rocket']
    """
    photos, paintings = (
        short_names(list_images(path, [config.out_path]))
        for path in (config.content_path, config.style_path)
    )
    return [
        Pair(f"{photo}/{painting}", photo_path, path, painting)
        for photo_path, photo in photos.items()
        for path, painting in paintings.items()
    ]


def chosen_pairs(
    every: list[Pair], config: EvaluateConfig, tables: dict[str, tuple[str, ...]]
) -> tuple[list[Pair], set[Pair], str]:
    """Return the pairs that are judged, those that Gatys' method is run on, and a sentence.

    Args:
        every: All pairs.
        config: All options of the evaluation.
        tables: Names of the styles of every model; empty where any picture is a style.

    Raises:
        UserError: No pair is left.
    """
    pairs = [pair for pair in every if not filecmp.cmp(pair.photo, pair.painting, shallow=False)]
    alike = len(every) - len(pairs)
    if not pairs:
        raise UserError(
            f"Every photo of --content-path {config.content_path} is its own painting: give other "
            "pictures to --style-path."
        )
    for name, styles in tables.items():
        if styles:
            pairs = [pair for pair in pairs if pair.style in styles]
            if not pairs:
                known = ", ".join(styles)
                raise UserError(f"No painting is named as one of the styles of {name}: {known}.")
    rng = np.random.default_rng(config.seed)
    if config.pairs and config.pairs < len(pairs):
        pairs = [pairs[i] for i in sorted(rng.choice(len(pairs), config.pairs, replace=False))]
    count = min(config.gatys_pairs or len(pairs), len(pairs))
    note = (
        f"{alike} of {counted(len(every), 'pair')} left out: the photo is the painting"
        if alike
        else ""
    )
    return pairs, {pairs[i * len(pairs) // count] for i in range(count)}, note
