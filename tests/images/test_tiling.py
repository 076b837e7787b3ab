"""Tiles of a picture."""

import numpy as np
import pytest

from tf_style.images.tiling import Box, tile_grid

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
