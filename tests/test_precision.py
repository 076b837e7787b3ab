import io

import pytest
import tensorflow as tf

from tf_style import precision
from tf_style.errors import UserError

CPU = "processor\t: 0\nflags\t\t: fpu sse2 avx2 {}\nprocessor\t: 1\nflags\t\t: fpu\n"


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine of a /proc/cpuinfo and of GPUs with their compute capabilities."""

    def machine(cpuinfo="", gpus=()):
        def open_(path):
            assert path == "/proc/cpuinfo"
            if cpuinfo is None:
                raise FileNotFoundError(path)
            return io.StringIO(cpuinfo)

        monkeypatch.setattr(precision, "open", open_, raising=False)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(gpus))
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {} if gpu is None else {"compute_capability": gpu},
        )

    return machine


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_asked_for(machine, name):
    machine(cpuinfo=None)
    assert precision.compute_dtype(name) == name


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
def test_auto_on_a_processor(machine, cpuinfo, expected):
    machine(cpuinfo)
    assert precision.compute_dtype("auto") == expected


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
def test_auto_on_gpus_looks_at_no_processor(machine, gpus, expected):
    machine(CPU.format("avx512_bf16"), gpus)
    assert precision.compute_dtype("auto") == expected


@pytest.mark.parametrize("name", ["float16", "", "BFLOAT16", None])
def test_unknown_precision(name):
    with pytest.raises(UserError, match=r"`precision` must be one of auto, float32, bfloat16. Rec"):
        precision.compute_dtype(name)
