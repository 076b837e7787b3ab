"""Where bfloat16 may be: in the convolutions, and nowhere else."""

import numpy as np
import pytest
import tensorflow as tf

from tf_style.machine import compute_dtype
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.conditional import ConditionalStylizer


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
            {
                "content": PHOTO,
                "style_weights": np.ones((1, 1), "float32"),
                "alpha": np.ones(1, "float32"),
            },
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
