"""Stylise a folder by a model that TensorFlow Serving serves, without TensorFlow.

    python serving/client.py --content-path photos --style-path painting.jpg --out-path out
    python serving/client.py --model paintings --content-path photos --style starry_night
    python serving/client.py --grpc localhost:8500 --content-path photos --style-path painting.jpg

It reads pictures and names results as stylize.py does, by this repository's package. By REST it
needs NumPy and Pillow; by gRPC also tensorflow-serving-api (which brings TensorFlow). The style is
encoded once. Photos are shrunk before they are sent. A photo that cannot be read, or that the
server refuses, is named and the rest is done. Exit codes: 0 all done, 1 some photos could not be
used, or the server cannot be reached, 2 a mistake that you can mend, 130 stopped by Ctrl-C.
"""

import argparse
import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # Where tf_style is not installed.

from tf_style.errors import UserError
from tf_style.files import write_atomically
from tf_style.images.listing import list_images
from tf_style.images.outputs import short_names
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer, fit_shorter
from tf_style.images.writing import encode_image

# gRPC's own limit for what is received is 4 MB.
MESSAGE_BYTES = 64 * 2**20


class Refused(Exception):
    """The server's answer that it will not have this request; another may do."""


def prepared(path: Path, longer: int = 0, shorter: int = 0) -> bytes:
    """A picture file as the JPEG that is sent: one side at most so long."""
    image = read_image(path)
    image = fit_longer(image, longer) if longer else fit_shorter(image, shorter)
    return encode_image(image, "jpg")


class Rest:
    """The server's REST interface; bytes travel as base64."""

    def __init__(self, address: str, model: str):
        self.url = f"http://{address}/v1/models/{model}:predict"

    def predict(self, signature: str, inputs: dict) -> dict:
        """Inputs by name to outputs by name; every value is a list, one for each picture."""
        body = {"signature_name": signature, "inputs": inputs}
        data = json.dumps(body, default=lambda x: {"b64": base64.b64encode(x).decode()}).encode()
        request = urllib.request.Request(self.url, data, {"Content-Type": "application/json"})
        # One output has no name in the answer.
        name = "statistics" if signature.startswith("encode") else "stylized_bytes"
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                outputs = json.load(answer)["outputs"]
            if name == "stylized_bytes":
                outputs = [base64.b64decode(value["b64"]) for value in outputs]
            return {name: outputs}
        except urllib.error.HTTPError as error:
            sentence = f"{self.url}: {self._reason(error)}"
            # A bad request, or one too large.
            raise (Refused if error.code in (400, 413) else SystemExit)(sentence) from None
        except (OSError, http.client.HTTPException) as error:
            raise SystemExit(f"{self.url}: {getattr(error, 'reason', error)}") from None
        except (LookupError, TypeError, ValueError):
            raise SystemExit(f"{self.url}: the answer is not one of TensorFlow Serving.") from None

    def _reason(self, error):
        try:
            return json.load(error)["error"]
        except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError):
            # A proxy's page.
            return f"HTTP {error.code} {error.reason}, not from TensorFlow Serving"


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
            code = error.code().name
            ours = code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
            raise (Refused if ours else SystemExit)(f"{code}: {error.details()}") from None
        return {name: tf.make_ndarray(value).tolist() for name, value in outputs.items()}


def parser() -> argparse.ArgumentParser:
    """All flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--content-path", required=True, help="photos: a file, a folder or a glob")
    add("--style-path", type=Path, help="a painting, for models that take pictures")
    add("--style", help="a style's name or a mixture, for models with a table")
    add("--alpha", type=float, default=1.0, help="strength of the style in [0, 1] [1]")
    add("--out-path", type=Path, default=Path("out"), help="folder of the results [out]")
    add("--model", default="adain", help="as it is served [adain]")
    add("--rest", default="localhost:8501", help="address of REST [localhost:8501]")
    add("--grpc", help="address of gRPC, used instead if given")
    add("--content-size", type=int, default=1024, help="photos' longer side at most [1024]")
    add("--style-size", type=int, default=512, help="paintings' shorter side at most [512]")
    add("--overwrite", action="store_true", help="replace results that exist")
    return parser


def stylize(options: argparse.Namespace) -> int:
    """Stylise every photo and write the results; the number of photos that failed."""
    if bool(options.style_path) == bool(options.style):
        raise UserError("give either --style-path or --style")
    photos = short_names(list_images(options.content_path))
    results = {path: options.out_path / f"{name}_stylized.jpg" for path, name in photos.items()}
    exist = [path for path in results.values() if path.exists()]
    if exist and not options.overwrite:
        raise UserError(f"{exist[0]} exists already: use --overwrite, or another --out-path")

    server = (
        Grpc(options.grpc, options.model) if options.grpc else Rest(options.rest, options.model)
    )
    if options.style:
        signature, style = "stylize_bytes", {"style_names": [options.style]}
        if options.alpha < 1:  # Older exports of a table have no signatures with a strength.
            signature, style = f"{signature}_with_alpha", style | {"alpha": [options.alpha]}
    else:
        painting = prepared(options.style_path, shorter=options.style_size)
        try:
            style = server.predict("encode_style_bytes", {"style_bytes": [painting]})
        except Refused as error:
            raise SystemExit(f"{options.style_path}: {error}") from None
        style |= {"alpha": [options.alpha]}
        signature = "stylize_encoded_bytes"
    options.out_path.mkdir(parents=True, exist_ok=True)
    failed = 0
    for number, (photo, result) in enumerate(results.items(), 1):
        try:
            content = {"content_bytes": [prepared(photo, longer=options.content_size)]}
            [data] = server.predict(signature, content | style)["stylized_bytes"]
            write_atomically(result, data)
        except (UserError, Refused) as error:
            failed += 1
            name = "" if str(photo) in str(error) else f"{photo}: "
            print(f"{number}/{len(results)} {name}{error}", file=sys.stderr)
        else:
            print(f"{number}/{len(results)} {result}", file=sys.stderr)
    return failed


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
        try:
            return 1 if stylize(options) else 0
        except (UserError, OSError) as error:
            print(f"client.py: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    raise SystemExit(main())
