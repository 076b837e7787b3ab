"""Files to images and back: listing, probing, decoding, atomic writing.

An image here is float32 RGB in [0, 1] of shape `(height, width, 3)`; the batch axis is the
caller's. Nothing in this module needs TensorFlow.
"""

import contextlib
import dataclasses
import functools
import glob
import io
import itertools
import os
import struct
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageColor, features

from tf_style.errors import NonFiniteError, UserError
from tf_style.layout import as_image

__all__ = [
    "MAX_PIXELS",
    "OUT_FORMATS",
    "SUFFIXES",
    "ImageInfo",
    "as_floats",
    "check_output",
    "encode_image",
    "list_images",
    "probe",
    "read_image",
    "read_pixels",
    "to_uint8",
    "verify",
    "write_image",
]

# Decoders that may see a user's file. Pillow's other forty include one that starts Ghostscript.
DECODERS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF")

# What a folder is searched for; a file named outright is judged by its content alone.
SUFFIXES = ("bmp", "gif", "jfif", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp") + (
    ("avif",) if features.check("avif") else ()
)

# 2**29 // 3: the largest RGB picture that tf.io.decode_jpeg takes, and the size at which Pillow,
# left to itself, turns from a warning to an error. Decoded as an image it fills 2 GiB.
MAX_PIXELS = 178_956_970

OUT_FORMATS = ("jpg", "png", "webp")

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

# What the values of deep greyscale modes may reach: the smallest that holds the picture's peak.
# Integers start at 16 bits, lest a dark 16-bit picture be taken for a bright 8-bit one.
RANGES = {"I": (65535, 2**31 - 1), "F": (1, 255, 65535, 2**31 - 1)}

IMPOSTORS = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a Git LFS pointer, whose content `git lfs pull` would fetch"),
    (b"<!doctype html", "an HTML page, as a failed download leaves"),
    (b"<html", "an HTML page, as a failed download leaves"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
)


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


def list_images(path: str | os.PathLike) -> list[Path]:
    """The image files that a name stands for: a file, a folder or a glob.

    A folder is searched with all below it for files with one of `SUFFIXES`, in any case. Hidden
    files and folders are skipped; symbolic links are followed, each folder once, but not by a
    glob's `**`. A file given by name is taken whatever its suffix, and a name that exists is
    never read as a glob.

    Args:
        path: A file, a folder, or a pattern with `*`, `?`, `[...]` or `**`.

    Returns:
        The paths in sorted order, at least one.

    Raises:
        UserError: If the path does not exist, cannot be read or holds no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.png", np.zeros((4, 4, 3), np.float32))
        ...     [found.name for found in list_images(f"{folder}/*.png")]
        ['a.png']
    """
    name, path = os.fspath(path), Path(path)
    if os.path.isdir(path):
        found = _walk(path)
    elif os.path.lexists(path):
        return [path]
    elif glob.has_magic(name):
        found = _glob(path)
    else:
        raise UserError(f"`{name}` does not exist. Give a file, a folder or a glob in quotes.")
    images = sorted({file for file in found if file.suffix[1:].lower() in SUFFIXES})
    if not images:
        raise UserError(f"`{name}` holds no images. Accepted suffixes: {', '.join(SUFFIXES)}.")
    return images


def _walk(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError):
        raise UserError(f"The folder `{error.filename}` cannot be read: {error.strerror}.")

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
    depth = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
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


def probe(path: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Reads a picture's header, without decoding its pixels.

    (A PNG with text or EXIF behind its pixels is decoded after all: nothing else finds them.)

    Args:
        path: A file's path, or a seekable binary file.
        max_pixels: Largest accepted width * height.

    Raises:
        UserError: If the file is missing, empty, unreadable, no image, damaged or too large.

    Example:
        >>> probe(io.BytesIO(encode_image(np.zeros((2, 3, 3), np.float32), "png")))
        ImageInfo(width=3, height=2, format='PNG', mode='RGB', plain=True)
    """
    with _header(path, max_pixels) as (_, image):
        return _info(image)


def verify(path: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Reads a picture's header, and all of its data, but keeps none: `read_image` will succeed.

    A JPEG is decoded at an eighth of its size, which takes all of its data but less than half of
    `read_image`'s time.

    Args:
        path: A file's path, or a seekable binary file.
        max_pixels: Largest accepted width * height.

    Raises:
        UserError: If the file is missing, empty, unreadable, no image, damaged or too large.

    Example:
        >>> verify(io.BytesIO(encode_image(np.zeros((2, 3, 3), np.float32), "png"))).width
        3
    """
    with _header(path, max_pixels) as (_, image):
        info = _info(image)
        image.draft(image.mode, (1, 1))  # Does nothing to other formats.
        image.load()
        if not info.plain:  # Its values or its colours may be at fault.
            _pixels(image, (255, 255, 255), [])
        return info


def read_image(
    path: str | os.PathLike | BinaryIO, *, background: str = "white", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decodes a picture as a viewer would show it.

    The EXIF orientation is applied, transparency is laid over `background`, an ICC profile (CMYK
    ones too) is converted to sRGB. 16-bit grey keeps its precision, scaled by 65535 and without
    its profile or transparency; Pillow reads 16-bit colour as 8 bits. Of an animation or a
    document the first frame is taken, with a warning; a profile that cannot be used is left out,
    with a warning. The content decides the format, not the suffix.

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
        >>> data = encode_image(np.ones((2, 3, 3), np.float32), "png")
        >>> read_image(io.BytesIO(data))[0, 0].tolist()
        [1.0, 1.0, 1.0]
    """
    return as_floats(read_pixels(path, background=background, max_pixels=max_pixels))


def read_pixels(
    path: str | os.PathLike | BinaryIO, *, background: str = "white", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """What `read_image` gives, before it becomes floats: a quarter of the memory.

    Args:
        path: As in `read_image`, like all that follow.
        background: What shows through transparent pixels.
        max_pixels: Largest accepted width * height.

    Returns:
        `(height, width, 3)`: uint8, or float32 in [0, 1] of deep grey.

    Raises:
        UserError: As in `read_image`.

    Example:
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
    notes = []
    with _header(path, max_pixels) as (name, image):
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
    orientation = _orientation(image)
    converter, problem = _profile(image)
    if orientation in TRANSPOSITIONS:
        image = image.transpose(TRANSPOSITIONS[orientation])
    if image.mode.startswith(("I", "F")):
        gray = np.array(image, dtype=np.float32)
        if not np.isfinite(gray).all():
            raise ValueError("NaN or infinity among its values")
        ranges = RANGES.get(image.mode, (65535,))
        gray /= next((top for top in ranges if gray.max() <= top), ranges[-1])
        return np.repeat(np.clip(gray, 0, 1)[..., None], 3, axis=-1)
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


@contextlib.contextmanager
def _header(
    source: str | os.PathLike | BinaryIO, max_pixels: int
) -> Iterator[tuple[str, Image.Image]]:
    """Opens a picture; whatever a malformed file makes Pillow raise leaves as UserError."""
    is_file = hasattr(source, "read")
    name = str(getattr(source, "name", "<bytes>") if is_file else os.fspath(source))
    try:
        with contextlib.nullcontext(source) if is_file else open(source, "rb") as file:
            image = _identify(file, name)
            width, height = image.size
            if width * height > max_pixels:
                raise UserError(
                    f"`{name}` is {width}x{height}, {width * height} pixels; the limit is "
                    f"{max_pixels}. Make the picture smaller, or raise `--max-pixels`."
                )
            yield name, image
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


def _identify(file: BinaryIO, name: str) -> Image.Image:
    # This is the heart of Image.open without its check of the size. That one knows a single limit
    # for the whole process, warns as often as it raises, and tells neither the size nor the file.
    file.seek(0)
    head = file.read(256)
    if not head:
        raise UserError(f"`{name}` is empty (0 bytes). Fetch or export it again.")
    Image.init()
    for format in filter(Image.OPEN.__contains__, DECODERS):
        factory, accepts = Image.OPEN[format]
        # A string is a plugin's apology: the format is right, this build cannot decode it.
        if accepts(head[:16]) is True:
            file.seek(0)
            return factory(file, "")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks = next((kind for magic, kind in IMPOSTORS if start.startswith(magic.lower())), None)
    if head[4:11] in (b"ftyphei", b"ftyphev", b"ftypmif"):
        looks = "a HEIC photo, to be exported as JPEG first"
    elif looks is None:
        printable = all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
        looks = "text" if printable else f"data that begins with {head[:8]!r}"
    raise UserError(
        f"`{name}` is not an image that can be read: it looks like {looks}. "
        f"Accepted formats: {', '.join(DECODERS)}."
    )


def _has_late_text(file: BinaryIO) -> bool:
    position, pixels_seen = file.tell(), False
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            pixels_seen |= kind == b"IDAT"
            if pixels_seen and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            file.seek(length + 4, os.SEEK_CUR)
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
    """Encodes a picture as the bytes of a file, without metadata.

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
    pixels = image if ready else to_uint8(as_image(image))
    picture, data = Image.fromarray(pixels), io.BytesIO()
    try:
        picture.save(data, {"jpg": "JPEG"}.get(format, format), **options.get(format, {}))
    except (OSError, ValueError) as error:
        size = f"{picture.width}x{picture.height}"
        raise UserError(f"A picture of {size} cannot be a {format}: {error}. Try png.") from error
    return data.getvalue()


def check_output(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Checks that `write_image` can write here, before hours of work depend on it.

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
    path = Path(path)
    _out_format(path)
    if os.path.isdir(path):
        raise UserError(f"`{path}` is a folder. Give the name of a file.")
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        reason = "not writable" if parent.is_dir() else "not a folder"
        raise UserError(f"`{path}` cannot be written: `{parent}` is {reason}.")


def write_image(
    path: str | os.PathLike, image: np.ndarray, *, quality: int = 95, overwrite: bool = False
) -> None:
    """Writes a picture whole or not at all, in the format that the suffix names.

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
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/new/a.jpg", np.zeros((4, 6, 3), np.float32))
        ...     read_image(f"{folder}/new/a.jpg").shape
        (4, 6, 3)
    """
    path = Path(path)
    check_output(path, overwrite)
    data = encode_image(image, _out_format(path), quality=quality)
    # Not from `tempfile`, whose files are closed to everyone else, nor from the name, which may
    # be as long as names can be.
    part = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                os.replace(part, path)
            else:
                _link(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"`{path}` cannot be written: {error.strerror or error}.") from error


def _link(part: Path, path: Path) -> None:
    try:
        os.link(part, path)  # Fails if `path` exists, which a rename does not.
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # A file system without hard links: the best it can do.
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(part, path)


def _exists(path: Path) -> UserError:
    return UserError(f"`{path}` exists already. Give another name, or `--overwrite`.")


def _out_format(path: Path) -> str:
    suffix = path.suffix[1:].lower().replace("jpeg", "jpg")
    if suffix not in OUT_FORMATS:
        names = ", ".join(f".{name}" for name in OUT_FORMATS)
        raise UserError(f"`{path}` must end in {names} or .jpeg.")
    return suffix
