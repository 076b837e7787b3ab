"""Folders of photos and paintings to a folder of results."""

import json
import re
import shutil
import tempfile

import numpy as np
import pytest
from conftest import picture, scratch_files
from PIL import Image

from tf_style import checkpoint, memory
from tf_style.errors import NonFiniteError, UserError
from tf_style.images.color import LUMA, match_color
from tf_style.images.reading import probe, read_image
from tf_style.images.resizing import center_crop, fit_longer, fit_shorter
from tf_style.images.sheets import concat
from tf_style.images.writing import write_image
from tf_style.inference import style_transfer
from tf_style.inference.config import StylizeConfig
from tf_style.inference.folder import stylize_folder
from tf_style.inference.style_transfer import StyleTransfer, load

CONTENT, STYLE, OTHER = picture(40, 56), picture(48, 32, 1), picture(21, 64, 2)
CONV = "decoder/conv1_1/kernel"


@pytest.fixture(scope="module")
def stylize(shallow):
    return load(shallow, "float32")


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


def assert_written(path, image, bits=0.51):
    """The file holds the picture, but for its 8 bits."""
    np.testing.assert_allclose(read_image(path), image, atol=bits / 255)


def test_every_photo_with_every_painting(folders, shallow, stylize):
    records = list(stylize_folder(config(folders, shallow)))
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


def test_files_and_globs(folders, shallow):
    names, _, _ = run(
        folders,
        shallow,
        content_path=folders / "content/b.png",
        style_path=folders / "st*/[s-t].png",
    )
    assert names == ["b_stylized_s.png", "b_stylized_t.png"]


def test_a_photo_and_a_painting_of_one_name(folders, shallow):
    (folders / "style/s.png").rename(folders / "style/a.png")
    names, faults, _ = run(folders, shallow, content_path=folders / "content/a.png")
    assert names == ["a_stylized_a.png", "a_stylized_t.png"] and not faults


def test_names_of_paintings_are_typed_as_they_are_read(folders, shallow):
    (folders / "style/s.png").rename(folders / "style/Cafe\u0301, 10:30.png")
    one = {"content_path": folders / "content/a.png"}
    names, _, notes = run(folders, shallow, style=("Caf\u00e9", "10:30:3", "t"), **one)
    assert names == ["a_stylized_Cafe\u0301, 10:3075_t25.png"]
    assert "the style is 75% Cafe\u0301, 10:30.png, 25% t.png" in notes
    names, _, _ = run(folders, shallow, style_grid=("Caf\u00e9", "10:30", "t"), **one)
    assert "a_stylized_Cafe\u0301, 10:30_t_grid.png" in names
    with pytest.raises(UserError, match="takes the names of two or four styles. Received: t"):
        run(folders, shallow, style_grid=("t",), **one)


def test_weights_are_of_the_styles_that_are_drawn(folders, shallow):
    drawn = {"random_styles": 1, "style_weights": (2.0,), "content_path": folders / "content/a.png"}
    assert len(run(folders, shallow, **drawn)[0]) == 1
    with pytest.raises(UserError, match="one number for each of 1 style. Received: 2"):
        run(folders, shallow, **drawn | {"style_weights": (1.0, 1.0)})


def test_random_styles(folders, shallow):
    for seed in range(6):
        write_image(folders / f"style/{seed}.png", picture(20, 20, seed))
    once = {"content_path": folders / "content/a.png", "random_styles": 3, "overwrite": True}
    drawn = [tuple(run(folders, shallow, seed=seed, **once)[0]) for seed in (0, 0, 1, 2)]
    assert all(len(set(names)) == 3 and list(names) == sorted(names) for names in drawn)
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
    assert len(run(folders, shallow, **once | {"random_styles": 99})[0]) == 8


def test_a_painting_may_have_a_colon_in_its_name(folders, shallow):
    (folders / "style/s.png").rename(folders / "style/s:x.png")
    names, faults, _ = run(folders, shallow, content_path=folders / "content/a.png")
    assert names == ["a_stylized_s:x.png", "a_stylized_t.png"] and not faults


def test_style_weights(folders, shallow, stylize):
    names, faults, notes = run(folders, shallow, style_weights=(3, 1))
    assert names == ["a_stylized_blend.png", "b_stylized_blend.png"] and not faults
    assert "the style is 75% s.png, 25% t.png" in notes
    styles = [read_style(path) for path in sorted((folders / "style").iterdir())]
    content = read_image(folders / "content/a.png")
    expected = stylize(content, styles, style_weights=[3, 1])
    assert_written(folders / "out/a_stylized_blend.png", expected)


def test_style_weights_of_another_number(folders, shallow):
    with pytest.raises(UserError, match="one number for each of 2 styles. Received: 3"):
        run(folders, shallow, style_weights=(1, 2, 3))


def test_a_blend_needs_all_its_styles(folders, shallow):
    (folders / "style/t.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"A blend needs all its styles: .*t\.png` is empty"):
        run(folders, shallow, style_weights=(1, 2))
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
def test_each_style_is_encoded_once(folders, shallow, monkeypatch, changes, times):
    monkeypatch.setattr(style_transfer, "StyleTransfer", Counting)
    monkeypatch.setattr(Counting, "encoded", [])
    names, _, _ = run(folders, shallow, **changes)
    assert len(names) == (2 if "style_weights" in changes else 4)
    assert len(Counting.encoded) == times


def test_crop(folders, shallow, stylize):
    run(folders, shallow, crop=True)
    content = center_crop(read_image(folders / "content/a.png"))
    style = fit_shorter(center_crop(read_image(folders / "style/s.png")), 32, enlarge=True)
    assert content.shape == (33, 33, 3) and style.shape == (32, 32, 3)
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))


def test_sizes(folders, shallow, stylize):
    write_image(folders / "content/a.png", picture(64, 90), overwrite=True)
    run(folders, shallow, content_size=45, style_size=20)
    content = fit_longer(read_image(folders / "content/a.png"), 45)
    style = read_style(folders / "style/s.png", 20)
    assert content.shape == (32, 45, 3) and style.shape == (20, 29, 3)
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))
    # Photos are not enlarged, and 0 is the size they have.
    assert read_image(folders / "out/b_stylized_s.png").shape == (40, 31, 3)
    run(folders, shallow, content_size=0, style_size=0, overwrite=True)
    content, style = (read_image(folders / name) for name in ("content/a.png", "style/s.png"))
    assert_written(folders / "out/a_stylized_s.png", stylize(content, style))


def test_passes_and_alpha(folders, shallow, stylize):
    run(folders, shallow, passes=2, alpha=0.7)
    statistics = stylize.encode_style(read_style(folders / "style/s.png"))
    image = read_image(folders / "content/a.png")
    for _ in range(2):
        image = stylize.transfer(image, statistics, 0.7)
    assert_written(folders / "out/a_stylized_s.png", image)


def test_preserve_luma(folders, shallow, stylize):
    run(folders, shallow, preserve_color="luma")
    content = read_image(folders / "content/a.png")
    stylized = stylize(content, read_style(folders / "style/s.png"))
    image = read_image(folders / "out/a_stylized_s.png")
    inside = ((image > 0.02) & (image < 0.98)).all(-1)
    assert inside.mean() > 0.3
    # Where nothing is clipped: the colours' differences are the photo's, the luma the result's.
    np.testing.assert_allclose(np.diff(image)[inside], np.diff(content)[inside], atol=1.1 / 255)
    np.testing.assert_allclose((image @ LUMA)[inside], (stylized @ LUMA)[inside], atol=1.1 / 255)


def test_preserve_match(folders, shallow, stylize):
    run(folders, shallow, preserve_color="match")
    content = read_image(folders / "content/b.png")
    style = match_color(read_style(folders / "style/t.png"), content)
    assert_written(folders / "out/b_stylized_t.png", stylize(content, style))


@pytest.mark.parametrize("weights", [(), (1, 1)])
def test_concat(folders, shallow, stylize, weights):
    run(folders, shallow, concat=True, style_weights=weights)
    names = ["s", "t"] if weights else ["s"]
    styles = [read_style(folders / f"style/{name}.png") for name in names]
    content = read_image(folders / "content/a.png")
    expected = concat([content, *styles, stylize(content, styles)])
    name = "blend" if weights else "s"
    assert_written(folders / f"out/a_stylized_{name}.png", expected)


@pytest.mark.parametrize("suffix, name", [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_formats_and_quality(folders, shallow, suffix, name):
    one = {"content_path": folders / "content/a.png", "style_path": folders / "style/s.png"}
    sizes = []
    for quality in (20, 95):
        run(folders, shallow, out_format=suffix, quality=quality, overwrite=True, **one)
        [path] = (folders / "out").iterdir()
        assert path.name == f"a_stylized_s.{suffix}"
        info = probe(path)
        assert (info.format, info.width, info.height) == (name, 47, 33)
        sizes.append(path.stat().st_size)
    assert (sizes[0] == sizes[1]) if suffix == "png" else (sizes[0] < sizes[1])


def test_transparency_and_background(folders, shallow):
    image = Image.new("RGBA", (24, 20), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 12, 20))
    image.save(folders / "content/a.png")
    one = {"content_path": folders / "content/a.png", "concat": True, "overwrite": True}
    for background, expected in [("white", [1, 1, 1]), ("#0000ff", [0, 0, 1])]:
        run(folders, shallow, background=background, style_size=20, **one)
        np.testing.assert_allclose(
            read_image(folders / "out/a_stylized_s.png")[10, 18], expected, atol=1e-6
        )
    _, faults, _ = run(folders, shallow, background="no-such-colour", **one)
    assert "`background` must be a colour name" in faults[0][1]


def test_existing_results_stay_and_nothing_is_begun(folders, shallow):
    path = folders / "out/b_stylized_s.png"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(
        UserError,
        match=r"Results exist already: 1 of 4, such as `.*b_stylized_s.png`; give --overwrite",
    ):
        run(folders, shallow)
    assert found(folders / "out") == ["b_stylized_s.png"]
    names, faults, notes = run(folders, shallow, skip_existing=True)
    assert names == ["a_stylized_s.png", "a_stylized_t.png", "b_stylized_t.png"] and not faults
    assert notes[0] == "1 of 4 results skipped: already there"
    assert path.read_bytes() == b"mine"
    assert run(folders, shallow, skip_existing=True) == (
        [],
        [],
        ["4 of 4 results skipped: already there"],
    )
    assert len(run(folders, shallow, overwrite=True)[0]) == 4
    assert read_image(path).shape == (40, 31, 3)


def test_progress_counts_what_is_skipped(folders, shallow):
    (folders / "out").mkdir()
    (folders / "out/a_stylized_t.png").touch()
    records = list(stylize_folder(config(folders, shallow, skip_existing=True)))
    counts = [(record.done, record.total) for record in records if not record.note]
    assert counts == [(2, 4), (3, 4), (4, 4)]


def test_nothing_half_done_is_left(folders, shallow):
    """A run that is broken off between two pictures leaves whole files only."""
    records = stylize_folder(config(folders, shallow))
    for record in records:
        if record.done == 2:
            break
    records.close()
    names = found(folders / "out")
    # What was under way in a thread is finished, what was not begun is left.
    assert names[:2] == ["a_stylized_s.png", "a_stylized_t.png"] and len(names) < 4
    for name in names:
        size = (33, 47, 3) if name.startswith("a") else (40, 31, 3)
        assert read_image(folders / "out" / name).shape == size


def test_photos_of_one_size_go_together(folders, shallow, stylize):
    for seed in range(3, 6):
        write_image(folders / f"content/c{seed}.png", picture(33, 47, seed))
    names, faults, _ = run(folders, shallow)
    order = ["a", "b", "c3", "c4", "c5"]
    # b is of another size; of the last three each style is made in turn.
    expected = [f"{photo}_stylized_{style}.png" for photo in order[:2] for style in "st"]
    expected += [f"{photo}_stylized_{style}.png" for style in "st" for photo in order[2:]]
    assert names == expected and not faults
    for photo in order:
        image = stylize(folders / f"content/{photo}.png", read_style(folders / "style/t.png"))
        assert_written(folders / f"out/{photo}_stylized_t.png", image)


@pytest.mark.parametrize(
    "bad, content, sentence",
    [
        ("content/a.png", b"", "is empty"),
        ("style/s.png", b"just words", "looks like text"),
        ("content/a.png", None, "both sides must be 16 px"),
        ("style/s.png", None, "both sides must be 16 px"),
    ],
)
def test_a_bad_file_is_named_and_the_rest_done(folders, shallow, bad, content, sentence):
    if content is None:
        write_image(folders / bad, picture(12, 40), overwrite=True)
    else:
        (folders / bad).write_bytes(content)
    names, faults, _ = run(folders, shallow, style_size=0)
    good = ["b_stylized_s.png", "b_stylized_t.png"]
    if bad.startswith("style"):
        good = ["a_stylized_t.png", "b_stylized_t.png"]
    assert names == good == found(folders / "out")
    assert [name for name, _ in faults] == [bad.partition("/")[2]] * 2
    assert all(f"{bad}`" in fault and sentence in fault for _, fault in faults)


def test_what_does_not_fit_is_named_and_the_rest_done(folders, tiny):
    write_image(folders / "style/line.png", np.zeros((2, 6000, 3), "uint8"))
    write_image(folders / "content/wide.png", np.zeros((20, 20_000, 3), "uint8"))
    changes = {"max_memory": 0.4, "preserve_color": "match", "content_size": 0}
    names, faults, notes = run(folders, tiny, style_size=64, **changes)
    assert names == ["a_stylized_s.png", "a_stylized_t.png", "b_stylized_s.png", "b_stylized_t.png"]
    whose = [name for name, _ in faults]
    assert sorted(whose) == ["line.png"] * 2 + ["wide.png"] * 3
    sentences = dict(faults)
    assert "line.png at 192000x64 would take" in sentences["line.png"]
    assert "wide.png at 20000x20 would take" in sentences["wide.png"]
    assert len(notes) == 1 and "s.png at 94x64, will take" in notes[0]


@pytest.mark.parametrize(
    ("width", "options", "told"),
    [
        (16_400, {"tile_size": 512}, "16400x16"),
        (3_280, {"style_grid": ("s", "t")}, "16400x16"),
    ],
)
def test_what_no_webp_can_hold_is_named_before_the_work(folders, tiny, width, options, told):
    # WebP ends at 16383 px.
    write_image(folders / "content/a.png", picture(16, width), overwrite=True)
    names, faults, _ = run(
        folders, tiny, content_size=0, out_format="webp", style_size=20, **options
    )
    assert names and all(name.startswith("b_stylized_") for name in names)
    # By the photo's name: the result was not begun.
    assert {name for name, _ in faults} == {"a.png"}
    assert all(f"a.png`: A picture of {told} cannot be a webp" in fault for _, fault in faults)


def test_too_many_pixels(folders, shallow):
    names, faults, _ = run(folders, shallow, max_pixels=33 * 47 - 1)
    assert names == ["b_stylized_s.png", "b_stylized_t.png"]
    assert "content/a.png`" in faults[0][1] and "1550" in faults[0][1].replace(",", "")


@pytest.mark.parametrize("option", ["content_path", "style_path"])
def test_missing_pictures_are_told_with_their_option(folders, shallow, option):
    name = option.replace("_", "-")
    with pytest.raises(UserError, match=f"--{name}: `.*none` does not exist"):
        run(folders, shallow, **{option: folders / "none"})
    (folders / "empty").mkdir()
    with pytest.raises(UserError, match=f"--{name}: `.*empty` holds no images"):
        run(folders, shallow, **{option: folders / "empty"})


def test_out_path_that_cannot_be(folders, shallow):
    (folders / "file").touch()
    with pytest.raises(UserError, match="`.*/file` is not a folder"):
        run(folders, shallow, out_path=folders / "file")
    with pytest.raises(UserError, match="`.*/file` is not a folder"):
        run(folders, shallow, out_path=folders / "file/sub")
    with pytest.raises(UserError, match="cannot be written: `/proc` is not writable|No such file"):
        _, faults, _ = run(folders, shallow, out_path="/proc/no/such")
        raise UserError(faults[0][1])  # root may, says the system, until it is tried.


def test_no_result_no_file(folders, damaged):
    directory = damaged(arrays={CONV: np.zeros_like})
    faults = [record.fault for record in stylize_folder(config(folders, directory))]
    assert faults[0] is None and {type(fault) for fault in faults[1:]} == {NonFiniteError}
    assert len(faults) == 5 and not (folders / "out").exists()


def test_a_wrong_checkpoint_is_told_before_anything_else(folders):
    with pytest.raises(UserError, match="There is no checkpoint folder"):
        next(stylize_folder(config(folders, folders / "none")))


def test_memory_is_told_and_refused(folders, tiny, monkeypatch):
    write_image(folders / "content/big.png", picture(600, 900))
    one = {"content_path": folders / "content/big.png", "style_path": folders / "style/s.png"}
    _, _, notes = run(folders, tiny, content_size=300, style_size=0, **one)
    assert "big.png at 300x200, will take about 0.3 GB of memory" in notes[0]
    shutil.rmtree(folders / "out")

    # Side by side it cannot be done in tiles.
    monkeypatch.setattr(memory, "available_memory", lambda: 7 * 10**8)
    one["concat"] = True
    with pytest.raises(
        UserError, match=r"big\.png at 900x600 would take .* --content-size 736 fits"
    ):
        run(folders, tiny, style_size=0, **one)
    assert not (folders / "out").exists()
    assert len(run(folders, tiny, content_size=736, style_size=0, **one)[0]) == 1

    # A painting's size counts as well, enlarged as it will be, and cropped.
    refused = {"style_size": 900, "overwrite": True}
    with pytest.raises(UserError, match=r"s\.png at 1320x900 would take .* --style-size 496 fits"):
        run(folders, tiny, content_size=300, **refused, **one)
    with pytest.raises(UserError, match=r"\.png at 900x900 would take"):
        run(folders, tiny, content_size=300, crop=True, **refused, **one)


@pytest.mark.parametrize(
    "changes, size, tile",
    [
        ({"max_memory": 0.24}, "450x300", 128),
        ({"tile_size": 200, "content_size": 401, "alpha": 0.5}, "401x267", 200),
        ({"tile_size": 200, "crop": True, "preserve_color": "luma", "passes": 2}, "300x300", 200),
    ],
)
def test_what_does_not_fit_is_done_in_tiles(folders, tiny, changes, size, tile):
    write_image(folders / "content/big.png", picture(300, 450))
    one = {"content_path": folders / "content/big.png", "style_path": folders / "style/s.png"}
    [name], _, _ = run(folders, tiny, **one, **changes | {"max_memory": 0, "tile_size": 0})
    whole = read_image(folders / "out" / name)
    names, faults, notes = run(folders, tiny, overwrite=True, **one, **changes)
    assert names == [name] and not faults
    assert f"big.png at {size} is done in tiles of {tile} px, with about 0." in notes[-1]
    assert_written(folders / "out" / name, whole, 1.01)


def test_of_tiles_and_scratch_file_is_told(folders, tiny, monkeypatch, tmp_path):
    write_image(folders / "content/big.png", picture(300, 450))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names, faults, notes = run(folders, tiny, max_memory=0.24)
    # The smaller photos are done as they are.
    assert len(names) == 6 and not faults
    assert "b.png at 31x40, will take" in notes[0] or "a.png at 47x33, will take" in notes[0]
    assert notes[1].endswith(f" GB of memory and 0.0 GB of scratch file in {tmp_path}")
    assert scratch_files(tmp_path) == []


def test_tiles_that_do_not_fit_either(folders, tiny):
    write_image(folders / "content/big.png", picture(300, 450))
    with pytest.raises(UserError, match=r"big\.png at 450x300 .* would .* --max-memory is 0.21 GB"):
        run(folders, tiny, max_memory=0.21, content_path=folders / "content/big.png")
    assert not (folders / "out").exists()


def test_no_room_for_the_scratch_file(folders, tiny, monkeypatch):
    write_image(folders / "content/big.png", picture(300, 450))
    usage = shutil.disk_usage(folders)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    sentence = "scratch file would take 0.0 GB, and .* has 0.0 GB free"
    with pytest.raises(UserError, match=sentence):
        run(folders, tiny, max_memory=0.24, content_path=folders / "content/big.png")
    assert not (folders / "out").exists()
    # The smaller photos need none.
    names, faults, _ = run(folders, tiny, max_memory=0.24)
    assert len(names) == 4 and [name for name, _ in faults] == ["big.png"] * 2
    assert re.search(sentence, faults[0][1])


def test_a_fault_in_tiles_is_that_pictures_alone(folders, damaged, tmp_path, monkeypatch):
    write_image(folders / "content/big.png", picture(200, 300))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = damaged(arrays={CONV: np.zeros_like})
    names, faults, _ = run(folders, directory, tile_size=100)
    assert names == [] and len(faults) == 6 and scratch_files(tmp_path) == []
    assert all("one flat colour" in sentence for _, sentence in faults)


@pytest.mark.parametrize("mode", ["exact", "thumbnail"])
def test_a_table_in_tiles(folders, table, mode):
    one = {"content_path": folders / "content/a.png", "style": ("wave:0.6", "night:0.4")}
    [name], _, _ = run(folders, table, **one)
    whole = read_image(folders / "out" / name)
    run(folders, table, tile_size=24, tile_statistics=mode, overwrite=True, **one)
    assert_written(folders / "out" / name, whole, 1.01)


def test_what_is_too_narrow_for_tiles_is_told_as_ever(folders, tiny):
    write_image(folders / "content/a.png", picture(12, 400), overwrite=True)
    one = {"content_path": folders / "content/a.png", "style_path": folders / "style/s.png"}
    _, faults, _ = run(folders, tiny, tile_size=32, **one)
    assert "both sides must be 16 px" in faults[0][1]


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


def test_a_folder_in_a_style_by_name(folders, table):
    names, faults, _ = run(folders, table, style=("night",))
    assert names == ["a_stylized_night.png", "b_stylized_night.png"] and not faults
    expected = load(table, "float32")(read_image(folders / "content/a.png"), "night")
    assert_written(folders / "out/a_stylized_night.png", expected)
    names, _, notes = run(folders, table, style=("wave:0.6", "night:0.4"))
    assert names[0] == "a_stylized_wave60_night40.png"
    assert "the style is 60% wave, 40% night" in notes


def test_a_table_of_one_style_needs_no_name(folders, table, tmp_path):
    with np.load(table / "stylizer.npz") as file:
        arrays = {name: file[name] for name in file if not name.startswith("styles/")}
        arrays |= {"styles/night": file["styles/night"]}
    config = json.loads((table / "config.json").read_text())
    config["model"]["styles"] = ["night"]
    checkpoint.create(tmp_path / "one", config, arrays)
    one = {"content_path": str(folders / "content/a.png")}
    names, faults, _ = run(folders, tmp_path / "one", **one)
    assert (names, faults) == (["a_stylized_night.png"], [])
    found = read_image(folders / "out" / names[0])
    [name], _, _ = run(folders, table, style=("night",), overwrite=True, **one)
    np.testing.assert_array_equal(found, read_image(folders / "out" / name))


def test_a_style_may_be_a_picture_file(folders, shallow):
    one = {"content_path": folders / "content/a.png"}
    default = {"style_path": "images/styles"}
    file, other = (str(folders / f"style/{name}.png") for name in "st")
    names, faults, _ = run(folders, shallow, style=(file,), **default, **one)
    assert names == ["a_stylized_s.png"] and not faults
    by_path = read_image(folders / "out/a_stylized_s.png")
    run(folders, shallow, style_path=file, overwrite=True, **one)
    np.testing.assert_array_equal(read_image(folders / "out/a_stylized_s.png"), by_path)
    names, _, _ = run(folders, shallow, style=(f"{file}:3", other), **default, **one)
    assert names == ["a_stylized_s75_t25.png"]
    # Names of a folder's files and files of elsewhere together; a name wins.
    names, _, _ = run(folders, shallow, style=("s", other), style_path=file, **one)
    assert names == ["a_stylized_s50_t50.png"]
    with pytest.raises(UserError, match="--style-path is not given: `images/styles` does not"):
        run(folders, shallow, style=("wave",), style_path="images/styles")


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


def test_a_sheet_of_all_styles(folders, table, shallow):
    names, _, _ = run(folders, table, all_styles=True)
    assert names == ["a_stylized_all.png", "b_stylized_all.png"]
    sheet = read_image(folders / "out/a_stylized_all.png")
    height, width, _ = read_image(folders / "content/a.png").shape
    assert sheet.shape[0] > 2 * height and sheet.shape[1] == 2 * width + 4
    # Of pictures it is a sheet of the paintings.
    names, faults, _ = run(folders, shallow, all_styles=True, out_path=folders / "other")
    assert names == ["a_stylized_all.png", "b_stylized_all.png"] and not faults


def test_paintings_have_the_names_of_their_files(folders, shallow, stylize):
    names, _, _ = run(folders, shallow, style=("s:1", "t:3"))
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


def test_a_device_that_there_is_not_is_told_first():
    with pytest.raises(UserError, match="a GPU that TensorFlow does not see.* Received: 'gpu:99'"):
        list(stylize_folder(StylizeConfig(content_path="nowhere", device="gpu:99")))


def test_a_strength_of_nothing_of_a_table_leaves_the_photos_as_they_are(folders, table):
    names, faults, _ = run(folders, table, style=("wave",), alpha=0.0)
    assert len(names) == 2 and not faults
    result = read_image(folders / "out" / "a_stylized_wave.png")
    np.testing.assert_array_equal(result, read_image(folders / "content" / "a.png"))
