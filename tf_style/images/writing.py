"""Images to files, written whole or not at all."""

import io
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tf_style.errors import NonFiniteError, UserError
from tf_style.files import exists_already, write_atomically
from tf_style.images.resizing import float_image

__all__ = ["OUT_FORMATS", "check_output", "check_place", "check_size", "encode_image",
           "out_format", "to_uint8", "write_file", "write_image"]  # fmt: skip

OUT_FORMATS = ("jpg", "png", "webp")

# Pixels a side that a format's encoder takes: libjpeg's and libwebp's own numbers.
LONGEST = {"jpg": 65500, "webp": 16383}


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds to 8 bits: rint(255 * clip(x, 0, 1)).

    Args:
        image: Float array of any shape.

    Returns:
        The same shape, uint8.

    Raises:
        NonFiniteError: If a value is NaN or infinite; clipping would hide it.

    Example:
        >>> to_uint8(np.array([-0.1, 0.5, 1.0])).tolist()
        [0, 128, 255]
    """
    image = np.asarray(image)
    if bad := image.size - np.count_nonzero(np.isfinite(image)):
        raise NonFiniteError(
            f"{bad} of the picture's {image.size} values are NaN or infinite; nothing is written."
        )
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def encode_image(image: np.ndarray, format: str = "png", *, quality: int = 95) -> bytes:
    """Encode a picture as the bytes of a file, without metadata.

    Args:
        image: Image `(height, width, 3)`, or the uint8 that `to_uint8` gives of one.
        format: One of `OUT_FORMATS`.
        quality: 1 to 100, for "jpg" (whose colours are not subsampled) and "webp" (whose are).

    Raises:
        UserError: If an argument is out of range, or the picture too large for the format.
        NonFiniteError: If the image holds NaN or infinity.

    Example:
        >>> encode_image(np.zeros((2, 2, 3), np.float32), "jpg")[:3]
        b'\\xff\\xd8\\xff'
    """
    if format not in OUT_FORMATS:
        raise UserError(f"`format` must be one of {', '.join(OUT_FORMATS)}. Received: {format!r}")
    if not 1 <= quality <= 100:
        raise UserError(f"`quality` must be between 1 and 100. Received: quality={quality}")
    # No optimize=True for JPEG: it saves some 3 % and fails on noise, for which Pillow's buffer is
    # too small. 4:4:4, since brush strokes are fine colour edges, which 4:2:0 smears.
    options = {"jpg": {"quality": quality, "subsampling": 0}, "webp": {"quality": quality}}
    image = np.asarray(image)
    ready = image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3
    pixels = image if ready else to_uint8(float_image(image))
    check_size(*pixels.shape[:2], format)
    picture, data = Image.fromarray(pixels), io.BytesIO()
    try:
        picture.save(data, {"jpg": "JPEG"}.get(format, format), **options.get(format, {}))
    except (OSError, ValueError) as error:
        size = f"{picture.width}x{picture.height}"
        raise UserError(f"A picture of {size} cannot be a {format}: {error}. Try png.") from error
    return data.getvalue()


def check_size(height: int, width: int, format: str) -> None:
    """Refuse a picture that is larger than its format can be.

    Args:
        height: Pixels.
        width: Pixels.
        format: One of `OUT_FORMATS`.

    Raises:
        UserError: It is.

    Example:
        >>> check_size(24, 17_000, "webp")
        Traceback (most recent call last):
        tf_style.errors.UserError: A picture of 17000x24 cannot be a webp, which has at most 16383
        px a side. Try png.
    """
    if max(height, width) > LONGEST.get(format, math.inf):
        raise UserError(
            f"A picture of {width}x{height} cannot be a {format}, which has at most "
            f"{LONGEST[format]} px a side. Try png."
        )


def check_output(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Check that `write_image` can write here, before hours of work depend on it.

    Args:
        path: The file to be written.
        overwrite: Whether it may exist already.

    Raises:
        UserError: If the suffix is none of `OUT_FORMATS`, the file exists, or its folder can be
            neither written nor made.

    Example:
        >>> check_output("picture.gif")
        Traceback (most recent call last):
        tf_style.errors.UserError: `picture.gif` must end in .jpg, .png, .webp or .jpeg.
    """
    out_format(path)
    check_place(path, overwrite)


def check_place(path: str | os.PathLike, overwrite: bool = False) -> None:
    """`check_output` for a file of any kind, without the check of its suffix."""
    path = Path(path)
    if os.path.isdir(path):
        raise UserError(f"`{path}` is a folder. Give the name of a file.")
    if not overwrite and os.path.lexists(path):
        raise exists_already(path)
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        reason = "not writable" if parent.is_dir() else "not a folder"
        raise UserError(f"`{path}` cannot be written: `{parent}` is {reason}.")


def write_image(
    path: str | os.PathLike, image: np.ndarray, *, quality: int = 95, overwrite: bool = False
) -> None:
    """Write a picture whole or not at all, in the format that the suffix names.

    The bytes go to a hidden file in the same folder, which then takes the name. Without
    `overwrite` an existing file stays even if it appears while this one is being written. Missing
    folders are made.

    Args:
        path: File name ending in .jpg, .jpeg, .png or .webp.
        image: Image `(height, width, 3)`; values outside of [0, 1] are clipped. Or uint8, which
            is written as it is.
        quality: 1 to 100, for JPEG (not subsampled) and WebP.
        overwrite: Whether an existing file is replaced.

    Raises:
        UserError: If the file exists, the suffix is unknown, or the system refuses the write.
        NonFiniteError: If the image holds NaN or infinity.

    Example:
        >>> import tempfile
        >>> from tf_style.images.reading import read_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/new/a.jpg", np.zeros((4, 6, 3), np.float32))
        ...     read_image(f"{folder}/new/a.jpg").shape
        (4, 6, 3)
    """
    check_output(path, overwrite)
    write_file(path, encode_image(image, out_format(path), quality=quality), overwrite=overwrite)


def write_file(path: str | os.PathLike, data: bytes, *, overwrite: bool = False) -> None:
    """Write the bytes of a picture or an animation, as `write_image` does.

    Args:
        path: The file. Missing folders are made.
        data: All bytes of the file.
        overwrite: Whether to replace an existing file.

    Raises:
        UserError: The file exists, or the system refuses the write.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data, overwrite=overwrite)
    except OSError as error:
        raise UserError(f"`{path}` cannot be written: {error.strerror or error}.") from error


def out_format(path: str | os.PathLike) -> str:
    """Return the format that a file's suffix names, one of `OUT_FORMATS`.

    Raises:
        UserError: It names none of them.

    Example:
        >>> out_format("a/b.JPEG")
        'jpg'
    """
    suffix = Path(path).suffix[1:].lower().replace("jpeg", "jpg")
    if suffix not in OUT_FORMATS:
        names = ", ".join(f".{name}" for name in OUT_FORMATS)
        raise UserError(f"`{path}` must end in {names} or .jpeg.")
    return suffix
