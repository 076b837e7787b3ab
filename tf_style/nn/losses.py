"""Losses: how far one description is from another. Pure functions, one number per example."""

import keras
from keras import ops

__all__ = [
    "STYLE_REDUCTIONS",
    "content_loss",
    "covariance_loss",
    "gram_loss",
    "linear_loss",
    "moments_loss",
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
    """Return a quarter of the mean squared difference of Gram matrices.

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
