"""AdaIN tile by tile against AdaIN at once."""

import tempfile

import numpy as np
import pytest
from conftest import collected, picture, scratch_files, write_checkpoint

from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer
from tf_style.inference.style_transfer import load
from tf_style.inference.tile_buffer import TileBuffer
from tf_style.inference.tiled_adain import TiledAdaIN


@pytest.mark.parametrize("size", [(97, 113), (32, 200), (31, 18)])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_as_the_whole(stylize, size, alpha):
    content, statistics = picture(*size), stylize.encode_style(picture(40, 30, 1))
    tiled = TiledAdaIN(stylize.stylizer)
    for spilled in (False, True):
        image = collected(tiled(TileBuffer.of(content), statistics, alpha, 32, spilled), *size)
        expected = stylize.transfer(content, statistics, alpha)
        np.testing.assert_allclose(image, expected, atol=1e-4)


def test_statistics_are_those_of_the_whole(stylize):
    """A picture whose halves differ: with statistics of its own each tile would come out alike."""
    content = np.concatenate([0.1 * picture(64, 64), picture(64, 64, 1)], axis=1)
    statistics = stylize.encode_style(picture(40, 30, 1))
    image = collected(
        TiledAdaIN(stylize.stylizer)(TileBuffer.of(content), statistics, 1.0, 32, False), 64, 128
    )
    half = stylize.transfer(content[:, :64], statistics)
    assert np.abs(image[:, :64] - half).max() > 0.1
    np.testing.assert_allclose(image, stylize.transfer(content, statistics), atol=1e-4)


@pytest.mark.parametrize("options", [{"layer": "relu1_2"}, {"layer": "relu3_1", "pooling": "avg"},
                                     {"layer": "relu2_2", "padding": "zero"},
                                     {"layer": "relu3_2", "skip_layers": ["relu1_2", "relu3_1"]},
                                     {"layer": "relu4_1", "skip_layers": ["relu2_1"]},
                                     {"layer": "relu3_1", "skip_layers": ["relu2_1"],
                                      "grain": 0.1},
                                     {"layer": "relu2_1", "grain": 0.1,
                                      "color_transfer": True}])  # fmt: skip
def test_other_networks(tmp_path, options):
    layer = options.pop("layer")
    stylize = load(write_checkpoint(tmp_path / "model", layer, **options), "float32")
    # Darker to the right: its tiles' colours are not the whole's.
    content = picture(53, 75) * np.linspace(1, 0.2, 75, dtype="float32")[:, None]
    statistics, tiled = stylize.encode_style(picture(40, 30, 1)), TiledAdaIN(stylize.stylizer)
    image = collected(tiled(TileBuffer.of(content), statistics, 0.7, 16, False), 53, 75)
    np.testing.assert_allclose(image, stylize.transfer(content, statistics, 0.7), atol=1e-4)


@pytest.mark.parametrize("precision, itemsize", [("float32", 4), ("bfloat16", 2)])
def test_what_is_kept(tiny, tmp_path, monkeypatch, precision, itemsize):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stylize = load(tiny, precision)
    content, statistics = picture(50, 70), stylize.encode_style(picture(40, 30, 1))
    tiled = TiledAdaIN(stylize.stylizer)
    # relu2_1: 128 channels, every second pixel; of skip layers nothing.
    assert tiled.scratch_bytes(50, 70) == 25 * 35 * 128 * itemsize
    pieces = tiled(TileBuffer.of(content), statistics, 1.0, 32, True)
    first = next(pieces)
    assert scratch_files(tmp_path) == [tiled.scratch_bytes(50, 70)]
    image = collected([first, *pieces], 50, 70)
    expected = stylize.transfer(content, statistics)
    np.testing.assert_allclose(image, expected, atol=1e-4 if itemsize == 4 else 0.05)
    assert scratch_files(tmp_path) == []


@pytest.mark.slow
def test_the_shipped_model(shipped):
    stylize = shipped("adain")
    content = fit_longer(read_image("examples/content/coast.jpg"), 701)[:, :, :]
    statistics = stylize.encode_style(read_image("examples/styles/scream.jpg"))
    height, width, _ = content.shape
    assert height % 8 and width % 8
    tiled = TiledAdaIN(stylize.stylizer)(TileBuffer.of(content), statistics, 1.0, 128, True)
    image = collected(tiled, height, width)
    np.testing.assert_allclose(image, stylize.transfer(content, statistics), atol=1e-3)
