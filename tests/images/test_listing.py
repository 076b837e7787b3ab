import contextlib
import os

import pytest

from tf_style.errors import UserError
from tf_style.images import listing
from tf_style.images.reading import read_image


@pytest.fixture
def tree(tmp_path):
    names = ["b.PNG", "a.jpg", "notes.txt", ".hidden.jpg", "sub/c.webp", "sub/deep/d.jpeg"]
    for name in [*names, ".git/e.jpg", "sub/.cache/f.jpg", "x[1].jpg"]:
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
        ("x[1]/*.jpg", r"x\[1\]/\*.jpg` holds no images"),
    ],
)
def test_list_images_finds_nothing(tree, pattern, message):
    with pytest.raises(UserError, match=message):
        listing.list_images(tree / pattern)


def test_an_empty_name_is_not_the_folder_one_is_in(tree, monkeypatch):
    monkeypatch.chdir(tree)
    with pytest.raises(UserError, match="An empty name holds no images. Give a file, a folder"):
        listing.list_images("")


@pytest.mark.parametrize("pattern", ["*.jpg", "**/*.jpg", "[b]*", "?.jpg"])
def test_a_glob_in_a_folder_whose_name_looks_like_one(tmp_path, pattern):
    file = tmp_path / "pics [2020]" / "a*" / "b.jpg"
    file.parent.mkdir(parents=True)
    file.touch()
    assert listing.list_images(file.parent / pattern) == [file]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["IMG_2.HEIC"], "1 file is left out, such as IMG_2.HEIC. Accepted suffixes: bmp"),
        (["IMG_3.cr2", "IMG_2", "sub/y.jxl"], "3 files are left out, such as IMG_2. Accepted"),
    ],
)
def test_what_may_be_a_picture_is_not_left_out_in_silence(tmp_path, names, told):
    (tmp_path / "sub").mkdir()
    for name in [*names, "notes.txt", ".hidden"]:
        (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / "**"):
        with pytest.raises(UserError, match=f"holds no images. {told}"):
            listing.list_images(path)
    (tmp_path / "a.jpg").touch()
    for path in (tmp_path, tmp_path / "**"):
        with pytest.warns(UserWarning, match=f"`: {told}"):
            assert listing.list_images(path) == [tmp_path / "a.jpg"]
    # Given by name, the content decides.
    assert listing.list_images(tmp_path / names[0]) == [tmp_path / names[0]]


@contextlib.contextmanager
def as_somebody():
    """Who may not read everything."""
    user = os.geteuid()
    os.seteuid(user or 12345)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_below_that_cannot_be_read_is_left_out(tree, monkeypatch):
    monkeypatch.chdir(tree)
    tree.chmod(0o755)
    (tree / "sub").chmod(0)
    with as_somebody():
        with pytest.warns(UserWarning, match="`./sub` cannot be read: Perm.*; it is left out"):
            found = listing.list_images(".")
        assert [str(path) for path in found] == ["a.jpg", "b.PNG", "x[1].jpg"]
        with pytest.raises(UserError, match="The folder `sub` cannot be read: Permission denied.$"):
            listing.list_images("sub")
    (tree / "sub").chmod(0o700)


def test_a_pipe_is_called_one(tmp_path):
    pipe = tmp_path / "a.jpg"
    os.mkfifo(pipe)
    for read in (listing.list_images, read_image):
        with pytest.raises(UserError, match="a.jpg` is no file but a pipe or a device. Save"):
            read(pipe)


# -- what the program itself writes ----------------------------------------------------------------


@pytest.fixture
def busy(tmp_path):
    """A folder of two photos, with all below it that was written there."""
    names = ["a.jpg", "sub/b.png", "out/a_stylized_s.jpg", "out/film.gif", "film.gif",
             "sub/a_stylized_s.jpg.progress/00050.jpg", "mine.progress/c.jpg",
             "ckpt/config.json", "ckpt/stylizer.npz", "ckpt/previews/1.jpg",
             "ckpt/before/1/previews/1.jpg", "judged/options.json", "judged/sheet.jpg",
             "judged/pairs/1.json", "judged/pictures/1.png"]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "**"])
def test_what_was_written_is_not_read(busy, pattern):
    (busy / "out/film.gif").unlink()
    written = [busy / "out", busy / "film.gif", busy / "nowhere", busy.parent, busy]
    found = [str(path.relative_to(busy)) for path in listing.list_images(busy / pattern, written)]
    assert found == ["a.jpg", "mine.progress/c.jpg", "sub/b.png"]
    # Unless it is asked for by name.
    assert len(listing.list_images(busy / "ckpt/previews", [busy / "ckpt"])) == 1
    assert len(listing.list_images(busy / "ckpt", [busy / "ckpt"])) == 2
    assert len(listing.list_images(busy / "out/*.jpg", [busy / "out"])) == 1


def test_what_may_have_been_written_is_refused(busy):
    (busy / "link").symlink_to(busy / "out")
    with pytest.raises(UserError, match=r"film.gif` may be a picture to read or .* empty folder"):
        listing.list_images(busy, [busy / "link"])


@pytest.mark.parametrize(
    "path, file, expected",
    [
        ("", "x.jpg", True),
        ("sub", "x.jpg", False),
        ("", "sub/x.jpg", False),
        ("*.jpg", "x.jpg", True),
        ("*.jpg", "x.png", False),
        ("**", "x.jpg", True),
        ("s*/*.jpg", "x.jpg", False),
        ("a.jpg", "a.jpg", True),
        ("a.jpg", "x.jpg", False),
    ],
)
def test_would_list(busy, path, file, expected):
    assert listing.would_list(busy / path, busy / "sub/.." / file) is expected


def test_several_names_are_several_pictures_each_once(tmp_path):
    for name in ("b.png", "a.png", "c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    files = [str(tmp_path / name) for name in ("b.png", "a.png")]
    assert [path.name for path in listing.list_images(files)] == ["b.png", "a.png"]
    found = listing.list_images((files[0], str(tmp_path), str(tmp_path / "*.jpg")))
    assert [path.name for path in found] == ["b.png", "a.png", "c.jpg"]
    assert listing.would_list(files, tmp_path / "a.png") and not listing.would_list(
        files, tmp_path / "c.jpg"
    )
    with pytest.raises(UserError, match="does not exist. .* Separate several names by spaces"):
        listing.list_images(",".join(files))
