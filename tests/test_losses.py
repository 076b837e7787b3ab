import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tf_style import losses
from tf_style.ops import channel_moments, gram_matrix

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


def test_style_losses_do_not_depend_on_the_pictures_size():
    a, b = features(1, 4, 5, 3), features(1, 6, 6, 3)
    tiled = np.tile(a, (1, 3, 2, 1))
    for describe, loss in (
        (channel_moments, losses.moments_loss),
        (gram_matrix, losses.gram_loss),
    ):
        np.testing.assert_allclose(
            loss(describe(tiled), describe(b)), loss(describe(a), describe(b)), rtol=1e-4
        )


@pytest.mark.parametrize(
    "describe, loss",
    [
        (lambda x: x, losses.content_loss),
        (channel_moments, losses.moments_loss),
        (gram_matrix, losses.gram_loss),
    ],
)
def test_a_loss_is_nothing_between_equals_and_its_gradient_is_zero(describe, loss):
    x = tf.Variable(features(2, 4, 4, 3))
    with tf.GradientTape() as tape:
        found = loss(describe(x), describe(x.numpy()))
    assert found.numpy().tolist() == [0, 0]
    assert np.array_equal(tape.gradient(found, x), np.zeros(x.shape))


@pytest.mark.parametrize(
    "describe, loss",
    [
        (lambda x: x, losses.content_loss),
        (channel_moments, losses.moments_loss),
        (gram_matrix, losses.gram_loss),
    ],
)
def test_gradients_are_the_difference_quotient(describe, loss):
    x, target, step = features(1, 3, 3, 2), describe(features(1, 3, 3, 2)), features(1, 3, 3, 2)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = loss(describe(variable), target)
    slope = float(np.sum(tape.gradient(value, variable) * step))
    h = 1e-2
    rise = float((loss(describe(x + h * step), target) - loss(describe(x - h * step), target))[0])
    assert slope == pytest.approx(rise / (2 * h), rel=2e-2, abs=1e-3)


def test_unknown_reduction():
    with pytest.raises(KeyError, match="median"):
        losses.moments_loss((0, 0), (0, 0), "median")
