"""Tiles: a picture of any size as windows that overlap.

A convolution at a window's edge sees the window's own reflection instead of the neighbours, so a
margin of what comes out is wrong, and is cut away: the halo. Where a window's edge is the
picture's, the reflection is the network's own, and nothing is cut.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Box", "Tile", "rounded_up", "tile_grid"]


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture: rows `top` to `bottom - 1`, columns `left` to `right - 1`.

    `box // 8` is the same place in features of stride 8, `box * 8` the way back.

    Example:
        >>> box = Box(16, 24, 48, 40)
        >>> box.height, box.width, box // 8
        (32, 16, Box(top=2, left=3, bottom=6, right=5))
        >>> np.zeros((100, 100, 3))[box.slices].shape
        (32, 16, 3)
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts it out of an array whose first axes are rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def of(self, x: np.ndarray) -> np.ndarray:
        """That part of an array or a tensor `(batch, height, width, channels)`."""
        return x[:, self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int, height: int, width: int) -> "Box":
        """With a margin on all sides that ends where the picture ends."""
        top, left = max(self.top - margin, 0), max(self.left - margin, 0)
        return Box(top, left, min(self.bottom + margin, height), min(self.right + margin, width))

    def within(self, other: "Box") -> "Box":
        """Return the same place as another box counts it, from its own corner."""
        rows, columns = other.top, other.left
        return Box(self.top - rows, self.left - columns, self.bottom - rows, self.right - columns)

    def __floordiv__(self, stride: int) -> "Box":
        return Box(*(side // stride for side in (self.top, self.left, self.bottom, self.right)))

    def __mul__(self, stride: int) -> "Box":
        return Box(*(side * stride for side in (self.top, self.left, self.bottom, self.right)))


@dataclass(frozen=True)
class Tile:
    """A piece of a picture.

    Attributes:
        core: What is kept of it. The cores of a grid cover the picture once.
        window: What is computed for it: the core and a halo, which ends at the picture's edges.
    """

    core: Box
    window: Box

    @property
    def inner(self) -> Box:
        """The core as the window counts it."""
        return self.core.within(self.window)


def tile_grid(height: int, width: int, tile: int, halo: int = 0, multiple: int = 1) -> list[Tile]:
    """Tiles that cover a picture, row by row.

    All windows have one size, so that the memory of one serves the next, but for the last row and
    column of a picture whose sides are no multiples. The cores at the picture's edges, where no
    halo is cut away, are larger by it.

    Args:
        height: Height of the picture, 1 or more.
        width: Width of the picture, 1 or more.
        tile: The most rows and columns of a core that touches no edge; rounded up to a multiple.
        halo: What is cut away at a window's edges, unless they are the picture's; rounded up
            likewise. `receptive_radius` tells what a network needs.
        multiple: On which windows and cores begin and end, or at the picture's edge: the stride of
            the network's deepest layer, so that pooling takes together what it takes in the whole.

    Example:
        >>> for tile in tile_grid(16, 100, tile=32, halo=8, multiple=8):
        ...     (tile.core.left, tile.core.right), (tile.window.left, tile.window.right)
        ((0, 40), (0, 48))
        ((40, 64), (32, 80))
        ((64, 100), (56, 100))
    """
    if min(height, width, tile, multiple) < 1 or halo < 0:
        raise ValueError(
            "`height`, `width`, `tile` and `multiple` must be 1 or more, `halo` 0 or more. "
            f"Received: {height}, {width}, {tile}, {multiple}, {halo}"
        )
    rows, columns = (_spans(side, tile, halo, multiple) for side in (height, width))
    return [
        Tile(Box(top, left, bottom, right), Box(above, before, below, behind))
        for (top, bottom), (above, below) in rows
        for (left, right), (before, behind) in columns
    ]


def _spans(size, tile, halo, multiple):
    """Begin and end of every core and its window along one side."""
    tile, halo = rounded_up(tile, multiple), rounded_up(halo, multiple)
    # Shared out evenly: tiles of one size waste least.
    between = max(size - 2 * halo, 1)
    step = rounded_up(-(-between // -(-between // tile)), multiple)
    count, window = -(-between // step), step + 2 * halo
    starts = [i * step for i in range(count - 1)] + [rounded_up(max(size - window, 0), multiple)]
    edges = [0, *(start + halo for start in starts[1:]), size]
    return [
        ((edges[i], edges[i + 1]), (start, min(start + window, size)))
        for i, start in enumerate(starts)
    ]


def rounded_up(number: int, multiple: int) -> int:
    """Return the next multiple of a number.

    Example:
        >>> rounded_up(17, 8), rounded_up(16, 8)
        (24, 16)
    """
    return -(-number // multiple) * multiple
