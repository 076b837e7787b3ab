"""Measures of pictures see what they are named for, and nothing else."""

import numpy as np
import pytest

from tf_style.images.quality import border_ratio, detail, deviation, nyquist_ratio, psnr

NOISE = np.random.default_rng(1).random((64, 96, 3))


def test_psnr_is_that_of_the_noise_added():
    noise = np.random.default_rng(0).normal(0, 0.01, NOISE.shape)
    assert psnr(NOISE, NOISE + noise) == pytest.approx(40, abs=0.1)
    assert psnr(NOISE, NOISE) == 100


@pytest.mark.parametrize("energy", [detail, deviation])
def test_a_frame_is_seen_and_noise_has_none(energy):
    assert border_ratio(energy(NOISE)) == pytest.approx(1, abs=0.1)
    framed = 0.5 + 0.01 * (NOISE - 0.5)
    framed[:4], framed[:, -4:] = 0, 0
    assert border_ratio(energy(framed)) > 3


def test_flat_pictures_have_neither():
    flat = np.full((40, 50, 3), 0.3)
    assert border_ratio(detail(flat)) == border_ratio(deviation(flat)) == 1
    assert nyquist_ratio(flat) == 1


@pytest.mark.parametrize("period", [(2, 2), (2, 1), (1, 2)])
def test_a_checkerboard_is_seen_on_any_side(period):
    rows, columns = np.indices(NOISE.shape[:2])
    board = ((rows % period[0]) + (columns % period[1])) % 2
    assert nyquist_ratio(NOISE) == pytest.approx(1, abs=0.15)
    assert nyquist_ratio(NOISE + 0.5 * board[..., None]) > 5 and 0.8 < nyquist_ratio(NOISE) < 1.2
