"""Which devices compute, and together with which workers."""

import functools
import json
import os
import re
import signal
import threading

import tensorflow as tf

from tf_style.errors import UserError

__all__ = [
    "choose",
    "choose_one",
    "everyone",
    "is_chief",
    "make_deterministic",
    "parse",
    "strategy_for",
    "worker_count",
]


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


def strategy_for(device: str = "") -> tf.distribute.Strategy:
    """How a training is spread over devices and workers.

    A strategy whose scope is entered already is taken. Else, if TF_CONFIG names workers, this
    process is one of them and waits for the others; they are all to be given the same command.

    Args:
        device: As in `choose`, of this process.

    Raises:
        UserError: As in `choose`, or a TF_CONFIG that cannot be understood.

    Example:
        >>> strategy_for("cpu").num_replicas_in_sync
        1

    Reference: https://www.tensorflow.org/guide/distributed_training
    """
    if tf.distribute.has_strategy():
        return tf.distribute.get_strategy()
    return _strategy(device, os.environ.get("TF_CONFIG", ""))


# A process joins its workers once.
@functools.cache
def _strategy(device, tf_config):
    together = _has_workers(tf_config)
    names = choose(device)
    if together and names[1:] and names[0] == "cpu:0":
        raise UserError(f"A worker computes on one CPU or on GPUs. Received: {device!r}")
    if together:
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError:
            raise UserError(
                "TensorFlow has computed in this process already: workers must be joined before."
            ) from None
        if threading.current_thread() is threading.main_thread():
            # TensorFlow has taken SIGTERM, to tell of it; its handler is Python's again.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        return strategy
    if names[1:]:
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()


def _has_workers(tf_config: str) -> bool:
    """Whether TF_CONFIG names workers, of which this process is one."""
    if not tf_config:
        return False
    try:
        config = json.loads(tf_config)
        jobs, task = config.get("cluster", {}), config.get("task", {})
        if not jobs:
            return False
        known = {"chief", "worker"}.issuperset(jobs)
        _ = jobs[task["type"]][int(task["index"])]
    except (AttributeError, LookupError, TypeError, ValueError):
        known = False
    if not known:
        raise UserError(
            'TF_CONFIG must be as {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
            f'"worker", "index": 0}}}}. Received: {tf_config}'
        )
    return True


def worker_count(strategy: tf.distribute.Strategy) -> int:
    """How many processes train together.

    Example:
        >>> worker_count(tf.distribute.get_strategy())
        1
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    spec = strategy.cluster_resolver.cluster_spec()
    return sum(spec.num_tasks(job) for job in spec.jobs)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of all workers that writes.

    Example:
        >>> is_chief(tf.distribute.get_strategy())
        True
    """
    if worker_count(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0


def everyone(strategy: tf.distribute.Strategy, number: int) -> list[int]:
    """A number of each worker's; nobody goes on before all have told theirs.

    Example:
        >>> everyone(tf.distribute.get_strategy(), 7)
        [7]
    """
    if worker_count(strategy) == 1:
        return [number]
    return strategy.gather(tf.constant([number], tf.int64), axis=0).numpy().tolist()
