"""Judging stylizers: folders, going on, SavedModels."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import picture, write_checkpoint
from PIL import Image

from tf_style.errors import UserError
from tf_style.evaluate import main
from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.evaluation import evaluate
from tf_style.evaluation.methods import methods_of
from tf_style.evaluation.pairs import Pair
from tf_style.evaluation.summary import summary
from tf_style.export.config import ExportConfig
from tf_style.export.exporting import export_model
from tf_style.images.reading import read_image
from tf_style.images.writing import write_image

LAYERS = {"content_layer": "relu2_1", "style_layers": ("relu1_1", "relu2_1")}


def test_a_summary_counts_every_layer_alike():
    def losses(content, a, b):
        style = {
            "moments": {"a": a, "b": b},
            "gram": {"a": a**2, "b": b**2},
            "centred": {"a": a, "b": b},
        }
        return {"content": content, "frame": 1.0, "checkerboard": 0.5} | style

    records = {
        "one": {"photo": losses(0, 2, 1000), "net": losses(1, 1, 1000)},
        "two": {"photo": losses(0, 1, 1), "net": losses(2, 0.5, 0), "slow": losses(3, 0, 0)},
    }
    found = summary(records)
    assert found["photo"]["moments"] == found["photo"]["gram"] == 1
    assert found["net"]["moments"] == pytest.approx((0.5 + 1 + 0.5 + 0) / 4)
    assert found["net"]["gram by layer"] == {"a": 0.25, "b": 0.5}
    assert (found["net"]["content"], found["net"]["pairs"], found["slow"]["pairs"]) == (1.5, 2, 1)


@pytest.fixture
def options(folders, tiny):
    paths = {"content_path": str(folders / "content"), "style_path": str(folders / "style")}
    return LAYERS | paths | {
        "checkpoint": (str(tiny),), "size": 64, "out_path": str(folders / "evaluation"),
        "gatys_evaluations": (), "precision": "float32",
    }  # fmt: skip


def test_gatys_method_gives_a_picture_after_each_number_of_evaluations():
    config = EvaluateConfig(gatys_evaluations=(4, 1), precision="float32")
    methods, rows = methods_of(config, {})
    assert rows["gatys"] == ("gatys 1", "gatys 4")
    photo, painting = picture(40, 40, 1), picture(40, 40, 2)
    pair = Pair("a/s", Path("a"), Path("s"), "s")
    first, last = methods["gatys"](pair, photo, painting)
    assert first.shape == last.shape == photo.shape and np.abs(first - last).max() > 1e-3
    assert methods["photo"](pair, photo, painting) == [photo]


@pytest.mark.slow
def test_a_folder(options, folders, stylize):
    options |= {"gatys_evaluations": (3, 6), "gatys_pairs": 1}
    records = list(evaluate(EvaluateConfig(**options)))
    assert [r.done for r in records] == [*range(1, 14), 13]
    out = folders / "evaluation"
    found = json.loads((out / "evaluation.json").read_text())
    assert found["summary"].keys() == {"photo", "recoloured", "tiny", "gatys 3", "gatys 6"}
    assert [found["summary"][k]["pairs"] for k in ("photo", "tiny", "gatys 6")] == [4, 4, 1]
    assert found["summary"]["gatys 6"]["gram"] < found["summary"]["gatys 3"]["gram"] < 1
    assert found["summary"]["photo"]["content"] == 0
    assert found["summary"]["recoloured"]["moments by layer"]["relu1_1"] < 1
    photo = read_image(out / "pictures/a/s/photo.png")
    image = read_image(out / "pictures/a/s/tiny.png")
    assert image.shape == photo.shape == (64, 64, 3)
    assert found["reconstruction"]["tiny"]["psnr"] > 5
    lines = (out / "evaluation.md").read_text().splitlines()
    assert len(lines) == 7 and lines[4].startswith("| tiny |")
    # A row a pair; photo, painting, recoloured, the model, Gatys' last.
    assert read_image(out / "sheet.jpg").shape == (4 * 68 - 4, 5 * 68 - 4, 3)


def test_it_goes_on_where_it_was_stopped(options, folders):
    config = EvaluateConfig(**options)
    asked = iter([False] * 3 + [True])
    assert len(list(evaluate(config, lambda: next(asked)))) == 3
    out = folders / "evaluation"
    assert len(judged(out)) == 3 and not (out / "evaluation.json").exists()
    mark = {"photo": {"content": 7.0, "moments": dict.fromkeys(LAYERS["style_layers"], 1.0),
            "gram": dict.fromkeys(LAYERS["style_layers"], 1.0),
            "centred": dict.fromkeys(LAYERS["style_layers"], 1.0), "frame": 1.0,
            "checkerboard": 1.0}}  # fmt: skip
    file = out / "pairs/a/s/photo.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rows": mark}))
    *again, _ = evaluate(config)
    assert [record.kept for record in again] == [True] * 3 + [False] * (len(again) - 3)
    found = json.loads((out / "evaluation.json").read_text())
    assert found["pairs"]["a/s"] | mark == found["pairs"]["a/s"]  # What was there was not redone.
    # Told before the model, which would not load, is read.
    (folders / "config.json").write_text("{}")
    other = EvaluateConfig(**options | {"size": 96, "checkpoint": (str(folders),)})
    with pytest.raises(UserError, match="The run in .* has checkpoint=.*another --out-path"):
        list(evaluate(other))
    list(evaluate(EvaluateConfig(**options | {"size": 96, "overwrite": True, "pairs": 1})))
    assert len(judged(out)) == 3
    # Results of the same options are removed as well.
    anew = EvaluateConfig(**options | {"size": 96, "overwrite": True, "pairs": 1})
    assert len(list(evaluate(anew, lambda: bool(judged(out))))) == 1


def test_a_second_evaluation_in_the_folder_is_refused(options):
    first = evaluate(EvaluateConfig(**options))
    next(first)
    with pytest.raises(UserError, match=r"evaluation` is in use by process \d+ on"):
        next(evaluate(EvaluateConfig(**options, overwrite=True)))
    first.close()


def judged(folder):
    """The files of what has been judged."""
    return sorted((folder / "pairs").rglob("*.json"))


def test_what_has_changed_is_judged_anew(options, folders, tmp_path):
    model = write_checkpoint(tmp_path / "mine")
    config = EvaluateConfig(**options | {"checkpoint": (str(model),)})
    out = folders / "evaluation"

    def evaluated():
        """Which numbers are new, and all of them."""
        before = {file: file.stat().st_mtime_ns for file in judged(out)}
        list(evaluate(config))
        new = [file for file in judged(out) if before.get(file) != file.stat().st_mtime_ns]
        found = json.loads((out / "evaluation.json").read_text())
        return {str(file.relative_to(out / "pairs")) for file in new}, found

    new, first = evaluated()
    assert len(new) == 12 and evaluated() == (set(), first)
    arrays = dict(np.load(model / "stylizer.npz"))
    arrays["decoder/conv1_1/bias"] += np.float32([0.3, 0, 0])
    np.savez(model / "stylizer.npz", **arrays)
    new, second = evaluated()
    assert new == {f"{pair}/mine.json" for pair in ("a/s", "a/t", "b/s", "b/t")}
    assert second["summary"]["mine"] != first["summary"]["mine"]
    assert second["models_sha256"] != first["models_sha256"]
    write_image(folders / "style/t.png", picture(37, 26, 8), overwrite=True)
    new, third = evaluated()
    assert {name.split("/")[1] for name in new} == {"t"} and len(new) == 6
    assert third["pairs"]["a/s"] == second["pairs"]["a/s"]


def test_a_model_s_folder_is_not_taken_for_an_evaluation(options, tmp_path):
    model = write_checkpoint(tmp_path / "mine")
    before = (model / "config.json").read_bytes()
    options |= {"out_path": str(model), "overwrite": True, "pairs": 1}
    list(evaluate(EvaluateConfig(**options)))
    assert (model / "config.json").read_bytes() == before


def test_no_two_pairs_share_a_name(options, folders):
    for folder, names in {"content": ("a", "a_b"), "style": ("b_c", "c")}.items():
        shutil.rmtree(folders / folder)
        for name in names:
            seed = 9 * len(name) + ord(name[0])
            write_image(folders / folder / f"{name}.png", picture(64, 64, seed))
    list(evaluate(EvaluateConfig(**options)))
    pairs = json.loads((folders / "evaluation/evaluation.json").read_text())["pairs"]
    assert list(pairs) == ["a/b_c", "a/c", "a_b/b_c", "a_b/c"]
    assert len({json.dumps(pair) for pair in pairs.values()}) == 4


def test_models_named_as_other_rows(options, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("photo", "gatys")
    for name in names:
        write_checkpoint(tmp_path / name)
    list(evaluate(EvaluateConfig(**options | {"checkpoint": names, "pairs": 1})))
    found = json.loads((folders / "evaluation/evaluation.json").read_text())["summary"]
    assert list(found) == ["photo", "recoloured", "photo (model)", "gatys (model)"]
    assert found["photo"]["moments"] == 1 and found["photo (model)"]["moments"] != 1
    others = EvaluateConfig(checkpoint=(".", "x/recoloured/", "gatys 50", "gatys2")).models()
    assert list(others) == [tmp_path.name, "recoloured (model)", "gatys 50 (model)", "gatys2"]


def test_a_photo_that_is_its_own_painting_is_left_out(options, folders):
    shutil.copy(folders / "content/a.png", folders / "style/a.png")
    # The same picture in another file.
    Image.open(folders / "content/b.png").save(folders / "style/b.bmp")
    records = list(evaluate(EvaluateConfig(**options)))
    assert records[0].note == "1 of 8 pairs left out: the photo is the painting"
    found = json.loads((folders / "evaluation/evaluation.json").read_text())
    assert len(found["pairs"]) == 7 and found["summary"]["tiny"]["pairs"] == 6
    assert np.isfinite(found["summary"]["tiny"]["gram"])
    for style, words in {"a.png": "is its own painting", "b.bmp": "No pair can be judged"}.items():
        paths = {"content_path": str(folders / "content" / f"{style[0]}.png")}
        paths |= {"style_path": str(folders / "style" / style), "overwrite": True}
        with pytest.raises(UserError, match=words):
            list(evaluate(EvaluateConfig(**options | paths)))


def test_a_thin_picture_is_cut_before_it_is_enlarged(options, folders):
    # Scaled first, 600 MB at 64 px.
    write_image(folders / "style/s.png", np.tile(picture(2, 60), (1, 400, 1)), overwrite=True)
    config = EvaluateConfig(**options | {"style_path": str(folders / "style/s.png"), "pairs": 1})
    tracemalloc.start()
    list(evaluate(config))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.slow
def test_a_saved_model_is_judged_as_its_checkpoint(options, folders, tmp_path):
    directory = write_checkpoint(tmp_path / "mine")
    served = export_model(
        ExportConfig(checkpoint=str(directory), export_path=str(tmp_path / "served"))
    )
    options |= {"checkpoint": (str(directory), str(served.path)), "pairs": 1}
    list(evaluate(EvaluateConfig(**options)))
    rows = json.loads((folders / "evaluation/evaluation.json").read_text())["summary"]
    assert rows["1"]["moments"] == pytest.approx(rows["mine"]["moments"], rel=1e-3)


def test_a_table_is_judged_on_its_own_paintings(options, folders, table):
    options |= {"checkpoint": (str(table),)}
    with pytest.raises(UserError, match="No painting is named as one of the styles of table: wave"):
        list(evaluate(EvaluateConfig(**options)))
    write_image(folders / "style/night.png", picture(70, 80, 9))
    records = list(evaluate(EvaluateConfig(**options)))
    assert [r.name for r in records[:2]] == ["a/night photo", "a/night recoloured"]
    found = json.loads((folders / "evaluation/evaluation.json").read_text())
    assert found["summary"]["table"]["pairs"] == 2 and not found["reconstruction"]


def test_the_script(options, folders, capsys):
    words = [f"--{k.replace('_', '-')}={','.join(v) if isinstance(v, tuple) else v}"
             for k, v in options.items()]  # fmt: skip
    assert main(["evaluate", *words]) == 0
    assert "evaluation.md" in capsys.readouterr().err
    assert main(["evaluate", *words, "--size=96"]) == 2
    assert main(["evaluate", "--content-path=nowhere", "--style-path=nowhere"]) == 2
    assert main(["evaluate", "--checkpoint=a/x,b/x"]) == 2
    assert "whose last names differ" in capsys.readouterr().err
