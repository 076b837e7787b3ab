"""Style losses by name, and what each layer and loss counts.

Style losses are distances of distributions: a layer's features, one vector for each position,
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

from tf_style.config import Options
from tf_style.errors import UserError
from tf_style.mixtures import weighted
from tf_style.nn.losses import gram_loss, linear_loss, moments_loss
from tf_style.nn.statistics import channel_moments, gram_matrix, merge_moments, position_mean
from tf_style.nn.vgg import layers_up_to

__all__ = [
    "STYLE_LOSSES",
    "LossWeights",
    "StyleLoss",
    "fourier_features",
    "gaussian_bandwidth",
    "layers_that_count",
    "loss_weights",
    "style_loss",
]


def gaussian_bandwidth(features: keras.KerasTensor) -> float:
    """Return the Gaussian kernel's bandwidth: the root mean square distance of two positions, by
    sqrt(2).

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
        seed: Seed of W and of the positions.

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
    # The parts' EPSILONs add up to the whole's.
    means, stds = moments
    mean, variance = merge_moments(means, ops.square(stds), shares)
    return mean[None], ops.sqrt(variance)[None]


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
    """Return a style loss by its name, for a style with these features.

    Args:
        name: `gram`, `polynomial`, `linear`, `moments` or `gaussian`.
        features: `(batch, height, width, channels)` of the style: the Gaussian kernel takes its
            bandwidth from them.
        seed: Seed of the Gaussian kernel's frequencies.

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


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """What every part of the objective counts.

    Args:
        content: {layer: weight}.
        style: {(layer, style loss): weight}.
        tv: Weight of the total variation.

    Example:
        >>> LossWeights({"relu4_2": 1.0}, {("relu1_1", "gram"): 1000.0}).layers
        ('relu4_2', 'relu1_1')
    """

    content: dict[str, float]
    style: dict[tuple[str, str], float]
    tv: float = 0.0

    def __post_init__(self):
        kept = {name: {key: weight for key, weight in getattr(self, name).items() if weight}
                for name in ("content", "style")}  # fmt: skip
        for name, weights in kept.items():
            object.__setattr__(self, name, weights)
        if not self.layers:
            raise UserError("The weights of content and style are all zero: nothing to optimise.")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that take part, each once."""
        return tuple(dict.fromkeys([*self.content, *(layer for layer, _ in self.style)]))


def layers_that_count(config: Options) -> tuple[str, ...]:
    """Names of the layers that `loss_weights` will have, before an encoder is built for them.

    Raises:
        UserError: An unknown layer, or nothing to optimise.
    """
    named = (*weighted(config.content_layers), *weighted(config.style_layers))
    return loss_weights(
        config, dict.fromkeys(layers_up_to(config.encoder, list(named)), 1.0)
    ).layers


def loss_weights(config: Options, layer_factors: dict[str, float]) -> LossWeights:
    """Return what each layer and style loss counts with the encoder's normalised layers.

    A layer that is `factor` times the raw one has factor**degree times its loss, so

        weight = weight for raw VGG / factor**degree

    Args:
        config: Its weights, and `weights_for`: whether they are meant for raw VGG.
        layer_factors: Factors of every layer, from `build_encoder`.

    Example:
        >>> from tf_style.gatys.config import GatysConfig
        >>> config = GatysConfig(style_layers=("relu1_1", "relu2_1:3"), style_weight=8)
        >>> loss_weights(config, {}).style
        {('relu1_1', 'gram'): 2.0, ('relu2_1', 'gram'): 6.0}
    """
    raw = config.weights_for == "raw"

    def converted(weight, layer, degree):
        return weight / layer_factors[layer] ** degree if raw else weight

    content = weighted(config.content_layers)
    style, kernels = weighted(config.style_layers), weighted(config.style_loss)
    degrees = {name: loss.degree if loss else 0 for name, loss in STYLE_LOSSES.items()}
    return LossWeights(
        {k: converted(config.content_weight * w, k, 2) for k, w in content.items()},
        {
            (layer, name): converted(config.style_weight * w * share, layer, degrees[name])
            for layer, w in style.items()
            for name, share in kernels.items()
        },
        config.tv_weight,
    )
