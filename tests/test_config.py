import dataclasses
import json
from pathlib import Path

import pytest

from tf_style.config import Options, decisive, from_dict, option, same_run
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.inference.config import StylizeConfig
from tf_style.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Paint(Options):
    presets = {"thick": {"brush": 9}}

    brush: int = option(3, "Width of the brush.", low=1, high=9, group="tools")
    colour: str = option("red", "Of the paint.", choices=("red", "blue"), group="tools")
    preset: str = option("", "Values to start from.")


@dataclasses.dataclass(frozen=True)
class Varnish(Paint):
    brush: int = 5
    coats: int = option(1, "How often it is applied.", low=1, changeable=True)
    can: str = option("", "Where it is.", changeable=True, path="out")


def test_another_default_keeps_the_help_and_the_checks():
    brush, colour, *_ = dataclasses.fields(Varnish)
    other_brush, other_colour, _ = dataclasses.fields(Paint)
    assert (brush.default, brush.metadata) == (5, other_brush.metadata)
    assert (colour.default, colour.metadata) == ("red", other_colour.metadata)
    assert (Varnish().brush, Paint().brush) == (5, 3)
    with pytest.raises(UserError, match="`brush` must be between 1 and 9. Received: 10"):
        Varnish(brush=10)


def test_a_run_stays_the_same_whatever_changeable_options_it_gets():
    assert decisive(Varnish(coats=3)) == {"brush": 5, "colour": "red", "preset": ""}
    before = dataclasses.asdict(Varnish(coats=3, can="old"))
    same_run(before, Varnish(can="new"), "shed")
    with pytest.raises(UserError) as fault:
        same_run(before, Varnish(brush=6, can="new"), "shed")
    assert str(fault.value) == (
        "The run in shed has brush=5, not 6: give the same options, another --can, or --overwrite "
        "to begin anew."
    )
    same_run(before, Varnish(brush=6), "shed", free=("brush",))


def test_a_run_had_the_default_of_an_option_that_is_younger():
    before = {"brush": 5, "older": "option"}
    same_run(before, Varnish(), "shed")
    with pytest.raises(UserError, match="The run in shed has colour='red', not 'blue': give "):
        same_run(before, Varnish(colour="blue"), "shed")


def test_paths_that_are_given():
    assert Varnish().paths("out") == {}
    assert Varnish(can="x").paths("out") == {"can": "x"} and Varnish(can="x").paths("in") == {}


def test_what_has_a_default_is_not_empty():
    for config_class, name in ((TrainConfig, "checkpoint"), (StylizeConfig, "out_path")):
        with pytest.raises(UserError, match=f"`{name}` must not be empty. Received: ''"):
            config_class(**{name: ""})
    with pytest.raises(
        UserError, match=r"`checkpoint` must not be empty. Received: \('adain', ''\)"
    ):
        EvaluateConfig(checkpoint=("adain", ""))


def test_a_preset_is_the_default_of_what_is_not_given():
    assert from_dict(Paint, {"preset": "thick"}).brush == 9
    assert from_dict(Paint, {"preset": "thick", "brush": 2}).brush == 2
    assert from_dict(Paint, {"preset": "thin"}).brush == 3


def test_lists_and_paths_are_taken_and_can_be_written():
    config = TrainConfig(style_layers=["relu1_1"], content_path=Path("a", "b"))
    assert config.style_layers == ("relu1_1",) and config.content_path == str(Path("a", "b"))
    assert StylizeConfig(style_weights=[3, 1]).style_weights == (3, 1)
    with pytest.raises(UserError, match="`style_weights` must be 0 or more. Received: -1"):
        StylizeConfig(style_weights=[3, -1])
    assert json.loads(json.dumps(dataclasses.asdict(config)))["content_path"] == "a/b"


def test_unknown_field():
    with pytest.raises(UserError, match="Unknown option 'alhpa'; StylizeConfig has .*'alpha'"):
        from_dict(StylizeConfig, {"alpha": 1, "alhpa": 1})
