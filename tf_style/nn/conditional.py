"""The stylizer of one transfer network for many styles from a table."""

import keras
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.base import Stylizer, named_variables
from tf_style.nn.grain import Grain
from tf_style.nn.transfer_network import NeutralStyle, TransferNetwork

__all__ = ["ConditionalStylizer", "PixelMix", "StyleTable"]


@keras.saving.register_keras_serializable(package="tf_style")
class StyleTable(keras.layers.Layer):
    """Weights of styles to scales and shifts: one row of numbers for every style.

        parameters = sum{ weight_i * row_i }

    A style is a variable of its own, so that one can be added, and trained alone.

    Args:
        styles: Their names.
        channels: Channels of every normalisation of the transfer network.

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
class PixelMix(keras.layers.Layer):
    """A stylised image weakened by the photo: `content + alpha * (stylized - content)`.

    At alpha 1 it is the stylised image, bit for bit.

    Call arguments:
        content: `(batch, height, width, 3)`.
        stylized: An image of the same shape.
        alpha: `(batch,)`, in [0, 1].

    Example:
        >>> black, white = ops.zeros((1, 1, 1, 3)), ops.ones((1, 1, 1, 3))
        >>> PixelMix()(black, white, ops.convert_to_tensor([0.25])).numpy().ravel()
        array([0.25, 0.25, 0.25], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)

    def call(self, content, stylized, alpha):
        alpha = ops.reshape(alpha, (-1, 1, 1, 1))
        return ops.where(alpha >= 1, stylized, content + alpha * (stylized - content))


@keras.saving.register_keras_serializable(package="tf_style")
class ConditionalStylizer(Stylizer, keras.Model):
    """Many styles in one network: `(content, style_weights, alpha) -> stylized`.

        parameters = style_weights @ table           one row of scales and shifts for every style
        stylized   = content + alpha * (network(content, parameters) - content)

    The papers have no alpha: no style of a table leaves a photo as it is, so pixels are mixed.
    One-hot weights pick a style, others blend: the network was trained at the corners, and what
    lies between them is a picture too. Two parts stand alone, as in every stylizer:

        encode_style: style_weights -> parameters    (batch, parameters)
        transfer:     (content, statistics, alpha) -> stylized

    Args:
        styles: Their names, in the order of the weights.
        contract: The argument of `TransferNetwork`, like all that follow.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        compute_dtype: `float32` or `bfloat16`, of the convolutions.
        grain: Standard deviation of the noise that is laid over the content, as in `Grain`.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        style_weights: `(batch, styles)`.
        alpha: `(batch,)`, in [0, 1].

    Example:
        >>> stylizer = ConditionalStylizer(("wave", "night"), (8, 8, 8), 1, (8, 8))
        >>> given = {"style_weights": ops.ones((1, 2)) / 2, "alpha": ops.ones(1)}
        >>> stylizer({"content": ops.zeros((1, 17, 23, 3))} | given).shape
        TensorShape([1, 17, 23, 3])

    Reference: https://arxiv.org/abs/1610.07629
    """

    method = "conditional"

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
        alpha = keras.Input((), name="alpha")
        encode_style = keras.Model(style_weights, table(style_weights), name="encode_style")
        grained = Grain(grain, name="grain")(content)
        strength = PixelMix(name="strength")
        transfer = keras.Model(
            {"content": content, "statistics": parameters, "alpha": alpha},
            strength(content, network({"content": grained, "parameters": parameters}), alpha),
            name="transfer",
        )
        statistics = encode_style(style_weights)
        stylized = transfer({"content": content, "statistics": statistics, "alpha": alpha})
        super().__init__(
            inputs={"content": content, "style_weights": style_weights, "alpha": alpha},
            outputs=stylized,
            **({"name": "conditional_stylizer"} | kwargs),
        )
        self.network = network
        self.table = table
        self.strength = strength
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

    def parameters_of(self, content, statistics, alpha):
        """Return the scales and shifts for some statistics, which they are themselves."""
        return statistics

    def saved_variables(self) -> dict[str, keras.Variable]:
        """Return the variables of the network and of every style.

        Example:
            >>> stylizer = ConditionalStylizer(("wave",), (8, 8, 8), 0, (8, 8))
            >>> sorted(stylizer.saved_variables())[-2:]
            ['network/expand3/kernel', 'styles/wave']
        """
        rows = zip(self.styles, self.table.rows, strict=True)
        named = {f"styles/{name}": row for name, row in rows}
        return named | named_variables({"network": self.network.layers})

    @classmethod
    def from_checkpoint(cls, model: dict, compute_dtype: str = "float32") -> "ConditionalStylizer":
        """Build the stylizer that a checkpoint describes; its saved variables are not yet loaded.

        Args:
            model: `styles`, `contract`, `blocks`, `expand` and `grain`.
            compute_dtype: `float32` or `bfloat16`, for the convolutions.
        """
        return cls(
            tuple(model["styles"]), tuple(model["contract"]), model["blocks"],
            tuple(model["expand"]), compute_dtype, model["grain"],
        )  # fmt: skip
