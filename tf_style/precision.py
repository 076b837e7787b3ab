"""What the machine computes with: number type of the convolutions, threads."""

import os

from tf_style.errors import UserError

__all__ = ["compute_dtype", "cpu_threads"]


def compute_dtype(precision: str) -> str:
    """`float32` or `bfloat16` for `auto`, `float32` or `bfloat16`.

    bfloat16 is fast only where the processor multiplies in it (avx512_bf16 or amx_bf16, or a GPU
    of compute capability 8 and newer); elsewhere it is emulated and far slower than float32.

    Example:
        >>> compute_dtype("float32")
        'float32'
    """
    if precision == "auto":
        return "bfloat16" if _multiplies_bfloat16() else "float32"
    if precision not in ("float32", "bfloat16"):
        raise UserError(
            f"`precision` must be one of auto, float32, bfloat16. Received: {precision!r}"
        )
    return precision


def cpu_threads() -> int:
    """Processors that this process may use; results may differ in the last bits between counts."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _multiplies_bfloat16() -> bool:
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(d.get("compute_capability", (0,))[0] >= 8 for d in details)
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
