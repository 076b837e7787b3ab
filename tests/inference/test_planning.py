"""Which photos are done in tiles."""

import re

import numpy as np
import pytest

from tf_style import memory
from tf_style.errors import UserError
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig
from tf_style.inference.planning import plan_tiles, plans_of, size_of
from tf_style.inference.tiled import TiledTransfer


@pytest.fixture
def photos(tmp_path):
    """Photos of some sizes, the last of which is none."""
    sizes = {"small": (100, 140), "large": (400, 500), "narrow": (12, 900)}
    for name, size in sizes.items():
        write_image(tmp_path / f"{name}.png", np.zeros((*size, 3), "uint8"))
    (tmp_path / "none.png").write_bytes(b"")
    return [tmp_path / f"{name}.png" for name in (*sizes, "none")]


def plans(stylize, photos, styles=(), **options):
    tiled = TiledTransfer(stylize)
    found = plans_of(StylizeConfig(content_size=0, **options), tiled, photos, styles)
    tiles = {path.stem: plan.tile for path, plan in found.tiles.items()}
    unfit = {path.stem: str(x) for path, x in (found.contents | found.styles).items()}
    return tiles, found.notes, unfit


def test_only_what_does_not_fit_is_done_in_tiles(stylize, photos):
    assert plans(stylize, photos)[0] == {}
    found, notes, unfit = plans(stylize, photos * 2, max_memory=0.3)
    assert found == {"large": 256} and not unfit
    assert len(notes) == 2 and "small.png at 140x100, will take" in notes[0]
    assert "large.png at 500x400 is done in tiles of 256 px" in notes[1]


def test_a_side_that_is_asked_for(stylize, photos):
    assert plans(stylize, photos, tile_size=120)[0] == {"small": 120, "large": 120}
    assert plans(stylize, photos, tile_size=140)[0] == {"large": 140}


@pytest.mark.parametrize(
    "option",
    [
        {"concat": True},
        {"all_styles": True},
        {"style_grid": ("a", "b")},
        {"preserve_color": "match"},
    ],
)
def test_what_is_not_done_in_tiles(stylize, photos, option):
    assert plans(stylize, photos, tile_size=120, **option)[0] == {}
    message = "500x400 would take .* --max-memory is 0.3 GB: --content-"
    found, notes, unfit = plans(stylize, photos, max_memory=0.3, **option)
    assert not found and "small.png at 140x100, will take" in notes[0]
    assert unfit.keys() == {"large"} and re.search(message, unfit["large"])
    with pytest.raises(UserError, match=message):
        plans(stylize, photos[1:2], max_memory=0.3, **option)


def test_paintings_have_to_fit(stylize, photos):
    message = "500x400 would .* --max-memory is 0.3 GB: --style-size"
    options = {"max_memory": 0.3, "style_size": 0}
    _, notes, unfit = plans(stylize, photos[:1], photos[:2], **options)
    assert "small.png at 140x100, will take" in notes[0]
    assert unfit.keys() == {"large"} and re.search(message, unfit["large"])
    with pytest.raises(UserError, match=message):
        plans(stylize, photos[:1], photos[1:2], **options)


def test_a_photo_that_does_not_fit_as_a_painting_is_done_as_a_photo(stylize, photos):
    config = StylizeConfig(content_size=0, style_size=500, max_memory=1.2)
    found = plans_of(config, TiledTransfer(stylize), photos[2:3], photos[:3:2])
    assert found.styles.keys() == {photos[2]} and not found.contents
    assert "37500x500 would take about 24.6 GB" in str(found.styles[photos[2]])


def test_size_of():
    assert size_of(StylizeConfig(), 3000, 2000) == (1024, 683)
    assert size_of(StylizeConfig(crop=True, content_size=0), 300, 200) == (200, 200)


# -- tiles -----------------------------------------------------------------------------------------


def plan(height=8192, width=8192, **changes):
    return plan_tiles(height, width, "a.jpg", **{"halo": 32, "scratch": 2**31} | changes)


def test_tiles_as_large_as_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**11)
    found = [plan(max_memory=gigabytes) for gigabytes in (4.2, 4, 2, 1.2)]
    assert [(one.tile, one.spilled) for one in found] == [
        (1024, False), (1024, True), (1024, True), (512, True),
    ]  # fmt: skip
    for one, gigabytes in zip(found, (4.2, 4, 2, 1.2), strict=True):
        assert one.memory <= gigabytes * 1e9 and one.scratch == 2**31
    # What is kept is counted once: here or there.
    assert found[0].memory - found[1].memory == 2**31
    assert plan(tile=300).tile == 300


def test_a_photo_that_was_resized_counts_as_floats(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**11)
    pixels = 8192**2
    floats = plan(source_pixels=pixels + 1)
    assert floats.memory - plan().memory == 9 * pixels
    large = plan(source_pixels=10 * pixels)
    assert large.memory == memory.BASE_BYTES + 270 * pixels


def test_no_tiles_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    sentence = "a.jpg at 9000x9000 in tiles of 128 px would take about 1.3 GB of memory, and 1.0 GB"
    with pytest.raises(
        UserError, match=sentence + r" are free: --content-size (\d+) fits.$"
    ) as fault:
        plan(9000, 9000)
    # As a whole, as it would then be done.
    side = int(str(fault.value).split("--content-size ")[1].split()[0])
    assert 0.95 * 10**9 < memory.untiled_bytes(side, side) <= 10**9
    with pytest.raises(
        UserError, match=r"tiles of 1000 px would .*: --tile-size 0 --content-size \d+ f"
    ):
        plan(4000, 4000, tile=1000)
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    with pytest.raises(UserError, match=": end other programs.$"):
        plan(4000, 4000)
    with pytest.raises(UserError, match="--max-memory is 0.01 GB: raise it.$"):
        plan(4000, 4000, max_memory=0.01)
