"""What a run of Gatys' method is to make, told by names alone, without TensorFlow.

Beside `result.jpg` stands the folder `result.jpg.progress`.
"""

import functools
import json
import re
from pathlib import Path
from typing import NamedTuple

from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.images.animation import check_film
from tf_style.images.listing import list_images
from tf_style.images.outputs import outputs_of, pictures_of, short_names
from tf_style.nn.vgg_weights import check_weights
from tf_style.option_groups import check_count

__all__ = [
    "CONFIG",
    "FINAL",
    "PROGRESS",
    "STATE",
    "Wanted",
    "check_unused",
    "frames_of",
    "wanted_of",
]

PROGRESS = ".progress"

# In that folder: the options, the state of an unfinished picture, and what a finished one leaves
# for more evaluations, without the optimiser's history, which is most of a state.
CONFIG, STATE, FINAL = "config.json", "state.npz", "final.npz"


class Wanted(NamedTuple):
    """The results that a run of Gatys' method is to make.

    Attributes:
        styles: The paintings of every photo's results, by their labels.
        total: How many results there are in all.
        todo: The files of those that are to be made, by photo and label.
    """

    styles: dict[str, list[Path]]
    total: int
    todo: dict[tuple[Path, str], Path]


def wanted_of(config: GatysConfig) -> Wanted:
    """Return what a run of Gatys' method is to make.

    Args:
        config: All options of the run.

    Raises:
        UserError: A name that stands for nothing, or a result that cannot be written.
    """
    contents, paintings = (pictures_of(config, name) for name in ("content_path", "style_path"))
    if config.style_weights:
        check_count(config.style_weights, paintings)
        styles = {"blend": paintings}
    else:
        styles = {name: [path] for path, name in short_names(paintings).items()}
    unfinished = functools.partial(_unfinished, config)
    total, todo = outputs_of(config, contents, list(styles), unfinished, config.resume)
    for out in todo.values():
        if not (config.overwrite or config.resume):
            check_unused(Path(f"{out}{PROGRESS}"))
    if config.style_mask and len(paintings) > 1:
        raise UserError(f"`style_mask` is of one painting. Received: {len(paintings)} paintings")
    if config.animation:
        if total > 1:
            raise UserError(f"`animation` is one file, but {total} pictures would be made.")
        check_film(config.animation, overwrite=config.overwrite or config.resume)
    init = () if config.init in ("", "content", "noise", "style") else (config.init,)
    for path in (*config.content_mask, *config.style_mask, *init):
        list_images(path)
    check_weights(config.weight_files())
    return Wanted(styles, total, todo)


def frames_of(folder: Path) -> list[Path]:
    """Return the intermediate pictures of a result of Gatys' method, in their order."""
    frames = [file for file in folder.glob("*.jpg") if re.fullmatch(r"\d{5,}", file.stem)]
    return sorted(frames, key=lambda file: int(file.stem))


def check_unused(folder: Path) -> None:
    """Refuse to mix a result's intermediate pictures with those of another run."""
    if frames_of(folder):
        raise UserError(
            f"`{folder}` has the intermediate pictures of another run: give another --out-path, "
            "move it away, or replace them by --overwrite."
        )


def _unfinished(config, out):
    """Whether a result was begun and not finished, or is to be continued by more evaluations."""
    folder = Path(f"{out}{PROGRESS}")
    if (folder / STATE).exists():
        return True
    if not config.resume or not (folder / FINAL).exists():
        return False
    try:
        return json.loads((folder / CONFIG).read_text())["max_evaluations"] < config.max_evaluations
    except (OSError, ValueError, LookupError, TypeError):
        return False
