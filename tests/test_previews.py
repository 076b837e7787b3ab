"""Which pictures a training is looked at by."""

import pytest

from tf_style.previews import spread


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "a"), (2, "ad"), (3, "ace"), (6, "abcdef"), (8, "abcdefab")],
)
def test_pictures_are_spread_over_the_folder(count, expected):
    assert spread(tuple("abcdef"), count) == list(expected)


def test_a_picture_alone_is_taken_again_and_again():
    assert spread(("a",), 4) == ["a"] * 4
