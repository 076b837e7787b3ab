import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from tf_style.errors import NonFiniteError, UserError
from tf_style.images import reading, writing

RNG = np.random.default_rng(7)
# Smooth, so that JPEG keeps it, and without any symmetry, so that no turn passes unnoticed.
Y, X = np.mgrid[0:24, 0:40]
PICTURE = np.stack([40 + 5 * X, 20 + 8 * Y, 30 + 2 * X + 3 * Y], -1).clip(0, 255).astype(np.uint8)
FLOAT = PICTURE.astype(np.float32) / 255


def test_to_uint8():
    values = np.float32([-1, 0, 0.4999 / 255, 0.5001 / 255, 1, 7])
    assert writing.to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255]
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(writing.to_uint8(levels.astype(np.float32) / 255), levels)


@pytest.mark.parametrize(
    "name, tolerance",
    [("a.png", 0), ("a.PNG", 0), ("new/er/a.jpg", 6), ("a.jpeg", 6), ("a.JPG", 6), ("a.webp", 16)],
)
def test_round_trip(tmp_path, name, tolerance):
    writing.write_image(tmp_path / name, FLOAT)
    image = reading.read_image(tmp_path / name)
    assert np.abs(image - FLOAT).max() <= tolerance / 255 + 1e-6
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [name.split("/")[-1]]
    assert reading.probe(tmp_path / name).format == {"jpg": "JPEG", "jpeg": "JPEG"}.get(
        name.split(".")[1].lower(), name.split(".")[1].upper()
    )


def test_jpeg_keeps_full_color_and_obeys_quality(tmp_path):
    noise = RNG.random((200, 300, 3)).astype(np.float32)
    sizes = []
    for quality in (50, 95, 100):
        writing.write_image(tmp_path / f"{quality}.jpg", noise, quality=quality)
        sizes.append((tmp_path / f"{quality}.jpg").stat().st_size)
        with Image.open(tmp_path / f"{quality}.jpg") as image:
            assert all(layer[1:3] == (1, 1) for layer in image.layer)
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2


def test_file_permissions_are_the_ordinary_ones(tmp_path):
    (tmp_path / "plain").touch()
    writing.write_image(tmp_path / "a.png", FLOAT)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_overwrite(tmp_path):
    path = tmp_path / "a.png"
    writing.write_image(path, FLOAT)
    for call in (writing.check_output, lambda path: writing.write_image(path, 1 - FLOAT)):
        with pytest.raises(UserError, match=r"a\.png` exists already.* set `overwrite`"):
            call(path)
    assert np.abs(reading.read_image(path) - FLOAT).max() < 1e-6
    writing.check_output(path, overwrite=True)
    writing.write_image(path, 1 - FLOAT, overwrite=True)
    assert np.abs(reading.read_image(path) - (1 - FLOAT)).max() < 1e-6
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_writers_one_wins(tmp_path):
    path, barrier, outcomes = tmp_path / "a.png", threading.Barrier(8), []

    def write(value):
        image = np.full((64, 64, 3), value / 255, np.float32)
        barrier.wait()
        try:
            writing.write_image(path, image)
            outcomes.append(value)
        except UserError as error:
            assert "exists already" in str(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert np.all(writing.to_uint8(reading.read_image(path)) == outcomes[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_file_system_without_hard_links(tmp_path, monkeypatch, error):
    def link(*_):
        raise error(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    writing.write_image(tmp_path / "a.png", FLOAT)
    assert np.abs(reading.read_image(tmp_path / "a.png") - FLOAT).max() < 1e-6
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("links", [True, False])
def test_file_that_appears_meanwhile_stays(tmp_path, monkeypatch, links):
    path, fsync, link = tmp_path / "a.png", os.fsync, os.link

    def rival(descriptor):
        path.write_bytes(b"theirs")
        fsync(descriptor)

    def no_link(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", rival)
    monkeypatch.setattr(os, "link", link if links else no_link)
    with pytest.raises(UserError, match="exists already"):
        writing.write_image(path, FLOAT)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_no_trace(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.png"
    writing.write_image(path, FLOAT)
    monkeypatch.setattr(os, "fsync", full)
    for overwrite, name in [(True, "a.png"), (False, "b.png")]:
        with pytest.raises(UserError, match=rf"{name}` cannot be written: No space left on device"):
            writing.write_image(tmp_path / name, 1 - FLOAT, overwrite=overwrite)
    assert np.abs(reading.read_image(path) - FLOAT).max() < 1e-6
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_picture_is_not_written(tmp_path, value):
    image = FLOAT.copy()
    image[3, 4, 1] = value
    with pytest.raises(NonFiniteError, match="1 of the picture's 2880 values are NaN or infinite"):
        writing.write_image(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.gif", "a", "a.tif", ".png", "a.png.bak"])
@pytest.mark.parametrize("use", [writing.check_output, lambda p: writing.write_image(p, FLOAT)])
def test_unknown_suffix(tmp_path, name, use):
    with pytest.raises(UserError, match=r"must end in \.jpg, \.png, \.webp or \.jpeg"):
        use(tmp_path / name)


@pytest.mark.parametrize("use", [writing.check_output, lambda p: writing.write_image(p, FLOAT)])
def test_folder_that_cannot_be(tmp_path, use):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.png` cannot be written: .*file` is not a folder"):
        use(tmp_path / "file" / "sub" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UserError, match=r"b\.png` is a folder"):
        use(tmp_path / "b.png")
    (tmp_path / "locked").mkdir(mode=0o500)
    if not os.access(tmp_path / "locked", os.W_OK):  # root may write everywhere
        with pytest.raises(UserError, match="locked` is not writable"):
            use(tmp_path / "locked" / "a.png")


def test_check_output_makes_nothing(tmp_path):
    writing.check_output(tmp_path / "new" / "er" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_system_refuses_the_name(tmp_path):
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        writing.write_image(tmp_path / ("a" * 300 + ".png"), FLOAT)
    assert list(tmp_path.iterdir()) == []
    writing.write_image(tmp_path / ("a" * 251 + ".png"), FLOAT)


def test_encode_image():
    for format, magic in [("jpg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")]:
        data = writing.encode_image(FLOAT, format)
        assert data.startswith(magic)
        assert reading.read_image(io.BytesIO(data)).shape == FLOAT.shape
    with pytest.raises(UserError, match="`format` must be one of jpg, png, webp. Received: 'gif'"):
        writing.encode_image(FLOAT, "gif")
    for quality in (0, 101):
        with pytest.raises(UserError, match=f"`quality` must be .* Received: quality={quality}"):
            writing.encode_image(FLOAT, "jpg", quality=quality)
    for format, side in [("jpg", 65_501), ("webp", 16_384)]:
        with pytest.raises(UserError, match=rf"{side}x1 cannot be a {format}.* {side - 1} px.*png"):
            writing.encode_image(np.zeros((1, side, 3), np.float32), format)
        writing.encode_image(np.zeros((1, side - 1, 3), np.float32), format)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4)])
def test_pixels_that_are_no_image(shape):
    with pytest.raises(ValueError, match="must be a float array in"):
        writing.encode_image(np.zeros(shape, np.uint8))
