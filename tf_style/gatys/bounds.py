"""What an optimiser of pixels moves: numbers without bounds that stand for pixels in [0, 1]."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["BOUNDED", "UNBOUNDED", "Variable"]

# The range ends a level of 8 bits beyond black and white: at its ends the derivative is 0, and a
# photo's black pixels could never be left. What is clipped of it is no more than rounding.
MARGIN = 1 / 255


class Variable(NamedTuple):
    """The numbers z that an optimiser moves, for an image x.

    Attributes:
        start: Image to z, flat, float32.
        image: z to the image's pixels, flat, in [0, 1].
        of: The value and gradient of an image's pixels, as a function of z.

    Example:
        >>> z = BOUNDED.start(np.float32([0, 0.5, 0.9]))
        >>> print(BOUNDED.image(z).numpy().round(2), BOUNDED.image(z + 1).numpy().round(2))
        [0.  0.5 0.9] [1.  0.5 0.1]
    """

    start: Callable
    image: Callable
    of: Callable


def _bounded_start(image):
    share = (np.float64(image).reshape(-1) + MARGIN) / (1 + 2 * MARGIN)
    return np.float32(np.arccos(1 - 2 * share) / np.pi)


def _pixels(z):
    return 0.5 - (0.5 + MARGIN) * tf.cos(np.pi * z)


def _bounded(value_and_gradient):
    def of_z(z):
        value, gradient = value_and_gradient(_pixels(z))
        return value, gradient * ((0.5 + MARGIN) * np.pi * tf.sin(np.pi * z))

    return of_z


# x = sin(pi z / 2)**2, but for the margin: smooth, so that quasi-Newton steps are what they are
# without bounds; nearly linear but for the darkest and brightest pixels; and a pixel that is to be
# black has its minimum at z = 0, not at infinity as with a sigmoid. Box 1966,
# https://doi.org/10.1093/comjnl/9.1.67
BOUNDED = Variable(_bounded_start, lambda z: tf.clip_by_value(_pixels(z), 0.0, 1.0), _bounded)

# The pixels themselves, clipped where an image is wanted.
UNBOUNDED = Variable(
    start=lambda image: np.float32(image).reshape(-1),
    image=lambda z: tf.clip_by_value(z, 0.0, 1.0),
    of=lambda value_and_gradient: value_and_gradient,
)
