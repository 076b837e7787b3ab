import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, picture
from PIL import Image

from tf_style import adain, checkpoint, conditional, inference, memory
from tf_style.config import StylizeConfig
from tf_style.errors import NonFiniteError, UserError
from tf_style.images import list_images, probe, read_image, write_image
from tf_style.inference import StyleTransfer, load, stylize_folder
from tf_style.layout import center_crop, concat, fit_longer, fit_shorter
from tf_style.ops import LUMA, match_color

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
    stylize(CONTENT, STYLE)
    before = [
        f.experimental_get_tracing_count() for f in (stylize._transfer, stylize._encode_style)
    ]
    assert before == [1, 1]
    for height in range(16, 20):
        stylize(picture(height, 50 - height), picture(2 * height, height), alpha=0.5)
    after = [f.experimental_get_tracing_count() for f in (stylize._transfer, stylize._encode_style)]
    assert after == before


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
    features = stylize.stylizer.encoder(CONTENT[None])["relu2_1"]
    np.testing.assert_allclose(decoded, stylize.stylizer.decoder(features)[0], atol=1e-4)
    np.testing.assert_allclose(full, stylize(CONTENT, STYLE), atol=1e-6)
    between = stylize(CONTENT, STYLE, alpha=0.5)
    to_decoded, to_full = np.abs(between - decoded).mean(), np.abs(between - full).mean()
    assert max(to_decoded, to_full) < np.abs(decoded - full).mean()


def test_the_features_get_the_styles_moments(stylize):
    statistics = stylize.encode_style(STYLE)
    features = stylize.stylizer.encoder(CONTENT[None])["relu2_1"]
    moved = np.asarray(stylize.stylizer.adain(features, statistics[None], np.ones(1, "float32")))
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
def test_no_result_no_file(damaged, folders, change, message, precision):
    directory = damaged(arrays={CONV: change, "decoder/conv1_2/kernel": change})
    with pytest.raises(NonFiniteError, match=message):
        load(directory, precision)(CONTENT, STYLE)
    if precision == "float32":
        records = list(stylize_folder(config(folders, directory)))
        faults = [record.fault for record in records if not record.note]
        assert len(faults) == 4 and {type(fault) for fault in faults} == {NonFiniteError}
        assert not (folders / "out").exists()


def test_one_flat_colour_that_is_not_grey(damaged):
    # Its values differ over the channels, and yet it is flat.
    bias = {"decoder/conv1_1/bias": lambda bias: np.float32([0.2, 0.5, 0.9])}
    stylize = load(damaged(arrays={CONV: np.zeros_like} | bias))
    with pytest.raises(NonFiniteError, match="one flat colour"):
        stylize(CONTENT, STYLE)
    flat = np.broadcast_to(np.float32([1, 0, 0]), (20, 24, 3))
    np.testing.assert_allclose(stylize(flat, STYLE)[3, 4], [0.2, 0.5, 0.9], atol=1e-6)


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_1"])
def test_any_layer(layer, tmp_path):
    from conftest import write_checkpoint

    directory = write_checkpoint(tmp_path / "a", layer)
    assert load(directory)(CONTENT, STYLE).shape == CONTENT.shape


def test_what_was_saved_is_what_is_loaded(stylize, tiny):
    arrays = np.load(tiny / "stylizer.npz")
    stored = adain.stored_variables(stylize.stylizer, {"encoder_weights": "packaged"})
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
    stored = adain.stored_variables(stylize.stylizer, model)
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
        ({"method": "cyclegan"}, "damaged is of the unknown method 'cyclegan'"),
        ({"model": 3}, "The model of .*damaged cannot be built"),
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


# -- folders ---------------------------------------------------------------------------------------


def config(folders, checkpoint, **changes):
    paths = {"content_path": folders / "content", "style_path": folders / "style"}
    paths |= {"out_path": folders / "out", "checkpoint": checkpoint}
    quick = {"precision": "float32", "style_size": 32, "out_format": "png"}
    return StylizeConfig(**paths | quick | changes)


def run(*arguments, **changes):
    """The names written, the faults as (file, sentence), and the notes."""
    names, faults, notes = [], [], []
    for record in stylize_folder(config(*arguments, **changes)):
        if record.note:
            notes.append(record.note)
        elif record.fault:
            faults.append((record.path.name, str(record.fault)))
        else:
            names.append(record.path.name)
    return names, faults, notes


def found(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_style(path, size=32):
    return fit_shorter(read_image(path), size, enlarge=True)


def assert_written(path, image):
    """The file holds the picture, but for its 8 bits."""
    np.testing.assert_allclose(read_image(path), image, atol=0.51 / 255)


def test_every_photo_with_every_painting(folders, tiny, stylize):
    records = list(stylize_folder(config(folders, tiny)))
    assert "the largest picture, " in records[0].note and records[0].path is None
    records = records[1:]
    expected = ["a_stylized_s", "a_stylized_t", "b_stylized_s", "b_stylized_t"]
    assert [record.path.stem for record in records] == expected
    assert [(record.done, record.total) for record in records] == [(i, 4) for i in (1, 2, 3, 4)]
    assert all(record.seconds > 0 and not record.fault and not record.note for record in records)
    assert found(folders / "out") == [f"{name}.png" for name in expected]
    for record in records:
        content, style = record.path.stem.split("_stylized_")
        style = read_style(folders / "style" / f"{style}.png")
        content = read_image(folders / "content" / f"{content}.png")
        assert_written(record.path, stylize(content, style))


def test_files_and_globs(folders, tiny):
    names, _, _ = run(
        folders, tiny, content_path=folders / "content/b.png", style_path=folders / "st*/[s-t].png"
    )
    assert names == ["b_stylized_s.png", "b_stylized_t.png"]


def test_a_photo_and_a_painting_of_one_name(folders, tiny):
    (folders / "style/s.png").rename(folders / "style/a.png")
    names, faults, _ = run(folders, tiny, content_path=folders / "content/a.png")
    assert names == ["a_stylized_a.png", "a_stylized_t.png"] and not faults


def test_random_styles(folders, tiny):
    for seed in range(6):
        write_image(folders / f"style/{seed}.png", picture(20, 20, seed))
    once = {"content_path": folders / "content/a.png", "random_styles": 3, "overwrite": True}
    drawn = [tuple(run(folders, tiny, seed=seed, **once)[0]) for seed in (0, 0, 1, 2, 3)]
    assert all(len(set(names)) == 3 and list(names) == sorted(names) for names in drawn)
    assert drawn[0] == drawn[1] and len(set(drawn)) > 2
    assert len(run(folders, tiny, **once | {"random_styles": 99})[0]) == 8


def test_a_painting_may_have_a_colon_in_its_name(folders, tiny):
    (folders / "style/s.png").rename(folders / "style/s:x.png")
    names, faults, _ = run(folders, tiny, content_path=folders / "content/a.png")
    assert names == ["a_stylized_s:x.png", "a_stylized_t.png"] and not faults


def test_style_weights(folders, tiny, stylize):
    names, faults, notes = run(folders, tiny, style_weights=(3, 1))
    assert names == ["a_stylized_blend.png", "b_stylized_blend.png"] and not faults
    assert "the style is 75% s.png, 25% t.png" in notes
    styles = [read_style(path) for path in sorted((folders / "style").iterdir())]
    content = read_image(folders / "content/a.png")
    expected = stylize(content, styles, style_weights=[3, 1])
    assert_written(folders / "out/a_stylized_blend.png", expected)


def test_style_weights_of_another_number(folders, tiny):
    with pytest.raises(UserError, match="one number for each of the 2 styles. Received: 3"):
        run(folders, tiny, style_weights=(1, 2, 3))


def test_a_blend_needs_all_its_styles(folders, tiny):
    (folders / "style/t.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"A blend needs all its styles: .*t\.png` is empty"):
        run(folders, tiny, style_weights=(1, 2))
    assert not (folders / "out").exists()


class Counting(StyleTransfer):
    """Keeps account of what is encoded."""

    encoded = []

    def encode_style(self, style):
        self.encoded.append(style.shape)
        return super().encode_style(style)


@pytest.mark.parametrize(
    "changes, times",
    [
        ({}, 2),
        ({"style_weights": (1, 1)}, 2),
        ({"passes": 2, "concat": True, "preserve_color": "luma"}, 2),
        ({"preserve_color": "match"}, 4),
    ],
)
def test_each_style_is_encoded_once(folders, tiny, monkeypatch, changes, times):
    monkeypatch.setattr(inference, "StyleTransfer", Counting)
    monkeypatch.setattr(Counting, "encoded", [])
    names, _, _ = run(folders, tiny, **changes)
    assert len(names) == (2 if "style_weights" in changes else 4)
    assert len(Counting.encoded) == times


def test_crop(folders, tiny, stylize):
    run(folders, tiny, crop=True)
    content = center_crop(read_image(folders / "content/a.png"))
    style = fit_shorter(center_crop(read_image(folders / "style/s.png")), 32, enlarge=True)
    assert content.shape == (33, 33, 3) and style.shape == (32, 32, 3)
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))


def test_sizes(folders, tiny, stylize):
    write_image(folders / "content/a.png", picture(64, 90), overwrite=True)
    run(folders, tiny, content_size=45, style_size=20)
    content = fit_longer(read_image(folders / "content/a.png"), 45)
    style = read_style(folders / "style/s.png", 20)
    assert content.shape == (32, 45, 3) and style.shape == (20, 29, 3)
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))
    # Photos are not enlarged, and 0 is the size they have.
    assert read_image(folders / "out/b_stylized_s.png").shape == (40, 31, 3)
    run(folders, tiny, content_size=0, style_size=0, overwrite=True)
    content, style = (read_image(folders / name) for name in ("content/a.png", "style/s.png"))
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))


def test_passes_and_alpha(folders, tiny, stylize):
    run(folders, tiny, passes=2, alpha=0.7)
    statistics = stylize.encode_style(read_style(folders / "style/s.png"))
    image = read_image(folders / "content/a.png")
    for _ in range(2):
        image = stylize.transfer(image, statistics, 0.7)
    assert_written(folders / "out/a_stylized_s.png", image)


def test_preserve_luma(folders, tiny, stylize):
    run(folders, tiny, preserve_color="luma")
    content = read_image(folders / "content/a.png")
    stylized = stylize(content, read_style(folders / "style/s.png"))
    image = read_image(folders / "out/a_stylized_s.png")
    inside = ((image > 0.02) & (image < 0.98)).all(-1)
    assert inside.mean() > 0.3
    # Where nothing is clipped: the colours' differences are the photo's, the luma the result's.
    np.testing.assert_allclose(np.diff(image)[inside], np.diff(content)[inside], atol=1.1 / 255)
    np.testing.assert_allclose((image @ LUMA)[inside], (stylized @ LUMA)[inside], atol=1.1 / 255)


def test_preserve_match(folders, tiny, stylize):
    run(folders, tiny, preserve_color="match")
    content = read_image(folders / "content/b.png")
    style = match_color(read_style(folders / "style/t.png"), content)
    assert_written(folders / "out/b_stylized_t.png", stylize(content, style))


@pytest.mark.parametrize("weights", [(), (1, 1)])
def test_concat(folders, tiny, stylize, weights):
    run(folders, tiny, concat=True, style_weights=weights)
    names = ["s", "t"] if weights else ["s"]
    styles = [read_style(folders / f"style/{name}.png") for name in names]
    content = read_image(folders / "content/a.png")
    expected = concat([content, *styles, stylize(content, styles)])
    name = "blend" if weights else "s"
    assert_written(folders / f"out/a_stylized_{name}.png", expected)


@pytest.mark.parametrize("suffix, name", [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_formats_and_quality(folders, tiny, suffix, name):
    one = {"content_path": folders / "content/a.png", "style_path": folders / "style/s.png"}
    sizes = []
    for quality in (20, 95):
        run(folders, tiny, out_format=suffix, quality=quality, overwrite=True, **one)
        [path] = (folders / "out").iterdir()
        assert path.name == f"a_stylized_s.{suffix}"
        info = probe(path)
        assert (info.format, info.width, info.height) == (name, 47, 33)
        sizes.append(path.stat().st_size)
    assert (sizes[0] == sizes[1]) if suffix == "png" else (sizes[0] < sizes[1])


def test_transparency_and_background(folders, tiny):
    image = Image.new("RGBA", (24, 20), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 12, 20))
    image.save(folders / "content/a.png")
    one = {"content_path": folders / "content/a.png", "concat": True, "overwrite": True}
    for background, expected in [("white", [1, 1, 1]), ("#0000ff", [0, 0, 1])]:
        run(folders, tiny, background=background, style_size=20, **one)
        np.testing.assert_allclose(
            read_image(folders / "out/a_stylized_s.png")[10, 18], expected, atol=1e-6
        )
    _, faults, _ = run(folders, tiny, background="no-such-colour", **one)
    assert "`background` must be a colour name" in faults[0][1]


def test_existing_results_stay_and_nothing_is_begun(folders, tiny):
    path = folders / "out/b_stylized_s.png"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(
        UserError,
        match=r"1 of 4 results exist already, such as `.*b_stylized_s.png`; give --overwrite, --sk",
    ):
        run(folders, tiny)
    assert found(folders / "out") == ["b_stylized_s.png"]
    names, faults, notes = run(folders, tiny, skip_existing=True)
    assert names == ["a_stylized_s.png", "a_stylized_t.png", "b_stylized_t.png"] and not faults
    assert notes[0] == "1 of 4 results exist: skipped"
    assert path.read_bytes() == b"mine"
    assert run(folders, tiny, skip_existing=True) == ([], [], ["4 of 4 results exist: skipped"])
    assert len(run(folders, tiny, overwrite=True)[0]) == 4
    assert read_image(path).shape == (40, 31, 3)


def test_progress_counts_what_is_skipped(folders, tiny):
    (folders / "out").mkdir()
    (folders / "out/a_stylized_t.png").touch()
    records = list(stylize_folder(config(folders, tiny, skip_existing=True)))
    counts = [(record.done, record.total) for record in records if not record.note]
    assert counts == [(2, 4), (3, 4), (4, 4)]


def test_nothing_half_done_is_left(folders, tiny):
    """A run that is broken off between two pictures leaves whole files only."""
    records = stylize_folder(config(folders, tiny))
    for record in records:
        if record.done == 2:
            break
    records.close()
    assert found(folders / "out") == ["a_stylized_s.png", "a_stylized_t.png"]
    for name in found(folders / "out"):
        assert read_image(folders / "out" / name).shape == (33, 47, 3)


@pytest.mark.parametrize(
    "bad, written, file",
    [
        ("content/a.png", ["b_stylized_s.png", "b_stylized_t.png"], "a.png"),
        ("style/s.png", ["a_stylized_t.png", "b_stylized_t.png"], "s.png"),
    ],
)
@pytest.mark.parametrize(
    "content, sentence",
    [(b"", "is empty"), (b"just words", "looks like text"), (None, "both sides must be 16 px")],
)
def test_a_bad_file_is_named_and_the_rest_done(
    folders, tiny, bad, written, file, content, sentence
):
    if content is None:
        write_image(folders / bad, picture(12, 40), overwrite=True)
    else:
        (folders / bad).write_bytes(content)
    names, faults, _ = run(folders, tiny, style_size=0)
    assert names == written == found(folders / "out")
    assert [name for name, _ in faults] == [file, file]
    assert all(f"{bad}`" in fault and sentence in fault for _, fault in faults)


def test_a_result_that_cannot_be_written_is_named(folders, tiny):
    # WebP ends at 16383 px.
    write_image(folders / "content/a.png", picture(16, 16_400), overwrite=True)
    names, faults, _ = run(folders, tiny, content_size=0, out_format="webp", style_size=20)
    assert names == ["b_stylized_s.webp", "b_stylized_t.webp"]
    assert faults[0][0] == "a_stylized_s.webp" and "16400x16 cannot be a webp" in faults[0][1]


def test_too_many_pixels(folders, tiny):
    names, faults, _ = run(folders, tiny, max_pixels=33 * 47 - 1)
    assert names == ["b_stylized_s.png", "b_stylized_t.png"]
    assert "content/a.png`" in faults[0][1] and "1550" in faults[0][1].replace(",", "")


@pytest.mark.parametrize("option", ["content_path", "style_path"])
def test_missing_pictures_are_told_with_their_option(folders, tiny, option):
    name = option.replace("_", "-")
    with pytest.raises(UserError, match=f"--{name}: `.*none` does not exist"):
        run(folders, tiny, **{option: folders / "none"})
    (folders / "empty").mkdir()
    with pytest.raises(UserError, match=f"--{name}: `.*empty` holds no images"):
        run(folders, tiny, **{option: folders / "empty"})


def test_out_path_that_cannot_be(folders, tiny):
    (folders / "file").touch()
    with pytest.raises(UserError, match="`.*/file` is not a folder"):
        run(folders, tiny, out_path=folders / "file")
    with pytest.raises(UserError, match="`.*/file` is not a folder"):
        run(folders, tiny, out_path=folders / "file/sub")
    with pytest.raises(UserError, match="cannot be written: `/proc` is not writable|No such file"):
        _, faults, _ = run(folders, tiny, out_path="/proc/no/such")
        raise UserError(faults[0][1])  # root may, says the system, until it is tried.


def test_a_wrong_checkpoint_is_told_before_anything_else(folders):
    with pytest.raises(UserError, match="There is no checkpoint folder"):
        next(stylize_folder(config(folders, folders / "none")))


def test_memory_is_told_and_refused(folders, tiny, monkeypatch):
    write_image(folders / "content/big.png", picture(600, 900))
    one = {"content_path": folders / "content/big.png", "style_path": folders / "style/s.png"}
    _, _, notes = run(folders, tiny, content_size=300, style_size=0, **one)
    assert "big.png at 300x200, will take about 0.3 GB of memory" in notes[0]
    shutil.rmtree(folders / "out")

    monkeypatch.setattr(memory, "available_memory", lambda: 7 * 10**8)
    with pytest.raises(
        UserError, match=r"big\.png at 900x600 would take .* --content-size 800 fits"
    ):
        run(folders, tiny, style_size=0, **one)
    assert not (folders / "out").exists()
    assert len(run(folders, tiny, content_size=800, style_size=0, **one)[0]) == 1

    # A painting's size counts as well, enlarged as it will be, and cropped.
    refused = {"style_size": 900, "overwrite": True}
    with pytest.raises(UserError, match=r"s\.png at 1320x900 would take .* --style-size 544 fits"):
        run(folders, tiny, content_size=300, **refused, **one)
    with pytest.raises(UserError, match=r"\.png at 900x900 would take"):
        run(folders, tiny, content_size=300, crop=True, **refused, **one)


def test_a_bad_file_does_not_disturb_the_estimate(folders, tiny):
    (folders / "content/a.png").write_bytes(b"")
    (folders / "style/s.png").write_bytes(b"")
    _, _, notes = run(folders, tiny, style_size=0)
    assert "b.png at 31x40" in notes[0]
    # Nor when there is nothing to estimate.
    one = {"content_path": folders / "content/a.png", "style_path": folders / "style/s.png"}
    names, faults, notes = run(folders, tiny, **one)
    assert (names, notes, len(faults)) == ([], [], 1)


def test_only_what_is_to_be_done_counts(folders, tiny, monkeypatch):
    write_image(folders / "content/big.png", picture(600, 900))
    (folders / "out").mkdir()
    for style in "st":
        (folders / f"out/big_stylized_{style}.png").touch()
    monkeypatch.setattr(memory, "available_memory", lambda: 7 * 10**8)
    assert len(run(folders, tiny, skip_existing=True)[0]) == 4


# -- the model that ships --------------------------------------------------------------------------

EXAMPLES = ROOT / "examples"
SHIPPED = inference.PRETRAINED / "adain"


@pytest.fixture(scope="module")
def shipped():
    return load("adain", "float32")


@pytest.fixture(scope="module")
def photos():
    return [fit_longer(read_image(path), 192) for path in list_images(EXAMPLES / "content")]


@pytest.fixture(scope="module")
def paintings():
    return [fit_shorter(read_image(path), 192) for path in list_images(EXAMPLES / "styles")]


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
    assert sum(array.size for array in arrays.values()) == 2_915_139
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


def test_shipped_model_in_bfloat16(photos, paintings, stylized):
    image = load("adain", "bfloat16")(photos[0], paintings[0])
    assert np.abs(image - stylized[0][0]).mean() < 0.02


# -- styles by name --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A checkpoint of four styles that differ."""
    model = {"contract": [4, 5, 6], "blocks": 1, "expand": [4, 3]}
    model["styles"] = ["wave", "night", "scream", "lilies"]
    stylizer = conditional.build_stylizer(model)
    rng, arrays = np.random.default_rng(4), {}
    for name, variable in conditional.stored_variables(stylizer, model).items():
        arrays[name] = np.float32(variable.numpy() + rng.normal(0, 0.3, variable.shape))
    directory = tmp_path_factory.mktemp("models") / "table"
    checkpoint.create(directory, {"method": "conditional", "model": model}, arrays)
    return directory


def test_a_style_is_a_name_or_a_mixture(table):
    stylize = load(table, "float32")
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
        ("wave", 0.5, "have no strength: `alpha` must be 1"),
    ],
)
def test_names_that_are_none(table, style, alpha, message):
    with pytest.raises(UserError, match=message):
        load(table, "float32")(CONTENT, style, alpha)


def test_a_folder_in_a_style_by_name(folders, table):
    names, faults, _ = run(folders, table, style=("night",))
    assert names == ["a_stylized_night.png", "b_stylized_night.png"] and not faults
    expected = load(table, "float32")(read_image(folders / "content/a.png"), "night")
    assert_written(folders / "out/a_stylized_night.png", expected)
    names, _, notes = run(folders, table, style=("wave:0.6", "night:0.4"))
    assert names[0] == "a_stylized_wave60_night40.png"
    assert "the style is 60% wave, 40% night" in notes


def test_the_way_between_styles(folders, table):
    one = {"content_path": folders / "content/a.png"}
    stylize, content = load(table, "float32"), read_image(folders / "content/a.png")
    height, width, _ = content.shape
    names, _, _ = run(folders, table, style_grid=("wave", "night"), **one)
    row = read_image(folders / "out" / names[0])
    assert row.shape == (height, 5 * (width + 4) - 4, 3)
    np.testing.assert_allclose(row[:, :width], stylize(content, "wave"), atol=3 / 255)
    np.testing.assert_allclose(row[:, -width:], stylize(content, "night"), atol=3 / 255)
    middle = row[:, 2 * (width + 4) :][:, :width]
    np.testing.assert_allclose(middle, stylize(content, "wave,night"), atol=3 / 255)
    corners = ("wave", "night", "scream", "lilies")
    names, _, _ = run(folders, table, style_grid=corners, **one)
    square = read_image(folders / "out" / names[0])
    assert square.shape == (5 * (height + 4) - 4, 5 * (width + 4) - 4, 3)
    for name, down, right in zip(corners, (0, 0, 1, 1), (0, 1, 0, 1), strict=True):
        cell = square[-height:] if down else square[:height]
        cell = cell[:, -width:] if right else cell[:, :width]
        np.testing.assert_allclose(cell, stylize(content, name), atol=3 / 255)


def test_a_sheet_of_all_styles(folders, table, tiny):
    names, _, _ = run(folders, table, all_styles=True)
    assert names == ["a_stylized_all.png", "b_stylized_all.png"]
    sheet = read_image(folders / "out/a_stylized_all.png")
    height, width, _ = read_image(folders / "content/a.png").shape
    assert sheet.shape[0] > 2 * height and sheet.shape[1] == 2 * width + 4
    # Of pictures it is a sheet of the paintings.
    names, faults, _ = run(folders, tiny, all_styles=True, out_path=folders / "other")
    assert names == ["a_stylized_all.png", "b_stylized_all.png"] and not faults


def test_paintings_have_the_names_of_their_files(folders, tiny, stylize):
    names, _, _ = run(folders, tiny, style=("s:1", "t:3"))
    styles = [read_style(folders / f"style/{name}.png") for name in "st"]
    expected = stylize(read_image(folders / "content/a.png"), styles, style_weights=[1, 3])
    assert names[0] == "a_stylized_s25_t75.png"
    assert_written(folders / "out/a_stylized_s25_t75.png", expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "has styles by name: give --style or --all-styles; it has wave, night, scream"),
        ({"style": ("moon",)}, "There is no style 'moon'; known are wave"),
        ({"style_grid": ("wave", "moon")}, "There is no style 'moon'"),
        ({"style": ("wave",), "preserve_color": "match"}, "use luma"),
    ],
)
def test_what_a_table_asks_for(folders, table, changes, message):
    with pytest.raises(UserError, match=message):
        run(folders, table, **changes)
    assert not (folders / "out").exists()


def test_the_photo_as_its_own_style_weakens_a_predicted_one():
    stylizer = conditional.PredictedStylizer("mobilenet_v2", (4, 5, 6), 1, (4, 3))
    stylizer.heads.kernel.assign(np.random.default_rng(1).normal(0, 3, stylizer.heads.kernel.shape))
    predicted = StyleTransfer(stylizer)
    statistics, own = predicted.encode_style(STYLE), predicted.encode_style(CONTENT)
    expected = predicted.transfer(CONTENT, 0.3 * statistics + 0.7 * own)
    np.testing.assert_allclose(predicted(CONTENT, STYLE, alpha=0.3), expected, atol=1e-5)
