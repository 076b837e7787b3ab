"""The predictor of styles."""

import keras
import numpy as np
import pytest
from conftest import ROOT

from tf_style.encoder import build_encoder
from tf_style.errors import UserError
from tf_style.images import read_image
from tf_style.layout import resize
from tf_style.predictor import PREDICTOR_LAYERS, StylePredictor, fold_batch_norms

RNG = np.random.default_rng(7)


def test_folded_batch_norms_change_nothing():
    layers = [keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3, use_bias=False),
              keras.layers.BatchNormalization(), keras.layers.ReLU(),
              keras.layers.DepthwiseConv2D(3, use_bias=False),
              keras.layers.BatchNormalization()]  # fmt: skip
    model = keras.Sequential(layers)
    for layer in (model.layers[1], model.layers[4]):
        layer.set_weights([RNG.uniform(0.5, 2, 4) for _ in range(4)])
    images = np.float32(RNG.random((2, 12, 12, 3)))
    before = model(images, training=False).numpy()
    fold_batch_norms(model)
    np.testing.assert_allclose(model(images, training=False), before, rtol=1e-4, atol=1e-5)
    # Frozen: a batch does not normalise itself.
    np.testing.assert_allclose(model(images, training=True), before, rtol=1e-4, atol=1e-5)
    _, _, mean, variance = model.layers[1].get_weights()
    assert (mean == 0).all() and np.allclose(variance, 1 - 1e-3)


def test_the_predictor_sees_a_style_at_one_size():
    predictor = StylePredictor("vgg16", 5)
    encoder, _, _ = build_encoder("vgg16", PREDICTOR_LAYERS, "packaged")
    predictor.trunk.set_weights(encoder.get_weights())
    style = read_image(ROOT / "examples/styles/starry_night.jpg")
    small, large = (resize(style, side, side)[None] for side in (256, 512))
    a, b = predictor(small).numpy(), predictor(large).numpy()
    # What is left is the two resamplings' difference.
    assert np.linalg.norm(a - b) < 0.15 * np.linalg.norm(a)


def test_an_unknown_backbone():
    with pytest.raises(UserError, match="must be one of mobilenet_v2, vgg16. Received: 'resnet'"):
        StylePredictor("resnet")
