"""The predictor of styles."""

import keras
import numpy as np
import pytest
from conftest import ROOT

from tf_style.errors import UserError
from tf_style.images.reading import read_image
from tf_style.images.resizing import resize
from tf_style.nn.predicted import FEATURE_SCALE, PREDICTOR_LAYERS, StylePredictor, fold_batch_norms
from tf_style.nn.statistics import channel_moments
from tf_style.nn.vgg import build_encoder

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
    """What a picture's size changes is no more than what the resampling does."""
    keras.utils.set_random_seed(0)
    predictor = StylePredictor("vgg16")
    encoder, _, _ = build_encoder("vgg16", PREDICTOR_LAYERS, "packaged")
    predictor.trunk.set_weights(encoder.get_weights())
    bottleneck = predictor.get_layer("bottleneck")

    def at_its_own_size(image):
        features = encoder(image)
        moments = [np.ravel(channel_moments(features[name])) for name in PREDICTOR_LAYERS]
        return bottleneck((np.concatenate(moments)[None] - 1) / FEATURE_SCALE)

    def change(read):
        first, second = (np.asarray(read(image)) for image in (small, large))
        return np.linalg.norm(first - second) / np.linalg.norm(first)

    style = read_image(ROOT / "examples/styles/starry_night.jpg")
    small, large = (resize(style, side, side)[None] for side in (256, 512))
    np.testing.assert_allclose(predictor(small), at_its_own_size(small), atol=1e-5)
    # 0.15 and 0.26; by the moments themselves 0.16 and 0.32.
    assert change(predictor) < 0.7 * change(at_its_own_size)


def test_an_unknown_backbone():
    with pytest.raises(UserError, match="must be one of mobilenet_v2, vgg16. Received: 'resnet'"):
        StylePredictor("resnet")
