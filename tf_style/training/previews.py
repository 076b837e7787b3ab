"""Looking at what a training has learnt: always the same pairs, and the losses of held-out ones."""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.images.animation import write_film
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_square
from tf_style.images.sheets import grid
from tf_style.images.writing import write_image
from tf_style.training.config import TrainConfig
from tf_style.training.data import Pictures
from tf_style.training.trainer import Trainer

__all__ = ["Previews", "dispensable", "spread", "write_scalars"]

# Pairs shown in every preview, and pairs over which the held-out losses are averaged.
PREVIEW_PAIRS = 4
VALIDATION_PAIRS = 40


class Previews:
    """What a training shows of itself, in its directory and to TensorBoard.

    Args:
        config: The training's.
        trainer: Whose stylizer is looked at.
        pictures: Those of `content` and `style`, and where there are, of `val_content` and
            `val_style`.
        directory: Gets `previews/`, and `progress/` for an animation.
    """

    def __init__(
        self,
        config: TrainConfig,
        trainer: Trainer,
        pictures: dict[str, Pictures],
        directory: Path,
    ):
        self.config, self.trainer = config, trainer
        self.pictures, self.directory = pictures, directory

    def look(self, writer, step):
        """Write a preview and, of held-out pairs, the losses; yields a sentence on these."""
        with self.trainer.averaged():
            yield from self._look(writer, step)

    def _look(self, writer, step):
        c, pictures = self.config, self.pictures
        contents, styles = (
            [self._middle(path) for path in spread(found.paths, PREVIEW_PAIRS)]
            for found in (
                pictures.get("val_content", pictures["content"]),
                pictures.get("val_style", pictures["style"]),
            )
        )
        styles, stylized = self.trainer.preview(contents, styles)
        picture = grid([contents, styles, list(stylized)])
        write_image(self.directory / "previews" / f"{step:08d}.jpg", picture, overwrite=True)
        if c.progress_gif:
            frames = self.directory / "progress"
            write_image(frames / f"{step:08d}.png", stylized[0], overwrite=True)
            images = [read_image(frame) for frame in sorted(frames.glob("*.png"))]
            write_film(c.progress_gif, images, overwrite=True)
        with dispensable(), writer.as_default():
            tf.summary.image("content, style, stylized", picture[None], step)
        if "val_content" in pictures:
            losses = self._held_out_losses()
            write_scalars(writer, step, {f"val/{k}": v for k, v in losses.items()})
            yield "held out: " + ", ".join(f"{k} {v:.4g}" for k, v in losses.items())

    def _middle(self, path):
        """A picture as training would cut it, but from the middle."""
        c = self.config
        return fit_square(read_image(path), c.crop_size, c.crop_size / c.resize_size)

    def _held_out_losses(self):
        contents = self.pictures["val_content"].paths
        styles = self.pictures.get("val_style", self.pictures["style"]).paths
        count = min(VALIDATION_PAIRS, max(len(contents), len(styles)))
        sums = {}
        pairs = zip(spread(contents, count), spread(styles, count), strict=True)
        for k, (content, style) in enumerate(pairs):
            style = np.array(k % len(styles)) if self.trainer.by_index else self._middle(style)
            losses = self.trainer.evaluate(
                self._middle(content)[None], style[None], np.zeros(1, "float32")
            )
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss[0]) / count
        sums.pop("identity", None)  # Nothing, of pairs that are not identical.
        return sums | {"total": sum(sums.values())}


def spread(paths: tuple, count: int) -> list:
    """`count` of the paths at equal distances, round and round if there are fewer."""
    if len(paths) <= count:
        return [paths[i % len(paths)] for i in range(count)]
    return [paths[i * len(paths) // count] for i in range(count)]


@contextlib.contextmanager
def dispensable() -> Iterator[None]:
    """Do something to TensorBoard's logs that a full disk makes a warning, not the run's end."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"{{.*?}} *(.*; )?| *\[Op:.*", "", error.message.splitlines()[0])
        warnings.warn(
            f"TensorBoard's logs cannot be written: {reason}. The run continues.", stacklevel=3
        )


def write_scalars(writer: tf.summary.SummaryWriter, step: int, values: dict[str, float]) -> None:
    """Give TensorBoard some numbers by name."""
    with dispensable(), writer.as_default():
        for name, value in values.items():
            tf.summary.scalar(name, value, step)
