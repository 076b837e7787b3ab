"""How much memory a picture will take, and whether the machine has it."""

from pathlib import Path

from tf_style.errors import UserError

__all__ = ["BYTES_PER_PIXEL", "available_memory", "check_memory"]

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


def check_memory(
    height: int,
    width: int,
    what: str,
    option: str = "content_size",
    bytes_per_pixel: int = BYTES_PER_PIXEL,
) -> str:
    """One sentence on the memory that a picture of this size takes.

        bytes = BASE_BYTES + bytes_per_pixel * height * width

    Args:
        height: As the network will see it.
        width: Likewise.
        what: The picture, for the sentence.
        option: Which option makes it smaller: `content_size`, of the longer side, or
            `style_size`, of the shorter.
        bytes_per_pixel: Of the method.

    Raises:
        UserError: More than the machine has; names the size that fits.

    Example:
        >>> check_memory(1000, 1000, "photo.jpg")
        'the largest picture, photo.jpg at 1000x1000, will take about 1.3 GB of memory'
    """
    needed, available = BASE_BYTES + bytes_per_pixel * height * width, available_memory()
    what = f"{what} at {width}x{height}"
    if needed > available:
        scale = (max(available - BASE_BYTES, 0) / bytes_per_pixel / (height * width)) ** 0.5
        side = scale * (max if option == "content_size" else min)(height, width)
        # Rounded down: what is free now may be a little less the next time, and the other side is
        # rounded to whole pixels.
        side = int(0.995 * side) // 16 * 16
        way_out = f"--{option.replace('_', '-')} {side} fits" if side else "end other programs"
        raise UserError(
            f"{what} would take about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} "
            f"GB are free: {way_out}."
        )
    return f"the largest picture, {what}, will take about {needed / 1e9:.1f} GB of memory"
