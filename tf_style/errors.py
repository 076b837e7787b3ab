"""What can go wrong in a way that is worth a sentence of its own."""

__all__ = ["NonFiniteError", "UserError", "WorkerLostError", "counted"]


class UserError(ValueError):
    """A mistake that the user can mend: one sentence with the fault, the value and the way out.

    The scripts print it without a traceback and end with exit code 2.

    Example:
        >>> raise UserError("`alpha` must be between 0 and 1. Received: alpha=1.3")
        Traceback (most recent call last):
        tf_style.errors.UserError: `alpha` must be between 0 and 1. Received: alpha=1.3
    """


class NonFiniteError(ArithmeticError):
    """NaN or infinity where a number belongs; the message names the tensor.

    Nothing is written when it is raised: a black picture is no result.

    Example:
        >>> raise NonFiniteError("The gradient of `decoder/conv4_1/kernel` is not finite.")
        Traceback (most recent call last):
        tf_style.errors.NonFiniteError: The gradient of `decoder/conv4_1/kernel` is not finite.
    """


class WorkerLostError(ConnectionError):
    """One of several workers is gone, and the others cannot continue without it.

    Example:
        >>> raise WorkerLostError("A worker was lost: start the same command on each again.")
        Traceback (most recent call last):
        tf_style.errors.WorkerLostError: A worker was lost: start the same command on each again.
    """


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, for a sentence.

    Example:
        >>> counted(1, "picture"), counted(2, "picture")
        ('1 picture', '2 pictures')
    """
    return f"{number} {noun}{'s' * (number != 1)}"
