"""Arrays in, an array out."""

import numpy as np
import pytest
from conftest import picture

import tf_style
from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import gatys
from tf_style.images.color import match_color, preserve_luma
from tf_style.images.resizing import resize
from tf_style.images.writing import write_image

PHOTO, STYLE, OTHER = picture(40, 48), picture(48, 48, 1), picture(48, 40, 2)
OPTIONS = {
    "encoder": "vgg16",
    "content_layers": ("relu2_1",),
    "style_layers": ("relu1_1", "relu2_1"),
    "max_evaluations": 3,
    "optimizer": "adam",
    "precision": "float32",
}


def expected(styles, **more):
    shares = more.pop("shares", ())
    return list(gatys(PHOTO, styles, GatysConfig(**OPTIONS | more), shares=shares))[-1].image


def test_it_is_what_gatys_ends_with(tmp_path):
    losses = []
    image = tf_style.optimize(
        PHOTO, STYLE, **OPTIONS, callback=lambda iterate: losses.append(iterate.loss)
    )
    assert image.shape == PHOTO.shape and image.dtype == np.float32
    assert np.array_equal(image, expected([STYLE])) and len(losses) == 3
    # Options win over a config; 8 bits and files are pictures too.
    eight = [np.round(255 * x).astype("uint8") for x in (PHOTO, STYLE)]
    write_image(tmp_path / "style.png", STYLE)
    config = GatysConfig(**OPTIONS | {"max_evaluations": 9})
    other = tf_style.optimize(eight[0], str(tmp_path / "style.png"), config, max_evaluations=3)
    assert np.abs(other - image).mean() < 0.01


def test_several_paintings_and_sizes():
    found = tf_style.optimize(PHOTO, [STYLE, resize(OTHER, 24, 20)], **OPTIONS,
                              style_weights=[3, 1], style_scale=1.0)  # fmt: skip
    enlarged = resize(resize(OTHER, 24, 20), 48, 40)
    assert np.array_equal(found, expected([STYLE, enlarged], shares=[3, 1]))


def test_colours():
    luma = tf_style.optimize(PHOTO, STYLE, **OPTIONS, preserve_color="luma")
    np.testing.assert_allclose(luma, preserve_luma(expected([STYLE]), PHOTO), atol=1e-6)
    match = tf_style.optimize(PHOTO, STYLE, **OPTIONS, preserve_color="match")
    assert np.array_equal(match, expected([match_color(STYLE, PHOTO)]))


def test_regions():
    left = np.zeros((10, 12), "float32")
    left[:, :6] = 1
    found, swapped = (
        tf_style.optimize(PHOTO, STYLE, **OPTIONS, content_masks=[left, 1 - left], style_masks=of)
        for of in ([left, 1 - left], [1 - left, left])
    )
    assert np.abs(found - swapped).max() > 0.01


def test_mistakes():
    for style, more, message in (
        (STYLE[..., 0], {}, r"style must be an image \(height, width, 3\)"),
        (STYLE * 255, {}, "style must be uint8, or float in"),
        ([STYLE, OTHER], {"style_weights": (1.0,)}, "one number for each of 2 styles"),
        (STYLE, {"content_masks": [PHOTO[..., 0]]}, "go in pairs, with one painting. Received: 1 "),
        (STYLE, {"max_evaluation": 3}, "Unknown option 'max_evaluation'"),
    ):
        with pytest.raises(UserError, match=message):
            tf_style.optimize(PHOTO, style, **OPTIONS | more)
