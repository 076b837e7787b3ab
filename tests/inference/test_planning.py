"""Which photos are done in tiles."""

import re

import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.images.writing import write_image
from tf_style.inference.planning import plans_of, size_of
from tf_style.inference.tiled import TiledTransfer
from tf_style.option_groups import StylizeConfig


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
