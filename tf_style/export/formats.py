"""A stylizer for programs without TensorFlow: ONNX, OpenVINO and LiteRT files."""

import contextlib
import functools
import importlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_style.errors import UserError
from tf_style.nn.predicted import without_branches

__all__ = ["FORMATS", "Format"]

# Of ONNX's operators.
OPSET = 18


class Format(NamedTuple):
    """A kind of file that a stylizer can be exported to.

    Attributes:
        extra: The extra of the package that installs what is needed.
        write: Writes a stylizer to a path, that nobody reads yet.
        load: Loads such a file for some inputs, `(path, {input: array})`, and gives the function
            that runs it on them, in float32.
        least_psnr: PSNR in dB: a file whose picture is further from the stylizer's is not written.
    """

    extra: str
    write: Callable[[keras.Model, Path], None]
    load: Callable[[Path, dict[str, np.ndarray]], Callable[[], np.ndarray]]
    least_psnr: float


def _write_onnx(stylizer, path):
    tf2onnx = _imported("tf2onnx", "onnx")
    inputs = stylizer.input
    function = tf.function(
        lambda *given: {"stylized": stylizer(dict(zip(inputs, given, strict=True)))},
        autograph=False,
    )
    specs = list(_specs(inputs).values())
    with without_branches():
        model, _ = tf2onnx.convert.from_function(function, specs, opset=OPSET)
    path.write_bytes(model.SerializeToString())


def _load_onnx(path, given):
    runtime = _imported("onnxruntime", "onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda: session.run(["stylized"], given)[0]


def _write_openvino(stylizer, path):
    openvino = _imported("openvino", "openvino")
    with _saved_model(stylizer) as folder:
        # In float16, its default, the weights would be rounded.
        openvino.save_model(openvino.convert_model(folder), path, compress_to_fp16=False)


def _load_openvino(path, given):
    core = _imported("openvino", "openvino").Core()
    # Left to itself it takes bfloat16 where the processor has it, for the statistics too.
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda: compiled(given)["stylized"]


def _write_litert(stylizer, path, types=()):
    _imported("ai_edge_litert.interpreter", "litert")
    # Not from a SavedModel, on whose way numbers of channels get lost, which convolutions need.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_traced(stylizer)], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = list(types)
    path.write_bytes(_with_signature(converter.convert()))


def _with_signature(content):
    """A LiteRT file with names of inputs and output, which its converter leaves out."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    def named(name, index):
        tensor = schema.TensorMapT()
        tensor.name, tensor.tensorIndex = name, index
        return tensor

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    [graph] = model.subgraphs
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [named(graph.tensors[i].name, i) for i in graph.inputs]
    signature.outputs = [named("stylized", i) for i in graph.outputs]
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _load_litert(path, given):
    runtime = _imported("ai_edge_litert.interpreter", "litert")
    stylize = runtime.Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda: stylize(**given)["stylized"]


def _specs(inputs):
    return {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in inputs.items()}


def _traced(stylizer):
    function = tf.function(lambda **given: {"stylized": stylizer(given)}, autograph=False)
    with without_branches():
        return function.get_concrete_function(**_specs(stylizer.input))


@contextlib.contextmanager
def _saved_model(stylizer) -> Iterator[Path]:
    """The stylizer alone as a SavedModel."""
    module = tf.Module()
    module.stored = [variable.value for variable in stylizer.variables]
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=_traced(stylizer))
        yield Path(folder)


def _imported(module, extra) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"This format needs {module.partition('.')[0]}: pip install 'tf_style[{extra}]'."
        ) from error


_HALF = functools.partial(_write_litert, types=[tf.float16])

FORMATS = {
    "onnx": Format("onnx", _write_onnx, _load_onnx, 50),
    "openvino": Format("openvino", _write_openvino, _load_openvino, 50),
    "litert_float16": Format("litert", _HALF, _load_litert, 40),
    "litert_int8": Format("litert", _write_litert, _load_litert, 20),
}
