"""The mathematics of style: channel moments, Gram matrix, total variation.

Pure functions of tensors in the layout (batch, height, width, channels). Statistics are computed
in float32 whatever the compute type: squares of bfloat16 activations lose low contrasts.
"""

import keras
import numpy as np
from keras import ops

import tf_style

__all__ = [
    "EPSILON",
    "Moments",
    "channel_moments",
    "checkerboard_energy",
    "covariance_matrix",
    "gram_matrix",
    "merge_moments",
    "position_mean",
    "total_variation",
]

# Here, since whatever computes imports this module, by whichever door it came.
tf_style.check_backend()

# Inside every square root of a variance, as in Huang & Belongie's normalisation; without it the
# gradient of a constant channel's standard deviation is infinite.
EPSILON = 1e-5


def channel_moments(
    features: keras.KerasTensor, weights: keras.KerasTensor | None = None
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Mean and standard deviation of every channel over the positions of one picture.

        mean[b, c] = mean{ x[b, i, j, c] }
        std[b, c]  = sqrt( mean{ (x[b, i, j, c] - mean[b, c])**2 } + EPSILON )

    The variance is the biased one and EPSILON stands inside the root, for content, style and loss
    alike (the authors' code adds it in some of these places only).

    Args:
        features: Tensor `(batch, height, width, channels)` of any float type.
        weights: `(batch, height, width)`, 0 or more: how much each position counts; None: all
            alike.

    Returns:
        Mean and standard deviation, each `(batch, channels)`, float32.

    Example:
        >>> mean, std = channel_moments(np.ones((1, 4, 4, 2)))
        >>> print(np.round(mean, 3), np.round(std, 3))
        [[1. 1.]] [[0.003 0.003]]

    Reference: https://arxiv.org/abs/1703.06868, equations 5 to 7.
    """
    features = ops.cast(features, "float32")
    mean = position_mean(features, weights)
    # Of the differences: E[x**2] - E[x]**2 cancels where the mean is large against the spread.
    variance = position_mean(ops.square(features - ops.expand_dims(mean, (1, 2))), weights)
    return mean, ops.sqrt(variance + EPSILON)


def position_mean(
    features: keras.KerasTensor, weights: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Mean of every channel over the positions of one picture, or of a region of it.

        mean[b, c] = sum{ w[b, i, j] * x[b, i, j, c] } / sum{ w[b, i, j] }

    Row by row first: in one float32 sum of a million positions the last three of seven digits are
    lost (2e-5 of the mean, against 7e-7), and a picture and its tiles differ.

    Args:
        features: Tensor `(batch, height, width, channels)` of any float type.
        weights: `(batch, height, width)`, 0 or more and not all 0; None: all alike.

    Returns:
        `(batch, channels)`, float32.

    Example:
        >>> left = np.float32([[[1, 0], [1, 0]]])
        >>> position_mean(np.arange(4.0).reshape(1, 2, 2, 1), left).numpy().tolist()
        [[1.0]]
    """
    features = ops.cast(features, "float32")
    if weights is None:
        return ops.mean(ops.mean(features, axis=2), axis=1)
    return ops.sum(ops.sum(features * _shares(weights)[..., None], axis=2), axis=1)


def _shares(weights: keras.KerasTensor) -> keras.KerasTensor:
    """Weights of positions that sum to one."""
    weights = ops.cast(weights, "float32")
    return weights / ops.sum(weights, axis=(1, 2), keepdims=True)


def gram_matrix(
    features: keras.KerasTensor, weights: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Second moments of the channels, averaged over the positions.

        G[b, c, d] = mean{ x[b, i, j, c] * x[b, i, j, d] }

    Gatys et al. sum over positions and divide by the position count in the loss; the mean here
    gives the same loss and does not depend on the picture's size. With weights it is the guided
    Gram matrix of Gatys et al. 2017 with T**2 = w / sum{w}.

    Args:
        features: Tensor `(batch, height, width, channels)` of any float type.
        weights: `(batch, height, width)`, 0 or more: how much each position counts; None: all
            alike.

    Returns:
        Tensor `(batch, channels, channels)`, float32.

    Example:
        >>> gram_matrix(np.ones((1, 4, 4, 2))).numpy().tolist()
        [[[1.0, 1.0], [1.0, 1.0]]]

    References: https://arxiv.org/abs/1508.06576, equation 3; with weights
    https://arxiv.org/abs/1611.07865, equation 4.
    """
    features = ops.cast(features, "float32")
    _, height, width, channels = ops.shape(features)
    flat = ops.reshape(features, (-1, height * width, channels))
    if weights is None:
        positions = ops.cast(height * width, "float32")
        return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / positions
    weighted = flat * ops.reshape(_shares(weights), (-1, height * width, 1))
    return ops.matmul(ops.transpose(weighted, (0, 2, 1)), flat)


def covariance_matrix(
    features: keras.KerasTensor, weights: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Gram matrix of the features less their means.

        C[b, c, d] = mean{ (x[b, i, j, c] - mean[b, c]) * (x[b, i, j, d] - mean[b, d]) }

    Which features go together, without the means, which are mostly colour.

    Args:
        features: Tensor `(batch, height, width, channels)` of any float type.
        weights: `(batch, height, width)`, 0 or more: how much each position counts; None: all
            alike.

    Returns:
        Tensor `(batch, channels, channels)`, float32.

    Example:
        >>> checks = np.indices((4, 4)).sum(0) % 2
        >>> covariance_matrix(np.stack([checks, -checks], -1)[None]).numpy().tolist()
        [[[0.25, -0.25], [-0.25, 0.25]]]

    Reference: Sun et al. 2016, https://arxiv.org/abs/1612.01939, who compare them (CORAL).
    """
    features = ops.cast(features, "float32")
    return gram_matrix(features - position_mean(features, weights)[:, None, None], weights)


def total_variation(image: keras.KerasTensor) -> keras.KerasTensor:
    """Mean squared difference of neighbouring pixels, down and across.

        TV[b] = mean{ (x[i+1, j] - x[i, j])**2 } + mean{ (x[i, j+1] - x[i, j])**2 }

    Means, where most code sums: a weight then holds for every picture size.

    Args:
        image: Tensor `(batch, height, width, channels)`; both sides 2 px or more.

    Returns:
        Tensor `(batch,)`, float32.

    Example:
        >>> board = np.indices((4, 4)).sum(0)[None, ..., None] % 2
        >>> total_variation(board).numpy().tolist()
        [2.0]

    Reference: https://arxiv.org/abs/1412.0035, section 3.2 (with exponent beta = 2).
    """
    return _squared_differences(image, 1)


def checkerboard_energy(image: keras.KerasTensor) -> keras.KerasTensor:
    """Mean square of what has a period of two pixels, down and across: checkerboards and stripes.

        d = [1, -4, 6, -4, 1] / 16                   the fourth difference
        C[b] = mean{ (d * x down)**2 } + mean{ (d * x across)**2 }

    * is correlation. d answers a frequency of w with sin(w / 2)**4: 1 to a change of sign from
    pixel to pixel, 1/4 to a period of four, so that other detail hardly counts; total variation
    counts every edge.

    Args:
        image: Tensor `(batch, height, width, channels)`; both sides 5 px or more.

    Returns:
        Tensor `(batch,)`, float32.

    Example:
        >>> board = np.indices((8, 8)).sum(0)[None, ..., None] % 2
        >>> checkerboard_energy(board).numpy().tolist()
        [0.5]

    Reference: where the patterns come from, https://distill.pub/2016/deconv-checkerboard; the loss
    is ours.
    """
    return _squared_differences(image, 4) / 16**2


def _squared_differences(image, order):
    """Mean squares of the differences of that order, down and across, summed."""
    image = ops.cast(image, "float32")
    down, across = (ops.square(ops.diff(image, order, axis)) for axis in (1, 2))
    return ops.mean(down, (1, 2, 3)) + ops.mean(across, (1, 2, 3))


def merge_moments(
    means: keras.KerasTensor, variances: keras.KerasTensor, shares: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Mean and variance of a whole from those of its parts.

        mean     = sum{ share_i * mean_i }
        variance = sum{ share_i * (variance_i + (mean_i - mean)**2) }

    Args:
        means: `(parts, channels)` of any float type.
        variances: The same shape; a constant that all of them have more, the whole has too.
        shares: `(parts,)`, the part of the positions that each has, with the sum 1.

    Returns:
        Mean and variance, each `(channels,)`, of the arguments' type.

    Example:
        >>> mean, variance = merge_moments([[0.0], [2.0]], [[0.0], [0.0]], [0.5, 0.5])
        >>> float(mean[0]), float(variance[0])
        (1.0, 1.0)

    Reference: https://www.cs.yale.edu/publications/techreports/tr222.pdf
    """
    mean = ops.tensordot(shares, means, axes=1)
    return mean, ops.tensordot(shares, variances + ops.square(means - mean), axes=1)


class Moments:
    """Channel moments of a picture, gathered from parts that cover it.

    They are merged in float64.

    Example:
        >>> moments = Moments()
        >>> for value in (0, 2):
        ...     moments.add(np.full((1, 2, 2, 1), value, "float32"))
        >>> moments.statistics().round(3).tolist()
        [[[1.0], [1.0]]]
    """

    def __init__(self):
        self._counts, self._means, self._variances = [], [], []

    def add(self, features: keras.KerasTensor) -> None:
        """Count in a part.

        Args:
            features: `(1, height, width, channels)` of any float type.
        """
        features = ops.cast(features, "float32")
        _, height, width, _ = features.shape
        mean = position_mean(features)
        variance = position_mean(ops.square(features - mean[:, None, None]))
        self._counts.append(height * width)
        self._means.append(mean[0])
        self._variances.append(variance[0])

    def statistics(self) -> np.ndarray:
        """Return the whole's means and standard deviations, `(1, 2, channels)`, float32."""
        means, variances = np.float64(self._means), np.float64(self._variances)
        shares = np.float64(self._counts) / sum(self._counts)
        mean, variance = merge_moments(means, variances, shares)
        return np.float32([[mean, np.sqrt(variance + EPSILON)]])
