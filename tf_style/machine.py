"""What computes: number type of the convolutions, threads, devices."""

import os
import re

import tensorflow as tf

from tf_style.errors import UserError

__all__ = ["choose", "choose_one", "compute_dtype", "cpu_threads", "make_deterministic", "parse"]


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


def choose(device: str = "") -> list[str]:
    """Let TensorFlow compute on these devices alone; GPUs take memory as they need it.

    Args:
        device: `cpu`, `gpu` (all of them), or a list such as `gpu:0,gpu:1`; empty: all GPUs, or
            the CPU where there is none. `cpu:0,cpu:1` divides the CPU in two, to try out what
            several devices do.

    Returns:
        The chosen devices, as TensorFlow numbers them from now on.

    Raises:
        UserError: There is no such device, or TensorFlow has computed on others already.

    Example:
        >>> choose("cpu")
        ['cpu:0']
    """
    gpus = tf.config.list_physical_devices("GPU")
    kind, numbers = parse(device, len(gpus))
    wanted = [gpus[i] for i in numbers] if kind == "gpu" else []
    try:
        if tf.config.get_visible_devices("GPU") != wanted:
            tf.config.set_visible_devices(wanted, "GPU")
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = len(numbers) if kind == "cpu" else 1
        if len(tf.config.get_logical_device_configuration(cpu) or [0]) != parts:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * parts
            )
    except RuntimeError:
        raise UserError(
            f"`device` cannot become {device!r}: TensorFlow has computed in this process already; "
            "choose the device before that."
        ) from None
    for gpu in wanted:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # Of a process that has used it already, whose memory is its own concern.
    return [f"{kind}:{i}" for i in range(len(numbers))]


def choose_one(device: str = "") -> None:
    """Let TensorFlow use one device alone; GPUs take memory as they need it.

    Args:
        device: `cpu` or a GPU as in `gpu:1`; empty: a GPU if there is one.

    Raises:
        UserError: As in `choose`, or it names several.
    """
    if "," in device:
        raise UserError(f"`device` takes one device here. Received: {device!r}")
    choose(device)


def parse(device: str, gpu_count: int) -> tuple[str, list[int]]:
    """Kind and numbers of the devices that are asked for."""
    if device in ("", "gpu", "cpu"):
        kind = device or ("gpu" if gpu_count else "cpu")
        numbers = list(range(gpu_count)) if kind == "gpu" else [0]
    else:
        found = [re.fullmatch(r"(cpu|gpu):(\d+)", part.strip()) for part in device.split(",")]
        if not all(found) or len({match[1] for match in found}) > 1:
            raise UserError(
                f"`device` must be cpu, gpu, or a list such as gpu:0,gpu:1. Received: {device!r}"
            )
        kind, numbers = found[0][1], [int(match[2]) for match in found]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"`device` names one twice. Received: {device!r}")
    if kind == "gpu" and (not numbers or max(numbers) >= gpu_count):
        raise UserError(
            f"`device` asks for a GPU that TensorFlow does not see: it sees {gpu_count}. "
            f"Received: {device!r}"
        )
    if kind == "cpu" and sorted(numbers) != list(range(len(numbers))):
        raise UserError(f"`device` must number CPUs from 0. Received: {device!r}")
    return kind, numbers


def make_deterministic() -> None:
    """Let every operation give the same bits each time, or fail; for the rest of the process."""
    tf.config.experimental.enable_op_determinism()
