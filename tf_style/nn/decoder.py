"""The decoder: features back to an image, the encoder's table walked backwards."""

import keras

from tf_style.errors import UserError
from tf_style.nn.base import FromArguments
from tf_style.nn.layers import ReflectionPadding2D
from tf_style.nn.vgg import channels_of, check_options, layers_up_to

__all__ = ["Decoder"]


@keras.saving.register_keras_serializable(package="tf_style")
class Decoder(FromArguments, keras.Model):
    """The mirror of the encoder: every convolution turned round, pooling to nearest upsampling.

    ReLU after all but the last convolution, no normalisation (it would undo AdaIN). The output is
    linear, not clipped: a trainer needs the gradient of what lies outside [0, 1]. From relu4_1 it
    has 9 convolutions and 3,505,219 parameters for VGG19, 8 and 2,915,139 for VGG16.

    Departures from the authors: the last bias starts at 0.5, mid-grey, instead of near black; and
    with `skip_layers` the features of these layers join where their mirrors are, as in a U-Net:

        x_l = relu(conv([x_l+1, features_l]))

    They hold the details that `layer` has lost to pooling. AdaIN acts on each, so that no
    statistics of the photo pass (Sheng et al. 2018, whose decoder is the same in this).

    Args:
        architecture: `vgg19` or `vgg16`, whose mirror it is.
        layer: The encoder's layer to start from.
        padding: `reflect` or `zero`.
        compute_dtype: `float32` or `bfloat16`, of all convolutions but the last: an image of
            bfloat16 would show steps of 1/256.
        skip_layers: Shallower layers of the encoder whose features join.

    Call arguments: `{layer: features}` of `layer` and the skip layers, as the encoder gives.
    Output shape: `(batch, height * s, width * s, 3)`, float32; s is the layer's stride.

    Example:
        >>> Decoder("vgg19").count_params(), Decoder("vgg16").count_params()
        (3505219, 2915139)
        >>> from tf_style.nn.vgg import VGGEncoder
        >>> encoder = VGGEncoder("vgg16", ("relu2_1", "relu4_1"))
        >>> decoder = Decoder("vgg16", skip_layers=("relu2_1",))
        >>> decoder(encoder(keras.ops.ones((1, 32, 48, 3)))).shape
        TensorShape([1, 32, 48, 3])

    References: https://arxiv.org/abs/1703.06868, section 6.1; https://arxiv.org/abs/1805.03857
    """

    def __init__(
        self,
        architecture: str = "vgg19",
        layer: str = "relu4_1",
        padding: str = "reflect",
        compute_dtype: str = "float32",
        skip_layers: tuple[str, ...] = (),
        **kwargs,
    ):
        check_options(padding=padding, compute_dtype=compute_dtype)
        policy = "mixed_bfloat16" if compute_dtype == "bfloat16" else "float32"
        path = layers_up_to(architecture, [layer])
        wrong = [name for name in skip_layers if name not in path[:-1]]
        if wrong or len(set(skip_layers)) < len(skip_layers):
            raise UserError(
                f"`skip_layers` must lie before {layer}, each once: {', '.join(path[:-1])}. "
                f"Received: {', '.join(skip_layers)}"
            )

        # === Functional model ===
        features = {
            name: keras.Input((None, None, channels_of(name)), name=name)
            for name in (layer, *skip_layers)
        }
        x = features[layer]
        for current, before in zip(reversed(path), [*reversed(path[:-1]), None], strict=True):
            block, index = current.removeprefix("relu").split("_")
            last = before is None
            if current in skip_layers:
                joined = [x, features[current]]
                x = keras.layers.Concatenate(dtype=policy, name=f"skip{block}_{index}")(joined)
            if padding == "reflect":
                x = ReflectionPadding2D(1, dtype=policy, name=f"pad{block}_{index}")(x)
            x = keras.layers.Conv2D(
                3 if last else channels_of(before),
                3,
                padding="valid" if padding == "reflect" else "same",
                activation=None if last else "relu",
                kernel_initializer="glorot_uniform" if last else "he_uniform",
                bias_initializer=keras.initializers.Constant(0.5) if last else "zeros",
                dtype="float32" if last else policy,
                name=f"conv{block}_{index}",
            )(x)
            if index == "1" and not last:
                x = keras.layers.UpSampling2D(2, dtype=policy, name=f"up{block}")(x)
        super().__init__(inputs=features, outputs=x, **({"name": "decoder"} | kwargs))

        # === Config ===
        self.arguments = {
            "architecture": architecture,
            "layer": layer,
            "padding": padding,
            "compute_dtype": compute_dtype,
            "skip_layers": tuple(skip_layers),
        }
