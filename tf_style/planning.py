"""Which photos of a folder are done in tiles, and whether all of it fits, from headers alone."""

import tempfile
from pathlib import Path

from tf_style.config import StylizeConfig
from tf_style.errors import UserError
from tf_style.graph_images import MIN_SIDE
from tf_style.images import probe
from tf_style.layout import scaled_size
from tf_style.memory import TilePlan, allowed_memory, check_memory, plan_tiles, untiled_bytes
from tf_style.scratch import check_disk
from tf_style.tiled import TiledTransfer

__all__ = ["plans_of", "size_of"]


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


def plans_of(
    config: StylizeConfig, tiled: TiledTransfer, contents: list[Path], styles: list[Path]
) -> tuple[dict[Path, TilePlan], list[str]]:
    """Which photos are done in tiles, from headers alone, and what the largest pictures take.

    Args:
        config: Of the run.
        tiled: The model.
        contents: The photos that are to be done.
        styles: The paintings, which are never done in tiles.

    Returns:
        Photo -> how it is done, if it is done in tiles; and sentences on the memory.

    Raises:
        UserError: A picture that fits neither way, or a disk without room for what is kept.
    """
    plans, in_tiles, whole = {}, [], []
    for path in dict.fromkeys(contents):
        if info := _probed(config, path):
            height, width = size_of(config, info.height, info.width)
            size = (height * width, height, width, str(path))
            if _needs_tiles(config, height, width):
                resized = (height, width) != (info.height, info.width)
                plans[path] = plan_tiles(
                    height,
                    width,
                    str(path),
                    tiled.halo,
                    tiled.scratch_bytes(height, width, config.passes),
                    tile=config.tile_size,
                    source_pixels=resized * info.height * info.width,
                    max_memory=config.max_memory,
                )
                in_tiles.append((*size, plans[path]))
            else:
                whole.append((*size, "content_size"))
    for path in styles:
        if info := _probed(config, path):
            side = min(info.height, info.width)
            sides = (side, side) if config.crop else (info.height, info.width)
            height, width = scaled_size(*sides, shorter=config.style_size, enlarge=True)
            whole.append((height * width, height, width, str(path), "style_size"))
    notes = []
    if whole:
        _, *picture = max(whole)
        notes.append(check_memory(*picture, max_memory=config.max_memory))
    if in_tiles:
        _, height, width, path, plan = max(in_tiles, key=lambda picture: picture[0])
        note = f"{path} at {width}x{height} is done in tiles of {plan.tile} px, with about "
        note += f"{plan.memory / 1e9:.1f} GB of memory"
        if plan.spilled and plan.scratch:
            check_disk(plan.scratch)
            note += f" and {plan.scratch / 1e9:.1f} GB of scratch file in {tempfile.gettempdir()}"
        notes.append(note)
    return plans, notes


def _needs_tiles(config, height, width):
    if min(height, width) < MIN_SIDE or config.concat or config.all_styles or config.style_grid:
        return False
    if config.preserve_color == "match":
        return False
    if config.tile_size:
        return config.tile_size < max(height, width)
    return untiled_bytes(height, width) > allowed_memory(config.max_memory)


def _probed(config, path):
    try:
        return probe(path, config.max_pixels)
    except UserError:
        return None  # Named when its turn comes.
