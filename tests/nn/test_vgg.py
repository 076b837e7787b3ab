import keras
import numpy as np
import pytest
from keras import ops

from tf_style import files
from tf_style.errors import UserError
from tf_style.images.listing import list_images
from tf_style.images.reading import read_image
from tf_style.nn import vgg, vgg_weights
from tf_style.nn.losses import content_loss, gram_loss, moments_loss
from tf_style.nn.statistics import channel_moments, gram_matrix
from tf_style.nn.vgg import VGGEncoder, build_encoder, keras_name, layer_names

RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def photo():
    """A real photo, cut to 64 px."""
    return read_image(vgg.CALIBRATION / "astronaut.jpg")[20:84, 80:144]


@pytest.fixture(scope="module")
def packaged():
    """The raw weights in the package and the factors beside them."""
    shapes = vgg.weight_shapes("vgg16", "relu5_3")
    arrays, _ = vgg_weights.read_weights("packaged", "vgg16", shapes, {"factors": (13,)})
    layer_factors = arrays.pop("factors").tolist()
    return arrays, dict(zip(layer_names("vgg16"), layer_factors, strict=True))


@pytest.fixture
def narrow(monkeypatch):
    """VGG with few channels."""
    monkeypatch.setattr(vgg, "FILTERS", (4, 6, 8, 10, 12))


def made_weights(architecture, seed=1):
    """Weights that keep the activations' size (He et al. 2015)."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype("float32")
        if name.endswith("kernel")
        else rng.uniform(0, 1, shape).astype("float32")
        for name, shape in vgg.weight_shapes(architecture, layer_names(architecture)[-1]).items()
    }


def made_factors(architecture):
    return {name: 0.5 + 0.2 * i for i, name in enumerate(layer_names(architecture))}


# -- an oracle without Keras -----------------------------------------------------------------------


def convolve(x, kernel, bias):
    """`(h, w, in)` and `(3, 3, in, out)` to `(h - 2, w - 2, out)`, after ReLU."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
    return np.maximum(np.tensordot(windows, kernel, ((3, 4, 2), (0, 1, 2))) + bias, 0)


def numpy_vgg(image, arrays, architecture, padding="reflect", pooling="max"):
    """Raw VGG in float64: `(height, width, 3)` to {layer: (h, w, channels)}."""
    x = np.float64(image)[..., ::-1] * 255 - (103.939, 116.779, 123.68)
    features = {}
    for block, convolutions in enumerate(vgg.VGG[architecture], 1):
        for index in range(1, convolutions + 1):
            if block > 1 and index == 1:
                height, width = x.shape[0] // 2, x.shape[1] // 2
                squares = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
                x = squares.max((1, 3)) if pooling == "max" else squares.mean((1, 3))
            mode = {"reflect": "reflect", "zero": "constant"}[padding]
            x = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode)
            name = f"block{block}_conv{index}"
            x = convolve(x, *(np.float64(arrays[f"{name}/{kind}"]) for kind in ("kernel", "bias")))
            features[f"relu{block}_{index}"] = x
    return features


# -- the table -------------------------------------------------------------------------------------


def test_names():
    assert layer_names("vgg16")[:5] == ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"]
    assert [len(layer_names(name)) for name in ("vgg16", "vgg19")] == [13, 16]
    assert layer_names("vgg19")[-1] == "relu5_4"
    assert keras_name("relu4_1") == "block4_conv1"


# The first two are Keras' without top: https://keras.io/api/applications/
@pytest.mark.parametrize(
    "architecture, up_to, convolutions, parameters",
    [
        ("vgg16", "relu5_3", 13, 14_714_688),
        ("vgg19", "relu5_4", 16, 20_024_384),
        ("vgg16", "relu4_1", 8, 2_915_648),
        ("vgg19", "relu4_1", 9, 3_505_728),
        ("vgg19", "relu1_1", 1, 1_792),
    ],
)
def test_parameter_counts(architecture, up_to, convolutions, parameters):
    shapes = vgg.weight_shapes(architecture, up_to)
    assert len(shapes) == 2 * convolutions
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == parameters
    if up_to == "relu4_1":
        model = VGGEncoder(architecture, (up_to,))
        assert model.count_params() == parameters
        found = {f"{layer.name}/{v.name}": tuple(v.shape) for layer in model.layers
                 for v in layer.weights}  # fmt: skip
        assert found == shapes


def test_only_layers_up_to_the_deepest_are_built():
    model = VGGEncoder("vgg16", ("relu2_1", "relu1_2"))
    assert [layer.name for layer in model.layers if layer.weights] == [
        "block1_conv1", "block1_conv2", "block2_conv1"
    ]  # fmt: skip
    features = model(np.zeros((2, 9, 8, 3), "float32"))
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        "relu1_2": (2, 9, 8, 64), "relu2_1": (2, 4, 4, 128)
    }  # fmt: skip
    assert not any(variable.trainable for variable in model.weights)


def test_unknown_names():
    for layers in (["relu6_1"], ["relu1_1", "conv1"], ["block1_conv1"], []):
        with pytest.raises(UserError, match=r"vgg16 has the layers relu1_1, .*relu5_3. Received: "):
            VGGEncoder("vgg16", layers)
    for make in (VGGEncoder, build_encoder, layer_names):
        with pytest.raises(UserError, match=r"`encoder` must be one of vgg16, vgg19.*alexnet"):
            make("alexnet")


@pytest.mark.parametrize("option", ["padding", "pooling", "compute_dtype"])
def test_unknown_options(option):
    with pytest.raises(UserError, match=rf"`{option}` must be one of \w+, \w+. Received: other"):
        VGGEncoder("vgg16", ("relu1_1",), **{option: "other"})


# -- what it computes ------------------------------------------------------------------------------


def test_preprocessing():
    image = RNG.uniform(0, 1, (2, 3, 4, 3)).astype("float32")
    before = image.copy()
    expected = 255 * image[..., [2, 1, 0]] - np.float32([103.939, 116.779, 123.68])
    np.testing.assert_allclose(vgg.VGGPreprocessing()(image), expected, rtol=1e-6, atol=1e-4)
    assert np.array_equal(image, before)


def test_encoding_does_not_change_its_input():
    image = ops.convert_to_tensor(RNG.uniform(0, 1, (1, 8, 8, 3)).astype("float32"))
    before = np.array(ops.convert_to_numpy(image))
    VGGEncoder("vgg16", ("relu1_1",))(image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_every_layer_is_its_factor_times_the_raw_one(narrow, architecture, padding, pooling):
    arrays, layer_factors = made_weights(architecture), made_factors(architecture)
    model = VGGEncoder(architecture, layer_names(architecture), padding, pooling)
    model.set_weights_of(arrays, layer_factors)
    image = RNG.uniform(0, 1, (35, 41, 3)).astype("float32")
    raw = numpy_vgg(image, arrays, architecture, padding, pooling)
    found = model(image[None])
    assert found.keys() == raw.keys()
    for name, expected in raw.items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            found[name][0] / layer_factors[name],
            expected,
            rtol=1e-4,
            atol=1e-5 * scale,
            err_msg=name,
        )


def test_packaged_weights_in_every_layer(photo, packaged):
    arrays, layer_factors = packaged
    image = photo[:32, :32]
    raw = numpy_vgg(image, arrays, "vgg16")
    model, stored, _ = build_encoder("vgg16", layer_names("vgg16"))
    assert stored == pytest.approx(layer_factors)
    for name, features in model(image[None]).items():
        expected = layer_factors[name] * raw[name]
        np.testing.assert_allclose(
            features[0], expected, rtol=1e-3, atol=1e-4 * expected.max(), err_msg=name
        )


# Mean and standard deviation of the raw activations on the 64 px of `photo`, from `numpy_vgg`.
GOLDEN = {
    "relu1_1": (21.765, 42.313),
    "relu2_2": (255.56, 467.1),
    "relu3_1": (304.53, 512.92),
    "relu4_1": (202.97, 447.97),
    "relu5_3": (1.4264, 7.9779),
}


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-3), ("bfloat16", 2e-2)])
def test_golden_activations(photo, dtype, tolerance):
    model, layer_factors, _ = build_encoder("vgg16", tuple(GOLDEN), compute_dtype=dtype)
    for name, features in model(photo[None]).items():
        raw = np.float32(ops.cast(features, "float32")) / layer_factors[name]
        assert (raw.mean(), raw.std()) == pytest.approx(GOLDEN[name], rel=tolerance), name


def test_compute_dtype():
    model = VGGEncoder("vgg16", ("relu1_1",), compute_dtype="bfloat16")
    assert model(np.zeros((1, 8, 8, 3), "float32"))["relu1_1"].dtype == "bfloat16"
    assert {v.dtype for v in model.weights} == {"float32"}


# -- factors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "padding, pooling",
    [("reflect", "avg"), *(pytest.param(*other, marks=pytest.mark.slow) for other in
     (("reflect", "max"), ("zero", "max"), ("zero", "avg")))],
)  # fmt: skip
def test_stored_factors_bring_the_calibration_photos_to_mean_one(packaged, padding, pooling):
    arrays, _ = packaged
    _, layer_factors, _ = build_encoder("vgg16", ("relu1_1",), padding=padding, pooling=pooling)
    measured = vgg.calibrate("vgg16", arrays, padding, pooling)
    assert layer_factors == pytest.approx(measured, rel=1e-3)


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_stored_factors_are_measured_by_nobody_else(counted, padding, pooling):
    options = {"padding": padding, "pooling": pooling}
    build_encoder("vgg16", ("relu1_1",), **options)
    assert not counted
    # Those of a model that was trained with others stay.
    kept = dict.fromkeys(layer_names("vgg16"), 0.5)
    assert build_encoder("vgg16", ("relu1_1",), layer_factors=kept, **options)[1] == kept


@pytest.fixture
def one_photo(tmp_path, monkeypatch):
    """A calibration folder with one small picture."""
    from tf_style.images.writing import write_image

    monkeypatch.setattr(vgg, "CALIBRATION", tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos" / "a.png", RNG.uniform(0, 1, (32, 32, 3)).astype("float32"))
    return read_image(tmp_path / "photos" / "a.png")


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_calibrate_brings_every_layer_to_mean_one(narrow, one_photo, tmp_path, padding, pooling):
    arrays = made_weights("vgg19")
    # A file's own factors are those of reflection and max pooling.
    ones = {"factors": np.ones(16, "float32")} if (padding, pooling) != ("reflect", "max") else {}
    files.write_npz(tmp_path / "a.npz", arrays | ones)
    model, layer_factors, _ = build_encoder(
        "vgg19", layer_names("vgg19"), tmp_path / "a.npz", padding=padding, pooling=pooling
    )
    raw = numpy_vgg(one_photo, arrays, "vgg19", padding, pooling)
    assert layer_factors == pytest.approx({name: 1 / x.mean() for name, x in raw.items()}, rel=1e-4)
    for features in model(one_photo[None]).values():
        assert float(ops.mean(features)) == pytest.approx(1, rel=1e-4)


def test_calibrate_refuses_a_silent_layer(narrow, one_photo):
    arrays = made_weights("vgg16")
    arrays["block3_conv2/kernel"] *= 0
    arrays["block3_conv2/bias"][:] = -1
    with pytest.raises(UserError, match="leave relu3_2 without activation on every calibration"):
        vgg.calibrate("vgg16", arrays)


@pytest.fixture
def counted(monkeypatch):
    """Counts the calibrations."""
    calls, calibrate = [], vgg.calibrate
    monkeypatch.setattr(vgg, "calibrate", lambda *args: calls.append(args[0]) or calibrate(*args))
    return calls


def test_factors_are_measured_once_and_then_taken(narrow, one_photo, counted, tmp_path):
    arrays = made_weights("vgg19")
    files.write_npz(tmp_path / "raw.npz", arrays)
    image = RNG.uniform(0, 1, (1, 24, 24, 3)).astype("float32")
    first, measured, digest = build_encoder("vgg19", ("relu2_1",), tmp_path / "raw.npz")
    assert counted == ["vgg19"] and list(measured) == layer_names("vgg19")
    assert digest == files.sha256(tmp_path / "raw.npz")
    again, layer_factors, _ = build_encoder(
        "vgg19", ("relu2_1",), tmp_path / "raw.npz", measured, expected_sha256=digest
    )
    assert counted == ["vgg19"] and layer_factors == measured
    assert np.array_equal(first(image)["relu2_1"], again(image)["relu2_1"])


def test_factors_of_the_file_and_of_the_caller(narrow, one_photo, counted, tmp_path):
    arrays = made_weights("vgg16")
    halves = np.full(13, 0.5, "float32")
    files.write_npz(tmp_path / "a.npz", arrays | {"factors": halves})
    image = RNG.uniform(0, 1, (1, 16, 16, 3)).astype("float32")
    stored, layer_factors, _ = build_encoder("vgg16", ("relu1_2",), tmp_path / "a.npz")
    assert layer_factors == dict.fromkeys(layer_names("vgg16"), 0.5)
    # Those of the caller win, and only the layers that are built need one.
    given = {"relu1_1": 3.0, "relu1_2": 2.0}
    scaled, layer_factors, _ = build_encoder("vgg16", ("relu1_2",), tmp_path / "a.npz", given)
    assert layer_factors == given and counted == []
    expected = 4 * stored(image)["relu1_2"]
    np.testing.assert_allclose(scaled(image)["relu1_2"], expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, None])
def test_bad_factors(narrow, bad):
    model = VGGEncoder("vgg16", ("relu1_2",))
    layer_factors = {"relu1_1": 1.0} if bad is None else {"relu1_1": 1.0, "relu1_2": bad}
    with pytest.raises(UserError, match="`factors` need a positive number for relu1_2. Received"):
        model.set_weights_of(made_weights("vgg16"), layer_factors)


def test_expected_sha256():
    digest = vgg_weights.PACKAGED_SHA256
    _, _, found = build_encoder("vgg16", ("relu1_1",), expected_sha256=digest)
    assert found == digest
    with pytest.raises(UserError, match=f"its SHA-256 is {digest} over .* expected 000"):
        build_encoder("vgg16", ("relu1_1",), expected_sha256="0" * 64)


def test_wrong_weight_file(tmp_path):
    files.write_npz(tmp_path / "a.npz", {"block1_conv1/kernel": np.zeros((3, 3, 3, 64))})
    with pytest.raises(UserError, match="lacks 'block1_conv1/bias'"):
        build_encoder("vgg16", ("relu1_1",), tmp_path / "a.npz")


# -- descriptions and losses -----------------------------------------------------------------------


def test_style_of():
    features = {name: RNG.normal(size=(2, 4, 5, 3)).astype("float32") for name in "ab"}
    style = vgg.style_of(features, ("b",), gram_matrix)
    assert list(style) == ["b"]
    assert np.array_equal(style["b"], gram_matrix(features["b"]))
    mean, std = vgg.style_of(features, ("a", "b"))["a"]
    assert np.array_equal(mean, channel_moments(features["a"])[0])
    assert np.array_equal(std, channel_moments(features["a"])[1])


def test_losses_are_those_of_the_raw_network_times_a_power_of_the_factor(narrow):
    """Content and moments go with the factor's square, Gram matrices with its fourth power."""
    names, arrays = layer_names("vgg19"), made_weights("vgg19")
    raw, scaled = (VGGEncoder("vgg19", names) for _ in range(2))
    raw.set_weights_of(arrays, dict.fromkeys(names, 1.0))
    layer_factors = made_factors("vgg19")
    scaled.set_weights_of(arrays, layer_factors)
    images = RNG.uniform(0, 1, (2, 1, 32, 32, 3)).astype("float32")
    (raw_a, raw_b), (a, b) = ([model(image) for image in images] for model in (raw, scaled))
    for name, f in layer_factors.items():
        content = content_loss(raw_a[name], raw_b[name])
        np.testing.assert_allclose(content_loss(a[name], b[name]), f**2 * content, rtol=1e-4)
        grams = (gram_matrix(x[name]) for x in (raw_a, raw_b, a, b))
        gram, gram_target, *normalised = grams
        expected = f**4 * gram_loss(gram, gram_target)
        np.testing.assert_allclose(gram_loss(*normalised), expected, rtol=1e-3)
        moments = [channel_moments(x[name]) for x in (raw_a, raw_b, a, b)]
        for reduction in ("sum", "mean"):
            expected = f**2 * moments_loss(*moments[:2], reduction)
            found = moments_loss(*moments[2:], reduction)
            # EPSILON in the root does not scale.
            np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_calibration_photos_are_there():
    assert len(list_images(vgg.CALIBRATION)) == 6
    assert (vgg.CALIBRATION / "SOURCES.md").is_file()


def test_round_trip_by_keras(tmp_path):
    model = VGGEncoder("vgg16", ("relu1_1", "relu1_2"), "zero", "avg")
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert clone.get_config() == model.get_config() and not clone.trainable


def test_vgg19s_weights_are_not_taken_for_vgg16s(tmp_path):
    """All that VGG16 asks for is in VGG19's file, in the same shapes."""
    arrays = {k: np.zeros(v, "float32") for k, v in vgg.weight_shapes("vgg19", "relu3_4").items()}
    files.write_npz(tmp_path / "vgg19.npz", arrays)
    layer_factors = dict.fromkeys(layer_names("vgg16"), 1.0)
    with pytest.raises(UserError, match="vgg19.npz holds 'block3_conv4', a layer that the network"):
        build_encoder("vgg16", ("relu3_3",), tmp_path / "vgg19.npz", layer_factors)
