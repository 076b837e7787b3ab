"""Files: written whole or not at all, and arrays read without trust.

Nothing here unpickles, follows a link inside a file, or allocates what a header claims before that
claim is held against the expected shapes.
"""

import contextlib
import hashlib
import io
import os
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tf_style.errors import UserError

__all__ = [
    "Arrays",
    "exists_already",
    "read_h5",
    "read_npz",
    "rename",
    "sha256",
    "to_float16",
    "write_atomically",
    "write_npz",
]

Arrays = dict[str, np.ndarray]
KEPT_TYPES = (np.float16, np.float32, np.int64)


# -- writing ---------------------------------------------------------------------------------------


def write_atomically(
    path: str | os.PathLike, content: bytes | Callable, *, overwrite: bool = True
) -> None:
    """Write a file whole or not at all.

    The bytes go to a hidden file in the same folder, are flushed to the disk, and take the name in
    one step. Without `overwrite`, a file that appears in the meantime stays.

    Args:
        path: The file.
        content: All bytes of the file, or a function that writes them to an open file, so that a
            large file is never in memory as a whole.
        overwrite: Whether to replace an existing file.

    Raises:
        UserError: The file exists and `overwrite` is False.
        OSError: The file cannot be written; `filename` is `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(f"{folder}/a.txt", b"whole")
        ...     print(os.listdir(folder), Path(folder, "a.txt").read_text())
        ['a.txt'] whole
    """
    path = Path(path)
    # Not from `tempfile`, whose files only their owner may read. Not from the name, which may be
    # as long as names can be. Not from the process number, which threads and containers share.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path, overwrite=overwrite)
    except OSError as error:
        # The system names the temporary file or, when the disk is full, none.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def rename(source: Path, target: Path, *, overwrite: bool = False) -> None:
    """Rename a file within one file system and flush the folder to the disk.

    Args:
        source: The present name. The file may keep it beside the new one.
        target: The new name.
        overwrite: Whether to replace an existing file.

    Raises:
        UserError: `target` exists and `overwrite` is False.
    """
    if overwrite:
        os.replace(source, target)
    else:
        try:
            os.link(source, target)  # Unlike a rename, it fails if `target` exists.
        except FileExistsError:
            raise exists_already(target) from None
        except OSError:  # The file system has no hard links.
            if os.path.lexists(target):
                raise exists_already(target) from None
            os.replace(source, target)
    _sync_folder(target.parent)


def exists_already(path: str | os.PathLike) -> UserError:
    """Return the error for a file that may not be replaced."""
    return UserError(f"`{path}` exists already. Give another name, or set `overwrite`.")


def _sync_folder(folder):
    """Flush a folder's list of names to the disk, so that a rename survives a power cut."""
    # Some systems cannot open folders, and some file systems cannot flush them.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: str | os.PathLike) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- arrays ----------------------------------------------------------------------------------------


def write_npz(path: str | Path, arrays: Arrays) -> None:
    """Write arrays to an uncompressed `.npz`, whole or not at all.

    The same arrays give the same bytes.

    Args:
        path: The file. An existing one is replaced.
        arrays: Arrays by name. A name may contain `/`. Types are kept.
    """
    write_atomically(path, lambda file: np.savez(file, **arrays))


def to_float16(arrays: Arrays) -> Arrays:
    """Return the arrays in half precision, for files that ship.

    Raises:
        UserError: A value is beyond float16's 65504.

    Example:
        >>> to_float16({"kernel": np.ones(2, "float32")})["kernel"].dtype.name
        'float16'
    """
    with np.errstate(over="ignore"):
        halves = {name: np.asarray(value).astype("float16") for name, value in arrays.items()}
    for name, value in halves.items():
        if not np.isfinite(value).all():
            raise UserError(f"Array {name!r} has values that float16 cannot hold.")
    return halves


def read_npz(
    path: str | Path,
    shapes: dict[str, tuple[int, ...]],
    optional: dict[str, tuple[int, ...]] | None = None,
    foreign: frozenset[str] = frozenset(),
) -> Arrays:
    """Return named arrays of an `.npz`: float16 and float32 as float32, int64 unchanged.

    Each array's shape and type are read from its header and compared with `shapes` first, so that
    a file cannot make the reader allocate more than the network needs. Other members are ignored.

    Args:
        path: The file.
        shapes: Shapes of the arrays that must be in the file, by name.
        optional: Shapes of the arrays that may be in the file.
        foreign: Layers of other networks, which must not be in the file.

    Raises:
        UserError: An array is missing, truncated, of another shape, or not finite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_npz(f"{folder}/a.npz", {"conv/bias": np.float16([1, 2])})
        ...     read_npz(f"{folder}/a.npz", {"conv/bias": (2,)})
        {'conv/bias': array([1., 2.], dtype=float32)}
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            missing = [name for name in shapes if f"{name}.npy" not in members]
            if missing:
                raise UserError(
                    _lacks(path, missing, [name.removesuffix(".npy") for name in members])
                )
            _refuse_foreign(path, {name.split("/")[0] for name in members}, foreign)
            wanted = shapes | {k: v for k, v in (optional or {}).items() if f"{k}.npy" in members}
            return {
                name: _read_member(archive, members[f"{name}.npy"], path, name, shape)
                for name, shape in wanted.items()
            }
    except (UserError, MemoryError):
        raise
    except Exception as error:  # zipfile, its codecs and NumPy's parser raise a dozen types
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again.") from error


def _read_member(archive, info, path, name, shape):
    limit = int(np.prod(shape)) * 8 + 4096  # an .npy header is far below 4 KiB
    if info.file_size > limit:
        raise UserError(_misshaped(path, name, f"{info.file_size} bytes", f"{shape}, float32"))
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: {name!r} is not compressed as NumPy does.")
    # The size may be a lie: with a limit no more than that is unpacked.
    with archive.open(info) as member:
        content = io.BytesIO(member.read(limit))
    version = np.lib.format.read_magic(content)
    read_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        raise UserError(f"{path}: array {name!r} has .npy version {version}, expected (1, 0).")
    found, _, dtype = read_header(content)
    if found != shape or dtype not in KEPT_TYPES:
        raise UserError(_misshaped(path, name, f"{found}, {dtype}", f"{shape}, float32 or float16"))
    content.seek(0)
    return _finite(path, name, np.load(content, allow_pickle=False))


def read_h5(
    path: str | Path,
    shapes: dict[str, tuple[int, ...]],
    foreign: frozenset[str] = frozenset(),
) -> Arrays:
    """Return named arrays of convolutions from a Keras weight file, as float32.

    It reads all layouts of Keras: `block1_conv1/block1_conv1_W_1:0` in the files that Keras
    downloads, `model_weights/block1_conv1/...` in whole models, and `layers/conv2d_1/vars/0` from
    `save_weights`, where an attribute of `vars` names the layer. It follows no soft or external
    links and refuses virtual and external datasets, which could name any file on the machine.

    Args:
        path: The file.
        shapes: Shapes by name: `<layer>/kernel` has 4 dimensions, `<layer>/bias` has 1.
        foreign: Layers of other networks, which must not be in the file.

    Raises:
        UserError: An array is missing, truncated, of another shape, or not finite.
    """
    import h5py  # Keras depends on it. Most runs need no HDF5, hence the late import.

    datasets = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise UserError(f"{path}: {name!r} is kept in another file, which is refused.")
            owners = {*name.split("/"), str(item.parent.attrs.get("name"))}
            datasets[name] = item, owners

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
            _refuse_foreign(path, {x for _, owners in datasets.values() for x in owners}, foreign)
            arrays = {}
            for name, shape in shapes.items():
                layer = name.split("/")[0]
                found = [
                    data
                    for data, owners in datasets.values()
                    if layer in owners and data.ndim == len(shape)
                ]
                if not found:
                    raise UserError(_lacks(path, [name], datasets))
                data = found[0]
                # A chunk is unpacked whole, so a larger one would pass the shape by.
                too_large = data.chunks and np.prod(data.chunks) > data.size
                if data.shape != shape or data.dtype.kind != "f" or too_large:
                    chunks = f", in chunks of {data.chunks}" if data.chunks else ""
                    found = f"{data.shape}, {data.dtype}{chunks}"
                    raise UserError(_misshaped(path, name, found, f"{shape}, floating"))
                arrays[name] = _finite(path, name, data[()])
            return arrays
    except (UserError, MemoryError):
        raise
    except Exception as error:  # h5py raises half a dozen types
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again.") from error


def _lacks(path, missing, found) -> str:
    some = ", ".join(list(found)[:4]) or "nothing"
    return (
        f"{path} lacks {missing[0]!r} ({len(missing)} missing in all); it holds {some}, ...: "
        "these are not the weights of this network."
    )


def _refuse_foreign(path, layers, foreign):
    if found := sorted(layers & foreign):
        raise UserError(
            f"{path} holds {found[0]!r}, a layer that the network asked for has not: these are the "
            "weights of another."
        )


def _misshaped(path, name, found, expected) -> str:
    return f"{path}: {name!r} is {found}, expected {expected}: not the weights of this network."


def _finite(path, name, value) -> np.ndarray:
    if value.dtype.kind == "f":
        with np.errstate(over="ignore"):
            value = np.asarray(value, "float32")
    if not np.isfinite(value).all():
        raise UserError(f"{path}: {name!r} holds NaN or infinity.")
    return value
