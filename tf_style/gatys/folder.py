"""A folder of pictures by Gatys' method."""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path

from tf_style import machine
from tf_style.errors import NonFiniteError, UserError, counted
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import Iterate, gatys
from tf_style.gatys.pyramid import MIN_PYRAMID_SIDE, PICTURE_BYTES, bytes_of, plan, tile_for
from tf_style.gatys.result import Result
from tf_style.gatys.wanted import wanted_of
from tf_style.images.color import match_color
from tf_style.images.outputs import check_sheet
from tf_style.images.reading import probe, read_image
from tf_style.images.resizing import fit_longer, resize, resize_mask, scaled_size
from tf_style.locking import locked
from tf_style.memory import BYTES_PER_PIXEL, allowed_memory, check_memory
from tf_style.mixtures import weighted
from tf_style.nn.vgg import layers_up_to

__all__ = ["GatysProgress", "paint_folder"]


@dataclasses.dataclass(frozen=True)
class GatysProgress:
    """How far the work is: an iterate of one picture, a result, a fault or a note.

    Args:
        path: The result's file, or what a fault is about.
        number: Number of the picture, from 1.
        total: Pictures in all.
        iterate: Where the picture stands; None for notes and faults.
        finished: Whether its file is written and final.
        fault: What went wrong.
        note: A sentence for the user.
    """

    path: Path | None
    number: int
    total: int
    iterate: Iterate | None = None
    finished: bool = False
    fault: Exception | None = None
    note: str = ""


def paint_folder(config: GatysConfig, should_stop=lambda: False) -> Iterator[GatysProgress]:
    """Optimise every photo for every painting's style, into a folder.

    Names, formats, sizes and memory are checked before any work. A picture that cannot be read is
    named and left out, and so is a result that another process works on; the rest is done. Every
    `save_every` evaluations, and when it is asked to stop, the picture so far and the state to go
    on from are written.

    Args:
        config: All of it.
        should_stop: Asked after every iteration.

    Yields:
        A record for each iterate, result, fault and note.

    Raises:
        UserError: Something the user can mend, before any work.
    """
    machine.choose_one(config.device)
    used, total, todo = wanted_of(config)
    layers_up_to(config.encoder, [*weighted(config.content_layers), *weighted(config.style_layers)])
    if skipped := total - len(todo):
        yield GatysProgress(
            None, 0, total, note=f"{skipped} of {counted(total, 'result')} skipped: already there"
        )
    unfit, estimate = _check_sizes(config, dict.fromkeys(content for content, _ in todo))
    if estimate:
        yield GatysProgress(None, 0, total, note=estimate)

    for number, ((content_path, label), out) in enumerate(todo.items(), skipped + 1):
        at = content_path
        try:
            if at in unfit:
                raise unfit[at]
            content = fit_longer(_read(config, content_path), config.content_size)
            columns = 2 if config.concat else 1  # And the paintings.
            check_sheet(config, content_path, *content.shape[:2], columns=columns)
            pictures = []
            for at in used[label]:
                pictures.append(_read_style(config, at, content))
            at = out
            with locked(out):
                for iterate in _optimised(config, content, pictures, out, should_stop):
                    yield GatysProgress(out, number, total, iterate, note=iterate.note)
            if not iterate.last:
                return
        except (UserError, NonFiniteError) as error:
            yield GatysProgress(at, number, total, fault=error)
        else:
            yield GatysProgress(out, number, total, iterate, finished=True)


def _optimised(config, content, styles, out, should_stop):
    """One picture from its first iterate, or its stored state, to its result."""
    content_masks = [_mask(config, path, content) for path in config.content_mask]
    style_masks = [_mask(config, path, styles[0]) for path in config.style_mask]
    matched = styles
    if config.preserve_color == "match":
        matched = [match_color(style, content) for style in styles]
    result = Result(config, out, content, styles, [*content_masks, *style_masks])
    claimed, kept = None, 0
    try:
        for iterate in gatys(
            content, matched, config, shares=list(config.style_weights),
            content_masks=content_masks, style_masks=style_masks, state=result.state,
        ):  # fmt: skip
            period = iterate.evaluations // config.save_every if config.save_every else 0
            if claimed is None:
                claimed, kept = result.claim(iterate), period
            if iterate.last:
                result.finish(iterate)
                claimed = False  # Whatever comes, it is the result.
            elif period != kept:
                result.keep(iterate)
            kept = period
            yield iterate
            if should_stop() and not iterate.last:
                result.keep(iterate)
                result.write(iterate)
                return
    except (UserError, NonFiniteError):
        if claimed:
            out.unlink(missing_ok=True)  # It is no result.
        raise


def _read(config, path):
    return read_image(path, background=config.background, max_pixels=config.max_pixels)


def _read_style(config, path, content):
    image = _read(config, path)
    if not config.style_size:
        longer = max(MIN_PYRAMID_SIDE, round(max(content.shape[:2]) * config.style_scale))
        return fit_longer(image, longer, enlarge=True)
    height, width = scaled_size(*image.shape[:2], shorter=config.style_size, enlarge=True)
    # A thin one is enlarged to what no machine has.
    in_tiles = tile_for(config, *content.shape[:2], allowed_memory(config.max_memory))
    each = PICTURE_BYTES if in_tiles else BYTES_PER_PIXEL
    check_memory(height, width, str(path), "style_size", each, config.max_memory)
    return resize(image, height, width)


def _mask(config, path, image):
    """A mask at its picture's size: grey times opacity."""
    mask = read_image(path, background="black", max_pixels=config.max_pixels).mean(axis=-1)
    (height, width), (h, w) = image.shape[:2], mask.shape
    if abs(h * width - w * height) > 0.02 * max(h * width, w * height):
        warnings.warn(
            f"The mask `{path}` of {w}x{h} is stretched to its picture's shape, {width}x{height}.",
            stacklevel=2,
        )
    mask = resize_mask(mask, height, width)
    if not mask.max() > 0.5:
        raise UserError(f"The mask `{path}` has no white: its region is empty.")
    return mask


def _check_sizes(config, contents):
    """From headers alone: why photos are left out that are too small or do not fit, and a sentence
    on the largest of the others. Refuse to begin if there are no others.
    """
    unfit, costs = {}, {}
    for path in contents:
        try:
            info = probe(path, config.max_pixels)
        except UserError:
            continue  # Named when its turn comes.
        height, width = scaled_size(info.height, info.width, longer=config.content_size)
        try:
            costs[height * width] = _memory_of(config, height, width, str(path))
        except UserError as fault:
            unfit[path] = fault
    if unfit and len(unfit) == len(contents):
        raise next(iter(unfit.values()))
    return unfit, costs[max(costs)] if costs else ""


def _memory_of(config, height, width, path):
    """A sentence on the memory that a photo takes; a UserError if it does not fit."""
    limit = allowed_memory(config.max_memory)
    tiles = {(h, w): tile_for(config, h, w, limit)
             for h, w, _ in plan(height, width, config.scales, config.max_evaluations)}  # fmt: skip
    costs = {size: bytes_of(config, *size, tile) for size, tile in tiles.items()}
    # A coarse scale without tiles may take more than the finest with them.
    most = max(each * h * w + fixed for (h, w), (each, fixed) in costs.items())
    each, _ = costs[height, width]
    return check_memory(
        height, width, path, bytes_per_pixel=each, fixed_bytes=most - each * height * width,
        max_memory=config.max_memory,
        how=f" in tiles of {tile} px" if (tile := tiles[height, width]) else "",
    )  # fmt: skip
