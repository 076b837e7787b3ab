"""The objective of pixel optimisation: how far an image's description is from the target's."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.losses import content_loss
from tf_style.nn.statistics import total_variation
from tf_style.nn.style_losses import STYLE_LOSSES, LossWeights, style_loss
from tf_style.nn.vgg import VGGEncoder, stride_of

__all__ = ["Objective", "regions_at"]

# A region that has less than this share of a layer's positions has no style to speak of.
SMALLEST_REGION = 1e-4


class Objective:
    """The loss of an image as a function of its pixels, with its gradient.

        L(x) = sum{ weight_l * content_loss(f_l(x), f_l(content)), over content layers }
             + sum{ weight_lk * mean{ distance_k(s_k(f_l(x), r), target_lkr), over regions r } }
             + weight_tv * total_variation(x)

    with the statistics s_k of style loss k. Of several styles the target is the blend of their
    statistics: as those are mean embeddings, it is the style of their mixture. With masks the
    statistics are taken in each region alone (the guided Gram matrices of Gatys et al. 2017), and
    region r of the image is held against region r of the style.

    Args:
        encoder: Returns all of the weights' layers.
        content: Image `(height, width, 3)`, RGB in [0, 1]; gives the size of x.
        styles: Images of any size and how much each counts, or one image.
        weights: What each part counts.
        content_masks: Regions, each `(height, width)` in [0, 1] of the content's size.
        style_masks: One for each of them, of the style's size; needs one style.
        seed: Seed of the Gaussian kernel's random features.

    Example:
        >>> encoder = VGGEncoder("vgg16", ("relu1_1",))
        >>> photo = np.random.default_rng(0).random((32, 48, 3)).astype("float32")
        >>> objective = Objective(encoder, photo, photo, LossWeights({"relu1_1": 1.0}, {}))
        >>> value, gradient = objective(tf.reshape(photo, [-1]))
        >>> float(value), gradient.shape
        (0.0, TensorShape([4608]))

    References: https://doi.org/10.1109/CVPR.2016.265, https://arxiv.org/abs/1611.07865
    """

    def __init__(
        self,
        encoder: VGGEncoder,
        content: np.ndarray,
        styles: np.ndarray | list[tuple[np.ndarray, float]],
        weights: LossWeights,
        content_masks: list[np.ndarray] = (),
        style_masks: list[np.ndarray] = (),
        seed: int = 0,
    ):
        styles = [(styles, 1.0)] if isinstance(styles, np.ndarray) else styles
        self.encoder, self.weights, self.shape = encoder, weights, (1, *content.shape)
        self.seed = seed
        self.regions = self._regions(content, content_masks, "content")
        self.content = self._content_features(content)
        # The Gaussian kernel's follow with the first style, which its bandwidth is of.
        self.style_losses = {key: STYLE_LOSSES.get(key[1]) for key in weights.style}
        self.style, total = {}, sum(share for _, share in styles)
        for image, share in styles if weights.style else ():
            found = self._statistics(image, self._regions(image, style_masks, "style"))
            found = keras.tree.map_structure(lambda x, by=share / total: by * x, found)
            if self.style:
                found = keras.tree.map_structure(ops.add, self.style, found)
            self.style = found
        self.value_and_gradient = tf.function(
            self._value_and_gradient,
            input_signature=[tf.TensorSpec([int(np.prod(self.shape))])],
            autograph=False,
        )
        # `parts` compiled, where no gradient is needed.
        self.parts_of = tf.function(
            self.parts, input_signature=[tf.TensorSpec(self.shape)], autograph=False
        )

    def __call__(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Value, a scalar, and gradient `(n,)` for an image flattened to `(n,)`."""
        return self.value_and_gradient(pixels)

    def _value_and_gradient(self, pixels):
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            value = tf.reduce_sum(self.parts(tf.reshape(pixels, self.shape)))
        return value, tape.gradient(value, pixels)

    def parts(self, image: tf.Tensor) -> tf.Tensor:
        """Content, style and total variation of an image `(1, height, width, 3)`, weighted."""
        features, content = self.encoder(image), tf.zeros(1)
        for layer, weight in self.weights.content.items():
            content += weight * content_loss(features[layer], self.content[layer])
        style = self._style_part(self._described(features, self.regions))
        return tf.concat([content, style, self._tv_part(image)], axis=0)

    def _style_part(self, found):
        """Of statistics as `_described` gives them, their distance from the style's, weighted."""
        style = tf.zeros(1)
        for key, weight in self.weights.style.items():
            for of_region, target in zip(found[key], self.style[key], strict=True):
                distance = self.style_losses[key].distance(of_region, target)
                style += weight / len(self.style[key]) * distance
        return style

    def _tv_part(self, image):
        tv = self.weights.tv
        return tv * total_variation(image) if tv else tf.zeros(1)

    def _described(self, features, regions):
        """For every layer and style loss the statistics of each region."""
        return {
            (layer, kernel): [loss.statistics(features[layer], at) for at in regions[layer]]
            for (layer, kernel), loss in self.style_losses.items()
        }

    def _regions(self, image, masks, what):
        """The masks' regions at every layer of the style."""
        height, width, _ = image.shape
        layers = {layer: stride_of(layer) for layer, _ in self.weights.style}
        return {
            layer: regions_at(masks, (height // stride, width // stride), what, layer)
            for layer, stride in layers.items()
        }

    # What takes a whole picture's features, when the targets are set.

    def _content_features(self, image):
        features = self.encoder(image[None])
        return {layer: tf.identity(features[layer]) for layer in self.weights.content}

    def _statistics(self, image, regions):
        features = self.encoder(image[None])
        for (layer, kernel), loss in self.style_losses.items():
            if loss is None:
                loss = style_loss(kernel, features[layer], self.seed)
                self.style_losses[layer, kernel] = loss
        return self._described(features, regions)


def regions_at(
    masks: list[np.ndarray], size: tuple[int, int], what: str, layer: str
) -> list[tf.Tensor | None]:
    """Masks brought to a layer's size, as weights of its positions; without masks one None.

    Args:
        masks: Each `(height, width)` in [0, 1].
        size: The layer's height and width.
        what: Whose masks, for the sentence.
        layer: Name of the layer, for the sentence.

    Raises:
        UserError: A region is empty, or too small for the layer.

    Example:
        >>> left = np.float32([[1, 1, 1, 1, 0, 0, 0, 0]] * 8)
        >>> print(regions_at([left], (2, 2), "content", "relu3_1")[0].numpy().round(1))
        [[[0.9 0.1]
          [0.9 0.1]]]
    """
    regions = []
    for number, mask in enumerate(masks, 1):
        # Averages of the pixels that a position stands for.
        region = ops.image.resize(mask[None, ..., None], size, "bilinear", antialias=True)[..., 0]
        if not float(ops.mean(region)) > SMALLEST_REGION:
            raise UserError(
                f"Region {number} of the {what} masks is empty at {layer}, which has "
                f"{size[1]}x{size[0]} positions: paint it larger, or use a larger size."
            )
        regions.append(region)
    return regions or [None]
