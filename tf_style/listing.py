"""Names to image files: a file, a folder with all below it, or a glob."""

import glob
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import features

from tf_style.errors import UserError
from tf_style.images import refuse_stream

__all__ = ["SUFFIXES", "list_images"]

# What a folder is searched for; a file named outright is judged by its content alone.
SUFFIXES = ("bmp", "gif", "jfif", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp") + (
    ("avif",) if features.check("avif") else ()
)

# Pictures that cannot be read, and what may be one: passed over, but not in silence.
OTHERS = ("", "arw", "avif", "cr2", "cr3", "dng", "exr", "heic", "heif", "hif", "jp2", "jxl", "nef",
          "orf", "psd", "raf", "rw2", "svg", "tga")  # fmt: skip


def list_images(path: str | os.PathLike) -> list[Path]:
    """The image files that a name stands for: a file, a folder or a glob.

    A folder is searched with all below it for files with one of `SUFFIXES`, in any case. Hidden
    files and folders are skipped; symbolic links are followed, each folder once, but not by a
    glob's `**`. A file given by name is taken whatever its suffix, and a name that exists is
    never read as a glob. Photos of other formats, files without a suffix and folders below that
    cannot be read are left out, with a warning.

    Args:
        path: A file, a folder, or a pattern with `*`, `?`, `[...]` or `**`.

    Returns:
        The paths in sorted order, at least one.

    Raises:
        UserError: If the path does not exist, cannot be read or holds no image.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from tf_style.writing import write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.png", np.zeros((4, 4, 3), np.float32))
        ...     [found.name for found in list_images(f"{folder}/*.png")]
        ['a.png']
    """
    name, path = os.fspath(path), Path(path)
    if not name:
        raise UserError("An empty name holds no images. Give a file, a folder or a glob in quotes.")
    if os.path.isdir(path):
        found = set(_walk(path))
    elif os.path.lexists(path):
        refuse_stream(path)
        return [path]
    elif glob.has_magic(name):
        found = set(_glob(path))
    else:
        raise UserError(f"`{name}` does not exist. Give a file, a folder or a glob in quotes.")
    images = sorted(file for file in found if file.suffix[1:].lower() in SUFFIXES)
    others = sorted(file for file in found - {*images} if file.suffix[1:].lower() in OTHERS)
    accepted = f"Accepted suffixes: {', '.join(SUFFIXES)}."
    if others:
        count = "1 file is" if len(others) == 1 else f"{len(others)} files are"
        accepted = f"{count} left out, such as {others[0].name}. {accepted}"
    if not images:
        raise UserError(f"`{name}` holds no images. {accepted}")
    if others:
        # Here, not at the caller's line: once, however many of them ask.
        warnings.warn(f"`{name}`: {accepted}", stacklevel=1)
    return images


def _walk(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError):
        sentence = f"The folder `{error.filename}` cannot be read: {error.strerror}"
        if Path(error.filename) == folder:
            raise UserError(f"{sentence}.")
        warnings.warn(f"{sentence}; it is left out.", stacklevel=1)

    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # In place and sorted: of two links to one folder, every file system takes the same.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(root, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _glob(pattern: Path) -> Iterator[Path]:
    # A folder that is there is no pattern, whatever its name looks like.
    depth = next(i for i in range(len(pattern.parts))
                 if not os.path.lexists(Path(*pattern.parts[: i + 1])))  # fmt: skip
    base, parts = Path(*pattern.parts[:depth]), list(pattern.parts[depth:])
    if parts[-1] == "**":
        parts.append("*")
    try:
        found = list(base.glob("/".join(parts)))
    except ValueError as error:
        raise UserError(f"`{pattern}` is not a glob that can be read: {error}.") from None
    for path in found:
        hidden = any(part.startswith(".") for part in path.parts[depth:])
        if not hidden and path.is_file():
            yield path
