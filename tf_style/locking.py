"""One process at a time: a lock that the system drops with the process, however that ends."""

import contextlib
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tf_style.errors import UserError

__all__ = ["locked", "locked_folder"]


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from a file that is to be made, for as long as this one works on it.

    The lock is a hidden file beside it, with this process's name in it, and goes with the work.
    Missing folders are made; those that are empty afterwards go as well.

    Args:
        path: The file.

    Raises:
        UserError: Another process works on it; its name and the way out.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/new/a.png"):
        ...     [path.name for path in Path(folder, "new").iterdir()]
        ['.a.png.lock']
    """
    path = Path(path)
    with _held(path.with_name(f".{path.name}.lock"), path):
        yield


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from a folder, which is made if need be, as `locked` does from a file.

    The lock lies within it, as the folder above may be closed.

    Raises:
        UserError: It is a file, or another process works in it.
    """
    folder = Path(folder)
    if folder.is_file():
        raise UserError(f"`{folder}` is a file, not a folder.")
    # Of a link to a folder that is not there yet, that is made.
    with _held(folder.resolve() / ".lock", folder):
        yield


@contextlib.contextmanager
def _held(lock: Path, path: Path):
    made = [folder for folder in lock.absolute().parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _taken(lock, path) as file:
            try:
                yield
            finally:
                if _is(lock, file):
                    lock.unlink()
    finally:
        with contextlib.suppress(OSError):  # Something is in it.
            for folder in made:
                folder.rmdir()


def _taken(lock: Path, path: Path) -> TextIO:
    """The lock's file, open, with this process as its only holder."""
    while True:
        file = open(lock, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            with file:
                holder = file.read().strip() or "another process"
            raise UserError(
                f"`{path}` is in use by {holder}: wait for it, stop it, or give another name. If "
                f"it no longer runs, delete `{lock}`."
            ) from None
        except OSError as error:
            warnings.warn(
                f"`{path}` lies on a file system without locks ({error.strerror}): let only one "
                "process work on it.",
                stacklevel=2,
            )
        if _is(lock, file):
            break
        file.close()  # Of a process that has just deleted it.
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _is(lock: Path, file: TextIO) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
