import itertools

import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.images import reading, resizing, sheets, writing

# Smooth, and without any symmetry, so that no turn passes unnoticed.
Y, X = np.mgrid[0:24, 0:40]
PICTURE = np.stack([40 + 5 * X, 20 + 8 * Y, 30 + 2 * X + 3 * Y], -1).clip(0, 255).astype(np.uint8)
FLOAT = PICTURE.astype(np.float32) / 255


# -- sizes -----------------------------------------------------------------------------------------


def test_resize_keeps_a_constant():
    for value, size in itertools.product([0, 0.3, 1], [(7, 5), (100, 90), (1, 1)]):
        image = resizing.resize(np.full((40, 30, 3), value, np.float32), *size)
        assert image.shape == (*size, 3) and image.dtype == np.float32
        np.testing.assert_allclose(image, value, atol=1e-6)


def test_resize_is_antialiased_and_keeps_the_mean():
    board = np.repeat((np.indices((64, 64)).sum(0) % 2)[..., None], 3, -1).astype(np.float32)
    assert np.abs(resizing.resize(board, 16, 16)[3:-3, 3:-3] - 0.5).max() < 0.01
    small = resizing.resize(FLOAT, 12, 20)
    np.testing.assert_allclose(small.mean((0, 1)), FLOAT.mean((0, 1)), atol=2e-3)


def test_resize_is_finer_than_eight_bits_and_stays_in_range():
    ramp = np.repeat(np.linspace(0.5, 0.5 + 1 / 255, 64, dtype=np.float32)[None, :, None], 3, -1)
    assert len(np.unique(resizing.resize(np.repeat(ramp, 8, 0), 8, 32)[0, :, 0])) == 32
    edge = np.zeros((16, 16, 3), np.float32)
    edge[:, 8:] = 1
    large = resizing.resize(edge, 64, 64)
    assert large.min() == 0 and large.max() == 1
    assert np.array_equal(resizing.resize(FLOAT, 24, 40), FLOAT)


@pytest.mark.parametrize(
    "kind, size, enlarge, expected",
    [
        ("longer", 0, False, (24, 40)),
        ("longer", 20, False, (12, 20)),
        ("longer", 80, False, (24, 40)),
        ("longer", 80, True, (48, 80)),
        ("longer", 1, False, (1, 1)),
        ("longer", 15, False, (9, 15)),
        ("shorter", 12, False, (12, 20)),
        ("shorter", 7, False, (7, 12)),
        ("shorter", 48, False, (24, 40)),
        ("shorter", 48, True, (48, 80)),
    ],
)
def test_fit(kind, size, enlarge, expected):
    fit = {"longer": resizing.fit_longer, "shorter": resizing.fit_shorter}[kind]
    assert fit(FLOAT, size, enlarge=enlarge).shape == (*expected, 3)
    assert resizing.scaled_size(24, 40, **{kind: size}, enlarge=enlarge) == expected


def test_scaled_size():
    assert resizing.scaled_size(1, 10_000, longer=100) == (1, 100)
    assert resizing.scaled_size(3, 2, longer=2) == (2, 1)
    for arguments in ({"longer": -1}, {"shorter": -1}, {"longer": 2, "shorter": 2}):
        with pytest.raises(UserError, match="One of `longer` and `shorter` may be given"):
            resizing.scaled_size(10, 10, **arguments)


def test_center_crop():
    assert np.array_equal(resizing.center_crop(FLOAT), FLOAT[:, 8:32])
    assert np.array_equal(resizing.center_crop(FLOAT, 10), FLOAT[7:17, 15:25])
    for size in (25, -1):
        with pytest.raises(UserError, match=f"No square of side {size} .* 40x24"):
            resizing.center_crop(FLOAT, size)
    crop = resizing.center_crop(FLOAT, 4)
    assert not np.shares_memory(crop, FLOAT)


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_resize_to_nothing(size):
    with pytest.raises(UserError, match="sides must be at least 1. Received"):
        resizing.resize(FLOAT, *size)


@pytest.mark.parametrize(
    "image",
    [PICTURE, FLOAT[None], FLOAT[..., 0], FLOAT[..., :2], FLOAT[:0]],
    ids=["uint8", "batch", "gray", "two channels", "no pixels"],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda image: resizing.resize(image, 2, 2),
        resizing.center_crop,
        writing.encode_image,
        lambda image: sheets.grid([[image]]),
        lambda image: sheets.concat([image]),
    ],
    ids=["resize", "center_crop", "encode_image", "grid", "concat"],
)
def test_what_is_not_an_image_array(image, use):
    if image is PICTURE and use is writing.encode_image:
        assert use(image) == use(reading.as_floats(image))  # It is the one that takes both.
        return
    with pytest.raises(ValueError, match=r"must be a float array .* Received: \w+ of shape \("):
        use(image)


@pytest.mark.parametrize("shape", [(60, 100), (100, 60)])
def test_fit_square_is_the_middle_of_the_picture_made_smaller(shape):
    y, x = np.mgrid[: shape[0], : shape[1]] / 100
    image = np.stack([x, y, 0.5 + 0.3 * np.sin(9 * x + 5 * y)], -1).astype(np.float32)
    for share in (1.0, 0.5):
        expected = resizing.center_crop(resizing.fit_shorter(image, round(24 / share)), 24)
        found = resizing.fit_square(image, 24, share)
        # But for the border, where the kernel has nothing beyond the cut.
        np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.02)
