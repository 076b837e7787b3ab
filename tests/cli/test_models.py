import json

from conftest import ROOT

from tf_style.cli import models
from tf_style.inference.config import StylizeConfig


def test_every_model_that_ships_is_listed_with_size_licence_and_example(capsys):
    assert models.main(["tf-style models"]) == 0
    text = capsys.readouterr().out
    folders = sorted(path.parent for path in ROOT.glob("tf_style/pretrained/*/config.json"))
    found = models.shipped_models()
    assert [name for name, *_ in found] == [folder.name for folder in folders]
    for folder, (name, what, size, licence, example) in zip(folders, found, strict=True):
        assert f"{name}\n" in text and example in text and licence in ("MIT", "Apache License 2.0")
        megabytes = (folder / "stylizer.npz").stat().st_size / 1e6
        assert abs(size - megabytes) < 0.1
        styles = json.loads((folder / "config.json").read_text())["model"].get("styles", [])
        assert (f"{len(styles)} styles" in what) == bool(styles)
        assert name in StylizeConfig.__dataclass_fields__["checkpoint"].metadata["help"]
