"""Transfer networks tile by tile against the same at once."""

import tempfile

import keras
import numpy as np
import pytest
from conftest import collected, picture, scratch_files

from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer
from tf_style.inference import tiled_network
from tf_style.inference.style_transfer import StyleTransfer, load
from tf_style.inference.tile_buffer import TileBuffer
from tf_style.inference.tiled_network import TiledNetwork
from tf_style.nn.conditional import ConditionalStylizer


@pytest.fixture(scope="module")
def networks(table, plain):
    """Stylizers with statistics of a style, by name."""
    names = load(table, "float32")
    return {
        "table": (names, names.encode_style("wave:0.4,scream:0.6")),
        "plain": (plain, plain.encode_style(picture(40, 30, 1))),
    }


def run(stylize, content, statistics, tile=16, spilled=False, mode="exact"):
    tiled = TiledNetwork(stylize.stylizer, mode)
    height, width, _ = content.shape
    return collected(tiled(TileBuffer.of(content), statistics, 1.0, tile, spilled), height, width)


@pytest.mark.parametrize("name", ["table", "plain"])
@pytest.mark.parametrize("size", [(61, 86), (16, 50)])
def test_as_the_whole(networks, name, size):
    stylize, statistics = networks[name]
    content = picture(*size)
    expected = stylize.transfer(content, statistics)
    assert expected.std() > 0.1
    image = run(stylize, content, statistics, 24, spilled=size[0] == 61)
    np.testing.assert_allclose(image, expected, atol=1e-4)


@pytest.mark.parametrize("kept", [0, 1000])
@pytest.mark.parametrize("name", ["table", "plain"])
def test_what_is_not_kept_is_computed_again(networks, name, kept, monkeypatch):
    monkeypatch.setattr(tiled_network, "KEPT", kept)
    stylize, statistics = networks[name]
    content = picture(41, 54)
    expected = stylize.transfer(content, statistics)
    np.testing.assert_allclose(run(stylize, content, statistics, 24), expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["exact", "thumbnail"])
def test_grain_is_that_of_the_whole(networks, mode):
    plain, statistics = networks["table"]
    grainy = ConditionalStylizer(**plain.stylizer.arguments | {"grain": 0.1})
    grainy.set_weights(plain.stylizer.get_weights())
    stylize, content = StyleTransfer(grainy), picture(61, 86)
    expected = stylize.transfer(content, statistics)
    assert np.abs(plain.transfer(content, statistics) - expected).max() > 0.05
    image = run(stylize, content, statistics, 24, mode=mode)
    # A copy as large as the picture has the same noise, and its moments.
    np.testing.assert_allclose(image, expected, atol=1e-4)


def test_bfloat16(table):
    stylize = load(table, "bfloat16")
    content, statistics = picture(41, 54), stylize.encode_style("night")
    image = run(stylize, content, statistics, 24, True)
    np.testing.assert_allclose(image, stylize.transfer(content, statistics), atol=0.05)


def test_what_is_kept(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stylize, statistics = networks["table"]
    most, content = 0, picture(40, 60)

    class Watched(TileBuffer):
        """Looks at the scratch files whenever the photo is read."""

        def read(self, box):
            nonlocal most
            most = max(most, sum(scratch_files(tmp_path)))
            return super().read(box)

    photo = Watched.of(content)
    tiled = TiledNetwork(stylize.stylizer)
    for _ in tiled(photo, statistics, 1.0, 24, True):
        most = max(most, sum(scratch_files(tmp_path)))
    assert 0 < most <= tiled.scratch_bytes(40, 60)
    assert scratch_files(tmp_path) == []
    assert TiledNetwork(stylize.stylizer, "thumbnail").scratch_bytes(40, 60) == 0


def test_what_is_kept_of_the_published_network():
    """64 channels at half and 128 at a quarter of the sides, or three times the latter: float32."""
    for dtype, each in (("float32", 96), ("bfloat16", 80)):
        tiled = TiledNetwork(ConditionalStylizer(("a",), compute_dtype=dtype))
        assert tiled.scratch_bytes(397, 1000) == 400 * 1000 * each


@pytest.mark.parametrize("name", ["table", "plain"])
def test_a_thumbnail_of_all_pixels_is_exact(networks, name):
    stylize, statistics = networks[name]
    content = picture(41, 54)
    image = run(stylize, content, statistics, 32, mode="thumbnail")
    np.testing.assert_allclose(image, stylize.transfer(content, statistics), atol=1e-4)


def test_a_thumbnail_is_the_nearer_the_larger(monkeypatch):
    keras.utils.set_random_seed(0)
    stylize = StyleTransfer(ConditionalStylizer(("a",), (4, 5, 6), 1, (4, 3)))
    content, statistics = picture(150, 200), stylize.encode_style("a")
    exact, errors = stylize.transfer(content, statistics), []
    for size in (20, 150, 200):
        monkeypatch.setattr(tiled_network, "THUMBNAIL", size)
        image = run(stylize, content, statistics, 64, mode="thumbnail")
        errors.append(np.abs(image - exact).mean())
    assert errors[0] > 2 * errors[1] > 1e-3 and errors[2] < 1e-4


def test_a_thumbnail_of_a_narrow_picture_has_sixteen_pixels(networks, monkeypatch):
    monkeypatch.setattr(tiled_network, "THUMBNAIL", 40)
    stylize, statistics = networks["table"]
    image = run(stylize, picture(20, 300), statistics, 64, mode="thumbnail")
    assert np.isfinite(image).all() and image.std() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "thumbnail"])
@pytest.mark.parametrize("checkpoint, style", [("paintings", "scream"), ("magenta26", "magenta03")])
def test_shipped_models(shipped, checkpoint, style, mode):
    stylize = shipped(checkpoint)
    assert isinstance(stylize, StyleTransfer)
    content = fit_longer(read_image("examples/content/coast.jpg"), 701)
    statistics = stylize.encode_style(style)
    image = run(stylize, content, statistics, 128, mode == "exact", mode)
    np.testing.assert_allclose(image, stylize.transfer(content, statistics), atol=1e-3)
