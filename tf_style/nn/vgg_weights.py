"""Where weights come from: a name or a path to checked float32 arrays.

Nothing here unpickles, follows a link inside a file or allocates what a header claims before the
claim is held against the expected shapes.
"""

import contextlib
import hashlib
import io
import os
import sys
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tf_style.errors import UserError

__all__ = [
    "PACKAGED",
    "PACKAGED_SHA256",
    "find_weights",
    "read_h5",
    "read_npz",
    "read_weights",
    "sha256",
    "to_float16",
    "write_atomically",
    "write_npz",
]

PACKAGED = Path(__file__).parents[1] / "pretrained" / "vgg16.npz"
# Printed by tools/extract_vgg16.py, which makes the file.
PACKAGED_SHA256 = "4b9b1ccbded6df9a89217bf34d2b63e428056d56ea0299f35535cf5dde33a6cb"

# https://github.com/keras-team/keras: keras/src/applications/vgg16.py and vgg19.py.
KERAS_FILES = {
    "vgg16": (
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "vgg19": (
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "253f8cb515780f3b799900260a226db6",
    ),
    # Keras knows no digest of it.
    "mobilenet_v2": ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", None),
}

Arrays = dict[str, np.ndarray]
KEPT_TYPES = (np.float16, np.float32, np.int64)


def sha256(path: str | Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(
    source: str | Path,
    encoder: str,
    shapes: dict[str, tuple[int, ...]],
    optional: dict[str, tuple[int, ...]] | None = None,
    expected_sha256: str = "",
    foreign: frozenset[str] = frozenset(),
) -> tuple[Arrays, str]:
    """The encoder weights that `source` names, checked before use.

    Args:
        source: `packaged` (VGG16 in this package), `imagenet` (the file Keras downloads; its
            cache is looked at first) or the path of an `.h5`, `.weights.h5` or `.npz`.
        encoder: `vgg16` or `vgg19`.
        shapes: The shape of every array wanted, such as `{"block1_conv1/kernel": (3, 3, 3, 64)}`.
        optional: Shapes of arrays that an `.npz` may hold besides.
        expected_sha256: Hexadecimal digest that the file must have; empty for any.
        foreign: Layers of other networks, which may not be in the file.

    Returns:
        The float32 arrays by name, and the file's SHA-256.

    Raises:
        UserError: The file cannot be had, or is not what it should be.

    Example:
        >>> arrays, digest = read_weights("packaged", "vgg16", {"block1_conv1/bias": (64,)})
        >>> arrays["block1_conv1/bias"].shape
        (64,)
    """
    path = find_weights(source, encoder)
    digest = sha256(path)
    expected_sha256 = expected_sha256 or (PACKAGED_SHA256 if path == PACKAGED else "")
    if expected_sha256 and digest != expected_sha256:
        raise UserError(
            f"{path} is not the expected weight file: its SHA-256 is {digest} over "
            f"{path.stat().st_size:,} bytes, expected {expected_sha256}; fetch or install it again."
        )
    if _kind(path) == "h5":
        return read_h5(path, shapes, foreign), digest
    return read_npz(path, shapes, optional, foreign), digest


def read_npz(
    path: str | Path,
    shapes: dict[str, tuple[int, ...]],
    optional: dict[str, tuple[int, ...]] | None = None,
    foreign: frozenset[str] = frozenset(),
) -> Arrays:
    """The named arrays of an `.npz`: float16 and float32 as float32, int64 as it is.

    Each array's shape and type are read from its header and held against `shapes` first, so a
    file cannot make the reader allocate more than the network needs. Other members are ignored.

    Args:
        path: The file.
        shapes: Shape of every array that must be there.
        optional: Shape of every array that may be there.
        foreign: As in `read_weights`.

    Raises:
        UserError: Missing, truncated, mis-shaped or non-finite arrays.
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
    """The named convolutions of a Keras weight file, as float32.

    All of Keras' layouts are read: `block1_conv1/block1_conv1_W_1:0` of the files it downloads,
    `model_weights/block1_conv1/...` of a whole model, and `layers/conv2d_1/vars/0` of
    `save_weights`, where an attribute of `vars` tells the layer. Soft and external links are not
    followed, virtual and external datasets refused: they could name any file of the machine.

    Args:
        path: The file.
        shapes: As in `read_weights`; `<layer>/kernel` is 4-dimensional, `<layer>/bias` 1.
        foreign: As in `read_weights`.

    Raises:
        UserError: Missing, truncated, mis-shaped or non-finite arrays.
    """
    import h5py  # Comes with Keras; late, because most runs need no HDF5.

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


def write_npz(path: str | Path, arrays: Arrays) -> None:
    """Write arrays to an uncompressed `.npz`, whole or not at all; the same arrays, the same bytes.

    Args:
        path: The file; an existing one is replaced in one step.
        arrays: By name; `/` may stand in a name. Their types are kept.
    """
    write_atomically(path, lambda file: np.savez(file, **arrays))


def to_float16(arrays: Arrays) -> Arrays:
    """The arrays in half precision, for files that ship.

    Raises:
        UserError: A value is beyond float16's 65504.
    """
    with np.errstate(over="ignore"):
        halves = {name: np.asarray(value).astype("float16") for name, value in arrays.items()}
    for name, value in halves.items():
        if not np.isfinite(value).all():
            raise UserError(f"Array {name!r} has values that float16 cannot hold.")
    return halves


def write_atomically(path: str | Path, content: bytes | Callable) -> None:
    """Write a file under a temporary name, flush it to the disk and rename it into place.

    Args:
        path: The file.
        content: All of it, or what writes it into an open file: a large one is never in memory
            as a whole.

    Raises:
        OSError: It cannot be written; `filename` is the file's.
    """
    path = Path(path)
    # Not of the process's number, which another thread has too, and the next container.
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        # Of a full disk the system names no file, of the others the temporary one.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder):
    """Flush a folder's list of names to the disk, so that a rename survives a power cut."""
    # Not every folder may be read, and not every file system can do it.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def find_weights(source: str | Path, network: str) -> Path:
    """The weight file that a name or a path stands for, downloaded by Keras if need be.

    Args:
        source: As in `read_weights`.
        network: `vgg16`, `vgg19` or `mobilenet_v2`.

    Raises:
        UserError: It cannot be had.

    Example:
        >>> find_weights("packaged", "vgg16") == PACKAGED
        True
    """
    flag = _flag(network)
    if str(source) == "packaged":
        if network != "vgg16":
            raise UserError(
                f"Only VGG16's weights are packaged. Received: {flag} {network} {flag}-weights "
                f"packaged; use {flag} vgg16, or {flag}-weights imagenet."
            )
        return PACKAGED
    if str(source) == "imagenet":
        return _download(network)
    path = Path(os.path.expanduser(source))
    if not path.is_file():
        raise UserError(
            f"There is no {flag[2:]} weight file {str(source)!r}; {flag}-weights takes `packaged` "
            "(vgg16), `imagenet`, or the path of an .h5 or .npz."
            if flag == "--encoder"
            else f"There is no {flag[2:]} weight file {str(source)!r}; {flag}-weights takes "
            "`imagenet`, or the path of an .h5."
        )
    return path


def _flag(network):
    return "--backbone" if network == "mobilenet_v2" else "--encoder"


def _download(network: str) -> Path:
    from keras.utils import get_file

    name, md5 = KERAS_FILES[network]
    origin = f"https://storage.googleapis.com/tensorflow/keras-applications/{network}/{name}"
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports its progress there
            return Path(get_file(name, origin, cache_subdir="models", file_hash=md5))
    except Exception as error:  # Keras raises a bare Exception
        flag = _flag(network)
        packaged = " --encoder-weights packaged" if flag == "--encoder" else ""
        raise UserError(
            f"{network.upper()}'s ImageNet weights are not in Keras' cache and cannot be "
            f"downloaded ({error}): use {flag} vgg16{packaged}, or fetch {name} on another "
            f"machine and give its path to {flag}-weights."
        ) from error


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    text = head.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        fault = "is a Git LFS pointer, not the weights it stands for; run `git lfs pull`"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        fault = "is a web page, not weights; download the file itself"
    elif not head:
        fault = "is empty; fetch it again"
    else:
        fault = f"is neither HDF5 nor .npz (it begins with {head[:8]!r}); give an .h5 or .npz"
    raise UserError(f"{path} {fault}.")


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
