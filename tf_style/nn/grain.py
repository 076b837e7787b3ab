"""Grain: weak noise on the photo, from which strokes grow where the photo itself is flat."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

__all__ = ["PERIOD", "SCALES", "Grain", "grain_pattern", "random_grain"]

# Pixels after which the pattern repeats: so many that no eye finds it among the strokes.
PERIOD = 512

# Standard deviations of the Gaussians, in pixels. From white noise alone all strokes have one
# size, and some paintings ruled lines in their place.
SCALES = (0, 1, 2, 4, 8)


@functools.cache
def grain_pattern() -> np.ndarray:
    """Return the pattern, `(PERIOD, PERIOD, 1)`, float32, of mean zero and variance one.

        pattern = mean over s of SCALES{ blurred_s(white noise_s) } * sqrt(len(SCALES))

    each noise blurred by a Gaussian, across the edges too, so that the pattern has none where it
    repeats, and brought to variance one again. The same on every machine and in every version:
    of NumPy's generators the old one alone promises its numbers.
    """
    white = np.random.RandomState(0).standard_normal((len(SCALES), PERIOD, PERIOD))
    frequencies = np.fft.fftfreq(PERIOD)
    squares = frequencies[:, None] ** 2 + frequencies**2
    pattern = 0
    for scale, noise in zip(SCALES, white, strict=True):
        spectrum = np.fft.fft2(noise) * np.exp(-2 * (np.pi * scale) ** 2 * squares)
        spectrum[0, 0] = 0
        blurred = np.fft.ifft2(spectrum).real
        pattern += blurred / blurred.std()
    pattern = (pattern / pattern.std())[..., None].astype("float32")
    pattern.setflags(write=False)
    return pattern


def random_grain(image: tf.Tensor, stddev: float, seed: tf.Tensor) -> tf.Tensor:
    """Return a batch with the grain of training: from another place of the pattern for every seed.

    Args:
        image: `(batch, height, width, 3)`.
        stddev: Standard deviation of the grain, in the image's unit.
        seed: Two integers.

    Example:
        >>> noise = random_grain(tf.zeros((1, 64, 64, 3)), 0.5, [0, 1])
        >>> abs(float(tf.math.reduce_std(noise)) - 0.5) < 0.05
        True
    """
    top, left = tf.unstack(tf.random.stateless_uniform([2], seed, 0, PERIOD, tf.int32))
    return Grain(stddev)(image, top=top, left=left)


@keras.saving.register_keras_serializable(package="tf_style")
class Grain(keras.layers.Layer):
    """Lay a fixed noise over pictures.

        y[i, j] = x[i, j] + stddev * pattern[i mod PERIOD, j mod PERIOD]

    A network of convolutions gives a flat area one colour, however rich in strokes the style is:
    nothing in it says where one should be. The noise does. It is grey, and not clipped, as a white
    sky would lose half of it.

    Args:
        stddev: Standard deviation of the noise, in the unit of the picture, 0 or more; 0 changes
            nothing.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        top: The picture's rows above the first one, if it is a part of a larger one.
        left: The columns left of the first one.

    Output shape: the same.

    Example:
        >>> image = Grain(0.1)(keras.ops.ones((1, 600, 20, 3)))
        >>> bool(keras.ops.all(image[:, 512:] == image[:, :88])), image[0, 0, 0].numpy().round(3)
        (True, array([1.016, 1.016, 1.016], dtype=float32))
    """

    def __init__(self, stddev: float = 0.0, dtype="float32", **kwargs):
        # Written so that NaN fails too.
        if not 0 <= stddev < np.inf:
            raise ValueError(f"`stddev` must be 0 or more. Received: stddev={stddev}")
        super().__init__(dtype=dtype, **kwargs)
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
