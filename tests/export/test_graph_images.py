"""Pictures as bytes inside a graph: as `read_image` reads them, and refused before they cost."""

import io
import resource
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, picture
from PIL import Image

from tf_style.export.graph_images import checked, decode_picture, encode_picture
from tf_style.images.reading import read_image
from tf_style.images.writing import encode_image, to_uint8

LIMITS = {"max_bytes": 2**20, "max_pixels": 10**6}
RGB = Image.fromarray(to_uint8(picture(21, 33, 1)))


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def decode(data):
    return decode_picture(data, "content_bytes", **LIMITS)


def file_of(image, format="png", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def with_alpha():
    image = RGB.copy()
    image.putalpha(Image.linear_gradient("L").resize(RGB.size))
    return image


def palette():
    image = RGB.quantize(16)
    return file_of(image, transparency=3)


def grey16():
    return file_of(Image.fromarray(np.uint16(picture(21, 33, 2)[..., 0] * 65535)))


FILES = {
    "jpeg": lambda: file_of(RGB, "jpeg", quality=95),
    "jpeg, colours halved": lambda: file_of(RGB, "jpeg", subsampling=2),
    "jpeg, progressive": lambda: file_of(RGB, "jpeg", progressive=True),
    "jpeg, grey": lambda: file_of(RGB.convert("L"), "jpeg"),
    "png": lambda: file_of(RGB),
    "png, grey": lambda: file_of(RGB.convert("L")),
    "png, grey and alpha": lambda: file_of(with_alpha().convert("LA")),
    "png, alpha": lambda: file_of(with_alpha()),
    "png, palette with transparency": palette,
    "png, 1 bit": lambda: file_of(RGB.convert("1")),
    "png, palette of 4 bits": lambda: file_of(RGB.quantize(16)),
    "png, palette of 2 bits": lambda: file_of(RGB.quantize(4)),
    "png, palette": lambda: file_of(RGB.quantize(200)),
    "png, 16 bits grey": grey16,
}


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_is_what_read_image_makes_of_it(kind):
    data = FILES[kind]()
    found = decode(data)
    assert found.dtype == tf.float32
    # Pillow lays transparency over white in whole levels.
    tolerance = 0.51 / 255 if "alpha" in kind else 0
    np.testing.assert_allclose(found, read_image(io.BytesIO(data)), rtol=0, atol=tolerance)


def test_16_bits_of_colour_keep_them():
    """Pillow would read 8."""
    values = np.arange(16 * 17 * 3, dtype="uint16").reshape(16, 17, 3) * 79
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 17, 16, 16, 2, 0, 0, 0)
    found = decode(png(header, zlib.compress(rows)))
    np.testing.assert_allclose(found, values.astype("float32") / 65535, atol=1e-7)


def png(header, data=b""):
    chunks = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(name + content))
        chunks += struct.pack(">I", len(content)) + name + content + crc
    return chunks


def jpeg_of_size(width, height):
    """A whole JPEG whose header says another size."""
    data = file_of(RGB, "jpeg")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def bomb(width, height):
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(9999)))


FAULTS = {
    "empty": (b"", "`content_bytes` is empty"),
    "text": (b"to be or not to be, that is the question", "neither a JPEG nor a PNG"),
    "gif": (file_of(RGB, "gif"), "neither a JPEG nor a PNG"),
    "webp": (file_of(RGB, "webp"), "neither a JPEG nor a PNG"),
    "bmp": (file_of(RGB, "bmp"), "neither a JPEG nor a PNG"),
    "cut jpeg": (file_of(RGB, "jpeg")[:300], "Invalid JPEG data"),
    "cut jpeg header": (file_of(RGB, "jpeg")[:25], "Invalid JPEG data"),
    "cut png": (file_of(RGB)[:150], "Invalid PNG data"),
    "cut png header": (file_of(RGB)[:20], "neither a JPEG nor a PNG"),
    "1x1": (file_of(RGB.resize((1, 1))), "must be 16 px or more a side .* height and width:.*1 1"),
    "15 rows": (file_of(RGB.resize((40, 15)), "jpeg"), "height and width:.*15 40"),
    "20000x20000 png": (bomb(20000, 20000), "1000000 pixels at most.*20000 20000"),
    "20000x20000 jpeg": (jpeg_of_size(20000, 20000), "1000000 pixels at most.*20000 20000"),
    "2**32-1 png": (bomb(2**32 - 1, 2**32 - 1), "1000000 pixels at most"),
    "many bytes": (file_of(RGB, "jpeg") + bytes(2**20), "has over 1048576 bytes"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_wrong_is_said_and_the_next_picture_decoded(kind):
    data, message = FAULTS[kind]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        decode(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert decode(FILES["jpeg"]()).shape == (21, 33, 3)


@pytest.mark.slow
def test_changed_bytes_are_decoded_or_refused():
    """Nothing else comes of them: the process lives, and a fault has its sentence."""
    rng, outcomes = np.random.default_rng(0), {True: 0, False: 0}
    files = [np.frombuffer(make(), "uint8") for make in FILES.values()]
    for k in range(1500):
        data = files[k % len(files)].copy()
        at = rng.integers(0, len(data), rng.integers(1, 8))
        data[at] = rng.integers(0, 256, len(at))
        if k % 5 == 0:
            data = data[: rng.integers(0, len(data))]
        try:
            image = decode(data.tobytes())
            assert np.isfinite(image).all() and min(image.shape[:2]) >= 16
        except tf.errors.InvalidArgumentError as error:
            assert "content_bytes" in error.message or "Invalid" in error.message, error.message
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > 50, outcomes


def test_a_jpeg_of_it_is_near():
    image = read_image(ROOT / "examples/content/tiger.jpg")[:120, :160]
    data = encode_picture(tf.constant(image), 95).numpy()
    found = read_image(io.BytesIO(data))
    assert np.sqrt(np.mean((found - image) ** 2)) < 0.015
    ours = read_image(io.BytesIO(encode_image(image, "jpg", quality=95)))
    assert np.abs(found - ours).max() <= 4 / 255


def test_a_condition_is_all_of_its_values():
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?s)Must be small.*7"):
        checked(tf.zeros(2), tf.constant([True, False]), "Must be small:", 7)
