"""What `benchmarks.run` compares: parts, their contenders, and the bars that these must pass."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.networks import flops, training_flops

__all__ = ["PARTS", "Bar", "Contender", "Part", "Row", "smaller"]

# What is granted to large photos besides their bytes a pixel.
GRANTED = 200e6


@dataclass(frozen=True)
class Row:
    """What was measured of a contender, and what it is to the first of its part.

    Attributes:
        label: Which contender.
        size: Side of its pictures.
        dtype: Of its convolutions.
        runs: Seconds of each run that counts.
        seconds: Their median, or their best.
        time: The ratio of the seconds to the first's, of some parts a pixel.
        peak: Bytes at the highest above the import.
        memory: The ratio of the bytes to the first's.
        pixels: Of all photos.
        flops: Of the convolutions of one run.
        fault: Why there is nothing of all that.
    """

    label: str
    size: int
    dtype: str
    runs: tuple[float, ...] = ()
    seconds: float = np.nan
    time: float = np.nan
    peak: float = np.nan
    memory: float = np.nan
    pixels: int = 0
    flops: float = np.nan
    fault: str = ""


@dataclass(frozen=True)
class Bar:
    """What a figure of a row is held against.

    Args:
        name: Of the figure.
        limit: What it must reach, or stay below.
        at_least: Which of them.
        figure: Of the row and the others of its part.

    Example:
        >>> row = Row("PyTorch", 512, "float32", time=3.0)
        >>> Bar("time", 2.8, True, lambda row, rows: row.time).judged(row, [row])
        'time 3, at least 2.8 ✓'
    """

    name: str
    limit: float
    at_least: bool
    figure: Callable[[Row, list[Row]], float]

    def met(self, row: Row, rows: list[Row]) -> bool:
        """Whether the figure is on the right side; what was not measured is not."""
        figure = self.figure(row, rows)
        return figure >= self.limit if self.at_least else figure <= self.limit

    def judged(self, row: Row, rows: list[Row]) -> str:
        """Figure and bar, with a tick or a cross."""
        side, mark = "at least" if self.at_least else "at most", "✗✓"[self.met(row, rows)]
        return f"{self.name} {self.figure(row, rows):.3g}, {side} {self.limit:.3g} {mark}"


def slower(limit: float) -> Bar:
    """The bar of a ratio of times that must be reached."""
    return Bar("time", limit, True, lambda row, rows: row.time)


def growth(row: Row, rows: list[Row]) -> float:
    """Bytes a pixel that a photo takes beyond one a quarter as wide, after the first 200 MB."""
    other = next(x for x in rows if x.size == row.size // 4)
    return max(row.peak - other.peak - GRANTED, 0) / (row.size**2 - other.size**2)


@dataclass(frozen=True)
class Contender:
    """A row to be.

    Args:
        label: What the row says, with `{size}` and `{count}`.
        module: Whose `RUNS` has it.
        run: Its name there.
        dtype: Of its convolutions: which peak it is held against.
        style_every_time: Whether it encodes the style anew for every photo.
        bars: What it is held against.
        size: Of its photos; 0 for the part's.
        count: Of its photos, likewise.
    """

    label: str
    module: str
    run: str
    dtype: str = "bfloat16"
    style_every_time: bool = False
    bars: tuple[Bar, ...] = ()
    size: int = 0
    count: int = 0


@dataclass(frozen=True)
class Part:
    """Contenders that do the same work; what the others' ratios are to comes first.

    Args:
        title: With `{size}` and `{count}`.
        size: Of the photos.
        count: Their number.
        contenders: The rows to be.
        flops: Of a contender, the photos' size and their number.
        tolerance: How far a result may be from PyTorch's float32 or, without it, from the first's:
            of pictures, in steps of 255, a float32's anywhere and a bfloat16's in the mean; of
            losses in percent.
        typical: Of the seconds of all runs.
        most: Runs.
        warm_up: Whether a first turn does not count.
        per_pixel: Whether ratios of times are those of the times a pixel.
    """

    title: str
    size: int
    count: int
    contenders: tuple[Contender, ...]
    flops: Callable[[Contender, int, int], int]
    tolerance: float = 2.0
    typical: Callable[[Iterable[float]], float] = statistics.median
    most: int = 1000
    warm_up: bool = True
    per_pixel: bool = False

    def work_of(self, contender: Contender) -> tuple[int, int]:
        """Size and count of a contender's photos."""
        return contender.size or self.size, contender.count or self.count


def flops_of_product(contender: Contender, size: int, count: int) -> int:
    """Of two square matrices."""
    return 2 * size**3


def flops_of_photos(contender: Contender, size: int, count: int) -> int:
    """Of photos, and of a style of their size encoded once or every time."""
    styles = count if contender.style_every_time else 1
    return flops(size, size, encoded=count + styles, decoded=count)


def flops_of_large(contender: Contender, size: int, count: int) -> int:
    """Of photos whose style is small."""
    return flops(size, size, encoded=count, decoded=count)


def flops_of_training(contender: Contender, size: int, count: int) -> int:
    """Of a step."""
    return training_flops(size, count)


PARTS = {
    "matmul": Part(
        "Product of two matrices of {size} x {size}", 4096, 0,
        (
            Contender("TensorFlow, float32", "ours", "product float32", "float32"),
            Contender("PyTorch, float32", "torch_adain", "product float32", "float32"),
            Contender("NumPy, float32", "by_numpy", "product float32", "float32"),
            Contender("TensorFlow, bfloat16", "ours", "product bfloat16"),
            Contender("PyTorch, bfloat16", "torch_adain", "product bfloat16"),
        ),
        flops_of_product, tolerance=np.inf, typical=min,
    ),
    "pair": Part(
        "One {size} px pair", 512, 1,
        (
            Contender("ours", "ours", "pair"),
            Contender(
                "PyTorch, float32", "torch_adain", "pair float32", "float32",
                bars=(slower(2.8), Bar("memory", 1.0, True, lambda row, rows: row.memory)),
            ),
            Contender("PyTorch, bfloat16", "torch_adain", "pair bfloat16", bars=(slower(1.25),)),
            Contender("ours without bfloat16", "ours", "pair float32", "float32"),
            Contender("ours, bfloat16 by TensorFlow's rewriter", "ours", "pair rewritten"),
            Contender("Keras alone, compiled", "ours", "pair by Keras"),
            Contender("Keras alone, not compiled", "ours", "pair not compiled"),
        ),
        flops_of_photos,
    ),
    "photos": Part(
        "{count} photos of {size} px in one style, from files to files", 512, 16,
        (
            Contender("ours", "ours", "folder"),
            Contender(
                "PyTorch, float32", "torch_adain", "photos float32", "float32",
                style_every_time=True, bars=(slower(4.2),),
            ),
            Contender("PyTorch, bfloat16", "torch_adain", "photos bfloat16", style_every_time=True),
            Contender("ours without bfloat16", "ours", "folder float32", "float32"),
            Contender("without `stylize_folder`: read, stylise, write", "ours", "photo by photo"),
            Contender(
                "nor the style encoded once", "ours", "style every time", style_every_time=True
            ),
        ),
        flops_of_photos, tolerance=8.0, most=3,
    ),
    "training": Part(
        "Training step of {count} x {size} px", 256, 4,
        (
            Contender("ours", "ours", "training"),
            Contender(
                "PyTorch, float32", "torch_adain", "training float32", "float32",
                bars=(slower(2.7),),
            ),
            Contender("PyTorch, bfloat16", "torch_adain", "training bfloat16"),
            Contender("ours without bfloat16", "ours", "training float32", "float32"),
            Contender("Keras alone, compiled", "ours", "training by Keras"),
            Contender("ours, not compiled", "ours", "training not compiled"),
        ),
        flops_of_training,
    ),
    "large": Part(
        "Large photos, from files to files; ratios of times a pixel", 1024, 1,
        (
            Contender("ours, {count} of {size} px", "ours", "large", count=4),
            Contender("ours, {count} of {size} px", "ours", "large", size=2048),
            Contender(
                "ours, {count} of {size} px", "ours", "large", size=8192,
                bars=(
                    Bar("time", 1.35, False, lambda row, rows: row.time),
                    Bar("bytes a pixel beyond 2048 px + 200 MB", 6.0, False, growth),
                ),
            ),
            Contender("Keras alone, whole, {count} of {size} px", "ours", "whole", size=2048),
        ),
        flops_of_large, tolerance=3.0, most=2, warm_up=False, per_pixel=True,
    ),
}  # fmt: skip

# By how much --quick divides sizes and numbers.
QUICK = 4


def smaller(part: Part) -> Part:
    """The part in small, to see that all works."""

    def less(one):
        return dataclasses.replace(one, size=one.size // QUICK, count=-(-one.count // QUICK))

    return dataclasses.replace(less(part), contenders=tuple(map(less, part.contenders)))
