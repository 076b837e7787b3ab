"""L-BFGS (Liu & Nocedal 1989), as a generator that can be stopped and resumed at any iteration."""

import collections
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_style.gatys.line_search import FAR_END, LineSearch

__all__ = ["OptimizerState", "at_minimum", "lbfgs"]

# A start that would move by less, of the variable's size, is a minimum: what is left is rounding,
# in which a line search would wander for more than a hundred evaluations.
NO_STEP = 1e-5

# Arrays of a state: where it is, and the history.
POINT = ("position", "objective_value", "objective_gradient")
DELTAS = ("position_deltas", "gradient_deltas")


class OptimizerState(NamedTuple):
    """Where a minimisation stands: all that is needed to resume.

    Args:
        position: `(n,)` float32, the best point so far.
        value: The objective there.
        evaluations: Evaluations of value and gradient, since the start.
        stopped: No step goes down any more: a minimum to float precision, or numbers that are not
            finite.
        finite: Every value and gradient was, up to now.
        arrays: What an optimiser needs to resume, by name.
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

    If the search along a direction of the history takes too long (see `LineSearch`), the iteration
    is done again with an evaluated bracket, and if that fails too, down the gradient with an empty
    history.

    Args:
        value_and_gradient: A tensor `(n,)` to the function's value, a scalar of 0 or more, and its
            gradient `(n,)`. It is traced.
        start: Where to begin.
        arrays: The arrays of an earlier state, to resume from it instead: the result is that of a
            run without a break, bit for bit. `history` must be the same.
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
    if arrays is None:
        start = tf.convert_to_tensor(start, tf.float32)
        value, gradient = value_and_gradient(start)
        norm = tf.norm(gradient)
        finite = bool(tf.math.is_finite(value) & tf.math.is_finite(norm))
        if not finite or at_minimum(start, value, gradient):
            yield OptimizerState(start, float(value), 1, True, finite, {})
            return
        scale = tf.stack([value, (FAR_END * first_step) ** 0.5 * value / norm])
        at = start / scale[1], value / scale[0], gradient * (scale[1] / scale[0])
        iterations, pairs = 0, collections.deque(maxlen=history)
    else:
        scale = tf.convert_to_tensor(arrays["scale"])
        at, iterations, pairs = _resumed(arrays, history)
    search = LineSearch(value_and_gradient, scale, int(arrays["evaluations"]) if arrays else 1)
    unused = tf.zeros_like(at[0])
    while True:
        direction = _direction(at[2], pairs)
        # A model's direction is twice as long; without a history, the scale has seen to it.
        longer = FAR_END * direction if pairs else direction
        found, failed, stopped = search(at, longer, modelled=True)
        if failed:
            found, failed, stopped = search(at, direction, modelled=False)
        if failed and search.finite and pairs:
            # The history misleads it: steepest descent from here.
            pairs.clear()
            iterations = 0
            continue
        if not stopped:
            pairs.append((found[0] - at[0], found[2] - at[2]))
        at, iterations = found, iterations + 1
        evaluations = int(search.evaluations)
        counts = {"scale": scale, "evaluations": evaluations, "iterations": iterations}
        yield OptimizerState(
            position=at[0] * scale[1],
            value=float(at[1] * scale[0]),
            evaluations=evaluations,
            stopped=bool(stopped),
            finite=bool(search.finite),
            arrays=_stored(at, pairs, [(unused, unused)] * (history - len(pairs))) | counts,
        )


def _stored(at, pairs, unused):
    """A point and the history as arrays, of as many rows whatever there is, the newest last."""
    rows = [*unused, *pairs]  # States share them.
    stored = dict(zip(POINT, at, strict=True))
    return stored | dict(zip(DELTAS, zip(*rows, strict=True), strict=True))


def _resumed(arrays, history):
    """The point, the number of iterations and the history of stored arrays."""
    at = tuple(tf.convert_to_tensor(arrays[name]) for name in POINT)
    iterations = int(arrays["iterations"])
    rows = zip(*(map(tf.convert_to_tensor, arrays[name]) for name in DELTAS), strict=True)
    pairs = collections.deque(list(rows)[max(history - iterations, 0) :], maxlen=history)
    return at, iterations, pairs


def at_minimum(start: tf.Tensor, value: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Return whether a start is as good as can be: a step to 0 would be none, were the function
    linear.

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
