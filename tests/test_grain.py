"""Grain: the fixed noise of use and the changing one of training."""

import numpy as np
import pytest

from tf_style.grain import PERIOD, Grain, grain_pattern, random_grain


def test_the_pattern_is_white_noise_and_the_same_everywhere():
    pattern = grain_pattern()[..., 0]
    assert abs(pattern.mean()) < 0.01 and abs(pattern.var() - 1) < 0.01
    power = np.abs(np.fft.fft2(pattern)) ** 2 / PERIOD**2
    # Of any quarter of the frequencies the mean of 16,384 exponential numbers of mean one.
    quarters = power.reshape(2, PERIOD // 2, 2, PERIOD // 2).mean((1, 3))
    np.testing.assert_allclose(quarters, 1, atol=0.05)
    # NumPy's documentation of `RandomState(0)`.
    np.testing.assert_allclose(pattern[0, :3], [1.76405235, 0.40015721, 0.97873798], rtol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        grain_pattern()[0] = 0


@pytest.mark.parametrize("top, left", [(0, 0), (3, 500), (255, 1)])
def test_the_formula(top, left):
    image = np.random.default_rng(0).random((2, 300, 280, 3), "float32")
    rows, columns = (np.arange(300) + top) % PERIOD, (np.arange(280) + left) % PERIOD
    expected = image + 0.1 * grain_pattern()[rows][:, columns]
    np.testing.assert_allclose(Grain(0.1)(image, top=top, left=left), expected, atol=1e-6)


def test_a_part_has_the_grain_of_the_whole():
    image = np.random.default_rng(0).random((1, 290, 270, 3), "float32")
    part = Grain(0.1)(image[:, 250:, 7:90], top=250, left=7)
    assert np.array_equal(part, Grain(0.1)(image)[:, 250:, 7:90])


def test_none_changes_nothing():
    image = np.random.default_rng(0).random((1, 9, 5, 3), "float32")
    assert np.array_equal(Grain(0.0)(image), image)


@pytest.mark.parametrize("stddev", [-0.1, float("nan"), float("inf")])
def test_no_such_grain(stddev):
    with pytest.raises(ValueError, match="`stddev` must be 0 or more. Received: stddev="):
        Grain(stddev)


def test_in_training_it_changes_with_the_seed_alone():
    image = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
    noise = [np.asarray(random_grain(image, 0.1, [7, step])) - image for step in (1, 1, 2)]
    assert np.array_equal(noise[0], noise[1])
    assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 0.05
    assert abs(noise[0].std() - 0.1) < 0.005
    np.testing.assert_allclose(noise[0][..., 0], noise[0][..., 2], atol=1e-6)
    assert abs(np.corrcoef(noise[0][0].ravel(), noise[0][1].ravel())[0, 1]) < 0.05
