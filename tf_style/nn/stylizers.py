"""All stylizers, and the one that a checkpoint describes."""

from tf_style.errors import UserError
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.base import Stylizer
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.predicted import PredictedStylizer

__all__ = ["STYLIZERS", "from_checkpoint"]

STYLIZERS = (AdaINStylizer, ConditionalStylizer, PredictedStylizer)


def from_checkpoint(config: dict, compute_dtype: str = "float32") -> Stylizer:
    """Build the stylizer that a checkpoint describes; its saved variables are not yet loaded.

    Args:
        config: The checkpoint's config, with `method` and `model`.
        compute_dtype: `float32` or `bfloat16`, for the convolutions.

    Raises:
        UserError: An unknown method, or a description that is not whole.

    Example:
        >>> model = {"styles": ["wave"], "contract": [8, 8, 8], "blocks": 1, "expand": [8, 8]}
        >>> from_checkpoint({"method": "conditional", "model": model | {"grain": 0.0}}).styles
        ('wave',)
    """
    method = config["method"]
    found = [stylizer for stylizer in STYLIZERS if stylizer.method == method]
    if not found:
        raise UserError(f"the method {method!r} is unknown")
    try:
        return found[0].from_checkpoint(config["model"], compute_dtype)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise UserError(fault) from error
