"""Stylizers of many styles: tables, predicted styles, the published nets."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from tf_style import checkpoint
from tf_style.config import from_dict
from tf_style.errors import UserError
from tf_style.gatys.objective import Objective
from tf_style.gatys.optimisation import encoder_for
from tf_style.images.quality import border_ratio, detail, deviation, nyquist_ratio
from tf_style.images.reading import read_image
from tf_style.images.resizing import center_crop, fit_shorter, resize
from tf_style.inference.style_transfer import StyleTransfer, load
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.grain import grain_pattern
from tf_style.nn.layers import ReflectionPadding2D
from tf_style.nn.predicted import PredictedStylizer
from tf_style.training.config import ConditionalConfig

RNG = np.random.default_rng(7)
SMALL = {"contract": (6, 8, 10), "blocks": 1, "expand": (6, 4)}


def colourful(stylizer):
    """Styles that differ."""
    for row in stylizer.table.rows:
        row.assign(row.numpy() + RNG.normal(0, 0.3, row.shape))
    return stylizer


@pytest.fixture(scope="module")
def table():
    keras.utils.set_random_seed(2)
    return colourful(ConditionalStylizer(("wave", "night", "scream"), **SMALL))


def call(stylizer, content, weights):
    weights = np.tile(np.float32(weights), (len(content), 1))
    given = {"style_weights": weights, "alpha": np.ones(len(content), "float32")}
    return np.asarray(stylizer({"content": content} | given))


CONTENT = np.float32(RNG.random((1, 24, 32, 3)))


def test_the_two_parts_make_the_whole(table):
    weights = np.float32([[0.2, 0.8, 0.0]])
    statistics = table.encode_style(weights)
    given = {"statistics": statistics, "alpha": tf.ones(1)}
    parts = table.transfer({"content": tf.constant(CONTENT)} | given)
    assert np.array_equal(parts, call(table, CONTENT, weights[0]))


def test_a_blend_is_one_of_scales_and_shifts(table):
    rows = [row.numpy() for row in table.table.rows]
    found = table.encode_style(np.float32([[0.25, 0.75, 0]])).numpy()[0]
    np.testing.assert_allclose(found, 0.25 * rows[0] + 0.75 * rows[1], rtol=1e-6, atol=1e-7)


def test_a_style_that_is_added_changes_no_other_bit(table):
    more = ConditionalStylizer(("wave", "night", "scream", "new"), **SMALL)
    more.network.set_weights(table.network.get_weights())
    for old, new in zip(table.table.rows, more.table.rows, strict=False):
        new.assign(old)
    more.table.rows[3].assign(RNG.normal(0, 5, more.table.rows[3].shape))
    for weights in (*np.eye(3), (0.2, 0.3, 0.5)):
        before, after = call(table, CONTENT, weights), call(more, CONTENT, (*weights, 0))
        assert np.array_equal(before, after)
    assert not np.array_equal(call(more, CONTENT, (0, 0, 0, 1)), before)


@pytest.mark.parametrize("cls, first", [(ConditionalStylizer, ("a", "b")),
                                        (PredictedStylizer, "vgg16")])  # fmt: skip
def test_grain_is_laid_over_the_content_alone(cls, first):
    grainy, plain = cls(first, **SMALL, grain=0.2), cls(first, **SMALL)
    plain.set_weights(grainy.get_weights())
    height, width = CONTENT.shape[1:3]
    noisy = CONTENT + 0.2 * grain_pattern()[:height, :width]
    name, style = (
        ("style_weights", np.float32([[0.3, 0.7]]))
        if cls is ConditionalStylizer
        else ("style", np.float32(RNG.random((1, 40, 30, 3))))
    )
    given = {name: style, "alpha": np.ones(1, "float32")}
    expected = plain({"content": noisy} | given)
    np.testing.assert_allclose(grainy({"content": CONTENT} | given), expected, atol=1e-5)
    assert np.array_equal(grainy.encode_style(style), plain.encode_style(style))
    assert np.abs(plain({"content": CONTENT} | given) - expected).max() > 1e-3


def test_from_checkpoint_takes_grain():
    model = {"contract": [6, 8, 10], "blocks": 1, "expand": [6, 4], "styles": ["a"]}
    for grain in (0.0, 0.03):
        config = ConditionalStylizer.from_checkpoint(model | {"grain": grain}).get_config()
        assert config["grain"] == grain


def test_names_must_be_different():
    for names in ((), ("a", "a")):
        with pytest.raises(UserError, match="Names of styles must be different"):
            ConditionalStylizer(names, **SMALL)


@pytest.mark.parametrize("backbone", ["vgg16", "mobilenet_v2"])
def test_saved_variables_are_all_that_is_needed(backbone):
    model = {"contract": [6, 8, 10], "blocks": 1, "expand": [6, 4], "plain_contraction": True}
    model |= {"backbone": backbone, "grain": 0.0}
    one, other = (PredictedStylizer.from_checkpoint(model) for _ in range(2))
    stored = one.saved_variables()
    for variable in stored.values():
        variable.assign(variable.numpy() + RNG.normal(0, 0.1, variable.shape))
    for name, variable in other.saved_variables().items():
        variable.assign(stored[name])
    pictures = {"content": CONTENT, "style": np.float32(RNG.random((1, 40, 30, 3)))}
    pictures["alpha"] = np.ones(1, "float32")
    assert np.array_equal(one(pictures), other(pictures))
    assert not any("vgg" in name or "block1_conv1" in name for name in stored)


# -- the published nets ----------------------------------------------------------------------------

GOLDEN = np.load(ROOT / "tests/golden/magenta.npz")
# As tools/import_magenta.py has them.
PHOTO = center_crop(read_image(ROOT / "examples/content/astronaut.jpg"), 384)
PAINTING = resize(center_crop(read_image(ROOT / "examples/styles/starry_night.jpg")), 256, 256)


def test_magenta26_is_what_onnx_runtime_gives(shipped):
    stylize = shipped("magenta26")
    assert len(stylize.styles) == 26
    found = stylize(PHOTO[:96, :96], "magenta03:0.25,magenta11:0.75")
    np.testing.assert_allclose(found, GOLDEN["stylized26"], atol=1e-3)


def test_magenta_is_what_onnx_runtime_gives(shipped):
    stylize = shipped("magenta")
    statistics = stylize.encode_style(PAINTING)
    np.testing.assert_allclose(statistics, GOLDEN["statistics"], atol=1e-4)
    found = stylize.transfer(PHOTO, GOLDEN["statistics"])[::6, ::6]
    np.testing.assert_allclose(found, GOLDEN["stylized"], atol=1e-3)
    # And through both parts.
    np.testing.assert_allclose(stylize(PHOTO, PAINTING)[::6, ::6], GOLDEN["stylized"], atol=1e-3)


def test_magenta_takes_any_size(shipped):
    stylize = shipped("magenta")
    assert stylize(PHOTO[:97, :131], PAINTING, alpha=0.5).shape == (97, 131, 3)


# -- the models that ship --------------------------------------------------------------------------

NOISE = np.float32(np.random.default_rng(0).random((144, 144, 3)))
FLAT = np.full((144, 144, 3), (0.6, 0.45, 0.2), "float32")
MODELS = {
    "paintings": None,
    "magenta26": ("magenta00", "magenta07", "magenta16", "magenta23"),
    "magenta": ("scream", "starry_night"),
    "adain": ("scream", "starry_night"),
}


def results(name, image):
    """An image in some styles of a model, flat ones too, which `StyleTransfer` refuses.

    Without grain, which makes noise of what is flat.
    """
    trained = load(name, "float32").stylizer
    stylizer = type(trained)(**trained.arguments | {"grain": 0.0})
    stylizer.set_weights(trained.get_weights())
    stylize = StyleTransfer(stylizer)
    for style in MODELS[name] or stylize.styles:
        painting = style if stylize.styles else ROOT / f"examples/styles/{style}.jpg"
        statistics = stylize.encode_style(painting)
        yield stylize.decode(stylize.encode_content(image[None]), statistics[None])[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_frame_and_no_checkerboard(name):
    for image in results(name, FLAT):
        assert border_ratio(deviation(image)) < 1.5 and border_ratio(detail(image)) < 1.5
        assert nyquist_ratio(image) < 1.5
    # Of noise only the detail: reflected, it is the same twice over, which doubles the variance of
    # its coarse part, and no more.
    for image in results(name, NOISE):
        assert border_ratio(detail(image)) < 1.5 and border_ratio(deviation(image)) < 2.5
        assert nyquist_ratio(image[8:-8, 8:-8]) < 1.5


@pytest.mark.slow
def test_the_measures_see_a_frame_and_a_checkerboard(monkeypatch):
    lines = keras.layers.ZeroPadding2D
    monkeypatch.setattr(
        ReflectionPadding2D, "call", lambda self, x: lines(self.padding, dtype=x.dtype)(x)
    )
    ratios = [[border_ratio(energy(image)) for energy in (deviation, detail)]
              for image in results("paintings", FLAT)]  # fmt: skip
    assert np.max(ratios, axis=1).min() > 1.5, ratios
    board = NOISE.copy()
    board[::2, ::2] += 0.5
    assert nyquist_ratio(board) > 1.5 > nyquist_ratio(NOISE)


@pytest.mark.slow
def test_along_a_blend_the_style_loss_to_each_parent_is_monotone():
    """From one style to the other the loss to the first painting rises, to the second falls."""
    stylize, names = load("paintings", "float32"), ("starry_night", "scream")
    config = from_dict(
        ConditionalConfig, checkpoint.read_config(checkpoint.PRETRAINED / "paintings")["training"]
    )
    encoder, weights = encoder_for(config)
    parents = [
        fit_shorter(read_image(ROOT / f"examples/styles/{name}.jpg"), config.style_size)
        for name in names
    ]
    mixtures = [stylize.encode_style(f"{names[0]}:{4 - k},{names[1]}:{k}") for k in range(5)]
    for path in sorted(ROOT.glob("examples/content/*.jpg")):
        photo = fit_shorter(read_image(path), 256)
        images = [stylize.transfer(photo, mixture)[None] for mixture in mixtures]
        targets = [Objective(encoder, photo, parent, weights) for parent in parents]
        first, second = ([float(t.parts(image)[1]) for image in images] for t in targets)
        assert (np.diff(first) > 0).all() and (np.diff(second) < 0).all(), (path, first, second)
