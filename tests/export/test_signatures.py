"""The signatures that a server runs: equal to the stylizer, and what they refuse."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from tf_style.export.graph_images import decode_picture
from tf_style.export.signatures import ServedStylizer
from tf_style.images.reading import read_image
from tf_style.images.writing import encode_image
from tf_style.inference.style_transfer import StyleTransfer
from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.predicted import PredictedStylizer

SMALL = {"contract": (6, 8, 10), "blocks": 1, "expand": (6, 4)}
NAMES = ("wave", "night", "scream")
PHOTO, PAINTING = picture(33, 41, 1), picture(40, 24, 2)
BYTES = {name: encode_image(image, "png") for name, image in
         {"photo": PHOTO, "painting": PAINTING, "large": picture(60, 60, 3)}.items()}  # fmt: skip
LIMITS = {"max_bytes": 20_000, "max_pixels": 64 * 64}
MODELS = {
    "adain": lambda: AdaINStylizer("vgg16", "relu2_1", color_transfer=True),
    "table": lambda: ConditionalStylizer(NAMES, **SMALL),
    "predicted": lambda: PredictedStylizer("vgg16", **SMALL),
}


@pytest.fixture(
    scope="module",
    params=["adain", "table", pytest.param("predicted", marks=pytest.mark.slow)],
)
def served(request):
    """A stylizer as a function of pictures, and its signatures."""
    keras.utils.set_random_seed(3)
    stylizer = MODELS[request.param]()
    rng = np.random.default_rng(0)
    for row in getattr(getattr(stylizer, "table", None), "rows", ()):
        row.assign(row.numpy() + rng.normal(0, 0.3, row.shape))
    return StyleTransfer(stylizer), ServedStylizer(stylizer, **LIMITS).signatures()


def call(function, **inputs):
    return {
        k: v.numpy() for k, v in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()
    }


def style_of(stylize):
    """One style: as arrays, as text or bytes, and for `StyleTransfer`."""
    if stylize.styles:
        weights = np.float32([[0.25, 0.75, 0]])
        return {"style_weights": weights}, {"style_names": ["wave:1, night:3"]}, "wave:1,night:3"
    return {"style": PAINTING[None]}, {"style_bytes": [BYTES["painting"]]}, as_read("painting")


def as_read(name):
    return read_image(io.BytesIO(BYTES[name]))


def alpha_of(stylize, value):
    return {} if stylize.styles else {"alpha": np.float32([value])}


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_floats_are_the_stylizers(served, alpha):
    stylize, signatures = served
    alpha = 1.0 if stylize.styles else alpha
    plain, _, style = style_of(stylize)
    given = {"content": PHOTO[None]} | alpha_of(stylize, alpha)
    found = call(signatures["serving_default"], **given, **plain)
    style = style if stylize.styles else PAINTING
    assert found.keys() == {"stylized"} and found["stylized"].shape == (1, 33, 41, 3)
    np.testing.assert_allclose(found["stylized"][0], stylize(PHOTO, style, alpha), atol=1e-5)
    encoded = call(signatures["encode_style"], **plain)
    assert encoded.keys() == {"statistics"}
    np.testing.assert_allclose(encoded["statistics"][0], stylize.encode_style(style), atol=1e-5)
    again = call(signatures["stylize_encoded"], **given, **encoded)
    np.testing.assert_allclose(again["stylized"], found["stylized"], atol=1e-6)


def test_a_table_has_signatures_with_a_strength_too(served):
    stylize, signatures = served
    if not stylize.styles:
        assert not [name for name in signatures if name.endswith("_with_alpha")]
        return
    plain, simple, style = style_of(stylize)
    alpha = {"alpha": np.float32([0.4])}
    expected = stylize(PHOTO, style, 0.4)
    given = {"content": PHOTO[None]} | alpha
    found = call(signatures["stylize_with_alpha"], **given, **plain)["stylized"][0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    encoded = call(signatures["encode_style"], **plain)
    again = call(signatures["stylize_encoded_with_alpha"], **given, **encoded)["stylized"][0]
    np.testing.assert_allclose(again, found, atol=1e-6)
    given = {"content_bytes": [BYTES["photo"]]} | alpha
    of_bytes = call(signatures["stylize_bytes_with_alpha"], **given, **simple)["stylized_bytes"]
    encoded = call(signatures["encode_style_names"], **simple)
    twice = call(signatures["stylize_encoded_bytes_with_alpha"], **given, **encoded)
    assert twice["stylized_bytes"][0] == of_bytes[0]


def test_bytes_are_the_stylizers(served):
    stylize, signatures = served
    _, simple, style = style_of(stylize)
    given = {"content_bytes": [BYTES["photo"]]} | alpha_of(stylize, 1)
    found = call(signatures["stylize_bytes"], **given, **simple)["stylized_bytes"]
    expected = stylize(as_read("photo"), style)
    again = read_image(io.BytesIO(encode_image(expected, "jpg", quality=95)))
    # Two encoders, of values that are a level apart here and there.
    difference = read_image(io.BytesIO(found[0])) - again
    assert np.sqrt(np.mean(difference**2)) < 1 / 255
    name = next(key for key in signatures if key.startswith("encode_style_"))
    encoded = call(signatures[name], **simple)
    twice = call(signatures["stylize_encoded_bytes"], **given, **encoded)["stylized_bytes"]
    assert twice[0] == found[0]


def test_pictures_of_a_batch_may_differ_in_size(served):
    stylize, signatures = served
    _, simple, _ = style_of(stylize)
    files = [BYTES["photo"], BYTES["large"], BYTES["painting"]]
    batch = {"content_bytes": files} | {k: 3 * v for k, v in simple.items()}
    batch |= {k: np.repeat(v, 3) for k, v in alpha_of(stylize, 1).items()}
    found = call(signatures["stylize_bytes"], **batch)["stylized_bytes"]
    for file, result in zip(files, found, strict=True):
        alone = {"content_bytes": [file]} | simple | alpha_of(stylize, 1)
        assert call(signatures["stylize_bytes"], **alone)["stylized_bytes"][0] == result
        sizes = [decode_picture(data, "", 10**6, 10**6).shape for data in (result, file)]
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize("served", ["table"], indirect=True)
def test_a_name_picks_and_a_mixture_blends(served):
    stylize, signatures = served
    encode = signatures["encode_style_names"]
    found = call(encode, style_names=["night", "wave:0.6,night:0.4", " scream : 2e-1 "])
    for statistics, name in zip(
        found["statistics"], ("night", "wave:0.6,night:0.4", "scream"), strict=True
    ):
        np.testing.assert_allclose(statistics, stylize.encode_style(name), rtol=1e-5, atol=1e-6)


def test_names_that_hold_what_separates_names():
    from tf_style.nn.conditional import ConditionalStylizer

    names = ("10:30", "Night, rain", "Night", "Cafe\u0301", "a.b")
    stylizer = ConditionalStylizer(names, (4, 4, 4), 0, (4, 4))
    for k, row in enumerate(stylizer.table.rows):
        row.assign(row + k)
    stylize, signatures = StyleTransfer(stylizer), ServedStylizer(stylizer).signatures()
    typed = ["10:30", "Night, rain:0.5, 10:30:1", "Night", "Caf\u00e9,Night", "a.b:2,Night, rain"]
    found = call(signatures["encode_style_names"], style_names=typed)["statistics"]
    for statistics, name in zip(found, typed, strict=True):
        np.testing.assert_allclose(statistics, stylize.encode_style(name), rtol=1e-5)
    assert not np.allclose(found[0], found[1])


BAD_PICTURES = {
    "content_bytes": [(b"", "`content_bytes` is empty"), (b"GIF89a" * 9, "neither a JPEG nor"),
                      (BYTES["photo"] + bytes(20_000), "has over 20000 bytes"),
                      (encode_image(picture(90, 90), "jpg"), "4096 pixels at most")],
    "style_bytes": [(encode_image(picture(1, 1), "png"), "`style_bytes` must be 16 px or more"),
                    (BYTES["painting"][:100], "Invalid PNG")],
    "style_names": [(b"waves", "must be of wave, night, scream.*waves"),
                    (b"wave:x", "could not correctly convert string: x"),
                    (b"wave:-1", "must be 0 or more, not all 0"),
                    (b"wave:0", "must be 0 or more, not all 0"), (b"wave:nan", "not all 0"),
                    (b"", "must be of wave")],
}  # fmt: skip
BAD_ALPHAS = [np.nan, 7.0, -0.1]
BAD_FLOATS = {
    "content": [(np.full((1, 20, 20, 3), np.nan), "`content` must be in"),
                (np.full((1, 20, 20, 3), 255.0), "`content` must be in.*255"),
                (np.zeros((1, 15, 90, 3)), "`content` must be 16 px or more.*15 90"),
                (np.zeros((1, 90, 90, 3)), "4096 pixels at most"),
                (np.zeros((2, 20, 20, 3)), "must be equally many")],
    "style": [(np.zeros((1, 1, 1, 3)), "`style` must be 16 px or more.*1 1")],
    "style_weights": [([[0, 0, 0]], "not all 0"), ([[np.inf, 0, 0]], "not all 0"),
                      ([[-1, 2, 0]], "0 or more")],
}  # fmt: skip


def refused(function, good, message, **bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        call(function, **good | bad)
    call(function, **good)  # The next request is answered.


def test_bad_bytes_are_refused_with_a_reason(served):
    stylize, signatures = served
    _, simple, _ = style_of(stylize)
    good = {"content_bytes": [BYTES["photo"]]} | simple | alpha_of(stylize, 1)
    for name in ("content_bytes", *simple):
        for value, message in BAD_PICTURES[name]:
            refused(signatures["stylize_bytes"], good, message, **{name: [value]})
    for alpha in BAD_ALPHAS if not stylize.styles else ():
        message = "`alpha` must be between 0 and 1"
        refused(signatures["stylize_bytes"], good, message, alpha=np.float32([alpha]))


def test_bad_floats_are_refused_with_a_reason(served):
    stylize, signatures = served
    plain, _, style = style_of(stylize)
    good = {"content": PHOTO[None]} | plain | alpha_of(stylize, 1)
    for name in ("content", *plain):
        for value, message in BAD_FLOATS[name]:
            refused(signatures["serving_default"], good, message, **{name: np.float32(value)})
    statistics = stylize.encode_style(PAINTING if not stylize.styles else style)[None]
    good = {"content": PHOTO[None], "statistics": statistics} | alpha_of(stylize, 1)
    message = "`statistics` must be finite"
    refused(signatures["stylize_encoded"], good, message, statistics=np.nan * statistics)


def test_nothing_in_the_graph_is_of_one_machine(served):
    """The loader fuses; and no Python is called back."""
    _, signatures = served
    for function in signatures.values():
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        ops = {node.op for node in nodes}
        assert not [op for op in ops if "Fused" in op or "Mkl" in op or "Py" in op], ops
        assert not any(node.device for node in nodes)
