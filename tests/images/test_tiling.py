"""Tiles of a picture."""

import numpy as np
import pytest
from conftest import picture

from tf_style.images.tiling import Box, Moments, reach, tile_grid
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.layers import ChannelStatistics
from tf_style.nn.transfer_network import TransferNetwork

# -- geometry --------------------------------------------------------------------------------------

GRIDS = [
    (h, w, tile, halo, multiple)
    for h, w in [(1, 1), (17, 300), (128, 64), (203, 131)]
    for tile in (8, 24, 100, 400)
    for halo in (0, 3, 32)
    for multiple in (1, 4, 8)
]


@pytest.mark.parametrize("height, width, tile, halo, multiple", GRIDS)
def test_a_grid(height, width, tile, halo, multiple):
    tiles = tile_grid(height, width, tile, halo, multiple)
    times = np.zeros((height, width), int)
    most = -(-tile // multiple) * multiple
    wide = -(-halo // multiple) * multiple
    for one in tiles:
        core, window = one.core, one.window
        assert core.height > 0 and core.width > 0
        times[core.slices] += 1
        inside = times[window.slices][one.inner.slices]
        assert inside.shape == (core.height, core.width) == times[core.slices].shape
        # Begins and ends on multiples or at the picture's edge, with a halo all round.
        for side, sides in ((height, ("top", "bottom")), (width, ("left", "right"))):
            (begin, end), (first, last) = (
                [getattr(box, name) for name in sides] for box in (core, window)
            )
            assert all(at % multiple == 0 or at == side for at in (begin, end, first, last))
            assert first == 0 or begin - first >= wide
            assert last == side or last - end >= wide
            assert last - first <= most + 2 * wide
    assert (times == 1).all()
    if height % multiple == width % multiple == 0:
        assert len({(one.window.height, one.window.width) for one in tiles}) == 1


def test_a_picture_of_one_tile_has_no_halo():
    [tile] = tile_grid(100, 90, tile=128, halo=32, multiple=8)
    assert tile.core == tile.window == Box(0, 0, 100, 90)


def test_few_tiles():
    # Nine windows of 960 px, of which those at the edges keep 32 px more.
    tiles = tile_grid(8192, 8192, 1024, 32, 8)
    assert len(tiles) == 64 and {tile.window.width for tile in tiles} == {1080}


@pytest.mark.parametrize("wrong", [(0, 9, 8), (9, 9, 0), (9, 9, 8, -1), (9, 9, 8, 0, 0)])
def test_no_grid(wrong):
    with pytest.raises(ValueError, match="must be 1 or more, `halo` 0 or more. Received: "):
        tile_grid(*wrong)


def test_boxes():
    box = Box(16, 24, 48, 40)
    assert (box // 8) * 8 == box
    assert box.within(Box(8, 8, 100, 100)) == Box(8, 16, 40, 32)
    assert box.grown(20, 60, 42) == Box(0, 4, 60, 42)
    x = np.random.default_rng(0).random((2, 60, 60, 3))
    assert (box.of(x) == x[:, 16:48, 24:40]).all()


def spoilt(network, image):
    """Rows of the output that a window's left edge changes, half the picture being left out."""
    whole, half = (
        np.asarray(network(x))
        for x in (image, np.ascontiguousarray(image[:, :, image.shape[2] // 2 :]))
    )
    whole = whole[:, :, whole.shape[2] // 2 :]
    # Not 0: some processors round a convolution by the picture's size.
    changed = (np.abs(whole - half) / np.abs(whole)).max(axis=(0, 1, 3)) > 1e-6
    return int(changed.nonzero()[0].max()) + 1


def test_reach_is_what_a_window_spoils():
    # All positive and averaged, so that no change is lost on its way.
    stylizer, rng = AdaINStylizer("vgg16", pooling="avg"), np.random.default_rng(0)
    for part in (stylizer.encoder, stylizer.decoder):
        part.set_weights([rng.uniform(0, 0.02, w.shape) for w in part.get_weights()])
    encoder, decoder = stylizer.encoder, stylizer.decoder
    bright = 1 + picture(64, 256)[None]
    assert spoilt(lambda x: encoder(x)["relu4_1"], bright) == reach(encoder.layers) == 4
    features = rng.random((1, 4, 32, 512), "float32")
    assert spoilt(lambda x: decoder({"relu4_1": x}), features) == reach(decoder.layers) == 26


def test_reach_of_a_network_with_strides():
    # 4, (4 + 1) / 2, (3 + 1) / 2, 10 more, times 2 and 1, times 2 and 1, 4.
    assert reach(TransferNetwork().layers) == 55


# -- statistics ------------------------------------------------------------------------------------


def features(mean, spread, shape=(1, 37, 53, 5)):
    return np.float32(mean + spread * np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize("mean, spread", [(0, 1), (1000, 1), (0.5, 1e-4), (3, 0)])
@pytest.mark.parametrize("tile", [7, 16, 100])
def test_moments_of_tiles_are_those_of_the_whole(mean, spread, tile):
    x = features(mean, spread)
    found = Moments()
    for part in tile_grid(37, 53, tile):
        found = found.merged(Moments.of(part.core.of(x)))
    assert found.count == 37 * 53
    exact = np.float64(x)
    np.testing.assert_allclose(found.mean, exact.mean((0, 1, 2)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.squares / found.count, exact.var((0, 1, 2)), 1e-4, 1e-9)
    # EPSILON inside the root, and the layout that the layers take.
    statistics = found.statistics()
    assert statistics.shape == (1, 2, 5) and statistics.dtype == np.float32
    np.testing.assert_allclose(statistics, ChannelStatistics()(x), rtol=2e-5, atol=1e-6)


def test_moments_in_any_order():
    parts = [Moments.of(features(k, k, (1, 3, k + 1, 2))) for k in range(5)]
    one, other = Moments(), Moments()
    for part, last in zip(parts, parts[::-1], strict=True):
        one, other = one.merged(part), last.merged(other)
    np.testing.assert_allclose(one.statistics(), other.statistics(), rtol=1e-6)
