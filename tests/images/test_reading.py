import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from profiles import LINEAR_GRAY, LINEAR_RGB

from tf_style.errors import UserError
from tf_style.images import reading, writing

RNG = np.random.default_rng(7)
# Smooth, so that JPEG keeps it, and without any symmetry, so that no turn passes unnoticed.
Y, X = np.mgrid[0:24, 0:40]
PICTURE = np.stack([40 + 5 * X, 20 + 8 * Y, 30 + 2 * X + 3 * Y], -1).clip(0, 255).astype(np.uint8)
FLOAT = PICTURE.astype(np.float32) / 255
DEEP = PICTURE[..., 0].astype(np.uint16) * 257


def srgb(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *extra, late=()):
    """An 8-bit RGB PNG with additional chunks; black."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(min((3 * width + 1) * height, 10_000)))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), *late, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


def tiff(pixels, form=1, photometric=1, order="<", bits=0, **tags):
    """A TIFF of any kind of values, behind its header in one strip; more tags as in t254=1."""
    (height, width), channels = pixels.shape[:2], pixels[0, 0].size
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    found = {256: width, 257: height, 258: [bits or 8 * pixels.itemsize] * channels, 259: 1,
             262: photometric, 273: 8, 277: channels, 278: height, 279: len(data),
             339: [form] * channels}  # fmt: skip
    found |= {int(name[1:]): value for name, value in tags.items()}
    start, entries, behind = 8 + len(data), b"", b""
    end = start + 2 + 12 * len(found) + 4
    for tag, value in sorted(found.items()):
        values, (code, kind) = np.ravel(value), ("H", 3) if isinstance(value, list) else ("I", 4)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            packed, behind = struct.pack(order + "I", end + len(behind)), behind + packed
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", start)
    return head + data + struct.pack(order + "H", len(found)) + entries + bytes(4) + behind


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def save(tmp_path):
    """Saves a uint8 array or a Pillow image (or raw bytes) under a name in tmp_path."""

    def save(name, content=PICTURE, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            image = Image.fromarray(content) if isinstance(content, np.ndarray) else content
            image.save(path, **options)
        return path

    return save


def oriented(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, tolerance",
    [
        ("a.png", {}, 0),
        ("a.bmp", {}, 0),
        ("a.ppm", {}, 0),
        ("a.tif", {}, 0),
        ("b.tif", {"compression": "tiff_lzw"}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 95, "subsampling": 0}, 6),
        ("b.jpg", {"quality": 95, "progressive": True}, 8),
    ],
)
def test_formats(save, name, options, tolerance):
    image = reading.read_image(save(name, **options))
    assert image.dtype == np.float32 and image.shape == (24, 40, 3)
    assert np.abs(image - FLOAT).max() <= tolerance / 255 + 1e-6


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize(
    "tag, turned",
    [
        (1, FLOAT),
        (2, FLOAT[:, ::-1]),
        (3, FLOAT[::-1, ::-1]),
        (4, FLOAT[::-1]),
        (5, FLOAT.swapaxes(0, 1)),
        (6, np.rot90(FLOAT, -1)),
        (7, FLOAT[::-1, ::-1].swapaxes(0, 1)),
        (8, np.rot90(FLOAT)),
        (9, FLOAT),
    ],
)
def test_exif_orientation(save, suffix, tag, turned):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(f"a.{suffix}", exif=oriented(tag), **options)
    image, info = reading.read_image(path), reading.probe(path)
    assert image.shape == turned.shape == (info.height, info.width, 3)
    assert np.abs(image - turned).max() < (0.1 if suffix == "jpg" else 1e-6)
    assert info.plain == (suffix in ("jpg", "png") and tag in (1, 9))


def test_exif_behind_the_pixels_of_a_png(save):
    exif = oriented(6).tobytes().removeprefix(b"Exif\0\0")
    info = reading.probe(save("a.png", png(4, 2, late=[(b"eXIf", exif)])))
    assert (info.width, info.height, info.plain) == (2, 4, False)
    info = reading.probe(save("b.png", png(4, 2, late=[(b"tEXt", b"date\0today")])))
    assert (info.width, info.height, info.plain) == (4, 2, True)


@pytest.mark.parametrize("exif", [b"MM\0*\0\0", b"rubbish, and more of it"])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_broken_exif_leaves_the_picture(save, suffix, exif):
    path = save(f"a.{suffix}", exif=b"Exif\0\0" + exif)
    assert reading.read_image(path).shape == (24, 40, 3)
    assert reading.probe(path).plain


def test_gray_modes(save):
    gray = PICTURE[..., 1]
    expected = np.repeat(gray[..., None], 3, -1) / 255
    assert np.abs(reading.read_image(save("l.png", gray)) - expected).max() < 1e-6
    bilevel = Image.fromarray(gray > 99)
    assert np.array_equal(reading.read_image(save("1.png", bilevel))[..., 2], gray > 99)


@pytest.mark.parametrize(
    "name, values, expected",
    [
        ("a.png", np.arange(0, 60000, 1000, np.uint16), np.arange(0, 60000, 1000) / 65535),
        # One part in 65535 apart: lost if anything passes through 8 bits.
        ("dark.png", np.arange(60, dtype=np.uint16), np.arange(60) / 65535),
        ("a.tif", np.arange(0, 60000, 1000, np.uint16), np.arange(0, 60000, 1000) / 65535),
        ("i.tif", np.arange(0, 60000, 1000, np.int32), np.arange(0, 60000, 1000) / 65535),
        ("dark.tif", np.arange(60, dtype=np.int32), np.arange(60) / 65535),
        ("big.tif", np.arange(60, dtype=np.int32) << 25, (np.arange(60) << 25) / (2**31 - 1)),
        ("f.tif", np.linspace(-0.1, 1, 60, dtype=np.float32), np.linspace(-0.1, 1, 60).clip(0)),
        ("f255.tif", np.linspace(0, 255, 60, dtype=np.float32), np.linspace(0, 1, 60)),
    ],
)
def test_deep_gray(save, name, values, expected):
    image = reading.read_image(save(name, values.reshape(6, 10)))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[..., 0].ravel(), expected, atol=1e-7)
    assert np.array_equal(image[..., 0], image[..., 2])


RAMP = np.linspace(0, 1, 60).reshape(6, 10)


@pytest.mark.parametrize(
    "data, expected",
    [
        (tiff(np.uint16(65535 * (1 - RAMP)), photometric=0), RAMP),
        (tiff(np.float32(1 - RAMP), form=3, photometric=0), RAMP),
        (tiff(np.uint32(RAMP * (2**32 - 1))), RAMP),
        (tiff(np.uint32(RAMP * 65535)), RAMP),
        (tiff(np.int16(RAMP * 32767), form=2), RAMP),
        (tiff(np.int16(RAMP * 32767 - 9000), form=2), RAMP - 9000 / 32767),
        (tiff(np.uint16(RAMP * 65535), order=">"), RAMP),
        (tiff(np.float32(1.02 * RAMP), form=3), 1.02 * RAMP),
        (tiff(np.float32(5 * RAMP), form=3, order=">"), 5 * RAMP),
        (tiff(np.float32(256 * RAMP), form=3), 256 * RAMP / 255),
        (tiff(np.float32(60000 * RAMP), form=3), 60000 * RAMP / 65535),
        (tiff(np.float32(2.0**32 * RAMP), form=3), RAMP),
    ],
    ids=["white is zero", "float white is zero", "uint32", "uint32 of 16 bits", "int16",
         "negative", "big-endian", "lights", "bright lights", "8 bits", "16 bits", "32 bits"],
)  # fmt: skip
def test_deep_gray_of_a_tiff_by_its_tags(data, expected):
    image = reading.read_image(io.BytesIO(data))
    np.testing.assert_allclose(image[..., 1], expected.clip(0, 1), atol=4e-5)


def test_gray_of_12_bits():
    values = np.arange(60) * 69
    packed = np.array([[a >> 4, (a & 15) << 4 | b >> 8, b & 255]
                       for a, b in values.reshape(-1, 2)], np.uint8)  # fmt: skip
    data = bytearray(tiff(np.zeros((6, 10), np.uint16), bits=12))
    data[8:98] = packed.tobytes()
    image = reading.read_image(io.BytesIO(data))
    np.testing.assert_allclose(image[..., 0].ravel(), values / 4095, atol=1e-6)


def test_deep_color_keeps_the_high_byte(save):
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0" + struct.pack(">3H", 0x1280, 0x8000, 0xFFFF))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    path = save("a.png", b"\x89PNG\r\n\x1a\n" + chunks)
    np.testing.assert_allclose(
        reading.read_image(path)[0, 0], np.array([0x12, 0x80, 0xFF]) / 255, atol=1e-7
    )
    assert not reading.probe(path).plain


def palette(transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


@pytest.mark.parametrize(
    "image, expected",
    [
        (palette(None), [(255, 0, 0), (0, 0, 255)]),
        (palette(1), [(255, 0, 0), (0, 255, 0)]),
        (palette(b"\xff\x00"), [(255, 0, 0), (0, 255, 0)]),
        (palette(b"\x00\x80"), [(0, 255, 0), (0, 127, 128)]),
        (np.array([[[9, 8, 7, 0], [200, 100, 0, 255]]], np.uint8), [(0, 255, 0), (200, 100, 0)]),
        (np.array([[[200, 100, 0, 128]]], np.uint8), [(100, 177, 0)]),
        (Image.merge("LA", [Image.new("L", (1, 1), 80), Image.new("L", (1, 1), 0)]), [(0, 255, 0)]),
    ],
    ids=["P", "P index", "P bytes", "P half", "RGBA", "RGBA half", "LA"],
)
@pytest.mark.parametrize("background", ["lime", "#00ff00", "#00ff0080"])
def test_transparency(save, image, expected, background):
    path = save("a.png", image)
    pixels = reading.read_image(path, background=background)[0] * 255
    assert np.abs(pixels - expected).max() <= 1.01
    assert not reading.probe(path).plain


def test_transparent_color_of_an_rgb_png(save):
    path = save("a.png", PICTURE, transparency=tuple(map(int, PICTURE[5, 5])))
    image = reading.read_image(path)
    assert image[5, 5].tolist() == [1, 1, 1]
    np.testing.assert_allclose(image[6, 6], FLOAT[6, 6], atol=1e-6)
    assert not reading.probe(path).plain


@pytest.mark.parametrize("background", ["no-such-colour", "#12", "", None, 3])
def test_bad_background(save, background):
    with pytest.raises(UserError, match=r"`background` must be a colour name.*Received"):
        reading.read_image(save("a.png"), background=background)


def test_cmyk(save):
    # Pillow writes CMYK inverted with an Adobe marker, as Photoshop does.
    path = save("a.jpg", Image.fromarray(PICTURE).convert("CMYK"), quality=95, subsampling=0)
    assert b"Adobe" in path.read_bytes()
    assert np.abs(reading.read_image(path) - FLOAT).max() < 8 / 255
    info = reading.probe(path)
    assert (info.mode, info.plain) == ("CMYK", False)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_profile_is_converted(save, suffix):
    path = save(
        f"a.{suffix}", icc_profile=LINEAR_RGB, **({"quality": 98} if suffix == "jpg" else {})
    )
    assert not reading.probe(path).plain
    without = reading.read_image(
        save(f"b.{suffix}", **({"quality": 98} if suffix == "jpg" else {}))
    )
    assert np.abs(reading.read_image(path) - srgb(without)).max() < 3 / 255


def test_profile_and_transparency(save):
    rgba = np.dstack([PICTURE, np.full((24, 40), 255, np.uint8)])
    rgba[:12, :, 3] = 0
    image = reading.read_image(save("a.png", rgba, icc_profile=LINEAR_RGB), background="#808080")
    np.testing.assert_allclose(image[:12], 128 / 255, atol=1e-6)
    assert np.abs(image[12:] - srgb(FLOAT[12:])).max() < 3 / 255


def test_gray_profile(save):
    path = save("a.png", PICTURE[..., 0], icc_profile=LINEAR_GRAY)
    assert np.abs(reading.read_image(path)[..., 1] - srgb(FLOAT[..., 0])).max() < 3 / 255
    assert not reading.probe(path).plain


def test_srgb_profile_changes_nothing(save):
    path = save("a.png", icc_profile=SRGB)
    np.testing.assert_allclose(reading.read_image(path), FLOAT, atol=1e-6)
    assert reading.probe(path).plain


@pytest.mark.parametrize("profile", [b"no profile", LINEAR_RGB[:150], LINEAR_GRAY])
def test_unusable_profile_is_ignored_with_a_warning(save, profile):
    path = save("a.png", icc_profile=profile)
    with pytest.warns(UserWarning, match=r"a\.png` has a colour profile that cannot be used"):
        image = reading.read_image(path)
    np.testing.assert_allclose(image, FLOAT, atol=1e-6)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_animation_gives_its_first_frame_and_one_warning(save, suffix):
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue", "lime")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)
    with pytest.warns(UserWarning, match=rf"a\.{suffix}` has several frames") as caught:
        image = reading.read_image(path)
    assert len(caught) == 1
    assert reading.verify(path) == reading.probe(path)  # and says nothing
    assert np.array_equal(image, np.broadcast_to(np.float32([1, 0, 0]), (6, 8, 3)))
    assert not reading.probe(path).plain


def test_preview_in_a_jpeg_is_no_animation(save):
    other = Image.new("RGB", (40, 24), "red")
    path = save("a.jpg", format="MPO", save_all=True, append_images=[other])
    assert np.abs(reading.read_image(path) - FLOAT).max() < 0.1
    assert reading.probe(path).format == "MPO"


def test_content_and_not_suffix_decides(save):
    path = save("a.jpg", format="PNG")
    np.testing.assert_allclose(reading.read_image(path), FLOAT, atol=1e-6)
    assert reading.probe(path).format == "PNG"
    np.testing.assert_allclose(
        reading.read_image(path.rename(path.with_name("b"))), FLOAT, atol=1e-6
    )


def test_binary_file(save):
    data = save("a.png").read_bytes()
    np.testing.assert_allclose(reading.read_image(io.BytesIO(data)), FLOAT, atol=1e-6)
    with open(save("b.png"), "rb") as file:
        assert reading.probe(file) == reading.ImageInfo(40, 24, "PNG", "RGB", True)
        assert not file.closed
    with pytest.raises(UserError, match="`<bytes>` is empty"):
        reading.read_image(io.BytesIO())


def box(*brands):
    """The beginning of a file of the family of HEIC, AVIF and MP4."""
    names = b"".join((brands[0], bytes(4), *brands[1:]))
    return struct.pack(">I", 8 + len(names)) + b"ftyp" + names + bytes(200)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"Just some words.\n", "not an image.*looks like text.*JPEG, PNG"),
        ("Grüße".encode(), "not an image.*looks like text"),
        (b"\n<!DOCTYPE html><html>404</html>", "not an image.*looks like an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
        (b"%PDF-1.7", "looks like a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "looks like text"),
        (box(b"heic"), "HEIC photo.*export"),
        (box(b"mif1", b"mif1", b"heic"), "HEIC photo.*export"),
        (box(b"mif1", b"miaf", b"avif"), "is truncated or damaged"),
        (box(b"crx ", b"isom"), "looks like a raw photo"),
        (box(b"isom", b"mp41"), "looks like a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "looks like a JPEG XL picture.*export"),
        (b"\xff\x0a" + bytes(99), "looks like a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "looks like a JPEG 2000 picture.*export"),
        (b"\xff\x4f\xff\x51" + bytes(99), "looks like a JPEG 2000 picture"),
        (b"\x76\x2f\x31\x01" + bytes(99), "looks like an OpenEXR picture"),
        (b"FUJIFILMCCD-RAW 0201", "looks like a raw photo"),
        (tiff(DEEP, t254=1, t330=9), "looks like a raw photo"),
        (tiff(DEEP, t50706=1), "looks like a raw photo"),
        (tiff(DEEP, photometric=32803), "looks like a raw photo"),
        (tiff(DEEP, order=">", t254=1, t330=9), "looks like a raw photo"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "looks like a raw photo"),
        (tiff(FLOAT, form=3, photometric=2), "is a TIFF of 3 x 32-bit float values, which cannot"),
        (tiff(DEEP, t259=50002), "1 x 16-bit values in the compression 50002, which cannot be"),
        (b"\x00\x01\x02\x03" * 9, r"looks like data that begins with b'\\x00"),
        (b"\x89PNG\r\n\x1a\n", "is truncated or damaged"),
        (b"\xff\xd8\xff\xe0", "is truncated or damaged"),
        (b"GIF89a\x01", "is truncated or damaged"),
        (b"BM" + bytes(30), "is truncated or damaged"),
        (b"II*\0\xff\xff\xff\xff", "is truncated or damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "is truncated or damaged"),
        (b"P6 10 nonsense", "is truncated or damaged"),
    ],
)
@pytest.mark.parametrize("read", [reading.probe, reading.verify, reading.read_image])
def test_what_is_not_an_image(save, content, message, read):
    with pytest.raises(UserError, match=rf"(?s)a\.jpg`.*{message}"):
        read(save("a.jpg", content))


@pytest.mark.parametrize("read", [reading.probe, reading.verify, reading.read_image])
def test_missing_folder_and_permission(tmp_path, read, save):
    with pytest.raises(UserError, match=r"none\.jpg` does not exist"):
        read(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="is a folder where one image file is expected"):
        read(tmp_path)
    path = save("a.png")
    path.chmod(0)
    if not os.access(path, os.R_OK):  # root may read everything
        with pytest.raises(UserError, match=r"a\.png` may not be read"):
            read(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "ppm"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("read", [reading.verify, reading.read_image])
def test_truncated_file(save, suffix, kept, read):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = save(f"whole.{suffix}", noise).read_bytes()
    path = save(f"a.{suffix}", data[: int(kept * len(data))])
    with pytest.raises(UserError, match=rf"a\.{suffix}` is truncated or damaged"):
        read(path)


@pytest.mark.parametrize(
    "mode, options",
    [
        ("RGB", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": 0, "restart_marker_rows": 1}),
        ("RGB", {"exif": oriented(6)}),
        ("L", {}),
        ("CMYK", {}),
    ],
)
def test_verify_misses_no_byte_of_a_jpeg(save, mode, options):
    data = save("whole.jpg", Image.fromarray(PICTURE).convert(mode), **options).read_bytes()
    assert reading.verify(io.BytesIO(data)) == reading.probe(io.BytesIO(data))
    for kept in range(len(data)):
        with pytest.raises(UserError, match="is truncated or damaged|is empty|looks like"):
            reading.verify(io.BytesIO(data[:kept]))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "ppm"])
def test_verify_decides_as_read_image_does(save, suffix):
    data = save(f"whole.{suffix}").read_bytes()
    rng, verdicts = np.random.default_rng(2), set()
    for i in range(100):
        broken = bytearray(data)
        broken[rng.integers(len(data) if i % 2 else 60)] ^= 1 << rng.integers(8)
        outcomes = []
        for read in (reading.verify, reading.read_image):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read(io.BytesIO(broken), max_pixels=10_000_000)
                    outcomes.append("")
                except UserError as error:
                    outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
        verdicts.add(bool(outcomes[0]))
    assert verdicts == {False, True}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_probe_reads_the_header_only(save, suffix):
    data = save(f"whole.{suffix}", RNG.integers(0, 256, (64, 50, 3), dtype=np.uint8)).read_bytes()
    info = reading.probe(save("a", data[: len(data) // 2]))
    assert (info.width, info.height, info.plain) == (50, 64, True)
    file = io.BytesIO(data)
    reading.probe(file)
    assert file.tell() < len(data) // 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "ppm"])
def test_flipped_bytes_never_raise_anything_else(save, suffix):
    data = save(f"whole.{suffix}").read_bytes()
    rng, faults = np.random.default_rng(1), 0
    for _ in range(60):
        broken = bytearray(data)
        broken[rng.integers(len(data) // 2)] ^= 0xFF  # one fault in the headers or pixels
        broken[rng.integers(4, min(len(data), 100))] = rng.integers(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = reading.read_image(io.BytesIO(broken), max_pixels=10_000_000)
            except UserError:
                faults += 1
            else:
                assert image.shape[-1] == 3 and 0 <= image.min() <= image.max() <= 1
    assert faults


@pytest.mark.parametrize("read", [reading.probe, reading.verify, reading.read_image])
def test_bomb_is_refused_by_its_header(save, read):
    before = Image.MAX_IMAGE_PIXELS
    for side, limit in [(50_000, reading.MAX_PIXELS), (12_000, 1_000_000)]:
        path = save("a.png", png(side, side))
        with pytest.raises(UserError, match=rf"{side}x{side}.*limit is {limit}.*`max_pixels`"):
            read(path, max_pixels=limit)
    assert Image.MAX_IMAGE_PIXELS == before


def test_max_pixels_is_the_only_limit(save, monkeypatch):
    # Not even Pillow's own, lower one speaks: here it would warn and, at twice its value, raise.
    path = save("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert reading.read_image(path, max_pixels=24 * 40).shape == (24, 40, 3)
    with pytest.raises(UserError, match=r"40x24, 960 pixels; the limit is 959"):
        reading.read_image(path, max_pixels=959)
    assert reading.probe(save("b.png", png(20_000, 20_000)), max_pixels=10**9).width == 20_000


BULK = zlib.compress(bytes(2 * PngImagePlugin.MAX_TEXT_CHUNK))


@pytest.mark.parametrize(
    "chunks, what",
    [
        ([(b"zTXt", b"Comment\0\0" + BULK)], "text"),
        ([(b"iTXt", b"Comment\0\1\0en\0\0" + BULK)], "text"),
        ([(b"tEXt", b"Comment\0" + bytes(2_000_000))] * 2, "text"),
        ([(b"iCCP", b"printer\0\0" + BULK)], "colour profile"),
    ],
    ids=["zTXt", "iTXt", "tEXt", "iCCP"],
)
@pytest.mark.parametrize("where", ["extra", "late"])
def test_bulk_of_a_png_is_left_out(save, monkeypatch, chunks, what, where):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 3_000_000)
    exif = (b"eXIf", oriented(6).tobytes().removeprefix(b"Exif\0\0"))
    chunks = [*chunks, exif]
    path = save("a.png", png(4, 2, *chunks) if where == "extra" else png(4, 2, late=chunks))
    with pytest.warns(UserWarning, match=rf"a\.png` has .*oversized {what}, which is left out"):
        image = reading.read_image(path)
    assert image.shape == (4, 2, 3) and not image.any()
    assert reading.verify(path) == reading.probe(path)  # and says nothing


def test_text_that_is_not_too_long_is_no_matter(save):
    texts = [(b"tEXt", b"Comment\0" + bytes(2_000_000)), (b"zTXt", b"Comment\0\0rubbish"),
             (b"iTXt", b"Comment\0\0\0\0\0" + bytes(10)), (b"zTXt", b"")]  # fmt: skip
    assert reading.read_image(save("a.png", png(4, 2, *texts))).shape == (2, 4, 3)


def test_a_tiff_of_a_thumbnail_alone_is_a_picture(save):
    assert reading.read_image(save("a.tif", tiff(DEEP, t254=1))).shape == (24, 40, 3)


@pytest.mark.parametrize("read", [reading.verify, reading.read_image])
def test_nan_in_a_float_tiff(save, read):
    with pytest.raises(UserError, match="NaN or infinity among its values"):
        read(save("a.tif", np.full((2, 2), np.nan, np.float32)))


# -- the header against the decoder of TensorFlow --------------------------------------------------


def test_plain_files_are_the_same_to_tensorflow(save):
    import tensorflow as tf

    photo = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    photo = np.asarray(Image.fromarray(photo).resize((120, 91), Image.Resampling.BICUBIC))
    paths = [
        save("420.jpg", photo, quality=75),
        save("444.jpg", photo, quality=95, subsampling=0),
        save("progressive.jpg", photo, progressive=True),
        save("gray.jpg", photo[..., 0]),
        save("srgb.jpg", photo, icc_profile=SRGB),
        save("upright.jpg", photo, exif=oriented(1)),
        save("rgb.png", photo),
        save("gray.png", photo[..., 0]),
        save("srgb.png", photo, icc_profile=SRGB),
        save("misnamed.jpg", photo, format="PNG"),
        save("gamma.png", png(4, 2, (b"gAMA", struct.pack(">I", 100_000)))),
    ]
    for path in paths:
        info, data = reading.probe(path), path.read_bytes()
        assert info.plain, path
        if info.format == "JPEG":
            theirs = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        else:
            theirs = tf.io.decode_png(data, channels=3)
        theirs = theirs.numpy() / 255
        assert np.abs(theirs - reading.read_image(path)).max() <= 2 / 255, path


def test_pixels_are_what_becomes_floats(save, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 9, 3), np.uint8)
    path = tmp_path / "a.png"
    writing.write_image(path, pixels)
    assert reading.read_pixels(path).dtype == np.uint8
    assert (reading.read_pixels(path) == pixels).all()
    assert (reading.read_image(path) == pixels / np.float32(255)).all()
    # Deep grey would lose its precision.
    deep = save("deep.png", Image.fromarray(np.full((4, 5), 1000, np.uint16)))
    assert reading.read_pixels(deep).dtype == np.float32
    assert (reading.read_pixels(deep) == reading.read_image(deep)).all()
