"""Grain: its pattern, in use at one place and in training at changing ones."""

import itertools

import numpy as np
import pytest

from tf_style.nn.grain import PERIOD, SCALES, Grain, grain_pattern, random_grain


def test_the_pattern_has_equal_shares_of_all_scales():
    """Of power at a frequency: the Fourier transform of a Gaussian is one, squared for power."""
    pattern = grain_pattern()[..., 0]
    assert abs(pattern.mean()) < 1e-6 and abs(pattern.std() - 1) < 1e-6
    power = np.abs(np.fft.fft2(pattern)) ** 2 / PERIOD**2
    rows, columns = np.meshgrid(*[np.fft.fftfreq(PERIOD)] * 2, indexing="ij")
    radius = np.hypot(rows, columns)
    expected = 0
    for scale in SCALES:
        share = np.exp(-((2 * np.pi * scale * radius) ** 2))
        expected += share / share.mean() / len(SCALES)
    edges = [0.01, 0.03, 0.06, 0.12, 0.25, 0.5, 0.71]
    for low, high in itertools.pairwise(edges):
        ring = (low < radius) & (radius <= high)
        # A mean of as many exponential numbers as half the ring has: the spectrum is even.
        error = 4 / np.sqrt(ring.sum() / 2)
        assert abs(power[ring].mean() / expected[ring].mean() - 1) < error, (low, high)


def test_the_pattern_is_the_same_everywhere_and_for_ever():
    """Models are trained on it: another one would be another model."""
    pattern = grain_pattern()
    np.testing.assert_allclose(pattern[0, :3, 0], [0.159845, -0.299619, -0.310176], rtol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        pattern[0] = 0


@pytest.mark.parametrize("top, left", [(0, 0), (3, 500), (255, 1)])
def test_the_formula(top, left):
    image = np.random.default_rng(0).random((2, 300, 280, 3), "float32")
    rows, columns = (np.arange(300) + top) % PERIOD, (np.arange(280) + left) % PERIOD
    expected = image + 0.1 * grain_pattern()[rows][:, columns]
    np.testing.assert_allclose(Grain(0.1)(image, top=top, left=left), expected, atol=1e-6)


def test_a_part_has_the_grain_of_the_whole():
    image = np.random.default_rng(0).random((1, 550, 530, 3), "float32")
    part = Grain(0.1)(image[:, 500:, 7:520], top=500, left=7)
    assert np.array_equal(part, Grain(0.1)(image)[:, 500:, 7:520])


def test_none_changes_nothing():
    image = np.random.default_rng(0).random((1, 9, 5, 3), "float32")
    assert np.array_equal(Grain(0.0)(image), image)


@pytest.mark.parametrize("stddev", [-0.1, float("nan"), float("inf")])
def test_no_such_grain(stddev):
    with pytest.raises(ValueError, match="`stddev` must be 0 or more. Received: stddev="):
        Grain(stddev)


def test_in_training_its_place_changes_with_the_seed_alone():
    image = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
    noise = [np.asarray(random_grain(image, 0.1, [7, step])) - image for step in (1, 1, 2)]
    assert np.array_equal(noise[0], noise[1]) and not np.allclose(noise[0], noise[2], atol=0.01)
    twice = 0.1 * np.tile(grain_pattern()[..., 0], 2)
    rows = np.lib.stride_tricks.sliding_window_view(twice, 64, axis=1)[:, :PERIOD]
    for x in noise:
        # The place is where the pattern is as the first row.
        distances = np.abs(rows - x[0, 0, :, 0]).mean(-1)
        top, left = np.unravel_index(distances.argmin(), distances.shape)
        expected = Grain(0.1)(image, top=int(top), left=int(left)) - image
        np.testing.assert_allclose(x, expected, atol=1e-6)
