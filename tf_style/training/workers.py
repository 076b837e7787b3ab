"""Trainings over several devices, and over several workers."""

import functools
import json
import os
import signal
import threading

import tensorflow as tf

from tf_style.errors import UserError
from tf_style.machine import choose

__all__ = ["all_gather", "is_chief", "strategy_for", "worker_count"]


def strategy_for(device: str = "") -> tf.distribute.Strategy:
    """Return how a training is spread over devices and workers.

    A strategy whose scope is entered already is taken. Else, if TF_CONFIG names workers, this
    process is one of them and waits for the others; they are all to be given the same command.

    Args:
        device: The argument of `choose`, for this process.

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
    """Return how many processes train together.

    Example:
        >>> worker_count(tf.distribute.get_strategy())
        1
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    spec = strategy.cluster_resolver.cluster_spec()
    return sum(spec.num_tasks(job) for job in spec.jobs)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one of all workers that writes.

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


def all_gather(strategy: tf.distribute.Strategy, number: int) -> list[int]:
    """Return one number from every worker; nobody continues before all have told theirs.

    Example:
        >>> all_gather(tf.distribute.get_strategy(), 7)
        [7]
    """
    if worker_count(strategy) == 1:
        return [number]
    return strategy.gather(tf.constant([number], tf.int64), axis=0).numpy().tolist()
