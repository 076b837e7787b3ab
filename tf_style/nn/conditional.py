"""Stylizers of one transfer network for many styles: from a table, or from any picture."""

import keras
import numpy as np
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.base import FromArguments, named_variables
from tf_style.nn.grain import Grain
from tf_style.nn.predicted import BOTTLENECK, PREDICTOR_LAYERS, StylePredictor
from tf_style.nn.transfer_network import TransferNetwork
from tf_style.nn.vgg import build_encoder

__all__ = [
    "ConditionalStylizer",
    "PredictedStylizer",
    "StyleTable",
    "build_stylizer",
    "stored_variables",
]


@keras.saving.register_keras_serializable(package="tf_style")
class NeutralStyle(keras.initializers.Initializer):
    """Scales of one and shifts of zero for every normalisation of a transfer network.

    Args:
        channels: Of each normalisation, in order.

    Example:
        >>> print(NeutralStyle((2, 1))((6,)).numpy())
        [1. 1. 0. 0. 1. 0.]
    """

    def __init__(self, channels: tuple[int, ...]):
        self.channels = tuple(channels)

    def __call__(self, shape, dtype="float32", **kwargs):
        style = np.concatenate([[1.0] * n + [0.0] * n for n in self.channels])
        return ops.reshape(ops.cast(style, dtype or "float32"), shape)

    def get_config(self):
        return {"channels": self.channels}


@keras.saving.register_keras_serializable(package="tf_style")
class StyleTable(keras.layers.Layer):
    """Weights of styles to scales and shifts: one row of numbers for every style.

        parameters = sum{ weight_i * row_i }

    A style is a variable of its own, so that one can be added, and trained alone.

    Args:
        styles: Their names.
        channels: Of every normalisation of the transfer network.

    Input shape: `(batch, styles)`.
    Output shape: `(batch, 2 * sum(channels))`, float32.

    Example:
        >>> StyleTable(("wave", "night"), (2, 1))(ops.convert_to_tensor([[0.5, 0.5]])).numpy()
        array([[1., 1., 0., 0., 1., 0.]], dtype=float32)
    """

    def __init__(self, styles: tuple[str, ...], channels: tuple[int, ...], **kwargs):
        if len(set(styles)) != len(styles) or not styles:
            raise UserError(f"Names of styles must be different. Received: {list(styles)}")
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.styles = tuple(styles)
        self.channels = tuple(channels)
        self.rows = [
            self.add_weight((2 * sum(channels),), NeutralStyle(channels), name=f"style{i}")
            for i in range(len(styles))
        ]
        self.built = True

    def call(self, style_weights):
        # Not a matrix product: a style of weight 0 then adds 0 exactly, so that one that is added
        # to the table leaves the others' pictures as they were, bit for bit.
        return sum(style_weights[:, i : i + 1] * row for i, row in enumerate(self.rows))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * sum(self.channels))

    def get_config(self):
        return super().get_config() | {"styles": self.styles, "channels": self.channels}


@keras.saving.register_keras_serializable(package="tf_style")
class ConditionalStylizer(FromArguments, keras.Model):
    """Many styles in one network: `(content, style_weights) -> stylized`.

        parameters = style_weights @ table           one row of scales and shifts for every style
        stylized   = network(content, parameters)

    One-hot weights pick a style, others blend: the network was trained at the corners, and what
    lies between them is a picture too. Two parts stand alone, as in every stylizer:

        encode_style: style_weights -> parameters    (batch, parameters)
        transfer:     (content, statistics) -> stylized

    Args:
        styles: Their names, in the order of the weights.
        contract: As in `TransferNetwork`, like all that follow.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.
        grain: Standard deviation of the noise that is laid over the content, as in `Grain`.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        style_weights: `(batch, styles)`.

    Example:
        >>> stylizer = ConditionalStylizer(("wave", "night"), (8, 8, 8), 1, (8, 8))
        >>> inputs = {"content": ops.zeros((1, 17, 23, 3)), "style_weights": ops.ones((1, 2)) / 2}
        >>> stylizer(inputs).shape
        TensorShape([1, 17, 23, 3])

    Reference: https://arxiv.org/abs/1610.07629
    """

    def __init__(
        self,
        styles: tuple[str, ...],
        contract: tuple[int, int, int] = (32, 64, 128),
        blocks: int = 5,
        expand: tuple[int, int] = (64, 32),
        compute_dtype: str = "float32",
        grain: float = 0.0,
        **kwargs,
    ):
        # === Layers ===
        network = TransferNetwork(contract, blocks, expand, False, compute_dtype, name="network")
        table = StyleTable(styles, network.normalised, name="table")

        # === Functional model ===
        content = keras.Input((None, None, 3), name="content")
        style_weights = keras.Input((len(styles),), name="style_weights")
        parameters = keras.Input((2 * sum(network.normalised),), name="statistics")
        encode_style = keras.Model(style_weights, table(style_weights), name="encode_style")
        grained = Grain(grain, name="grain")(content)
        transfer = keras.Model(
            {"content": content, "statistics": parameters},
            network({"content": grained, "parameters": parameters}),
            name="transfer",
        )
        stylized = transfer({"content": content, "statistics": encode_style(style_weights)})
        super().__init__(
            inputs={"content": content, "style_weights": style_weights},
            outputs=stylized,
            **({"name": "conditional_stylizer"} | kwargs),
        )
        self.network = network
        self.table = table
        self.encode_style = encode_style
        self.transfer = transfer

        # === Config ===
        self.styles = tuple(styles)
        self.arguments = {
            "styles": self.styles,
            "contract": tuple(contract),
            "blocks": blocks,
            "expand": tuple(expand),
            "compute_dtype": compute_dtype,
            "grain": grain,
        }


@keras.saving.register_keras_serializable(package="tf_style")
class PredictedStylizer(FromArguments, keras.Model):
    """Any photo in any painting's style, through a predictor: `(content, style) -> stylized`.

        statistics = predictor(style)                100 numbers
        parameters = heads(statistics)               linear: scales and shifts
        stylized   = network(content, parameters)

    Two parts stand alone, as in every stylizer:

        encode_style: style -> statistics            (batch, bottleneck)
        transfer:     (content, statistics) -> stylized

    The blend of two styles is that of their 100 numbers; the photo's own numbers as the other
    style weaken the style.

    Args:
        backbone: Of `StylePredictor`: `mobilenet_v2` or `vgg16`.
        contract: As in `TransferNetwork`, like all that follow.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        plain_contraction: Whether the first three convolutions are free of the style.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.
        grain: Standard deviation of the noise that is laid over the content, as in `Grain`.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        style: `(batch, any height, any width, 3)`, likewise.

    Example:
        >>> stylizer = PredictedStylizer("vgg16", (8, 8, 8), 1, (8, 8))
        >>> photo, painting = ops.zeros((1, 17, 23, 3)), ops.ones((1, 32, 16, 3))
        >>> stylizer({"content": photo, "style": painting}).shape
        TensorShape([1, 17, 23, 3])

    Reference: https://arxiv.org/abs/1705.06830
    """

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
        encode_style = keras.Model(style, predictor(style), name="encode")
        grained = Grain(grain, name="grain")(content)
        transfer = keras.Model(
            {"content": content, "statistics": statistics},
            network({"content": grained, "parameters": heads(statistics)}),
            name="transfer",
        )
        stylized = transfer({"content": content, "statistics": encode_style(style)})
        super().__init__(
            inputs={"content": content, "style": style},
            outputs=stylized,
            **({"name": "predicted_stylizer"} | kwargs),
        )
        self.network = network
        self.predictor = predictor
        self.heads = heads
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


def build_stylizer(model: dict, compute_dtype: str = "float32") -> keras.Model:
    """The stylizer that a checkpoint's `model` entry describes; its weights are not yet loaded.

    Args:
        model: `contract`, `blocks`, `expand`, `grain`, and either `styles`, or `backbone` and
            `plain_contraction`.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.
    """
    shape = {
        "contract": tuple(model["contract"]),
        "blocks": model["blocks"],
        "expand": tuple(model["expand"]),
        "compute_dtype": compute_dtype,
        "grain": model["grain"],
    }
    if "styles" in model:
        return ConditionalStylizer(tuple(model["styles"]), **shape)
    plain = model["plain_contraction"]
    stylizer = PredictedStylizer(model["backbone"], plain_contraction=plain, **shape)
    if model["backbone"] == "vgg16":
        encoder, _, _ = build_encoder("vgg16", PREDICTOR_LAYERS, "packaged")
        stylizer.predictor.trunk.set_weights(encoder.get_weights())
    return stylizer


def stored_variables(stylizer: keras.Model, model: dict) -> dict[str, keras.Variable]:
    """The variables that a checkpoint holds, by name: all that are not packaged.

    Example:
        >>> stylizer = ConditionalStylizer(("wave",), (8, 8, 8), 0, (8, 8))
        >>> sorted(stored_variables(stylizer, {}))[-2:]
        ['network/expand3/kernel', 'styles/wave']
    """
    parts = {"network": stylizer.network.layers}
    named = {}
    if isinstance(stylizer, ConditionalStylizer):
        rows = zip(stylizer.styles, stylizer.table.rows, strict=True)
        named = {f"styles/{name}": row for name, row in rows}
    else:
        parts["heads"] = [stylizer.heads]
        parts["predictor"] = [stylizer.predictor.get_layer("bottleneck")]
        if model["backbone"] != "vgg16":
            parts["predictor"] += stylizer.predictor.trunk.layers
    # Of a folded normalisation the moving mean and variance are constant.
    found = named_variables(parts).items()
    return named | {k: v for k, v in found if not k.rpartition("/")[2].startswith("moving_")}
