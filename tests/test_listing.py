import pytest

from tf_style import listing
from tf_style.errors import UserError


@pytest.fixture
def tree(tmp_path):
    names = ["b.PNG", "a.jpg", "notes.txt", ".hidden.jpg", "sub/c.webp", "sub/deep/d.jpeg"]
    for name in [*names, ".git/e.jpg", "sub/.cache/f.jpg", "x[1].jpg", "odd"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("", ["a.jpg", "b.PNG", "sub/c.webp", "sub/deep/d.jpeg", "x[1].jpg"]),
        ("sub", ["sub/c.webp", "sub/deep/d.jpeg"]),
        ("*", ["a.jpg", "b.PNG", "x[1].jpg"]),
        ("*.jpg", ["a.jpg", "x[1].jpg"]),
        ("?.jpg", ["a.jpg"]),
        ("[ab].*", ["a.jpg", "b.PNG"]),
        ("**", ["a.jpg", "b.PNG", "sub/c.webp", "sub/deep/d.jpeg", "x[1].jpg"]),
        ("**/*.jpeg", ["sub/deep/d.jpeg"]),
        ("s*/*.webp", ["sub/c.webp"]),
        ("x[1].jpg", ["x[1].jpg"]),
        ("odd", ["odd"]),
        ("notes.txt", ["notes.txt"]),
        (".hidden.jpg", [".hidden.jpg"]),
        (".git", [".git/e.jpg"]),
    ],
)
def test_list_images(tree, pattern, expected):
    for path in (tree / pattern, str(tree / pattern)):
        assert listing.list_images(path) == [tree / name for name in expected]


def test_list_images_relative(tree, monkeypatch):
    monkeypatch.chdir(tree / "sub")
    assert [str(path) for path in listing.list_images("**/*.jpeg")] == ["deep/d.jpeg"]
    assert [str(path) for path in listing.list_images(".")] == ["c.webp", "deep/d.jpeg"]


def test_list_images_follows_links_once(tree):
    (tree / "empty" / "loop").symlink_to(tree)
    (tree / "empty" / "link.png").symlink_to(tree / "a.jpg")
    (tree / "empty" / "broken.png").symlink_to(tree / "none")
    found = listing.list_images(tree / "sub")
    assert len(found) == 2
    found = listing.list_images(tree)
    assert tree / "empty" / "link.png" in found
    assert len(found) == 6
    assert len(listing.list_images(tree / "**")) == 6


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("none", "none` does not exist"),
        ("none/a.jpg", "does not exist"),
        ("empty", r"empty` holds no images. Accepted suffixes: bmp, .*jpeg, jpg"),
        ("*.txt", r"\*\.txt` holds no images. Accepted suffixes"),
        ("zz*", r"zz\*` holds no images"),
    ],
)
def test_list_images_finds_nothing(tree, pattern, message):
    with pytest.raises(UserError, match=message):
        listing.list_images(tree / pattern)
