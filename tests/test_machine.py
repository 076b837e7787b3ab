"""What computes: bfloat16 where it is fast, and the devices that are asked for."""

import io

import pytest
import tensorflow as tf

from tf_style import machine
from tf_style.errors import UserError

CPU = "processor\t: 0\nflags\t\t: fpu sse2 avx2 {}\nprocessor\t: 1\nflags\t\t: fpu\n"


@pytest.fixture
def fake(monkeypatch):
    """Makes a machine of a /proc/cpuinfo and of GPUs with their compute capabilities."""

    def fake(cpuinfo="", gpus=()):
        def open_(path):
            assert path == "/proc/cpuinfo"
            if cpuinfo is None:
                raise FileNotFoundError(path)
            return io.StringIO(cpuinfo)

        monkeypatch.setattr(machine, "open", open_, raising=False)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(gpus))
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {} if gpu is None else {"compute_capability": gpu},
        )

    return fake


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_asked_for(fake, name):
    fake(cpuinfo=None)
    assert machine.compute_dtype(name) == name


@pytest.mark.parametrize(
    "cpuinfo, expected",
    [
        (CPU.format("avx512_bf16"), "bfloat16"),
        (CPU.format("amx_tile amx_bf16"), "bfloat16"),
        (CPU.format("avx512f"), "float32"),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "float32"),
        ("", "float32"),
        (None, "float32"),
    ],
)
def test_auto_on_a_processor(fake, cpuinfo, expected):
    fake(cpuinfo)
    assert machine.compute_dtype("auto") == expected


@pytest.mark.parametrize(
    "gpus, expected",
    [
        ([(8, 0)], "bfloat16"),
        ([(9, 0), (8, 6)], "bfloat16"),
        ([(7, 5)], "float32"),
        ([(9, 0), (7, 0)], "float32"),
        ([None], "float32"),
    ],
)
def test_auto_on_gpus_looks_at_no_processor(fake, gpus, expected):
    fake(CPU.format("avx512_bf16"), gpus)
    assert machine.compute_dtype("auto") == expected


@pytest.mark.parametrize("name", ["float16", "", "BFLOAT16", None])
def test_unknown_precision(name):
    with pytest.raises(UserError, match=r"`precision` must be one of auto, float32, bfloat16. Rec"):
        machine.compute_dtype(name)


# -- what is asked for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "gpus", "chosen"),
    [
        ("", 0, ("cpu", [0])),
        ("", 3, ("gpu", [0, 1, 2])),
        ("cpu", 3, ("cpu", [0])),
        ("gpu", 2, ("gpu", [0, 1])),
        ("gpu:1", 2, ("gpu", [1])),
        ("gpu:2, gpu:0", 3, ("gpu", [2, 0])),
        ("cpu:0,cpu:1", 0, ("cpu", [0, 1])),
    ],
)
def test_names_of_devices(device, gpus, chosen):
    assert machine.parse(device, gpus) == chosen


@pytest.mark.parametrize(
    ("device", "gpus", "match"),
    [
        ("tpu", 0, "must be cpu, gpu, or a list such as gpu:0,gpu:1. Received: 'tpu'"),
        ("gpu:0,cpu:0", 1, "must be cpu, gpu, or a list"),
        ("gpu:0,", 1, "must be cpu, gpu, or a list"),
        ("gpu:0,gpu:0", 1, "names one twice"),
        ("gpu", 0, "a GPU that TensorFlow does not see: it sees 0. Received: 'gpu'"),
        ("gpu:2", 2, "it sees 2. Received: 'gpu:2'"),
        ("cpu:1", 0, "must number CPUs from 0"),
    ],
)
def test_devices_that_there_are_not(device, gpus, match):
    with pytest.raises(UserError, match=match):
        machine.parse(device, gpus)


def test_a_device_is_chosen_before_anything_is_computed():
    tf.zeros(1)
    assert machine.choose("cpu") == ["cpu:0"]
    with pytest.raises(UserError, match="cannot become 'cpu:0,cpu:1': TensorFlow has computed"):
        machine.choose("cpu:0,cpu:1")


def test_gpus_that_are_chosen_are_seen_alone_and_take_memory_as_they_need_it(monkeypatch):
    gpus, seen, grown = ["first", "second", "third"], [], []
    listed = {"GPU": gpus, "CPU": tf.config.list_physical_devices("CPU")}
    monkeypatch.setattr(tf.config, "list_physical_devices", listed.get)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda some, kind: seen.extend(some))
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu, on))
    )
    assert machine.choose("gpu:2,gpu:0") == ["gpu:0", "gpu:1"]
    assert seen == ["third", "first"] and grown == [("third", True), ("first", True)]


def test_one_device_is_one():
    with pytest.raises(UserError, match="takes one device here. Received: 'gpu:0,gpu:1'"):
        machine.choose_one("gpu:0,gpu:1")
