"""Planes in memory and in a file."""

import gc
import os
import shutil
import tempfile

import numpy as np
import pytest
from conftest import picture, scratch_files

from tf_style.errors import UserError
from tf_style.images.tiling import Box, tile_grid
from tf_style.inference import tile_buffer
from tf_style.inference.tile_buffer import TileBuffer, check_disk, shrunk
from tf_style.nn.grain import Grain
from tf_style.nn.layers import PadToMultiple, SquareResizing


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_what_is_written_is_read(dtype, spilled):
    values = np.random.default_rng(0).integers(0, 200, (37, 53, 5)).astype(dtype)
    plane = TileBuffer(37, 53, 5, dtype, spilled)
    for part in tile_grid(37, 53, 16):
        plane.write(part.core, values[part.core.slices])
    for part in tile_grid(37, 53, 10, 3):
        assert (plane.read(part.window) == values[part.window.slices]).all()
    plane.write(Box(3, 4, 5, 7), np.ones((2, 3, 5)))
    values[3:5, 4:7] = 1
    whole = plane.read(Box(0, 0, 37, 53))
    assert whole.dtype == values.dtype and (whole == values).all()


def test_the_file_has_no_name_and_goes_with_the_plane(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plane = TileBuffer(100, 100, 8, "float32", spilled=True)
    plane.write(Box(0, 0, 100, 100), np.ones((100, 100, 8)))
    assert os.listdir(tmp_path) == [] and len(scratch_files(tmp_path)) == 1
    del plane
    gc.collect()
    assert scratch_files(tmp_path) == []


def test_a_plane_in_memory_opens_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    plane = TileBuffer(10, 10, 3)
    plane.write(Box(0, 0, 10, 10), np.zeros((10, 10, 3)))


def test_a_plane_of_an_array_does_not_copy_it():
    array = np.zeros((20, 30, 3), "uint8")
    plane = TileBuffer.of(array)
    assert (plane.height, plane.width, plane.channels) == (20, 30, 3)
    plane.write(Box(1, 2, 3, 4), np.full((2, 2, 3), 9))
    assert array[1:3, 2:4].min() == 9 and np.shares_memory(plane.read(Box(0, 0, 5, 5)), array)


def test_a_window_beyond_the_picture_is_reflected():
    image = picture(29, 43)
    padded = np.asarray(PadToMultiple(8)(image[None]))
    grained = np.asarray(PadToMultiple(8)(Grain(0.1)(image[None])))
    plane = TileBuffer.of(image)
    for part in tile_grid(32, 48, 16, 8, 8):
        for grain, expected in ((Grain(), padded), (Grain(0.1), grained)):
            found = plane.image(part.window, grain)
            np.testing.assert_array_equal(found, part.window.of(expected))
    whole = [plane.piece(part.core, part.core.of(padded)) for part in tile_grid(32, 48, 16, 8, 8)]
    result = np.zeros_like(image)
    for box, values in whole:
        result[box.slices] = values
    assert (result == image).all()


def test_eight_bits_are_read_as_an_image():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    read = TileBuffer.of(pixels).image(Box(4, 4, 12, 20), Grain())
    assert read.dtype == np.float32 and read.shape == (1, 8, 16, 3)
    assert (read[0] == pixels[4:12, 4:20] / np.float32(255)).all()


@pytest.mark.parametrize("size", [(300, 170), (64, 65), (20, 30)])
def test_shrunk_is_the_layer_that_resizes(size):
    image = picture(*size)
    expected = np.asarray(SquareResizing(48)(image[None]))[0]
    np.testing.assert_allclose(shrunk(TileBuffer.of(image), 48, 48), expected, atol=1e-5)


def test_a_full_disk_is_a_fault_of_the_users():
    plane = TileBuffer(64, 64, 8, "float32", spilled=True)
    plane._file.close()
    plane._file = open("/dev/full", "r+b")
    with pytest.raises(UserError, match="The scratch file in .* failed: No space left on device"):
        plane.write(Box(0, 0, 64, 64), np.ones((64, 64, 8)))
    with pytest.raises(OSError, match="No space left"):
        plane._file.close()


def test_no_folder_for_scratch_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"in .*none failed: No such file or directory\. TMPDIR="):
        TileBuffer(8, 8, 3, "uint8", spilled=True)


def test_room_on_the_disk():
    check_disk(0)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    with pytest.raises(UserError, match="would take .* GB, and .* GB free: TMPDIR=folder names"):
        check_disk(2 * free)
    assert tile_buffer.BAND < 170  # The test of `shrunk` has several bands.
