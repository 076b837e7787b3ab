"""How much memory is free, how much a picture takes, and which tiles fit."""

import contextlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil

from tf_style.errors import UserError

__all__ = [
    "BASE_BYTES",
    "BYTES_PER_PIXEL",
    "TILES",
    "allowed_memory",
    "available_memory",
    "check_memory",
    "first_that_fits",
    "side_that_fits",
    "too_large",
    "untiled_bytes",
    "window_pixels",
]

# Peak of encoder, AdaIN and decoder above the libraries' own, of a whole picture of 256 to 2048 px:
# 990 to 1320 bytes a pixel in float32, 410 to 900 in bfloat16, by benchmarks/memory.py for `adain`.
BYTES_PER_PIXEL = 1300
BASE_BYTES = 200 * 2**20

# Sides of a tile, from best to last: the larger, the less is computed twice. For AdaIN a halo of
# 32 px around 1024 costs an eighth more, around 128 more than twice as much. For Gatys' method with
# VGG19 to relu5_1 an evaluation costs at most 2.5 of one without tiles with tiles of 512 px, 4 with
# 256, 8 with 128.
TILES = (1024, 768, 512, 384, 256, 128)

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

Choice = TypeVar("Choice")


def available_memory(control_groups: str | Path = "/sys/fs/cgroup") -> int:
    """Return the bytes that this process may still take, within its container's limit.

    Args:
        control_groups: Folder in which Linux tells the container's limit.
    """
    available = []
    with contextlib.suppress(OSError):  # The system does not tell.
        available.append(psutil.virtual_memory().available)
    for limit, used, stat, reclaimable in CONTROL_GROUPS:
        folder = Path(control_groups)
        try:
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            available.append(free + _table(folder / stat)[reclaimable])
        except (OSError, KeyError, ValueError):  # No such group, or "max": no limit.
            pass
    return max(min(available), 0) if available else 2**63 - 1


def _table(path: Path) -> dict[str, int]:
    """The lines `name number` of a file of the kernel's."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(number) for name, number, *_ in rows}


def allowed_memory(max_memory: float = 0.0) -> int:
    """Return the bytes that a picture may take: what is free, and at most `max_memory`.

    Args:
        max_memory: GB; 0: all that is free.

    Example:
        >>> allowed_memory(0.001)
        1000000
    """
    return int(min(available_memory(), max_memory * 1e9 or math.inf))


def untiled_bytes(height: int, width: int, bytes_per_pixel: int = BYTES_PER_PIXEL) -> int:
    """Return the memory of a whole picture: BASE_BYTES + bytes_per_pixel * height * width.

    Args:
        height: Pixels, as the network will see them.
        width: Pixels, as the network will see them.
        bytes_per_pixel: Peak of the method.

    Example:
        >>> untiled_bytes(1000, 1000)
        1509715200
    """
    return BASE_BYTES + bytes_per_pixel * height * width


def window_pixels(height: int, width: int, tile: int, halo: int) -> int:
    """Return the pixels of a tile with its halo, which end where the picture ends.

    Args:
        height: Pixels of the picture.
        width: Pixels of the picture.
        tile: Side of the tile in pixels.
        halo: Pixels around the tile.

    Example:
        >>> window_pixels(500, 2000, tile=512, halo=32)
        288000
    """
    return min(tile + 2 * halo, height) * min(tile + 2 * halo, width)


def first_that_fits(
    choices: Iterable[Choice], bytes_of: Callable[[Choice], float], allowed: float
) -> Choice:
    """Return the first choice that fits into memory; the last one if none does.

    Args:
        choices: Sides of tiles, or what else decides on the memory, from best to least.
        bytes_of: The memory of a choice in bytes.
        allowed: Bytes.

    Example:
        >>> first_that_fits(TILES, lambda tile: 1000 * tile**2, allowed=2e8)
        384
    """
    for choice in choices:
        if bytes_of(choice) <= allowed:
            break
    return choice


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
    """Return a sentence on the memory that a picture takes: `untiled_bytes` and `fixed_bytes`.

    Args:
        height: Pixels, as the network will see them.
        width: Pixels, as the network will see them.
        what: Name of the picture.
        option: The option that makes it smaller: `content_size`, the longer side, or `style_size`,
            the shorter.
        bytes_per_pixel: Peak of the method.
        max_memory: GB that a picture may take; 0: all that is free.
        fixed_bytes: Bytes that do not depend on the size.
        how: The method, for the sentence: " in tiles of 512 px".

    Raises:
        UserError: The picture does not fit. The message names the size that fits.

    Example:
        >>> check_memory(1000, 1000, "photo.jpg")
        'the largest picture, photo.jpg at 1000x1000, will take about 1.5 GB of memory'
    """
    needed = untiled_bytes(height, width, bytes_per_pixel) + fixed_bytes
    allowed = allowed_memory(max_memory)
    what = f"{what} at {width}x{height}{how}"
    if needed > allowed:
        which = (max if option == "content_size" else min)(height, width)
        side = side_that_fits(which, height * width, allowed - fixed_bytes, bytes_per_pixel)
        smaller = f"--{option.replace('_', '-')} {side} fits" if side else ""
        raise too_large(what, needed, allowed, max_memory, smaller)
    return f"the largest picture, {what}, will take about {needed / 1e9:.1f} GB of memory"


def side_that_fits(
    side: int, pixels: int, allowed: int, bytes_per_pixel: int = BYTES_PER_PIXEL
) -> int:
    """Return the length of a side at which the whole picture fits; 0 if there is none.

    Args:
        side: Present length of the side in pixels.
        pixels: Present number of pixels.
        allowed: Bytes that the picture may take.
        bytes_per_pixel: Peak of the method.

    Example:
        >>> side_that_fits(4000, 4000 * 3000, allowed=2 * 10**9)
        1344
    """
    scale = (max(allowed - BASE_BYTES, 0) / bytes_per_pixel / pixels) ** 0.5
    # Rounded down: what is free now may be a little less the next time, and the other side is
    # rounded to whole pixels.
    return int(0.995 * scale * side) // 16 * 16


def too_large(
    what: str, needed: float, allowed: int, max_memory: float, smaller: str = ""
) -> UserError:
    """Return the error for what does not fit into memory.

    Args:
        what: Name of the picture, with its size.
        needed: Bytes that it would take.
        allowed: Bytes that it may take, from `allowed_memory`.
        max_memory: GB that a picture may take; 0: all that is free.
        smaller: The way to a smaller one, if there is any.

    Example:
        >>> raise too_large("a.jpg at 9000x9000", 10**11, 10**9, 1.0, "--content-size 768 fits")
        Traceback (most recent call last):
        tf_style.errors.UserError: a.jpg at 9000x9000 would take about 100.0 GB of memory, and
        --max-memory is 1 GB: --content-size 768 fits.
    """
    limited = allowed == int(max_memory * 1e9)
    limit = f"--max-memory is {max_memory:g} GB" if limited else f"{allowed / 1e9:.1f} GB are free"
    way_out = smaller or ("raise it" if limited else "end other programs")
    return UserError(
        f"{what} would take about {needed / 1e9:.1f} GB of memory, and {limit}: {way_out}."
    )
