"""Pictures of any size, as `stylize.py` makes them."""

import tempfile

import numpy as np
import pytest
from conftest import picture, scratch_files

from tf_style.errors import NonFiniteError, UserError
from tf_style.images.color import preserve_luma
from tf_style.images.reading import as_floats
from tf_style.images.writing import to_uint8
from tf_style.inference.style_transfer import StyleTransfer, load
from tf_style.inference.tiled import TiledTransfer
from tf_style.nn.adain import AdaINStylizer

CONTENT, STYLE = to_uint8(picture(75, 90)), picture(40, 30, 1)


@pytest.fixture(scope="module")
def tiled(stylize):
    return TiledTransfer(stylize)


def assert_same(pixels, image):
    """In 8 bits, but for a rounding the other way."""
    assert pixels.dtype == np.uint8
    assert np.abs(np.int32(pixels) - to_uint8(image)).max() <= 1


def untiled(stylize, content, statistics, alpha=1.0, passes=1):
    image = as_floats(content)
    for _ in range(passes):
        image = stylize.transfer(image, statistics, alpha)
    return image


@pytest.mark.parametrize("passes, alpha", [(1, 1.0), (2, 0.6), (4, 1.0)])
def test_passes_and_alpha(tiled, stylize, passes, alpha):
    statistics = stylize.encode_style(STYLE)
    options = {"tile": 32, "spilled": True, "passes": passes}
    pixels = tiled(CONTENT, statistics, alpha, **options)
    assert_same(pixels, untiled(stylize, CONTENT, statistics, alpha, passes))


@pytest.mark.parametrize("passes", [1, 2])
def test_luma(tiled, stylize, passes):
    statistics = stylize.encode_style(STYLE)
    pixels = tiled(CONTENT, statistics, tile=32, luma=True, passes=passes)
    image = untiled(stylize, CONTENT, statistics, passes=passes)
    assert_same(pixels, preserve_luma(image, as_floats(CONTENT)))


def test_no_seam(tiled, stylize):
    """Where cores meet the result is no further from the whole's than elsewhere."""
    statistics = stylize.encode_style(STYLE)
    pixels = np.int32(tiled(CONTENT, statistics, tile=32))
    whole = np.int32(to_uint8(untiled(stylize, CONTENT, statistics)))
    assert (pixels != whole).mean() < 0.01
    for axis in (0, 1):
        steps, expected = (np.abs(np.diff(x, axis=axis)) for x in (pixels, whole))
        along = (1 - axis, 2)
        np.testing.assert_allclose(steps.mean(along), expected.mean(along), atol=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_and_images(tiled, stylize, dtype):
    content = CONTENT if dtype == "uint8" else picture(75, 90)
    statistics = stylize.encode_style(STYLE)
    before = content.copy()
    assert_same(tiled(content, statistics, tile=32), untiled(stylize, content, statistics))
    assert (content == before).all()


def test_a_predicted_style_is_weakened_by_the_photos_own(plain):
    statistics = plain.encode_style(STYLE)
    pixels = TiledTransfer(plain)(CONTENT, statistics, 0.5, tile=48)
    assert_same(pixels, plain.transfer(CONTENT, statistics, 0.5))
    assert np.abs(np.int32(pixels) - to_uint8(plain.transfer(CONTENT, statistics))).max() > 1


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_pixels_weaken_a_style_of_a_table(table, alpha):
    names = load(table, "float32")
    statistics = names.encode_style("wave")
    pixels = TiledTransfer(names)(CONTENT, statistics, alpha, tile=48)
    assert_same(pixels, names.transfer(CONTENT, statistics, alpha))


def test_a_strength_out_of_range(tiled, stylize):
    with pytest.raises(UserError, match="`alpha` must be between 0 and 1. Received: alpha=1.5"):
        tiled(CONTENT, stylize.encode_style(STYLE), 1.5)


def broken(value):
    """A network that gives one number everywhere."""
    stylizer = AdaINStylizer("vgg16", "relu1_1")
    [layer] = [layer for layer in stylizer.decoder.layers if layer.weights]
    layer.set_weights([np.zeros((3, 3, 64, 3)), np.full(3, value)])
    return StyleTransfer(stylizer)


@pytest.mark.parametrize("value, sentence", [(np.nan, "NaN or infinit"), (0.5, "one flat colour")])
@pytest.mark.parametrize("passes", [1, 2])
def test_no_picture_is_no_result_and_leaves_no_file(value, sentence, passes, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stylize = broken(value)
    statistics = stylize.encode_style(STYLE)
    with pytest.raises(NonFiniteError, match=sentence):
        TiledTransfer(stylize)(CONTENT, statistics, tile=32, spilled=True, passes=passes)
    assert scratch_files(tmp_path) == [] == list(tmp_path.iterdir())


def test_a_flat_photo_may_come_out_flat():
    stylize = broken(0.5)
    flat = np.full((40, 40, 3), 90, "uint8")
    assert (TiledTransfer(stylize)(flat, stylize.encode_style(STYLE), tile=16) == 128).all()


def test_what_is_kept(tiled, plain):
    one = tiled.scratch_bytes(100, 200)
    assert one == 50 * 100 * 128 * 4
    image = 12 * 100 * 200
    kept = [tiled.scratch_bytes(100, 200, passes) for passes in (1, 2, 3, 4)]
    assert kept == [one, one + image, one + 2 * image, one + 2 * image]
    assert tiled.halo == 4 and TiledTransfer(plain).halo == 8
    assert TiledTransfer(plain, "thumbnail").halo > 20
