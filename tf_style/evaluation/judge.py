"""The judge of pictures: content and style losses by one encoder, for every method alike."""

import numpy as np
import tensorflow as tf

from tf_style.evaluation.config import EvaluateConfig
from tf_style.nn.losses import content_loss, gram_loss, moments_loss
from tf_style.nn.statistics import channel_moments, covariance_matrix, gram_matrix
from tf_style.nn.vgg import build_encoder, layers_up_to, style_of

__all__ = ["Judge"]


class Judge:
    """The losses of a picture against a photo and a painting, by one encoder in float32.

        content = mean{ (f(x) - f(photo))**2 } / mean{ (f(photo) - mean{f(photo)})**2 }
        moments_l = mean{ dmean**2 } + mean{ dstd**2 }            over the channels of layer l
        gram_l    = mean{ dG**2 } / 4
        centred_l = mean{ dC**2 } / 4          C: Gram matrix of the features less their means

    The content loss is a share of the variance of the photo's features, so that it says how much of
    the photo is lost. Centred Gram matrices tell which features go together, which is what strokes
    are made of; means, which are mostly colour, are not in them.

    Args:
        config: Its encoder and layers.

    Example:
        >>> judge = Judge(EvaluateConfig(content_layer="relu1_2", style_layers=("relu1_1",)))
        >>> photo, painting = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
        >>> losses = judge(photo, photo, painting)
        >>> losses["content"], sorted(losses["moments"])
        (0.0, ['relu1_1'])
    """

    def __init__(self, config: EvaluateConfig):
        self.content_layer, self.style_layers = config.content_layer, config.style_layers
        layers = tuple(dict.fromkeys((config.content_layer, *config.style_layers)))
        layers_up_to(config.encoder, list(layers))
        encoder, _, self.digest = build_encoder(config.encoder, layers, config.encoder_weights)
        image = tf.TensorSpec((None, None, None, 3))
        self.features = tf.function(encoder, input_signature=[image], autograph=False)

    def __call__(self, image: np.ndarray, photo: np.ndarray, painting: np.ndarray) -> dict:
        """Content loss, and the style losses by layer: `{content, moments: {}, gram: {}, ...}`.

        Args:
            image: `(height, width, 3)` in [0, 1].
            photo: The photo, of the same size.
            painting: The painting, of any size.
        """
        of_image, of_photo, of_painting = (self.features(x[None]) for x in (image, photo, painting))
        wanted = of_photo[self.content_layer]
        variance = channel_moments(wanted)[1] ** 2
        lost = content_loss(of_image[self.content_layer], wanted)
        losses = {"content": float(lost[0] / tf.reduce_mean(variance))}
        for name, statistics, loss in (
            ("moments", channel_moments, lambda x, y: moments_loss(x, y, "mean")),
            ("gram", gram_matrix, gram_loss),
            ("centred", covariance_matrix, gram_loss),
        ):
            found, target = (
                style_of(x, self.style_layers, statistics) for x in (of_image, of_painting)
            )
            losses[name] = {k: float(loss(found[k], target[k])[0]) for k in self.style_layers}
        return losses
