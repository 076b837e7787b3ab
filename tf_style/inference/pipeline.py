"""Photos through the network: read ahead, stylised in batches or tiles, written meanwhile."""

import collections
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_style.errors import NonFiniteError, UserError
from tf_style.images.color import preserve_luma
from tf_style.images.inputs import input_image
from tf_style.images.outputs import check_sheet
from tf_style.images.reading import as_floats, read_pixels
from tf_style.images.resizing import center_crop, fit_longer
from tf_style.images.sheets import concat, contact_sheet, grid
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig
from tf_style.inference.planning import Plans, size_of
from tf_style.inference.style_transfer import StyleTransfer, check_result
from tf_style.inference.styles import Styles
from tf_style.inference.tiled import TiledTransfer
from tf_style.inference.wanted import GRID, Mixture
from tf_style.mixtures import readable

__all__ = ["Pipeline"]

# Small photos of one size go through the network together, up to so many pixels: eight of 64 px in
# 0.64 of the time of one by one, of 128 px in 0.86; from 256 px on nothing is gained (2 cores).
BATCH_PIXELS = 2**17


class Photo(NamedTuple):
    """A photo that was read, or why it was not, and its results' files by the styles' labels."""

    path: Path
    outs: dict[str, Path]
    image: np.ndarray | None = None
    fault: UserError | None = None


class Result(NamedTuple):
    """What the network made for one file: an image for each mixture of a sheet.

    Without images there is a fault, or the file is written already.
    """

    out: Path
    photo: Photo
    sheet: list[Mixture] = ()
    images: list[np.ndarray] = ()
    at: Path | None = None
    fault: UserError | None = None


class Pipeline:
    """Photos to results, in four steps: read, batch, stylise, write.

    Files are read and written in threads while the network works.

    Args:
        config: All options of the run.
        stylize: The model.
        styles: Its styles.
        tiled: The model for photos that are done in tiles.
        plans: Which photos these are, and which are left out.
        should_stop: Asked before every result; once true, no other is begun.
    """

    def __init__(
        self,
        config: StylizeConfig,
        stylize: StyleTransfer,
        styles: Styles,
        tiled: TiledTransfer,
        plans: Plans,
        should_stop: Callable[[], bool],
    ):
        self.config, self.stylize, self.styles = config, stylize, styles
        self.tiled, self.plans, self.should_stop = tiled, plans, should_stop

    def __call__(
        self, todo: dict[tuple[Path, str], Path]
    ) -> Iterator[tuple[Path, UserError | NonFiniteError | None]]:
        """Make results: the file that was written, or what could not be used and why.

        Args:
            todo: The results' files, by photo and label.
        """
        photos = {}
        for (path, label), out in todo.items():
            photos.setdefault(path, {})[label] = out
        with ThreadPoolExecutor(2) as pool:
            results = self._stylized(ahead(pool, self._read, photos.items()))
            yield from ahead(pool, self._write, results)

    def _read(self, entry):
        path, outs = entry
        if path in self.plans.contents:
            return Photo(path, outs, fault=self.plans.contents[path])
        if path in self.plans.tiles:
            return Photo(path, outs)  # Two that large are not to be there at once.
        try:
            return Photo(path, outs, self._content(path))
        except UserError as fault:
            return Photo(path, outs, fault=fault)

    def _content(self, path, plan=None):
        """A photo as the model sees it; for tiles in 8 bits if it keeps its size."""
        c = self.config
        pixels = read_pixels(path, background=c.background, max_pixels=c.max_pixels)
        size = size_of(c, *pixels.shape[:2])
        check_sheet(c, path, *size, *_shown(c, len(self.styles.sources)))
        if plan and size == pixels.shape[:2]:
            return pixels
        image = as_floats(pixels)
        image = fit_longer(center_crop(image) if c.crop else image, c.content_size)
        return input_image(image, f"`{path}`")

    def _stylized(self, photos):
        """Every result's images."""
        for batch in batches(photos):
            first = batch[0]
            if first.fault:
                for out in first.outs.values():
                    yield Result(out, first, at=first.path, fault=first.fault)
            elif first.path in self.plans.tiles:
                yield from self._in_tiles(first, self.plans.tiles[first.path])
            else:
                yield from self._at_once(batch)
            if self.should_stop():
                return

    def _at_once(self, batch):
        """The results of photos of one size, each of which is encoded once."""
        encoded = self.stylize.encode_content(np.stack([photo.image for photo in batch]))
        for label in batch[0].outs:
            if self.should_stop():
                return
            outs = [photo.outs[label] for photo in batch]
            sheet, at = self.styles.mixtures[label], self.styles.source(label)
            try:
                statistics = [
                    np.stack([self.styles.statistics(mixture, photo.image) for photo in batch])
                    for mixture in sheet
                ]
                at = None
                images = [self._applied(encoded, each) for each in statistics]
            except (UserError, NonFiniteError) as fault:
                for out, photo in zip(outs, batch, strict=True):
                    yield Result(out, photo, at=at or out, fault=fault)
                continue
            for out, photo, *of_photo in zip(outs, batch, *images, strict=True):
                yield Result(out, photo, sheet, of_photo)

    def _applied(self, encoded, statistics):
        """Photos of one size after all passes of the network."""
        images = encoded.images
        for _ in range(self.config.passes):
            if images is not encoded.images:
                encoded = self.stylize.encode_content(images)
            images = self.stylize.decode(encoded, statistics, self.config.alpha)
        return images

    def _in_tiles(self, photo, plan):
        """The results of a photo that is done in tiles, each written before the next is begun."""
        c = self.config
        try:
            content = self._content(photo.path, plan)
        except UserError as fault:
            for out in photo.outs.values():
                yield Result(out, photo, at=photo.path, fault=fault)
            return
        options = {"passes": c.passes, "luma": c.preserve_color == "luma"}
        options |= {"tile": plan.tile, "spilled": plan.spilled}
        *_, last = photo.outs
        for label, out in photo.outs.items():
            if self.should_stop():
                return
            fault, at = None, self.styles.source(label) or out
            try:
                [mixture] = self.styles.mixtures[label]
                style, at = self.styles.statistics(mixture, content), out
                image = self.tiled(content, style, c.alpha, **options)
                if label == last:
                    content = None  # Pillow's copy of the result takes its place.
                write_image(out, image, quality=c.quality, overwrite=c.overwrite)
            except (UserError, NonFiniteError) as error:
                fault = error
            yield Result(out, photo, at=at, fault=fault)

    def _write(self, result):
        if not result.images:
            return result.at, result.fault
        c = self.config
        try:
            image = self._composed(result)
            write_image(result.out, image, quality=c.quality, overwrite=c.overwrite)
        except (UserError, NonFiniteError) as fault:
            return result.out, fault
        return result.out, None

    def _composed(self, result):
        """The picture to write: one image, with its sources beside it, or a sheet of several."""
        c, content, images = self.config, result.photo.image, result.images
        for image in images:
            check_result(image, content)
        if c.preserve_color == "luma":
            images = [preserve_luma(image, content) for image in images]
        if c.all_styles:
            return contact_sheet(images, list(map(readable, self.styles.sources)))
        if len(images) > 1:
            return grid([images[i : i + GRID] for i in range(0, len(images), GRID)])
        if c.concat:
            names = [name for name in result.sheet[0] if self.styles.source(name)]
            return concat([content, *map(self.styles.read, names), images[0]])
        return images[0]


def ahead(pool: ThreadPoolExecutor, function: Callable, items: Iterable) -> Iterator:
    """Yield a function's results in order, each computed in a thread while the last is used."""
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def batches(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Yield photos of one size and the same styles together where that is faster."""
    batch = []
    for photo in photos:
        if batch and not (
            photo.image is not None
            and batch[0].image is not None
            and photo.image.shape == batch[0].image.shape
            and list(photo.outs) == list(batch[0].outs)
            and (len(batch) + 1) * photo.image[..., 0].size <= BATCH_PIXELS
        ):
            yield batch
            batch = []
        batch.append(photo)
    if batch:
        yield batch


def _shown(config, styles):
    """Rows and columns of the pictures that a result shows, but for the paintings of a strip."""
    if config.all_styles:
        columns = math.ceil(styles**0.5)
        return math.ceil(styles / columns), columns
    if config.style_grid:
        return (GRID if len(config.style_grid) == 4 else 1), GRID
    return 1, 2 if config.concat else 1
