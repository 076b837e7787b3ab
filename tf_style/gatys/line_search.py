"""The line search of L-BFGS: TensorFlow Probability's, with one evaluation where it takes three.

The package's only import of TensorFlow Probability, and a late one.
"""

import sys
import warnings
from collections.abc import Callable

import tensorflow as tf

__all__ = ["FAR_END", "LineSearch", "Point"]

# The line search looks for its step between 0 and twice the quasi-Newton step, of which the far end
# is not evaluated (see `LineSearch`).
FAR_END = 2.0

# Evaluations that a search with such an interval may take before the iteration is done again with
# an interval that is evaluated, one being the rule; and that such a search may take, which goes on
# by factors of five.
SHORT_SEARCH, LONG_SEARCH = 4, 12

# Position, value and gradient, scaled.
Point = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class LineSearch:
    """Find a step that meets the Wolfe conditions, by Hager & Zhang's search.

    A step of the line search costs one evaluation in general where TensorFlow Probability's costs
    three. Hager & Zhang's search first brackets the minimum along the direction d, then looks
    between the ends by the secant of the slopes. TensorFlow Probability evaluates step 1, which is
    seldom beyond the minimum, then step 5, then the secant. Here directions are twice as long, so
    that step 1 means 2 d, and the bracket's far end is not evaluated but taken from the quadratic
    model that gave d: slope(2 d) = -slope(0). (Its value is given as 2 f(0), not the model's f(0):
    equal values at both ends pass for a flat function.) The first secant then is d itself, which is
    evaluated and meets the Wolfe conditions nearly always. Whatever point is accepted has been
    evaluated.

    Args:
        value_and_gradient: A tensor `(n,)` to a scalar and its gradient `(n,)`. It is traced.
        scale: Two numbers, by which the objective and the variable are divided.
        evaluations: Evaluations made before.

    Attributes:
        evaluations: Evaluations of value and gradient, a variable.
        finite: Whether all of their values were finite, a variable.

    References: https://doi.org/10.1145/1132973.1132979,
    https://www.tensorflow.org/probability/api_docs/python/tfp/optimizer/lbfgs_minimize
    """

    def __init__(self, value_and_gradient: Callable, scale: tf.Tensor, evaluations: int):
        # The type of the results, which a stored state is made into, has no public name.
        self._tfp = _tfp_lbfgs()
        self._value_and_gradient, self._scale = value_and_gradient, scale
        self.evaluations = tf.Variable(evaluations, trainable=False)
        self.finite = tf.Variable(True, trainable=False)
        # Whether the next call is for the far end of a bracket that is not evaluated.
        self._far_end = tf.Variable(False, trainable=False)
        # Not inlined: the line search calls it at eight places.
        self._evaluate = tf.function(
            self._counted, autograph=False, experimental_attributes={"_noinline": True}
        )
        self._search = tf.function(self._searched, autograph=False)

    def __call__(
        self, at: Point, direction: tf.Tensor, modelled: bool
    ) -> tuple[Point, tf.Tensor, tf.Tensor]:
        """Search along a direction.

        Args:
            at: Where it begins.
            direction: Down the function; of twice the length where `modelled`.
            modelled: Whether the far end comes from the quadratic model.

        Returns:
            The point that was found, whether the search failed, and whether nothing goes down.
        """
        return self._search(*at, direction, tf.constant(modelled))

    def _counted(self, position):
        scale = self._scale
        self.evaluations.assign_add(1)
        value, gradient = self._value_and_gradient(position * scale[1])
        good = tf.math.is_finite(value) & tf.math.is_finite(tf.norm(gradient))
        self.finite.assign(self.finite & good)
        return value / scale[0], gradient * (scale[1] / scale[0])

    def _searched(self, position, value, gradient, direction, modelled):
        def objective(position):
            at_far_end = tf.identity(self._far_end)
            with tf.control_dependencies([at_far_end]):
                self._far_end.assign(False)
            modelled = (2 * value, -gradient)
            return tf.cond(at_far_end, lambda: modelled, lambda: self._evaluate(position))

        self._far_end.assign(modelled)
        # Of a history of the one pair (-d, g), which asks for H g = -d, the direction is d.
        results = self._tfp.LBfgsOptimizerResults(
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
        after = self._tfp.minimize(
            objective,
            initial_position=None,
            previous_optimizer_results=results,
            num_correction_pairs=1,
            tolerance=0.0,
            max_iterations=2,
            max_line_search_iterations=tf.where(modelled, SHORT_SEARCH, LONG_SEARCH),
        )
        found = after.position, after.objective_value, after.objective_gradient
        return found, after.failed, after.failed | after.converged


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
