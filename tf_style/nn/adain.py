"""The arbitrary-style stylizer: any photo in any painting's style, in one pass."""

import keras
import numpy as np
from keras import ops

from tf_style.nn.base import Stylizer, named_variables
from tf_style.nn.color_transfer import CHANNELS, ColorTransfer, color_channels
from tf_style.nn.decoder import Decoder
from tf_style.nn.grain import Grain
from tf_style.nn.layers import AdaIN, ChannelStatistics, CropLike, PadToMultiple
from tf_style.nn.vgg import VGGEncoder, build_encoder, stride_of

__all__ = [
    "AdaINStylizer",
    "blend",
    "colors_of",
    "restyled",
    "statistics_of",
]


@keras.saving.register_keras_serializable(package="tf_style")
class AdaINStylizer(Stylizer, keras.Model):
    """Encoder, AdaIN, decoder: `(content, style, alpha) -> stylized`.

        t_l      = AdaIN(f_l(content), f_l(style), alpha)    f: the encoder, l: `layer`
        stylized = clip(g(t), 0, 1)                          g: the decoder

    and l: the decoder's skip layers, of which the paper has none.

    The output has exactly the content's size: the content is reflected to a multiple of the
    encoder's stride and the result cropped back. Two parts of it stand alone:

        encode_style:   style -> statistics              (batch, 2, channels of all l)
        transfer:       (content, statistics, alpha) -> stylized

    so that a style is encoded once for many photos, and several styles are blended by a weighted
    mean of their statistics. The second has two parts again, so that a photo is encoded once for
    many styles:

        encode_content: content -> features              {l: f_l} of the padded content
        decode:         (content, features, statistics, alpha) -> stylized; of content but the size

    With `color_transfer` the content is brought to the style's colours before it is encoded, the
    statistics have six columns more, for these, and the two parts are None: the features are
    another style's no more.

    Neither loss nor mode is in it: it is what is saved and served.

    Args:
        architecture: `vgg19` or `vgg16`.
        layer: The encoder's layer where AdaIN acts.
        padding: `reflect` or `zero`, of encoder and decoder.
        pooling: `max` or `avg`, of the encoder.
        compute_dtype: `float32` or `bfloat16`, of the convolutions. Statistics are float32.
        skip_layers: Shallower layers whose features the decoder is given too.
        grain: Standard deviation of the noise that is laid over the content, as in `Grain`.
        color_transfer: Whether the content gets the style's colours first, as in `ColorTransfer`.

    Call arguments, as a dictionary:
        content: `(batch, height, width, 3)`, RGB in [0, 1], both sides 16 px or more.
        style: `(batch, any height, any width, 3)`, RGB in [0, 1].
        alpha: `(batch,)`, in [0, 1].

    Example:
        >>> stylizer = AdaINStylizer("vgg16")
        >>> photo, painting = keras.ops.zeros((1, 17, 23, 3)), keras.ops.ones((1, 32, 16, 3))
        >>> stylizer({"content": photo, "style": painting, "alpha": keras.ops.ones(1)}).shape
        TensorShape([1, 17, 23, 3])

    Attributes:
        packaged: Whether the encoder's weights come with the package, so that no checkpoint holds
            them.

    Reference: https://arxiv.org/abs/1703.06868
    """

    method = "adain"

    def __init__(
        self,
        architecture: str = "vgg19",
        layer: str = "relu4_1",
        padding: str = "reflect",
        pooling: str = "max",
        compute_dtype: str = "float32",
        skip_layers: tuple[str, ...] = (),
        grain: float = 0.0,
        color_transfer: bool = False,
        **kwargs,
    ):
        # Longer than other functions: the model is read from top to bottom.
        # === Layers ===
        layers = (*skip_layers, layer)
        encoder = VGGEncoder(architecture, layers, padding, pooling, compute_dtype)
        decoder = Decoder(architecture, layer, padding, compute_dtype, skip_layers)
        stride = stride_of(layer)

        # === Functional model ===
        content = keras.Input((None, None, 3), name="content")
        style = keras.Input((None, None, 3), name="style")
        of_style = statistics_of(encoder(style), color_channels(style) if color_transfer else None)
        statistics = keras.Input(of_style.shape[1:], name="statistics")
        alpha = keras.Input((), name="alpha")

        encode_style = keras.Model(style, of_style, name="encode_style")
        grained = Grain(grain, name="grain")(content)
        encode_content = keras.Model(
            content, encoder(PadToMultiple(stride, name="pad")(grained)), name="encode_content"
        )
        features = {
            name: keras.Input(encoded.shape[1:], dtype=encoded.dtype, name=f"features_{name}")
            for name, encoded in encode_content.output.items()
        }
        decoded = decoder(restyled(features, statistics, alpha))
        given = {"content": content, "statistics": statistics, "alpha": alpha}
        decode = keras.Model(
            given | {"features": features},
            ops.clip(CropLike(name="crop")(decoded, content), 0.0, 1.0),
            name="decode",
        )
        colored = content
        if color_transfer:
            colored = ColorTransfer(name="color")(content, colors_of(statistics), alpha)
        transfer = keras.Model(
            given, decode(given | {"features": encode_content(colored)}), name="transfer"
        )
        stylized = transfer({"content": content, "statistics": encode_style(style), "alpha": alpha})
        super().__init__(
            inputs={"content": content, "style": style, "alpha": alpha},
            outputs=stylized,
            **({"name": "adain_stylizer"} | kwargs),
        )
        self.encoder = encoder
        self.decoder = decoder
        self.packaged = False
        self.encode_style = encode_style
        self.encode_content = None if color_transfer else encode_content
        self.decode = None if color_transfer else decode
        self.transfer = transfer

        # === Config ===
        self.arguments = {
            "architecture": architecture,
            "layer": layer,
            "padding": padding,
            "pooling": pooling,
            "compute_dtype": compute_dtype,
            "skip_layers": tuple(skip_layers),
            "grain": grain,
            "color_transfer": color_transfer,
        }

    def saved_variables(self) -> dict[str, keras.Variable]:
        """Return the decoder's variables, and the encoder's unless they are packaged.

        Example:
            >>> sorted(AdaINStylizer("vgg16", "relu1_1").saved_variables())[:2]
            ['decoder/conv1_1/bias', 'decoder/conv1_1/kernel']
        """
        parts = {"decoder": self.decoder.layers}
        if not self.packaged:
            parts["encoder"] = self.encoder.layers
        return named_variables(parts)

    @classmethod
    def from_checkpoint(cls, model: dict, compute_dtype: str = "float32") -> "AdaINStylizer":
        """Build the stylizer that a checkpoint describes; its decoder is not yet loaded.

        Args:
            model: `encoder`, `encoder_weights` (`packaged`, or `stored` with the stylizer),
                `encoder_sha256`, `factors`, `layer`, `padding`, `pooling`, `skip_layers`, `grain`
                and `color_transfer`.
            compute_dtype: `float32` or `bfloat16`, for the convolutions.
        """
        architecture, layer = model["encoder"], model["layer"]
        skip_layers = tuple(model["skip_layers"])
        stylizer = cls(
            architecture, layer, model["padding"], model["pooling"], compute_dtype, skip_layers,
            model["grain"], model["color_transfer"],
        )  # fmt: skip
        stylizer.packaged = model["encoder_weights"] == "packaged"
        if stylizer.packaged:
            layers, digest = (*skip_layers, layer), model["encoder_sha256"]
            encoder, _, _ = build_encoder(
                architecture, layers, "packaged", model["factors"], digest
            )
            stylizer.encoder.set_weights(encoder.get_weights())
        return stylizer


def statistics_of(
    features: dict[str, keras.KerasTensor], colors: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Return the style of some layers' features in one array: their means and standard deviations.

    Args:
        features: `{layer: (batch, height, width, channels)}`.
        colors: The picture's `color_channels`, for a model with `color_transfer`.

    Returns:
        `(batch, 2, channels of all layers)`, float32; the layers in the order of their names, the
        colours last.

    Example:
        >>> features = {"relu3_1": ops.ones((1, 4, 4, 256)), "relu4_1": ops.ones((1, 2, 2, 512))}
        >>> statistics_of(features).shape
        TensorShape([1, 2, 768])
    """
    parts = [features[name] for name in sorted(features)]
    found = [ChannelStatistics()(x) for x in (parts if colors is None else [*parts, colors])]
    return ops.concatenate(found, axis=-1) if len(found) > 1 else found[0]


def colors_of(statistics: keras.KerasTensor) -> keras.KerasTensor:
    """Return what `statistics_of` tells of the colours, if they are in it, `(batch, 2, 6)`."""
    return statistics[..., -len(CHANNELS) :]


def restyled(
    features: dict[str, keras.KerasTensor],
    statistics: keras.KerasTensor,
    alpha: keras.KerasTensor,
    moments: keras.KerasTensor | None = None,
) -> dict[str, keras.KerasTensor]:
    """`AdaIN` at every layer.

    Args:
        features: The content's, `{layer: (batch, height, width, channels)}`.
        statistics: The style's, from `statistics_of`.
        alpha: Strength in [0, 1], `(batch,)`.
        moments: Moments of the whole picture, where the features are of a tile; None: their own.

    Example:
        >>> content, style = ({"relu1_1": keras.random.normal((1, 8, 8, 64))} for _ in range(2))
        >>> target = statistics_of(style)
        >>> given = statistics_of(restyled(content, target, ops.ones(1)))
        >>> bool(ops.max(ops.abs(given - target)) < 1e-4)
        True
    """
    styled, begin = {}, 0
    for name in sorted(features):
        end = begin + features[name].shape[-1]
        own = None if moments is None else moments[..., begin:end]
        styled[name] = AdaIN()(features[name], statistics[..., begin:end], alpha, own)
        begin = end
    return styled


def blend(statistics: np.ndarray, weights: list[float]) -> np.ndarray:
    """Return the weighted mean of several styles' statistics, the weights scaled to sum one."""
    weights = np.asarray(weights, "float32")
    return np.tensordot(weights / weights.sum(), statistics, 1)
