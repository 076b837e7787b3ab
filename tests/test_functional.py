"""Models made from their arguments, and the names of their variables."""

import keras
import pytest

from tf_style.functional import FromArguments, named_variables


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


def test_variables_are_named_by_part_and_layer():
    model = Scaled()
    named = named_variables({"a": model.layers, "b": [model.get_layer("dense")]})
    assert sorted(named) == ["a/dense/bias", "a/dense/kernel", "b/dense/bias", "b/dense/kernel"]
    assert named["a/dense/kernel"] is named["b/dense/kernel"] is model.get_layer("dense").kernel
    assert named_variables({}) == {}
