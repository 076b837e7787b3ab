"""The losses that move the decoder, and the learning rate at which they do."""

import math

import keras
import numpy as np
import pytest

from tf_style.adain import restyled, statistics_of
from tf_style.config import TrainConfig
from tf_style.errors import UserError
from tf_style.grain import random_grain
from tf_style.trainer import AdaINTrainer, LearningRate

TINY = {
    "encoder": "vgg16",
    "content_layer": "relu2_1",
    "style_layers": ("relu1_1", "relu2_1"),
    "batch_size": 2,
}


def pictures(count=2, side=16, seed=0):
    return np.random.default_rng(seed).random((count, side, side, 3), "float32")


@pytest.fixture(scope="module")
def trainer():
    return AdaINTrainer(TrainConfig(**TINY, tv_weight=3.0, identity_weight=5.0))


def moments(features):
    return features.mean((1, 2)), np.sqrt(features.var((1, 2)) + 1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_losses_are_the_papers(reduction):
    weights = {"content_weight": 2.0, "style_weight": 0.5, "gram_weight": 4.0, "tv_weight": 3.0,
               "identity_weight": 5.0}  # fmt: skip
    trainer = AdaINTrainer(TrainConfig(**TINY, **weights, style_reduction=reduction))
    content, style, mask = pictures(seed=1), pictures(seed=2), np.float32([1, 0])
    found = {k: v.numpy() for k, v in trainer.losses(content, style, mask).items()}

    def encode(image):
        return {name: np.asarray(x, "float64") for name, x in trainer.encoder(image).items()}

    content_features, style_features = encode(content), encode(style)
    mean, std = (m[:, None, None] for m in moments(content_features["relu2_1"]))
    style_mean, style_std = (m[:, None, None] for m in moments(style_features["relu2_1"]))
    target = (content_features["relu2_1"] - mean) / std * style_std + style_mean
    output = np.asarray(trainer.decoder({"relu2_1": target.astype("float32")}), "float64")
    output_features = encode(output.astype("float32"))

    reduce = {"sum": np.sum, "mean": np.mean}[reduction]
    expected = {"content": 2 * ((output_features["relu2_1"] - target) ** 2).mean((1, 2, 3))}
    for layer in TINY["style_layers"]:
        pairs = zip(moments(output_features[layer]), moments(style_features[layer]), strict=True)
        expected[f"style/{layer}"] = 0.5 * sum(reduce((a - b) ** 2, axis=-1) for a, b in pairs)
    for layer in TINY["style_layers"]:
        grams = [np.einsum("bijc,bijd->bcd", f, f) / np.prod(f.shape[1:3])
                 for f in (output_features[layer], style_features[layer])]  # fmt: skip
        expected[f"gram/{layer}"] = 4 * ((grams[0] - grams[1]) ** 2).mean((1, 2)) / 4
    down, across = np.diff(output, axis=1) ** 2, np.diff(output, axis=2) ** 2
    expected["tv"] = 3 * (down.mean((1, 2, 3)) + across.mean((1, 2, 3)))
    expected["identity"] = 5 * mask * ((output - content) ** 2).mean((1, 2, 3))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)


def test_skip_layers_take_the_style_in_training_too():
    trainer = AdaINTrainer(TrainConfig(**TINY, skip_layers=("relu1_2",)))
    last = trainer.decoder.get_layer("conv1_1")
    last.kernel.assign(0.02 * last.kernel)  # Middling greys: the stylizer clips, losses do not.
    content, style = pictures(seed=1), pictures(seed=2)
    losses = trainer.losses(content, style, np.zeros(2, "float32"))
    ones = np.ones(2, "float32")
    given = {"content": content, "style": style, "alpha": ones}
    image = np.asarray(trainer.stylizer(given))
    assert 0 < image.min() and image.max() < 1
    found = moments(np.asarray(trainer.encoder(image)["relu2_1"]))
    goal = moments(np.asarray(trainer.encoder(style)["relu2_1"]))
    expected = 0.01 * sum(((a - b) ** 2).sum(-1) for a, b in zip(found, goal, strict=True))
    np.testing.assert_allclose(losses["style/relu2_1"], expected, rtol=1e-3)
    assert trainer.model["skip_layers"] == ["relu1_2"]


def test_grain_is_on_the_photo_alone_and_another_at_every_step():
    plain = AdaINTrainer(TrainConfig(**TINY, identity_weight=1))
    trainer = AdaINTrainer(TrainConfig(**TINY, identity_weight=1, grain=0.2))
    content, style, ones = pictures(seed=1), pictures(seed=2), np.ones(2, "float32")
    for step in (0, 1):
        trainer.optimizer.iterations.assign(step)
        noisy = random_grain(content, 0.2, [trainer.config.seed, step])
        expected = plain.losses(noisy, style, ones)
        found = trainer.losses(content, style, ones)
        for name in expected.keys() - {"identity"}:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, err_msg=name)
        # What is to come out is the photo without it.
        of_noisy, of_style = ({"relu2_1": plain.encoder(x)["relu2_1"]} for x in (noisy, style))
        target = restyled(of_noisy, statistics_of(of_style), ones)
        error = np.mean((np.asarray(plain.decoder(target)) - content) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(found["identity"], error, rtol=1e-4)
    assert trainer.model["grain"] == trainer.stylizer.arguments["grain"] == 0.2


def test_only_the_decoder_moves(trainer):
    encoder = trainer.encoder.get_weights()
    decoder = trainer.decoder.get_weights()
    batch = (pictures(), pictures(seed=1), np.zeros(2, "float32"))
    _, faults = trainer.step(batch)
    assert not faults.numpy().any()
    for before, after in zip(encoder, trainer.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert any(np.any(a != b) for a, b in zip(decoder, trainer.decoder.get_weights(), strict=True))


def test_an_update_that_is_not_finite_is_not_made(trainer):
    before = trainer.state()
    content = pictures()
    content[0, 0, 0, 0] = np.nan  # which ReLU makes 0, so only the pixels' own loss shows it
    losses, faults = trainer.step((content, pictures(), np.zeros(2, "float32")))
    names = trainer.tensors([name for name in losses if name != "total"])
    assert len(names) == len(faults)
    assert names[np.flatnonzero(faults.numpy())[0]] == "the loss identity"
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


def test_style_layers_behind_the_content_layer_are_refused():
    with pytest.raises(UserError, match="must not lie behind `content_layer`. Received: relu3_1"):
        AdaINTrainer(TrainConfig(**{**TINY, "style_layers": ("relu3_1",)}))


def test_an_unknown_layer_lists_the_known():
    with pytest.raises(UserError, match="vgg16 has the layers relu1_1, .* Received: relu3_4"):
        AdaINTrainer(TrainConfig(**{**TINY, "style_layers": ("relu3_4",)}))


def test_stored_factors_are_taken():
    factors = dict.fromkeys(("relu1_1", "relu1_2", "relu2_1"), 0.25)
    trainer = AdaINTrainer(TrainConfig(**TINY), factors)
    assert trainer.model["factors"] == factors


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
