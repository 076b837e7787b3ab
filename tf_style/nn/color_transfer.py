"""Colour transfer: the photo in the painting's palette, before it is encoded."""

import keras
import numpy as np
from keras import ops

from tf_style.images.color import LUMA
from tf_style.nn.statistics import channel_moments

__all__ = ["ColorTransfer", "color_channels"]

# Luma, then two differences of colours: how light a place is depends on the photo's
# luma alone, which colour it has on all three.
AXES = np.float32([LUMA, [1, -1, 0], [0.5, 0.5, -1]])

# The sums of two axes tell their covariance: cov(a, b) = (var(a + b) - var(a) - var(b)) / 2.
CHANNELS = np.concatenate([AXES, AXES[[0, 0, 1]] + AXES[[1, 2, 2]]])

# Variance added to each axis: a grey photo has none of colours, and no gain makes any of it.
# (2.5/255)**2, as in `match_color`.
SHRINKAGE = 1e-4

# Part of its own variance added to each difference of colours, of photo and painting alike. Of a
# photo of nearly one hue, where one axis tells another, what little it does not tell would else be
# stretched to the painting's hues: a bright spot becomes a neon blotch. Found by eye.
RIDGE = 0.2


def color_channels(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return what the palette is measured in: three axes of colour, and their sums two by two.

        a, b, c = luma, R - G, (R + G) / 2 - B
        channels = a, b, c, a + b, a + c, b + c

    Their moments say what mean and covariance of R, G and B say, and are of one kind with those
    of features: they are merged from tiles and blended in the same way.

    Args:
        image: `(batch, height, width, 3)`, RGB.

    Returns:
        `(batch, height, width, 6)`, float32.

    Example:
        >>> color_channels(keras.ops.ones((1, 1, 1, 3))).numpy().round(3).tolist()
        [[[[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]]]
    """
    return _mixed(ops.cast(image, "float32"), CHANNELS.T)


def _mixed(image, columns):
    """Each pixel times a matrix, column by column: exact where products of matrices are not."""
    return sum(image[..., i : i + 1] * columns[i] for i in range(3))


def _factor(std):
    """Cholesky factor of the axes' covariance, row by row, each `(batch,)`.

        L L^T = C + SHRINKAGE I + RIDGE diag(0, C_bb, C_cc)

    In closed form, as neither TensorFlow Lite nor ONNX has the general one.
    """
    a, b, c, ab, ac, bc = ops.unstack(ops.square(std), axis=-1)

    def root(pivot):
        # Of one picture no pivot is less; a blend's moments need not be those of any picture.
        return ops.sqrt(ops.maximum(pivot, SHRINKAGE))

    first = root(a + SHRINKAGE)
    second_first, third_first = (ab - a - b) / 2 / first, (ac - a - c) / 2 / first
    second = root((1 + RIDGE) * b + SHRINKAGE - ops.square(second_first))
    third_second = ((bc - b - c) / 2 - second_first * third_first) / second
    third = root((1 + RIDGE) * c + SHRINKAGE - ops.square(third_first) - ops.square(third_second))
    return (first,), (second_first, second), (third_first, third_second, third)


@keras.saving.register_keras_serializable(package="tf_style")
class ColorTransfer(keras.layers.Layer):
    """Give a photo the mean and, nearly, the covariance of a painting's colours.

        y        = L_style L_photo**-1 (x - mean_photo) + mean_style    L L^T: the covariance
        y(alpha) = alpha * clip(y, 0, 1) + (1 - alpha) * x

    in the axes of `color_channels`. Of the maps that do it, this triangular one keeps the photo's
    light and dark: the luma of `y` is a scale and shift of that of `x`. AdaIN alone matches each
    channel of the features, which does not say which colours go together, so that the photo's hues
    shine through. Correlations of colours are counted weaker than they are, by a ridge of a fifth
    on both pictures, as a photo of one hue would else get blotches of neon: where the two differ
    in them the covariance is met less closely. A photo in its own colours is itself. It has no
    weights.

    Call arguments:
        content: Photos `(batch, height, width, 3)`.
        statistics: Statistics of the painting's `color_channels`, `(batch, 2, 6)`, from
            `ChannelStatistics`.
        alpha: Strength in [0, 1], `(batch,)`; 0 returns the photo.
        moments: Moments of the whole photo, where `content` is a tile of it, as `statistics`; None:
            the content's own.

    Output shape: the content's.

    Example:
        >>> from tf_style.nn.layers import ChannelStatistics
        >>> photo, painting = keras.random.uniform((2, 1, 8, 8, 3), 0.3, 0.7)
        >>> statistics = ChannelStatistics()(color_channels(painting))
        >>> colored = ColorTransfer()(photo, statistics, ops.ones(1))
        >>> bool(ops.max(ops.abs(ops.mean(colored - painting, axis=(1, 2)))) < 1e-3)
        True

    References: https://doi.org/10.1109/38.946629 (mean and deviation of each axis);
    https://doi.org/10.1049/cp:20070055 (covariances, and which map is best).
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, content, statistics, alpha, moments=None):
        if moments is None:
            mean, std = channel_moments(color_channels(content))
        else:
            mean, std = ops.unstack(moments, axis=1)
        style_mean, style_std = ops.unstack(statistics, axis=1)

        # M L_photo = L_style, solved from the diagonal to the left.
        (a,), (b, c), (d, e, f) = _factor(std)
        (p,), (q, r), (s, t, u) = _factor(style_std)
        m33 = u / f
        m32, m22 = (t - m33 * e) / c, r / c
        m31, m21, m11 = (s - m32 * b - m33 * d) / a, (q - m22 * b) / a, p / a
        none = ops.zeros_like(m11)
        rows = [m11, none, none], [m21, m22, none], [m31, m32, m33]
        matrix = ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)

        # Back to RGB.
        back = np.linalg.inv(AXES)
        matrix = ops.matmul(ops.matmul(back, matrix), AXES)
        mean, style_mean = (ops.matmul(x[:, :3], back.T) for x in (mean, style_mean))
        shift = style_mean - ops.sum(matrix * mean[:, None], axis=-1)
        columns = ops.expand_dims(ops.transpose(matrix, (2, 0, 1)), (2, 3))
        colored = _mixed(content, columns) + ops.expand_dims(shift, (1, 2))
        alpha = ops.reshape(alpha, (-1, 1, 1, 1))
        return alpha * ops.clip(colored, 0.0, 1.0) + (1 - alpha) * content

    def compute_output_shape(
        self, content_shape, statistics_shape=None, alpha_shape=None, moments_shape=None
    ):
        return content_shape
