"""Names to image files: a file, a folder with all below it, or a glob."""

import fnmatch
import functools
import glob
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import features

from tf_style.errors import UserError
from tf_style.images.reading import refuse_stream

__all__ = ["RESULT", "SUFFIXES", "Paths", "list_images", "would_list"]

Paths = str | os.PathLike | Sequence[str | os.PathLike]

# What a folder is searched for; a file named outright is judged by its content alone.
SUFFIXES = ("bmp", "gif", "jfif", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp") + (
    ("avif",) if features.check("avif") else ()
)

# Pictures that cannot be read, and what may be one: passed over, but not in silence.
OTHERS = ("", "arw", "avif", "cr2", "cr3", "dng", "exr", "heic", "heif", "hif", "jp2", "jxl", "nef",
          "orf", "psd", "raf", "rw2", "svg", "tga")  # fmt: skip

# In the name of every result.
RESULT = "_stylized_"

# What tells a folder of a training or an evaluation.
OURS = (("config.json", "stylizer.npz"), ("options.json", "pairs", "pictures"))


def list_images(path: Paths, written: Iterable[str | os.PathLike] = ()) -> list[Path]:
    """Return the image files that a name stands for: a file, a folder or a glob; or several names.

    A folder is searched with all below it for files with one of `SUFFIXES`, in any case. Hidden
    files and folders are skipped; symbolic links are followed, each folder once, but not by a
    glob's `**`. A file given by name is taken whatever its suffix, and a name that exists is
    never read as a glob. Photos of other formats, files without a suffix and folders below that
    cannot be read are left out, with a warning; without one, folders below that a training, an
    evaluation or Gatys' method has made, and what lies where pictures are going to be written.

    Args:
        path: A file, a folder, or a pattern with `*`, `?`, `[...]` or `**`; or several of them.
        written: Folders and files that the program is going to write.

    Returns:
        The paths, at least one: sorted within each name, and each of them once.

    Raises:
        UserError: If the path does not exist, cannot be read or holds no image, or if pictures
            that are no results lie in a folder below it that results go to.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from tf_style.images.writing import write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.png", np.zeros((4, 4, 3), np.float32))
        ...     [found.name for found in list_images(f"{folder}/*.png")]
        ['a.png']
    """
    if isinstance(path, list | tuple):
        return list(dict.fromkeys(file for one in path for file in list_images(one, written)))
    name, path = os.fspath(path), Path(path)
    if not name:
        raise UserError("An empty name holds no images. Give a file, a folder or a glob in quotes.")
    if os.path.isdir(path):
        top, found = path, set(_walk(path))
    elif os.path.lexists(path):
        refuse_stream(path)
        return [path]
    elif glob.has_magic(name):
        top, found = _split(path)[0], set(_glob(path))
    else:
        several = " Separate several names by spaces." if "," in name else ""
        raise UserError(
            f"`{name}` does not exist. Give a file, a folder or a glob in quotes.{several}"
        )
    found -= _written(top, found, written)
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


def would_list(path: Paths, file: str | os.PathLike) -> bool:
    """Return whether `list_images(path)` would list a file, were it there, by what it names itself.

    Files in folders below are not meant: these can be left out.

    Example:
        >>> would_list("*.jpg", "a.jpg"), would_list("*.jpg", "a.png")
        (True, False)
    """
    if isinstance(path, list | tuple):
        return any(would_list(one, file) for one in path)
    path, folder, name = Path(path), os.path.realpath(Path(file).parent), Path(file).name
    if os.path.isdir(path):
        return os.path.realpath(path) == folder
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return os.path.realpath(path) == os.path.join(folder, name)
    base, parts = _split(path)
    return (
        os.path.realpath(base) == folder
        and set(parts[:-1]) <= {"**"}
        and fnmatch.fnmatch(name, parts[-1])
    )


def _written(top: Path, found: set[Path], written: Iterable[str | os.PathLike]) -> set[Path]:
    """Those of the files below a folder that lie where the program writes."""
    top = Path(os.path.realpath(top))
    places = [Path(os.path.realpath(place)) for place in written]
    places = [place for place in places if place not in (top, *top.parents)]
    folders = {file.parent for file in found} if places else set()
    real = {folder: Path(os.path.realpath(folder)) for folder in folders}
    lie = set()
    for place in places:
        inside = {folder for folder, path in real.items() if place in (path, *path.parents)}
        there = {file for file in found if file.parent in inside}
        if strange := sorted(file for file in there if RESULT not in file.name):
            raise UserError(
                f"`{strange[0]}` may be a picture to read or one that was written: this run writes "
                f"to `{place}`, which is within `{top}`. Give it an empty folder."
            )
        lie |= there
        lie |= {file for file in found if real[file.parent] / file.name == place}
    return lie


def _is_ours(folder: Path) -> bool:
    """Whether all in a folder was written by this package."""
    result = folder.with_suffix("").suffix[1:].lower()
    return (folder.suffix == ".progress" and result in SUFFIXES) or any(
        all((folder / name).exists() for name in names) for names in OURS
    )


def _walk(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError):
        sentence = f"The folder `{error.filename}` cannot be read: {error.strerror}"
        if Path(error.filename) == folder:
            raise UserError(f"{sentence}.")
        warnings.warn(f"{sentence}; it is left out.", stacklevel=1)

    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        real = os.path.realpath(root)
        if real in seen or (Path(root) != folder and _is_ours(Path(root))):
            folders.clear()
            continue
        seen.add(real)
        # In place and sorted: of two links to one folder, every file system takes the same.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(root, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _split(pattern: Path) -> tuple[Path, list[str]]:
    """The folder that a glob begins in, and the parts that are patterns."""
    # A folder that is there is no pattern, whatever its name looks like.
    depth = next(i for i in range(len(pattern.parts))
                 if not os.path.lexists(Path(*pattern.parts[: i + 1])))  # fmt: skip
    base, parts = Path(*pattern.parts[:depth]), list(pattern.parts[depth:])
    return base, [*parts, "*"] if parts[-1] == "**" else parts


def _glob(pattern: Path) -> Iterator[Path]:
    base, parts = _split(pattern)
    depth, ours = len(base.parts), functools.cache(_is_ours)
    try:
        found = list(base.glob("/".join(parts)))
    except ValueError as error:
        raise UserError(f"`{pattern}` is not a glob that can be read: {error}.") from None
    for path in found:
        hidden = any(part.startswith(".") for part in path.parts[depth:])
        between = list(path.parents)[: len(path.parts) - depth - 1]
        if not hidden and path.is_file() and not any(map(ours, between)):
            yield path
