"""The transfer network: a photo in, a picture out, the style in scales and shifts from outside."""

import keras
from keras import ops

from tf_style.encoder import check_options
from tf_style.functional import FromArguments
from tf_style.layers import ConditionalInstanceNorm, CropLike, PadToMultiple, ReflectionPadding2D

__all__ = ["TransferNetwork"]

# Of the two convolutions of stride 2.
STRIDE = 4


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
        normalised = [] if plain_contraction else list(contract)
        normalised += [contract[-1]] * (2 * blocks) + [*expand, 3]

        # === Functional model ===
        content = keras.Input((None, None, 3), name="content")
        parameters = keras.Input((2 * sum(normalised),), name="parameters")
        start = 0

        def convolve(x, name, filters, kernel=3, stride=1, plain=False, dtype=mixed):
            nonlocal start
            x = ReflectionPadding2D(kernel // 2, dtype=dtype, name=f"{name}_pad")(x)
            x = keras.layers.Conv2D(
                filters, kernel, stride, use_bias=plain, kernel_initializer="he_uniform",
                dtype=dtype, name=name,
            )(x)  # fmt: skip
            if plain:
                return x
            end = start + 2 * filters
            x = ConditionalInstanceNorm(filters, name=f"{name}_norm")(x, parameters[:, start:end])
            start = end
            return x

        x = PadToMultiple(STRIDE, name="pad")(content)
        for i, filters in enumerate(contract):
            first = i == 0
            x = convolve(
                x, f"contract{i + 1}", filters, 9 if first else 3, 1 if first else 2,
                plain_contraction, "float32" if first else mixed,
            )  # fmt: skip
            x = ops.relu(x)
        for i in range(blocks):
            y = ops.relu(convolve(x, f"residual{i + 1}_1", contract[-1]))
            x = x + convolve(y, f"residual{i + 1}_2", contract[-1])
        for i, filters in enumerate(expand):
            x = keras.layers.UpSampling2D(2, dtype=mixed, name=f"expand{i + 1}_up")(x)
            x = ops.relu(convolve(x, f"expand{i + 1}", filters))
        x = ops.sigmoid(convolve(x, "expand3", 3, 9, dtype="float32"))
        super().__init__(
            inputs={"content": content, "parameters": parameters},
            outputs=CropLike(name="crop")(x, content),
            **({"name": "transfer_network"} | kwargs),
        )
        self.normalised = tuple(normalised)

        # === Config ===
        self.arguments = {
            "contract": tuple(contract),
            "blocks": blocks,
            "expand": tuple(expand),
            "plain_contraction": plain_contraction,
            "compute_dtype": compute_dtype,
        }
