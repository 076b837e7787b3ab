"""Files to images: probing and decoding what may be any file at all.

An image here is float32 RGB in [0, 1] of shape `(height, width, 3)`; the batch axis is the
caller's. Nothing in this module needs TensorFlow.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import math
import os
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageColor

from tf_style.errors import UserError
from tf_style.images.formats import open_image, png_chunks

__all__ = [
    "MAX_PIXELS",
    "ImageInfo",
    "as_floats",
    "probe",
    "read_image",
    "read_pixels",
    "refuse_stream",
    "verify",
]

# 2**29 // 3: the largest RGB picture that tf.io.decode_jpeg takes, and the size at which Pillow,
# left to itself, turns from a warning to an error. Decoded as an image it fills 2 GiB.
MAX_PIXELS = 178_956_970

# Rows that leave Pillow at once.
BAND = 256

TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What the values of a float picture may be meant to reach.
FLOAT_TOPS = (1, 255, 65535, 2**31 - 1, 2**32 - 1)

# A TIFF's tags.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, SIGNED = 0, 2


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What a file's header says of its picture.

    Attributes:
        width: Pixels across, after the EXIF orientation.
        height: Pixels down, after the EXIF orientation.
        format: Pillow's name of the file format: "JPEG", "PNG", ...
        mode: Pillow's name of the stored pixels: "RGB", "L", "CMYK", ...
        plain: Whether `tf.io.decode_jpeg` (with `dct_method="INTEGER_ACCURATE"`, which is not its
            default) or `tf.io.decode_png`, with `channels=3`, gives the same picture as
            `read_image`: 8 bits, RGB or grey, upright, opaque, still, and sRGB.

    Example:
        >>> ImageInfo(width=640, height=480, format="JPEG", mode="RGB", plain=True).plain
        True
    """

    width: int
    height: int
    format: str
    mode: str
    plain: bool


def probe(path: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read a picture's header, without decoding its pixels.

    (A PNG with text or EXIF behind its pixels is decoded after all: nothing else finds them.)

    Args:
        path: A file's path, or a seekable binary file.
        max_pixels: Largest accepted width * height.

    Raises:
        UserError: If the file is missing, empty, unreadable, no image, damaged or too large.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> probe(io.BytesIO(encode_image(np.zeros((2, 3, 3), np.float32), "png")))
        ImageInfo(width=3, height=2, format='PNG', mode='RGB', plain=True)
    """
    with _header(path, max_pixels) as (_, image, _):
        return _info(image)


def verify(path: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read a picture's header and all of its data, but keep none: `read_image` will succeed.

    A JPEG is decoded at an eighth of its size, which takes all of its data but less than half of
    `read_image`'s time.

    Args:
        path: A file's path, or a seekable binary file.
        max_pixels: Largest accepted width * height.

    Raises:
        UserError: If the file is missing, empty, unreadable, no image, damaged or too large.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> verify(io.BytesIO(encode_image(np.zeros((2, 3, 3), np.float32), "png"))).width
        3
    """
    with _header(path, max_pixels) as (_, image, _):
        info = _info(image)
        image.draft(image.mode, (1, 1))  # Does nothing to other formats.
        image.load()
        if not info.plain:  # Its values or its colours may be at fault.
            _pixels(image, (255, 255, 255), [])
        return info


def read_image(
    path: str | os.PathLike | BinaryIO, *, background: str = "white", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode a picture as a viewer would show it.

    The EXIF orientation is applied, transparency is laid over `background`, an ICC profile (CMYK
    ones too) is converted to sRGB. Grey of more than 8 bits keeps its precision, without its
    profile or transparency; Pillow reads 16-bit colour as 8 bits. Of an animation or a document the
    first frame is taken, and a profile that cannot be used or a PNG's text or profile of many
    megabytes is left out, each with a warning. The content decides the format, not the suffix.

    Args:
        path: A file's path, or a seekable binary file.
        background: What shows through transparent pixels: a CSS colour name or "#rrggbb".
        max_pixels: Largest accepted width * height, checked before any pixel is decoded.

    Returns:
        Image `(height, width, 3)`, float32 in [0, 1].

    Raises:
        UserError: If the file is missing, empty, unreadable, no image, damaged or too large, or
            `background` is no colour.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> data = encode_image(np.ones((2, 3, 3), np.float32), "png")
        >>> read_image(io.BytesIO(data))[0, 0].tolist()
        [1.0, 1.0, 1.0]
    """
    return as_floats(read_pixels(path, background=background, max_pixels=max_pixels))


def read_pixels(
    path: str | os.PathLike | BinaryIO, *, background: str = "white", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Return what `read_image` gives, before it becomes floats: a quarter of the memory.

    Args:
        path: The argument of `read_image`, like all that follow.
        background: What shows through transparent pixels.
        max_pixels: Largest accepted width * height.

    Returns:
        `(height, width, 3)`: uint8, or float32 in [0, 1] of deep grey.

    Raises:
        UserError: As in `read_image`.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> read_pixels(io.BytesIO(encode_image(np.ones((2, 3, 3)), "png")))[0, 0].tolist()
        [255, 255, 255]
    """
    try:
        color = ImageColor.getrgb(background)[:3]
    except (AttributeError, TypeError, ValueError):
        raise UserError(
            "`background` must be a colour name such as white, or #rrggbb. "
            f"Received: background={background!r}"
        ) from None
    with _header(path, max_pixels) as (name, image, notes):
        # A JPEG's further frames are previews and gain maps, not an animation.
        if image.format not in ("JPEG", "MPO") and getattr(image, "is_animated", False):
            notes.append("has several frames; only the first is used.")
        image.load()
        pixels = _pixels(image, color, notes)
    # Outside of the block, which takes every exception for the file's fault.
    for note in notes:
        warnings.warn(f"`{name}` {note}", stacklevel=2)
    return pixels


def _pixels(image: Image.Image, color: tuple[int, int, int], notes: list[str]) -> np.ndarray:
    orientation, tags = _orientation(image), getattr(image, "tag_v2", {})
    converter, problem = _profile(image)
    if orientation in TRANSPOSITIONS:
        image = image.transpose(TRANSPOSITIONS[orientation])
    if image.mode.startswith(("I", "F")):
        gray = _deep_gray(image, tags)
        return np.repeat(gray[..., None], 3, axis=-1)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if problem:
        notes.append(problem)
    if converter:
        image = ImageCms.applyTransform(image.convert(converter.input_mode), converter)
    image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, color), alpha)
    # By bands: at once it would be there three times.
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):
        bottom = min(top + BAND, image.height)
        pixels[top:bottom] = image.crop((0, top, image.width, bottom))
    return pixels


def _deep_gray(image: Image.Image, tags: dict) -> np.ndarray:
    """Grey of more than 8 bits in [0, 1], `(height, width)`, by the tags that a TIFF has."""
    values = np.array(image)
    (bits, *_), (form, *_) = tags.get(BITS, (16,)), tags.get(SAMPLE_FORMAT, (1,))
    if image.mode == "I" and tags and form != SIGNED:
        values = values.view(np.uint32)  # Of which Pillow has no mode.
    gray = values.astype(np.float32)
    if not np.isfinite(gray).all():
        raise ValueError("NaN or infinity among its values")
    peak = gray.max()
    if image.mode == "F":
        # The nearest by ratio: a picture in [0, 1] may have lights of 1.02, or of 5.
        top = min(FLOAT_TOPS, key=lambda top: abs(math.log(max(peak, 1) / top)))
    elif bits > 16 and peak <= 65535:
        top = 65535  # 16 bits in a wider type; not 8, lest a dark picture be taken for a bright.
    else:
        top = 2 ** (bits - (form == SIGNED)) - 1
    gray = np.clip(gray / np.float32(top), 0, 1)
    return 1 - gray if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else gray


@contextlib.contextmanager
def _header(
    source: str | os.PathLike | BinaryIO, max_pixels: int
) -> Iterator[tuple[str, Image.Image, list[str]]]:
    """Opens a picture; whatever a malformed file makes Pillow raise leaves as UserError."""
    is_file = hasattr(source, "read")
    name = str(getattr(source, "name", "<bytes>") if is_file else os.fspath(source))
    try:
        if not is_file:
            refuse_stream(source)
        with contextlib.nullcontext(source) if is_file else open(source, "rb") as file:
            image, notes = open_image(file, name)
            width, height = image.size
            if width * height > max_pixels:
                raise UserError(
                    f"`{name}` is {width}x{height}, {width * height} pixels; the limit is "
                    f"{max_pixels}. Make the picture smaller, or raise `max_pixels`."
                )
            yield name, image, notes
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"`{name}` does not exist.") from None
    except IsADirectoryError:
        raise UserError(f"`{name}` is a folder where one image file is expected.") from None
    except PermissionError:
        raise UserError(f"`{name}` may not be read: permission denied.") from None
    except Exception as error:
        raise UserError(
            f"`{name}` is truncated or damaged ({error or type(error).__name__}). "
            "Fetch or export it again."
        ) from error


def refuse_stream(path: str | os.PathLike) -> None:
    """Refuse a pipe or a device: a picture is read twice, first its header.

    Raises:
        UserError: It is one.

    Example:
        >>> refuse_stream(os.devnull)
        Traceback (most recent call last):
        tf_style.errors.UserError: `/dev/null` is no file but a pipe or a device. Save the picture
        as a file first.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise UserError(
            f"`{os.fspath(path)}` is no file but a pipe or a device. Save the picture as a file "
            "first."
        )


def _has_late_text(file: BinaryIO) -> bool:
    position, pixels_seen = file.tell(), False
    try:
        for _, _, kind in png_chunks(file):
            pixels_seen |= kind == b"IDAT"
            if pixels_seen and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
        return False
    finally:
        file.seek(position)


def _info(image: Image.Image) -> ImageInfo:
    # A PNG's raw mode tells 8 bits from 16, 4 and 2, which its mode does not.
    stored = image.tile[0][3] if image.format == "PNG" and image.tile else image.mode
    if image.format == "PNG" and _has_late_text(image.fp):
        image.load()
    width, height = image.size
    orientation = _orientation(image)
    if orientation >= 5:
        width, height = height, width
    plain = (
        image.format in ("JPEG", "PNG")
        and image.mode in ("L", "RGB")
        and (image.format == "JPEG" or (stored in ("L", "RGB") and not image.is_animated))
        and not image.has_transparency_data
        and orientation == 1
        and width * height <= MAX_PIXELS
        and not _profile(image)[0]
    )
    return ImageInfo(width, height, image.format, image.mode, plain)


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow turns these itself, and swaps their size on opening.
        return 1
    try:
        # The base class's: the PNG plugin's decodes the pixels first, in search of late EXIF.
        tag = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:
        return 1  # A broken EXIF block says nothing about the pixels.
    return tag if tag in TRANSPOSITIONS else 1


def _profile(image: Image.Image) -> tuple[ImageCms.ImageCmsTransform | None, str | None]:
    """The conversion to sRGB, if one is needed, and what is wrong with the profile, if anything."""
    data = image.info.get("icc_profile")
    return _converter(data, image.mode) if data else (None, None)


@functools.lru_cache(maxsize=16)
def _converter(data: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str | None]:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = source.profile.xcolor_space.strip()
        base = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[space]
        if (base == "CMYK") != (mode == "CMYK") or (base == "L" and mode not in ("1", "L", "LA")):
            raise ValueError(f"a {space} profile in a {mode} picture")
        converter = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), base, "RGB")
        if base == "CMYK":
            return converter, None
        # sRGB goes by many names and other spaces carry it in theirs: a chart of colours decides.
        chart = bytes(itertools.chain(*itertools.product(range(0, 256, 15), repeat=len(base))))
        image = Image.frombytes(base, (len(chart) // len(base), 1), chart)
        converted = ImageCms.applyTransform(image, converter)
        change = np.abs(np.subtract(converted, image.convert("RGB"), dtype=int))
        return (None if change.max() <= 2 else converter), None
    except Exception as error:
        return None, f"has a colour profile that cannot be used ({error}); sRGB is assumed."


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """Pixels as an image: uint8 divided by 255; what is float already is left as it is.

    Args:
        pixels: Array of any shape.

    Example:
        >>> as_floats(np.uint8([255, 0])).tolist()
        [1.0, 0.0]
    """
    return pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels
