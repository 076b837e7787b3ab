import dataclasses
import json
import math

import pytest

from tf_style.config import from_dict
from tf_style.errors import UserError
from tf_style.export.config import ExportConfig
from tf_style.gatys.config import PRESETS, GatysConfig
from tf_style.inference.config import StylizeConfig
from tf_style.mixtures import weighted
from tf_style.option_groups import GROUPS, STYLE_LOSS_NAMES, by_group, check_count
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig

CONFIGS = [TrainConfig, ConditionalConfig, PredictedConfig, StylizeConfig, GatysConfig,
           ExportConfig]  # fmt: skip
FIELDS = [
    pytest.param(config, field, id=f"{config.__name__}.{field.name}")
    for config in CONFIGS
    for field in dataclasses.fields(config)
]

# train.lua of https://github.com/xunhuang1995/AdaIN-style; Adam's decay rule is torch/optim's.
PAPER = {
    "encoder": "vgg19",
    "padding": "reflect",
    "pooling": "max",
    "content_layer": "relu4_1",  # -contentLayers
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),  # -styleLayers
    "content_weight": 1.0,  # -contentWeight
    "style_weight": 1e-2,  # -styleWeight
    "style_reduction": "sum",  # sums over channels
    "tv_weight": 0.0,  # -tvWeight
    "learning_rate": 1e-4,  # -learningRate
    "lr_decay": 5e-5,  # -learningRateDecay
    "lr_schedule": "inverse",  # adam.lua: lr / (1 + t * decay)
    "batch_size": 8,  # -batchSize
    "max_iter": 160_000,  # -maxIter
    "resize_size": 512,  # -finalSize's square is cut out of a picture of this shorter side
    "crop_size": 256,  # -finalSize
    # What is not in the paper is off.
    "identity_weight": 0.0,
    "warmup_iter": 0,
    "max_images": 0,
    "precision": "float32",
}


def test_training_defaults_are_the_papers():
    config = TrainConfig()
    assert {name: getattr(config, name) for name in PAPER} == PAPER


def test_stylize_defaults():
    config = StylizeConfig()
    # test.lua: -contentSize 512 is smaller, -styleSize 512 and -alpha 1 are the same.
    assert (config.style_size, config.alpha, config.passes) == (512, 1.0, 1)
    assert (config.content_size, config.preserve_color, config.style_weights) == (1024, "none", ())
    assert not (config.overwrite or config.skip_existing or config.crop or config.concat)


# Of https://doi.org/10.1109/CVPR.2016.265, sections 2 and 3.
GATYS = {
    "encoder": "vgg19",
    "pooling": "avg",
    "content_layers": ("relu4_2",),
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    "style_loss": ("gram",),
    "style_weight": 1000.0,  # alpha / beta = 1e-3
    "init": "noise",
    "padding": "zero",
    "scales": 1,
    "unbounded": True,
    "content_weight": 1.0,
    "tv_weight": 0.0,
    "weights_for": "normalised",
    "optimizer": "lbfgs",
    "content_size": 512,
    "style_scale": 1.0,  # "we always resized the image to the same size"
}


def test_a_preset_of_the_papers_values():
    config = from_dict(GatysConfig, {"preset": "paper"})
    assert {name: getattr(config, name) for name in GATYS} == GATYS
    # By name, so that another default changes none; but those that all presets have.
    own = set(GATYS) - {"encoder", "content_size", "style_scale"}
    assert own == set(PRESETS["paper"])


def test_published_ways_have_no_bounds():
    assert not GatysConfig().unbounded
    for preset in ("paper", "notebook", "jcjohnson"):
        assert from_dict(GatysConfig, {"preset": preset}).unbounded


@pytest.mark.parametrize("config, field", FIELDS)
def test_every_field_says_what_it_is(config, field):
    about = field.metadata
    assert len(about["help"]) > 10 and about["help"].endswith(".")
    assert about["group"]
    assert field.default is not dataclasses.MISSING
    if about["choices"]:
        assert field.default in about["choices"]
    number = field.type in (int, float) or field.type in (tuple[float, ...], tuple[int, ...])
    assert (about["low"] is not None) == number


@pytest.mark.parametrize("config", CONFIGS)
def test_fields_of_a_group_stand_together(config):
    groups = [field.metadata["group"] for field in by_group(config)]
    assert groups == sorted(groups, key=GROUPS.index)


@pytest.mark.parametrize(
    "config, field",
    [param for param in FIELDS if param.values[1].metadata["low"] is not None],
)
def test_bounds_of_every_number(config, field):
    about, several = field.metadata, isinstance(field.default, tuple)
    both = {"resize_size": 10**6} if field.name == "crop_size" else {}

    def make(value):
        least = max(1, about["low"])
        values = (least, *field.default[1:-1], value) if several else value
        return config(**both | {field.name: values})

    if field.name != "resize_size":  # Not below crop_size.
        make(about["low"])
    outside = [about["low"] - 1, math.nan, -math.inf]
    bounds = f"{about['low']} or more"
    if about["high"] is not None:
        make(about["high"])
        outside += [about["high"] + 1, math.inf]
        bounds = f"between {about['low']} and {about['high']}"
    for value in outside:
        with pytest.raises(UserError, match=f"`{field.name}` must be {bounds}. Received: {value}"):
            make(value)


@pytest.mark.parametrize("name", ["style_weight", "learning_rate", "max_iter"])
def test_infinity(name):
    with pytest.raises(UserError, match=f"`{name}` must be finite. Received: inf"):
        TrainConfig(**{name: math.inf})


@pytest.mark.parametrize(
    "config, field",
    [param for param in FIELDS if param.values[1].metadata["choices"]],
)
def test_choices(config, field):
    for choice in field.metadata["choices"]:
        assert getattr(config(**{field.name: choice}), field.name) == choice
    known = ", ".join(field.metadata["choices"])
    with pytest.raises(UserError, match=f"`{field.name}` must be one of {known}. Received: 'x'"):
        config(**{field.name: "x"})


@pytest.mark.parametrize(
    "config, values, message",
    [
        (TrainConfig, {"crop_size": 600}, "`crop_size` must be at most `resize_size`. Received: "
         "crop_size=600, resize_size=512"),
        (TrainConfig, {"val_content_path": "a"}, "`val_content_path` and `val_style_path` are "
         "given together"),
        (TrainConfig, {"val_style_path": "a"}, "are given together"),
        (StylizeConfig, {"overwrite": True, "skip_existing": True}, "exclude each other"),
        (StylizeConfig, {"style_weights": (0, 0)}, r"are all zero. Received: \(0, 0\)"),
        (GatysConfig, {"overwrite": True, "skip_existing": True}, "exclude each other"),
        (GatysConfig, {"overwrite": True, "resume": True}, "`overwrite` and `resume` exclude each"),
        (GatysConfig, {"style_weights": (0, 0)}, r"are all zero. Received: \(0, 0\)"),
        (GatysConfig, {"style_loss": ("gram", "cosine:2")}, "`style_loss` must be one of gram, "
         "polynomial, linear, moments, gaussian. Received: 'cosine'"),
        (GatysConfig, {"style_loss": ()}, "`style_loss` needs a weight above 0. Received: none"),
        (GatysConfig, {"content_layers": ("relu1_1:x",)}, "`content_layers` takes name:weight, 0 "
         "or more. Received: 'relu1_1:x'"),
        (GatysConfig, {"style_layers": ("relu1_1", "relu1_1:2")}, "`style_layers` names one twice."
         " Received: relu1_1,relu1_1:2"),
        (GatysConfig, {"content_weight": 0, "style_weight": 0}, "are both zero"),
        (GatysConfig, {"content_mask": ("a.png",)}, "go in pairs. Received: 1 and 0"),
        (GatysConfig, {"content_mask": ("a",), "style_mask": ("b",), "style_weights": (1, 2)},
         "`style_mask` is of one painting"),
        (GatysConfig, {"animation": "a.webm"}, "ends in .gif or .mp4. Received: a.webm"),
        (GatysConfig, {"animation": "a.gif", "save_every": 0}, "`save_every`, which is 0"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(config, values, message):
    with pytest.raises(UserError, match=message):
        config(**values)


@pytest.mark.parametrize("animation", ["a.gif", "a b/C.MP4"])
def test_gatys_options_that_go_together(animation):
    config = GatysConfig(animation=animation, style_mask=("a",), content_mask=("b",), resume=True,
                         skip_existing=True, content_weight=0)  # fmt: skip
    assert config.animation == animation


def test_names_of_the_style_losses_are_the_losses():
    from tf_style.nn.style_losses import STYLE_LOSSES

    assert set(STYLE_LOSS_NAMES) == set(STYLE_LOSSES)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_what_is_not_given(preset):
    values, default = PRESETS[preset], GatysConfig()
    config = from_dict(GatysConfig, {"preset": preset, "seed": 3})
    for field in dataclasses.fields(GatysConfig):
        given = {"preset": preset, "seed": 3} | values
        assert getattr(config, field.name) == given.get(field.name, getattr(default, field.name))
    for name in values:
        other = {"weights_for": "normalised", "pooling": "avg", "padding": "reflect",
                 "init": "style", "style_layers": ("relu1_1",), "content_layers": ("relu3_2",),
                 "style_loss": ("moments",), "optimizer": "adam"}.get(name, 2)  # fmt: skip
        config = from_dict(GatysConfig, {"preset": preset, name: other})
        assert getattr(config, name) == other


def test_weights_of_the_notebook_are_a_thousand_by_channels_squared():
    """Times the mean squared difference of Grams, which is 4 E_l."""
    config = from_dict(GatysConfig, {"preset": "notebook"})
    for layer, share in weighted(config.style_layers).items():
        channels = 64 * 2 ** min(int(layer[4]) - 1, 3)
        assert config.style_weight * share == pytest.approx(4 * 1e3 / channels**2)


def test_an_unknown_preset():
    with pytest.raises(
        UserError, match="`preset` must be one of default, paper, notebook, jcjohnson. Rec"
    ):
        from_dict(GatysConfig, {"preset": "best"})


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(style_layers=("relu1_1",), seed=7, content_path="a b", overwrite=True),
        StylizeConfig(style_weights=(3.0, 0.5), alpha=0.25, concat=True),
        GatysConfig(),
        GatysConfig(style_layers=("relu1_1:0.5",), style_weights=(1.0, 2.0), init="a b.png"),
        from_dict(GatysConfig, {"preset": "jcjohnson", "tv_weight": 0.0}),
    ],
)
def test_round_trip_through_json(config):
    text = json.dumps(dataclasses.asdict(config))
    assert from_dict(type(config), json.loads(text)) == config


@pytest.mark.parametrize("config", CONFIGS)
def test_frozen(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().seed = 3


def test_a_blend_needs_a_weight_for_each_style():
    check_count((1, 2), ["a", "b"])
    with pytest.raises(UserError, match="one number for each of 2 styles. Received: 3"):
        check_count((1, 2, 3), ["a", "b"])
