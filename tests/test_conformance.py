"""What every registered class must do, one table for all; a class not in it is a failure."""

import functools
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

import tf_style
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.color_transfer import ColorTransfer
from tf_style.nn.conditional import ConditionalStylizer, PixelMix, StyleTable
from tf_style.nn.decoder import Decoder
from tf_style.nn.grain import Grain
from tf_style.nn.layers import (
    AdaIN,
    ChannelStatistics,
    ConditionalInstanceNorm,
    CropLike,
    PadToMultiple,
    ReflectionPadding2D,
    SquareResizing,
)
from tf_style.nn.predicted import OwnStyleMix, PredictedStylizer, StylePredictor
from tf_style.nn.transfer_network import NeutralStyle, TransferNetwork
from tf_style.nn.vgg import VGGEncoder, VGGPreprocessing
from tf_style.training.trainer import LearningRate

RNG = np.random.default_rng(29)


@dataclass(frozen=True)
class Row:
    """A class, how to make one with nothing at its default, and arguments of odd sizes.

    Attributes:
        make: A new instance; takes the class's own keyword for the number type.
        arguments: Of a call: shapes, or a dictionary of them.
        outputs: Shapes of what the call gives.
        bfloat16: The keyword that asks for it, and the type of the output then.
    """

    make: Callable[..., Any]
    arguments: tuple = ()
    outputs: Any = None
    bfloat16: tuple[dict[str, str], str] | None = None


MIXED = {"dtype": "mixed_bfloat16"}
COMPUTE = {"compute_dtype": "bfloat16"}
PAIR = {"content": (2, 17, 23, 3), "style": (2, 19, 16, 3), "alpha": (2,)}

TABLE = {
    # -- layers --
    VGGPreprocessing: Row(
        lambda **k: VGGPreprocessing(name="given", **k),
        ((2, 5, 7, 3),),
        (2, 5, 7, 3),
        ({}, "float32"),
    ),
    ReflectionPadding2D: Row(
        lambda **k: ReflectionPadding2D(2, name="given", **k),
        ((2, 5, 7, 3),),
        (2, 9, 11, 3),
        (MIXED, "bfloat16"),
    ),
    PadToMultiple: Row(
        lambda **k: PadToMultiple(4, name="given", **k),
        ((2, 5, 7, 3),),
        (2, 8, 8, 3),
        (MIXED, "bfloat16"),
    ),
    CropLike: Row(
        lambda **k: CropLike(name="given", **k),
        ((2, 8, 8, 3), (2, 5, 7, 1)),
        (2, 5, 7, 3),
        (MIXED, "bfloat16"),
    ),
    Grain: Row(
        lambda **k: Grain(0.1, name="given", **k),
        ((2, 5, 7, 3),),
        (2, 5, 7, 3),
        (MIXED, "bfloat16"),
    ),
    ColorTransfer: Row(
        lambda **k: ColorTransfer(name="given", **k),
        ((2, 5, 7, 3), (2, 2, 6), (2,)),
        (2, 5, 7, 3),
        ({}, "float32"),
    ),
    SquareResizing: Row(
        lambda **k: SquareResizing(4, name="given", **k),
        ((2, 5, 7, 3),),
        (2, 4, 4, 3),
        ({}, "float32"),
    ),
    ChannelStatistics: Row(
        lambda **k: ChannelStatistics(name="given", **k),
        ((2, 5, 7, 3),),
        (2, 2, 3),
        ({}, "float32"),
    ),
    AdaIN: Row(
        lambda **k: AdaIN(name="given", **k),
        ((2, 5, 7, 3), (2, 2, 3), (2,)),
        (2, 5, 7, 3),
        ({}, "float32"),
    ),
    ConditionalInstanceNorm: Row(
        lambda **k: ConditionalInstanceNorm(3, name="given", **k),
        ((2, 5, 7, 3), (2, 6)),
        (2, 5, 7, 3),
        ({}, "float32"),
    ),
    StyleTable: Row(
        lambda **k: StyleTable(("a", "b"), (2, 1), name="given", **k),
        ((3, 2),),
        (3, 6),
        ({}, "float32"),
    ),
    PixelMix: Row(
        lambda **k: PixelMix(name="given", **k),
        ((2, 17, 23, 3), (2, 17, 23, 3), (2,)),
        (2, 17, 23, 3),
        ({}, "float32"),
    ),
    # -- models --
    TransferNetwork: Row(
        lambda **k: TransferNetwork((4, 5, 6), 1, (3, 2), True, name="given", **k),
        ({"content": (2, 17, 23, 3), "parameters": (2, 40)},),
        (2, 17, 23, 3),
        (COMPUTE, "float32"),
    ),
    ConditionalStylizer: Row(
        lambda **k: ConditionalStylizer(
            ("a", "b"), (4, 5, 6), 1, (3, 2), grain=0.1, name="given", **k
        ),
        ({"content": (2, 17, 23, 3), "style_weights": (2, 2), "alpha": (2,)},),
        (2, 17, 23, 3),
        (COMPUTE, "float32"),
    ),
    StylePredictor: Row(
        lambda **k: StylePredictor("mobilenet_v2", 7, name="given", **k),
        ((2, 17, 23, 3),),
        (2, 7),
        (COMPUTE, "float32"),
    ),
    OwnStyleMix: Row(
        lambda **k: OwnStyleMix(StylePredictor("mobilenet_v2", 7, name="read"), name="given", **k),
        ((2, 17, 23, 3), (2, 7), (2,)),
        (2, 7),
        ({}, "float32"),
    ),
    PredictedStylizer: Row(
        lambda **k: PredictedStylizer(
            "mobilenet_v2", (4, 5, 6), 1, (3, 2), True, grain=0.1, name="given", **k
        ),
        (PAIR,),
        (2, 17, 23, 3),
        (COMPUTE, "float32"),
    ),
    VGGEncoder: Row(
        lambda **k: VGGEncoder("vgg16", ("relu2_1", "relu1_2"), "zero", "avg", name="given", **k),
        ((2, 17, 23, 3),),
        {"relu2_1": (2, 8, 11, 128), "relu1_2": (2, 17, 23, 64)},
        (COMPUTE, "bfloat16"),
    ),
    Decoder: Row(
        lambda **k: Decoder(
            "vgg16", "relu2_1", "zero", skip_layers=("relu1_2",), name="given", **k
        ),
        ({"relu2_1": (2, 5, 7, 128), "relu1_2": (2, 10, 14, 64)},),
        (2, 10, 14, 3),
        (COMPUTE, "float32"),
    ),
    AdaINStylizer: Row(
        lambda **k: AdaINStylizer(
            "vgg16",
            "relu2_1",
            "zero",
            "avg",
            skip_layers=("relu1_2",),
            grain=0.1,
            color_transfer=True,
            name="given",
            **k,
        ),
        (PAIR,),
        (2, 17, 23, 3),
        (COMPUTE, "float32"),
    ),
    # -- schedules --
    LearningRate: Row(lambda: LearningRate(0.1, "cosine", 0.2, 30, 4)),
    # -- initialisers --
    NeutralStyle: Row(lambda: NeutralStyle((2, 1))),
}
CALLABLE = [cls for cls, row in TABLE.items() if row.arguments]
MODELS = [cls for cls in TABLE if issubclass(cls, keras.Model)]

every = pytest.mark.parametrize("cls", TABLE, ids=lambda cls: cls.__name__)
every_callable = pytest.mark.parametrize("cls", CALLABLE, ids=lambda cls: cls.__name__)
every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)


@functools.cache
def made(cls, bfloat16=False):
    """An instance for all tests that do not change it."""
    row = TABLE[cls]
    return row.make(**row.bfloat16[0]) if bfloat16 and row.bfloat16 else row.make()


def shapes(tree, function):
    """The function of every shape in a shape, a tuple or a dictionary of shapes."""
    if isinstance(tree, dict):
        return {name: shapes(shape, function) for name, shape in tree.items()}
    return function(tree)


def arguments(row, dtype="float32"):
    def values(shape):
        return keras.ops.cast(RNG.uniform(0, 1, shape).astype("float32"), dtype)

    return [shapes(shape, values) for shape in row.arguments]


def call(instance, row, dtype="float32"):
    return keras.tree.map_structure(np.asarray, instance(*arguments(row, dtype)))


def same(a, b):
    return all(
        np.array_equal(x, y)
        for x, y in zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True)
    )


# -- completeness ----------------------------------------------------------------------------------


def test_no_class_is_missing_from_the_table():
    kinds = (
        keras.layers.Layer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.initializers.Initializer,
    )
    found = set()
    for info in pkgutil.walk_packages(tf_style.__path__, "tf_style."):
        module = importlib.import_module(info.name)
        found |= {
            cls
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if issubclass(cls, kinds) and cls.__module__.startswith("tf_style")
        }
    assert found == set(TABLE)


# -- configs ---------------------------------------------------------------------------------------


@every
def test_it_is_registered_under_the_packages_name(cls):
    assert keras.saving.get_registered_name(cls) == f"tf_style>{cls.__name__}"
    assert keras.saving.get_registered_object(f"tf_style>{cls.__name__}") is cls


@every
def test_its_config_goes_through_json_and_back(cls):
    instance = made(cls)
    kept = keras.saving.serialize_keras_object(instance)
    clone = keras.saving.deserialize_keras_object(json.loads(json.dumps(kept)))
    assert type(clone) is cls and clone.get_config() == instance.get_config()
    assert json.loads(json.dumps(clone.get_config())) == json.loads(json.dumps(kept["config"]))
    if isinstance(instance, keras.layers.Layer):
        assert clone.name == "given"
        assert clone.trainable == instance.trainable
        assert [v.shape for v in clone.weights] == [v.shape for v in instance.weights]


@every
def test_its_config_holds_every_argument_that_it_takes(cls):
    """As in the table, where none is at its default; so none is forgotten by `get_config`."""
    taken = inspect.signature(cls.__init__).parameters if "__init__" in vars(cls) else {}
    config = made(cls, bfloat16=True).get_config()
    for name in set(taken) - {"self", "args", "kwargs"}:
        assert name in config
        assert config[name] != taken[name].default or name == "dtype"


@every_model
def test_trainable_is_kept_and_handed_down(cls):
    assert bool(made(cls).trainable_weights) == made(cls).trainable
    trainable = not made(cls).trainable
    other = cls.from_config(made(cls).get_config() | {"trainable": trainable})
    assert other.get_config()["trainable"] == trainable == bool(other.trainable_weights)


# -- calls -----------------------------------------------------------------------------------------


@every_callable
def test_odd_sizes(cls):
    row = TABLE[cls]
    outputs = call(made(cls), row)
    assert keras.tree.map_structure(lambda x: x.shape, outputs) == row.outputs
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in keras.tree.flatten(outputs))


@every_callable
def test_the_shape_it_foretells_is_the_shape_it_has(cls):
    row = TABLE[cls]

    def symbol(shape):  # heights and widths unknown
        free = len(shape) == 4
        return keras.KerasTensor((None, None, None, shape[3]) if free else (None, *shape[1:]))

    foretold = made(cls)(*(shapes(shape, symbol) for shape in row.arguments))
    if isinstance(row.outputs, dict):
        assert foretold.keys() == row.outputs.keys()
        pairs = [(foretold[name].shape, shape) for name, shape in row.outputs.items()]
    else:
        pairs = [(foretold.shape, row.outputs)]
    for given, found in pairs:
        assert given[-1] == found[-1]
        assert all(g in (None, f) for g, f in zip(given, found, strict=True))


@every_callable
def test_bfloat16(cls):
    row = TABLE[cls]
    _, dtype = row.bfloat16
    instance = made(cls, bfloat16=True)
    # Models take images, which are float32; layers what the one before them gave.
    given = "float32" if issubclass(cls, keras.Model) else "bfloat16"
    outputs = keras.tree.flatten(instance(*arguments(row, given)))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs} == {dtype}
    assert all(np.isfinite(np.float32(keras.ops.cast(x, "float32"))).all() for x in outputs)


@every_callable
def test_it_does_not_change_its_arguments(cls):
    row = TABLE[cls]
    given = arguments(row)
    before = keras.tree.map_structure(np.array, given)
    made(cls)(*given)
    assert same(given, before)


@every_model
def test_training_makes_no_difference(cls):
    row = TABLE[cls]
    model, given = made(cls), arguments(row)
    found = (model(*given, training=training) for training in (True, False))
    assert same(*(keras.tree.map_structure(np.asarray, outputs) for outputs in found))


# -- files -----------------------------------------------------------------------------------------


@every_model
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_loaded_and_its_weights_alone(cls, tmp_path):
    row, model = TABLE[cls], made(cls)
    given = arguments(row)
    expected = keras.tree.map_structure(np.asarray, model(*given))
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert type(loaded) is cls and loaded.get_config() == model.get_config()
    assert same(keras.tree.map_structure(np.asarray, loaded(*given)), expected)
    model.save_weights(tmp_path / "a.weights.h5")
    other = row.make()
    other.load_weights(tmp_path / "a.weights.h5")
    assert same(keras.tree.map_structure(np.asarray, other(*given)), expected)


# -- the schedule ----------------------------------------------------------------------------------


def test_learning_rate_is_the_same_after_a_round_trip():
    schedule = TABLE[LearningRate].make()
    clone = LearningRate.from_config(schedule.get_config())
    for step in (0, 3, 17, 30):
        assert float(clone(step)) == float(schedule(step))
