"""L-BFGS: TensorFlow Probability's, as a generator that can stop and go on at any iteration.

Liu & Nocedal 1989, with Hager & Zhang's line search. The package's only import of TensorFlow
Probability, and a late one.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["OptimizerState", "lbfgs"]

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

# Arrays of TensorFlow Probability's results that make up a state, besides flags and counters.
FIELDS = (
    "position",
    "objective_value",
    "objective_gradient",
    "position_deltas",
    "gradient_deltas",
)


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
        history: Pairs of steps and gradient changes kept. The memory is 2 * history * n float32,
            about as much again while a direction is computed.
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
    from tensorflow_probability.python.optimizer import lbfgs as tfp_lbfgs

    if arrays is None:
        start = tf.convert_to_tensor(start, tf.float32)
        value, gradient = value_and_gradient(start)
        norm = tf.norm(gradient)
        finite = bool(tf.math.is_finite(value) & tf.math.is_finite(norm))
        # How far it is to 0 if the function were linear.
        step = value / norm**2 * tf.reduce_max(tf.abs(gradient))
        if not (finite and step > NO_STEP * tf.maximum(1.0, tf.reduce_max(tf.abs(start)))):
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
    def iterate(results, modelled):
        def objective(position):
            at_far_end = tf.identity(far_end)
            with tf.control_dependencies([at_far_end]):
                far_end.assign(False)
            return tf.cond(
                at_far_end,
                lambda: (2 * results.objective_value, -results.objective_gradient),
                lambda: evaluate(position),
            )

        far_end.assign(modelled)
        # A direction is linear in the steps that its history holds.
        length = tf.where(modelled, FAR_END, 1.0)
        after = tfp_lbfgs.minimize(
            objective,
            initial_position=None,
            previous_optimizer_results=results._replace(
                position_deltas=length * results.position_deltas
            ),
            num_correction_pairs=history,
            tolerance=0.0,
            max_iterations=results.num_iterations + 1,
            max_line_search_iterations=tf.where(modelled, SHORT_SEARCH, LONG_SEARCH),
        )
        step = after.position - results.position
        deltas = tf.concat([results.position_deltas[1:], step[None]], axis=0)
        return after._replace(position_deltas=deltas)

    if arrays is None:
        empty = tf.zeros((history, *start.shape))
        results = tfp_lbfgs.LBfgsOptimizerResults(
            converged=tf.constant(False),
            failed=tf.constant(False),
            num_iterations=tf.constant(0),
            num_objective_evaluations=tf.constant(0),
            position=start / scale[1],
            objective_value=value / scale[0],
            objective_gradient=gradient * (scale[1] / scale[0]),
            position_deltas=empty,
            gradient_deltas=empty,
        )
    else:
        results = tfp_lbfgs.LBfgsOptimizerResults(
            converged=tf.constant(False),
            failed=tf.constant(False),
            num_iterations=tf.constant(arrays["iterations"], tf.int32),
            num_objective_evaluations=tf.constant(0),
            **{name: tf.convert_to_tensor(arrays[name]) for name in FIELDS},
        )
    while True:
        after = iterate(results, tf.constant(True))
        if after.failed:
            after = iterate(results, tf.constant(False))
        if after.failed and finite and results.num_iterations > 0:
            # The history misleads it: steepest descent from here.
            results = results._replace(
                num_iterations=tf.constant(0),
                position_deltas=tf.zeros_like(results.position_deltas),
                gradient_deltas=tf.zeros_like(results.gradient_deltas),
            )
            continue
        results = after
        evaluations = int(count)
        stored = {name: getattr(results, name) for name in FIELDS}
        stored |= {"scale": scale, "evaluations": evaluations, "iterations": results.num_iterations}
        yield OptimizerState(
            position=results.position * scale[1],
            value=float(results.objective_value * scale[0]),
            evaluations=evaluations,
            stopped=bool(results.failed | results.converged),
            finite=bool(finite),
            arrays=stored,
        )
