import numpy as np
import pytest
from keras import ops

from tf_style.nn import losses
from tf_style.nn.statistics import (
    channel_moments,
    covariance_matrix,
    gram_matrix,
    position_mean,
)

RNG = np.random.default_rng(19)


def features(*shape):
    return RNG.normal(1, 2, shape).astype("float32")


def test_content_loss_is_the_mean_square_of_each_example():
    a, b = features(3, 4, 5, 6), features(3, 4, 5, 6)
    expected = ((np.float64(a) - b) ** 2).mean((1, 2, 3))
    found = losses.content_loss(a, b)
    assert found.shape == (3,) and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_content_loss_of_bfloat16_is_float32():
    a = ops.full((1, 2, 2, 1), 256, "bfloat16")
    found = losses.content_loss(a, ops.full((1, 2, 2, 1), 255.5, "float32"))
    assert found.dtype == "float32" and found.numpy().tolist() == [0.25]


def test_moments_loss_is_numpys():
    a, b = features(2, 4, 5, 6), features(2, 7, 3, 6)
    moments, target = (np.stack(channel_moments(x)) for x in (a, b))
    change = (moments - target) ** 2
    summed = losses.moments_loss(channel_moments(a), channel_moments(b), "sum")
    assert summed.shape == (2,) and summed.dtype == "float32"
    np.testing.assert_allclose(summed, change.sum((0, -1)), rtol=1e-4)
    mean = losses.moments_loss(channel_moments(a), channel_moments(b), "mean")
    # Per layer, the authors' weight is the ports' over the number of channels.
    np.testing.assert_allclose(6 * mean, summed, rtol=1e-5)
    assert np.array_equal(losses.moments_loss(channel_moments(a), channel_moments(b)), summed)


def test_moments_loss_of_shifted_and_stretched_features():
    x = features(1, 6, 6, 4)
    shifted = losses.moments_loss(channel_moments(x + 3), channel_moments(x))
    np.testing.assert_allclose(shifted, [4 * 3**2], rtol=1e-4)
    _, std = channel_moments(x)
    mean = x.mean((1, 2), keepdims=True)
    stretched = losses.moments_loss(channel_moments(mean + 2 * (x - mean)), channel_moments(x))
    np.testing.assert_allclose(stretched, ops.sum(ops.square(std), -1), rtol=1e-4)


def test_gram_loss_is_gatys_layer_energy():
    """E = sum{(G - A)**2} / (4 N**2 M**2), with sums over positions in G and A."""
    a, b = features(2, 4, 5, 3), features(2, 4, 5, 3)
    flat_a, flat_b = (np.float64(x).reshape(2, 20, 3) for x in (a, b))
    grams = [flat.transpose(0, 2, 1) @ flat for flat in (flat_a, flat_b)]
    energy = ((grams[0] - grams[1]) ** 2).sum((1, 2)) / (4 * 3**2 * 20**2)
    found = losses.gram_loss(gram_matrix(a), gram_matrix(b))
    assert found.shape == (2,) and found.dtype == "float32"
    np.testing.assert_allclose(found, energy, rtol=1e-4)


def test_covariance_loss_does_not_depend_on_the_features_size_or_means():
    a, b = features(2, 4, 5, 3), features(2, 7, 3, 3)
    found = losses.covariance_loss(covariance_matrix(a), covariance_matrix(b))
    assert found.shape == (2,) and found.dtype == "float32"
    large = losses.covariance_loss(covariance_matrix(9 * a + 1), covariance_matrix(9 * b - 2))
    np.testing.assert_allclose(large, found, rtol=1e-3)
    flat = losses.covariance_loss(covariance_matrix(0 * a + 1), covariance_matrix(b))
    np.testing.assert_allclose(flat, [1, 1], rtol=1e-4)
    assert np.isfinite(losses.covariance_loss(covariance_matrix(a), covariance_matrix(0 * b))).all()


def test_linear_loss_is_the_mean_square_of_the_means_difference():
    a, b = features(2, 4, 5, 6), features(2, 7, 3, 6)
    expected = ((np.float64(a).mean((1, 2)) - np.float64(b).mean((1, 2))) ** 2).mean(-1)
    found = losses.linear_loss(position_mean(a), position_mean(b))
    assert found.shape == (2,) and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_unknown_reduction():
    with pytest.raises(KeyError, match="median"):
        losses.moments_loss((0, 0), (0, 0), "median")
