"""The client in serving/, against a server that speaks as TensorFlow Serving does."""

import base64
import http.server
import json
import subprocess
import sys
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tf_style.export.config import ExportConfig
from tf_style.export.exporting import export_model
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer
from tf_style.images.writing import write_image
from tf_style.inference.style_transfer import load

pytestmark = pytest.mark.slow

CLIENT = ROOT / "serving/client.py"


class Served(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Exports by the names that they are served under, run as a server would run them.

    The formats are those of https://www.tensorflow.org/tfx/serving/api_rest: base64 as
    `{"b64": ...}`, outputs in columns, the one output without its name.
    """

    def __init__(self, paths):
        self.models = {name: tf.saved_model.load(str(path)) for name, path in paths.items()}

    def run(self, model, signature, inputs):
        outputs = self.models[model].signatures[signature](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def Predict(self, request, context):
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        spec = request.model_spec
        try:
            outputs = self.run(spec.name, spec.signature_name, inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def rest(self, path, body):
        """Status and answer of a POST."""
        model = path.removeprefix("/v1/models/").removesuffix(":predict")
        request = json.loads(body)
        function = self.models[model].signatures[request["signature_name"]]
        specs = function.structured_input_signature[1]
        inputs = {
            name: tf.constant(
                [base64.b64decode(x["b64"], validate=True) if isinstance(x, dict) else x
                 for x in value],
                specs[name].dtype,
            )
            for name, value in request["inputs"].items()
        }  # fmt: skip
        try:
            outputs = self.run(model, request["signature_name"], inputs)
        except tf.errors.InvalidArgumentError as error:
            return 400, {"error": error.message}
        ((name, value),) = outputs.items()
        encoded = [{"b64": base64.b64encode(x).decode()} for x in value.tolist()] \
            if name.endswith("_bytes") else value.tolist()  # fmt: skip
        return 200, {"outputs": encoded}


@pytest.fixture(scope="module")
def served(tmp_path_factory, tiny):
    """Addresses of REST and gRPC."""
    root = tmp_path_factory.mktemp("serving")
    paths = {
        name: export_model(ExportConfig(checkpoint=source, export_path=str(root / name))).path
        for name, source in (("mine", str(tiny)), ("magenta26", "magenta26"))
    }
    served = Served(paths)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = served.rest(self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    rest = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    remote = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(served, remote)
    port = remote.add_insecure_port("127.0.0.1:0")
    remote.start()
    yield f"--rest=127.0.0.1:{rest.server_port}", f"--grpc=127.0.0.1:{port}"
    rest.shutdown()
    rest.server_close()
    remote.stop(None)


@pytest.fixture
def pictures(tmp_path):
    image = fit_longer(read_image(ROOT / "examples/content/tiger.jpg"), 96)
    write_image(tmp_path / "photos/plain.png", image)
    turned = Image.open(tmp_path / "photos/plain.png")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "photos/turned.jpg", exif=exif, quality=95)
    painting = fit_longer(read_image(ROOT / "examples/styles/scream.jpg"), 64)
    write_image(tmp_path / "painting.png", painting)
    return tmp_path


def client(*arguments):
    return subprocess.run(
        [sys.executable, str(CLIENT), *map(str, arguments)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [0, 1], ids=["rest", "grpc"])
def test_a_folder(served, pictures, tiny, kind):
    out = pictures / "out"
    arguments = [served[kind], "--model=mine", f"--content-path={pictures}/photos",
                 f"--style-path={pictures}/painting.png", f"--out-path={out}"]  # fmt: skip
    run = client(*arguments, "--alpha=0.5")
    assert run.returncode == 0, run.stderr
    results = {path.name: read_image(path) for path in out.iterdir()}
    assert results.keys() == {"plain_stylized.jpg", "turned_stylized.jpg"}
    height, width, _ = results["plain_stylized.jpg"].shape
    assert results["turned_stylized.jpg"].shape == (width, height, 3)
    stylize = load(tiny, "float32")
    expected = stylize(pictures / "photos/plain.png", pictures / "painting.png", alpha=0.5)
    # Two JPEGs lie between.
    assert np.sqrt(np.mean((results["plain_stylized.jpg"] - expected) ** 2)) < 0.03
    again = client(*arguments)
    assert again.returncode == 2 and "exists already: use --overwrite" in again.stderr


@pytest.mark.parametrize("kind", [0, 1], ids=["rest", "grpc"])
def test_styles_by_name(served, pictures, kind):
    arguments = [served[kind], "--model=magenta26", f"--content-path={pictures}/photos/plain.png",
                 f"--out-path={pictures}/out"]  # fmt: skip
    assert client(*arguments, "--style=magenta03:0.5,magenta11:0.5").returncode == 0
    assert (pictures / "out/plain_stylized.jpg").exists()
    run = client(*arguments, "--style=starry", "--overwrite")
    assert run.returncode == 1 and "must be of magenta00" in run.stderr
    assert "Traceback" not in run.stderr
