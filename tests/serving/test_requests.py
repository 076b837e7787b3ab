"""The client in serving/ by itself, against a server that sends back what it gets."""

import http.server
import importlib
import json
import re
import threading

import numpy as np
import pytest
from conftest import ROOT, picture
from PIL import Image
from profiles import LINEAR_RGB

from tf_style.images.reading import read_image
from tf_style.images.writing import write_image

PAGE, ONE = b"<html>too large</html>", b'{"outputs": [1]}'


@pytest.fixture
def client(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "serving"))
    return importlib.import_module("client")


@pytest.fixture
def server():
    """An address, and a list of answers to give instead, each (status, bytes)."""
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            outputs = [[[0.0]]]
            if not request["signature_name"].startswith("encode"):
                outputs = request["inputs"]["content_bytes"]
            echo = (200, json.dumps({"outputs": outputs}).encode())
            status, body = (answers and answers.pop(0)) or echo
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    served = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=[0.01], daemon=True).start()
    yield f"--rest=127.0.0.1:{served.server_port}", answers
    served.shutdown()
    served.server_close()


@pytest.fixture
def use(client, server, tmp_path, capsys):
    """Runs it on tmp_path's photos: exit code, what it says, names of the results."""
    write_image(tmp_path / "photos/a.png", picture(20, 30))
    write_image(tmp_path / "painting.png", picture(20, 20, 1))
    defaults = [server[0], f"--content-path={tmp_path}/photos", f"--out-path={tmp_path}/out"]

    def use(*arguments, style=f"--style-path={tmp_path}/painting.png"):
        try:
            code = client.main([*defaults, style, *arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr().err + (code if isinstance(code, str) else "")
        code = 1 if isinstance(code, str) else code
        assert "Traceback" not in said
        return code, said, sorted(path.name for path in (tmp_path / "out").glob("*"))

    return use


def test_results_are_named_as_the_package_names_them(use, tmp_path):
    for name in ("a.jpg", "deep/b.jpg", ".hidden.jpg", "note.txt"):
        write_image(tmp_path / "photos/new.jpg", picture(20, 30), overwrite=True)
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "photos/new.jpg").rename(tmp_path / "photos" / name)
    code, said, names = use()
    assert (code, names) == (
        0, ["a_jpg_stylized.jpg", "a_png_stylized.jpg", "deep_b_jpg_stylized.jpg"]
    )  # fmt: skip
    code, said, _ = use()
    assert code == 2 and "exists already: use --overwrite" in said
    assert use("--overwrite")[0] == 0


def test_what_cannot_be_used_is_named_and_the_rest_done(use, server, tmp_path):
    (tmp_path / "photos/b.jpg").write_text("no picture")
    (tmp_path / "photos/c.jpg").write_bytes((tmp_path / "photos/a.png").read_bytes())
    refused = (400, b'{"error": "content_bytes must be 16 px or more"}')
    server[1].extend([None, refused])
    code, said, names = use()
    assert (code, names) == (1, ["c_stylized.jpg"])
    assert "b.jpg` is not an image" in said
    assert "photos/a.png: " in said and "must be 16 px or more" in said


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((413, PAGE), "HTTP 413 .*, not from TensorFlow Serving"),
        ((200, PAGE), "the answer is not one of TensorFlow Serving"),
        ((200, ONE), "the answer is not one of TensorFlow Serving"),
        ((404, b'{"error": "Servable not found"}'), "Servable not found"),
        ((503, b""), "HTTP 503 Service Unavailable"),
    ],
)
@pytest.mark.parametrize("style", [None, "--style=night"])
def test_what_is_no_result_is_told_in_one_sentence(use, server, answer, told, style):
    # The answer to the request for statistics, or to that for the photo.
    server[1].extend([answer] if style or answer[1] != ONE else [None, answer])
    code, said, names = use(**{"style": style} if style else {})
    assert (code, names) == (1, []) and len(said.splitlines()) == 1
    assert re.search(told, said)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--content-path=nowhere"], "`nowhere` does not exist"),
        (["--style-path=nowhere.jpg"], "`nowhere.jpg` does not exist"),
        (["--style=night"], "give either --style-path or --style"),
        (["--out-path=/dev/null/x"], "Not a directory"),
    ],
)
def test_mistakes(use, arguments, told):
    code, said, _ = use(*arguments)
    assert code == 2 and told in said and len(said.splitlines()) == 1


def test_no_server(use):
    code, said, _ = use("--rest=127.0.0.1:9")
    assert code == 1 and "refused" in said


def test_what_is_sent_is_read_as_the_package_reads_it(client, tmp_path):
    def sent(image, **options):
        image.save(tmp_path / "a.png", **options)
        (tmp_path / "sent.jpg").write_bytes(client.prepared(tmp_path / "a.png", longer=30))
        return read_image(tmp_path / "sent.jpg")

    clear = sent(Image.fromarray(np.zeros((40, 60, 4), "uint8")))
    assert clear.shape == (20, 30, 3) and clear.min() > 0.99
    turned = Image.Exif()
    turned[0x0112] = 6
    assert sent(Image.new("RGB", (60, 40)), exif=turned).shape == (30, 20, 3)
    ramp = np.tile(np.linspace(0, 65535, 60, dtype="uint16"), (40, 1))
    assert abs(sent(Image.fromarray(ramp)).mean() - 0.5) < 0.01
    # Half the light is more than half of sRGB's range.
    assert (
        abs(sent(Image.new("RGB", (60, 40), "#808080"), icc_profile=LINEAR_RGB).mean() - 0.736)
        < 0.01
    )


def test_tensorflow_is_not_needed(run):
    code = "import sys; sys.path.insert(0, 'serving'); import client; print('keras' in sys.modules)"
    assert run("-c", code).stdout == "False\n"
