"""The checkpoint directory as files, each written whole or not at all.

    ckpt/
      config.json           what the model is and how it was made
      stylizer.npz          the stylizer's weights, all that `stylize.py` needs
      train/<step>.npz      weights, optimiser and step; the newest whole file is where to go on
      logs/                 TensorBoard
      previews/             the same pairs every so many steps
      left_out.tsv          pictures that could not be used, and why

A state is one file: its rename is the commit, so no pointer can disagree with it.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np

from tf_style.errors import UserError
from tf_style.weights import read_npz, sync_folder, write_atomically, write_npz

__all__ = [
    "create",
    "move_aside",
    "newest_state",
    "newest_step",
    "read_config",
    "read_stylizer",
    "save_state",
    "write_config",
    "write_left_out",
    "write_stylizer",
]

# By method, what models of before an option had instead of it.
DEFAULTS = {
    "adain": {"skip_layers": [], "grain": 0.0, "color_transfer": False},
    "conditional": {"grain": 0.0},
    "predicted": {"grain": 0.0},
}

# The newest and the one before it, should the disk have lost the newest.
STATES_KEPT = 2


def create(
    directory: str | Path, config: dict, stylizer: dict, overwrite: bool = False
) -> Path | None:
    """Make a checkpoint directory with its config and first weights, in one step.

    It is filled under a temporary name and renamed, so that no moment has a half of it.

    Args:
        directory: The new directory; what is there is moved aside if `overwrite`.
        config: What becomes `config.json`.
        stylizer: The stylizer's arrays.
        overwrite: Whether an existing directory may be moved aside.

    Returns:
        Where an existing directory went, or None.

    Raises:
        UserError: Something is there already.
    """
    directory = Path(directory)
    if directory.is_file():
        raise UserError(f"{directory} is a file; --checkpoint takes a folder.")
    used = directory.is_dir() and any(directory.iterdir())
    if used and not overwrite:
        raise UserError(
            f"{directory} exists and is no run that could be resumed; choose another --checkpoint, "
            "or let --overwrite move it aside."
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    for left in directory.parent.glob(f".{directory.name}.*.new"):  # by a killed process
        shutil.rmtree(left, ignore_errors=True)
    new = directory.with_name(f".{directory.name}.{os.getpid()}.new")
    (new / "train").mkdir(parents=True)
    write_npz(new / "stylizer.npz", stylizer)
    write_config(new, config)
    aside = move_aside(directory) if used else None
    os.rename(new, directory)  # which may replace an empty directory
    sync_folder(directory.parent)
    return aside


def move_aside(directory: Path) -> Path:
    """Rename a directory to a name with the time in it, and return that."""
    aside = directory.with_name(f"{directory.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}x")
    os.rename(directory, aside)
    return aside


def write_config(directory: str | Path, config: dict) -> None:
    """Write `config.json`, whole or not at all."""
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(Path(directory) / "config.json", text.encode())


def read_config(directory: str | Path) -> dict:
    """What `config.json` says; of `model` also what older versions had no words for.

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
    """The stylizer's weights, held against the shapes of the network they are for."""
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
    """Save what a run needs to go on from a step, then let go of all but the newest states."""
    folder = Path(directory) / "train"
    folder.mkdir(exist_ok=True)
    write_npz(folder / f"{step:08d}.npz", arrays)
    for _, path in _states(directory)[STATES_KEPT:]:
        path.unlink()


def newest_state(directory: str | Path, shapes: dict) -> tuple[int, dict[str, np.ndarray]] | None:
    """The newest whole state, as its step and arrays; None if there is none.

    A damaged newest state gives way to the one before it. What a killed process left half
    written is removed.

    Raises:
        UserError: There are states, and none can be read.
    """
    for folder in (Path(directory), Path(directory) / "train"):
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
    fault = None
    for step, path in _states(directory):
        try:
            return step, read_npz(path, shapes)
        except UserError as error:
            fault = fault or error
    if fault:
        raise fault
    return None


def newest_step(directory: str | Path) -> int:
    """The step of the newest state, whole or not; 0 if there is none."""
    return max((step for step, _ in _states(directory)), default=0)


def _states(directory) -> list[tuple[int, Path]]:
    """Steps and files of the saved states, newest first."""
    found = [
        (int(path.stem), path)
        for path in (Path(directory) / "train").glob("*.npz")
        if re.fullmatch(r"\d+", path.stem)
    ]
    return sorted(found, reverse=True)
