"""The predictor of styles: any picture to a hundred numbers."""

import keras
import numpy as np
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.base import FromArguments
from tf_style.nn.layers import ChannelStatistics, SquareResizing
from tf_style.nn.vgg import VGGEncoder
from tf_style.nn.vgg_weights import find_weights

__all__ = ["BOTTLENECK", "PREDICTOR_LAYERS", "PREDICTOR_SIZE", "StylePredictor", "fold_batch_norms",
           "load_trunk"]  # fmt: skip

# Ghiasi et al.: the bottleneck that any style must pass, and the side of the picture it is read
# from.
BOTTLENECK, PREDICTOR_SIZE = 100, 256

# Of the backbone `vgg16`: the layers whose moments the style loss is about.
PREDICTOR_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
FEATURE_SCALE = 200.0


@keras.saving.register_keras_serializable(package="tf_style")
class StylePredictor(FromArguments, keras.Model):
    """Any style picture to the few numbers that describe it: `(batch, 100)`.

    The picture is brought to 256 px a side, so that the numbers do not depend on its size.

    Backbone `mobilenet_v2` is Keras' MobileNetV2 up to its last convolution and the mean over the
    positions, as in the published mobile model; `vgg16` the means and standard deviations of four
    layers of the package's own encoder, which are what the style loss looks at, so that little is
    left to learn.

    Args:
        backbone: `mobilenet_v2` or `vgg16`.
        bottleneck: Numbers of a style.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.

    Input shape: `(batch, height, width, 3)`, RGB in [0, 1].
    Output shape: `(batch, bottleneck)`, float32.

    Example:
        >>> StylePredictor("vgg16")(ops.zeros((1, 40, 60, 3))).shape
        TensorShape([1, 100])

    Reference: https://arxiv.org/abs/1705.06830, section 2.
    """

    def __init__(
        self,
        backbone: str = "vgg16",
        bottleneck: int = BOTTLENECK,
        compute_dtype: str = "float32",
        **kwargs,
    ):
        style = keras.Input((None, None, 3), name="style")
        side = PREDICTOR_SIZE
        x = SquareResizing(side, name="resize")(style)
        if backbone == "vgg16":
            trunk = VGGEncoder("vgg16", PREDICTOR_LAYERS, compute_dtype=compute_dtype)
            trunk.trainable = False
            features = trunk(x)
            moments = [
                ChannelStatistics(name=f"{k}_moments")(features[k]) for k in PREDICTOR_LAYERS
            ]
            x = ops.concatenate([ops.reshape(m, (-1, 2 * m.shape[-1])) for m in moments], axis=-1)
            # Adam moves each weight by the learning rate, and so a sum of 1,920 features, of mean
            # one or so, by as many times that, unless they are small.
            x = (x - 1.0) / FEATURE_SCALE
            initial = keras.initializers.RandomNormal(stddev=0.5)
        elif backbone == "mobilenet_v2":
            trunk = keras.applications.MobileNetV2(
                (side, side, 3), include_top=False, weights=None, pooling="avg", name="trunk"
            )
            fold_batch_norms(trunk)
            x = trunk(x)
            initial = "glorot_uniform"
        else:
            raise UserError(
                f"`backbone` must be one of mobilenet_v2, vgg16. Received: {backbone!r}"
            )
        x = keras.layers.Dense(bottleneck, kernel_initializer=initial, name="bottleneck")(x)
        super().__init__(inputs=style, outputs=x, **({"name": "style_predictor"} | kwargs))
        self.trunk = trunk

        # === Config ===
        self.arguments = {
            "backbone": backbone,
            "bottleneck": bottleneck,
            "compute_dtype": compute_dtype,
        }


def load_trunk(predictor: StylePredictor, weights: str = "") -> None:
    """Give a predictor's MobileNetV2 its weights, normalisations folded.

    Args:
        predictor: Of the backbone `mobilenet_v2`.
        weights: `imagenet` (from Keras' cache or site), or the path of an .h5; empty: `imagenet`.

    Raises:
        UserError: The file cannot be had, or is none of MobileNetV2.
    """
    path = find_weights(weights or "imagenet", "mobilenet_v2")
    side = PREDICTOR_SIZE
    trained = keras.applications.MobileNetV2((side, side, 3), include_top=False, weights=None)
    try:
        trained.load_weights(path)
    except Exception as error:  # Keras and h5py raise half a dozen types.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} holds no weights of MobileNetV2 without its top ({reason}); give an .h5 as "
            "Keras downloads it, or an .weights.h5."
        ) from error
    fold_batch_norms(trained)
    predictor.trunk.set_weights(trained.get_weights())


def fold_batch_norms(model: keras.Model) -> None:
    """Reduce a network's batch normalisations to a scale and a shift of every channel.

        gamma * (x - mean) / sqrt(variance + epsilon) + beta  =  gamma' * x + beta'

    They are frozen: with mean 0 and variance 1 in training too, where else a batch would normalise
    itself.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            ones = np.ones_like(scale)
            layer.set_weights(
                [scale, beta - mean * scale, 0 * ones, ones - np.float32(layer.epsilon)]
            )
            layer.trainable = False
