"""Where weights come from: a name or a path to checked float32 arrays."""

import contextlib
import os
import sys
from pathlib import Path

from tf_style.errors import UserError
from tf_style.files import Arrays, read_h5, read_npz, sha256

__all__ = ["PACKAGED", "PACKAGED_SHA256", "check_weights", "find_weights", "read_weights"]

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


def read_weights(
    source: str | Path,
    encoder: str,
    shapes: dict[str, tuple[int, ...]],
    optional: dict[str, tuple[int, ...]] | None = None,
    expected_sha256: str = "",
    foreign: frozenset[str] = frozenset(),
) -> tuple[Arrays, str]:
    """Return the encoder weights that `source` names, checked before use.

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


def check_weights(sources: dict[str, str]) -> None:
    """Refuse files of weights that are not there; what Keras has or downloads is seen later.

    Args:
        sources: {network: source}, as in `find_weights`; an empty source is the network's default.

    Raises:
        UserError: A file is missing.
    """
    for network, source in sources.items():
        if source not in ("", "imagenet"):
            find_weights(source, network)


def find_weights(source: str | Path, network: str) -> Path:
    """Return the weight file that a name or a path stands for, downloaded by Keras if need be.

    Args:
        source: The argument of `read_weights`.
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
