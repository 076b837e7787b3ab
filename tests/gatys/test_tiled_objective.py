"""The gradient by tiles against that of the whole."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from tf_style.errors import UserError
from tf_style.gatys.lbfgs import lbfgs
from tf_style.gatys.objective import Objective
from tf_style.gatys.tiled_objective import TiledObjective
from tf_style.images.tiling import tile_grid
from tf_style.nn.receptive_field import receptive_radius
from tf_style.nn.style_losses import LossWeights
from tf_style.nn.vgg import VGGEncoder, build_encoder, stride_of

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
STYLE = picture(70, 94, 1)


@functools.cache
def encoder_of(*layers, **options):
    return build_encoder("vgg16", layers, **options)[0]


def style_of(*kernels, layers=LAYERS):
    return {(layer, kernel): 10.0 for layer in layers for kernel in kernels}


def flat(image):
    return tf.constant(image.reshape(-1))


def check_equal(whole, tiled, pixels):
    """Value, parts and gradient, within 1e-4."""
    (value, gradient), (found, by_tiles) = whole(pixels), tiled(pixels)
    np.testing.assert_allclose(found, value, rtol=1e-4)
    parts, of_tiles = (of.parts_of(tf.reshape(pixels, of.shape)) for of in (whole, tiled))
    np.testing.assert_allclose(of_tiles, parts, rtol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(parts), value, rtol=1e-4)
    difference = by_tiles - gradient
    assert tf.norm(gradient) > 0
    assert tf.norm(difference) <= 1e-4 * tf.norm(gradient)
    assert tf.reduce_max(tf.abs(difference)) <= 1e-4 * tf.reduce_max(tf.abs(gradient))


def both(encoder, size, weights, styles=STYLE, masks=((), ()), tile=24):
    photo = picture(*size)
    return (
        Objective(encoder, photo, styles, weights, *masks),
        TiledObjective(encoder, photo, styles, weights, *masks, tile=tile),
    )


# -- equality --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, kernels, content, tv, options",
    [
        ((101, 87), ("gram",), {"relu3_1": 1.0}, 3.0, {}),
        ((96, 64), ("linear", "polynomial"), {"relu2_1": 1.0}, 0.0, {"pooling": "avg"}),
        ((63, 122), ("moments",), {}, 0.0, {"pooling": "avg"}),
        pytest.param(
            (90, 99), ("gram", "moments"), {"relu1_1": 0.5, "relu3_1": 1.0}, 1.0,
            {"padding": "zero"}, marks=pytest.mark.slow,
        ),
        ((98, 50), (), {"relu1_1": 1.0, "relu3_1": 2.0}, 5.0, {}),
    ],
)  # fmt: skip
def test_value_and_gradient_are_those_of_the_whole(size, kernels, content, tv, options):
    weights = LossWeights(content, style_of(*kernels), tv)
    whole, tiled = both(encoder_of(*LAYERS, **options), size, weights)
    for layer in content:
        np.testing.assert_allclose(tiled.content[layer], whole.content[layer], rtol=1e-4, atol=1e-4)
    assert len(tiled.boxes.core) > 5
    check_equal(whole, tiled, flat(picture(*size, 2)))


@pytest.mark.slow
def test_regions_of_which_some_tiles_have_nothing():
    size = 77, 100
    masks = [np.zeros(size, "float32") for _ in range(2)]
    masks[0][:20, :30] = 1
    masks[1][10:, 40:] = np.random.default_rng(0).random((67, 60))
    of_style = [np.zeros(STYLE.shape[:2], "float32") for _ in range(2)]
    of_style[0][:, :20], of_style[1][:, 20:] = 1, 1
    layers = "relu2_1", "relu3_1"
    weights = LossWeights({"relu2_1": 1.0}, style_of("gram", "moments", layers=layers))
    encoder = encoder_of(*layers, pooling="avg")
    whole, tiled = both(encoder, size, weights, masks=(masks, of_style))
    assert (tiled.shares["relu3_1"][0].numpy() == 0).sum() > 5
    check_equal(whole, tiled, flat(picture(*size, 2)))


def test_several_styles():
    styles = [(STYLE, 3.0), (picture(40, 44, 5), 1.0)]
    weights = LossWeights({}, style_of("gram", "moments", layers=("relu2_1",)))
    whole, tiled = both(encoder_of("relu2_1"), (64, 80), weights, styles)
    check_equal(whole, tiled, flat(picture(64, 80, 2)))


def test_one_tile():
    weights = LossWeights({"relu2_1": 1.0}, style_of("gram", layers=("relu2_1",)), 1.0)
    whole, tiled = both(encoder_of("relu2_1"), (40, 50), weights, tile=64)
    assert len(tiled.boxes.core) == 1
    check_equal(whole, tiled, flat(picture(40, 50, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("size, tile", [((301, 277), 48), ((256, 400), 96)])
def test_down_to_relu5_1(size, tile):
    layers = *LAYERS, "relu4_1", "relu5_1"
    weights = LossWeights({"relu4_2": 1.0}, style_of("gram", "moments", layers=layers), 1.0)
    encoder = encoder_of(*layers, "relu4_2", pooling="avg")
    check_equal(*both(encoder, size, weights, tile=tile), flat(picture(*size, 2)))


def test_bfloat16_is_of_the_convolutions_only():
    weights = LossWeights({"relu2_1": 1.0}, style_of("gram", layers=("relu2_1",)))
    encoder = encoder_of("relu2_1", compute_dtype="bfloat16")
    whole, tiled = both(encoder, (64, 80), weights)
    (value, gradient), (found, by_tiles) = (of(flat(picture(64, 80, 2))) for of in (whole, tiled))
    assert found.dtype == by_tiles.dtype == tf.float32
    # Features are rounded alike; sums over the tiles are float32.
    np.testing.assert_allclose(found, value, rtol=1e-3)
    assert tf.norm(by_tiles - gradient) < 0.02 * tf.norm(gradient)


@pytest.mark.slow
def test_the_first_steps_of_an_optimisation_are_the_same():
    weights = LossWeights({"relu2_1": 1.0}, style_of("gram", layers=("relu1_1", "relu2_1")))
    whole, tiled = both(encoder_of("relu1_1", "relu2_1"), (60, 72), weights)
    start = picture(60, 72)
    runs = [lbfgs(objective, start.reshape(-1)) for objective in (whole, tiled)]
    for states in itertools.islice(zip(*runs, strict=True), 5):
        assert states[0].evaluations == states[1].evaluations
        np.testing.assert_allclose(states[1].position, states[0].position, atol=1e-3)
    assert np.abs(states[0].position - start.reshape(-1)).max() > 0.05
    assert tiled.value_and_gradient.experimental_get_tracing_count() == 1


# -- cost ------------------------------------------------------------------------------------------


def convolutions_of(objective):
    function = objective.value_and_gradient.get_concrete_function()
    library = function.graph.as_graph_def().library.function
    return sum(node.op == "Conv2D" for body in library for node in body.node_def)


@pytest.mark.slow
def test_the_graph_does_not_grow_with_the_tiles():
    weights = LossWeights({"relu2_1": 1.0}, style_of("gram", layers=("relu2_1",)))
    few, many = (
        TiledObjective(encoder_of("relu2_1"), picture(96, 96), STYLE, weights, tile=tile)
        for tile in (48, 8)
    )
    assert len(many.boxes.core) > 4 * len(few.boxes.core) > 4
    # Three convolutions, once in each pass.
    assert convolutions_of(few) == convolutions_of(many) == 6


@pytest.mark.parametrize("side", [1024, 1500, 2048, 4096])
@pytest.mark.parametrize("encoder", ["vgg16", "vgg19"])
def test_passes_of_the_encoder(side, encoder):
    """Three of every window against two of the whole: at most 2.5 times the work."""
    encoder, stride = VGGEncoder(encoder, ("relu5_1",)), stride_of("relu5_1")
    tiles = tile_grid(side, side, 512, stride * receptive_radius(encoder.layers), stride)
    pixels = sum(tile.window.height * tile.window.width for tile in tiles)
    assert 3 * pixels <= 2.5 * 2 * side**2


# -- refusals --------------------------------------------------------------------------------------


def test_the_gaussian_kernel():
    weights = LossWeights({}, style_of("gram", "gaussian", layers=("relu1_1",)))
    message = "gaussian draws positions from the whole picture and cannot be computed in tiles"
    with pytest.raises(UserError, match=message):
        TiledObjective(encoder_of("relu1_1"), STYLE, STYLE, weights)


def test_an_empty_region():
    masks = [np.zeros(STYLE.shape[:2], "float32")]
    weights = LossWeights({}, style_of("gram", layers=("relu1_1",)))
    with pytest.raises(UserError, match="Region 1 of the content masks is empty at relu1_1"):
        TiledObjective(encoder_of("relu1_1"), STYLE, STYLE, weights, masks, masks, tile=24)
