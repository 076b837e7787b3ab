"""What may change between two sittings of a training, and what makes it another."""

import dataclasses
import json

import pytest

from tf_style.errors import UserError
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig
from tf_style.training.resuming import check_options, check_surroundings, fingerprint


def record(**changes):
    config = dataclasses.asdict(TrainConfig())
    return {
        "model": {"encoder_sha256": "0" * 64},
        "training": config,
        "data": {"digests": {"content": "a", "style": "b"}},
        "versions": {"threads": 2, "replicas": 1},
    } | changes


@pytest.mark.parametrize(
    "name", ["device", "steps_per_call", "profile", "deterministic", "save_iter"]
)
def test_what_the_machine_does_is_free(name):
    check_options({name: "something else"}, TrainConfig())


def test_other_options_are_another_run():
    with pytest.raises(UserError, match="has batch_size=3, not 8: give the same options"):
        check_options({"batch_size": 3}, TrainConfig())


# By method, options and values that are not the defaults.
CHANGES = {
    TrainConfig: {"color_transfer": True, "style_layers": ("relu1_1",), "max_images": 3},
    ConditionalConfig: {"grain": 0.1, "contract": (4, 5, 6), "weights_for": "normalised"},
    PredictedConfig: {"backbone": "mobilenet_v2", "plain_styles": True, "batch_size": 3},
}


@pytest.mark.parametrize("config_class", CHANGES)
def test_what_an_older_run_lacks_was_the_default(config_class):
    for name, value in CHANGES[config_class].items():
        before = json.loads(json.dumps(dataclasses.asdict(config_class())))
        del before[name]
        check_options(before, config_class())
        with pytest.raises(UserError, match=f"has {name}=.*, not .*: give the same options"):
            check_options(before, config_class(**{name: value}))


def test_a_model_without_a_training_is_not_resumed():
    with pytest.raises(UserError, match="ckpt has a model without its training"):
        check_options({}, TrainConfig())


def test_another_number_of_devices_is_said():
    new = record(versions={"threads": 2, "replicas": 16})
    (sentence,) = check_surroundings(record(), new)
    assert sentence.startswith(
        "replicas was 1 and is now 16: the run continues, but not bit for bit"
    )


@pytest.mark.parametrize("options, data", [({"seed": 1}, "b"), ({}, "c")])
def test_workers_that_would_train_something_else_differ(options, data):
    def told(data, **options):
        return fingerprint(3, TrainConfig(**options), {"digests": {"style": data}})

    assert told("b") == told("b", device="gpu:1")
    assert told("b") != told(data, **options)
