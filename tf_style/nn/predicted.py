"""The stylizer of one transfer network for any style, and the predictor that reads it."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.base import FromArguments, Stylizer, named_variables
from tf_style.nn.grain import Grain
from tf_style.nn.layers import ChannelStatistics, SquareResizing
from tf_style.nn.transfer_network import NeutralStyle, TransferNetwork
from tf_style.nn.vgg import VGGEncoder, build_encoder
from tf_style.nn.vgg_weights import find_weights

__all__ = [
    "BOTTLENECK",
    "PREDICTOR_LAYERS",
    "PREDICTOR_SIZE",
    "OwnStyleMix",
    "PredictedStylizer",
    "StylePredictor",
    "fold_batch_norms",
    "load_trunk",
    "without_branches",
]

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


@keras.saving.register_keras_serializable(package="tf_style")
class OwnStyleMix(keras.layers.Layer):
    """A style weakened by the photo's own: `own + alpha * (statistics - own)`.

    At alpha 1 it is the style, bit for bit, and the photo's own style is not computed, unless the
    graph is traced under `without_branches`.

    Args:
        encode_style: A model from pictures to statistics.

    Call arguments:
        content: Photos `(batch, height, width, 3)`.
        statistics: `(batch, numbers)`.
        alpha: `(batch,)`, in [0, 1].

    Example:
        >>> mix = OwnStyleMix(StylePredictor("vgg16"))
        >>> mix(ops.zeros((1, 32, 32, 3)), ops.ones((1, 100)), ops.ones(1)).shape
        TensorShape([1, 100])
    """

    # Whether graphs have a branch for alpha 1, which saves a tenth of a small picture's time.
    branches = True

    def __init__(self, encode_style: keras.Model, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.encode_style = encode_style

    def call(self, content, statistics, alpha):
        def mixed():
            own = self.encode_style(content)
            return own + ops.reshape(alpha, (-1, 1)) * (statistics - own)

        full = ops.all(alpha >= 1)
        if not self.branches:
            return ops.where(full, statistics, mixed())
        return ops.cond(full, lambda: statistics, mixed)

    def compute_output_shape(self, content_shape, statistics_shape, alpha_shape):
        return statistics_shape

    def get_config(self):
        """Return the arguments, the model in Keras' own form."""
        model = keras.saving.serialize_keras_object(self.encode_style)
        return super().get_config() | {"encode_style": model}

    @classmethod
    def from_config(cls, config):
        """Make the layer that `get_config` describes."""
        model = keras.saving.deserialize_keras_object(config["encode_style"])
        return cls(**config | {"encode_style": model})


@contextlib.contextmanager
def without_branches() -> Iterator[None]:
    """While it lasts, graphs are traced without branches, for converters that cannot take them.

    tf2onnx 1.17 loses the weights' shapes in a branch (seen).
    """
    OwnStyleMix.branches = False
    try:
        yield
    finally:
        OwnStyleMix.branches = True


@keras.saving.register_keras_serializable(package="tf_style")
class PredictedStylizer(Stylizer, keras.Model):
    """Any photo in any painting's style, by a predictor: `(content, style, alpha) -> stylized`.

        statistics = predictor(style)                100 numbers
        weakened   = own + alpha * (statistics - own)        own = predictor(content)
        parameters = heads(weakened)                 linear: scales and shifts
        stylized   = network(content, parameters)

    Two parts stand alone, as in every stylizer:

        encode_style: style -> statistics            (batch, bottleneck)
        transfer:     (content, statistics, alpha) -> stylized

    Two styles are blended by a weighted mean of their 100 numbers, and a style is weakened by those
    of the photo itself.

    Args:
        backbone: The predictor's backbone: `mobilenet_v2` or `vgg16`.
        contract: The argument of `TransferNetwork`, like all that follow.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        plain_contraction: Whether the first three convolutions are free of the style.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.
        grain: Standard deviation of the noise that is laid over the content, as in `Grain`.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        style: `(batch, any height, any width, 3)`, RGB in [0, 1].
        alpha: `(batch,)`, in [0, 1].

    Example:
        >>> stylizer = PredictedStylizer("vgg16", (8, 8, 8), 1, (8, 8))
        >>> photo, painting = ops.zeros((1, 17, 23, 3)), ops.ones((1, 32, 16, 3))
        >>> stylizer({"content": photo, "style": painting, "alpha": ops.ones(1)}).shape
        TensorShape([1, 17, 23, 3])

    Reference: https://arxiv.org/abs/1705.06830
    """

    method = "predicted"

    def __init__(
        self,
        backbone: str = "vgg16",
        contract: tuple[int, int, int] = (32, 64, 128),
        blocks: int = 5,
        expand: tuple[int, int] = (64, 32),
        plain_contraction: bool = False,
        compute_dtype: str = "float32",
        grain: float = 0.0,
        **kwargs,
    ):
        # === Layers ===
        network = TransferNetwork(
            contract, blocks, expand, plain_contraction, compute_dtype, name="network"
        )
        predictor = StylePredictor(backbone, compute_dtype=compute_dtype, name="predictor")
        heads = keras.layers.Dense(
            2 * sum(network.normalised), name="heads",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=NeutralStyle(network.normalised),
        )  # fmt: skip

        # === Functional model ===
        content = keras.Input((None, None, 3), name="content")
        style = keras.Input((None, None, 3), name="style")
        statistics = keras.Input((BOTTLENECK,), name="statistics")
        alpha = keras.Input((), name="alpha")
        encode_style = keras.Model(style, predictor(style), name="encode")
        weaken = OwnStyleMix(encode_style, name="weaken")
        grained = Grain(grain, name="grain")(content)
        parameters = heads(weaken(content, statistics, alpha))
        transfer = keras.Model(
            {"content": content, "statistics": statistics, "alpha": alpha},
            network({"content": grained, "parameters": parameters}),
            name="transfer",
        )
        stylized = transfer({"content": content, "statistics": encode_style(style), "alpha": alpha})
        super().__init__(
            inputs={"content": content, "style": style, "alpha": alpha},
            outputs=stylized,
            **({"name": "predicted_stylizer"} | kwargs),
        )
        self.network = network
        self.predictor = predictor
        self.heads = heads
        self.weaken = weaken
        self.encode_style = encode_style
        self.transfer = transfer

        # === Config ===
        self.arguments = {
            "backbone": backbone,
            "contract": tuple(contract),
            "blocks": blocks,
            "expand": tuple(expand),
            "plain_contraction": plain_contraction,
            "compute_dtype": compute_dtype,
            "grain": grain,
        }

    def parameters_of(self, content, statistics, alpha):
        """Return the scales and shifts for some statistics, weakened by the content's own."""
        return self.heads(self.weaken(content, statistics, alpha))

    def strength(self, content, stylized, alpha):
        """Return the stylised image as it is: the statistics were weakened instead."""
        return stylized

    def saved_variables(self) -> dict[str, keras.Variable]:
        """Return the variables of network, heads and predictor, but for a packaged backbone's.

        Example:
            >>> sorted(PredictedStylizer("vgg16", (8, 8, 8), 0, (8, 8)).saved_variables())[-1]
            'predictor/bottleneck/kernel'
        """
        predictor = [self.predictor.get_layer("bottleneck")]
        if self.arguments["backbone"] != "vgg16":
            predictor += self.predictor.trunk.layers
        parts = {"network": self.network.layers, "heads": [self.heads], "predictor": predictor}
        # The moving mean and variance of a folded normalisation are constant.
        found = named_variables(parts).items()
        return {k: v for k, v in found if not k.rpartition("/")[2].startswith("moving_")}

    @classmethod
    def from_checkpoint(cls, model: dict, compute_dtype: str = "float32") -> "PredictedStylizer":
        """Build the stylizer that a checkpoint describes; its saved variables are not yet loaded.

        Args:
            model: `backbone`, `contract`, `blocks`, `expand`, `plain_contraction` and `grain`.
            compute_dtype: `float32` or `bfloat16`, for the convolutions.
        """
        stylizer = cls(
            model["backbone"], tuple(model["contract"]), model["blocks"], tuple(model["expand"]),
            model["plain_contraction"], compute_dtype, model["grain"],
        )  # fmt: skip
        if model["backbone"] == "vgg16":
            encoder, _, _ = build_encoder("vgg16", PREDICTOR_LAYERS, "packaged")
            stylizer.predictor.trunk.set_weights(encoder.get_weights())
        return stylizer


def load_trunk(predictor: StylePredictor, weights: str = "") -> None:
    """Give a predictor's MobileNetV2 its weights, normalisations folded.

    Args:
        predictor: A predictor with the backbone `mobilenet_v2`.
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
