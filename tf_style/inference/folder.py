"""A folder of photos in the style of a folder of paintings, by a trained model."""

import collections
import functools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_style import machine
from tf_style.errors import NonFiniteError, UserError
from tf_style.images.color import match_color, preserve_luma
from tf_style.images.inputs import input_image
from tf_style.images.outputs import check_sheet
from tf_style.images.reading import as_floats, read_image, read_pixels
from tf_style.images.resizing import (
    center_crop,
    concat,
    contact_sheet,
    fit_longer,
    fit_shorter,
    grid,
)
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig
from tf_style.inference.planning import plans_of, size_of
from tf_style.inference.style_transfer import check_result, load
from tf_style.inference.tiled import TiledTransfer
from tf_style.inference.wanted import GRID, stylized_of
from tf_style.mixtures import readable
from tf_style.nn import adain

__all__ = ["Done", "stylize_folder"]

# Small photos of one size go through the network together, up to so many pixels: eight of 64 px in
# 0.64 of the time of one by one, of 128 px in 0.86; from 256 px on nothing is gained (2 cores).
BATCH_PIXELS = 2**17


@dataclass(frozen=True)
class Done:
    """One result of `stylize_folder`, or why there is none.

    Attributes:
        path: The file written, or the file that could not be used.
        done: Results so far, failures included.
        total: Results in all.
        seconds: That this one took.
        fault: What went wrong, or None.
        note: One sentence on the whole run; then there is no result.
    """

    path: Path | None
    done: int
    total: int
    seconds: float = 0.0
    fault: UserError | NonFiniteError | None = None
    note: str = ""


def stylize_folder(
    config: StylizeConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Done]:
    """Stylise every photo with every painting, into a folder.

    Names, formats, sizes and memory are checked before any work. A picture that cannot be
    read, or does not fit into memory, is named and left out, the rest is done. A style is encoded
    once, when it is first needed.

    Args:
        config: All of it.
        should_stop: Asked before every result; once true, no other is begun.

    Yields:
        A record for each result and each failure.

    Raises:
        UserError: Something the user can mend, before any work.
    """
    machine.choose_one(config.device)
    sources, wanted, total, todo = stylized_of(config)
    shown = _shown(config, len(sources))
    skipped = total - len(todo)
    if skipped:
        yield Done(None, 0, total, note=f"{skipped} of {total} results exist: skipped")
    if not todo:
        return

    stylize = load(config.checkpoint, config.precision)
    paths = [source for source in sources.values() if isinstance(source, Path)]
    tiled = TiledTransfer(stylize, config.tile_statistics)
    plans = plans_of(config, tiled, [content for content, _ in todo], paths)
    for note in plans.notes:
        yield Done(None, 0, total, note=note)

    def read_style(path):
        if path in plans.styles:
            raise plans.styles[path]
        return _read_style(config, path)

    @functools.cache
    def encoded(name):
        source = sources[name]
        return stylize.encode_style(read_style(source) if paths else source)

    for sheet in wanted.values():
        names = dict.fromkeys(name for mixture in sheet for name in mixture)
        if len(names) == 1:
            continue
        try:
            for name in names:
                encoded(name)
        except UserError as error:
            raise UserError(f"A blend needs all its styles: {error}") from error
        if len(sheet) == 1:
            shares = (f"{w:.0%} {Path(sources[name]).name}" for name, w in sheet[0].items())
            yield Done(None, 0, total, note=f"the style is {', '.join(shares)}")

    def statistics(mixture, content):
        if config.preserve_color == "match":
            styles = (read_style(sources[name]) for name in mixture)
            parts = [stylize.encode_style(match_color(style, content)) for style in styles]
        else:
            parts = [encoded(name) for name in mixture]
        return adain.blend(np.stack(parts), list(mixture.values()))

    def read(entry):
        path, outs = entry
        if path in plans.contents:
            return _Photo(path, outs, fault=plans.contents[path])
        if path in plans.tiles:
            return _Photo(path, outs)  # Two that large are not to be there at once.
        try:
            return _Photo(path, outs, _read_content(config, path, shown))
        except UserError as fault:
            return _Photo(path, outs, fault=fault)

    def stylized(photos):
        """Every result's images. A photo is encoded once, where no style recolours it, and
        those of one size together.
        """
        for batch in _batches(photos):
            first = batch[0]
            if first.fault:
                for out in first.outs.values():
                    yield _Result(out, first, at=first.path, fault=first.fault)
                continue
            if first.path in plans.tiles:
                if should_stop():
                    return
                yield from in_tiles(first, plans.tiles[first.path])
                continue
            encoded = stylize.encode_content(np.stack([photo.image for photo in batch]))
            for label in first.outs:
                if should_stop():
                    return
                outs = [photo.outs[label] for photo in batch]
                at = sources[label] if label in sources and paths else None
                try:
                    sheet = [
                        np.stack([statistics(mixture, photo.image) for photo in batch])
                        for mixture in wanted[label]
                    ]
                    at = None
                    images = [_applied(config, stylize, encoded, one) for one in sheet]
                except (UserError, NonFiniteError) as fault:
                    for out, photo in zip(outs, batch, strict=True):
                        yield _Result(out, photo, at=at or out, fault=fault)
                    continue
                for out, photo, *of_photo in zip(outs, batch, *images, strict=True):
                    yield _Result(out, photo, wanted[label], of_photo)

    def in_tiles(photo, plan):
        """The results of a photo that is done in tiles, each written before the next is begun."""
        try:
            content = _read_content(config, photo.path, shown, plan)
        except UserError as fault:
            for out in photo.outs.values():
                yield _Result(out, photo, at=photo.path, fault=fault)
            return
        options = {"passes": config.passes, "luma": config.preserve_color == "luma"}
        options |= {"tile": plan.tile, "spilled": plan.spilled}
        *_, last = photo.outs
        for label, out in photo.outs.items():
            if should_stop():
                return
            fault, at = None, sources[label] if label in sources and paths else out
            try:
                [style], at = [statistics(mixture, content) for mixture in wanted[label]], out
                image = tiled(content, style, config.alpha, **options)
                if label == last:
                    content = None  # Pillow's copy of the result takes its place.
                write_image(out, image, quality=config.quality, overwrite=config.overwrite)
            except (UserError, NonFiniteError) as error:
                fault = error
            yield _Result(out, photo, at=at, fault=fault)

    def write(result):
        if not result.images:
            return result.at, result.fault
        try:
            image = _composed(config, result, sources, paths)
            write_image(result.out, image, quality=config.quality, overwrite=config.overwrite)
        except (UserError, NonFiniteError) as fault:
            return result.out, fault
        return result.out, None

    photos = {}
    for (path, label), out in todo.items():
        photos.setdefault(path, {})[label] = out
    began = time.monotonic()
    # Files are read and written while the network works.
    with ThreadPoolExecutor(2) as pool:
        results = stylized(_ahead(pool, read, photos.items()))
        for done, (path, fault) in enumerate(_ahead(pool, write, results), skipped + 1):
            now = time.monotonic()
            yield Done(path, done, total, now - began, fault)
            began = now


class _Photo(NamedTuple):
    """A photo that was read, or why it was not, and its results' files by the styles' labels."""

    path: Path
    outs: dict[str, Path]
    image: np.ndarray | None = None
    fault: UserError | None = None


class _Result(NamedTuple):
    """What the network made for one file: an image for each mixture of a sheet.

    Without images there is a fault, or the file is written already.
    """

    out: Path
    photo: _Photo
    sheet: list[dict[str, float]] = ()
    images: list[np.ndarray] = ()
    at: Path | None = None
    fault: UserError | None = None


def _ahead(pool, function, items):
    """Results of a function in their order, each computed in a thread while the last is used."""
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


def _batches(photos):
    """Photos of one size that are wanted in the same styles, together where that is faster."""
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


def _applied(config, stylize, encoded, statistics):
    """Photos of one size after all passes of the network."""
    alpha, images = config.alpha, encoded.images
    for _ in range(config.passes):
        encoded = encoded if images is encoded.images else stylize.encode_content(images)
        images = stylize.decode(encoded, statistics, alpha)
    return images


def _composed(config, result, sources, paths):
    """The picture to write: one image, with its sources beside it, or a sheet of several."""
    content = result.photo.image
    for image in result.images:
        check_result(image, content)
    images = result.images
    if config.preserve_color == "luma":
        images = [preserve_luma(image, content) for image in images]
    if config.all_styles:
        return contact_sheet(images, list(map(readable, sources)))
    if len(images) > 1:
        return grid([images[i : i + GRID] for i in range(0, len(images), GRID)])
    if config.concat:
        styles = [_read_style(config, sources[name]) for name in result.sheet[0] if paths]
        return concat([content, *styles, images[0]])
    return images[0]


def _shown(config, styles):
    """Rows and columns of the pictures that a result shows, but for the paintings of a strip."""
    if config.all_styles:
        columns = math.ceil(styles**0.5)
        return math.ceil(styles / columns), columns
    if config.style_grid:
        return (GRID if len(config.style_grid) == 4 else 1), GRID
    return 1, 2 if config.concat else 1


def _read_content(config, path, shown, plan=None):
    pixels = read_pixels(path, background=config.background, max_pixels=config.max_pixels)
    check_sheet(config, path, *size_of(config, *pixels.shape[:2]), *shown)
    if plan and size_of(config, *pixels.shape[:2]) == pixels.shape[:2]:
        return pixels
    image = as_floats(pixels)
    image = fit_longer(center_crop(image) if config.crop else image, config.content_size)
    return input_image(image, f"`{path}`")


def _read_style(config, path):
    image = read_image(path, background=config.background, max_pixels=config.max_pixels)
    image = center_crop(image) if config.crop else image
    return input_image(fit_shorter(image, config.style_size, enlarge=True), f"`{path}`")
