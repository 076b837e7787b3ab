import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tf_style.nn import layers
from tf_style.nn.statistics import EPSILON, channel_moments

RNG = np.random.default_rng(13)


def features(*shape, mean=1.0, std=2.0):
    return RNG.normal(mean, std, shape).astype("float32")


def adain(content, style, alpha=1.0):
    statistics = layers.ChannelStatistics()(style)
    return layers.AdaIN()(content, statistics, ops.full(content.shape[:1], alpha))


# -- AdaIN -----------------------------------------------------------------------------------------


def test_adain_gives_the_styles_moments():
    content, style = features(2, 9, 7, 5), features(2, 4, 6, 5, mean=-3, std=0.5)
    for found, expected in zip(
        channel_moments(adain(content, style)), channel_moments(style), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_adain_is_numpys():
    x, y = features(2, 5, 6, 3), features(2, 8, 3, 3, mean=4, std=0.1)
    mean, std = x.mean((1, 2), keepdims=True), np.sqrt(x.var((1, 2), keepdims=True) + EPSILON)
    style_std = np.sqrt(y.var((1, 2), keepdims=True) + EPSILON)
    t = (x - mean) / std * style_std + y.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(adain(x, y), t, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(adain(x, y, 0.3), 0.3 * t + 0.7 * x, rtol=1e-4, atol=1e-5)


def test_adain_with_the_content_as_style_changes_nothing():
    x = features(2, 8, 8, 4)
    np.testing.assert_allclose(adain(x, x), x, atol=1e-5)


def test_adain_at_alpha_0_is_the_content_to_the_bit():
    x = features(2, 8, 8, 4)
    assert np.array_equal(adain(x, features(2, 5, 5, 4), 0.0), x)


def test_adain_is_linear_in_alpha():
    x, y = features(1, 8, 8, 4), features(1, 8, 8, 4, mean=5)
    none, half, full = (np.asarray(adain(x, y, alpha)) for alpha in (0, 0.5, 1))
    np.testing.assert_allclose(half, (none + full) / 2, rtol=1e-5, atol=1e-5)


def test_every_example_has_its_own_alpha_and_style():
    x, y = features(3, 8, 8, 4), features(3, 6, 6, 4, mean=5)
    alphas = np.float32([0, 0.4, 1])
    together = layers.AdaIN()(x, layers.ChannelStatistics()(y), alphas)
    for i, alpha in enumerate(alphas):
        alone = adain(x[i : i + 1], y[i : i + 1], alpha)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-5, atol=1e-5)


def test_adain_of_blended_statistics_is_the_blend_of_adains():
    x, styles = features(1, 8, 8, 4), [features(1, 6, 6, 4, mean=m, std=m + 1) for m in range(3)]
    weights = (0.5, 0.3, 0.2)
    statistics = [layers.ChannelStatistics()(style) for style in styles]
    blended = sum(w * s for w, s in zip(weights, statistics, strict=True))
    expected = sum(w * adain(x, style) for w, style in zip(weights, styles, strict=True))
    found = layers.AdaIN()(x, blended, ops.ones(1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_adain_of_flat_features_is_finite_and_so_is_its_gradient():
    x = tf.Variable(np.ones((1, 4, 4, 2), "float32"))
    with tf.GradientTape() as tape:
        loss = ops.sum(ops.square(adain(x, features(1, 4, 4, 2))))
    assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, x)).all()


def test_channel_statistics_are_the_moments():
    x = features(2, 4, 5, 3)
    found = layers.ChannelStatistics()(x)
    assert found.shape == (2, 2, 3)
    assert np.array_equal(found, np.stack(channel_moments(x), axis=1))


def test_statistics_and_adain_stay_float32_under_a_bfloat16_policy():
    x = ops.cast(features(1, 8, 8, 4), "bfloat16")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        statistics, adain_layer = layers.ChannelStatistics(), layers.AdaIN()
    finally:
        keras.config.set_dtype_policy(policy)
    assert statistics(x).dtype == "float32"
    assert adain_layer(x, statistics(x), ops.ones(1)).dtype == "float32"


# -- padding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1, 2, 4])
def test_reflection_is_numpys(padding):
    x = features(2, 5, 7, 3)
    lines = (padding, padding)
    expected = np.pad(x, ((0, 0), lines, lines, (0, 0)), mode="reflect")
    assert np.array_equal(layers.ReflectionPadding2D(padding)(x), expected)


@pytest.mark.parametrize("padding", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reflection_has_the_bits_of_mirror_pad_and_in_training_its_gradient(padding, dtype):
    x = tf.constant(features(2, 5, 7, 3), dtype)
    weights = tf.constant(features(2, 5 + 2 * padding, 7 + 2 * padding, 3), dtype)
    layer = layers.ReflectionPadding2D(padding, dtype=dtype)
    lines = [padding, padding]

    def mirror_pad(x):
        return tf.pad(x, [[0, 0], lines, lines, [0, 0]], mode="REFLECT")

    found = {}
    for reflect in (mirror_pad, functools.partial(layer, training=True), layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            padded = reflect(x)
            weighted = tf.reduce_sum(padded * weights)
        found[reflect] = padded, tape.gradient(weighted, x)
    (expected, gradient), in_training, in_use = found.values()
    for padded, _ in (in_training, in_use):
        assert np.array_equal(padded, expected)
    assert np.array_equal(in_training[1], gradient)
    # Where lines meet, copies add up in another order.
    close = [tf.cast(x, "float32") for x in (in_use[1], gradient)]
    np.testing.assert_allclose(*close, rtol=2**-6, atol=0.1)


def test_reflection_needs_more_lines_than_it_adds():
    with pytest.raises(Exception, match="paddings must be less than the dimension size"):
        layers.ReflectionPadding2D(4)(features(1, 4, 7, 3))


@pytest.mark.parametrize("side", range(16, 34))
def test_padding_to_a_multiple_and_cropping_back(side):
    x = features(1, side, 49 - side, 3)
    padded = layers.PadToMultiple(8)(x)
    below, right = (-n % 8 for n in x.shape[1:3])
    expected = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), mode="reflect")
    assert np.array_equal(padded, expected)
    assert padded.shape[1] % 8 == padded.shape[2] % 8 == 0
    assert np.array_equal(layers.CropLike()(padded, x), x)


def test_padding_to_a_multiple_leaves_what_is_one():
    x = features(1, 16, 24, 3)
    assert np.array_equal(layers.PadToMultiple(8)(x), x)
    assert np.array_equal(layers.PadToMultiple(1)(x[:, :5, :7]), x[:, :5, :7])


def test_padding_in_a_graph_of_unknown_sides():
    pad, crop = layers.PadToMultiple(8), layers.CropLike()
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def there_and_back(x):
        traces.append(x)
        padded = pad(x)
        return padded, crop(padded, x)

    for height, width in ((16, 17), (23, 32)):
        x = features(2, height, width, 3)
        padded, back = there_and_back(x)
        assert padded.shape == (2, height + -height % 8, width + -width % 8, 3)
        assert np.array_equal(back, x)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.ReflectionPadding2D(-1), "`padding` must be 0 or more. .* padding=-1"),
        (lambda: layers.PadToMultiple(0), "`multiple` must be 1 or more. .* multiple=0"),
    ],
)
def test_impossible_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- resizing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (37, 101), (16, 200), (9, 5)])
def test_squares_are_those_of_tensorflows_resizing(size):
    picture = RNG.random((2, *size, 3)).astype("float32")
    expected = tf.image.resize(picture, (16, 16), antialias=True)
    np.testing.assert_allclose(layers.SquareResizing(16)(picture), expected, atol=2e-5)
