"""Which pictures a training is looked at by."""

import resource
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from tf_style.images.writing import write_image
from tf_style.training.config import TrainConfig
from tf_style.training.previews import Previews, dispensable, spread, write_scalars


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


def test_logs_that_cannot_be_written_are_a_warning(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    write_scalars(writer, 1, {"loss": 1.0})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))  # As a full disk.
    try:
        with pytest.warns(UserWarning, match=r"logs cannot be written: File too large\. The run"):
            write_scalars(writer, 2, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    write_scalars(writer, 3, {"loss": 1.0})
    with dispensable():
        writer.close()
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"logs cannot be written: Not a directory\."):
        with dispensable():
            tf.summary.create_file_writer(str(tmp_path / "file"))
