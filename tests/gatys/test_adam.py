import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_style.gatys.adam import adam

RNG = np.random.default_rng(7)
CURVATURES = np.geomspace(1, 100, 12).astype("float32")


def quadratic(x):
    return tf.reduce_sum(CURVATURES * x**2) / 2, CURVATURES * x


def run(steps, start=None, function=quadratic, **options):
    return list(itertools.islice(adam(function, start, **options), steps))


def test_five_steps_are_numpys():
    start, rate = RNG.normal(size=12).astype("float32"), 0.1
    x, m, v, iterates = np.float64(start), 0, 0, []
    for t, state in enumerate(run(5, start, learning_rate=rate), 1):
        np.testing.assert_allclose(state.value, (CURVATURES * x**2).sum() / 2, rtol=1e-5)
        gradient = CURVATURES * x
        m = 0.9 * m + 0.1 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        x = x - rate * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        iterates.append(x)
        shares = 0.99 ** np.arange(t)[::-1]
        average = (shares[:, None] * iterates).sum(0) / shares.sum()
        np.testing.assert_allclose(state.arrays["iterate"], x, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.position, average, rtol=1e-4, atol=1e-5)
        assert (state.evaluations, state.stopped, state.finite) == (t, False, True)


def test_the_first_step_is_the_learning_rate_whatever_the_gradient():
    start = RNG.normal(size=12).astype("float32")
    [state] = run(1, start, learning_rate=0.25)
    np.testing.assert_allclose(state.position, start - 0.25 * np.sign(start), atol=1e-5)


@pytest.mark.parametrize("by", [1e12, 1e-3])
def test_the_path_does_not_depend_on_the_objectives_unit(by):
    start = RNG.normal(size=12).astype("float32")
    scaled = run(20, start, lambda x: tuple(by * y for y in quadratic(x)))
    for one, other in zip(run(20, start), scaled, strict=True):
        np.testing.assert_allclose(one.position, other.position, rtol=1e-3, atol=1e-4)


def test_it_finds_the_minimum():
    start = RNG.normal(size=12).astype("float32")
    last = run(600, start, learning_rate=0.05)[-1]
    np.testing.assert_allclose(last.position, np.zeros(12), atol=1e-2)


@pytest.mark.parametrize("stop", [0, 1, 20])
def test_a_resumed_run_is_that_without_a_break_bit_for_bit(stop):
    states = run(30, RNG.normal(size=12))
    stored = {name: np.asarray(array) for name, array in states[stop].arrays.items()}
    again = run(29 - stop, arrays=stored)
    for expected, found in zip(states[stop + 1 :], again, strict=True):
        assert np.array_equal(expected.position, found.position)
        assert expected.value == found.value and expected.evaluations == found.evaluations


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_stop_it_at_the_last_average(bad):
    def broken(x):
        value, gradient = quadratic(x)
        wrong = tf.where(value < 300, bad, 1.0)
        return value * wrong, gradient * wrong

    states = run(200, np.full(12, 2.0, "float32"), broken, learning_rate=0.1)
    *before, last = states
    assert last.stopped and not last.finite and 1 < len(states) < 200
    assert last.evaluations == len(states) and np.isfinite(last.position).all()
    np.testing.assert_allclose(last.position, before[-1].position, rtol=1e-5)


def test_a_start_that_is_not_finite():
    start = np.float32(RNG.normal(size=12))
    [state] = run(9, start, lambda x: (tf.reduce_sum(x) * np.nan, x))
    assert (state.evaluations, state.stopped, state.finite) == (1, True, False)
    assert np.array_equal(state.position, start)
