"""Models made from their arguments, and the names of their variables."""

import keras
import numpy as np
import pytest
from conftest import TINY, picture

from tf_style.errors import UserError
from tf_style.inference.style_transfer import load
from tf_style.inference.tiled import TiledTransfer
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.base import FromArguments, Stylizer, named_variables
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.predicted import PredictedStylizer, StylePredictor
from tf_style.nn.stylizers import STYLIZERS, from_checkpoint
from tf_style.training.adain import AdaINTrainer
from tf_style.training.config import TrainConfig


@keras.saving.register_keras_serializable(package="tests")
class Scaled(FromArguments, keras.Model):
    def __init__(self, units=2, **kwargs):
        features = keras.Input((3,))
        super().__init__(features, keras.layers.Dense(units, name="dense")(features), **kwargs)
        self.arguments = {"units": units}


def test_the_config_is_the_arguments_with_name_and_trainable():
    model = Scaled(4, name="four", trainable=False)
    assert model.get_config() == {"units": 4, "name": "four", "trainable": False}
    model.get_config()["units"] = 5
    assert model.get_config()["units"] == 4


@pytest.mark.parametrize("trainable", [True, False])
def test_a_clone_is_made_by_the_constructor(trainable):
    model = Scaled(4, name="four", trainable=trainable)
    clone = Scaled.from_config(model.get_config())
    assert type(clone) is Scaled and clone.get_config() == model.get_config()
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
    assert len(clone.trainable_weights) == (2 if trainable else 0)


def test_it_stays_a_functional_model():
    model = Scaled(4)
    assert [layer.name for layer in model.layers][1:] == ["dense"] and model.input_shape == (
        None,
        3,
    )


SMALL = {"contract": (4, 5, 6), "blocks": 1, "expand": (4, 3)}
STYLE_SHAPES = {"adain": (1, 24, 20, 3), "conditional": (1, 2), "predicted": (1, 24, 20, 3)}
MADE = {
    "adain": lambda: AdaINStylizer("vgg16", "relu1_1"),
    "conditional": lambda: ConditionalStylizer(("wave", "night"), **SMALL),
    "predicted": lambda: PredictedStylizer("vgg16", **SMALL),
}


def test_the_contract_is_tried_for_every_method():
    assert {stylizer.method for stylizer in STYLIZERS} == set(MADE)


@pytest.mark.parametrize("method", MADE)
def test_every_method_keeps_the_contract(method):
    stylizer, content = MADE[method](), picture(18, 21)[None]
    assert isinstance(stylizer, Stylizer) and type(stylizer).method == method
    assert stylizer.styles == (("wave", "night") if method == "conditional" else ())
    style = np.random.default_rng(0).random(STYLE_SHAPES[method], "float32")
    given = {"content": content, "statistics": stylizer.encode_style(style).numpy()}
    whole, half, none = (
        stylizer.transfer(given | {"alpha": np.float32([alpha])}).numpy() for alpha in (1, 0.5, 0)
    )
    assert whole.shape == content.shape and 0 <= whole.min() and whole.max() <= 1
    assert np.abs(whole - half).max() > 1e-4 < np.abs(half - none).max()
    assert (stylizer.encode_content is None) == (stylizer.decode is None)
    saved = stylizer.saved_variables()
    assert all(isinstance(variable, keras.Variable) for variable in saved.values())


def test_a_description_that_is_not_whole():
    with pytest.raises(UserError, match="'styles' is missing"):
        from_checkpoint({"method": "conditional", "model": {}})


def test_variables_are_named_by_part_and_layer():
    model = Scaled()
    named = named_variables({"a": model.layers, "b": [model.get_layer("dense")]})
    assert sorted(named) == ["a/dense/bias", "a/dense/kernel", "b/dense/bias", "b/dense/kernel"]
    assert named["a/dense/kernel"] is named["b/dense/kernel"] is model.get_layer("dense").kernel
    assert named_variables({}) == {}


@pytest.fixture
def set_keras():
    """Sets Keras to what the package does not use, and back at the end."""

    def set_keras(image_data_format, floatx, policy):
        keras.config.set_image_data_format(image_data_format)
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)

    yield set_keras
    set_keras("channels_last", "float32", "float32")


def test_nothing_depends_on_what_keras_is_set_to(set_keras, tiny, table):
    photo, painting = picture(33, 47, 1), picture(40, 41, 2)

    def made():
        """Pictures of models, as a whole and in tiles, and the losses of a training."""
        adain = load(tiny, "float32")
        yield from (adain(photo, painting), load(table, "float32")(photo, "wave"))
        yield TiledTransfer(adain)(photo, adain.encode_style(painting), tile=16)
        trainer = AdaINTrainer(TrainConfig(**TINY))
        batch = (picture(32, 32, k)[None] for k in range(2))
        yield from trainer.losses(*batch, np.zeros(1, "float32")).values()

    expected = list(map(np.asarray, made()))
    set_keras("channels_first", "float16", "mixed_bfloat16")
    for found, image in zip(made(), expected, strict=True):
        found = np.asarray(found)
        assert found.dtype == image.dtype and np.array_equal(found, image)
    # Keras' own network, which can be told neither.
    trunk = StylePredictor("mobilenet_v2").trunk
    assert {layer.compute_dtype for layer in trunk.layers} == {"float32"}
    assert keras.config.image_data_format() == "channels_first"
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == (
        "float16",
        "mixed_bfloat16",
    )
