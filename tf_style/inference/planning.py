"""Which photos of a folder are done in tiles, and what does not fit, from headers alone."""

import contextlib
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tf_style.errors import UserError
from tf_style.images.inputs import MIN_INPUT_SIDE
from tf_style.images.reading import probe
from tf_style.images.resizing import scaled_size
from tf_style.inference.config import StylizeConfig
from tf_style.inference.tile_buffer import check_disk
from tf_style.inference.tiled import TiledTransfer
from tf_style.memory import (
    BASE_BYTES,
    TILES,
    allowed_memory,
    check_memory,
    first_that_fits,
    side_that_fits,
    too_large,
    untiled_bytes,
    window_pixels,
)

__all__ = ["Plans", "TilePlan", "plan_tiles", "plans_of", "size_of"]

# Peak of a tile, for which the features of skip layers are not held: 1.57 GB in float32 with the
# halo around 1024 px, BASE_BYTES included, 1.13 GB in bfloat16.
TILE_BYTES_PER_PIXEL = 1150

# Bytes a pixel of the whole picture: photo and result in 8 bits, and while the result is written
# Pillow's copy, of 4 bytes, and the file. A photo that was resized or cropped is float32.
PIXELS, WRITING, FLOATS = 6, 13, 9


def size_of(config: StylizeConfig, height: int, width: int) -> tuple[int, int]:
    """Return the height and width that a photo is brought to.

    Args:
        config: All options of the run.
        height: Height of the photo.
        width: Width of the photo.

    Example:
        >>> size_of(StylizeConfig(crop=True, content_size=512), 600, 900)
        (512, 512)
    """
    side = min(height, width)
    cropped = (side, side) if config.crop else (height, width)
    return scaled_size(*cropped, longer=config.content_size)


@dataclass(frozen=True)
class TilePlan:
    """How a picture is done in tiles.

    Attributes:
        tile: Side of a tile in pixels, without its halo.
        spilled: Whether what is kept between the passes lies in a scratch file.
        memory: Bytes that it takes above the program's own.
        scratch: Bytes that are kept between the passes, in memory or in the file.
    """

    tile: int
    spilled: bool
    memory: int
    scratch: int


def plan_tiles(
    height: int,
    width: int,
    what: str,
    halo: int,
    scratch: int,
    *,
    tile: int = 0,
    source_pixels: int = 0,
    max_memory: float = 0.0,
) -> TilePlan:
    """Return the largest tiles that fit into memory, with what is kept between passes if that fits.

        bytes = BASE_BYTES + max(PIXELS * height * width
                                 + TILE_BYTES_PER_PIXEL * (tile + 2 * halo)**2,
                                 WRITING * height * width)

    Args:
        height: Pixels, as the network will see them.
        width: Pixels, as the network will see them.
        what: Name of the picture, for the sentence.
        halo: Pixels around a tile that are computed besides.
        scratch: Bytes that are kept between the passes.
        tile: Side of a tile that is asked for; 0: the largest that fits.
        source_pixels: Pixels of the photo before it was resized or cropped; 0 if it was neither.
        max_memory: GB that a picture may take; 0: all that is free.

    Raises:
        UserError: Not even the smallest tiles fit.

    Example:
        >>> plan = plan_tiles(2000, 3000, "photo.jpg", 32, 192_000_000, max_memory=1.0)
        >>> plan.tile, plan.spilled
        (512, False)
    """
    allowed, pixels = allowed_memory(max_memory), height * width
    more = FLOATS if source_pixels else 0
    # Resizing takes the photo as float32 twice.
    apart = max((WRITING + more) * pixels, 3 * FLOATS * source_pixels)

    def bytes_of(choice):
        side, spilled = choice
        at_work = (PIXELS + more) * pixels
        at_work += TILE_BYTES_PER_PIXEL * window_pixels(height, width, side, halo)
        return BASE_BYTES + max(at_work + scratch * (not spilled), apart)

    choices = itertools.product((tile,) if tile else TILES, (False, True))
    side, spilled = choice = first_that_fits(choices, bytes_of, allowed)
    memory = bytes_of(choice)
    if memory <= allowed:
        return TilePlan(side, spilled, memory, scratch)
    # As a whole: a photo that is made smaller is not read in tiles.
    fits = side_that_fits(max(height, width), pixels, allowed)
    smaller = f"{'--tile-size 0 ' * bool(tile)}--content-size {fits} fits" if fits else ""
    raise too_large(
        f"{what} at {width}x{height} in tiles of {side} px", memory, allowed, max_memory, smaller
    )


class Plans(NamedTuple):
    """What becomes of the pictures of a run.

    Attributes:
        tiles: Photo -> how it is done, if it is done in tiles.
        contents: Photo -> why it is left out, if it fits neither way.
        styles: Painting -> why it is left out, if it does not fit.
        notes: Sentences on the memory that the largest pictures take.
    """

    tiles: dict[Path, TilePlan]
    contents: dict[Path, UserError]
    styles: dict[Path, UserError]
    notes: list[str]


def plans_of(
    config: StylizeConfig, tiled: TiledTransfer, contents: list[Path], styles: list[Path]
) -> Plans:
    """Decide from headers alone which photos are done in tiles, and which pictures do not fit.

    Args:
        config: All options of the run.
        tiled: The model.
        contents: The photos that are to be done.
        styles: The paintings, which are never done in tiles.

    Raises:
        UserError: No photo fits, or no painting.
    """
    plans, whole, in_tiles = Plans({}, {}, {}, []), [], []

    def add(path, height, width, option):
        """Note what a picture takes as a whole."""
        note = check_memory(height, width, str(path), option, max_memory=config.max_memory)
        whole.append((height * width, note))

    for path, info in _probed(config, contents):
        height, width = size_of(config, info.height, info.width)
        try:
            if not _needs_tiles(config, height, width):
                add(path, height, width, "content_size")
                continue
            resized = (height, width) != (info.height, info.width)
            plan = plan_tiles(
                height,
                width,
                str(path),
                tiled.halo,
                tiled.scratch_bytes(height, width, config.passes),
                tile=config.tile_size,
                source_pixels=resized * info.height * info.width,
                max_memory=config.max_memory,
            )
            in_tiles.append((height * width, _checked_tiles(path, height, width, plan)))
            plans.tiles[path] = plan
        except UserError as fault:
            plans.contents[path] = fault
    for path, info in _probed(config, styles):
        side = min(info.height, info.width)
        sides = (side, side) if config.crop else (info.height, info.width)
        try:
            size = scaled_size(*sides, shorter=config.style_size, enlarge=True)
            add(path, *size, "style_size")
        except UserError as fault:
            plans.styles[path] = fault
    for paths, faults in ((contents, plans.contents), (styles, plans.styles)):
        if paths and all(path in faults for path in paths):
            raise faults[paths[0]]
    plans.notes.extend(max(found)[1] for found in (whole, in_tiles) if found)
    return plans


def _checked_tiles(path, height, width, plan):
    """A sentence on a photo that is done in tiles, if the disk has room for its scratch file."""
    note = f"{path} at {width}x{height} is done in tiles of {plan.tile} px, with about "
    note += f"{plan.memory / 1e9:.1f} GB of memory"
    if plan.spilled and plan.scratch:
        check_disk(plan.scratch)
        note += f" and {plan.scratch / 1e9:.1f} GB of scratch file in {tempfile.gettempdir()}"
    return note


def _needs_tiles(config, height, width):
    if min(height, width) < MIN_INPUT_SIDE or config.preserve_color == "match":
        return False
    if config.concat or config.all_styles or config.style_grid:
        return False
    if config.tile_size:
        return config.tile_size < max(height, width)
    return untiled_bytes(height, width) > allowed_memory(config.max_memory)


def _probed(config, paths):
    """Each picture with what its header says; what cannot be read is named when its turn comes."""
    for path in dict.fromkeys(paths):
        with contextlib.suppress(UserError):
            yield path, probe(path, config.max_pixels)
