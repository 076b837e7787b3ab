"""The step of every training, its state, and the learning rate."""

import math

import keras
import numpy as np
import pytest
from conftest import TINY, pictures

from tf_style.training.adain import AdaINTrainer
from tf_style.training.config import TrainConfig
from tf_style.training.trainer import LearningRate


@pytest.fixture(scope="module")
def trainer():
    return AdaINTrainer(TrainConfig(**TINY, tv_weight=3.0, identity_weight=5.0))


def test_an_update_that_is_not_finite_is_not_made(trainer):
    before = trainer.state()
    content = pictures()
    # Some processors' ReLU makes 0 of it, so that of the losses only the pixels' own shows it.
    content[0, 0, 0, 0] = np.nan
    losses, faults = trainer.step((content, pictures(), np.zeros(2, "float32")))
    names = trainer.tensors([name for name in losses if name != "total"])
    assert len(names) == len(faults)
    found = [names[i] for i in np.flatnonzero(faults.numpy())]
    assert "the loss identity" in found and found[0].startswith("the loss")
    for name, value in trainer.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_first_step_is_adams(trainer):
    """Adam's first step is the learning rate in the direction of the gradient's sign."""
    trainer = AdaINTrainer(TrainConfig(**TINY, learning_rate=1e-3))
    before = trainer.decoder.get_weights()
    trainer.step((pictures(), pictures(seed=1), np.zeros(2, "float32")))
    steps = np.abs(before[0] - trainer.decoder.get_weights()[0])
    assert np.median(steps) == pytest.approx(1e-3, rel=1e-2)
    assert steps.max() <= 1.001e-3


def test_the_seed_makes_the_first_weights():
    first, again, other = (
        AdaINTrainer(TrainConfig(**TINY, seed=seed)).decoder.get_weights()[0] for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_what_is_stored_is_the_moving_average_of_the_weights():
    trainer = AdaINTrainer(TrainConfig(**TINY, learning_rate=1e-2, ema_momentum=0.75))
    first = trainer.stylizer_arrays()
    for name, variable in trainer.stored.items():  # Before the first step, the weights.
        np.testing.assert_array_equal(first[name], variable)
    expected = None
    for seed in range(3):
        trainer.step((pictures(seed=seed), pictures(seed=9), np.zeros(2, "float32")))
        now = {name: v.numpy() for name, v in trainer.stored.items()}
        expected = {k: 0.75 * (expected or now)[k] + 0.25 * x for k, x in now.items()}
    found = trainer.stylizer_arrays()
    for name, variable in trainer.stored.items():
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(variable, now[name])  # The training goes on with these.
        assert np.any(found[name] != now[name])


def test_the_state_is_all_there_is(trainer):
    state = trainer.state()
    slots = 2 * len(trainer.decoder.variables)
    assert len(state) >= len(trainer.decoder.variables) + slots + 1
    changed = {name: value + 1 for name, value in state.items()}
    trainer.restore(changed)
    for name, value in trainer.state().items():
        np.testing.assert_array_equal(value, changed[name])
    trainer.restore(state)
    with pytest.raises(KeyError):
        trainer.restore({})


def test_stored_factors_are_taken():
    layer_factors = dict.fromkeys(("relu1_1", "relu1_2", "relu2_1"), 0.25)
    trainer = AdaINTrainer(TrainConfig(**TINY), layer_factors)
    assert trainer.model["factors"] == layer_factors


@pytest.mark.parametrize("step", [0, 10_000, 20_000, 50_000, 160_000])
def test_inverse_decay_is_torchs(step):
    rate = LearningRate(1e-4, "inverse", decay=5e-5)
    assert float(rate(step)) == pytest.approx(1e-4 / (1 + step * 5e-5), rel=1e-6)


def test_inverse_decay_is_keras_own():
    ours = LearningRate(1e-4, "inverse", decay=5e-5)
    keras_own = keras.optimizers.schedules.InverseTimeDecay(1e-4, 1, 5e-5)
    for step in (0, 1, 777, 160_000):
        assert float(ours(step)) == pytest.approx(float(keras_own(step)), rel=1e-6)


def test_cosine_falls_from_the_rate_to_zero():
    rate = LearningRate(2.0, "cosine", steps=100)
    found = [float(rate(step)) for step in (0, 25, 50, 100)]
    assert found == pytest.approx([2, 1 + math.sqrt(0.5), 1, 0], abs=1e-6)


def test_warmup_rises_linearly():
    rate = LearningRate(1.0, "inverse", warmup=4)
    assert [float(rate(step)) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_learning_rate_round_trips():
    rate = LearningRate(1e-3, "cosine", steps=50, warmup=3)
    again = LearningRate.from_config(rate.get_config())
    assert [float(again(t)) for t in range(50)] == [float(rate(t)) for t in range(50)]
