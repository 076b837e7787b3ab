"""Measurements: each module a script, run as `python -m benchmarks.<name>`."""

import argparse

import numpy as np

from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_square


def parser_of(name: str, doc: str) -> argparse.ArgumentParser:
    """A parser whose help begins with the script's docstring as it is."""
    return argparse.ArgumentParser(
        f"python -m benchmarks.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def square(path: str, size: int) -> np.ndarray:
    """The middle of a picture, as an evaluation cuts it."""
    return fit_square(read_image(path), size)
