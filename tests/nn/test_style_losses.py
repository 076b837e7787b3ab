import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tf_style.errors import UserError
from tf_style.nn import style_losses
from tf_style.nn.losses import content_loss, gram_loss, moments_loss
from tf_style.nn.statistics import (
    EPSILON,
    channel_moments,
    gram_matrix,
)

RNG = np.random.default_rng(11)


def features(*shape):
    return RNG.normal(1, 2, shape).astype("float32")


of_every_loss = pytest.mark.parametrize("name", style_losses.STYLE_LOSSES)


def loss_between(name, x, y, x_weights=None, y_weights=None, seed=0):
    """The style loss of the features x against a style of the features y."""
    loss = style_losses.style_loss(name, y, seed)
    return loss.distance(loss.statistics(x, x_weights), loss.statistics(y, y_weights))


def comparison(name):
    """`(statistics, distance)` of a loss, the Gaussian kernel's with a bandwidth from elsewhere."""
    if name == "content":
        return lambda x: x, content_loss
    if name == "moments, summed":
        return channel_moments, moments_loss
    loss = style_losses.style_loss(name, features(1, 8, 8, 3))
    return loss.statistics, loss.distance


ALL_LOSSES = ["content", "moments, summed", *style_losses.STYLE_LOSSES]


@pytest.mark.parametrize("name", ALL_LOSSES)
def test_a_loss_is_nothing_between_equals_and_its_gradient_is_zero(name):
    x, (describe, loss) = tf.Variable(features(2, 4, 4, 3)), comparison(name)
    with tf.GradientTape() as tape:
        found = loss(describe(x), describe(x.numpy()))
    assert found.numpy().tolist() == [0, 0]
    assert np.array_equal(tape.gradient(found, x), np.zeros(x.shape))


@pytest.mark.parametrize("name", ALL_LOSSES)
def test_gradients_are_the_difference_quotient(name):
    describe, loss = comparison(name)
    x, target, step = features(1, 3, 3, 2), describe(features(1, 3, 3, 2)), features(1, 3, 3, 2)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = loss(describe(variable), target)
    slope = float(np.sum(tape.gradient(value, variable) * step))
    h = 1e-2
    rise = float((loss(describe(x + h * step), target) - loss(describe(x - h * step), target))[0])
    assert slope == pytest.approx(rise / (2 * h), rel=2e-2, abs=1e-3)


# -- distances of distributions --------------------------------------------------------------------


def vectors(x):
    """One for each position, in float64: `(batch, positions, channels)`."""
    x = np.float64(x)
    return x.reshape(len(x), -1, x.shape[-1])


def products(x, y):
    """x.y / N of all pairs of positions: `(batch, positions, positions)`."""
    return x @ y.transpose(0, 2, 1) / x.shape[-1]


def squared_distances(x, y):
    return np.square(x[:, :, None] - y[:, None]).sum(-1)


def gaussian(bandwidth):
    return lambda x, y: np.exp(-squared_distances(x, y) / (2 * bandwidth**2))


# The kernels of the table in `losses`.
KERNELS = {
    "linear": products,
    "polynomial": lambda x, y: products(x, y) ** 2,
    "gram": lambda x, y: products(x, y) ** 2 / 4,
}


def mmd(kernel, x, y, x_weights=None, y_weights=None):
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over all pairs of positions."""

    def mean(a, a_weights, b, b_weights):
        a_weights, b_weights = (
            np.ones(v.shape[:3]) if w is None else np.float64(w)
            for v, w in ((a, a_weights), (b, b_weights))
        )
        pairs = a_weights.reshape(len(a), -1, 1) * b_weights.reshape(len(b), 1, -1)
        values = kernel(vectors(a), vectors(b))
        return (pairs * values).sum((1, 2)) / pairs.sum((1, 2))

    x, y = (x, x_weights), (y, y_weights)
    return mean(*x, *x) + mean(*y, *y) - 2 * mean(*x, *y)


@pytest.mark.parametrize("name", KERNELS)
def test_a_loss_is_the_squared_mmd_of_its_kernel(name):
    a, b = features(2, 4, 5, 3), features(2, 7, 3, 3)
    found = loss_between(name, a, b)
    np.testing.assert_allclose(found, mmd(KERNELS[name], a, b), rtol=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_a_weighted_loss_is_the_squared_mmd_of_weighted_positions(name):
    a, b = features(2, 4, 5, 3), features(2, 7, 3, 3)
    weights = RNG.uniform(0, 1, (2, 4, 5)), RNG.uniform(0, 1, (2, 7, 3))
    found = loss_between(name, a, b, *weights)
    np.testing.assert_allclose(found, mmd(KERNELS[name], a, b, *weights), rtol=1e-4)


def test_the_gram_loss_is_a_quarter_of_the_degree_two_polynomial_kernels_mmd():
    """The claim of Li et al. 2017: Gram matrices match distributions."""
    a, b = features(2, 6, 7, 5), features(2, 8, 4, 5)
    found = gram_loss(gram_matrix(a), gram_matrix(b))
    quarter = mmd(lambda x, y: products(x, y) ** 2, a, b) / 4
    np.testing.assert_allclose(found, quarter, rtol=1e-4)
    np.testing.assert_allclose(4 * found, loss_between("polynomial", a, b), rtol=1e-6)


@pytest.mark.parametrize("c", [0.5, 3])
def test_a_kernel_with_a_constant_is_a_mixture(c):
    """(x.y / N + c)**2 is polynomial and 2c times linear."""
    a, b = features(2, 4, 5, 3), features(2, 7, 3, 3)
    mixed = loss_between("polynomial", a, b) + 2 * c * loss_between("linear", a, b)
    expected = mmd(lambda x, y: (products(x, y) + c) ** 2, a, b)
    np.testing.assert_allclose(mixed, expected, rtol=1e-4)


def test_moments_per_layer_are_the_mean_over_the_channels():
    a, b = features(2, 4, 5, 6), features(2, 7, 3, 6)
    (a_mean, a_std), (b_mean, b_std) = (
        (x.mean((1, 2)), np.sqrt(x.var((1, 2)) + EPSILON)) for x in (np.float64(a), np.float64(b))
    )
    expected = ((a_mean - b_mean) ** 2 + (a_std - b_std) ** 2).mean(-1)
    np.testing.assert_allclose(loss_between("moments", a, b), expected, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gaussian_loss_is_the_squared_mmd_but_for_its_random_frequencies(weighted):
    """The mean over the seeds is as near as the mean of so many frequencies must be.

    One frequency gives |mean{exp(iwx)} - mean{exp(iwy)}|**2: between 0 and 4, and MMD**2 in
    expectation, so its variance is at most MMD**2 (4 - MMD**2).
    """
    a, b = features(2, 4, 5, 3), 3 + features(2, 7, 3, 3)
    weights = (RNG.uniform(0, 1, (2, 4, 5)), RNG.uniform(0, 1, (2, 7, 3))) if weighted else ()
    exact = mmd(gaussian(style_losses.gaussian_bandwidth(b)), a, b, *weights)
    found = [loss_between("gaussian", a, b, *weights, seed=seed) for seed in range(100)]
    error = np.sqrt(exact * (4 - exact) / style_losses.FREQUENCIES)
    assert np.all(np.abs(found - exact) < 5 * error)
    assert np.all(np.abs(np.mean(found, 0) - exact) < 4 * error / 10)
    assert exact.min() > 0.3  # so that the last tolerance is a tenth of it


def test_the_gaussian_kernel_forgets_a_common_shift():
    a, b = features(1, 4, 5, 3), features(1, 7, 3, 3)
    shifted = loss_between("gaussian", a + 8, b + 8)
    np.testing.assert_allclose(shifted, loss_between("gaussian", a, b), rtol=1e-3)


@of_every_loss
@pytest.mark.parametrize("f", [0.5, 3])
def test_degree_is_the_losss_power_of_the_features_scale(name, f):
    a, b = features(2, 4, 5, 3), features(2, 7, 3, 3)
    expected = f ** style_losses.style_loss(name, b).degree * loss_between(name, a, b)
    # Approximate where EPSILON, which does not scale, is in a root or in the bandwidth.
    np.testing.assert_allclose(loss_between(name, f * a, f * b), expected, rtol=1e-3)


@of_every_loss
def test_losses_do_not_depend_on_the_pictures_area(name):
    a, b = features(2, 4, 5, 3), features(2, 6, 6, 3)
    expected = loss_between(name, a, b)
    for tiled in ((np.tile(a, (1, 3, 2, 1)), b), (a, np.tile(b, (1, 3, 2, 1)))):
        np.testing.assert_allclose(loss_between(name, *tiled), expected, rtol=1e-4)


@of_every_loss
def test_the_loss_of_a_masked_picture_is_that_of_the_region(name):
    a, b, mask = features(2, 6, 5, 3), features(2, 4, 4, 3), np.zeros((2, 6, 5), "float32")
    mask[:, 2:, 1:4] = 1
    expected = loss_between(name, a[:, 2:, 1:4], b)
    np.testing.assert_allclose(loss_between(name, a, b, mask), expected, rtol=1e-4)


@of_every_loss
@pytest.mark.parametrize("style", [3, 5, "picture"])
def test_constant_features_have_a_finite_loss_and_gradient(name, style):
    x = tf.Variable(np.full((2, 4, 4, 3), 3, "float32"))
    y = features(2, 4, 4, 3) if style == "picture" else np.full((2, 4, 4, 3), style, "float32")
    with tf.GradientTape() as tape:
        found = loss_between(name, x, y)
    assert np.isfinite(found).all() and np.min(found) >= 0 and np.any(found) == (style != 3)
    assert np.isfinite(tape.gradient(found, x)).all()


@of_every_loss
def test_losses_of_bfloat16_are_those_of_its_values_in_float32(name):
    halves = [ops.cast(features(2, 16, 16, 3), "bfloat16") for _ in range(2)]
    found = loss_between(name, *halves)
    assert found.shape == (2,) and found.dtype == "float32"
    expected = loss_between(name, *(ops.cast(x, "float32") for x in halves))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@of_every_loss
@pytest.mark.parametrize("sides", ["known", "unknown"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_in_a_graph(name, sides, weighted):
    x, y, weights = features(2, 4, 6, 3), features(2, 7, 3, 3), RNG.uniform(0, 1, (2, 4, 6))
    loss = style_losses.style_loss(name, y)
    target = loss.statistics(y)
    size = (4, 6) if sides == "known" else (None, None)
    arguments = [x, weights.astype("float32")] if weighted else [x]
    signature = [tf.TensorSpec((None, *size, 3)), tf.TensorSpec((None, *size))]

    def value(*arguments):
        return loss.distance(loss.statistics(*arguments), target)

    traced = tf.function(value, input_signature=signature[: len(arguments)])
    found = traced(*arguments)
    assert found.shape == (2,) and found.dtype == "float32"
    np.testing.assert_allclose(found, value(*arguments), rtol=1e-5)


# -- the Gaussian kernel ---------------------------------------------------------------------------


def test_bandwidth_is_the_root_mean_square_distance_by_root_two():
    """2 s**2 = mean{ |x - y|**2 } and twice the EPSILON that `channel_moments` adds per channel."""
    x = features(1, 6, 5, 4)
    distance = squared_distances(vectors(x), vectors(x)).mean() + 2 * 4 * EPSILON
    assert style_losses.gaussian_bandwidth(x) == pytest.approx(np.sqrt(distance / 2), rel=1e-5)


def test_bandwidth_of_a_batch_is_the_root_mean_square():
    x = features(3, 6, 5, 4) * np.float32([1, 2, 5]).reshape(3, 1, 1, 1)
    each = [style_losses.gaussian_bandwidth(x[i : i + 1]) for i in range(3)]
    expected = np.sqrt(np.mean(np.square(each)))
    assert style_losses.gaussian_bandwidth(x) == pytest.approx(expected, rel=1e-5)


def test_bandwidth_of_constant_features():
    x = np.full((1, 4, 4, 6), 3, "float32")
    assert style_losses.gaussian_bandwidth(x) == pytest.approx(np.sqrt(6 * EPSILON), rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bandwidth_of_what_is_no_number(bad):
    x = features(1, 4, 4, 2)
    x[0, 0, 0, 0] = bad
    with pytest.raises(UserError, match="The Gaussian kernel's bandwidth cannot be nan"):
        style_losses.gaussian_bandwidth(x)


def test_the_gaussian_loss_takes_its_bandwidth_from_the_style():
    style, x = features(1, 8, 8, 3), 2 * features(1, 4, 5, 3)
    bandwidth = style_losses.gaussian_bandwidth(style)
    expected = style_losses.fourier_features(x, bandwidth, seed=7)
    found = style_losses.style_loss("gaussian", style, seed=7).statistics(x)
    assert np.array_equal(found, expected)


def test_fourier_features_of_one_position_have_length_one():
    phi = style_losses.fourier_features(features(5, 1, 1, 3), bandwidth=2.0)
    assert phi.shape == (5, 2 * style_losses.FREQUENCIES) and phi.dtype == "float32"
    np.testing.assert_allclose(ops.sum(ops.square(phi), -1), np.ones(5), rtol=1e-5)


def test_fourier_features_of_two_positions_are_as_far_apart_as_in_the_kernel():
    """2 - 2k in the mean, where one frequency's 2 - 2cos has the variance 2 (1 - k**2)**2."""
    bandwidth, distances = 2.0, np.float64([0.3, 1, 3])  # these in bandwidths
    step = RNG.normal(size=4)
    y = RNG.normal(size=(3, 1, 1, 4))
    x = y + bandwidth * distances.reshape(3, 1, 1, 1) * step / np.linalg.norm(step)
    kernel = np.exp(-(distances**2) / 2)
    found = []
    for seed in range(200):
        phi_x, phi_y = (style_losses.fourier_features(v, bandwidth, seed=seed) for v in (x, y))
        found.append(ops.sum(ops.square(phi_x - phi_y), -1))
    error = np.sqrt(2 / (200 * style_losses.FREQUENCIES)) * (1 - kernel**2)
    assert np.all(np.abs(np.mean(found, 0) - (2 - 2 * kernel)) < 4 * error)


def test_fourier_features_are_fixed_by_the_seed():
    x = features(1, 4, 5, 3)
    first, again, other = (style_losses.fourier_features(x, 2.0, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2


def test_frequencies_go_with_the_inverse_bandwidth():
    x = features(1, 4, 5, 3)
    found = style_losses.fourier_features(4 * x, bandwidth=8.0)
    np.testing.assert_allclose(found, style_losses.fourier_features(x, bandwidth=2.0), atol=1e-6)


# -- a layer with more positions than are drawn ----------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """32 positions are drawn at most."""
    monkeypatch.setattr(style_losses, "POSITIONS", 32)


def drawn(x, seed=0):
    """Which positions take part, by the gradient: `(batch, height, width)`."""
    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        total = ops.sum(style_losses.fourier_features(x, 2.0, seed=seed))
    return np.any(tape.gradient(total, x), axis=-1)


def test_positions_are_drawn_of_a_large_layer(few):
    assert drawn(features(2, 8, 9, 3)).sum((1, 2)).tolist() == [32, 32]


def test_all_positions_of_a_layer_at_the_limit_take_part(few):
    assert drawn(features(1, 4, 8, 3)).all()


def test_drawn_positions_are_fixed_by_the_seed(few):
    x = features(1, 8, 9, 3)
    first, again, other = (style_losses.fourier_features(x, 2.0, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(drawn(x, 3), drawn(x, 3)) and np.any(drawn(x, 3) != drawn(x, 4))


def test_each_seed_draws_other_positions(monkeypatch):
    """Two draws of a quarter have a quarter in common."""
    monkeypatch.setattr(style_losses, "FREQUENCIES", 1)  # for speed
    x = features(1, 512, 512, 1)
    draws = [drawn(x, seed) for seed in range(4)]
    for i, draw in enumerate(draws):
        assert draw.sum() == style_losses.POSITIONS == x.size / 4
        assert all(np.mean(draw[other]) < 0.3 for other in draws[:i])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_embedding_of_a_large_layer_is_that_of_the_drawn_positions(few, weighted):
    x, weights = features(2, 8, 9, 3), RNG.uniform(0.1, 1, (2, 8, 9)).astype("float32")
    taken = drawn(x)
    found = style_losses.fourier_features(x, 2.0, weights if weighted else None)
    expected = style_losses.fourier_features(
        x[taken].reshape(2, 4, 8, 3), 2.0, weights[taken].reshape(2, 4, 8) if weighted else None
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_large_layer_in_a_graph(few, weighted):
    x, weights = features(2, 8, 9, 3), RNG.uniform(0.1, 1, (2, 8, 9)).astype("float32")
    arguments = [x, 2.0, weights] if weighted else [x, 2.0]
    found = tf.function(style_losses.fourier_features)(*arguments)
    np.testing.assert_allclose(found, style_losses.fourier_features(*arguments), atol=1e-6)


def test_a_region_of_one_position_in_a_large_layer(few):
    """Wherever it is, drawn or not, the region is described by it."""
    x, places = features(1, 8, 9, 3), np.eye(72, dtype="float32").reshape(72, 8, 9)
    found = style_losses.fourier_features(np.repeat(x, 72, 0), 2.0, places)
    expected = style_losses.fourier_features(x.reshape(72, 1, 1, 3), 2.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# -- by name ---------------------------------------------------------------------------------------


@of_every_loss
def test_only_the_gaussian_loss_depends_on_the_style(name):
    loss = style_losses.style_loss(name, features(1, 4, 5, 3))
    assert (loss is style_losses.STYLE_LOSSES[name]) == (name != "gaussian")


@pytest.mark.parametrize("name", ["gram", "polynomial", "linear", "moments"])
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_of_a_whole_follow_from_those_of_its_parts(name, weighted):
    loss = style_losses.STYLE_LOSSES[name]
    # Means that are large against the spread, and parts that differ.
    x = features(1, 9, 6, 5) + 30 + 4 * np.float32(np.arange(9) // 4)[None, :, None, None]
    weights = RNG.random((1, 9, 6), "float32") if weighted else np.ones((1, 9, 6), "float32")
    parts = [slice(0, 4), slice(4, 5), slice(5, 9)]
    found = [loss.statistics(x[:, part], weights[:, part]) for part in parts]
    stacked = keras.tree.map_structure(lambda *of: ops.concatenate(of), *found)
    shares = np.float32([weights[:, part].sum() for part in parts]) / weights.sum()
    merged, whole = loss.merge(stacked, shares), loss.statistics(x, weights)
    for a, b in zip(
        map(np.asarray, keras.tree.flatten(merged)), keras.tree.flatten(whole), strict=True
    ):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_fourier_features_of_drawn_positions_do_not_merge():
    assert style_losses.style_loss("gaussian", features(1, 4, 4, 3)).merge is None


@pytest.mark.parametrize("name", ["Gram", "", None])
def test_unknown_style_loss(name):
    known = ", ".join(style_losses.STYLE_LOSSES)
    with pytest.raises(UserError, match=f"A style loss is one of {known}. Received: {name!r}"):
        style_losses.style_loss(name, features(1, 4, 4, 3))
