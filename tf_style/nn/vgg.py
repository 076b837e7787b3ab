"""The encoder: an image to the features that VGG sees in it, each layer at mean activation one."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tf_style.errors import UserError
from tf_style.nn.base import FromArguments
from tf_style.nn.layers import ReflectionPadding2D
from tf_style.nn.statistics import channel_moments
from tf_style.nn.vgg_weights import read_weights

__all__ = ["VGG", "VGGEncoder", "VGGPreprocessing", "build_encoder", "layer_names", "style_of"]

# Convolutions in each of the five blocks; Simonyan & Zisserman 2015, table 1, columns D and E.
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
FILTERS = (64, 128, 256, 512, 512)

# BGR means of the ImageNet pixels that VGG was trained on, 0 to 255.
# https://www.robots.ox.ac.uk/~vgg/research/very_deep/
MEAN_BGR = (103.939, 116.779, 123.68)

OPTIONS = {
    "padding": ("reflect", "zero"),
    "pooling": ("max", "avg"),
    "compute_dtype": ("float32", "bfloat16"),
}

# Photos that ship with the code; see their SOURCES.md.
CALIBRATION = Path(__file__).parents[1] / "calibration"

# {SHA-256 of a weight file: {"<padding> <pooling>": factors, layer by layer}}, for what the file
# itself does not hold; written by tools/extract_vgg16.py.
FACTORS = Path(__file__).parents[1] / "pretrained/factors.json"


def layer_names(encoder: str) -> list[str]:
    """Return the names of an encoder's layers, first to last: `relu1_1`, `relu1_2`, ...

    Example:
        >>> layer_names("vgg16")[-3:]
        ['relu5_1', 'relu5_2', 'relu5_3']
    """
    if encoder not in VGG:
        raise UserError(f"`encoder` must be one of {', '.join(VGG)}. Received: encoder={encoder}")
    return [f"relu{b}_{c}" for b, n in enumerate(VGG[encoder], 1) for c in range(1, n + 1)]


def keras_name(layer: str) -> str:
    """Keras' name of the convolution before a layer: `relu4_1` is `block4_conv1`."""
    block, index = layer.removeprefix("relu").split("_")
    return f"block{block}_conv{index}"


def stride_of(layer: str) -> int:
    """Pixels from one position of a layer to the next: 8 at `relu4_1`."""
    return 2 ** (int(layer[4]) - 1)


def channels_of(layer: str) -> int:
    """Channels of a layer: 512 at `relu4_1`."""
    return FILTERS[int(layer[4]) - 1]


def weight_shapes(encoder: str, up_to: str) -> dict[str, tuple[int, ...]]:
    """Shape of every kernel and bias up to and including a layer."""
    shapes, channels = {}, 3
    for layer in layers_up_to(encoder, [up_to]):
        filters = channels_of(layer)
        shapes[f"{keras_name(layer)}/kernel"] = (3, 3, channels, filters)
        shapes[f"{keras_name(layer)}/bias"] = (filters,)
        channels = filters
    return shapes


def layers_up_to(encoder: str, layers: list[str]) -> list[str]:
    """Return all layers from the first to the deepest of those asked for."""
    names = layer_names(encoder)
    unknown = [layer for layer in layers if layer not in names]
    if unknown or not layers:
        raise UserError(
            f"{encoder} has the layers {', '.join(names)}. Received: {', '.join(unknown) or 'none'}"
        )
    return names[: max(map(names.index, layers)) + 1]


def check_options(**options: str) -> None:
    """Refuse an unknown `padding`, `pooling` or `compute_dtype`."""
    for name, value in options.items():
        known = OPTIONS[name]
        if value not in known:
            raise UserError(f"`{name}` must be one of {', '.join(known)}. Received: {value}")


@keras.saving.register_keras_serializable(package="tf_style")
class VGGPreprocessing(keras.layers.Layer):
    """An image, RGB in [0, 1], to what VGG was trained on: BGR, 0 to 255, less the mean.

    Example:
        >>> print(VGGPreprocessing()(keras.ops.zeros((1, 1, 1, 3))).numpy().ravel().round(1))
        [-103.9 -116.8 -123.7]
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, image):
        # Turned round, for a slice of negative stride takes three times as long.
        return ops.flip(image, axis=-1) * 255.0 - ops.array(MEAN_BGR, dtype="float32")

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="tf_style")
class VGGEncoder(FromArguments, keras.Model):
    """VGG's convolutions up to the deepest layer asked for: image -> {layer: features}.

    Only the layers up to that one are built. The weights are not trained. Departures from
    Simonyan & Zisserman: borders are reflected instead of zero, as in the AdaIN authors' network,
    and `set_weights_of` scales each layer to mean activation one (Gatys et al. 2016, section 2,
    scale each filter).

    Args:
        architecture: `vgg19` or `vgg16`.
        layers: Names of the layers to return, such as `["relu1_1", "relu4_1"]`.
        padding: `reflect` or `zero`.
        pooling: `max` or `avg`.
        compute_dtype: `float32` or `bfloat16`, of the convolutions; weights stay float32.

    Input shape: `(batch, height, width, 3)`, RGB in [0, 1].

    Example:
        >>> encoder = VGGEncoder("vgg16", ["relu1_1", "relu2_1"])
        >>> {k: tuple(v.shape) for k, v in encoder(keras.ops.zeros((1, 16, 16, 3))).items()}
        {'relu1_1': (1, 16, 16, 64), 'relu2_1': (1, 8, 8, 128)}

    Reference: https://arxiv.org/abs/1409.1556
    """

    def __init__(
        self,
        architecture: str = "vgg19",
        layers: tuple[str, ...] = ("relu4_1",),
        padding: str = "reflect",
        pooling: str = "max",
        compute_dtype: str = "float32",
        **kwargs,
    ):
        check_options(padding=padding, pooling=pooling, compute_dtype=compute_dtype)
        policy = "mixed_bfloat16" if compute_dtype == "bfloat16" else "float32"
        pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D

        # === Functional model ===
        image = keras.Input((None, None, 3), name="image")
        x = VGGPreprocessing(name="preprocessing")(image)
        features, block_so_far = {}, 1
        for layer in layers_up_to(architecture, list(layers)):
            block = int(layer[4])
            if block != block_so_far:
                x = pool(2, dtype=policy, name=f"pool{block_so_far}")(x)
                block_so_far = block
            if padding == "reflect":
                x = ReflectionPadding2D(1, dtype=policy, name=f"pad{layer[4:]}")(x)
            x = keras.layers.Conv2D(
                FILTERS[block - 1],
                3,
                padding="valid" if padding == "reflect" else "same",
                activation="relu",
                dtype=policy,
                name=keras_name(layer),
            )(x)
            if layer in layers:
                features[layer] = x
        trainable = kwargs.pop("trainable", False)
        super().__init__(inputs=image, outputs=features, **({"name": architecture} | kwargs))
        # Keras' constructor would set it before there are layers to hand it down to.
        self.trainable = trainable

        # === Config ===
        self.arguments = {
            "architecture": architecture,
            "layers": tuple(layers),
            "padding": padding,
            "pooling": pooling,
            "compute_dtype": compute_dtype,
        }

    def set_weights_of(
        self, arrays: dict[str, np.ndarray], layer_factors: dict[str, float]
    ) -> None:
        """Take raw VGG weights, scaled so that `layer = factors[layer] * raw layer`.

        ReLU and pooling commute with a positive factor f, so it goes into the weights:

            kernel_l = raw_l * f_l / f_(l-1),  bias_l = raw_l * f_l,  f_0 = 1

        Args:
            arrays: `block1_conv1/kernel`, `block1_conv1/bias`, ... as `read_weights` gives them.
            layer_factors: One positive number for every layer up to the deepest.
        """
        before = 1.0
        for layer in layers_up_to(self.arguments["architecture"], list(self.arguments["layers"])):
            name, factor = keras_name(layer), float(layer_factors.get(layer, np.nan))
            if not 0 < factor < np.inf:
                raise UserError(f"`factors` need a positive number for {layer}. Received: {factor}")
            kernel, bias = arrays[f"{name}/kernel"], arrays[f"{name}/bias"]
            self.get_layer(name).set_weights([kernel * (factor / before), bias * factor])
            before = factor


def default_weights(encoder: str) -> str:
    """Where an encoder's weights come from if nothing else is said."""
    return {"vgg16": "packaged", "vgg19": "imagenet"}[encoder]


def build_encoder(
    encoder: str = "vgg19",
    layers: tuple[str, ...] = ("relu4_1",),
    weights: str | Path = "",
    layer_factors: dict[str, float] | None = None,
    expected_sha256: str = "",
    **options,
) -> tuple[VGGEncoder, dict[str, float], str]:
    """Build an encoder; return it, its layers' factors and the weight file's SHA-256.

    The factors come from the argument, else from what is stored for these weights, padding and
    pooling (a weight file's own are of reflection and max pooling), else they are measured once by
    `calibrate`: whoever builds a model stores them in its config and hands them back here, so that
    it keeps those that it was trained with.

    Args:
        encoder: `vgg19` or `vgg16`.
        layers: Names of the layers to return.
        weights: The argument of `read_weights`; empty: `packaged` for vgg16, `imagenet` for vgg19.
        layer_factors: One number for every layer, to scale it by; None for those of mean
            activation one.
        expected_sha256: Digest the file must have; empty for any.
        **options: `padding`, `pooling` and `compute_dtype` of `VGGEncoder`.

    Example:
        >>> encoder, factors, digest = build_encoder("vgg16", ("relu1_1",))
        >>> round(1 / factors["relu1_1"]) in range(15, 30)
        True
    """
    names = layer_names(encoder)
    weights = weights or default_weights(encoder)
    model = VGGEncoder(encoder, layers, **options)
    # Factors that must be measured need every layer; stored ones only those that are built.
    up_to = layers_up_to(encoder, list(layers))[-1]
    shapes = weight_shapes(encoder, up_to if layer_factors else names[-1])
    others = {keras_name(layer) for other in VGG for layer in layer_names(other)}
    foreign = frozenset(others - {keras_name(layer) for layer in names})
    arrays, digest = read_weights(
        weights, encoder, shapes, {"factors": (len(names),)}, expected_sha256, foreign
    )
    if layer_factors is None:
        setting = model.arguments["padding"], model.arguments["pooling"]
        stored = arrays.get("factors") if setting == ("reflect", "max") else None
        if stored is None:
            stored = _stored_factors(digest, *setting)
        layer_factors = (
            calibrate(encoder, arrays, *setting)
            if stored is None
            else dict(zip(names, map(float, stored), strict=True))
        )
    model.set_weights_of(arrays, layer_factors)
    return model, layer_factors, digest


@functools.cache
def _stored_factors(digest, padding, pooling):
    found = json.loads(FACTORS.read_text("utf-8"))
    return found.get(digest, {}).get(f"{padding} {pooling}")


def calibrate(
    encoder: str,
    arrays: dict[str, np.ndarray],
    padding: str = "reflect",
    pooling: str = "max",
) -> dict[str, float]:
    """Measure the factor that brings each layer's mean activation to one.

        factor[layer] = 1 / mean{ raw layer, over the package's calibration photos }

    Padding and pooling belong to it: with average pooling raw relu5_1 is a quarter of what it is
    with max pooling.

    Args:
        encoder: `vgg19` or `vgg16`.
        arrays: The raw weights of every layer.
        padding: The argument of `VGGEncoder`.
        pooling: The argument of `VGGEncoder`.

    Raises:
        UserError: A layer is silent on the photos, so these are no trained weights.
    """
    from tf_style.images.listing import list_images
    from tf_style.images.reading import read_image

    names = layer_names(encoder)
    model = VGGEncoder(encoder, tuple(names), padding, pooling)
    model.set_weights_of(arrays, dict.fromkeys(names, 1.0))
    photos = [read_image(path) for path in list_images(CALIBRATION)]
    means = [
        {name: float(ops.mean(x)) for name, x in model(photo[None]).items()} for photo in photos
    ]
    mean = {name: float(np.mean([of[name] for of in means])) for name in names}
    silent = [name for name in names if not mean[name] > 0]
    if silent:
        raise UserError(
            f"The weights leave {silent[0]} without activation on every calibration photo: "
            "they are not those of a trained VGG."
        )
    return {name: 1.0 / value for name, value in mean.items()}


def style_of(
    features: dict, layers: tuple[str, ...], statistics: Callable = channel_moments
) -> dict:
    """Return the style half of a description: {layer: statistics}, whatever the picture's size.

    Args:
        features: What the encoder returned.
        layers: Names of the layers to describe.
        statistics: What is taken of each: `channel_moments`, `gram_matrix`, or the statistics of
            a `StyleLoss`.
    """
    return {layer: statistics(features[layer]) for layer in layers}
