"""Grain: weak noise on the photo, from which strokes grow where the photo itself is flat."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

__all__ = ["PERIOD", "Grain", "grain_pattern", "random_grain"]

# Pixels after which the pattern repeats: more than a convolution sees at once.
PERIOD = 256


@functools.cache
def grain_pattern() -> np.ndarray:
    """The pattern that use has, `(PERIOD, PERIOD, 1)`, float32: white noise of variance one.

    The same on every machine and in every version: of NumPy's generators the old one alone
    promises its numbers.
    """
    pattern = np.random.RandomState(0).standard_normal((PERIOD, PERIOD, 1)).astype("float32")
    pattern.setflags(write=False)
    return pattern


def random_grain(image: tf.Tensor, stddev: float, seed: tf.Tensor) -> tf.Tensor:
    """A batch with the noise that training has: another one for every seed.

    Args:
        image: `(batch, height, width, 3)`.
        stddev: Of the noise, in the image's unit.
        seed: Two integers.

    Example:
        >>> noise = random_grain(tf.zeros((1, 64, 64, 3)), 0.5, [0, 1])
        >>> abs(float(tf.math.reduce_std(noise)) - 0.5) < 0.02
        True
    """
    shape = tf.concat([tf.shape(image)[:3], [1]], axis=0)
    return image + stddev * tf.random.stateless_normal(shape, seed)


@keras.saving.register_keras_serializable(package="tf_style")
class Grain(keras.layers.Layer):
    """Lay a fixed noise over pictures.

        y[i, j] = x[i, j] + stddev * pattern[i mod PERIOD, j mod PERIOD]

    A network of convolutions gives a flat area one colour, however rich in strokes the style is:
    nothing in it says where one should be. The noise does. It is grey, and not clipped, as a white
    sky would lose half of it.

    Args:
        stddev: Of the noise, in the unit of the picture, 0 or more; 0 changes nothing.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        top: The picture's rows above the first one, if it is a part of a larger one.
        left: Columns, likewise.

    Output shape: the same.

    Example:
        >>> image = Grain(0.1)(keras.ops.ones((1, 300, 20, 3)))
        >>> bool(keras.ops.all(image[:, 256:] == image[:, :44])), image[0, 0, 0].numpy().tolist()
        (True, [1.1764051914215088, 1.1764051914215088, 1.1764051914215088])
    """

    def __init__(self, stddev: float = 0.0, **kwargs):
        # Written so that NaN fails too.
        if not 0 <= stddev < np.inf:
            raise ValueError(f"`stddev` must be 0 or more. Received: stddev={stddev}")
        super().__init__(**kwargs)
        self.stddev = stddev

    def call(self, inputs, top=0, left=0):
        if not self.stddev:
            return inputs
        _, height, width, _ = ops.shape(inputs)
        pattern = ops.convert_to_tensor(self.stddev * grain_pattern(), inputs.dtype)
        rows = (ops.arange(height, dtype="int32") + top) % PERIOD
        columns = (ops.arange(width, dtype="int32") + left) % PERIOD
        return inputs + ops.take(ops.take(pattern, rows, axis=0), columns, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"stddev": self.stddev}
