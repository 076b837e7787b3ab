import itertools
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tf_style.gatys.lbfgs import _direction, lbfgs

RNG = np.random.default_rng(5)
START = RNG.normal(size=50)

UNIT = 1e12  # A value that an optimiser without scaling does not survive.

slow = pytest.mark.slow  # Each run is traced, which takes seconds.


def quadratic(n=50, condition=1e3, scale=1.0):
    """f(x) = sum{ d x**2 } / 2 with curvatures d from 1 to the condition number."""
    curvatures = tf.constant(np.geomspace(1, condition, n) * scale, "float32")
    return lambda x: (tf.reduce_sum(curvatures * x**2) / 2, curvatures * x)


def rosenbrock(x):
    """Of Moré, Garbow & Hillstrom 1981, problem 21: pairs (10 (b - a**2))**2 + (1 - a)**2."""
    a, b = x[::2], x[1::2]
    bend = b - a**2
    gradient = tf.stack([-400 * a * bend - 2 * (1 - a), 200 * bend], axis=1)
    value = tf.reduce_sum(100 * bend**2 + (1 - a) ** 2)
    return value, tf.reshape(gradient, [-1])


def run(function, start, iterations, **options):
    """States of so many iterations, or up to the one that stops."""
    found = []
    for state in itertools.islice(lbfgs(function, np.float32(start), **options), iterations):
        found.append(state)
        if state.stopped:
            break
    return found


@pytest.fixture(scope="module")
def states():
    """Of the ill-conditioned quadratic, in a large unit."""
    return run(quadratic(scale=UNIT), START, 150)


@slow
def test_rosenbrock_in_many_dimensions():
    states = run(rosenbrock, np.tile([-1.2, 1], 100), 100)
    assert states[-1].value < 1e-9 and states[-1].finite
    np.testing.assert_allclose(states[-1].position, np.ones(200), atol=1e-4)


@slow
def test_each_pair_of_many_dimensions_from_elsewhere():
    states = run(rosenbrock, RNG.uniform(-2, 2, 40), 300)
    np.testing.assert_allclose(states[-1].position, np.ones(40), atol=1e-3)


def test_ill_conditioned_quadratic(states):
    assert states[-1].value < 1e-6 * states[0].value
    np.testing.assert_allclose(states[-1].position, np.zeros(50), atol=2e-2)


@slow
def test_a_short_history():
    short = run(quadratic(), START, 300, history=3)
    assert short[-1].value < 1e-4 * short[0].value


def test_an_iteration_costs_one_evaluation(states):
    first, last = states[0], states[-1]
    assert (last.evaluations - first.evaluations) / (len(states) - 1) <= 1.2


def falls(states):
    # All but the last of a run that stops, where there is nothing more to gain.
    values = np.array([state.value for state in states])
    return np.all(np.diff(values[:-1]) < 0) and values[-1] <= values[-2]


def test_the_value_falls_at_every_iteration(states):
    assert falls(states) and states[0].value < UNIT * float(quadratic()(np.float32(START))[0])


@slow
def test_the_value_of_rosenbrock_falls_at_every_iteration():
    assert falls(run(rosenbrock, START, 60))


@slow
def test_value_and_counter_are_those_of_the_function():
    calls, function = tf.Variable(0), quadratic()

    def counted(x):
        calls.assign_add(1)
        return function(x)

    for state in run(counted, RNG.normal(size=50), 20):
        np.testing.assert_allclose(state.value, function(state.position)[0], rtol=1e-4)
    assert state.evaluations == int(calls)


@slow
@pytest.mark.parametrize("unit", [1, 1 / UNIT])
def test_the_path_does_not_depend_on_the_objectives_unit(states, unit):
    for one, other in zip(states, run(quadratic(scale=unit), START, 25), strict=False):
        np.testing.assert_allclose(one.position, other.position, rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(unit / UNIT * one.value, other.value, rtol=1e-2)


@slow
def test_the_path_does_not_depend_on_the_variables_unit(states):
    by = 2.0**10
    found = run(quadratic(scale=UNIT * by**-2), by * START, 25)
    for one, other in zip(states, found, strict=False):
        np.testing.assert_allclose(by * one.position, other.position, rtol=1e-2, atol=1e-3 * by)


@slow
def test_the_first_step_is_a_share_of_the_way_to_zero():
    """For f = |x|**2 / 2, where f / |g|**2 is a half, the first trial is x - first_step / 2 * x."""
    points = []

    def function(x):
        tf.py_function(lambda x: points.append(x.numpy()), [x], [])
        return tf.reduce_sum(x**2) / 2, x

    start = np.float32([3, -4, 1])
    run(function, start, 1, first_step=0.1)
    np.testing.assert_allclose(points[1], 0.95 * start, rtol=1e-5)


@pytest.mark.parametrize("pairs", [0, 1, 4])
def test_the_direction_is_the_gradient_times_the_updated_inverse_hessian(pairs):
    n = 6
    gradient = RNG.normal(size=n)
    steps, curvatures = RNG.normal(size=(pairs, n)), RNG.uniform(1, 3, n)
    changes = steps * curvatures
    inverse = np.eye(n)
    if pairs:
        inverse *= steps[-1] @ changes[-1] / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        left = np.eye(n) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    history = [
        tuple(map(tf.constant, np.float32(pair))) for pair in zip(steps, changes, strict=True)
    ]
    found = _direction(tf.constant(gradient, tf.float32), history)
    np.testing.assert_allclose(found, -inverse @ gradient, rtol=1e-4, atol=1e-5)


def test_states_share_the_history(states):
    rows = states[8].arrays["position_deltas"]
    assert len(rows) == len(states[30].arrays["position_deltas"]) == 20
    assert all(
        row is later
        for row, later in zip(rows[1:], states[9].arrays["position_deltas"], strict=False)
    )
    step = (states[8].position - states[7].position) / states[8].arrays["scale"][1]
    np.testing.assert_allclose(rows[-1], step, rtol=1e-3, atol=1e-6)


def check_resumed(function, states, stop):
    stored = {name: np.asarray(array) for name, array in states[stop].arrays.items()}
    again = itertools.islice(lbfgs(function, arrays=stored), 30)
    for expected, found in zip(states[stop + 1 : stop + 31], again, strict=True):
        assert np.array_equal(expected.position, found.position)
        assert expected.value == found.value and expected.evaluations == found.evaluations
        assert expected.stopped == found.stopped


@pytest.mark.parametrize("stop", [7, *(pytest.param(k, marks=slow) for k in (0, 1, 40))])
def test_a_resumed_run_is_that_without_a_break_bit_for_bit(states, stop):
    check_resumed(quadratic(scale=UNIT), states, stop)


@slow
def test_a_resumed_run_of_rosenbrock():
    check_resumed(rosenbrock, run(rosenbrock, START, 50), 12)


def test_a_function_that_becomes_nan_stops_it_at_a_finite_point():
    function = quadratic(condition=10)

    def broken(x):
        value, gradient = function(x)
        bad = tf.where(value < 1, np.nan, 1.0)
        return value * bad, gradient * bad

    states = run(broken, np.ones(50), 50)
    last = states[-1]
    assert last.stopped and not last.finite and len(states) < 50
    assert all(state.finite for state in states[:-1])
    assert np.isfinite(last.position).all() and np.isfinite(last.value) and last.value >= 1
    np.testing.assert_allclose(last.value, function(last.position)[0], rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["value", "gradient"])
def test_a_start_that_is_no_number(bad, where):
    def function(x):
        value, gradient = quadratic(4)(x)
        return (value * bad, gradient) if where == "value" else (value, gradient * bad)

    [state] = lbfgs(function, tf.ones(4))
    assert (state.evaluations, state.stopped, state.finite) == (1, True, False)
    assert np.array_equal(state.position, np.ones(4)) and state.arrays == {}


def test_a_constant_function_is_stopped_at_once():
    [state] = lbfgs(lambda x: (tf.constant(3.0), tf.zeros_like(x)), tf.ones(4))
    assert (state.value, state.evaluations, state.stopped, state.finite) == (3, 1, True, True)
    assert np.array_equal(state.position, np.ones(4))


def test_a_start_at_the_minimum():
    [state] = lbfgs(quadratic(4), tf.zeros(4))
    assert (state.value, state.evaluations, state.stopped, state.finite) == (0, 1, True, True)
    assert np.array_equal(state.position, np.zeros(4))


@slow
def test_it_stops_where_no_step_goes_down_any_more():
    states = run(lambda x: (1 + quadratic(10, 10)(x)[0], 1 * quadratic(10, 10)(x)[1]), 0.1 *
                 RNG.normal(size=10), 300)  # fmt: skip
    assert states[-1].stopped and states[-1].finite and len(states) < 300
    np.testing.assert_allclose(states[-1].position, np.zeros(10), atol=1e-2)


def test_without_docstrings_it_says_why_it_cannot_run(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "flags", types.SimpleNamespace(optimize=2))
        with pytest.raises(ImportError, match="cannot be imported under python -OO.* use python"):
            next(lbfgs(lambda x: (tf.reduce_sum(x**2), 2 * x), tf.ones(3)))


@pytest.mark.slow
def test_its_import_warns_of_nothing(run):
    code = "import tensorflow as tf; from tf_style.gatys.lbfgs import lbfgs\n"
    code += "print(next(lbfgs(lambda x: (tf.reduce_sum(x**2), 2 * x), tf.ones(3))).finite)"
    done = run("-W", "error", "-c", code)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
