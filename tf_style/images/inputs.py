"""Pictures that users give: what a stylizer needs of them."""

import os
from pathlib import Path

import numpy as np

from tf_style.errors import UserError
from tf_style.images.reading import as_floats, read_image

__all__ = ["MIN_INPUT_SIDE", "RANGE_SLACK", "input_image"]

# Content and style of a stylizer. Under 16 px the encoder's relu4_1 has one line, which a
# reflection of one cannot extend.
MIN_INPUT_SIDE = 16

# How far values may lie outside [0, 1]: resampling in other programs overshoots.
RANGE_SLACK = 0.1


def input_image(image: np.ndarray | str | Path, what: str) -> np.ndarray:
    """Return what a user gave as an image that every stylizer takes.

    Args:
        image: Array `(height, width, 3)`, float in [0, 1] or uint8, or the path of a file.
        what: Name of an array, for the error.

    Returns:
        Image `(height, width, 3)`, float32.

    Raises:
        UserError: No image, under 16 px a side, or values that are not in [0, 1].

    Example:
        >>> input_image(np.full((16, 20, 3), 255, "uint8"), "content").max()
        np.float32(1.0)
    """
    if isinstance(image, str | os.PathLike):
        what, image = f"`{image}`", read_image(image)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype.kind not in "fu":
        raise UserError(
            f"{what} must be an image (height, width, 3) of float in [0, 1] or uint8. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    height, width, _ = image.shape
    if min(height, width) < MIN_INPUT_SIDE:
        raise UserError(
            f"{what} is {width}x{height}: both sides must be {MIN_INPUT_SIDE} px or more."
        )
    image = as_floats(image)
    # Written so that NaN fails too.
    if not (-RANGE_SLACK <= image.min() and image.max() <= 1 + RANGE_SLACK):
        raise UserError(
            f"{what} must be uint8, or float in [0, 1]. Received: {image.dtype} from "
            f"{image.min():.4g} to {image.max():.4g}"
        )
    return image.astype("float32", copy=False)
