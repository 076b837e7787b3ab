"""The transfer network: a photo in, a picture out, the style in scales and shifts from outside."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tf_style.nn.base import FromArguments
from tf_style.nn.layers import ConditionalInstanceNorm, CropLike, PadToMultiple, ReflectionPadding2D
from tf_style.nn.vgg import check_options

__all__ = ["STRIDE", "NeutralStyle", "ConvSpec", "TransferNetwork", "conv_specs"]

# Of the two convolutions of stride 2.
STRIDE = 4


@keras.saving.register_keras_serializable(package="tf_style")
class NeutralStyle(keras.initializers.Initializer):
    """Scales of one and shifts of zero for every normalisation of a transfer network.

    Args:
        channels: Channels of each normalisation, in order.

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


@dataclass(frozen=True)
class ConvSpec:
    """A row of the network's table: a convolution, and what stands before and behind it.

        y = activation(norm(conv(reflect(upsample(x)))))

    At the end of a residual block there is no activation, and the block's input is added.

    Attributes:
        name: Name of the convolution.
        filters: Its channels.
        kernel: Its side.
        stride: Its stride.
        upsampling: Factor by which the input is enlarged.
        normalised: Whether a conditional instance normalisation follows; else there is a bias.
        adds: Whether it ends a residual block, the step before having begun it.
        last: Whether it is the last, whose activation is the sigmoid.
    """

    name: str
    filters: int
    kernel: int = 3
    stride: int = 1
    upsampling: int = 1
    normalised: bool = True
    adds: bool = False
    last: bool = False

    def finished(self, y: keras.KerasTensor, before: keras.KerasTensor) -> keras.KerasTensor:
        """Return what follows the normalisation; `before` is the input of the step before."""
        if self.adds:
            # Not `+`, which takes no two types of tensors.
            return ops.add(before, y)
        return ops.sigmoid(y) if self.last else ops.relu(y)


def conv_specs(
    contract: tuple[int, int, int],
    blocks: int,
    expand: tuple[int, int],
    plain_contraction: bool = False,
) -> tuple[ConvSpec, ...]:
    """Return the table of a transfer network, from first to last.

    Args:
        contract: The argument of `TransferNetwork`, like all that follow.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        plain_contraction: Whether the first three have no normalisation.

    Example:
        >>> [step.name for step in conv_specs((32, 64, 128), 1, (64, 32))][2:6]
        ['contract3', 'residual1_1', 'residual1_2', 'expand1']
    """
    steps = [
        ConvSpec(
            f"contract{i + 1}", n, 3 if i else 9, 2 if i else 1, normalised=not plain_contraction
        )
        for i, n in enumerate(contract)
    ]
    for i in range(blocks):
        steps.append(ConvSpec(f"residual{i + 1}_1", contract[-1]))
        steps.append(ConvSpec(f"residual{i + 1}_2", contract[-1], adds=True))
    steps += [ConvSpec(f"expand{i + 1}", n, upsampling=2) for i, n in enumerate(expand)]
    return (*steps, ConvSpec("expand3", 3, 9, last=True))


@keras.saving.register_keras_serializable(package="tf_style")
class TransferNetwork(FromArguments, keras.Model):
    """The residual network of Dumoulin et al. 2017: `(content, parameters) -> stylized`.

        contract  9x9 to 32, 3x3 / 2 to 64, 3x3 / 2 to 128
        residual  5 times x + conv3x3(relu(conv3x3(x)))
        expand    nearest x2, 3x3 to 64; nearest x2, 3x3 to 32; 9x9 to 3, sigmoid

    Every convolution is preceded by reflection and followed by conditional instance normalisation,
    the last included, and by ReLU except at the end of a residual block. Nearest upsampling leaves
    no checkerboard, reflection no frame. The convolutions have no bias, which the normalisation
    would take away: 1,674,432 numbers, shared by all styles; a style is 3,206 more, the scales and
    shifts, layer by layer.

    The output has exactly the content's size: the content is reflected to a multiple of 4 and the
    result cropped back.

    Johnson et al. 2016 is this network with one style; theirs has transposed convolutions, which
    leave a checkerboard, and a scaled tanh.

    Args:
        contract: Channels of the first three convolutions.
        blocks: Residual blocks.
        expand: Channels of the two convolutions after upsampling.
        plain_contraction: Whether the first three have a bias and no normalisation, as in Ghiasi et
            al. 2017, where batch normalisation stands there, which is folded into them for use.
        compute_dtype: `float32` or `bfloat16`, of the convolutions but the first and the last.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        parameters: `(batch, parameters)`: of every normalisation its scales, then its shifts.

    Attributes:
        table: Its `Step`s, in order; the layers of one are named after it: `{name}_up`,
            `{name}_pad`, `{name}`, `{name}_norm`.
        normalised: Channels of every normalised convolution, in order.

    Example:
        >>> network = TransferNetwork()
        >>> network.count_params(), 2 * sum(network.normalised)
        (1674432, 3206)

    Reference: https://arxiv.org/abs/1610.07629, table 1.
    """

    def __init__(
        self,
        contract: tuple[int, int, int] = (32, 64, 128),
        blocks: int = 5,
        expand: tuple[int, int] = (64, 32),
        plain_contraction: bool = False,
        compute_dtype: str = "float32",
        **kwargs,
    ):
        check_options(compute_dtype=compute_dtype)
        mixed = "mixed_bfloat16" if compute_dtype == "bfloat16" else "float32"
        steps = conv_specs(contract, blocks, expand, plain_contraction)
        normalised = [step.filters for step in steps if step.normalised]

        # === Functional model ===
        content = keras.Input((None, None, 3), name="content")
        parameters = keras.Input((2 * sum(normalised),), name="parameters")
        x, before, start = PadToMultiple(STRIDE, name="pad")(content), None, 0
        for step in steps:
            name, y = step.name, x
            dtype = "float32" if step in (steps[0], steps[-1]) else mixed
            if step.upsampling > 1:
                y = keras.layers.UpSampling2D(step.upsampling, dtype=dtype, name=f"{name}_up")(y)
            y = ReflectionPadding2D(step.kernel // 2, dtype=dtype, name=f"{name}_pad")(y)
            y = keras.layers.Conv2D(
                step.filters, step.kernel, step.stride, use_bias=not step.normalised,
                kernel_initializer="he_uniform", dtype=dtype, name=name,
            )(y)  # fmt: skip
            if step.normalised:
                end = start + 2 * step.filters
                norm = ConditionalInstanceNorm(step.filters, name=f"{name}_norm")
                y, start = norm(y, parameters[:, start:end]), end
            before, x = x, step.finished(y, before)
        super().__init__(
            inputs={"content": content, "parameters": parameters},
            outputs=CropLike(name="crop")(x, content),
            **({"name": "transfer_network"} | kwargs),
        )
        self.table = steps
        self.normalised = tuple(normalised)

        # === Config ===
        self.arguments = {
            "contract": tuple(contract),
            "blocks": blocks,
            "expand": tuple(expand),
            "plain_contraction": plain_contraction,
            "compute_dtype": compute_dtype,
        }
