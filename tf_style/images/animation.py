"""Images in a row as an animation: .gif, or .mp4 with the extra `video`."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tf_style.errors import UserError
from tf_style.images.resizing import resize, scaled_size
from tf_style.images.writing import check_place, to_uint8, write_file

__all__ = ["check_film", "write_film"]

# Frames a second, the longer side, and how long the last stays.
FRAMES_PER_SECOND, FRAME_SIZE, LAST_SECONDS = 10, 512, 2


def check_film(path: str | Path, overwrite: bool = False) -> None:
    """Refuse, before any work, a film that could not be written at its end.

    Args:
        path: It ends in .gif or .mp4.
        overwrite: Whether one that exists may be replaced.

    Raises:
        UserError: It exists, its folder cannot be written, or an .mp4 without PyAV.
    """
    path = Path(path)
    if path.suffix.lower() == ".mp4":
        _av()
    check_place(path, overwrite)


def write_film(path: str | Path, frames: Sequence[np.ndarray], *, overwrite: bool = False) -> None:
    """Write images as a film, whole or not at all; its size is the last frame's.

    Args:
        path: It ends in .gif or .mp4.
        frames: Images `(height, width, 3)`, of any sizes.
        overwrite: Whether one that exists is replaced.

    Raises:
        UserError: An .mp4 without PyAV, or a file that cannot be written.
    """
    height, width = scaled_size(*frames[-1].shape[:2], longer=FRAME_SIZE)
    # Video codecs halve the colour's sides.
    height, width = height // 2 * 2, width // 2 * 2
    pictures = [to_uint8(resize(image, height, width)) for image in frames]
    path, data = Path(path), io.BytesIO()
    if path.suffix.lower() == ".gif":
        times = [1000 // FRAMES_PER_SECOND] * (len(pictures) - 1) + [1000 * LAST_SECONDS]
        first, *rest = map(Image.fromarray, pictures)
        first.save(data, "gif", save_all=True, append_images=rest, duration=times, loop=0)
    else:
        av = _av()
        with av.open(data, "w", format="mp4") as film:
            stream = film.add_stream("libx264", rate=FRAMES_PER_SECOND)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for picture in pictures + pictures[-1:] * (FRAMES_PER_SECOND * LAST_SECONDS):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode())
    write_file(path, data.getvalue(), overwrite=overwrite)


def _av():
    try:
        import av
    except ImportError as error:
        raise UserError(
            "An .mp4 needs PyAV: pip install 'tf_style[video]', or give a .gif."
        ) from error
    return av
