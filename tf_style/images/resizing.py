"""Arrays to arrays: resizing and cropping.

An image here is float32 RGB in [0, 1] of shape `(height, width, 3)`; the batch axis is the
caller's. Nothing in this module needs TensorFlow, or touches a file.
"""

import numpy as np
from PIL import Image

from tf_style.errors import UserError

__all__ = [
    "float_image",
    "center_crop",
    "fit_longer",
    "fit_shorter",
    "fit_square",
    "resize",
    "resize_mask",
    "scaled_size",
]


def float_image(image: np.ndarray) -> np.ndarray:
    """Return the same array as float32, if it is an image at all.

    Args:
        image: Image `(height, width, 3)`, of any float type.

    Raises:
        ValueError: If it is anything else.

    Example:
        >>> float_image(np.ones((4, 6, 3))).dtype
        dtype('float32')
    """
    image = np.asarray(image)
    # Integers would be taken for far too bright, and clipped to white.
    if image.ndim != 3 or image.shape[-1] != 3 or not image.size or image.dtype.kind != "f":
        raise ValueError(
            "An image must be a float array in [0, 1] of shape (height, width, 3). "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    return image.astype(np.float32, copy=False)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resamples with Lanczos' kernel, antialiased, in float precision.

    Args:
        image: Image `(h, w, 3)`.
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Returns:
        Image `(height, width, 3)`, clipped to [0, 1]: the kernel overshoots at edges.

    Raises:
        UserError: If a side is less than 1.

    Example:
        >>> resize(np.ones((4, 6, 3), np.float32), 2, 3).shape
        (2, 3, 3)
    """
    image = float_image(image)
    if min(height, width) < 1:
        raise UserError(f"A picture's sides must be at least 1. Received: {width}x{height}")
    if image.shape[:2] != (height, width):
        planes = (Image.fromarray(np.ascontiguousarray(image[..., i])) for i in range(3))
        planes = [plane.resize((width, height), Image.Resampling.LANCZOS) for plane in planes]
        image = np.stack(planes, axis=-1)
    return np.clip(image, 0, 1)


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """`resize` for a mask.

    Args:
        mask: `(h, w)` in [0, 1].
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Returns:
        Mask `(height, width)` in [0, 1].

    Example:
        >>> resize_mask(np.eye(8), 4, 4).shape
        (4, 4)
    """
    return resize(np.repeat(np.float32(mask)[..., None], 3, axis=-1), height, width)[..., 0]


def scaled_size(
    height: int, width: int, *, longer: int = 0, shorter: int = 0, enlarge: bool = False
) -> tuple[int, int]:
    """Return the size that `fit_longer` or `fit_shorter` gives, from a header's numbers alone.

        scale = size / side, at most 1 unless `enlarge`
        (height, width) -> (round(scale * height), round(scale * width)), at least 1 each

    Args:
        height: Height in pixels.
        width: Width in pixels.
        longer: Wanted length of the longer side; 0 keeps the size.
        shorter: Wanted length of the shorter side; 0 keeps the size. At most one may be given.
        enlarge: Whether small pictures are enlarged too.

    Returns:
        Height and width.

    Raises:
        UserError: If a length is negative, or both are given.

    Example:
        >>> scaled_size(3000, 4000, longer=512)
        (384, 512)
    """
    if min(longer, shorter) < 0 or (longer and shorter):
        raise UserError(
            "One of `longer` and `shorter` may be given, 0 or more. "
            f"Received: longer={longer}, shorter={shorter}"
        )
    size = longer or shorter
    side = max(height, width) if longer else min(height, width)
    if not size or (size >= side and not enlarge):
        return height, width
    # Integers, halves upwards: the same on every machine.
    new_height, new_width = ((2 * old * size + side) // (2 * side) for old in (height, width))
    return max(1, new_height), max(1, new_width)


def fit_longer(image: np.ndarray, size: int, *, enlarge: bool = False) -> np.ndarray:
    """Scales the longer side to `size`, keeping the aspect.

    Args:
        image: Image `(h, w, 3)`.
        size: Length in pixels; 0 keeps the size.
        enlarge: Whether a smaller picture is enlarged; by default it is left as it is.

    Raises:
        UserError: If `size` is negative.

    Example:
        >>> fit_longer(np.ones((30, 40, 3), np.float32), 20).shape
        (15, 20, 3)
    """
    image = float_image(image)
    return resize(image, *scaled_size(*image.shape[:2], longer=size, enlarge=enlarge))


def fit_shorter(image: np.ndarray, size: int, *, enlarge: bool = False) -> np.ndarray:
    """Scales the shorter side to `size`, keeping the aspect.

    Args:
        image: Image `(h, w, 3)`.
        size: Length in pixels; 0 keeps the size.
        enlarge: Whether a smaller picture is enlarged; by default it is left as it is.

    Raises:
        UserError: If `size` is negative.

    Example:
        >>> fit_shorter(np.ones((30, 40, 3), np.float32), 15).shape
        (15, 20, 3)
    """
    image = float_image(image)
    return resize(image, *scaled_size(*image.shape[:2], shorter=size, enlarge=enlarge))


def center_crop(image: np.ndarray, size: int = 0) -> np.ndarray:
    """Cuts a square from the middle.

    Args:
        image: Image `(h, w, 3)`.
        size: The square's side in pixels; 0 takes the largest that fits.

    Returns:
        Image `(size, size, 3)`.

    Raises:
        UserError: If the picture is smaller than `size`, or `size` is negative.

    Example:
        >>> center_crop(np.ones((30, 40, 3), np.float32)).shape
        (30, 30, 3)
    """
    image = float_image(image)
    height, width, _ = image.shape
    side = size or min(height, width)
    if not 0 < side <= min(height, width):
        raise UserError(f"No square of side {size} can be cut from a picture of {width}x{height}.")
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side].copy()


def fit_square(image: np.ndarray, size: int, share: float = 1.0) -> np.ndarray:
    """Cut a square from the middle, and enlarge or shrink it to `size` pixels.

    Cut first: a thin picture that was scaled first might not fit into memory.

    Args:
        image: Image `(h, w, 3)`.
        size: The square's side in pixels.
        share: The part of the shorter side that is cut, in (0, 1].

    Returns:
        Image `(size, size, 3)`.

    Example:
        >>> fit_square(np.ones((2, 6000, 3), np.float32), 64).shape
        (64, 64, 3)
    """
    side = max(1, round(share * min(float_image(image).shape[:2])))
    return resize(center_crop(image, side), size, size)
