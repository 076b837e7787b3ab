"""A whole picture's pixels or features, in memory or in a scratch file."""

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Callable

import numpy as np

from tf_style.errors import UserError
from tf_style.images.reading import as_floats
from tf_style.images.tiling import Box
from tf_style.nn.layers import resizing_weights

__all__ = ["TileBuffer", "check_disk", "shrunk"]

# Rows that are brought to floats at once.
BAND = 64


def check_disk(size: int) -> None:
    """Refuse scratch files that the disk has no room for.

    Args:
        size: Bytes.

    Raises:
        UserError: It names the folder and the way to another.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"The scratch file would take {size / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} "
            "GB free: TMPDIR=folder names another place, --content-size makes the picture smaller."
        )


class TileBuffer:
    """Pixels or features of a whole picture, written and read by boxes: in memory or in a file.

    The file is plain: pages of a mapped one would count as this process's memory. It has no name,
    so that the system takes it away with the last reference, whatever becomes of the process.

    Args:
        height: Rows.
        width: Columns.
        channels: Channels of every position.
        dtype: NumPy's, or bfloat16.
        spilled: Whether it lies in a file in `tempfile.gettempdir()`.

    Example:
        >>> plane = TileBuffer(100, 60, 3, "uint8", spilled=True)
        >>> plane.write(Box(10, 20, 12, 23), np.full((2, 3, 3), 7, "uint8"))
        >>> plane.read(Box(11, 22, 12, 23)).tolist()
        [[[7, 7, 7]]]
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        dtype: str | np.dtype = "float32",
        spilled: bool = False,
    ):
        self.height, self.width, self.channels = height, width, channels
        self.dtype = np.dtype(dtype)
        self.array = None if spilled else np.empty((height, width, channels), self.dtype)
        if spilled:
            with _scratch():
                self._file = tempfile.TemporaryFile()
            weakref.finalize(self, self._file.close)

    @classmethod
    def of(cls, array: np.ndarray) -> "TileBuffer":
        """Return the buffer of an array `(height, width, channels)`, which is not copied."""
        plane = cls(*array.shape[:2], 0, array.dtype)
        plane.array, plane.channels = array, array.shape[2]
        return plane

    def read(self, box: Box) -> np.ndarray:
        """Return what is there, `(box.height, box.width, channels)`; of an array not copied.

        Raises:
            UserError: The scratch file cannot be read.
        """
        if self.array is not None:
            return self.array[box.slices]
        lines = np.empty((box.height, box.width, self.channels), self.dtype)
        with _scratch():
            for row, line in zip(range(box.top, box.bottom), _bytes(lines), strict=True):
                self._file.seek(self._offset(row, box.left))
                self._file.readinto(line)
        return lines

    def image(self, box: Box, seen: Callable[..., np.ndarray]) -> np.ndarray:
        """Return a window of a picture as a network sees it, `(1, height, width, 3)`, float32.

        What lies beyond its bottom and right is reflected, as `PadToMultiple` does.

        Args:
            box: The window.
            seen: What is done to its pixels, floats in [0, 1], before: a `Grain`, or a function of
                the same arguments.
        """
        inside = self._clipped(box)
        image = seen(as_floats(self.read(inside))[None], top=inside.top, left=inside.left)
        beyond = (0, 0), (0, box.bottom - inside.bottom), (0, box.right - inside.right), (0, 0)
        return np.pad(image, beyond, mode="reflect")

    def piece(self, box: Box, values: np.ndarray) -> tuple[Box, np.ndarray]:
        """Return what of a box, and of the values there, is not beyond the bottom or the right."""
        box = self._clipped(box)
        return box, np.asarray(values)[0, : box.height, : box.width]

    def _clipped(self, box):
        return Box(box.top, box.left, min(box.bottom, self.height), min(box.right, self.width))

    def write(self, box: Box, values: np.ndarray) -> None:
        """Put values `(box.height, box.width, channels)` there.

        Raises:
            UserError: The scratch file cannot be written: the disk is full.
        """
        if self.array is not None:
            self.array[box.slices] = values
            return
        lines = np.ascontiguousarray(values, self.dtype)
        with _scratch():
            for row, line in zip(range(box.top, box.bottom), _bytes(lines), strict=True):
                self._file.seek(self._offset(row, box.left))
                self._file.write(line)
            self._file.flush()

    def _offset(self, row, column):
        return (row * self.width + column) * self.channels * self.dtype.itemsize


def shrunk(picture: TileBuffer, height: int, width: int) -> np.ndarray:
    """Return a small copy, bilinear and antialiased, made from bands of rows, as by
    `SquareResizing`.

    Args:
        picture: Pixels.
        height: Rows of the copy.
        width: Columns of the copy.

    Returns:
        `(height, width, 3)`, float32.

    Example:
        >>> white = TileBuffer.of(np.full((200, 300, 3), 255, "uint8"))
        >>> shrunk(white, 2, 3)[0, 0].round(3).tolist()
        [1.0, 1.0, 1.0]
    """
    down, across = (
        resizing_weights(old, new).numpy()
        for old, new in ((picture.height, height), (picture.width, width))
    )
    rows = np.zeros((height, picture.width, 3), "float32")
    for top in range(0, picture.height, BAND):
        bottom = min(top + BAND, picture.height)
        [seen] = down[:, top:bottom].any(axis=1).nonzero()
        band = as_floats(picture.read(Box(top, 0, bottom, picture.width)))
        rows[seen] += np.tensordot(down[seen, top:bottom], band, 1)
    return np.einsum("jn,inc->ijc", across, rows, optimize=True)


def _bytes(lines):
    """Rows of an array as bytes."""
    return lines.reshape(len(lines), -1).view(np.uint8)


@contextlib.contextmanager
def _scratch():
    """Faults of the system with the scratch file, as the user's."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The scratch file in {tempfile.gettempdir()} failed: {error.strerror or error}. "
            "TMPDIR=folder names another place."
        ) from error
