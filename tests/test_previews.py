"""Which pictures a training is looked at by."""

import tracemalloc

import numpy as np
import pytest

from tf_style.config import TrainConfig
from tf_style.previews import Previews, spread
from tf_style.writing import write_image


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "a"), (2, "ad"), (3, "ace"), (6, "abcdef"), (8, "abcdefab")],
)
def test_pictures_are_spread_over_the_folder(count, expected):
    assert spread(tuple("abcdef"), count) == list(expected)


def test_a_picture_alone_is_taken_again_and_again():
    assert spread(("a",), 4) == ["a"] * 4


def test_a_line_is_cut_before_it_is_enlarged(tmp_path):
    write_image(tmp_path / "line.png", np.zeros((2, 600, 3), "uint8"))
    previews = Previews(TrainConfig(), None, {}, tmp_path)
    tracemalloc.start()
    try:
        # Enlarged to --resize-size 512 first it would take a gigabyte.
        assert previews._middle(tmp_path / "line.png").shape == (256, 256, 3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
