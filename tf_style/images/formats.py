"""Opening a file by its content: what Pillow reads as it should, and the names of all else.

An image here is Pillow's, its pixels not decoded yet.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, PngImagePlugin, TiffImagePlugin

from tf_style.errors import UserError

__all__ = ["DECODERS", "open_image", "png_chunks"]

# Decoders that may see a user's file. Pillow's other forty include one that starts Ghostscript.
DECODERS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF")

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
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture, to be exported as JPEG or PNG first"),
    (b"\xff\x0a", "a JPEG XL picture, to be exported as JPEG or PNG first"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture, to be exported as JPEG or PNG first"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture, to be exported as JPEG or PNG first"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture, to be exported as PNG first"),
    (b"#?RADIANCE", "a Radiance HDR picture, to be exported as PNG first"),
)

RAW = "a raw photo, to be developed and exported as JPEG first"
RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")

# Brands of the container that HEIC, AVIF, CR3 and videos share.
AVIF = {b"avif", b"avis"}
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

# A TIFF's tags.
SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, CHANNELS = 254, 258, 259, 262, 277
SUB_IFDS, SAMPLE_FORMAT, DNG_VERSION = 330, 339, 50706
COLOR_FILTER_ARRAY, LINEAR_RAW = 32803, 34892


def open_image(file: BinaryIO, name: str) -> tuple[Image.Image, list[str]]:
    """Open a picture by its content, whatever its suffix.

    Args:
        file: Seekable; the image reads from it.
        name: For errors.

    Returns:
        The image, and what was left out of its file: clauses that follow the name.

    Raises:
        UserError: If the file is empty, or nothing that can be read. Whatever a damaged file makes
            Pillow raise leaves as it is.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> import numpy as np
        >>> data = io.BytesIO(encode_image(np.zeros((2, 3, 3), np.float32), "png"))
        >>> image, left_out = open_image(data, "a.png")
        >>> image.size, left_out
        ((3, 2), [])
    """
    # This is the heart of Image.open without its check of the size. That one knows a single limit
    # for the whole process, warns as often as it raises, and tells neither the size nor the file.
    file.seek(0)
    head = file.read(256)
    if not head:
        raise UserError(f"`{name}` is empty (0 bytes). Fetch or export it again.")
    Image.init()
    looks = _foreign(head)
    for format in filter(Image.OPEN.__contains__, () if looks else DECODERS):
        factory, accepts = Image.OPEN[format]
        # A string is a plugin's apology: the format is right, this build cannot decode it.
        if accepts(head[:16]) is True:
            if format == "TIFF":
                looks = RAW if _is_raw(head, tags := _tiff_tags(file)) else None
            if looks:
                break
            image_file, left_out = _without_bulk(file) if format == "PNG" else (file, [])
            image_file.seek(0)
            try:
                return factory(image_file, ""), left_out
            except SyntaxError:
                if format == "TIFF" and (layout := _tiff_layout(tags)):
                    raise UserError(
                        f"`{name}` is a TIFF of {layout}, which cannot be read. Save it as PNG."
                    ) from None
                raise
    raise UserError(
        f"`{name}` is not an image that can be read: it looks like {looks or _unknown(head)}. "
        f"Accepted formats: {', '.join(DECODERS)}."
    )


def _foreign(head):
    """What a file is by its first bytes, if it is known and no decoder is to see it."""
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[i : i + 4] for i in (8, *range(16, end, 4))}
        if brands & AVIF:
            return None
        if b"crx " in brands:
            return RAW
        if brands & HEIC:
            return "a HEIC photo, to be exported as JPEG first"
        return "a video"
    if head.startswith(RAW_MAGIC):
        return RAW
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((kind for magic, kind in IMPOSTORS if start.startswith(magic.lower())), None)


def _unknown(head):
    if head[4:8] == b"ftyp":
        return "an AVIF picture, for which Pillow was built without a decoder"
    printable = all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    return "text" if printable else f"data that begins with {head[:8]!r}"


# --- TIFF ---


def _tiff_tags(file):
    """First values of the tags of a TIFF's first picture; nothing of a damaged one.

    (Pillow has them only once it has accepted the picture.)
    """
    tags = {}
    try:
        file.seek(0)
        head = file.read(16)
        order, large = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
        count, entry, offset = ("Q", "HHQ8s", "8xQ") if large else ("H", "HHI4s", "4xI")
        file.seek(*struct.unpack_from(order + offset, head))
        (number,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
        entries = file.read(min(number, 65_535) * struct.calcsize(order + entry))
        for tag, kind, length, value in struct.iter_unpack(order + entry, entries):
            code = {3: "H", 4: "I", 16: "Q"}.get(kind, "B")
            if length * struct.calcsize(code) > len(value):
                file.seek(*struct.unpack(order + ("Q" if large else "I"), value))
                value = file.read(8)
            (tags[tag],) = struct.unpack_from(order + code, value)
    except (OSError, OverflowError, ValueError, struct.error):
        pass
    return tags


def _is_raw(head, tags):
    """Whether a TIFF is a raw photo, whose first picture is a thumbnail or no picture yet."""
    thumbnail = tags.get(SUBFILE, 0) & 1 and SUB_IFDS in tags
    unfinished = tags.get(PHOTOMETRIC) in (COLOR_FILTER_ARRAY, LINEAR_RAW)
    return bool(DNG_VERSION in tags or thumbnail or unfinished or head[8:10] == b"CR")


def _tiff_layout(tags):
    """How a TIFF's pixels are stored, if it says so."""
    bits, channels = tags.get(BITS, 1), tags.get(CHANNELS, 1)
    if not (COMPRESSION in tags and PHOTOMETRIC in tags and bits <= 128 and channels <= 64):
        return ""
    compression = tags[COMPRESSION]
    kind = {2: "signed ", 3: "float ", 5: "complex "}.get(tags.get(SAMPLE_FORMAT), "")
    known = compression in TiffImagePlugin.COMPRESSION_INFO
    packed = "" if known else f" in the compression {compression}"
    return f"{channels} x {bits}-bit {kind}values{packed}"


# --- PNG ---


def png_chunks(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Walk through a PNG: each chunk's offset, length and kind, the file at its data.

    Args:
        file: Seekable; it may be read between the chunks.

    Example:
        >>> from tf_style.images.writing import encode_image
        >>> import numpy as np
        >>> data = encode_image(np.zeros((2, 3, 3), np.float32), "png")
        >>> [kind for _, _, kind in png_chunks(io.BytesIO(data))]
        [b'IHDR', b'IDAT', b'IEND']
    """
    position, kind = 8, b""
    while kind != b"IEND":
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield position, length, kind
        position += length + 12


def _without_bulk(file):
    """A PNG, or a copy of it without the chunks for which Pillow would refuse the whole."""
    cut, left_out, total = [], {}, 0
    for position, length, kind in png_chunks(file):
        if kind in (b"iCCP", b"iTXt", b"tEXt", b"zTXt"):
            size = _inflated_size(kind, file.read(length))
            if total + size > PngImagePlugin.MAX_TEXT_MEMORY:
                cut.append((position, position + length + 12))
                left_out[kind == b"iCCP"] = True
            else:
                total += size
    if not cut:
        return file, []
    file.seek(0)
    data, start, parts = file.read(), 0, []
    for position, end in [*cut, (None, None)]:
        parts.append(data[start:position])
        start = end
    clauses = {True: "has an oversized colour profile, which is left out; sRGB is assumed.",
               False: "has oversized text, which is left out."}  # fmt: skip
    return io.BytesIO(b"".join(parts)), [clauses[is_profile] for is_profile in left_out]


def _inflated_size(kind, data):
    """Bytes of a chunk's text or profile; infinite if Pillow refuses to inflate it."""
    rest = data.partition(b"\0")[2]
    if kind == b"iTXt":
        packed, rest = rest[:1] not in (b"", b"\0"), rest[2:].split(b"\0", 2)[-1]
    else:
        packed, rest = kind != b"tEXt", rest[1:]
    if not packed:
        return len(data)
    inflater = zlib.decompressobj()
    try:
        size = len(inflater.decompress(rest, PngImagePlugin.MAX_TEXT_CHUNK))
    except zlib.error:
        return 0  # Pillow passes over it.
    return math.inf if inflater.unconsumed_tail else size
