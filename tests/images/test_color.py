"""Colours of arrays."""

import numpy as np
import pytest

from tf_style.images.color import LUMA, match_color, preserve_luma

RNG = np.random.default_rng(5)


def picture(*shape, low=0.3, high=0.7):
    return RNG.uniform(low, high, (*shape, 3)).astype("float32")


def test_preserve_luma_takes_the_luma_and_keeps_the_chroma():
    stylized, content = picture(6, 5), picture(6, 5)
    before = stylized.copy(), content.copy()
    result = preserve_luma(stylized, content)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result @ LUMA, stylized @ LUMA, atol=1e-6)
    np.testing.assert_allclose(np.diff(result), np.diff(content), atol=1e-6)
    assert np.array_equal(stylized, before[0]) and np.array_equal(content, before[1])


def test_preserve_luma_of_itself_and_at_the_limits():
    content = picture(4, 4, low=0, high=1)
    np.testing.assert_allclose(preserve_luma(content, content), content, atol=1e-6)
    white = preserve_luma(np.ones((4, 4, 3), "float32"), content)
    assert white.min() >= 0 and white.max() <= 1


def colors(image):
    pixels = np.asarray(image, "float64").reshape(-1, 3)
    return pixels.mean(0), np.cov(pixels.T, bias=True)


def test_match_color_gives_the_contents_mean_and_covariance():
    mix = np.array([[0.5, 0.3, 0.1], [0.1, 0.6, 0.3], [0.0, 0.2, 0.5]])
    style, content = picture(30, 20), 0.5 + 0.2 * (picture(25, 31) - 0.5) @ mix
    matched = match_color(style, content, shrinkage=1e-9)
    assert matched.shape == style.shape and matched.dtype == np.float32
    assert 0 < matched.min() and matched.max() < 1  # nothing was clipped
    for found, expected in zip(colors(matched), colors(content), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    default = colors(match_color(style, content))
    np.testing.assert_allclose(default[1], colors(content)[1], atol=1.1e-4)


def test_match_color_with_itself_changes_nothing():
    style = picture(8, 9)
    np.testing.assert_allclose(match_color(style, style), style, atol=1e-5)


@pytest.mark.parametrize("style", ["gray", "flat", "black", "color"])
@pytest.mark.parametrize("content", ["gray", "flat", "black", "color"])
def test_match_color_of_gray_pictures_is_finite(style, content):
    pictures = {
        "gray": np.repeat(picture(8, 8, low=0, high=1)[..., :1], 3, -1),
        "flat": np.full((8, 8, 3), (0.2, 0.4, 0.6)),
        "black": np.zeros((8, 8, 3)),
        "color": picture(8, 8),
    }
    matched = match_color(pictures[style], pictures[content])
    assert np.isfinite(matched).all() and matched.min() >= 0 and matched.max() <= 1
    if content in ("flat", "black"):
        # The shrinkage is all the contrast that is left.
        np.testing.assert_allclose(colors(matched)[0], colors(pictures[content])[0], atol=0.02)
