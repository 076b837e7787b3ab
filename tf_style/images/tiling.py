"""Tiles: a picture of any size as windows that overlap, and what is gathered from them.

A convolution at a window's edge sees the window's own reflection instead of the neighbours, so a
margin of what comes out is wrong, and is cut away: the halo. Where a window's edge is the
picture's, the reflection is the network's own, and nothing is cut.

Statistics of the whole are merged from those of the cores: `Moments`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np

from tf_style.nn.statistics import EPSILON, position_mean

__all__ = ["Box", "Moments", "Tile", "reach", "rounded_up", "tile_grid"]


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture: rows `top` to `bottom - 1`, columns `left` to `right - 1`.

    `box // 8` is the same place in features of stride 8, `box * 8` the way back.

    Example:
        >>> box = Box(16, 24, 48, 40)
        >>> box.height, box.width, box // 8
        (32, 16, Box(top=2, left=3, bottom=6, right=5))
        >>> keras.ops.zeros((100, 100, 3))[box.slices].shape
        TensorShape([32, 16, 3])
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

    def of(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """That part of `(batch, height, width, channels)`."""
        return x[:, self.top : self.bottom, self.left : self.right]

    def grown(self, margin: int, height: int, width: int) -> "Box":
        """With a margin on all sides that ends where the picture ends."""
        top, left = max(self.top - margin, 0), max(self.left - margin, 0)
        return Box(top, left, min(self.bottom + margin, height), min(self.right + margin, width))

    def within(self, other: "Box") -> "Box":
        """The same place as another box counts it, from its own corner."""
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
        height: Of the picture, 1 or more.
        width: Likewise.
        tile: The most rows and columns of a core that touches no edge; rounded up to a multiple.
        halo: What is cut away at a window's edges, unless they are the picture's; rounded up
            likewise. `reach` tells what a network needs.
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
    """The next multiple.

    Example:
        >>> rounded_up(17, 8), rounded_up(16, 8)
        (24, 16)
    """
    return -(-number // multiple) * multiple


def reach(layers: Iterable[keras.layers.Layer]) -> int:
    """How deep what lies beyond a window's edge spoils the output of a stack of layers.

        convolution of kernel k, stride s   d -> ceil((d + (k - 1) / 2) / s)
        pooling by s                        d -> ceil(d / s)
        upsampling by s                     d -> d * s

    in pixels of the output, d = 0 at the input; half the receptive field, as rows go to the right
    or left only. Of residual branches the long way counts.

    Args:
        layers: In order; `model.layers` of a network, whose windows begin at multiples of its
            stride. Layers that look at one position alone, or at all, do not count.

    Example:
        >>> from tf_style.nn.decoder import Decoder
        >>> from tf_style.nn.vgg import VGGEncoder
        >>> reach(VGGEncoder("vgg16").layers), reach(Decoder("vgg16").layers)
        (4, 26)
    """
    depth = 0
    for layer in layers:
        if isinstance(layer, keras.layers.Conv2D):
            depth = -(-(depth + layer.kernel_size[0] // 2) // layer.strides[0])
        elif isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            depth = -(-depth // layer.pool_size[0])
        elif isinstance(layer, keras.layers.UpSampling2D):
            depth *= layer.size[0]
    return depth


@dataclass(frozen=True)
class Moments:
    """Mean and squared deviations of every channel, of some positions of a picture.

    Those of a whole are merged from its parts', in float64 (Chan et al. 1979):

        n       = n_a + n_b,  d = mean_b - mean_a
        mean    = mean_a + d * n_b / n
        squares = squares_a + squares_b + d**2 * n_a * n_b / n

    Attributes:
        count: Positions; by default none.
        mean: `(channels,)`.
        squares: `(channels,)`, sum{ (x - mean)**2 }.

    Example:
        >>> parts = [Moments.of(np.full((1, 2, 2, 1), value, "float32")) for value in (0, 2)]
        >>> whole = parts[0].merged(parts[1])
        >>> whole.count, whole.mean.item(), whole.squares.item()
        (8, 1.0, 8.0)

    Reference: http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
    """

    count: int = 0
    mean: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    @classmethod
    def of(cls, features: keras.KerasTensor) -> "Moments":
        """Of features `(1, height, width, channels)`."""
        features = keras.ops.cast(features, "float32")
        _, height, width, _ = features.shape
        mean = position_mean(features)
        variance = position_mean(keras.ops.square(features - mean[:, None, None]))
        count, mean, variance = height * width, np.float64(mean[0]), np.float64(variance[0])
        return cls(count, mean, count * variance)

    def merged(self, other: "Moments") -> "Moments":
        """Of the positions of both."""
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * (other.count / count),
            self.squares + other.squares + step**2 * (self.count * other.count / count),
        )

    def statistics(self) -> np.ndarray:
        """What `ChannelStatistics` gives of the whole, `(1, 2, channels)`, float32."""
        std = np.sqrt(self.squares / self.count + EPSILON)
        return np.float32([[self.mean, std]])
