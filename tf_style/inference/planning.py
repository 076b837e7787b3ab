"""Which photos of a folder are done in tiles, and what does not fit, from headers alone."""

import contextlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from tf_style.errors import UserError
from tf_style.images.inputs import MIN_INPUT_SIDE
from tf_style.images.reading import probe
from tf_style.images.resizing import scaled_size
from tf_style.inference.tile_buffer import check_disk
from tf_style.inference.tiled import TiledTransfer
from tf_style.memory import TilePlan, allowed_memory, check_memory, plan_tiles, untiled_bytes
from tf_style.option_groups import StylizeConfig

__all__ = ["Plans", "plans_of", "size_of"]


def size_of(config: StylizeConfig, height: int, width: int) -> tuple[int, int]:
    """The height and width that a photo is brought to.

    Args:
        config: Of the run.
        height: Of the photo.
        width: Likewise.

    Example:
        >>> size_of(StylizeConfig(crop=True, content_size=512), 600, 900)
        (512, 512)
    """
    side = min(height, width)
    cropped = (side, side) if config.crop else (height, width)
    return scaled_size(*cropped, longer=config.content_size)


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
        config: Of the run.
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
