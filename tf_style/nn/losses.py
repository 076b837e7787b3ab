"""Losses: how far one description is from another. Pure functions, one number per example.

The style losses are distances of distributions: a layer's features, one vector for each position,
are samples, and what is compared is their mean embedding under a kernel (Li et al. 2017,
https://arxiv.org/abs/1701.01036). With N channels and the mean taken over positions,

    MMD**2 = || mean{phi(x)} - mean{phi(y)} ||**2,   k(x, y) = phi(x) . phi(y)

    loss        kernel k(x, y)           statistics                   per layer
    linear      x.y / N                  means                        mean{dmean**2}
    polynomial  (x.y / N)**2             Gram matrix                  mean{dG**2}
    gram        a quarter of it          Gram matrix                  mean{dG**2} / 4 = E_l of Gatys
    gaussian    exp(-|x - y|**2 / 2s**2) random Fourier features      sum{dphi**2}
    moments     (batch-norm statistics)  means, standard deviations   mean{dmean**2 + dstd**2}

A sum of kernels is a kernel, so losses may be mixed. (x.y / N + c)**2 is polynomial and 2c times
linear. The authors' constants grow with the number of positions; these do not.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.statistics import channel_moments, gram_matrix, position_mean

__all__ = [
    "STYLE_LOSSES",
    "STYLE_REDUCTIONS",
    "StyleLoss",
    "content_loss",
    "covariance_loss",
    "fourier_features",
    "gaussian_bandwidth",
    "gram_loss",
    "linear_loss",
    "moments_loss",
    "style_loss",
]

# `sum` over channels is the authors' (train.lua, weight 1e-2; their released decoder 1e-1),
# `mean` the convention of the PyTorch ports (weight 10). w_sum = w_mean / channels, per layer.
STYLE_REDUCTIONS = {"sum": ops.sum, "mean": ops.mean}


def content_loss(features: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
    """Mean squared difference of features.

        L[b] = mean{ (features[b] - target[b])**2 }

    Args:
        features: `(batch, height, width, channels)` of any float type.
        target: The same shape.

    Returns:
        `(batch,)`, float32.

    Example:
        >>> content_loss(ops.ones((1, 2, 2, 3)), ops.zeros((1, 2, 2, 3))).numpy().tolist()
        [1.0]

    Reference: https://arxiv.org/abs/1703.06868, equation 12 (there without the square).
    """
    difference = ops.cast(features, "float32") - ops.cast(target, "float32")
    return ops.mean(ops.square(difference), axis=(1, 2, 3))


def moments_loss(moments: tuple, target: tuple, reduction: str = "sum") -> keras.KerasTensor:
    """Squared difference of the channels' means and standard deviations.

        L[b] = sum{ (mean[b] - target_mean[b])**2 } + sum{ (std[b] - target_std[b])**2 }

    Args:
        moments: Mean and standard deviation, each `(batch, channels)`.
        target: The same shapes.
        reduction: Over the channels: `sum` (the authors' code) or `mean`.

    Returns:
        `(batch,)`, float32.

    Example:
        >>> zero, one = ops.zeros((1, 4)), ops.ones((1, 4))
        >>> [float(moments_loss((zero, one), (one, one), r)[0]) for r in ("sum", "mean")]
        [4.0, 1.0]

    Reference: https://arxiv.org/abs/1703.06868, equation 13.
    """
    reduce = STYLE_REDUCTIONS[reduction]
    return sum(reduce(ops.square(a - b), axis=-1) for a, b in zip(moments, target, strict=True))


def gram_loss(gram: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
    """A quarter of the mean squared difference of Gram matrices.

        L[b] = mean{ (gram[b] - target[b])**2 } / 4

    This is Gatys' E_l = sum{(G - A)**2} / (4 N**2 M**2), where his G sums over the M positions.

    Args:
        gram: `(batch, channels, channels)`, from `gram_matrix`.
        target: The same shape.

    Returns:
        `(batch,)`, float32.

    Example:
        >>> gram_loss(2 * ops.ones((1, 3, 3)), ops.zeros((1, 3, 3))).numpy().tolist()
        [1.0]

    Reference: https://arxiv.org/abs/1508.06576, equation 4. It is a quarter of the squared MMD of
    the positions under the kernel (x.y / N)**2: https://arxiv.org/abs/1701.01036, equation 8.
    """
    return ops.mean(ops.square(gram - target), axis=(1, 2)) / 4


def covariance_loss(covariance: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
    """Squared difference of covariance matrices, relative to the target's own square.

        L[b] = mean{ (covariance[b] - target[b])**2 } / (mean{ target[b]**2 } + 1e-6)

    One of a flat picture is 1, whatever the target and the layer. Without the denominator it is of
    the fourth degree in the features, and of many pictures the few with the largest decide.

    Args:
        covariance: `(batch, channels, channels)`, from `covariance_matrix`.
        target: The same shape; 1e-6 is for those that are zero.

    Returns:
        `(batch,)`, float32.

    Example:
        >>> target = 100 * ops.ones((1, 3, 3))
        >>> [round(float(covariance_loss(x * target, target)[0]), 3) for x in (0.0, 1.0, 1.5)]
        [1.0, 0.0, 0.25]

    Reference: without the denominator CORAL, https://arxiv.org/abs/1607.01719, equation 1.
    """
    size = ops.mean(ops.square(target), axis=(1, 2))
    return ops.mean(ops.square(covariance - target), axis=(1, 2)) / (size + 1e-6)


def linear_loss(means: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
    """Mean squared difference of the channels' means: MMD with the kernel x.y / N.

        L[b] = mean{ (means[b] - target[b])**2 }

    Args:
        means: `(batch, channels)`, from `position_mean`.
        target: The same shape.

    Returns:
        `(batch,)`, float32.

    Example:
        >>> linear_loss(ops.ones((1, 4)), ops.zeros((1, 4))).numpy().tolist()
        [1.0]

    Reference: https://arxiv.org/abs/1701.01036, section 4.2.
    """
    return ops.mean(ops.square(means - target), axis=-1)


def gaussian_bandwidth(features: keras.KerasTensor) -> float:
    """The Gaussian kernel's bandwidth: the root mean square distance of two positions, by sqrt(2).

        2 s**2 = mean{ |x - y|**2 } = 2 sum{ var_c + EPSILON }

    Li et al. take it anew at every iteration, from sampled pairs; here it is closed and fixed.

    Args:
        features: `(batch, height, width, channels)` of the style.

    Raises:
        UserError: The features are not finite.

    Example:
        >>> x = np.float32([[[[0, 0], [2, 2]]]])
        >>> round(gaussian_bandwidth(x), 3)
        1.414
    """
    _, std = channel_moments(features)
    bandwidth = float(ops.sqrt(ops.mean(ops.sum(ops.square(std), axis=-1))))
    if not 0 < bandwidth < np.inf:
        raise UserError(
            f"The Gaussian kernel's bandwidth cannot be {bandwidth}: the features are not finite."
        )
    return bandwidth


# Fourier features of the Gaussian kernel, and positions they are taken at where a layer has more:
# their matrix is the largest thing in memory then (65536 x 256 float32 are 64 MiB).
FREQUENCIES = 128
POSITIONS = 2**16


def fourier_features(
    features: keras.KerasTensor,
    bandwidth: float,
    weights: keras.KerasTensor | None = None,
    seed: int = 0,
) -> keras.KerasTensor:
    """Mean embedding of the positions under the Gaussian kernel, by random Fourier features.

        phi(x) = [cos(x W), sin(x W)] / sqrt(D),   W ~ N(0, 1 / s**2),   (channels, D)
        phi(x) . phi(y) ~ exp(-|x - y|**2 / (2 s**2))

    Li et al. draw random pairs of positions at each iteration. Here every position takes part, and
    what is drawn (W, and the positions of a layer that has more than 65536) is fixed by the seed:
    value and gradient agree from one evaluation to the next, and the loss is never negative.

    Args:
        features: `(batch, height, width, channels)` of any float type.
        bandwidth: s, above 0.
        weights: `(batch, height, width)`, 0 or more: how much each position counts; None: all
            alike.
        seed: Of W and of the positions.

    Returns:
        `(batch, 2 D)` with D = 128, float32.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
        >>> phi = fourier_features(x, bandwidth=1.0)
        >>> phi.shape, bool(ops.sum(ops.square(phi)) <= 1)
        (TensorShape([1, 256]), True)

    Reference: Rahimi & Recht 2007, https://papers.nips.cc/paper/3182
    """
    features = ops.cast(features, "float32")
    batch, height, width, channels = ops.shape(features)
    flat = ops.reshape(features, (-1, 1, height * width, channels))
    if weights is None:
        weights = ops.ones((batch, height, width))
    shares = ops.reshape(ops.cast(weights, "float32"), (-1, 1, height * width))
    shares = ops.broadcast_to(shares, (batch, 1, height * width))
    if height * width > POSITIONS:
        # The largest of random keys, with those that count at all before the others.
        keys = tf.random.stateless_uniform((height * width,), [seed, 0])
        keys += ops.cast(shares > 0, "float32")
        _, drawn = tf.math.top_k(keys, POSITIONS, sorted=False)
        flat = tf.gather(flat, drawn, axis=2, batch_dims=2)
        shares = tf.gather(shares, drawn, axis=2, batch_dims=2)
    directions = np.random.default_rng(seed).normal(size=(channels, FREQUENCIES)) / bandwidth
    angles = ops.matmul(flat, ops.convert_to_tensor(directions, "float32"))
    waves = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
    return position_mean(waves, shares) / FREQUENCIES**0.5


@dataclasses.dataclass(frozen=True)
class StyleLoss:
    """One way to compare the style of two pictures at one layer.

    Args:
        statistics: `(features, weights=None)` -> statistics that do not depend on the size.
        distance: `(statistics, target)` -> `(batch,)`, float32.
        degree: If all features are multiplied by f, the loss is multiplied by f**degree.
        merge: `(statistics, shares)` -> statistics of a whole, the same with a batch of one, from
            those of its parts, which are the examples of the batch, and the share of the positions'
            weight that each part has, `(parts,)` with the sum 1; None where that is not enough.

    Example:
        >>> loss = STYLE_LOSSES["gram"]
        >>> one, two = ops.ones((1, 4, 4, 2)), 2 * ops.ones((1, 8, 8, 2))
        >>> loss.distance(loss.statistics(two), loss.statistics(one)).numpy().tolist()
        [2.25]
    """

    statistics: Callable
    distance: Callable
    degree: int
    merge: Callable | None = None


def _mean_of_parts(means, shares):
    return ops.tensordot(shares, means, axes=1)[None]


def _moments_of_parts(moments, shares):
    # Chan, Golub & LeVeque 1979; the parts' EPSILONs add up to the whole's.
    means, stds = moments
    mean = _mean_of_parts(means, shares)
    return mean, ops.sqrt(_mean_of_parts(ops.square(stds) + ops.square(means - mean), shares))


def _polynomial(gram, target):
    return 4 * gram_loss(gram, target)


def _mean_embedding(embedding, target):
    return ops.sum(ops.square(embedding - target), axis=-1)


STYLE_LOSSES = {
    "gram": StyleLoss(gram_matrix, gram_loss, 4, _mean_of_parts),
    "polynomial": StyleLoss(gram_matrix, _polynomial, 4, _mean_of_parts),
    "linear": StyleLoss(position_mean, linear_loss, 2, _mean_of_parts),
    "moments": StyleLoss(
        channel_moments, functools.partial(moments_loss, reduction="mean"), 2, _moments_of_parts
    ),
    "gaussian": None,  # Made by `style_loss`: its bandwidth is the style's.
}


def style_loss(name: str, features: keras.KerasTensor, seed: int = 0) -> StyleLoss:
    """A style loss by its name, for a style with these features.

    Args:
        name: `gram`, `polynomial`, `linear`, `moments` or `gaussian`.
        features: `(batch, height, width, channels)` of the style: the Gaussian kernel takes its
            bandwidth from them.
        seed: Of the Gaussian kernel's frequencies.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
        >>> loss = style_loss("gaussian", features)
        >>> loss.distance(loss.statistics(features), loss.statistics(features)).numpy().tolist()
        [0.0]
    """
    if name not in STYLE_LOSSES:
        raise UserError(f"A style loss is one of {', '.join(STYLE_LOSSES)}. Received: {name!r}")
    if name != "gaussian":
        return STYLE_LOSSES[name]
    bandwidth = gaussian_bandwidth(features)

    def statistics(features, weights=None):
        return fourier_features(features, bandwidth, weights, seed)

    return StyleLoss(statistics, _mean_embedding, 0)
