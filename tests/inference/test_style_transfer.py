import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, picture

from tf_style import checkpoint
from tf_style.errors import NonFiniteError, UserError
from tf_style.images.color import LUMA
from tf_style.images.listing import list_images
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_longer, fit_shorter
from tf_style.images.writing import write_image
from tf_style.inference.style_transfer import load
from tf_style.nn.adain import AdaINStylizer, restyled

CONTENT, STYLE, OTHER = picture(40, 56), picture(48, 32, 1), picture(21, 64, 2)
CONV = "decoder/conv1_1/kernel"


# -- arrays ----------------------------------------------------------------------------------------


def test_a_picture_comes_out(stylize):
    image = stylize(CONTENT, STYLE)
    assert image.shape == CONTENT.shape and image.dtype == np.float32
    assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.01
    assert np.abs(image - stylize(CONTENT, OTHER)).max() > 0.01


@pytest.mark.parametrize("height, width", [(16, 16), (17, 16), (16, 31), (33, 47), (64, 20)])
def test_the_contents_size_exactly(stylize, height, width):
    assert stylize(picture(height, width), STYLE).shape == (height, width, 3)
    assert stylize(CONTENT, picture(height, width)).shape == CONTENT.shape


def test_all_sizes_share_one_trace(stylize):
    graphs = (stylize._encode_style, stylize._encode_content, stylize._decode)
    for height in range(16, 20):
        stylize(picture(height, 50 - height), picture(2 * height, height), alpha=0.5)
    assert [graph.experimental_get_tracing_count() for graph in graphs] == [1, 1, 1]


def test_a_batch_is_its_pictures(stylize, of_table):
    photos = np.stack([CONTENT, picture(*CONTENT.shape[:2], 5)])
    for model, styles in (
        (stylize, (STYLE, OTHER)),
        (of_table, ("wave", "night:1,lilies:2")),
    ):
        statistics = np.stack([model.encode_style(style) for style in styles])
        encoded = model.encode_content(photos)
        found = model.decode(encoded, statistics)
        for image, photo, style in zip(found, photos, styles, strict=True):
            np.testing.assert_allclose(image, model(photo, style), atol=1e-5)
        # The same photos once more, in other styles: nothing of the first is left.
        swapped = model.decode(encoded, statistics[::-1])
        np.testing.assert_allclose(swapped[0], model(photos[0], styles[1]), atol=1e-5)


def test_paths_uint8_and_other_floats(stylize, tmp_path):
    bytes_ = np.rint(255 * CONTENT).astype("uint8")
    write_image(tmp_path / "a.png", CONTENT)
    write_image(tmp_path / "s.png", STYLE)
    style = np.rint(255 * STYLE).astype("uint8")
    expected = stylize(bytes_.astype("float32") / 255, style)
    for content in (bytes_, tmp_path / "a.png", str(tmp_path / "a.png"), bytes_ / 255.0):
        np.testing.assert_allclose(stylize(content, tmp_path / "s.png"), expected, atol=1e-5)
    assert stylize(bytes_.astype("float16") / 255, style).dtype == np.float32


def test_the_arguments_stay_as_they_are(stylize):
    content, style = CONTENT.copy(), STYLE.copy()
    stylize(content, style)
    assert np.array_equal(content, CONTENT) and np.array_equal(style, STYLE)


def test_alpha(stylize):
    decoded, full = stylize(CONTENT, STYLE, alpha=0), stylize(CONTENT, STYLE, alpha=1)
    # 0 is the decoded photo: no style is in it.
    np.testing.assert_allclose(decoded, stylize(CONTENT, OTHER, alpha=0), atol=1e-6)
    features = stylize.stylizer.encoder(CONTENT[None])
    np.testing.assert_allclose(decoded, stylize.stylizer.decoder(features)[0], atol=1e-4)
    np.testing.assert_allclose(full, stylize(CONTENT, STYLE), atol=1e-6)
    between = stylize(CONTENT, STYLE, alpha=0.5)
    to_decoded, to_full = np.abs(between - decoded).mean(), np.abs(between - full).mean()
    assert max(to_decoded, to_full) < np.abs(decoded - full).mean()


def test_the_features_get_the_styles_moments(stylize):
    statistics = stylize.encode_style(STYLE)
    features = stylize.stylizer.encoder(CONTENT[None])
    moved = np.asarray(restyled(features, statistics[None], np.ones(1, "float32"))["relu2_1"])
    features = features["relu2_1"]
    live = np.asarray(features).std((0, 1, 2)) > 0.1
    assert live.sum() > 50
    np.testing.assert_allclose(moved.mean((0, 1, 2)), statistics[0], atol=1e-4)
    np.testing.assert_allclose(moved.std((0, 1, 2))[live], statistics[1][live], rtol=0.01)


def test_blend(stylize):
    weights = np.array([3, 1]) / 4
    statistics = np.stack([stylize.encode_style(one) for one in (STYLE, OTHER)])
    by_hand = stylize.transfer(CONTENT, np.tensordot(weights, statistics, 1).astype("float32"))
    for styles in ([STYLE, OTHER], (STYLE, OTHER)):
        blended = stylize(CONTENT, styles, style_weights=[3, 1])
        np.testing.assert_allclose(blended, by_hand, atol=1e-6)
    alone = stylize(CONTENT, [STYLE, OTHER], style_weights=[0, 0.1])
    np.testing.assert_allclose(alone, stylize(CONTENT, OTHER), atol=1e-6)
    equal = stylize(CONTENT, [STYLE, OTHER])
    expected = stylize(CONTENT, [STYLE, OTHER], style_weights=(1, 1))
    np.testing.assert_allclose(equal, expected, atol=1e-6)


@pytest.mark.parametrize(
    "weights", [[1], [1, 2, 3], [1, -1], [0, 0], [np.nan, 1], [np.inf, 1], [], 1, [[1, 1]]]
)
def test_bad_weights(stylize, weights):
    with pytest.raises(UserError, match="`style_weights` must be one number, .* of the 2 styles"):
        stylize(CONTENT, [STYLE, OTHER], style_weights=weights)


def test_no_style_at_all(stylize):
    with pytest.raises(UserError, match="for each of the 0 styles"):
        stylize(CONTENT, [])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, np.nan])
def test_bad_alpha(stylize, alpha):
    with pytest.raises(
        UserError, match=f"`alpha` must be between 0 and 1. Received: alpha={alpha}"
    ):
        stylize(CONTENT, STYLE, alpha=alpha)


@pytest.mark.parametrize(
    "image, message",
    [
        (picture(15, 40), "is 40x15: both sides must be 16 px or more"),
        (picture(40, 15), "is 15x40: both sides"),
        (CONTENT[None], r"must be an image .* Received: float32 of shape \(1, 40, 56, 3\)"),
        (CONTENT[..., 0], r"must be an image .* of shape \(40, 56\)"),
        (CONTENT[..., :2], "must be an image"),
        (CONTENT.astype("int64"), "must be an image .* Received: int64"),
        (255 * CONTENT, r"must be uint8, or float in \[0, 1\]. Received: float32 from .* to 2\d\d"),
        (2 * CONTENT - 1, r"must be uint8, or float in \[0, 1\]"),
        (CONTENT * np.nan, "from nan to nan"),
        ("none.jpg", "`none.jpg` does not exist"),
    ],
)
def test_what_is_no_picture(stylize, image, message):
    with pytest.raises(UserError, match=message):
        stylize(image, STYLE)
    with pytest.raises(UserError, match=message):
        stylize(CONTENT, image)


def test_a_path_is_named_when_it_is_too_small(stylize, tmp_path):
    write_image(tmp_path / "thin.png", picture(8, 40))
    with pytest.raises(UserError, match=r"thin\.png` is 40x8: both sides"):
        stylize(tmp_path / "thin.png", STYLE)


# -- results that are none -------------------------------------------------------------------------


def alternating(kernel):
    """So large that sums are infinity minus infinity."""
    signs = 1 - 2 * (np.arange(kernel.shape[-2])[:, None] % 2)
    return (3e38 * signs * np.ones_like(kernel)).astype("float32")


@pytest.mark.parametrize(
    "change, message",
    [(alternating, "NaN or infinity.*--precision float32"), (np.zeros_like, "one flat colour")],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_result(damaged, change, message, precision):
    # Infinity before the last ReLU, NaN behind it: where amx_bf16 multiplies, the ReLU of NaN is 0.
    before = {"decoder/conv1_2/kernel": lambda kernel: np.abs(change(kernel))}
    directory = damaged(arrays={CONV: change} | before)
    with pytest.raises(NonFiniteError, match=message):
        load(directory, precision)(CONTENT, STYLE)


def test_one_flat_colour_that_is_not_grey(damaged):
    # Its values differ over the channels, and yet it is flat.
    bias = {"decoder/conv1_1/bias": lambda bias: np.float32([0.2, 0.5, 0.9])}
    stylize = load(damaged(arrays={CONV: np.zeros_like} | bias))
    with pytest.raises(NonFiniteError, match="one flat colour"):
        stylize(CONTENT, STYLE)
    flat = np.broadcast_to(np.float32([1, 0, 0]), (20, 24, 3))
    np.testing.assert_allclose(stylize(flat, STYLE)[3, 4], [0.2, 0.5, 0.9], atol=1e-6)


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["relu1_1", pytest.param("relu3_1", marks=pytest.mark.slow)])
def test_any_layer(layer, tmp_path):
    from conftest import write_checkpoint

    directory = write_checkpoint(tmp_path / "a", layer)
    assert load(directory)(CONTENT, STYLE).shape == CONTENT.shape


def test_what_was_saved_is_what_is_loaded(stylize, tiny):
    arrays = np.load(tiny / "stylizer.npz")
    stored = stylize.stylizer.saved_variables()
    assert set(arrays) == set(stored)
    for name, variable in stored.items():
        assert np.array_equal(arrays[name], variable.numpy())


def test_half_precision_weights(tiny, stylize, tmp_path):
    shutil.copytree(tiny, tmp_path / "half")
    arrays = {
        name: value.astype("float16") for name, value in np.load(tiny / "stylizer.npz").items()
    }
    checkpoint.write_stylizer(tmp_path / "half", arrays)
    half = load(tmp_path / "half", "float32")(CONTENT, STYLE)
    np.testing.assert_allclose(half, stylize(CONTENT, STYLE), atol=5e-3)


def test_bfloat16_is_near(tiny, stylize):
    with_bfloat16 = load(tiny, "bfloat16")(CONTENT, STYLE)
    assert with_bfloat16.dtype == np.float32
    assert 0 < np.abs(with_bfloat16 - stylize(CONTENT, STYLE)).max() < 0.05


def test_encoder_weights_in_the_checkpoint(tiny, stylize, tmp_path):
    """As after training with a weight file of one's own: nothing is taken from the package."""
    config = json.loads((tiny / "config.json").read_text())
    model = config["model"] | {"encoder_weights": "stored"}
    stylizer = AdaINStylizer("vgg16", model["layer"])
    stylizer.set_weights(stylize.stylizer.get_weights())
    stored = stylizer.saved_variables()
    arrays = {name: variable.numpy() for name, variable in stored.items()}
    arrays["encoder/block1_conv1/kernel"] = arrays["encoder/block1_conv1/kernel"][:, :, ::-1]
    checkpoint.create(tmp_path / "own", {"method": "adain", "model": model}, arrays)
    own = load(tmp_path / "own", "float32")(CONTENT, STYLE)
    assert np.abs(own - stylize(CONTENT, STYLE)).max() > 1e-3


def test_bad_precision(tiny):
    with pytest.raises(UserError, match="`precision` must be one of auto, .* Received: 'half'"):
        load(tiny, "half")


def truncate(directory):
    path = directory / "stylizer.npz"
    path.write_bytes(path.read_bytes()[:10_000])


@pytest.mark.parametrize(
    "spoil, message",
    [
        (shutil.rmtree, "no checkpoint folder '.*damaged', nor a model of that name"),
        (lambda d: (d / "config.json").unlink(), "is no checkpoint: it has no config.json"),
        (lambda d: (d / "config.json").write_text("{"), r"config\.json cannot be read \("),
        (lambda d: (d / "config.json").write_text("[]"), "lacks `method` or `model`"),
        (lambda d: (d / "config.json").write_text('{"method": "adain"}'), "lacks `method` or"),
        (lambda d: (d / "config.json").write_bytes(b"\xff\xfe\0"), r"config\.json cannot be read"),
        (lambda d: (d / "stylizer.npz").unlink(), "it has no stylizer.npz"),
        (truncate, r"stylizer\.npz is truncated or damaged"),
        (lambda d: (d / "stylizer.npz").write_bytes(b""), r"stylizer\.npz is truncated or damag"),
    ],
)
def test_spoilt_checkpoints(damaged, spoil, message):
    directory = damaged()
    spoil(directory)
    with pytest.raises(UserError, match=message):
        load(directory)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"method": "cyclegan"}, "damaged cannot be built: the method 'cyclegan' is unknown"),
        ({"model": 3}, "config.json lacks `method` or `model`"),
        ({"layer": None}, "The model of .*damaged cannot be built: 'layer' is missing"),
        ({"layer": "relu9_9"}, "cannot be built: vgg16 has the layers .* Received: relu9_9"),
        ({"layer": "relu3_1"}, "stylizer.npz lacks 'decoder/conv3_1/kernel'"),
        ({"encoder": "resnet"}, "cannot be built: `encoder` must be one of"),
        ({"encoder_weights": "stored"}, "stylizer.npz lacks 'encoder/"),
        ({"factors": {"relu1_1": "a"}}, "The model of .*damaged cannot be built"),
        (
            {"factors": {"relu1_1": 1.0}},
            "cannot be built: `factors` need a positive number for relu1_2",
        ),
        ({"padding": "wrap"}, "`padding` must be one of reflect, zero"),
        (
            {"arrays": {CONV: lambda a: a[1:]}},
            r"conv1_1/kernel' is \(2, 3, 64, 3\).*expected \(3, 3",
        ),
        ({"arrays": {CONV: lambda a: a * np.nan}}, "conv1_1/kernel' holds NaN or infinity"),
        ({"arrays": {CONV: lambda a: a.astype(object)}}, "stylizer.npz.*conv1_1/kernel"),
    ],
)
def test_checkpoints_that_are_not_what_they_say(damaged, changes, message):
    with pytest.raises(UserError, match=message):
        load(damaged(**changes))


def test_unknown_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="folder 'monet', nor a .* models that ship: .*adain"):
        load("monet")


def test_a_path_wins_over_a_name(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, tmp_path / "adain")
    assert load("adain").stylizer.arguments["layer"] == "relu2_1"
    assert load(Path("adain")).stylizer.arguments["layer"] == "relu2_1"


# -- the model that ships --------------------------------------------------------------------------

EXAMPLES = ROOT / "examples"
SHIPPED = checkpoint.PRETRAINED / "adain"


@pytest.fixture(scope="module")
def shipped(shipped):
    return shipped("adain")


@pytest.fixture(scope="module")
def photos():
    return [fit_longer(read_image(path), 128) for path in list_images(EXAMPLES / "content")[:2]]


@pytest.fixture(scope="module")
def paintings():
    return [fit_shorter(read_image(path), 128) for path in list_images(EXAMPLES / "styles")]


@pytest.fixture(scope="module")
def stylized(shipped, photos, paintings):
    """Every photo (rows) with every painting (columns)."""
    return [[shipped(photo, painting) for painting in paintings] for photo in photos]


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_shipped_model_is_whole():
    assert sorted(path.name for path in SHIPPED.iterdir()) == [
        "MODEL_CARD.md", "config.json", "stylizer.npz",
    ]  # fmt: skip
    config = checkpoint.read_config(SHIPPED)
    assert (config["method"], config["model"]["encoder"]) == ("adain", "vgg16")
    assert config["model"]["encoder_weights"] == "packaged"
    arrays = np.load(SHIPPED / "stylizer.npz")
    assert {array.dtype.name for array in arrays.values()} == {"float16"}
    assert sum(array.size for array in arrays.values()) == 3_283_779
    card = (SHIPPED / "MODEL_CARD.md").read_text().lower()
    for word in ("data", "train.py", "step", "loss", "fault"):
        assert word in card


def test_shipped_model_moves_the_photo_to_the_painting(shipped, photos, paintings, stylized):
    wanted = np.stack([shipped.encode_style(painting) for painting in paintings])

    def distances(image):
        """From a picture's moments to each painting's, of the deepest features."""
        difference = shipped.encode_style(image) - wanted
        return np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))

    before = np.array([distances(photo) for photo in photos])
    after = np.array([[distances(image) for image in row] for row in stylized])
    # Of a photo's results the one in a painting's style is nearest to that painting.
    assert (after.argmin(1) == np.arange(len(paintings))).all()
    moved = np.diagonal(after, axis1=1, axis2=2) / before
    assert (moved < 1).all() and moved.mean() < 0.8


def test_shipped_model_takes_the_paintings_colors(photos, paintings, stylized):
    def distances(images):
        means = [painting.mean((0, 1)) for painting in paintings]
        return np.array([np.abs(a.mean((0, 1)) - b) for a, b in zip(images, means, strict=True)])

    before = np.array([distances([photo] * len(paintings)) for photo in photos])
    after = np.array([distances(row) for row in stylized])
    assert after.max() < 0.2 and after.mean() < before.mean() / 2


def test_shipped_model_keeps_the_photo(shipped, photos, paintings, stylized):
    same = [shipped(photo, photo) for photo in photos]
    decoded = [shipped(photo, paintings[0], alpha=0) for photo in photos]
    for images in (same, decoded):
        kept = [correlation(a, b) for a, b in zip(images, photos, strict=True)]
        assert min(kept) > 0.5 and np.mean(kept) > 0.7
        assert max(np.abs(a - b).mean() for a, b in zip(images, photos, strict=True)) < 0.2
    kept = [
        correlation(image @ LUMA, photo @ LUMA)
        for photo, row in zip(photos, stylized, strict=True)
        for image in row
    ]
    assert np.mean(kept) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adain", "paintings", "magenta"])
def test_bfloat16_is_within_40_db(name, photos, paintings):
    exact, fast = load(name, "float32"), load(name, "bfloat16")
    for photo in photos[:2]:
        for style in exact.styles[:2] or paintings[:2]:
            error = fast(photo, style) - exact(photo, style)
            assert -10 * np.log10(np.mean(error**2)) > 40


# -- styles by name --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_table(table):
    return load(table, "float32")


def test_a_style_is_a_name_or_a_mixture(of_table):
    stylize = of_table
    assert stylize.styles == ("wave", "night", "scream", "lilies")
    wave, night = (stylize.encode_style(name) for name in ("wave", "night"))
    mixed = stylize.encode_style("wave:3, night:1")
    np.testing.assert_allclose(mixed, 0.75 * wave + 0.25 * night, rtol=1e-5, atol=1e-6)
    expected = stylize(CONTENT, "wave:3,night:1")
    found = stylize(CONTENT, ["wave", "night"], style_weights=[3, 1])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert expected.shape == CONTENT.shape and not np.allclose(expected, stylize(CONTENT, "wave"))


@pytest.mark.parametrize(
    ("style", "alpha", "message"),
    [
        ("nite", 1, "no style 'nite'; did you mean 'night'. Known are wave, night, scream, lilies"),
        ("x", 1, "There is no style 'x'; known are wave, night"),
        ("wave:-1", 1, "`style` takes name:weight, 0 or more. Received: 'wave:-1'"),
    ],
)
def test_names_that_are_none(of_table, style, alpha, message):
    with pytest.raises(UserError, match=message):
        of_table(CONTENT, style, alpha)


def test_pixels_weaken_a_style_of_a_table(of_table):
    stylized = of_table(CONTENT, "wave")
    found = of_table(CONTENT, "wave", alpha=0.3)
    np.testing.assert_allclose(found, 0.3 * stylized + 0.7 * CONTENT, atol=1e-6)
    np.testing.assert_array_equal(of_table(CONTENT, "wave", alpha=0), CONTENT)


def test_the_photo_as_its_own_style_weakens_a_predicted_one(plain):
    statistics, own = plain.encode_style(STYLE), plain.encode_style(CONTENT)
    expected = plain.transfer(CONTENT, 0.3 * statistics + 0.7 * own)
    found = plain(CONTENT, STYLE, alpha=0.3)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - plain(CONTENT, STYLE)).max() > 1e-3
