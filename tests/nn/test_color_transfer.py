"""Colour transfer: what it gives to the photo, and what it leaves."""

import keras
import numpy as np
import pytest

from tf_style.nn.color_transfer import AXES, ColorTransfer, color_channels
from tf_style.nn.layers import ChannelStatistics

RNG = np.random.default_rng(0)
ONE = np.ones(1, "float32")


def picture(seed, height=24, width=30):
    """Pixels whose channels depend on each other."""
    rng = np.random.default_rng(seed)
    mix = 0.1 * np.eye(3) + rng.normal(0, 0.02, (3, 3))
    mixed = rng.uniform(-1.7, 1.7, size=(1, height, width, 3)) @ mix
    return (mixed + rng.uniform(0.3, 0.7, 3)).astype("float32").clip(0, 1)


def palette(image):
    return ChannelStatistics()(color_channels(image))


def mean_and_covariance(image):
    pixels = np.asarray(image, "float64").reshape(-1, 3)
    return pixels.mean(0), np.cov(pixels.T, bias=True)


def test_moments_of_the_channels_tell_the_covariance():
    image = picture(1)
    mean, std = np.asarray(palette(image), "float64")[0]
    a, b, c, ab, ac, bc = std**2
    expected_mean, covariance = mean_and_covariance(image)
    np.testing.assert_allclose(mean[:3], AXES @ expected_mean, rtol=1e-5)
    expected = AXES @ covariance @ AXES.T
    found = [a, b, c, (ab - a - b) / 2, (ac - a - c) / 2, (bc - b - c) / 2]
    np.testing.assert_allclose(found, expected[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]], atol=2e-5)


def test_the_formula():
    """In float64 by NumPy: L_style L_photo**-1 of the axes, each with shrinkage and ridge."""
    photo, painting = picture(1), 0.5 + 3 * (picture(2, 17, 40) - 0.5)
    (mean, covariance), (style_mean, style_covariance) = map(mean_and_covariance, (photo, painting))
    axes = [AXES @ x @ AXES.T for x in (covariance, style_covariance)]
    factor, style_factor = (
        np.linalg.cholesky(x + 1.1e-4 * np.eye(3) + np.diag([0, 0.2, 0.2]) * x) for x in axes
    )
    matrix = np.linalg.inv(AXES) @ style_factor @ np.linalg.inv(factor) @ AXES
    expected = (photo - mean) @ matrix.T + style_mean
    assert (expected < 0).any() and (expected > 1).any()
    found = ColorTransfer()(photo, palette(painting), ONE)
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-3)


def test_the_result_has_the_colours_of_the_painting():
    """Where their axes do not depend on each other: no ridge has a part in it then."""
    height, width = 24, 30
    noise = np.random.default_rng(0).uniform(size=(2, height * width, 3))
    photo, painting = (
        (np.linalg.qr(x - x.mean(0))[0] * np.sqrt(len(x)) * scales @ np.linalg.inv(AXES).T + middle)
        .reshape(1, height, width, 3)
        .astype("float32")
        for x, scales, middle in zip(
            noise, [(0.06, 0.04, 0.09), (0.08, 0.06, 0.03)], [(0.4, 0.5, 0.6), (0.6, 0.5, 0.4)],
            strict=True,
        )
    )  # fmt: skip
    found = mean_and_covariance(ColorTransfer()(photo, palette(painting), ONE))
    for x, y in zip(found, mean_and_covariance(painting), strict=True):
        np.testing.assert_allclose(x, y, atol=3e-4)
    assert not np.allclose(mean_and_covariance(photo)[1], y, atol=1e-3)


def test_the_light_stays_where_it_was():
    photo, luma = picture(1), AXES[0].astype("float64")
    painting = 0.5 + 0.3 * (picture(2) - 0.5)
    found = np.asarray(ColorTransfer()(photo, palette(painting), ONE)) @ luma
    assert np.corrcoef(found.ravel(), (photo @ luma).ravel())[0, 1] > 1 - 1e-6


def test_a_photo_of_one_hue_gets_no_neon():
    """Its axes tell one another; what little they do not tell is not stretched to other hues."""
    rng = np.random.default_rng(0)
    shade = rng.uniform(0.2, 0.8, (1, 40, 40, 1)) * (1, 0.35, 0.2)
    photo = (shade + rng.normal(0, 0.002, shade.shape)).astype("float32")
    photo[0, 5, 5:7] = photo.mean((0, 1, 2))
    photo[0, 5, 6] += np.linalg.inv(AXES) @ (0, 0, 0.01)
    painting = picture(2)
    found = np.asarray(ColorTransfer()(photo, palette(painting), ONE), "float64")
    step = AXES @ (found[0, 5, 6] - found[0, 5, 5])
    covariance, wanted = (
        AXES @ mean_and_covariance(x)[1] @ AXES.T + 1.1e-4 * np.eye(3) for x in (photo, painting)
    )
    most = np.sqrt(1.2 * wanted[2, 2] / (0.2 * covariance[2, 2]))
    exact = np.linalg.cholesky(wanted)[2, 2] / np.linalg.cholesky(covariance)[2, 2]
    assert 0.01 * most >= step[2] > 0
    assert exact > 2 * most


def test_its_own_colours_change_nothing():
    photo = picture(3)
    np.testing.assert_allclose(ColorTransfer()(photo, palette(photo), ONE), photo, atol=1e-5)


def test_alpha():
    photos, painting = np.concatenate([picture(1), picture(2)]), picture(3)
    statistics = np.repeat(palette(painting), 2, axis=0)
    full = np.asarray(ColorTransfer()(photos, statistics, np.ones(2, "float32")))
    found = ColorTransfer()(photos, statistics, np.float32([0, 0.3]))
    np.testing.assert_allclose(found[0], photos[0], atol=1e-6)
    np.testing.assert_allclose(found[1], 0.3 * full[1] + 0.7 * photos[1], atol=1e-5)


def test_a_part_with_the_moments_of_the_whole():
    photo, statistics = picture(1), palette(picture(2))
    whole = ColorTransfer()(photo, statistics, ONE)
    part = ColorTransfer()(photo[:, 5:9, 3:], statistics, ONE, palette(photo))
    np.testing.assert_allclose(part, whole[:, 5:9, 3:], atol=1e-6)
    assert np.abs(ColorTransfer()(photo[:, 5:9, 3:], statistics, ONE) - part).max() > 0.01


@pytest.mark.parametrize(
    "painting", [picture(1), np.full((1, 8, 8, 3), (0.2, 0.5, 0.9), "float32")]
)
def test_a_grey_or_flat_photo_gets_no_colours_of_noise(painting):
    """Between neighbours in grey there may be a level; as a difference of colours it is noise."""
    ramp = np.linspace(0, 1, 256, dtype="float32").reshape(1, 16, 16, 1) * np.ones(3, "float32")
    for photo in (ramp, np.full_like(ramp, 0.4)):
        noisy = photo + RNG.integers(-1, 2, photo.shape).astype("float32") / 255
        found = [np.asarray(ColorTransfer()(x, palette(painting), ONE)) for x in (photo, noisy)]
        assert np.isfinite(found).all()
        assert np.abs(found[1] - found[0]).max() < 0.3


def test_moments_that_no_picture_has():
    """Of a blend: its deviations are means of several pictures', its covariance may be none."""
    statistics = np.float32([[[0.5, 0, 0, 0.5, 0.5, 0], [0.2, 0.3, 0.3, 0.5, 0.5, 0.01]]])
    assert np.isfinite(ColorTransfer()(picture(1), statistics, ONE)).all()


def test_symbolic_shape():
    content, statistics = keras.Input((None, 7, 3)), keras.Input((2, 6))
    assert ColorTransfer()(content, statistics, keras.Input(())).shape == (None, None, 7, 3)


def test_of_a_large_pale_photo():
    """Its deviations are small against its means, and the gain is high."""
    photo = 0.9 + 0.02 * (picture(1, 500, 700) - 0.5)
    channels = np.asarray(color_channels(photo), "float64")
    std = np.sqrt(channels.var((1, 2)) + 1e-5)
    exact = np.stack([channels.mean((1, 2)), std], axis=1).astype("float32")
    statistics = palette(picture(2))
    found, expected = (ColorTransfer()(photo, statistics, ONE, x) for x in (None, exact))
    np.testing.assert_allclose(found, expected, atol=2e-4)
