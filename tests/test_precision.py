import io

import numpy as np
import pytest
import tensorflow as tf

from tf_style import precision
from tf_style.errors import UserError
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.precision import compute_dtype

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


def optimised_nodes(model, inputs, folder):
    """What TensorFlow runs of a model: the nodes after all rewriters, by way of a SavedModel."""
    specs = {name: tf.TensorSpec((None, *x.shape[1:])) for name, x in inputs.items()}
    function = tf.function(lambda **given: {"out": model(given)}, autograph=False)
    module = tf.Module()
    module.stored = [variable.value for variable in model.variables]
    tf.saved_model.save(module, folder, signatures=function.get_concrete_function(**specs))
    v1 = tf.compat.v1
    metadata, options = v1.RunMetadata(), v1.RunOptions(output_partition_graphs=True)
    with v1.Session(graph=tf.Graph()) as session:
        signature = v1.saved_model.load(session, ["serve"], folder).signature_def["serving_default"]
        feed = {signature.inputs[name].name: x for name, x in inputs.items()}
        session.run(signature.outputs["out"].name, feed, options, metadata)
    return [node for graph in metadata.partition_graphs for node in graph.node]


PHOTO = np.random.default_rng(0).random((1, 32, 48, 3), "float32")


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (
            lambda: AdaINStylizer("vgg16", "relu2_1", compute_dtype="bfloat16"),
            {"content": PHOTO, "style": PHOTO, "alpha": np.ones(1, "float32")},
        ),
        (
            lambda: ConditionalStylizer(("wave",), (8, 8, 8), 1, (8, 8), "bfloat16"),
            {"content": PHOTO, "style_weights": np.ones((1, 1), "float32")},
        ),
    ],
)
def test_no_statistics_are_bfloat16_in_what_runs(model, inputs, tmp_path):
    model = model()
    for variable in model.variables:
        if variable.name == "bias":  # Zeros would be optimised away.
            variable.assign(0.1 * np.ones(variable.shape))
    nodes = optimised_nodes(model, inputs, str(tmp_path / "model"))
    types = {}
    for node in nodes:
        types.setdefault(node.op.removeprefix("_Mkl"), set()).add(node.attr["T"].type)
    convolutions = [op for op in types if "Conv2D" in op]
    assert any(tf.bfloat16.as_datatype_enum in types[op] for op in convolutions), types
    statistics = {"Mean", "Sum", "Square", "SquaredDifference", "Sqrt", "Rsqrt", "RealDiv"}
    found = set().union(*(types[op] for op in statistics & set(types)))
    assert "Mean" in types and found == {tf.float32.as_datatype_enum}, types
    fused = [node for node in nodes if "Fused" in node.op and "Conv2D" in node.op]
    if compute_dtype("auto") == "bfloat16" and "style" in inputs:
        # With their bias and ReLU, wherever there is a kernel for it.
        assert len(fused) >= 6, types
