"""The layers that Keras does not have: AdaIN, conditional instance norm, reflection padding."""

import keras
import tensorflow as tf
from keras import ops

from tf_style.nn.statistics import channel_moments

__all__ = [
    "AdaIN",
    "ChannelStatistics",
    "ConditionalInstanceNorm",
    "CropLike",
    "PadToMultiple",
    "ReflectionPadding2D",
    "SquareResizing",
    "resizing_weights",
]


@keras.saving.register_keras_serializable(package="tf_style")
class ReflectionPadding2D(keras.layers.Layer):
    """Mirror the picture at its borders; the border line itself is not repeated.

    Zeros at the border are dark pixels to a convolution and come out as a frame; the authors'
    networks reflect before every convolution.

    In training and in bfloat16 the lines are copied, which on a processor takes a quarter of the
    time of TensorFlow's MirrorPad in bfloat16; in float32 in use MirrorPad, which takes less memory
    and one operation of an export. The bits are the same.

    Args:
        padding: Lines added at each of the four sides, 0 or more. The input needs more lines
            than that on each side.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, height + 2 * padding, width + 2 * padding, channels)`.

    Example:
        >>> row = keras.ops.reshape(keras.ops.arange(1.0, 10.0), (1, 3, 3, 1))
        >>> ReflectionPadding2D(1)(row)[0, 0, :, 0].numpy().tolist()
        [5.0, 4.0, 5.0, 6.0, 5.0]
    """

    def __init__(self, padding: int = 1, **kwargs):
        if padding < 0:
            raise ValueError(f"`padding` must be 0 or more. Received: padding={padding}")
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, inputs, training=False):
        lines = (self.padding, self.padding)
        if self.padding and training:
            return _copied_in_training(inputs, self.padding)
        if self.padding and keras.backend.standardize_dtype(inputs.dtype) == "bfloat16":
            return _copied(inputs, self.padding)
        return ops.pad(inputs, ((0, 0), lines, lines, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *_plus((height, width), 2 * self.padding), channels)

    def get_config(self):
        return super().get_config() | {"padding": self.padding}


@keras.saving.register_keras_serializable(package="tf_style")
class PadToMultiple(keras.layers.Layer):
    """Reflect the picture at its bottom and right until both sides are multiples of a number.

    Args:
        multiple: The number, 1 or more. Both sides must be longer than `multiple - 1`.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same with height and width rounded up.

    Example:
        >>> PadToMultiple(8)(keras.ops.zeros((1, 17, 24, 3))).shape
        TensorShape([1, 24, 24, 3])
    """

    def __init__(self, multiple: int = 8, **kwargs):
        if multiple < 1:
            raise ValueError(f"`multiple` must be 1 or more. Received: multiple={multiple}")
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, inputs):
        # By slices: after `ops.pad` by a number that depends on the picture, even the number of
        # channels is unknown, and converters refuse what follows.
        _, height, width, _ = ops.shape(inputs)
        below, right = self._missing(height), self._missing(width)
        lines = ops.flip(inputs[:, height - 1 - below : height - 1], axis=1)
        inputs = ops.concatenate([inputs, lines], axis=1)
        columns = ops.flip(inputs[:, :, width - 1 - right : width - 1], axis=2)
        return ops.concatenate([inputs, columns], axis=2)

    def _missing(self, side):
        # Not -side % multiple: converters take the remainder of a negative number another way.
        return self.multiple - 1 - (side - 1) % self.multiple

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        rounded = (side and side + -side % self.multiple for side in (height, width))
        return (batch, *rounded, channels)

    def get_config(self):
        return super().get_config() | {"multiple": self.multiple}


@keras.saving.register_keras_serializable(package="tf_style")
class CropLike(keras.layers.Layer):
    """Cut the first picture's bottom and right to the size of the second: undoes `PadToMultiple`.

    Example:
        >>> CropLike()(keras.ops.zeros((1, 24, 24, 3)), keras.ops.zeros((1, 17, 24, 3))).shape
        TensorShape([1, 17, 24, 3])
    """

    def call(self, inputs, like):
        _, height, width, _ = ops.shape(like)
        return inputs[:, :height, :width]

    def compute_output_shape(self, inputs_shape, like_shape):
        return (inputs_shape[0], *like_shape[1:3], inputs_shape[3])


@keras.saving.register_keras_serializable(package="tf_style")
class SquareResizing(keras.layers.Layer):
    """Bring a picture of any size to a square, bilinear and antialiased.

        y[i, j] = sum{ h[i, m] * w[j, n] * x[m, n] }

    with `resizing_weights` h of the height and w of the width. Keras' `Resizing` gives the same by
    an operation that only TensorFlow has; two matrix products run wherever a model is exported to.

    Args:
        side: Side of the square, in pixels.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, side, side, channels)`, float32.

    Example:
        >>> SquareResizing(4)(keras.ops.ones((1, 9, 6, 3))).shape
        TensorShape([1, 4, 4, 3])
    """

    def __init__(self, side: int, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.side = side

    def call(self, inputs):
        _, height, width, channels = ops.shape(inputs)
        rows = ops.einsum("im,bmnc->binc", resizing_weights(height, self.side), inputs)
        square = ops.einsum("jn,binc->bijc", resizing_weights(width, self.side), rows)
        # The same, but that the shape is known to what follows.
        return ops.reshape(square, (-1, self.side, self.side, channels))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.side, self.side, input_shape[3])

    def get_config(self):
        return super().get_config() | {"side": self.side}


@keras.saving.register_keras_serializable(package="tf_style")
class ChannelStatistics(keras.layers.Layer):
    """Features to the style statistics of AdaIN: mean and standard deviation of every channel.

    Always float32. Of several styles a weighted mean of their statistics is the paper's
    interpolation: AdaIN is linear in them.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, 2, channels)`: the means, then the standard deviations.

    Example:
        >>> ChannelStatistics()(keras.ops.ones((1, 4, 4, 512))).shape
        TensorShape([1, 2, 512])
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, inputs):
        return ops.stack(channel_moments(inputs), axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2, input_shape[-1])


@keras.saving.register_keras_serializable(package="tf_style")
class AdaIN(keras.layers.Layer):
    """Adaptive instance normalisation: give the content's features the style's statistics.

        AdaIN(x, y)        = std(y) * (x - mean(x)) / std(x) + mean(y)
        AdaIN(x, y, alpha) = alpha * AdaIN(x, y) + (1 - alpha) * x

    It has no weights. Mean and standard deviation are taken over the positions of each picture
    and channel, in float32, `EPSILON` inside the root on both sides (the authors' code adds it to
    the content's only).

    Call arguments:
        content: Features `(batch, height, width, channels)`.
        statistics: The style's, `(batch, 2, channels)`, from `ChannelStatistics`.
        alpha: Strength in [0, 1], `(batch,)`; 0 returns the content's features.
        moments: Moments of the whole picture, where `content` is a tile of it, as `statistics`;
            None: the content's own.

    Output shape: the content's.

    Example:
        >>> content, style = keras.random.normal((2, 1, 8, 8, 4))
        >>> blended = AdaIN()(content, ChannelStatistics()(style), keras.ops.ones(1))
        >>> difference = ChannelStatistics()(blended) - ChannelStatistics()(style)
        >>> bool(keras.ops.max(keras.ops.abs(difference)) < 1e-4)
        True

    Reference: https://arxiv.org/abs/1703.06868, equations 8 and 14.
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, content, statistics, alpha, moments=None):
        own = channel_moments(content) if moments is None else ops.unstack(moments, axis=1)
        moments = (*own, *ops.unstack(statistics, axis=1))
        mean, std, style_mean, style_std = (ops.expand_dims(m, (1, 2)) for m in moments)
        alpha = ops.reshape(alpha, (-1, 1, 1, 1))
        # One scale and one shift a channel, so that the features are gone over twice only.
        scale = style_std / std
        shift = style_mean - mean * scale
        return content * (1 + alpha * (scale - 1)) + alpha * shift

    def compute_output_shape(
        self, content_shape, statistics_shape=None, alpha_shape=None, moments_shape=None
    ):
        return content_shape


@keras.saving.register_keras_serializable(package="tf_style")
class ConditionalInstanceNorm(keras.layers.Layer):
    """Instance normalisation whose scale and shift are inputs: what a style is.

        y = scale * (x - mean(x)) / std(x) + shift

    It has no weights: a table of styles or a predictor gives scale and shift. Mean and standard
    deviation are those of each picture and channel, in float32, in training as in use: batch
    statistics would make a picture depend on its neighbours.

    Args:
        channels: Channels of the features.

    Call arguments:
        features: `(batch, height, width, channels)`.
        parameters: `(batch, 2 * channels)`: the scales, then the shifts.
        moments: `(batch, 2, channels)`, mean and standard deviation of the whole picture, where
            `features` are a tile of it; None: the features' own.

    Output shape: the features'.

    Example:
        >>> features = keras.random.normal((2, 8, 8, 4))
        >>> parameters = keras.ops.convert_to_tensor([4 * [2.0] + 4 * [1.0]] * 2)
        >>> mean, std = channel_moments(ConditionalInstanceNorm(4)(features, parameters))
        >>> print(mean.numpy().round(2)[0], std.numpy().round(2)[0])
        [1. 1. 1. 1.] [2. 2. 2. 2.]

    Reference: https://arxiv.org/abs/1610.07629, equation 5.
    """

    def __init__(self, channels: int, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.channels = channels

    def call(self, features, parameters, moments=None):
        own = channel_moments(features) if moments is None else ops.unstack(moments, axis=1)
        mean, std = own
        scale = parameters[:, : self.channels] / std
        shift = parameters[:, self.channels :] - mean * scale
        return features * scale[:, None, None] + shift[:, None, None]

    def compute_output_shape(self, features_shape, parameters_shape=None, moments_shape=None):
        return features_shape

    def get_config(self):
        return super().get_config() | {"channels": self.channels}


def resizing_weights(size: int, new_size: int) -> keras.KerasTensor:
    """Return how much each line counts in each line of a resized picture: bilinear and antialiased.

        h[i, m] = max(0, 1 - |m + 1/2 - (i + 1/2) * s| / max(s, 1)), rows scaled to sum one

    with s = size / new_size.

    Args:
        size: Lines of the picture.
        new_size: Lines that it is to have.

    Returns:
        `(new_size, size)`, float32.

    Example:
        >>> print(resizing_weights(4, 2).numpy().round(3))
        [[0.429 0.429 0.143 0.   ]
         [0.    0.143 0.429 0.429]]
    """
    scale = ops.cast(size, "float32") / new_size
    centers = (ops.arange(new_size, dtype="float32") + 0.5) * scale
    pixels = ops.arange(size, dtype="float32") + 0.5
    distances = ops.abs(pixels - centers[:, None]) / ops.maximum(scale, 1.0)
    weights = ops.maximum(1.0 - distances, 0.0)
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _copied(x, lines):
    """What MirrorPad gives."""

    def turned(side, axis):
        # A slice of negative stride is slower than one that is turned round.
        return side if lines == 1 else tf.reverse(side, [axis])

    above, below = x[:, 1 : lines + 1], x[:, -lines - 1 : -1]
    x = tf.concat([turned(above, 1), x, turned(below, 1)], axis=1)
    left, right = x[:, :, 1 : lines + 1], x[:, :, -lines - 1 : -1]
    return tf.concat([turned(left, 2), x, turned(right, 2)], axis=2)


def _copied_in_training(inputs, lines):
    """The same, with MirrorPad's gradient, which adds into the picture and is fast as it is."""

    @tf.custom_gradient
    def reflect(x):
        def gradient(upstream):
            around = [[0, 0], [lines, lines], [lines, lines], [0, 0]]
            return tf.raw_ops.MirrorPadGrad(input=upstream, paddings=around, mode="REFLECT")

        return _copied(x, lines), gradient

    return reflect(inputs)


def _plus(sides, lines):
    return tuple(side and side + lines for side in sides)
