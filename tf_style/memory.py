"""How much memory a picture will take, and whether the machine has it."""

import math
from dataclasses import dataclass
from pathlib import Path

from tf_style.errors import UserError

__all__ = [
    "BYTES_PER_PIXEL",
    "TILE_BYTES_PER_PIXEL",
    "TilePlan",
    "allowed_memory",
    "available_memory",
    "check_memory",
    "plan_tiles",
    "untiled_bytes",
]

# Peak of encoder, AdaIN and decoder above the libraries' own, of a whole picture of 256 to 2048 px:
# 990 to 1320 bytes a pixel in float32, 410 to 900 in bfloat16, by benchmarks/memory.py for `adain`.
BYTES_PER_PIXEL = 1300
# Of a tile, for which the features of skip layers are not held: 1.57 GB in float32 with the halo
# around 1024 px, BASE_BYTES included, 1.13 GB in bfloat16.
TILE_BYTES_PER_PIXEL = 1150
BASE_BYTES = 200 * 2**20

# Sides of a tile, from best to last: a halo of 32 px around 1024 costs an eighth more, around 128
# more than twice as much.
TILES = (1024, 512, 256, 128)

# Of a whole picture: photo and result in 8 bits, and while it is written Pillow's copy, of 4 bytes,
# and the file. A photo that was resized or cropped is of float32.
PIXELS, WRITING, FLOATS = 6, 13, 9

# Linux tells a container's limit, what it uses, and how much of that are files it would let go.
CONTROL_GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def available_memory(root: str | Path = "/") -> int:
    """Bytes that this process may still take: of the machine, and of its container's limit.

    Args:
        root: Where `proc` and `sys` are.
    """
    available = []
    try:
        fields = _table(Path(root, "proc/meminfo"))
        available.append(fields["MemAvailable:"] * 1024)
    except (OSError, KeyError, ValueError):
        pass
    for limit, used, stat, reclaimable in CONTROL_GROUPS:
        folder = Path(root, "sys/fs/cgroup")
        try:
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            available.append(free + _table(folder / stat)[reclaimable])
        except (OSError, KeyError, ValueError):  # No such group, or "max": no limit.
            pass
    return max(min(available), 0) if available else 2**63 - 1


def _table(path: Path) -> dict[str, int]:
    """The lines `name number [unit]` of a file of the kernel's."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(number) for name, number, *_ in rows}


def allowed_memory(max_memory: float = 0.0) -> int:
    """Bytes that a picture may take: what the machine has free, and no more than is allowed.

    Args:
        max_memory: GB; 0 for no limit of one's own.

    Example:
        >>> allowed_memory(0.001)
        1000000
    """
    return int(min(available_memory(), max_memory * 1e9 or math.inf))


def untiled_bytes(height: int, width: int, bytes_per_pixel: int = BYTES_PER_PIXEL) -> int:
    """The memory that a picture takes as a whole: BASE_BYTES + bytes_per_pixel * height * width.

    Args:
        height: As the network will see it.
        width: Likewise.
        bytes_per_pixel: Of the method.

    Example:
        >>> untiled_bytes(1000, 1000)
        1509715200
    """
    return BASE_BYTES + bytes_per_pixel * height * width


def check_memory(
    height: int,
    width: int,
    what: str,
    option: str = "content_size",
    bytes_per_pixel: int = BYTES_PER_PIXEL,
    max_memory: float = 0.0,
    fixed_bytes: int = 0,
    how: str = "",
) -> str:
    """One sentence on the memory that a picture of this size takes: `untiled_bytes` and fixed ones.

    Args:
        height: As the network will see it.
        width: Likewise.
        what: The picture, for the sentence.
        option: Which option makes it smaller: `content_size`, of the longer side, or
            `style_size`, of the shorter.
        bytes_per_pixel: Of the method.
        max_memory: As in `allowed_memory`.
        fixed_bytes: Of the method, for pictures of any size.
        how: The method, for the sentence: " in tiles of 512 px".

    Raises:
        UserError: More than the machine has, or is allowed; names the size that fits.

    Example:
        >>> check_memory(1000, 1000, "photo.jpg")
        'the largest picture, photo.jpg at 1000x1000, will take about 1.5 GB of memory'
    """
    needed = untiled_bytes(height, width, bytes_per_pixel) + fixed_bytes
    available = allowed_memory(max_memory)
    what = f"{what} at {width}x{height}{how}"
    if needed > available:
        which = (max if option == "content_size" else min)(height, width)
        side = _side_that_fits(which, height * width, available - fixed_bytes, bytes_per_pixel)
        way_out = (
            f"--{option.replace('_', '-')} {side} fits" if side else _more(available, max_memory)
        )
        raise UserError(
            f"{what} would take about {needed / 1e9:.1f} GB of memory, and "
            f"{_limit(available, max_memory)}: {way_out}."
        )
    return f"the largest picture, {what}, will take about {needed / 1e9:.1f} GB of memory"


@dataclass(frozen=True)
class TilePlan:
    """How a picture is done in tiles.

    Attributes:
        tile: Side of a tile, without its halo.
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
    """The largest tiles that fit into memory, with what is kept between the passes if that fits.

        bytes = BASE_BYTES + max(PIXELS * height * width
                                 + TILE_BYTES_PER_PIXEL * (tile + 2 * halo)**2,
                                 WRITING * height * width)

    Args:
        height: As the network will see it.
        width: Likewise.
        what: The picture, for the sentence.
        halo: Pixels around a tile that are computed besides.
        scratch: Bytes that are kept between the passes.
        tile: Side of a tile that is asked for; 0: the largest that fits.
        source_pixels: Of the photo before it was resized or cropped; 0 if it was neither.
        max_memory: As in `allowed_memory`.

    Raises:
        UserError: Even the smallest do not fit.

    Example:
        >>> plan = plan_tiles(2000, 3000, "photo.jpg", 32, 192_000_000, max_memory=1.0)
        >>> plan.tile, plan.spilled
        (512, False)
    """
    allowed, pixels = allowed_memory(max_memory), height * width
    more = FLOATS if source_pixels else 0
    # Resizing takes the photo as float32 twice.
    apart = max((WRITING + more) * pixels, 3 * FLOATS * source_pixels)
    for side in (tile,) if tile else TILES:
        window = min(side + 2 * halo, height) * min(side + 2 * halo, width)
        at_work = (PIXELS + more) * pixels + TILE_BYTES_PER_PIXEL * window
        for spilled in (False, True):
            memory = BASE_BYTES + max(at_work + scratch * (not spilled), apart)
            if memory <= allowed:
                return TilePlan(side, spilled, memory, scratch)
    # As a whole: a photo that is made smaller is not read in tiles.
    fits = _side_that_fits(max(height, width), pixels, allowed, BYTES_PER_PIXEL)
    way_out = f"{'--tile-size 0 ' * bool(tile)}--content-size {fits} fits"
    way_out = way_out if fits else _more(allowed, max_memory)
    raise UserError(
        f"{what} at {width}x{height} would take about {memory / 1e9:.1f} GB of memory in tiles of "
        f"{side} px, and {_limit(allowed, max_memory)}: {way_out}."
    )


def _side_that_fits(side: int, pixels: int, available: int, bytes_per_pixel: int) -> int:
    """What a side of a picture may have for the whole to fit; 0 if nothing does."""
    scale = (max(available - BASE_BYTES, 0) / bytes_per_pixel / pixels) ** 0.5
    # Rounded down: what is free now may be a little less the next time, and the other side is
    # rounded to whole pixels.
    return int(0.995 * scale * side) // 16 * 16


def _more(allowed: int, max_memory: float) -> str:
    """The way to more memory."""
    return "raise it" if allowed == int(max_memory * 1e9) else "end other programs"


def _limit(allowed: int, max_memory: float) -> str:
    if allowed == int(max_memory * 1e9):
        return f"--max-memory is {max_memory:g} GB"
    return f"{allowed / 1e9:.1f} GB are free"
