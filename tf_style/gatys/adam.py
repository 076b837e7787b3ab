"""Adam on the pixels, with the moving average of its iterates as the result."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tf_style.gatys.lbfgs import OptimizerState, at_minimum

__all__ = ["adam"]

# Adam's second decay and the average's decay, of the peer whose results are the best of its kind.
# https://github.com/crowsonkb/style-transfer-pytorch
BETA_1, BETA_2, EPSILON, AVERAGE = 0.9, 0.99, 1e-8, 0.99


def adam(
    value_and_gradient: Callable,
    start: tf.Tensor | np.ndarray | None = None,
    *,
    arrays: dict | None = None,
    learning_rate: float = 0.02,
) -> Iterator[OptimizerState]:
    """Minimise a function; yields the state after every step, without end.

        m <- 0.9 m + 0.1 g,   v <- 0.99 v + 0.01 g**2
        x <- x - learning_rate * m / (1 - 0.9**t) / (sqrt(v / (1 - 0.99**t)) + 1e-8)
        average = sum{ 0.99**(t - k) x_k } / sum{ 0.99**(t - k) }

    The average is the result: the iterates jitter by the learning rate, it does not. The state's
    value is that of the point before the step.

    Args:
        value_and_gradient: A tensor `(n,)` to the function's value, a scalar of 0 or more, and its
            gradient `(n,)`. It is traced.
        start: Where to begin; at a minimum it stays, as steps would be as long as elsewhere.
        arrays: The arrays of an earlier state, to resume from it instead.
        learning_rate: Step per evaluation, in units of the variable.

    Example:
        >>> function = lambda x: (tf.reduce_sum((x - 3) ** 2), 2 * (x - 3))
        >>> states = adam(function, tf.zeros(4), learning_rate=0.5)
        >>> for state in states:
        ...     if state.evaluations == 500:
        ...         break
        >>> print(state.position.numpy().round(2))
        [3. 3. 3. 3.]

    References: https://arxiv.org/abs/1412.6980; on averages https://doi.org/10.1137/0330046
    """
    if arrays is None:
        start = tf.convert_to_tensor(start, tf.float32)
        zero = tf.zeros_like(start)
        arrays = {"iterate": start, "m": zero, "v": zero, "sum": zero, "evaluations": 0}
    names = ("iterate", "m", "v", "sum")

    @tf.function(autograph=False)
    def step(t, x, m, v, total):
        value, gradient = value_and_gradient(x)
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * gradient**2
        rate = learning_rate / (1 - BETA_1**t)
        after = x - rate * m / (tf.sqrt(v / (1 - BETA_2**t)) + EPSILON)
        finite = tf.math.is_finite(value) & tf.math.is_finite(tf.norm(gradient))
        total = AVERAGE * total + (1 - AVERAGE) * after
        still = (t == 1) & at_minimum(x, value, gradient)
        return value, finite, still, (after, m, v, total), total / (1 - AVERAGE**t)

    while True:
        t = int(arrays["evaluations"]) + 1
        moved = [tf.convert_to_tensor(arrays[name]) for name in names]
        value, finite, still, moved, average = step(tf.constant(float(t)), *moved)
        if still or not finite:
            # The last average is as far as it got.
            last = arrays["sum"] / (1 - AVERAGE ** (t - 1)) if t > 1 else arrays["iterate"]
            yield OptimizerState(last, float(value), t, True, bool(finite), arrays)
            return
        arrays = dict(zip(names, moved, strict=True)) | {"evaluations": t}
        yield OptimizerState(average, float(value), t, False, True, arrays)
