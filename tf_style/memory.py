"""How much memory a picture will take, and whether the machine has it."""

import math
from pathlib import Path

from tf_style.errors import UserError

__all__ = ["BYTES_PER_PIXEL", "allowed_memory", "available_memory", "check_memory"]

# Peak of encoder, AdaIN and decoder above the libraries' own: 790 to 1045 bytes a pixel from 256 to
# 2048 px, with either precision, by benchmarks/memory.py.
BYTES_PER_PIXEL = 1100
BASE_BYTES = 200 * 2**20

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


def check_memory(
    height: int,
    width: int,
    what: str,
    option: str = "content_size",
    bytes_per_pixel: int = BYTES_PER_PIXEL,
    fixed_bytes: int = 0,
    max_memory: float = 0.0,
    how: str = "",
) -> str:
    """One sentence on the memory that a picture of this size takes.

        bytes = BASE_BYTES + fixed_bytes + bytes_per_pixel * height * width

    Args:
        height: As the network will see it.
        width: Likewise.
        what: The picture, for the sentence.
        option: Which option makes it smaller: `content_size`, of the longer side, or
            `style_size`, of the shorter.
        bytes_per_pixel: Of the method.
        fixed_bytes: Of the method, for pictures of any size.
        max_memory: As in `allowed_memory`.
        how: The method, for the sentence: " in tiles of 512 px".

    Raises:
        UserError: More than the machine has, or is allowed; names the size that fits.

    Example:
        >>> check_memory(1000, 1000, "photo.jpg")
        'the largest picture, photo.jpg at 1000x1000, will take about 1.3 GB of memory'
    """
    needed = BASE_BYTES + fixed_bytes + bytes_per_pixel * height * width
    available, what = allowed_memory(max_memory), f"{what} at {width}x{height}{how}"
    if needed > available:
        left = max(available - BASE_BYTES - fixed_bytes, 0)
        scale = (left / bytes_per_pixel / (height * width)) ** 0.5
        side = scale * (max if option == "content_size" else min)(height, width)
        # Rounded down: what is free now may be a little less the next time, and the other side is
        # rounded to whole pixels.
        side = int(0.995 * side) // 16 * 16
        way_out = f"--{option.replace('_', '-')} {side} fits" if side else "end other programs"
        raise UserError(
            f"{what} would take about {needed / 1e9:.1f} GB of memory, and "
            f"{_limit(available, max_memory)}: {way_out}."
        )
    return f"the largest picture, {what}, will take about {needed / 1e9:.1f} GB of memory"


def _limit(allowed: int, max_memory: float) -> str:
    if allowed == int(max_memory * 1e9):
        return f"--max-memory is {max_memory:g} GB"
    return f"{allowed / 1e9:.1f} GB are free"
