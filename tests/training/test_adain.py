"""The losses that move the decoder."""

import numpy as np
import pytest
from conftest import TINY, pictures

from tf_style.errors import UserError
from tf_style.nn.adain import restyled, statistics_of
from tf_style.nn.color_transfer import ColorTransfer, color_channels
from tf_style.nn.grain import random_grain
from tf_style.training.adain import AdaINTrainer
from tf_style.training.config import TrainConfig


def moments(features):
    return features.mean((1, 2)), np.sqrt(features.var((1, 2)) + 1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_losses_are_the_papers(reduction):
    weights = {"content_weight": 2.0, "style_weight": 0.5, "gram_weight": 4.0, "tv_weight": 3.0,
               "covariance_weight": 6.0, "checkerboard_weight": 7.0,
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
        of_output, of_style = (
            np.stack([np.cov(f.reshape(-1, f.shape[-1]), rowvar=False, bias=True) for f in batch])
            for batch in (output_features[layer], style_features[layer])
        )
        share = ((of_output - of_style) ** 2).sum((1, 2)) / (of_style**2).sum((1, 2))
        expected[f"covariance/{layer}"] = 6 * share
    down, across = np.diff(output, axis=1) ** 2, np.diff(output, axis=2) ** 2
    expected["tv"] = 3 * (down.mean((1, 2, 3)) + across.mean((1, 2, 3)))
    d = np.float64([1, -4, 6, -4, 1]) / 16
    fine = [np.apply_along_axis(np.convolve, axis, output, d, "valid") ** 2 for axis in (1, 2)]
    expected["checkerboard"] = 7 * sum(x.mean((1, 2, 3)) for x in fine)
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


def test_colour_transfer_is_what_the_photo_is_given_and_not_what_it_is_held_against():
    options = TINY | {"identity_weight": 1, "grain": 0.2}
    plain = AdaINTrainer(TrainConfig(**options))
    trainer = AdaINTrainer(TrainConfig(**options, color_transfer=True))
    content, style, ones = pictures(seed=1), 0.3 * pictures(seed=2), np.ones(2, "float32")
    of_colors = statistics_of({}, color_channels(style))
    colored = np.asarray(ColorTransfer()(content, of_colors, ones))
    found, expected = (x.losses(y, style, ones) for x, y in ((trainer, content), (plain, colored)))
    for name in expected.keys() - {"identity"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, err_msg=name)
    # Of pairs whose style is the content it is the content that is to come out.
    pairs = (x.losses(content, content, ones)["identity"] for x in (trainer, plain))
    np.testing.assert_allclose(*pairs, rtol=1e-3)
    assert trainer.model["color_transfer"] and trainer.stylizer.arguments["color_transfer"]


def test_only_the_decoder_moves():
    trainer = AdaINTrainer(TrainConfig(**TINY, tv_weight=3.0, identity_weight=5.0))
    encoder = trainer.encoder.get_weights()
    decoder = trainer.decoder.get_weights()
    batch = (pictures(), pictures(seed=1), np.zeros(2, "float32"))
    _, faults = trainer.step(batch)
    assert not faults.numpy().any()
    for before, after in zip(encoder, trainer.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert any(np.any(a != b) for a, b in zip(decoder, trainer.decoder.get_weights(), strict=True))


def test_style_layers_behind_the_content_layer_are_refused():
    with pytest.raises(UserError, match="must not lie behind `content_layer`. Received: relu3_1"):
        AdaINTrainer(TrainConfig(**{**TINY, "style_layers": ("relu3_1",)}))


def test_an_unknown_layer_lists_the_known():
    with pytest.raises(UserError, match="vgg16 has the layers relu1_1, .* Received: relu3_4"):
        AdaINTrainer(TrainConfig(**{**TINY, "style_layers": ("relu3_4",)}))
