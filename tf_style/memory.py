"""How much memory a picture will take, and whether the machine has it."""

from pathlib import Path

from tf_style.errors import UserError

__all__ = ["BYTES_PER_PIXEL", "available_memory", "check_memory"]

# Peak of encoder, AdaIN and decoder above the libraries' own, measured by benchmarks/memory.py.
BYTES_PER_PIXEL = 2000
BASE_BYTES = 200 * 2**20


def available_memory() -> int:
    """Bytes that this process may still take: of the machine, and of its container's limit."""
    available = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":") for line in lines)
        available.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text()
        if limit != "max":
            available.append(int(limit) - int(used))
    except (OSError, ValueError):
        pass
    return max(min(available), 0) if available else 2**63 - 1


def check_memory(pixels: int, what: str) -> str:
    """One sentence on the memory that a picture of so many pixels takes.

        bytes = BASE_BYTES + BYTES_PER_PIXEL * pixels

    Args:
        pixels: Height times width, as the network will see it.
        what: The picture and its size, for the sentence.

    Raises:
        UserError: More than the machine has; names the side of a square that fits.

    Example:
        >>> check_memory(1_000_000, "photo.jpg at 1000x1000")
        'the largest picture, photo.jpg at 1000x1000, will take about 2.2 GB of memory'
    """
    needed, available = BASE_BYTES + BYTES_PER_PIXEL * pixels, available_memory()
    if needed > available:
        fits = int(max(available - BASE_BYTES, 0) / BYTES_PER_PIXEL)
        raise UserError(
            f"{what} would take about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} "
            f"GB are free: about {int(fits**0.5)}x{int(fits**0.5)} pixels fit; give a smaller "
            "--content-size or --style-size."
        )
    return f"the largest picture, {what}, will take about {needed / 1e9:.1f} GB of memory"
