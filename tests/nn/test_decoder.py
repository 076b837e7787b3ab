import keras
import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.nn.decoder import Decoder
from tf_style.nn.vgg import VGGEncoder, layer_names

RNG = np.random.default_rng(17)


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def features(*shape):
    return RNG.uniform(0, 2, shape).astype("float32")


# The authors' decoder has 3,505,219: https://github.com/xunhuang1995/AdaIN-style
@pytest.mark.parametrize(
    "architecture, parameters, number", [("vgg19", 3_505_219, 9), ("vgg16", 2_915_139, 8)]
)
def test_parameters(architecture, parameters, number):
    decoder = Decoder(architecture)
    assert decoder.count_params() == parameters
    assert len(convolutions(decoder)) == number
    assert len(decoder.trainable_weights) == 2 * number


def test_layers_are_those_of_the_paper():
    decoder = Decoder("vgg19")
    walk = [
        layer.filters if isinstance(layer, keras.layers.Conv2D) else "up"
        for layer in decoder.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.UpSampling2D))
    ]
    assert walk == [256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3]
    assert {layer.interpolation for layer in decoder.layers if "up" in layer.name} == {"nearest"}
    *hidden, last = convolutions(decoder)
    assert {layer.activation.__name__ for layer in hidden} == {"relu"}
    assert last.activation.__name__ == "linear"
    assert last.bias.numpy().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("layer", ["relu1_1", "relu1_2", "relu2_1", "relu3_2", "relu5_1"])
def test_it_mirrors_the_encoder(architecture, layer):
    encoder = VGGEncoder(architecture, (layer,))
    decoder = Decoder(architecture, layer)
    forth = [conv.kernel.shape[2:] for conv in convolutions(encoder)]
    back = [conv.kernel.shape[2:] for conv in convolutions(decoder)]
    assert back == [(o, i) for i, o in reversed(forth)]
    ups = [x for x in decoder.layers if isinstance(x, keras.layers.UpSampling2D)]
    assert len(ups) == sum("pool" in x.name for x in encoder.layers)
    assert decoder.input[layer].shape[-1] == encoder.output[layer].shape[-1]


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_output(padding, dtype):
    decoder = Decoder("vgg16", "relu3_1", padding, dtype)
    image = decoder({"relu3_1": features(2, 5, 7, 256)})
    assert image.shape == (2, 20, 28, 3) and image.dtype == "float32"
    assert {v.dtype for v in decoder.weights} == {"float32"}


def test_bfloat16_gives_no_steps_of_bfloat16():
    decoder = Decoder("vgg16", "relu2_1", "reflect", "bfloat16")
    image = np.asarray(decoder({"relu2_1": features(1, 8, 8, 128)}))
    rounded = np.asarray(keras.ops.cast(keras.ops.cast(image, "bfloat16"), "float32"))
    assert (image != rounded).mean() > 0.9


def test_reflected_borders_keep_a_flat_picture_flat():
    flat = np.broadcast_to(features(1, 1, 1, 128), (1, 6, 6, 128))
    for padding, is_flat in (("reflect", True), ("zero", False)):
        keras.utils.set_random_seed(1)
        image = np.asarray(Decoder("vgg16", "relu2_1", padding)({"relu2_1": flat}))
        assert (np.ptp(image, axis=(1, 2)).max() < 1e-4) == is_flat


def test_output_is_not_clipped():
    image = np.asarray(Decoder("vgg16", "relu1_1")({"relu1_1": 100 * features(1, 8, 8, 64)}))
    assert image.min() < 0 and image.max() > 1


def test_errors():
    with pytest.raises(UserError, match="vgg16 has the layers .* Received: relu9_1"):
        Decoder("vgg16", "relu9_1")
    with pytest.raises(UserError, match="`padding` must be one of reflect, zero. Received: same"):
        Decoder("vgg16", padding="same")
    with pytest.raises(UserError, match="`compute_dtype` must be one of .* Received: float16"):
        Decoder("vgg16", compute_dtype="float16")
    for skips in (["relu4_1"], ["relu2_1", "relu5_1"], ["relu2_1", "relu2_1"]):
        message = f"must lie before relu4_1, each once: .*3_3. Received: {', '.join(skips)}"
        with pytest.raises(UserError, match=message):
            Decoder("vgg16", skip_layers=skips)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_skip_layers_join_at_their_mirrors(architecture):
    skips = ("relu1_1", "relu2_1", "relu3_2")
    plain, decoder = Decoder(architecture), Decoder(architecture, skip_layers=skips)
    kernels = {layer.name: layer.kernel.shape for layer in convolutions(plain)}
    for layer in convolutions(decoder):
        height, width, channels, filters = kernels[layer.name]
        own = channels if layer.name.replace("conv", "relu") in skips else 0
        assert layer.kernel.shape == (height, width, channels + own, filters)
    # Weights of zero for what joins: the decoder without it.
    for layer in convolutions(decoder):
        kernel, bias = plain.get_layer(layer.name).get_weights()
        joined = layer.kernel.shape[2] - kernel.shape[2]
        layer.set_weights([np.pad(kernel, ((0, 0), (0, 0), (0, joined), (0, 0))), bias])
    encoder = VGGEncoder(architecture, (*skips, "relu4_1"))
    given = encoder(features(1, 32, 48, 3) / 2)
    expected = plain({"relu4_1": given["relu4_1"]})
    np.testing.assert_allclose(decoder(given), expected, atol=1e-5)


def test_every_layer_of_the_table_can_be_decoded():
    for layer in layer_names("vgg19")[1::4]:
        assert Decoder("vgg19", layer).output_shape == (None, None, None, 3)
