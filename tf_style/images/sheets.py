"""Several images in one: grids, contact sheets with names, strips."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_style.errors import UserError
from tf_style.images.resizing import float_image, resize

__all__ = ["concat", "contact_sheet", "grid"]


def grid(rows: Sequence[Sequence[np.ndarray | None]], pad: int = 4) -> np.ndarray:
    """Return a contact sheet on white.

    All cells have the largest height and the largest width among the images. Each image is scaled
    to fit its cell, keeping its aspect, and centred.

    Args:
        rows: Rows of images; None, and what a short row lacks, stays white.
        pad: Pixels between cells.

    Returns:
        Image.

    Raises:
        UserError: If there is no image at all.

    Example:
        >>> dark = np.zeros((8, 8, 3), np.float32)
        >>> grid([[None, dark], [dark, dark]], pad=2).shape
        (18, 18, 3)
    """
    rows = [[None if image is None else float_image(image) for image in row] for row in rows]
    shapes = [image.shape for row in rows for image in row if image is not None]
    if not shapes:
        raise UserError("A contact sheet needs at least one image. Received: none.")
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    columns = max(map(len, rows))
    size = (len(rows) * (height + pad) - pad, columns * (width + pad) - pad, 3)
    sheet = np.ones(size, np.float32)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            if image is None:
                continue
            h, w, _ = image.shape
            scale = min(height / h, width / w)
            h, w = max(1, round(scale * h)), max(1, round(scale * w))
            top = i * (height + pad) + (height - h) // 2
            left = j * (width + pad) + (width - w) // 2
            sheet[top : top + h, left : left + w] = resize(image, h, w)
    return sheet


def contact_sheet(images: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Images in a near-square on white, each with its name below.

    Args:
        images: At least one image.
        labels: One name for each image.

    Returns:
        Image.

    Example:
        >>> contact_sheet([np.zeros((64, 64, 3), np.float32)] * 3, ["a", "b", "c"]).shape[1]
        132
    """
    columns = math.ceil(len(images) ** 0.5)
    captioned = [_captioned(*pair) for pair in zip(images, labels, strict=True)]
    return grid([captioned[i : i + columns] for i in range(0, len(captioned), columns)])


def _captioned(image: np.ndarray, label: str) -> np.ndarray:
    """The image with a line of text below."""
    image = float_image(image)
    width = image.shape[1]
    size = max(10, width // 20)
    strip = Image.new("L", (width, 2 * size), 255)
    draw = ImageDraw.Draw(strip)
    draw.text((width / 2, size), label, fill=0, font=ImageFont.load_default(size), anchor="mm")
    line = np.repeat(np.asarray(strip, np.float32)[..., None] / 255, 3, axis=-1)
    return np.concatenate([image, line])


def concat(images: Sequence[np.ndarray], pad: int = 4) -> np.ndarray:
    """Images side by side on white, each scaled to the first one's height.

    Args:
        images: At least one image.
        pad: Pixels between them.

    Returns:
        Image.

    Raises:
        UserError: If there is no image.

    Example:
        >>> concat([np.zeros((8, 8, 3), np.float32), np.zeros((4, 6, 3), np.float32)], pad=2).shape
        (8, 22, 3)
    """
    images = [float_image(image) for image in images]
    if not images:
        raise UserError("A strip needs at least one image. Received: none.")
    height = images[0].shape[0]
    gap = np.ones((height, pad, 3), np.float32)
    strip = []
    for image in images:
        h, w, _ = image.shape
        strip += [gap, resize(image, height, max(1, round(w * height / h)))]
    return np.concatenate(strip[1:], axis=1)
