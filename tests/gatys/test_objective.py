from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.objective import Objective, regions_at
from tf_style.nn.losses import content_loss, gram_loss
from tf_style.nn.statistics import gram_matrix, total_variation
from tf_style.nn.style_losses import LossWeights, layers_that_count, style_loss
from tf_style.nn.vgg import build_encoder

PHOTO, STYLE, OTHER, IMAGE = (picture(32, 40, seed) for seed in range(4))
LAYERS = ("relu1_1", "relu2_1")
GRAMS = {(layer, "gram"): 10.0 for layer in LAYERS}


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("vgg16", LAYERS)[0]


def value(objective, image=IMAGE):
    found, gradient = objective(tf.constant(image.reshape(-1)))
    return float(found), gradient.numpy().reshape(image.shape)


def halves(height=32, width=40):
    left = np.zeros((height, width), "float32")
    left[:, : width // 2] = 1
    return left, 1 - left


def test_a_layer_of_weight_zero_is_not_needed():
    layers = {"content_layers": ("relu4_2",), "style_layers": ("relu1_1", "relu3_1:0")}
    for weights_for in ("raw", "normalised"):
        config = GatysConfig(encoder="vgg16", weights_for=weights_for, **layers)
        assert layers_that_count(config) == ("relu4_2", "relu1_1")
        assert layers_that_count(replace(config, style_weight=0)) == ("relu4_2",)
    with pytest.raises(UserError, match="relu9_1"):
        layers_that_count(replace(config, style_layers=("relu9_1",)))


def test_the_value_is_its_parts_by_hand(encoder):
    style = {("relu1_1", "gram"): 3.0, ("relu2_1", "moments"): 5.0, ("relu2_1", "gaussian"): 7.0}
    weights = LossWeights({"relu2_1": 2.0, "relu1_1": 0.5}, style, 11.0)
    objective = Objective(encoder, PHOTO, STYLE, weights, seed=4)
    x, content, target = (encoder(image[None]) for image in (IMAGE, PHOTO, STYLE))
    parts = np.zeros(3)
    parts[0] = sum(w * content_loss(x[k], content[k])[0] for k, w in weights.content.items())
    for (layer, name), weight in style.items():
        loss = style_loss(name, target[layer], 4)
        statistics = [loss.statistics(of[layer]) for of in (x, target)]
        parts[1] += weight * loss.distance(*statistics)[0]
    parts[2] = 11 * total_variation(IMAGE[None])[0]
    np.testing.assert_allclose(value(objective)[0], parts.sum(), rtol=1e-4)
    for of in (objective.parts, objective.parts_of):
        np.testing.assert_allclose(of(IMAGE[None]), parts, rtol=1e-4)


def test_nothing_is_left_where_the_target_is(encoder):
    objective = Objective(encoder, PHOTO, PHOTO, LossWeights({"relu2_1": 1.0}, GRAMS))
    found, gradient = value(objective, PHOTO)
    assert found < 1e-8 and np.abs(gradient).max() < 1e-6


def test_the_gradient_is_the_difference_quotient(encoder):
    weights = LossWeights({"relu2_1": 1.0}, GRAMS | {("relu2_1", "gaussian"): 1.0}, 1.0)
    objective = Objective(encoder, PHOTO, STYLE, weights)
    gradient, h = value(objective)[1], 4e-3
    # Where it is largest, and along itself.
    steps = [np.eye(gradient.size)[k].reshape(gradient.shape)
             for k in np.argsort(np.abs(gradient).ravel())[[-1, -2, -3]]]  # fmt: skip
    steps.append(gradient / np.linalg.norm(gradient))
    for step in np.float32(steps):
        rise = value(objective, IMAGE + h * step)[0] - value(objective, IMAGE - h * step)[0]
        assert np.sum(gradient * step) == pytest.approx(rise / (2 * h), rel=3e-2)


def test_blended_styles_are_the_weighted_mean_of_their_grams(encoder):
    styles = [(STYLE, 3.0), (picture(24, 36, 5), 1.0)]
    objective = Objective(encoder, PHOTO, styles, LossWeights({}, GRAMS))
    one, two, x = (encoder(image[None]) for image in (STYLE, styles[1][0], IMAGE))
    expected = 0
    for layer in LAYERS:
        target = 0.75 * gram_matrix(one[layer]) + 0.25 * gram_matrix(two[layer])
        np.testing.assert_allclose(objective.style[layer, "gram"][0], target, rtol=1e-4, atol=1e-5)
        expected += 10 * gram_loss(gram_matrix(x[layer]), target)[0]
    np.testing.assert_allclose(value(objective)[0], expected, rtol=1e-4)


@pytest.mark.parametrize("kernel", ["gram", "moments", "gaussian"])
def test_masks_of_ones_are_no_masks(encoder, kernel):
    weights = LossWeights({"relu2_1": 1.0}, {("relu2_1", kernel): 10.0})
    ones = [np.ones((32, 40), "float32")]
    expected = value(Objective(encoder, PHOTO, STYLE, weights))
    found = value(Objective(encoder, PHOTO, STYLE, weights, ones, ones))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-2, atol=1e-5)


def test_the_style_of_a_region_asks_nothing_of_the_rest(encoder):
    masks = [np.zeros((32, 40), "float32") for _ in range(2)]
    masks[0][4:12, 4:14] = 1
    masks[1][18:28, 22:36] = 1
    weights = LossWeights({}, {("relu1_1", "gram"): 100.0})
    gradient = value(Objective(encoder, PHOTO, STYLE, weights, masks, halves()))[1]
    near = np.zeros((34, 42), bool)  # A convolution sees one pixel further.
    for dy in range(3):
        for dx in range(3):
            near[dy : dy + 32, dx : dx + 40] |= (masks[0] + masks[1]) > 0
    near = near[1:-1, 1:-1]
    assert np.all(gradient[~near] == 0) and near.mean() < 0.4
    assert all(np.abs(gradient[mask > 0]).max() > 1e-4 for mask in masks)


def test_each_region_has_the_style_of_its_own(encoder):
    """A picture of two halves is at the minimum if its halves are the style's."""
    weights = LossWeights({}, {("relu1_1", "gram"): 100.0})
    right, wrong = (Objective(encoder, PHOTO, STYLE, weights, halves(), masks)
                    for masks in (halves(), halves()[::-1]))  # fmt: skip
    assert value(right, STYLE)[0] < 1e-8 < 1e-3 < value(wrong, STYLE)[0]


@pytest.mark.parametrize("whose", ["content", "style"])
def test_an_empty_region(encoder, whose):
    masks = {"content": halves(), "style": halves()}
    masks[whose] = [halves()[0], np.zeros((32, 40), "float32")]
    message = f"Region 2 of the {whose} masks is empty at relu1_1, which has 40x32 positions"
    with pytest.raises(UserError, match=message):
        Objective(encoder, PHOTO, STYLE, LossWeights({}, GRAMS), masks["content"], masks["style"])


def test_regions_are_the_mean_of_the_pixels():
    mask = np.random.default_rng(0).random((32, 32)).astype("float32")
    [region] = regions_at([mask], (8, 8), "content", "relu3_1")
    assert region.shape == (1, 8, 8)
    assert float(tf.reduce_mean(region)) == pytest.approx(mask.mean(), rel=1e-2)
    assert regions_at([], (8, 8), "content", "relu3_1") == [None]


@pytest.mark.parametrize("weights", [({}, {}), ({"relu1_1": 0.0}, {("relu1_1", "gram"): 0.0})])
def test_weights_that_are_all_zero(weights):
    with pytest.raises(UserError, match="The weights of content and style are all zero"):
        LossWeights(*weights, 1.0)


def test_layers_that_count_nothing_are_left_out():
    weights = LossWeights({"relu4_1": 0, "relu2_1": 1}, GRAMS | {("relu5_1", "gram"): 0})
    assert weights.layers == ("relu2_1", "relu1_1")


def test_total_variation_beside_content_that_is_met(encoder):
    objective = Objective(encoder, PHOTO, [], LossWeights({"relu1_1": 1.0}, {}, 2.0))
    expected = 2 * float(total_variation(PHOTO[None])[0])
    assert value(objective, PHOTO)[0] == pytest.approx(expected, rel=1e-5)
    parts = objective.parts_of(PHOTO[None])
    np.testing.assert_allclose(parts, [0, 0, expected], rtol=1e-5, atol=1e-8)
