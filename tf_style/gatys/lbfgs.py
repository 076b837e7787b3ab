"""L-BFGS: TensorFlow Probability's, as a generator that can stop and go on at any iteration.

Liu & Nocedal 1989, with Hager & Zhang's line search. The package's only import of TensorFlow
Probability, and a late one.
"""

import collections
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["OptimizerState", "at_minimum", "lbfgs"]

# The line search looks for its step between 0 and twice the quasi-Newton step, of which the far end
# is not evaluated (see `lbfgs`).
FAR_END = 2.0

# Evaluations that a search with such an interval may take before the iteration is done again with
# an interval that is evaluated, one being the rule; and that such a search may take, which goes on
# by factors of five.
SHORT_SEARCH, LONG_SEARCH = 4, 12

# A start that would move by less, of the variable's size, is a minimum: what is left is rounding,
# in which a line search would wander for more than a hundred evaluations.
NO_STEP = 1e-5

# Arrays of a state: where it is, and the history.
POINT = ("position", "objective_value", "objective_gradient")
DELTAS = ("position_deltas", "gradient_deltas")


class OptimizerState(NamedTuple):
    """Where a minimisation stands: all that is needed to go on.

    Args:
        position: `(n,)` float32, the best point so far.
        value: The objective there.
        evaluations: Of value and gradient, since the start.
        stopped: No step goes down any more: a minimum to float precision, or numbers that are not
            finite.
        finite: Every value and gradient was, up to now.
        arrays: What an optimiser needs to go on, by name.
    """

    position: tf.Tensor
    value: float
    evaluations: int
    stopped: bool
    finite: bool
    arrays: dict


def lbfgs(
    value_and_gradient: Callable,
    start: tf.Tensor | np.ndarray | None = None,
    *,
    arrays: dict | None = None,
    history: int = 20,
    first_step: float = 0.3,
) -> Iterator[OptimizerState]:
    """Minimise a function; yields the state after every iteration, without end.

    TensorFlow Probability's own defaults do not survive an objective of 1e12 or 1e-12, so both
    sides are scaled: the objective to 1 at the start, the variable so that the first step tried,
    down the gradient g, changes it by

        first_step * f / |g|**2 * g,

    `first_step` of the way to 0 if f were linear: a third of that is accepted at once for most
    pictures. Its tolerances are 0: the caller decides when it is enough.

    A step of the line search costs one evaluation in general where TensorFlow Probability's costs
    three. Hager & Zhang's search first brackets the minimum along the direction d, then looks
    between the ends by the secant of the slopes. TensorFlow Probability evaluates step 1, which is
    seldom beyond the minimum, then step 5, then the secant. Here directions are twice as long, so
    that step 1 means 2 d, and the bracket's far end is not evaluated but taken from the quadratic
    model that gave d: slope(2 d) = -slope(0). (Its value is given as 2 f(0), not the model's f(0):
    equal values at both ends pass for a flat function.) The first secant then is d itself, which is
    evaluated and meets the Wolfe conditions nearly always. Whatever point is accepted has been
    evaluated; if the search between these ends takes too long, the iteration is done again with an
    evaluated bracket, and if that fails too, down the gradient with an empty history.

    Args:
        value_and_gradient: A tensor `(n,)` to the function's value, a scalar of 0 or more, and its
            gradient `(n,)`. It is traced.
        start: Where to begin.
        arrays: Those of an earlier state, to go on from it instead: the result is that of a run
            without a break, bit for bit. `history` must be the same.
        history: Pairs of steps and gradient changes kept. The memory is 2 * history * n float32;
            a direction is computed here, a pair at a time, as TensorFlow Probability's takes five
            times as much for it.
        first_step: See above.

    Example:
        >>> function = lambda x: (tf.reduce_sum((x - 3) ** 2), 2 * (x - 3))
        >>> for state in lbfgs(function, tf.zeros(4)):
        ...     if state.value < 1e-9 or state.stopped:
        ...         break
        >>> print(state.position.numpy().round(3), state.evaluations < 10)
        [3. 3. 3. 3.] True

    References: https://doi.org/10.1007/BF01589116, https://doi.org/10.1145/1132973.1132979,
    https://www.tensorflow.org/probability/api_docs/python/tfp/optimizer/lbfgs_minimize
    """
    # The type of the results, which a stored state is made into, has no public name.
    tfp_lbfgs = _tfp_lbfgs()

    if arrays is None:
        start = tf.convert_to_tensor(start, tf.float32)
        value, gradient = value_and_gradient(start)
        norm = tf.norm(gradient)
        finite = bool(tf.math.is_finite(value) & tf.math.is_finite(norm))
        if not finite or at_minimum(start, value, gradient):
            yield OptimizerState(start, float(value), 1, True, finite, {})
            return
        scale = tf.stack([value, (FAR_END * first_step) ** 0.5 * value / norm])
    else:
        scale = tf.convert_to_tensor(arrays["scale"])
    count = tf.Variable(1 if arrays is None else int(arrays["evaluations"]), trainable=False)
    finite = tf.Variable(True, trainable=False)
    # Whether the next call is for the far end of a bracket that is not evaluated.
    far_end = tf.Variable(False, trainable=False)

    # Not inlined: the line search calls it at eight places.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def evaluate(position):
        count.assign_add(1)
        value, gradient = value_and_gradient(position * scale[1])
        finite.assign(finite & tf.math.is_finite(value) & tf.math.is_finite(tf.norm(gradient)))
        return value / scale[0], gradient * (scale[1] / scale[0])

    @tf.function(autograph=False)
    def iterate(position, value, gradient, direction, modelled):
        def objective(position):
            at_far_end = tf.identity(far_end)
            with tf.control_dependencies([at_far_end]):
                far_end.assign(False)
            return tf.cond(at_far_end, lambda: (2 * value, -gradient), lambda: evaluate(position))

        far_end.assign(modelled)
        # Of a history of the one pair (-d, g), which asks for H g = -d, the direction is d.
        results = tfp_lbfgs.LBfgsOptimizerResults(
            converged=tf.constant(False),
            failed=tf.constant(False),
            num_iterations=tf.constant(1),
            num_objective_evaluations=tf.constant(0),
            position=position,
            objective_value=value,
            objective_gradient=gradient,
            position_deltas=-direction[None],
            gradient_deltas=gradient[None],
        )
        after = tfp_lbfgs.minimize(
            objective,
            initial_position=None,
            previous_optimizer_results=results,
            num_correction_pairs=1,
            tolerance=0.0,
            max_iterations=2,
            max_line_search_iterations=tf.where(modelled, SHORT_SEARCH, LONG_SEARCH),
        )
        moved = after.position, after.objective_value, after.objective_gradient
        return moved, after.failed, after.failed | after.converged

    if arrays is None:
        at = start / scale[1], value / scale[0], gradient * (scale[1] / scale[0])
        iterations, pairs = 0, collections.deque(maxlen=history)
    else:
        at = tuple(tf.convert_to_tensor(arrays[name]) for name in POINT)
        iterations = int(arrays["iterations"])
        rows = zip(*(map(tf.convert_to_tensor, arrays[name]) for name in DELTAS), strict=True)
        pairs = collections.deque(list(rows)[max(history - iterations, 0) :], maxlen=history)
    unused = tf.zeros_like(at[0])
    while True:
        direction = _direction(at[2], pairs)
        # A model's direction is twice as long; without a history, the scale has seen to it.
        longer = FAR_END * direction if pairs else direction
        moved, failed, stopped = iterate(*at, longer, tf.constant(True))
        if failed:
            moved, failed, stopped = iterate(*at, direction, tf.constant(False))
        if failed and finite and pairs:
            # The history misleads it: steepest descent from here.
            pairs.clear()
            iterations = 0
            continue
        if not stopped:
            pairs.append((moved[0] - at[0], moved[2] - at[2]))
        at, iterations = moved, iterations + 1
        evaluations = int(count)
        # As many rows whatever there is, the newest last; states share them.
        rows = [(unused, unused)] * (history - len(pairs)) + list(pairs)
        stored = dict(zip(POINT, at, strict=True))
        stored |= dict(zip(DELTAS, zip(*rows, strict=True), strict=True))
        stored |= {"scale": scale, "evaluations": evaluations, "iterations": iterations}
        yield OptimizerState(
            position=at[0] * scale[1],
            value=float(at[1] * scale[0]),
            evaluations=evaluations,
            stopped=bool(stopped),
            finite=bool(finite),
            arrays=stored,
        )


def at_minimum(start: tf.Tensor, value: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Whether a start is as good as can be: a step to 0 would be none, were the function linear.

    Args:
        start: `(n,)`.
        value: The function's value there, 0 or more.
        gradient: `(n,)`.

    Example:
        >>> [bool(at_minimum(tf.ones(2), tf.constant(v), tf.ones(2))) for v in (1e-9, 1.0)]
        [True, False]
    """
    step = value / tf.reduce_sum(gradient**2) * tf.reduce_max(tf.abs(gradient))
    return ~(step > NO_STEP * tf.maximum(1.0, tf.reduce_max(tf.abs(start))))


def _direction(gradient, pairs):
    """Down the gradient times the inverse Hessian that the history gives.

    The two loops of Nocedal & Wright 2006, algorithm 7.4, over pairs of a step and the change of
    the gradient, the newest last.
    """
    direction, alphas = gradient, []
    for step, change in reversed(pairs):
        alphas.append(tf.math.divide_no_nan(_dot(step, direction), _dot(step, change)))
        direction -= alphas[-1] * change
    if pairs:
        step, change = pairs[-1]
        direction *= _dot(step, change) / _dot(change, change)
    for (step, change), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = tf.math.divide_no_nan(_dot(change, direction), _dot(step, change))
        direction += (alpha - beta) * step
    return -direction


def _dot(a, b):
    return tf.reduce_sum(a * b)


def _tfp_lbfgs():
    """TensorFlow Probability's module, whose import warns, and takes docstrings apart."""
    if sys.flags.optimize > 1:
        raise ImportError(
            "TensorFlow Probability, whose L-BFGS this is, cannot be imported under python -OO, "
            "which leaves docstrings out: use python -O."
        )
    with warnings.catch_warnings():
        # https://github.com/tensorflow/probability/issues/1693
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorflow_probability.python.optimizer import lbfgs as module
    return module
