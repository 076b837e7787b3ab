"""Files for programs without TensorFlow: the stylizer's pictures, in the program's own runtime."""

import os
import re
import sys

import numpy as np
import pytest
from conftest import ROOT

from tf_style.errors import UserError
from tf_style.export.config import SUFFIXES, ExportConfig
from tf_style.export.exporting import export_model
from tf_style.export.formats import FORMATS
from tf_style.images.quality import psnr
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer, fit_shorter
from tf_style.inference.style_transfer import load

PHOTO = fit_longer(read_image(ROOT / "examples/content/tiger.jpg"), 203)
PAINTING = fit_shorter(read_image(ROOT / "examples/styles/scream.jpg"), 121)
# Least PSNR in dB of formats that round weights: measured (69.7, 68.5, 46.9, 37.9, 37.0, 46.2), and
# 2 dB under that where it is below 50. magenta's weights are published as int8 with scales.
LEAST = {"litert_float16": {"adain": 50, "magenta26": 50, "magenta": 44.9},
         "litert_int8": {"adain": 35.9, "magenta26": 35, "magenta": 44.2}}  # fmt: skip


def test_every_format_of_the_option_is_there():
    assert ["savedmodel", *FORMATS] == list(SUFFIXES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adain", "magenta26", "magenta"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_photo_is_the_stylizers(tmp_path, shipped, kind, name):
    format_ = FORMATS[kind]
    path = tmp_path / f"{name}{SUFFIXES[kind]}"
    config = ExportConfig(checkpoint=name, export_path=str(path), export_format=kind)
    found = export_model(config)
    assert found.path == path and found.size == sum(p.stat().st_size for p in tmp_path.iterdir())
    stylize = shipped(name)
    given = {"content": PHOTO[None]}
    if stylize.styles:
        given["style_weights"] = np.eye(1, 26, 3, "float32")
        expected = stylize(PHOTO, "magenta03")
    else:
        given["style"] = PAINTING[None]
        expected = stylize(PHOTO, PAINTING)
    given["alpha"] = np.ones(1, "float32")
    image = format_.load(path, given)()[0]
    assert image.shape == PHOTO.shape
    psnr = -10 * np.log10(np.mean((image - expected) ** 2) + 1e-12)
    assert psnr >= LEAST.get(kind, {}).get(name, 50), psnr


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_path_need_not_be_utf_8(tmp_path, table, kind):
    name = os.fsdecode(b"caf\xe9")
    path = tmp_path / name / f"{name}{SUFFIXES[kind]}"
    config = ExportConfig(checkpoint=str(table), export_path=str(path), export_format=kind)
    assert export_model(config).path == path
    assert path in path.parent.iterdir()
    assert {found.stem for found in path.parent.iterdir()} == {path.stem}


def test_litert_names_what_it_takes_and_gives(tmp_path, table):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    stylize, path = load(table, "float32"), tmp_path / "a.tflite"
    FORMATS["litert_float16"].write(stylize.stylizer, path)
    interpreter = runtime.Interpreter(str(path))
    names = {"inputs": ["alpha", "content", "style_weights"], "outputs": ["stylized"]}
    assert interpreter.get_signature_list() == {"serving_default": names}
    run = interpreter.get_signature_runner()
    for photo in (PHOTO, PHOTO[:64, :91]):  # Of any size.
        given = {"content": photo[None], "style_weights": np.eye(1, 4, 1, "float32")}
        for alpha in (1.0, 0.4):
            found = run(**given, alpha=np.float32([alpha]))["stylized"][0]
            assert psnr(found, stylize(photo, "night", alpha)) > 50


@pytest.mark.slow
def test_the_lines_for_other_programs_run(tmp_path, shipped, monkeypatch):
    """Those of the documentation, where a processor has bfloat16 too."""
    page = (ROOT / "docs/serving.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(import openvino.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for kind in ("openvino", "litert_float16"):
        path = f"adain{SUFFIXES[kind]}"
        export_model(ExportConfig(export_path=path, export_format=kind))
    scope = {"photo": PHOTO, "painting": PAINTING}
    exec(compile(code, "serving.md", "exec"), scope)
    expected = shipped("adain")(PHOTO, PAINTING)
    assert psnr(scope["by_openvino"][0], expected) > 80  # 40.7 in bfloat16.
    assert psnr(scope["by_litert"][0], expected) > LEAST["litert_float16"]["adain"]


FAULTS = [
    ({"export_path": "a.pb", "export_format": "onnx"}, "ends in .onnx for onnx. Received: a.pb"),
    ({"export_path": "a", "export_format": "openvino"}, "ends in .xml for openvino. Received: a"),
    ({"export_path": "a.onnx"}, "of that name give --export-format onnx. Received: a.onnx"),
    ({"export_path": "a.tflite"}, "--export-format litert_float16 or litert_int8. Received"),
    ({"export_format": "onnx", "warmup_sizes": (32,)}, "`warmup_sizes` are for"),
    ({"export_format": "onnx", "precision": "bfloat16"}, "`precision` must be float32"),
    ({"export_format": "tfjs"}, "must be one of savedmodel, onnx"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_faults(changes, message):
    """Told of the options alone, before anything is loaded."""
    with pytest.raises(UserError, match=message):
        ExportConfig(**{"export_path": "a.onnx"} | changes)


@pytest.mark.parametrize(
    ("kind", "name", "there"), [("onnx", "a.onnx", "a.onnx"), ("openvino", "a.xml", "a.bin")]
)
def test_a_file_is_not_replaced_unasked(tmp_path, kind, name, there):
    (tmp_path / there).write_text("mine")
    config = ExportConfig(export_path=str(tmp_path / name), export_format=kind)
    with pytest.raises(UserError, match=rf"{there}` exists already"):
        export_model(config)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(there, "mine")]


@pytest.mark.parametrize(
    ("kind", "package"),
    [("onnx", "tf2onnx"), ("openvino", "openvino"), ("litert_int8", "ai_edge_litert.interpreter")],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"a{SUFFIXES[kind]}"
    config = ExportConfig(checkpoint="magenta26", export_path=str(path), export_format=kind)
    with pytest.raises(UserError, match=rf"pip install 'tf_style\[{FORMATS[kind].extra}\]'"):
        export_model(config)
    assert list(tmp_path.iterdir()) == []
