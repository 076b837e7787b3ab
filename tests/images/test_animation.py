"""Animations."""

import numpy as np
import pytest
from PIL import Image

from tf_style.errors import UserError
from tf_style.images.animation import check_film, write_film

FRAMES = [np.full((41, 60, 3), k / 4, "float32") for k in range(5)]


def test_a_gif_has_every_frame_and_the_last_stays(tmp_path):
    path = tmp_path / "new/a.gif"
    write_film(path, [np.zeros((20, 30, 3), "float32"), *FRAMES[1:]])
    with Image.open(path) as film:
        assert (film.n_frames, film.size) == (5, (60, 40))
        times, levels = [], []
        for k in range(5):
            film.seek(k)
            times.append(film.info["duration"])
            levels.append(np.asarray(film.convert("RGB")).mean() / 255)
    np.testing.assert_allclose(levels, [0, 0.25, 0.5, 0.75, 1], atol=0.01)
    assert times[-1] > 10 * times[0] and len(set(times[:-1])) == 1


def test_an_mp4(tmp_path):
    av = pytest.importorskip("av")
    write_film(tmp_path / "a.mp4", FRAMES)
    with av.open(tmp_path / "a.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24").mean() / 255 for frame in film.decode(video=0)]
    np.testing.assert_allclose(frames[:5], [0, 0.25, 0.5, 0.75, 1], atol=0.03)
    assert len(frames) == 25


def test_faults_are_told_before_the_work(tmp_path):
    check_film(tmp_path / "a.gif")
    (tmp_path / "a.gif").write_bytes(b"")
    with pytest.raises(UserError, match="a.gif` exists already"):
        check_film(tmp_path / "a.gif")
    check_film(tmp_path / "a.gif", overwrite=True)
    with pytest.raises(UserError, match="a.gif/b.gif` cannot be written: .*a.gif` is not a folder"):
        check_film(tmp_path / "a.gif/b.gif")
    with pytest.raises(UserError, match=f"{tmp_path}` is a folder"):
        check_film(tmp_path, overwrite=True)


def test_a_film_that_came_meanwhile_is_not_replaced(tmp_path):
    (tmp_path / "a.gif").write_text("mine")
    with pytest.raises(UserError, match="a.gif` exists already"):
        write_film(tmp_path / "a.gif", FRAMES)
    assert (tmp_path / "a.gif").read_text() == "mine"
    write_film(tmp_path / "a.gif", FRAMES, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]
