"""The scales of a pixel optimisation: plan, memory, tiles."""

import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.pyramid import bytes_of, plan, tile_for
from tf_style.memory import BASE_BYTES, TILES

# -- the plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((384, 512, 0, 500), [(96, 128, 62), (192, 256, 62), (384, 512, 376)]),
        ((512, 384, 1, 500), [(512, 384, 500)]),
        ((511, 511, 0, 500), [(511, 511, 500)]),
        ((1024, 768, 0, 400), [(128, 96, 50), (256, 192, 50), (512, 384, 50), (1024, 768, 250)]),
        ((96, 64, 2, 5), [(48, 32, 1), (96, 64, 4)]),
        ((96, 62, 2, 5), [(96, 62, 5)]),
        ((40, 800, 0, 9), [(40, 800, 9)]),
        ((64, 1280, 0, 9), [(32, 640, 1), (64, 1280, 8)]),
        ((512, 512, 0, 2), [(256, 256, 1), (512, 512, 1)]),
        ((512, 512, 0, 1), [(512, 512, 1)]),
    ],
)
def test_plan(arguments, expected):
    assert plan(*arguments) == expected


def test_every_plan_spends_all_and_has_no_side_under_32():
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = (int(side) for side in rng.integers(32, 3000, 2))
        scales, evaluations = int(rng.integers(0, 9)), int(rng.integers(1, 600))
        found = plan(height, width, scales, evaluations)
        assert sum(n for *_, n in found) == evaluations and min(n for *_, n in found) >= 1
        assert min(side for *size, _ in found for side in size) >= 32
        assert found[-1][:2] == (height, width) and len(found) <= (scales or 8)


@pytest.mark.parametrize("size", [(31, 500), (500, 31), (1, 1)])
def test_a_picture_under_32_px(size):
    with pytest.raises(UserError, match=f"The photo is {size[1]}x{size[0]} here: both sides must "):
        plan(*size, 0, 10)


# -- memory and tiles ------------------------------------------------------------------------------


def total(config, height, width, tile):
    each, fixed = bytes_of(config, height, width, tile)
    return BASE_BYTES + each * height * width + fixed


@pytest.mark.parametrize("limit", [5e8, 1e9, 2e9, 4e9, 8e9, 16e9, 32e9])
@pytest.mark.parametrize("size", [(400, 500), (1500, 1000), (2048, 2048)])
def test_the_largest_tiles_that_fit(size, limit):
    config = GatysConfig()
    tile = tile_for(config, *size, limit)
    if total(config, *size, 0) <= limit:
        assert tile == 0
    elif total(config, *size, TILES[-1]) > limit:
        assert tile == TILES[-1]  # As little as there can be.
    else:
        assert total(config, *size, tile) <= limit
        assert all(total(config, *size, larger) > limit for larger in TILES if larger > tile)


def test_2048_px_fit_into_8_gb():
    for encoder in ("vgg16", "vgg19"):
        tile = tile_for(GatysConfig(encoder=encoder), 2048, 2048, 8e9)
        assert tile >= 512 and total(GatysConfig(encoder=encoder), 2048, 2048, tile) <= 8e9


def test_tiles_that_are_asked_for():
    config = GatysConfig(encoder="vgg16", tile_size=300)
    assert [tile_for(config, 400, side, limit) for side in (429, 400) for limit in (1e8, 1e12)] == [
        300, 300, 0, 0,
    ]  # fmt: skip


def test_the_gaussian_kernel_has_no_tiles():
    assert tile_for(GatysConfig(style_loss=("gram:1", "gaussian:2")), 4000, 4000, 1e9) == 0


def test_the_tiles_of_a_run_that_is_gone_on_with():
    config = GatysConfig()
    for before in (256, 777, 0):
        assert tile_for(config, 2048, 2048, 1e12, before) == before
    assert tile_for(config, 2048, 2048, 8e9, 0) == tile_for(config, 2048, 2048, 8e9) > 0


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_history_costs_with_and_without_tiles(optimizer):
    few, many = (GatysConfig(history=n, optimizer=optimizer) for n in (1, 101))
    for tile in (0, 512):
        (a, fixed), (b, same) = (bytes_of(config, 2048, 2048, tile) for config in (few, many))
        assert fixed == same and b - a == (0 if optimizer == "adam" else 100 * 3 * 12)
