"""What is exported is whole, small, named and the next version."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tf_style.cli import stylize as stylize_cli
from tf_style.errors import NonFiniteError, UserError
from tf_style.export import exporting as module
from tf_style.export.config import ExportConfig
from tf_style.export.exporting import TOLERANCE, WARMUP, export_model
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_shorter
from tf_style.images.writing import encode_image, write_image


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("serving") / "mine"
    return export_model(
        ExportConfig(checkpoint=str(tiny), export_path=str(folder), warmup_sizes=(32,))
    )


@pytest.fixture(scope="module")
def adain(tmp_path_factory):
    """An export of the shipped model."""
    folder = tmp_path_factory.mktemp("serving") / "adain"
    return export_model(ExportConfig(checkpoint="adain", export_path=str(folder), quality=100))


def test_versions_count_up_and_leave_nothing_else(tmp_path):
    folder = tmp_path / os.fsdecode(b"served \xe9")  # Of no UTF-8.
    (folder / "7").mkdir(parents=True)
    (folder / "note.txt").write_text("mine")
    config = ExportConfig(checkpoint="magenta26", export_path=str(folder))
    assert export_model(config).path.name == "8"
    assert sorted(path.name for path in folder.iterdir()) == ["7", "8", "note.txt"]


def test_what_is_written(exported):
    files = {str(p.relative_to(exported.path)) for p in exported.path.rglob("*") if p.is_file()}
    assert files == {
        "fingerprint.pb", "saved_model.pb", "variables/variables.index",
        "variables/variables.data-00000-of-00001", str(WARMUP),
    }  # fmt: skip
    assert exported.difference < TOLERANCE and exported.warmups == 6
    loaded = tf.saved_model.load(str(exported.path))
    assert set(loaded.signatures) == {
        "serving_default", "encode_style", "stylize_encoded", "stylize_bytes",
        "encode_style_bytes", "stylize_encoded_bytes",
    }  # fmt: skip


@pytest.mark.slow
def test_names_of_styles_are_an_asset(tmp_path):
    found = export_model(ExportConfig(checkpoint="magenta26", export_path=str(tmp_path / "m")))
    names = (found.path / "assets/styles.txt").read_text().split()
    assert names == [f"magenta{k:02d}" for k in range(26)]


@pytest.mark.slow
def test_weights_are_stored_once(tmp_path, adain):
    config = ExportConfig(checkpoint="magenta", export_path=str(tmp_path / "magenta"))
    for found in (adain, export_model(config)):
        weights = sum(
            int(np.prod(shape)) * 4
            for _, shape in tf.train.list_variables(str(found.path / "variables/variables"))
        )
        # Twice would be 2; the graphs of six signatures take 2 MB.
        assert found.size < 1.25 * weights


@pytest.mark.slow
def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    config = ExportConfig(checkpoint="magenta26", export_path=str(tmp_path / "m"))
    with pytest.raises(NonFiniteError, match="differs from the model by"):
        export_model(config)
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.slow
def test_bfloat16_is_explicit_and_of_convolutions_alone(tmp_path):
    config = ExportConfig(checkpoint="adain", export_path=str(tmp_path / "m"), precision="bfloat16")
    found = export_model(config)
    loaded = tf.saved_model.load(str(found.path))
    function = loaded.signatures["serving_default"]
    library = function.graph.as_graph_def().library.function
    nodes = [node for f in library for node in f.node_def]
    types = {
        op: {node.attr["T"].type for node in nodes if node.op == op}
        for op in ("Conv2D", "Mean", "SquaredDifference", "Sqrt")
    }
    bfloat16, float32 = tf.bfloat16.as_datatype_enum, tf.float32.as_datatype_enum
    assert bfloat16 in types["Conv2D"] and types["Sqrt"] == {float32} and types["Mean"] == {float32}
    assert {output.dtype for output in function.structured_outputs.values()} == {tf.float32}
    assert all(v.dtype == tf.float32 for v in loaded.stored)


def test_a_signal_leaves_nothing(tmp_path, capsys):
    folder = tmp_path / "m"

    def stop():
        while not list(folder.glob(".writing-*/*")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=stop)
    killer.start()
    words = ["stylize.py", "--checkpoint", "magenta26", "--export-path", str(folder)]
    assert stylize_cli.main(words) == 128 + signal.SIGTERM
    killer.join()
    assert list(folder.iterdir()) == [] and "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"export_path": ""}, "`export_path` is needed"),
        ({"export_path": __file__}, f"`{__file__}` is not a folder"),
        ({"warmup_sizes": (4096,)}, "`warmup_sizes` must be within `max_pixels`=4194304"),
        ({"precision": "auto"}, "must be one of float32, bfloat16"),
        ({"checkpoint": "nowhere"}, "There is no checkpoint folder 'nowhere'"),
    ],
)
def test_faults(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        export_model(ExportConfig(**{"export_path": str(tmp_path / "m")} | changes))


# -- without the package ---------------------------------------------------------------------------


def python(code, *arguments, seconds=300):
    """Run a program that may not import tf_style."""
    guard = "import sys\nsys.modules['tf_style'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", guard + code, *map(str, arguments)],
        check=True, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip


READ_WARMUPS = """
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
signatures = tf.saved_model.load(sys.argv[1]).signatures
for data in tf.data.TFRecordDataset(sys.argv[1] + "/assets.extra/tf_serving_warmup_requests"):
    log = prediction_log_pb2.PredictionLog.FromString(data.numpy())
    request = log.predict_log.request
    inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
    outputs = signatures[request.model_spec.signature_name](**inputs)
    print(request.model_spec.name, request.model_spec.signature_name, *outputs)
"""


@pytest.mark.slow
def test_every_warmup_record_runs(exported):
    lines = python(READ_WARMUPS, exported.path).stdout.splitlines()
    assert lines == [
        "mine encode_style statistics",
        "mine encode_style_bytes statistics",
        "mine serving_default stylized",
        "mine stylize_encoded stylized",
        "mine stylize_bytes stylized_bytes",
        "mine stylize_encoded_bytes stylized_bytes",
    ]


def test_warmups_need_the_package(tmp_path, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    config = ExportConfig(checkpoint=str(tiny), export_path=str(tmp_path / "m"), warmup_sizes=(32,))
    with pytest.raises(UserError, match=r"pip install 'tf_style\[serving\]'"):
        export_model(config)
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_it(exported, tmp_path):
    cli = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    model = ["--dir", str(exported.path), "--tag_set", "serve"]
    shown = subprocess.run(
        [*cli, "show", *model, "--signature_def", "stylize_bytes"],
        check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip
    for name in ("content_bytes", "style_bytes", "alpha", "stylized_bytes"):
        assert f"['{name}'] tensor_info" in shown
    photo = read_image(ROOT / "examples/content/tiger.jpg")[:48, :64]
    np.savez(tmp_path / "in.npz", photo=photo[None], data=np.array([encode_image(photo, "png")]),
             alpha=np.ones(1, "float32"))  # fmt: skip
    for signature, outputs, inputs in (
        ("serving_default", "stylized", "content=photo;style=photo"),
        ("stylize_bytes", "stylized_bytes", "content_bytes=data;style_bytes=data"),
        ("encode_style", "statistics", "style=photo"),
    ):
        given = ";".join(
            f"{key}={tmp_path}/in.npz[{value}]"
            for key, value in (pair.split("=") for pair in inputs.split(";"))
        )
        if signature != "encode_style":
            given += f";alpha={tmp_path}/in.npz[alpha]"
        said = subprocess.run(
            [*cli, "run", *model, "--signature_def", signature, "--inputs", given],
            check=True, capture_output=True, text=True, timeout=300,
        ).stdout  # fmt: skip
        assert f"Result for output key {outputs}:" in said


TENSORFLOW = Path(tf.__file__).parent


@pytest.fixture(scope="module")
def stylised(tmp_path_factory, adain):
    """An export, two pictures, and what stylize.py makes of them."""
    root = tmp_path_factory.mktemp("c_api")
    for name, kind, side in (("tiger", "content", 200), ("scream", "styles", 128)):
        image = fit_shorter(read_image(ROOT / f"examples/{kind}/{name}.jpg"), side)
        write_image(root / f"{name}.jpg", image)
    arguments = {"checkpoint": "adain", "precision": "float32", "style-size": 0, "quality": 100,
                 "content-path": root / "tiger.jpg", "style-path": root / "scream.jpg",
                 "out-path": root}  # fmt: skip
    assert stylize_cli.main(["stylize.py", *(f"--{k}={v}" for k, v in arguments.items())]) == 0
    return adain.path, root, read_image(root / "tiger_stylized_scream.jpg")


def places(path):
    """The tensors of `stylize_bytes` in the graph: content, style, alpha, result."""
    proto = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    signature = proto.meta_graphs[0].signature_def["stylize_bytes"]
    inputs = [signature.inputs[name].name for name in ("content_bytes", "style_bytes", "alpha")]
    return [*inputs, signature.outputs["stylized_bytes"].name]


def assert_same(image, expected):
    """To two levels, but for the few pixels of a JPEG whose block one level otherwise moves."""
    levels = np.abs(image - expected) * 255
    assert levels.shape == expected.shape and levels.max() < 4.1 and np.mean(levels > 2.1) < 1e-4


@pytest.mark.slow
def test_the_c_api_stylises_without_python_of_tensorflow(stylised):
    path, root, expected = stylised
    command = [sys.executable, "-S", "-I", str(ROOT / "tests/c_api.py"), str(TENSORFLOW), str(path)]
    files = [str(root / name) for name in ("tiger.jpg", "scream.jpg", "result.jpg")]
    names = ",".join(places(path))
    subprocess.run([*command, *files, names], check=True, capture_output=True, timeout=300)
    assert_same(read_image(root / "result.jpg"), expected)
    (root / "bad.jpg").write_text("no picture")
    bad = [str(root / "bad.jpg"), *files[1:], names]
    run = subprocess.run([*command, *bad], capture_output=True, text=True, timeout=300)
    assert run.returncode == 3 and "neither a JPEG nor a PNG" in run.stderr  # INVALID_ARGUMENT


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_c_program_stylises(stylised):
    path, root, expected = stylised
    libraries = [f"-l:libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    subprocess.run(
        ["cc", ROOT / "tests/c_api.c", f"-I{TENSORFLOW}/include", f"-L{TENSORFLOW}", *libraries,
         f"-Wl,-rpath,{TENSORFLOW}", "-o", root / "c_api"],
        check=True, timeout=300,
    )  # fmt: skip
    files = [root / name for name in ("tiger.jpg", "scream.jpg", "from_c.jpg")]
    names = [part for place in places(path) for part in place.split(":")]
    subprocess.run([root / "c_api", path, *files, *names], check=True, timeout=300)
    assert_same(read_image(root / "from_c.jpg"), expected)


# -- requests for hours ----------------------------------------------------------------------------

FUZZ = """
from pathlib import Path
import numpy as np
import tensorflow as tf
stylize = tf.saved_model.load(sys.argv[1]).signatures["stylize_bytes"]
files = [np.frombuffer(path.read_bytes(), "uint8") for path in sorted(Path(sys.argv[2]).iterdir())]
def ask(content, style):
    given = {"content_bytes": [content.tobytes()], "style_bytes": [style.tobytes()]}
    given = {name: tf.constant(data) for name, data in given.items()}
    return stylize(**given, alpha=tf.ones(1))["stylized_bytes"].numpy()[0]
good, rng = ask(*files[:2]), np.random.default_rng(0)
answered = refused = 0
for k in range(1000):
    pair = [files[k % len(files)], files[k // 2 % len(files)]]
    data = pair[k % 2].copy()
    at = rng.integers(0, len(data), rng.integers(1, 8))
    data[at] = rng.integers(0, 256, len(at))
    if k % 5 == 0:
        data = data[: rng.integers(0, len(data))]
    pair[k % 2] = data
    try:
        assert ask(*pair)[:3] == b"\\xff\\xd8\\xff"
        answered += 1
    except tf.errors.InvalidArgumentError as error:
        assert "_bytes" in error.message or "Invalid" in error.message, error.message
        refused += 1
    if k % 100 == 0:
        assert ask(*files[:2]) == good
assert ask(*files[:2]) == good
print(answered, refused)
"""


@pytest.mark.slow
def test_changed_bytes_are_answered_or_refused(exported, tmp_path):
    """Nothing else comes of them: the process lives, and a good request has the same answer."""
    photo = read_image(ROOT / "examples/content/tiger.jpg")
    for name, kind in (("a", "jpg"), ("b", "png"), ("c", "jpg"), ("d", "png")):
        side = 20 + ord(name) % 9
        (tmp_path / name).write_bytes(encode_image(photo[-side:, :24], kind))
    answered, refused = map(int, python(FUZZ, exported.path, tmp_path).stdout.split())
    assert answered > 100 and refused > 100 and answered + refused == 1000


SOAK = """
import os
import numpy as np
import tensorflow as tf
stylize = tf.saved_model.load(sys.argv[1]).signatures["stylize_bytes"]
rng = np.random.default_rng(0)
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def jpeg():
    height, width = rng.integers(48, 161, 2)
    levels = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype("uint8")
    return tf.io.encode_jpeg(levels)[None]
for k in range(1, 501):
    stylize(content_bytes=jpeg(), style_bytes=jpeg(), alpha=tf.ones(1))
    if k % 100 == 0:
        print(memory())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no memory is told")
def test_memory_stays_over_500_requests(adain):
    memory = [int(line) for line in python(SOAK, adain.path, seconds=900).stdout.split()]
    assert len(memory) == 5 and memory[-1] <= 1.1 * memory[0], memory
