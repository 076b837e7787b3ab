"""The checkpoint directory as files, each written whole or not at all.

    ckpt/
      config.json           what the model is and how it was made
      stylizer.npz          the stylizer's weights, all that `stylize.py` needs
      train/<step>.npz      weights, optimiser and step; the newest whole file is where it resumes
      logs/                 TensorBoard
      previews/             the same pairs every so many steps
      left_out.tsv          pictures that could not be used, and why
      before/<time>/        what --overwrite has moved aside

A state is one file: its rename is the commit, so no pointer can disagree with it.
"""

import json
import os
import re
import time
from pathlib import Path

import numpy as np

from tf_style.errors import UserError
from tf_style.files import read_npz, write_atomically, write_npz

__all__ = [
    "PRETRAINED",
    "create",
    "directory_of",
    "extended",
    "move_aside",
    "newest_state",
    "newest_step",
    "read_config",
    "read_stylizer",
    "remove_temporaries",
    "save_state",
    "write_config",
    "write_left_out",
    "write_stylizer",
]

# Models that ship, a folder each.
PRETRAINED = Path(__file__).parent / "pretrained"

# By method, what models of before an option had instead of it.
DEFAULTS = {
    "adain": {"skip_layers": [], "grain": 0.0, "color_transfer": False},
    "conditional": {"grain": 0.0},
    "predicted": {"grain": 0.0},
}

# What a run consists of, in the order in which it is moved aside: a kill in between leaves no
# states that another run could take for its own.
PARTS = (
    "train", "stylizer.npz", "config.json", "logs", "previews", "progress", "added", "left_out.tsv"
)  # fmt: skip

# Where older runs of the directory are.
ASIDE = "before"

# The newest and the one before it, should the disk have lost the newest.
STATES_KEPT = 2


def directory_of(name: str | Path) -> Path:
    """Return the folder of a checkpoint, or of a model that ships with the package.

    A folder of other things, such as one of paintings, hides no model that ships by its name.

    Raises:
        UserError: There is neither.

    Example:
        >>> directory_of("paintings").parent.name
        'pretrained'
    """
    if (Path(name) / "config.json").is_file():
        return Path(name)
    shipped = sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))
    # A folder's name that the shell completed ends in a slash.
    if str(name).rstrip("/") in shipped:
        return PRETRAINED / name
    if Path(name).is_dir():
        return Path(name)
    raise UserError(
        f"There is no checkpoint folder {str(name)!r}, nor a model of that name; models that "
        f"ship: {', '.join(shipped)}."
    )


def extended(directory: str | Path, start_from: str = "") -> Path:
    """Return the folder of the model that a style is added to.

    Args:
        directory: Where the extended model is written: most often over the one that it extends.
        start_from: The model to extend, as in `directory_of`, while there is none in `directory`.

    Raises:
        UserError: There is no model, or it is one that ships, which is not written to.

    Example:
        >>> extended("new", "paintings").name
        'paintings'
    """
    own = Path(directory)
    found = own if (own / "config.json").is_file() else directory_of(start_from or own)
    shipped = found.resolve().is_relative_to(PRETRAINED.resolve())
    if shipped and (found == own or not start_from):
        raise UserError(
            f"{own} ships with the package and is not written to: give --start-from {found.name} "
            "and a new --checkpoint."
        )
    return found


def create(
    directory: str | Path, config: dict, stylizer: dict, overwrite: bool = False
) -> Path | None:
    """Make a checkpoint of a directory, with its config and first weights.

    The config comes last, and is what makes it a checkpoint: no moment has a half of one. The
    directory itself stays, be it a link, a mount point or the current one.

    Args:
        directory: Made if it is not there.
        config: What becomes `config.json`.
        stylizer: The stylizer's arrays.
        overwrite: Whether the run that is there may be moved aside.

    Returns:
        Where that run went, or None.

    Raises:
        UserError: Something else is there already.
    """
    directory = Path(directory)
    directory.resolve().mkdir(parents=True, exist_ok=True)
    # Hidden files say nothing of a folder, and new disks have one of the system's.
    there = {file.name for file in directory.iterdir() if file.name[0] != "."}
    used = there - {"lost+found", ASIDE}
    movable = "config.json" in used or used <= set(PARTS)
    # A stylizer without a config is what a killed process left.
    if used - {"stylizer.npz"} and not (overwrite and movable):
        way = ", or let --overwrite move it aside" if movable else ""
        raise UserError(
            f"{directory} exists and is no run that could be resumed; choose another "
            f"--checkpoint{way}."
        )
    aside = move_aside(directory) if used else None
    write_stylizer(directory, stylizer)
    write_config(directory, config)
    return aside


def move_aside(directory: str | Path) -> Path:
    """Move a directory's run to a new folder within it, named by the time, and return that.

    Within, for what is above it may be closed or another disk. What is not of the run stays.
    """
    aside = Path(directory) / ASIDE / time.strftime("%Y%m%d-%H%M%S")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}x")
    aside.mkdir(parents=True)
    for part in PARTS:
        if (Path(directory) / part).exists():
            os.rename(Path(directory) / part, aside / part)
    return aside


def write_config(directory: str | Path, config: dict) -> None:
    """Write `config.json`, whole or not at all."""
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(Path(directory) / "config.json", text.encode())


def read_config(directory: str | Path) -> dict:
    """Return what `config.json` says; of `model` also what older versions had no words for.

    Raises:
        UserError: The directory is none, or holds no readable config.
    """
    path = Path(directory) / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{directory} is no checkpoint: it has no config.json; train.py makes one."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    parts = ("method", str), ("model", dict)
    if not isinstance(config, dict) or any(not isinstance(config.get(k), t) for k, t in parts):
        raise UserError(f"{path} lacks `method` or `model`: it was not written by train.py.")
    config["model"] = DEFAULTS.get(config["method"], {}) | config["model"]
    return config


def write_stylizer(directory: str | Path, stylizer: dict[str, np.ndarray]) -> None:
    """Replace the stylizer's weights in one step."""
    write_npz(Path(directory) / "stylizer.npz", stylizer)


def read_stylizer(directory: str | Path, shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    """Return the stylizer's weights, held against the shapes of the network they are for."""
    path = Path(directory) / "stylizer.npz"
    if not path.is_file():
        raise UserError(f"{directory} is no checkpoint: it has no stylizer.npz.")
    return read_npz(path, shapes)


def write_left_out(directory: str | Path, bad: list[tuple[str, str]]) -> Path:
    """Write path and reason of each picture that was left out, and return the file."""
    path = Path(directory) / "left_out.tsv"
    write_atomically(
        path,
        "".join(f"{name}\t{reason}\n" for name, reason in bad).encode(errors="surrogateescape"),
    )
    return path


def save_state(directory: str | Path, step: int, arrays: dict[str, np.ndarray]) -> None:
    """Save what a run needs to resume at a step, then let go of all but the newest states."""
    folder = Path(directory) / "train"
    folder.mkdir(exist_ok=True)
    write_npz(folder / f"{step:08d}.npz", arrays)
    for _, path in _states(directory)[STATES_KEPT:]:
        path.unlink()


def newest_state(directory: str | Path, shapes: dict) -> tuple[int, dict[str, np.ndarray]] | None:
    """Return the newest whole state, as its step and arrays; None if there is none.

    A damaged newest state gives way to the one before it.

    Raises:
        UserError: There are states, and none can be read.
    """
    fault = None
    for step, path in _states(directory):
        try:
            return step, read_npz(path, shapes)
        except UserError as error:
            fault = fault or error
    if fault:
        raise fault
    return None


def remove_temporaries(directory: str | Path) -> None:
    """Remove what killed processes left half written; only for who holds the directory's lock."""
    for folder in (Path(directory), Path(directory) / "train"):
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)


def newest_step(directory: str | Path) -> int:
    """Return the step of the newest state, whole or not; 0 if there is none."""
    return max((step for step, _ in _states(directory)), default=0)


def _states(directory) -> list[tuple[int, Path]]:
    """Steps and files of the saved states, newest first."""
    found = [
        (int(path.stem), path)
        for path in (Path(directory) / "train").glob("*.npz")
        if re.fullmatch(r"\d+", path.stem)
    ]
    return sorted(found, reverse=True)
