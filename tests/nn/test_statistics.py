import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_style.images.tiling import tile_grid
from tf_style.nn import statistics
from tf_style.nn.layers import ChannelStatistics

RNG = np.random.default_rng(3)


def features(*shape):
    return RNG.normal(0.5, 2, shape).astype("float32")


# -- channel moments -------------------------------------------------------------------------------


def test_channel_moments_are_numpys():
    x = features(3, 5, 7, 4)
    mean, std = statistics.channel_moments(x)
    assert mean.shape == std.shape == (3, 4)
    np.testing.assert_allclose(mean, x.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, np.sqrt(x.var((1, 2)) + statistics.EPSILON), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int32"])
def test_channel_moments_are_float32_whatever_comes(dtype):
    x = keras.ops.cast(10 * features(1, 16, 16, 3), dtype)
    mean, std = statistics.channel_moments(x)
    assert mean.dtype == std.dtype == "float32"
    values = np.asarray(keras.ops.cast(x, "float32"))
    np.testing.assert_allclose(mean, values.mean((1, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(std, np.sqrt(values.var((1, 2)) + statistics.EPSILON), rtol=1e-5)


def test_channel_moments_of_a_small_spread_on_a_large_mean():
    x = (1e3 + 0.05 * RNG.normal(size=(1, 64, 64, 3))).astype("float32")
    _, std = statistics.channel_moments(x)
    exact = np.sqrt(x.astype("float64").var((1, 2)) + statistics.EPSILON)
    np.testing.assert_allclose(std, exact, rtol=1e-3)
    # The textbook's other formula is what this must not be.
    naive = (x**2).mean((1, 2)) - x.mean((1, 2)) ** 2
    assert np.abs(naive - 0.05**2).max() > 0.05**2


def test_channel_moments_of_a_constant_channel_have_a_finite_gradient():
    x = tf.Variable(np.full((1, 4, 4, 2), 3, "float32"))
    with tf.GradientTape() as tape:
        _, std = statistics.channel_moments(x)
    np.testing.assert_allclose(std, np.sqrt(statistics.EPSILON), rtol=1e-6)
    assert np.array_equal(tape.gradient(std, x), np.zeros((1, 4, 4, 2)))


# -- moments of parts ------------------------------------------------------------------------------


def spread_features(mean, spread, shape=(1, 37, 53, 5)):
    return np.float32(mean + spread * np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize("mean, spread", [(0, 1), (1000, 1), (0.5, 1e-4), (3, 0)])
@pytest.mark.parametrize("tile", [7, 16, 100])
def test_moments_of_tiles_are_those_of_the_whole(mean, spread, tile):
    x = spread_features(mean, spread)
    moments = statistics.Moments()
    for part in tile_grid(37, 53, tile):
        moments.add(part.core.of(x))
    found, exact = moments.statistics(), np.float64(x)
    # EPSILON inside the root, and the layout that the layers take.
    assert found.shape == (1, 2, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], exact.mean((0, 1, 2)), rtol=1e-6, atol=1e-7)
    variance = np.float64(found[0, 1]) ** 2 - statistics.EPSILON
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), 1e-4, 1e-9)
    np.testing.assert_allclose(found, ChannelStatistics()(x), rtol=2e-5, atol=1e-6)


def test_moments_in_any_order():
    parts = [spread_features(k, k, (1, 3, k + 1, 2)) for k in range(5)]
    one, other = statistics.Moments(), statistics.Moments()
    for part, last in zip(parts, parts[::-1], strict=True):
        one.add(part)
        other.add(last)
    np.testing.assert_allclose(one.statistics(), other.statistics(), rtol=1e-6)


# -- Gram matrix -----------------------------------------------------------------------------------


def test_gram_matrix_of_constant_channels():
    x = np.broadcast_to(np.float32([1, 2, -3]), (2, 5, 3, 3))
    expected = [[1, 2, -3], [2, 4, -6], [-3, -6, 9]]
    np.testing.assert_allclose(statistics.gram_matrix(x), [expected, expected], rtol=1e-6)


def test_gram_matrix_is_the_mean_of_outer_products():
    x = features(2, 5, 7, 4)
    gram = statistics.gram_matrix(x)
    expected = np.mean(x[..., :, None] * x[..., None, :], axis=(1, 2))
    np.testing.assert_allclose(gram, expected, rtol=1e-5, atol=1e-5)
    assert np.linalg.eigvalsh(gram).min() > -1e-5


@pytest.mark.parametrize("weighted", [False, True])
def test_covariance_matrix_is_numpys(weighted):
    x = np.random.default_rng(4).normal(3, 1, (2, 5, 4, 3)).astype("float32")
    weights = np.random.default_rng(5).random((2, 5, 4)).astype("float32") if weighted else None
    found = statistics.covariance_matrix(x, weights)
    for i in range(2):
        given = None if weights is None else np.float64(weights[i]).ravel()
        flat = np.float64(x[i]).reshape(-1, 3)
        expected = np.cov(flat, rowvar=False, bias=True, aweights=given)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)


def test_gram_matrix_does_not_depend_on_size():
    x = features(1, 6, 5, 4)
    twice = np.tile(x, (1, 2, 2, 1))
    np.testing.assert_allclose(
        statistics.gram_matrix(twice), statistics.gram_matrix(x), rtol=1e-5, atol=1e-6
    )


def test_gram_matrix_of_bfloat16_is_summed_in_float32():
    x = keras.ops.ones((1, 64, 64, 2), "bfloat16")  # a bfloat16 sum stops at 256
    gram = statistics.gram_matrix(x)
    assert gram.dtype == "float32" and np.array_equal(gram, np.ones((1, 2, 2)))


def test_gram_matrix_with_sides_unknown_in_the_graph():
    traced = tf.function(
        statistics.gram_matrix, input_signature=[tf.TensorSpec((None, None, None, 3))]
    )
    x = features(2, 4, 6, 3)
    np.testing.assert_allclose(traced(x), statistics.gram_matrix(x), rtol=1e-6)


# -- weights of positions --------------------------------------------------------------------------

STATISTICS = {
    "mean": statistics.position_mean,
    "moments": statistics.channel_moments,
    "gram": statistics.gram_matrix,
}
of_every_statistic = pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)


def averages(x, weights):
    """Of each example's positions, by NumPy in float64: `(batch, height, width, ...)`."""
    pairs = zip(np.float64(x), np.float64(weights), strict=True)
    return np.stack([np.tensordot(w, one, 2) / w.sum() for one, w in pairs])


def position_weights(*shape):
    return RNG.uniform(0.1, 3, shape).astype("float32")


def test_position_mean_is_numpys():
    x = features(3, 5, 7, 4)
    mean = statistics.position_mean(x)
    assert mean.shape == (3, 4) and mean.dtype == "float32"
    np.testing.assert_allclose(mean, np.float64(x).mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_position_mean_of_a_large_picture(weighted):
    """One float32 sum of its positions would miss the mean by 1e-5 and more."""
    x = features(1, 900, 1000, 3) + 3
    weights = np.ones((1, 900, 1000), "float32")
    mean = statistics.position_mean(x, weights if weighted else None)
    np.testing.assert_allclose(mean, np.float64(x).mean((1, 2)), rtol=3e-6)


def test_weighted_position_mean_is_numpys():
    x, weights = features(3, 5, 7, 4), position_weights(3, 5, 7)
    mean = statistics.position_mean(x, weights)
    assert mean.shape == (3, 4) and mean.dtype == "float32"
    np.testing.assert_allclose(mean, averages(x, weights), rtol=1e-5, atol=1e-6)


def test_weighted_channel_moments_are_numpys():
    x, weights = features(3, 5, 7, 4), position_weights(3, 5, 7)
    mean, std = statistics.channel_moments(x, weights)
    assert mean.shape == std.shape == (3, 4) and mean.dtype == std.dtype == "float32"
    means = averages(x, weights)
    variances = averages((x - means[:, None, None]) ** 2, weights)
    np.testing.assert_allclose(mean, means, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, np.sqrt(variances + statistics.EPSILON), rtol=1e-5)


def test_weighted_channel_moments_of_a_small_spread_on_a_large_mean():
    x = (1e3 + 0.05 * RNG.normal(size=(1, 64, 64, 3))).astype("float32")
    weights = position_weights(1, 64, 64)
    _, std = statistics.channel_moments(x, weights)
    variances = averages((x - averages(x, weights)[:, None, None]) ** 2, weights)
    np.testing.assert_allclose(std, np.sqrt(variances + statistics.EPSILON), rtol=1e-3)


def test_weighted_gram_matrix_is_numpys():
    x, weights = features(2, 5, 7, 4), position_weights(2, 5, 7)
    gram = statistics.gram_matrix(x, weights)
    assert gram.shape == (2, 4, 4) and gram.dtype == "float32"
    expected = averages(np.float64(x)[..., :, None] * x[..., None, :], weights)
    np.testing.assert_allclose(gram, expected, rtol=1e-5, atol=1e-5)
    assert np.linalg.eigvalsh(gram).min() > -1e-5


def test_weighted_gram_matrix_is_the_guided_one():
    """Gatys et al. 2017, equation 4: of T o F, where T**2 sums to one."""
    x, guide = features(1, 5, 7, 4), position_weights(1, 5, 7)
    guide /= np.sqrt(np.sum(guide**2))
    guided = (guide[..., None] * x).reshape(-1, 4)
    found = statistics.gram_matrix(x, guide**2)
    np.testing.assert_allclose(found[0], guided.T @ guided, rtol=1e-4, atol=1e-5)


@of_every_statistic
@pytest.mark.parametrize("constant", [1, 1e-3, 255])
def test_constant_weights_are_none(statistic, constant):
    x, weights = features(2, 5, 7, 3), np.full((2, 5, 7), constant, "float32")
    found, expected = np.stack(statistic(x, weights)), np.stack(statistic(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@of_every_statistic
@pytest.mark.parametrize("scale", [1e-6, 0.5, 1e6])
def test_scale_of_weights_does_not_matter(statistic, scale):
    x, weights = features(2, 5, 7, 3), position_weights(2, 5, 7)
    found, expected = np.stack(statistic(x, scale * weights)), np.stack(statistic(x, weights))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@of_every_statistic
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "bool"])
def test_a_mask_crops_to_its_region(statistic, dtype):
    x, mask = features(2, 5, 7, 3), np.zeros((2, 5, 7))
    mask[:, 1:4, 2:6] = 1
    found = statistic(x, keras.ops.cast(mask, dtype))
    expected = np.stack(statistic(x[:, 1:4, 2:6]))
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-5, atol=1e-6)


@of_every_statistic
def test_a_whole_weight_is_that_many_positions(statistic):
    x, times = features(1, 1, 6, 3), np.array([[[1, 0, 3, 2, 1, 4]]])
    found = np.stack(statistic(x, times))
    expected = np.stack(statistic(np.repeat(x, times.ravel(), axis=2)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@of_every_statistic
def test_constant_features_have_a_finite_gradient_under_weights(statistic):
    x, weights = tf.Variable(np.full((1, 4, 4, 2), 3, "float32")), position_weights(1, 4, 4)
    weights[:, 0] = 0
    with tf.GradientTape() as tape:
        total = keras.ops.sum(keras.ops.stack(statistic(x, weights)))
    assert np.isfinite(total) and np.isfinite(tape.gradient(total, x)).all()


@of_every_statistic
def test_weights_with_sides_unknown_in_the_graph(statistic):
    signature = [tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None, None))]
    traced = tf.function(statistic, input_signature=signature)
    x, weights = features(2, 4, 6, 3), position_weights(2, 4, 6)
    found, expected = np.stack(traced(x, weights)), np.stack(statistic(x, weights))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# -- total variation -------------------------------------------------------------------------------


def test_total_variation_of_a_checkerboard_and_of_nothing():
    board = np.indices((5, 8)).sum(0)[None, ..., None] % 2
    flat = np.full_like(board, 7)
    assert statistics.total_variation(np.concatenate([board, flat])).numpy().tolist() == [2, 0]


def test_total_variation_of_a_ramp():
    ramp = np.arange(6.0)[None, :, None, None] * np.ones((1, 6, 4, 3))
    assert statistics.total_variation(ramp).numpy().tolist() == [1]


def test_total_variation_is_numpys():
    x = features(2, 5, 9, 3)
    expected = (np.diff(x, axis=1) ** 2).mean((1, 2, 3)) + (np.diff(x, axis=2) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(statistics.total_variation(x), expected, rtol=1e-5)


# -- checkerboards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("period", "power"), [(1, 0), (2, 1), (4, 1 / 16), (8, 0.46e-3)])
def test_checkerboard_energy_counts_a_period_of_two_and_hardly_another(period, power):
    wave = np.cos(2 * np.pi * np.arange(32) / period)[None, :, None, None] * np.ones((1, 1, 9, 3))
    energy = statistics.checkerboard_energy(wave).numpy()[0]
    mean = 1 if period == 2 else 0.5
    assert energy == pytest.approx(power * mean, rel=0.03, abs=1e-9)
    across = statistics.checkerboard_energy(wave.swapaxes(1, 2)).numpy()[0]
    assert across == pytest.approx(energy, rel=1e-5, abs=1e-9)


def test_checkerboard_energy_is_numpys_and_told_apart_in_a_batch():
    x = features(2, 6, 9, 3)
    d = np.diff(np.eye(5), n=4, axis=0)[0] / 16
    down = np.apply_along_axis(np.convolve, 1, x, d, "valid")
    across = np.apply_along_axis(np.convolve, 2, x, d, "valid")
    expected = (down**2).mean((1, 2, 3)) + (across**2).mean((1, 2, 3))
    np.testing.assert_allclose(statistics.checkerboard_energy(x), expected, rtol=1e-5)
