"""Numbers without bounds that stand for pixels in [0, 1]."""

import numpy as np
import pytest
import tensorflow as tf

from tf_style.gatys.bounds import BOUNDED, UNBOUNDED

IMAGE = np.linspace(0, 1, 60, dtype="float32").reshape(4, 5, 3)
# Pixels in [0, 1], where nothing is clipped, on the way up and down.
INSIDE = np.concatenate([BOUNDED.start(IMAGE), 2 - BOUNDED.start(IMAGE)])
ANYWHERE = np.random.default_rng(2).normal(0, 3, 500).astype("float32")


@pytest.mark.parametrize("variable", [BOUNDED, UNBOUNDED])
def test_there_and_back(variable):
    z = variable.start(IMAGE)
    assert z.dtype == np.float32 and z.shape == (60,)
    np.testing.assert_allclose(variable.image(z), IMAGE.ravel(), atol=1e-6)


@pytest.mark.parametrize("variable", [BOUNDED, UNBOUNDED])
def test_every_number_is_a_pixel(variable):
    pixels = variable.image(ANYWHERE).numpy()
    assert pixels.min() >= 0 and pixels.max() <= 1 and pixels.std() > 0.1


def test_the_gradient_is_that_of_the_pixels_by_the_chain_rule():
    def cubic(x):
        return tf.reduce_sum(x**3), 3 * x**2

    z = tf.constant(INSIDE)
    with tf.GradientTape() as tape:
        tape.watch(z)
        expected = tf.reduce_sum(BOUNDED.image(z) ** 3)
    value, gradient = BOUNDED.of(cubic)(z)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, tape.gradient(expected, z), rtol=1e-4, atol=1e-5)
    assert UNBOUNDED.of(cubic) is cubic


def test_black_and_white_can_be_left():
    _, gradient = BOUNDED.of(lambda x: (tf.reduce_sum(x), tf.ones_like(x)))(
        BOUNDED.start(np.float32([0, 1]))
    )
    assert (gradient.numpy() > 0.1).all()
