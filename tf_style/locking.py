"""One process at a time: a lock that the system drops with the process, however that ends."""

import contextlib
import errno
import hashlib
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tf_style.errors import UserError

# Each system has one of them, or none.
try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None
try:
    import msvcrt
except ModuleNotFoundError:
    msvcrt = None

__all__ = ["locked", "locked_folder"]

# The longest name that file systems take, in bytes.
LONGEST_NAME = 255

# The byte that Windows locks: no process may read it, so it lies behind the holder's name.
LOCKED_BYTE = 2**30


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from a file while this one makes it.

    The lock is a hidden file beside it that holds this process's name and is removed afterwards.
    Missing folders are made, and removed afterwards if they are empty.

    Args:
        path: The file.

    Raises:
        UserError: Another process works on the file. The message names the process.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/new/a.png"):
        ...     [path.name for path in Path(folder, "new").iterdir()]
        ['.a.png.lock']
    """
    path = Path(path)
    name = f".{path.name}.lock"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.lock"
    with _held(path.with_name(name), path):
        yield


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike) -> Iterator[None]:
    """Keep other processes from a folder, as `locked` does from a file.

    The lock lies in the folder, since the folder above may not be writable.

    Args:
        folder: The folder. It is made if it does not exist.

    Raises:
        UserError: `folder` is a file, or another process works in it.
    """
    folder = Path(folder)
    if folder.is_file():
        raise UserError(f"`{folder}` is a file, not a folder.")
    # The target of a link may have to be made.
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
                    if not fcntl:
                        file.close()  # Windows deletes no file that a process has open.
                    with contextlib.suppress(PermissionError):  # Another process has opened it.
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
            _lock(file)
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
        file.close()  # Its holder has just deleted it.
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _lock(file: TextIO) -> None:
    """Lock an open file.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: The system or the file system has no locks.
    """
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt:
        os.lseek(file.fileno(), LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from None
    else:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _is(lock: Path, file: TextIO) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
