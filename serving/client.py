"""Stylise a folder by a model that TensorFlow Serving serves, without tf_style.

    python serving/client.py --content-path photos --style-path painting.jpg --out-path out
    python serving/client.py --model paintings --content-path photos --style starry_night
    python serving/client.py --grpc localhost:8500 --content-path photos --style-path painting.jpg

By REST it needs Pillow; by gRPC also tensorflow-serving-api (which brings TensorFlow). The style is
encoded once. Photos are turned by their EXIF orientation and shrunk before they are sent.
"""

import argparse
import base64
import io
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

# gRPC's own limit for what is received is 4 MB.
MESSAGE_BYTES = 64 * 2**20


def prepared(path: Path, longer: int = 0, shorter: int = 0) -> bytes:
    """A picture file as the JPEG that is sent: upright, RGB, one side at most so long."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        scale = min(1, longer / max(image.size) if longer else shorter / min(image.size))
        size = tuple(max(1, round(scale * side)) for side in image.size)
        file = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(file, "jpeg", quality=95, subsampling=0)
        return file.getvalue()


class Rest:
    """The server's REST interface; bytes travel as base64."""

    def __init__(self, address: str, model: str):
        self.url = f"http://{address}/v1/models/{model}:predict"

    def predict(self, signature: str, inputs: dict) -> dict:
        """Inputs by name to outputs by name; every value is a list, one for each picture."""
        body = {"signature_name": signature, "inputs": inputs}
        data = json.dumps(body, default=lambda x: {"b64": base64.b64encode(x).decode()}).encode()
        request = urllib.request.Request(self.url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{self.url}: {json.load(error)['error']}") from None
        except urllib.error.URLError as error:
            raise SystemExit(f"{self.url}: {error.reason}") from None
        # One output has no name in the answer.
        name = "statistics" if signature.startswith("encode") else "stylized_bytes"
        if name == "stylized_bytes":
            outputs = [base64.b64decode(value["b64"]) for value in outputs]
        return {name: outputs}


class Grpc:
    """The server's gRPC interface."""

    def __init__(self, address: str, model: str):
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        options = [("grpc.max_send_message_length", MESSAGE_BYTES),
                   ("grpc.max_receive_message_length", MESSAGE_BYTES)]  # fmt: skip
        channel = grpc.insecure_channel(address, options)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model, self.request_type, self.fault = model, predict_pb2.PredictRequest, grpc.RpcError

    def predict(self, signature: str, inputs: dict) -> dict:
        """Inputs by name to outputs by name; every value is a list, one for each picture."""
        import tensorflow as tf

        request = self.request_type()
        request.model_spec.name, request.model_spec.signature_name = self.model, signature
        for name, value in inputs.items():
            floats = None if isinstance(value[0], bytes | str) else tf.float32
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value, floats))
        try:
            outputs = self.stub.Predict(request, timeout=300).outputs
        except self.fault as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None
        return {name: tf.make_ndarray(value).tolist() for name, value in outputs.items()}


def main(argv: list[str] | None = None) -> int:
    """Stylise every photo and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--content-path", type=Path, required=True, help="a photo, or a folder of photos")
    add("--style-path", type=Path, help="a painting, for models that take pictures")
    add("--style", help="a style's name or a mixture, for models with a table")
    add("--alpha", type=float, default=1.0, help="strength in [0, 1], with --style-path [1]")
    add("--out-path", type=Path, default=Path("out"), help="folder of the results [out]")
    add("--model", default="adain", help="as it is served [adain]")
    add("--rest", default="localhost:8501", help="address of REST [localhost:8501]")
    add("--grpc", help="address of gRPC, used instead if given")
    add("--content-size", type=int, default=1024, help="photos' longer side at most [1024]")
    add("--style-size", type=int, default=512, help="paintings' shorter side at most [512]")
    add("--overwrite", action="store_true", help="replace results that exist")
    options = parser.parse_args(argv)
    if bool(options.style_path) == bool(options.style):
        parser.error("give either --style-path or --style")

    source = options.content_path
    found = sorted(source.iterdir()) if source.is_dir() else [source]
    photos = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not photos:
        parser.error(f"{source} holds no {', '.join(sorted(SUFFIXES))}")
    results = [options.out_path / f"{path.stem}_stylized.jpg" for path in photos]
    exist = [path for path in results if path.exists()]
    if exist and not options.overwrite:
        parser.error(f"{exist[0]} exists already: use --overwrite, or another --out-path")

    server = (
        Grpc(options.grpc, options.model) if options.grpc else Rest(options.rest, options.model)
    )
    if options.style:
        signature, style = "stylize_bytes", {"style_names": [options.style]}
    else:
        painting = prepared(options.style_path, shorter=options.style_size)
        style = server.predict("encode_style_bytes", {"style_bytes": [painting]})
        style |= {"alpha": [options.alpha]}
        signature = "stylize_encoded_bytes"
    options.out_path.mkdir(parents=True, exist_ok=True)
    for number, (photo, path) in enumerate(zip(photos, results, strict=True), 1):
        content = {"content_bytes": [prepared(photo, longer=options.content_size)]}
        data = server.predict(signature, content | style)["stylized_bytes"][0]
        aside = path.with_suffix(".part")
        aside.write_bytes(data)
        aside.replace(path)
        print(f"{number}/{len(photos)} {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
