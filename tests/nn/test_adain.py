import keras
import numpy as np
import pytest

from tf_style.errors import UserError
from tf_style.nn import adain
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.color_transfer import ColorTransfer, color_channels
from tf_style.nn.grain import grain_pattern
from tf_style.nn.layers import ChannelStatistics
from tf_style.nn.vgg import build_encoder
from tf_style.nn.vgg_weights import PACKAGED_SHA256

RNG = np.random.default_rng(23)

# What a checkpoint's config holds under `model`; the factors are made.
MODEL = {
    "encoder": "vgg16",
    "encoder_weights": "packaged",
    "encoder_sha256": PACKAGED_SHA256,
    "factors": {"relu1_1": 0.05, "relu1_2": 0.02, "relu2_1": 0.01},
    "layer": "relu2_1",
    "padding": "reflect",
    "pooling": "max",
    "skip_layers": [],
    "grain": 0.0,
    "color_transfer": False,
}


def picture(*shape):
    return RNG.uniform(0, 1, (*shape, 3)).astype("float32")


def inputs(content, style, alpha=1.0):
    return {"content": content, "style": style, "alpha": np.full(len(content), alpha, "float32")}


@pytest.fixture(scope="module")
def stylizer():
    """To relu4_1, where the sizes matter: the packaged encoder and an untrained decoder."""
    keras.utils.set_random_seed(1)
    model = AdaINStylizer("vgg16")
    encoder, _, _ = build_encoder("vgg16", ("relu4_1",))
    model.encoder.set_weights(encoder.get_weights())
    return model


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, style",
    [((16, 16), (16, 16)), ((16, 33), (40, 17)), ((23, 17), (16, 64)), ((31, 40), (25, 25))],
)
def test_the_output_has_the_contents_size(stylizer, content, style):
    image = stylizer(inputs(picture(1, *content), picture(1, *style)))
    assert image.shape == (1, *content, 3) and image.dtype == "float32"
    assert 0 <= np.min(image) and np.max(image) <= 1


def test_a_batch_is_its_examples(stylizer):
    contents, styles, alphas = picture(3, 19, 24), picture(3, 22, 17), np.float32([0, 0.5, 1])
    together = stylizer({"content": contents, "style": styles, "alpha": alphas})
    for i, alpha in enumerate(alphas):
        alone = stylizer(inputs(contents[i : i + 1], styles[i : i + 1], alpha))
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4)


def test_sides_are_free_and_channels_are_not(stylizer):
    assert stylizer.output_shape == (None, None, None, 3)
    with pytest.raises(ValueError, match="expected shape"):
        stylizer(inputs(np.zeros((1, 16, 16, 4), "float32"), picture(1, 16, 16)))


# -- what it computes ------------------------------------------------------------------------------


def test_it_is_encoder_adain_decoder(stylizer):
    content, style = picture(1, 24, 32), picture(1, 40, 16)
    x, y = (stylizer.encoder(image)["relu4_1"] for image in (content, style))
    moments = [np.asarray(f).mean((1, 2)) for f in (x, y)]
    stds = [np.sqrt(np.asarray(f).var((1, 2)) + 1e-5) for f in (x, y)]
    t = (x - moments[0]) / stds[0] * stds[1] + moments[1]
    expected = np.clip(stylizer.decoder({"relu4_1": 0.7 * t + 0.3 * x}), 0, 1)
    np.testing.assert_allclose(stylizer(inputs(content, style, 0.7)), expected, atol=1e-4)


def test_alpha_0_ignores_the_style(stylizer):
    content = picture(1, 20, 20)
    padded = np.pad(content, ((0, 0), (0, 4), (0, 4), (0, 0)), mode="reflect")
    expected = np.clip(stylizer.decoder(stylizer.encoder(padded)), 0, 1)
    for _ in range(2):
        found = stylizer(inputs(content, picture(1, 16, 16), 0.0))
        assert np.array_equal(found, expected[:, :20, :20])


def test_the_two_parts_make_the_whole(stylizer):
    content, style, alpha = picture(2, 17, 21), picture(2, 18, 30), np.float32([0.4, 1])
    statistics = np.asarray(stylizer.encode_style(style))
    assert statistics.shape == (2, 2, 512)
    parts = stylizer.transfer({"content": content, "statistics": statistics, "alpha": alpha})
    whole = stylizer({"content": content, "style": style, "alpha": alpha})
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_skip_layers_take_the_style_too():
    keras.utils.set_random_seed(2)
    stylizer = AdaINStylizer("vgg16", "relu3_1", skip_layers=("relu2_1", "relu1_2"))
    content, style = picture(1, 24, 32), picture(1, 40, 16)
    statistics = np.asarray(stylizer.encode_style(style))
    assert statistics.shape == (1, 2, 64 + 128 + 256)
    x, y, t = stylizer.encoder(content), stylizer.encoder(style), {}
    assert sorted(x) == ["relu1_2", "relu2_1", "relu3_1"]
    for layer in x:
        mean, style_mean = (np.asarray(f[layer]).mean((1, 2)) for f in (x, y))
        std, style_std = (np.sqrt(np.asarray(f[layer]).var((1, 2)) + 1e-5) for f in (x, y))
        t[layer] = 0.7 * ((x[layer] - mean) / std * style_std + style_mean) + 0.3 * x[layer]
    expected = np.clip(stylizer.decoder(t), 0, 1)
    np.testing.assert_allclose(stylizer(inputs(content, style, 0.7)), expected, atol=1e-4)
    given = {"content": content, "statistics": statistics, "alpha": np.float32([0.7])}
    np.testing.assert_allclose(stylizer.transfer(given), expected, atol=1e-4)
    features = stylizer.encode_content(content)
    given["features"] = {layer: x.numpy() for layer, x in features.items()}
    np.testing.assert_allclose(stylizer.decode(given), expected, atol=1e-4)


def test_grain_is_laid_over_the_content_and_not_over_the_style():
    keras.utils.set_random_seed(2)
    stylizer = AdaINStylizer("vgg16", "relu2_1", grain=0.1)
    plain = AdaINStylizer("vgg16", "relu2_1")
    plain.set_weights(stylizer.get_weights())
    content, style = picture(1, 23, 33), picture(1, 40, 16)
    expected = plain(inputs(content + 0.1 * grain_pattern()[:23, :33], style, 0.7))
    found = stylizer(inputs(content, style, 0.7))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.array_equal(stylizer.encode_style(style), plain.encode_style(style))


def test_colour_transfer_comes_before_all_else():
    """The photo in the style's colours is what is given grain and encoded; alpha weakens both."""
    keras.utils.set_random_seed(2)
    options = {"skip_layers": ("relu1_2",), "grain": 0.1}
    stylizer = AdaINStylizer("vgg16", "relu2_1", color_transfer=True, **options)
    plain = AdaINStylizer("vgg16", "relu2_1", **options)
    plain.set_weights(stylizer.get_weights())
    content, style, alpha = picture(1, 23, 33), 0.3 * picture(1, 40, 16), np.float32([0.7])
    statistics = np.asarray(stylizer.encode_style(style))
    of_colors = ChannelStatistics()(color_channels(style))
    assert np.array_equal(statistics[..., :192], plain.encode_style(style))
    np.testing.assert_allclose(statistics[..., 192:], of_colors, atol=1e-6)
    colored = np.asarray(ColorTransfer()(content, of_colors, alpha))
    expected = plain(inputs(colored, style, 0.7))
    found = stylizer(inputs(content, style, 0.7))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    given = {"content": content, "statistics": statistics, "alpha": alpha}
    np.testing.assert_allclose(stylizer.transfer(given), expected, atol=1e-4)
    assert np.abs(plain(inputs(content, style, 0.7)) - expected).max() > 0.01
    # The features of the photo are of one style only.
    assert stylizer.encode_content is stylizer.decode is None


def test_of_a_flat_photo_grain_leaves_something():
    flat, style = np.full((1, 32, 32, 3), 0.9, "float32"), picture(1, 32, 32)
    stds = [
        np.std(AdaINStylizer("vgg16", "relu2_1", grain=grain)(inputs(flat, style)), (1, 2)).max()
        for grain in (0.0, 0.03)
    ]
    assert stds[0] < 1e-3 < 1e-2 < stds[1]


def test_a_tile_takes_the_moments_of_the_whole():
    rng = np.random.default_rng(3)
    whole = {"relu1_1": rng.random((1, 8, 8, 64)), "relu2_1": rng.random((1, 4, 4, 128))}
    whole = {layer: x.astype("float32") for layer, x in whole.items()}
    style = adain.statistics_of({layer: 2 * x + 1 for layer, x in whole.items()})
    tile = {"relu1_1": whole["relu1_1"][:, :4], "relu2_1": whole["relu2_1"][:, :2]}
    ones = np.ones(1, "float32")
    found = adain.restyled(tile, style, ones, adain.statistics_of(whole))
    for layer, x in tile.items():
        np.testing.assert_allclose(found[layer], 2 * x + 1, atol=1e-3)
    other = adain.restyled(tile, style, ones)
    assert np.abs(other["relu1_1"] - found["relu1_1"]).max() > 0.1


def test_only_the_decoder_is_trained(stylizer):
    assert stylizer.count_params() == 2_915_648 + 2_915_139
    trained = sum(int(np.prod(v.shape)) for v in stylizer.trainable_weights)
    assert trained == stylizer.decoder.count_params() == 2_915_139


def test_bfloat16_is_close_to_float32(stylizer):
    half = AdaINStylizer("vgg16", compute_dtype="bfloat16")
    half.set_weights(stylizer.get_weights())
    pictures = inputs(picture(1, 40, 32), picture(1, 32, 40))
    found, expected = (np.asarray(model(pictures)) for model in (half, stylizer))
    assert found.dtype == np.float32
    error = np.mean((found - expected) ** 2)
    assert 0 < error and 10 * np.log10(1 / error) > 30, "PSNR in dB"


# -- keeping it ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_and_loaded(tmp_path, stylizer):
    path = tmp_path / "a.keras"
    stylizer.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is AdaINStylizer and loaded.get_config() == stylizer.get_config()
    pictures = inputs(picture(1, 17, 23), picture(1, 16, 30), 0.8)
    assert np.array_equal(loaded(pictures), stylizer(pictures))
    # Once each, though encoder and decoder stand in three models.
    assert path.stat().st_size < 1.1 * 4 * stylizer.count_params()


def test_a_packaged_encoder_is_not_stored():
    stylizer = AdaINStylizer.from_checkpoint(MODEL)
    encoder, _, _ = build_encoder("vgg16", ("relu2_1",), layer_factors=MODEL["factors"])
    for found, expected in zip(stylizer.encoder.weights, encoder.weights, strict=True):
        assert np.array_equal(found, expected)
    names = stylizer.saved_variables()
    assert sorted(names) == [
        f"decoder/conv{layer}/{kind}"
        for layer in ("1_1", "1_2", "2_1")
        for kind in ("bias", "kernel")
    ]


def test_another_encoder_is_stored():
    model = MODEL | {"encoder": "vgg19", "encoder_weights": "stored", "pooling": "avg"}
    first, second = (AdaINStylizer.from_checkpoint(model) for _ in range(2))
    variables = first.saved_variables()
    assert len(variables) == 12 == len(first.weights)
    assert "encoder/block1_conv2/kernel" in variables
    kept = {name: variable.numpy() for name, variable in variables.items()}
    for name, variable in second.saved_variables().items():
        variable.assign(kept[name])
    pictures = inputs(picture(1, 16, 18), picture(1, 20, 16))
    assert np.array_equal(first(pictures), second(pictures))


def test_from_checkpoint_takes_every_option():
    model = MODEL | {"encoder_weights": "stored", "padding": "zero", "pooling": "avg"}
    config = AdaINStylizer.from_checkpoint(model, "bfloat16").get_config()
    expected = {"architecture": "vgg16", "layer": "relu2_1", "padding": "zero", "pooling": "avg",
                "compute_dtype": "bfloat16"}  # fmt: skip
    assert config.items() >= (expected | {"skip_layers": ()}).items()
    assert config["grain"] == 0 and config["color_transfer"] is False
    more = {"skip_layers": ["relu1_1"], "grain": 0.03, "color_transfer": True}
    config = AdaINStylizer.from_checkpoint(model | more).get_config()
    assert config.items() >= (more | {"skip_layers": ("relu1_1",)}).items()


def test_unknown_layer():
    with pytest.raises(UserError, match="vgg16 has the layers .*Received: relu4_4"):
        AdaINStylizer("vgg16", "relu4_4")
    with pytest.raises(
        UserError, match="`skip_layers` must lie before relu2_1, .*Received: relu3_1"
    ):
        AdaINStylizer("vgg16", "relu2_1", skip_layers=("relu3_1",))


# -- several styles --------------------------------------------------------------------------------


def test_blend():
    statistics = RNG.normal(size=(3, 2, 5)).astype("float32")
    expected = (2 * statistics[0] + statistics[1] + statistics[2]) / 4
    found = adain.blend(statistics, [2, 1, 1])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(adain.blend(statistics, [0, 0.3, 0]), statistics[1], rtol=1e-6)
    np.testing.assert_allclose(adain.blend(statistics[:1], [7.0]), statistics[0], rtol=1e-6)
