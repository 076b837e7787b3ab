"""Folders by Gatys' method: results, intermediate pictures, regions, films, going on."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from tf_style.cli.stylize import main
from tf_style.errors import UserError
from tf_style.gatys import folder
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.folder import paint_folder
from tf_style.images.reading import read_image
from tf_style.images.writing import write_image


@pytest.fixture
def options(tmp_path):
    write_image(tmp_path / "photos/coast.png", picture(40, 50, 1))
    write_image(tmp_path / "paintings/night.png", picture(48, 44, 2))
    return {
        "content_path": str(tmp_path / "photos"),
        "style_path": str(tmp_path / "paintings"),
        "out_path": str(tmp_path / "out"),
        "out_format": "png",
        "encoder": "vgg16",
        "content_layers": ("relu2_1",),
        "style_layers": ("relu1_1", "relu2_1"),
        "style_weight": 1000.0,
        "optimizer": "adam",  # Whose graph is made in a tenth of L-BFGS' time.
        "max_evaluations": 12,
        "save_every": 4,
        "precision": "float32",
    }


def arguments(options):
    return ["stylize.py", "--method=gatys"] + [
        f"--{name.replace('_', '-')}={','.join(value) if isinstance(value, tuple) else value}"
        for name, value in options.items()
    ]


def paint(options, stop_after=10**6, **changed):
    config = GatysConfig(**(options | changed))
    records = []
    for record in paint_folder(
        config, lambda: sum(r.iterate is not None for r in records) >= stop_after
    ):
        records.append(record)
    faults = [record.fault for record in records if record.fault]
    assert not faults, faults
    return records


def test_a_folder_is_painted(options, tmp_path):
    records = paint(options, optimizer="lbfgs")
    out = tmp_path / "out/coast_stylized_night.png"
    assert records[-1].finished and records[-1].path == out
    image = read_image(out)
    assert image.shape == (40, 50, 3) and np.abs(image - picture(40, 50, 1)).max() > 0.05
    folder = tmp_path / "out/coast_stylized_night.png.progress"
    frames = sorted(path.name for path in folder.glob("*.jpg"))
    assert len(frames) >= 3 and frames[-1] == f"{records[-1].iterate.evaluations:05d}.jpg"
    about = json.loads((folder / "config.json").read_text())
    assert about["style_weight"] == 1000 and len(about["pictures"]) == 64
    assert not (folder / "state.npz").exists()
    losses = [record.iterate.loss for record in records if record.iterate]
    assert losses[-1] < 0.5 * losses[0]
    done = [record.iterate.done for record in records if record.iterate]
    assert done == sorted(done) and done[-1] == 1


@pytest.mark.parametrize("optimizer", [pytest.param("lbfgs", marks=pytest.mark.slow), "adam"])
@pytest.mark.parametrize("scales", [1, 2])
def test_a_stopped_picture_goes_on_to_the_same_end(options, tmp_path, optimizer, scales):
    # Twice 40 px leaves no scale under 32 px.
    options |= {"optimizer": optimizer, "scales": scales, "max_evaluations": 20}
    write_image(tmp_path / "photos/coast.png", picture(66, 80, 1), overwrite=True)
    paint(options, out_path=str(tmp_path / "straight"))
    straight = read_image(tmp_path / "straight/coast_stylized_night.png")
    for stop_after in (3, 7):
        paint(options, stop_after, resume=True)
        assert (tmp_path / "out/coast_stylized_night.png.progress/state.npz").exists()
        between = read_image(tmp_path / "out/coast_stylized_night.png")
        assert not np.array_equal(between, straight)
    paint(options, resume=True)
    assert np.array_equal(read_image(tmp_path / "out/coast_stylized_night.png"), straight)
    assert not (tmp_path / "out/coast_stylized_night.png.progress/state.npz").exists()


@pytest.mark.slow
def test_what_was_begun_is_not_begun_anew_unasked(options):
    paint(options, 3)
    with pytest.raises(UserError, match="was begun and not finished: --resume continues"):
        paint(options)
    changed = options | {"resume": True, "style_weight": 5.0}
    *_, record = paint_folder(GatysConfig(**changed))
    assert "has style_weight=1000.0, not 5.0: give the same" in str(record.fault)
    assert paint(options, overwrite=True)[-1].finished
    with pytest.raises(UserError, match="Results exist already: 1 of 1"):
        paint(options)
    assert "1 of 1 result skipped: already there" in paint(options, resume=True)[0].note


def test_what_another_process_works_on_is_left_to_it(options, tmp_path):
    out = tmp_path / "out/coast_stylized_night.png"
    options["scales"] = 1
    first = paint_folder(GatysConfig(**options))
    while not (tmp_path / f"{out}.progress/state.npz").exists():
        next(first)
    for changed in ({"overwrite": True}, {"resume": True}):
        *_, record = paint_folder(GatysConfig(**(options | changed)))
        assert f"`{out}` is in use by process {os.getpid()} on" in str(record.fault)
    first.close()
    assert [path.name for path in out.parent.iterdir() if path.name[0] == "."] == []


def test_a_damaged_state_is_told(options, tmp_path):
    paint(options, 3)
    (tmp_path / "out/coast_stylized_night.png.progress/state.npz").write_bytes(b"PK\3\4")
    fault = list(paint_folder(GatysConfig(**options, resume=True)))[-1].fault
    assert "cannot be resumed" in str(fault) and "--overwrite" in str(fault)


@pytest.mark.slow
def test_intermediate_pictures_can_be_had_none(options, tmp_path):
    paint(options, save_every=0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["coast_stylized_night.png"]


def test_an_unfinished_picture_is_never_taken_for_the_result(options, tmp_path):
    out = tmp_path / "out/coast_stylized_night.png"
    options["save_every"] = 0
    paint(options, out_path=str(tmp_path / "straight"))
    paint(options, 3)
    between = read_image(out)
    assert not list(out.parent.glob("*.progress/*.jpg"))
    with pytest.raises(UserError, match="was begun and not finished"):
        paint(options)
    paint(options, resume=True)
    assert np.array_equal(read_image(tmp_path / "straight" / out.name), read_image(out))
    assert not np.array_equal(between, read_image(out))
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("save_every", [0, 4])
def test_the_name_is_taken_at_the_start(options, tmp_path, save_every):
    """And what is killed without a word is begun, not finished."""
    out = tmp_path / "out/coast_stylized_night.png"
    options["save_every"] = save_every
    first = paint_folder(GatysConfig(**options))
    while next(first).iterate is None:
        pass
    assert out.exists()
    first.close()
    with pytest.raises(UserError, match="was begun and not finished"):
        paint(options)
    assert paint(options, resume=True)[-1].finished
    # A file that comes in between the check and the start is not replaced.
    out.unlink()
    first = paint_folder(GatysConfig(**(options | {"out_format": "jpg"})))
    next(first)
    out.with_suffix(".jpg").write_text("mine")
    *_, record = first
    assert "exists already" in str(record.fault) and out.with_suffix(".jpg").read_text() == "mine"


def test_nothing_is_deleted_unasked(options, tmp_path):
    out = tmp_path / "out/coast_stylized_night.png"
    progress = tmp_path / f"{out}.progress"
    paint(options)
    (progress / "notes.txt").write_text("mine")
    out.rename(tmp_path / "keep.png")
    before = {file.name: file.read_bytes() for file in progress.iterdir()}
    with pytest.raises(UserError, match="has the intermediate pictures of another run: .*overw"):
        paint(options, style_weight=5.0)
    assert {file.name: file.read_bytes() for file in progress.iterdir()} == before
    paint(options, style_weight=5.0, overwrite=True, max_evaluations=6)
    frames = sorted(file.name for file in progress.glob("*.jpg"))
    assert frames[-1] < "00012.jpg" and (progress / "notes.txt").read_text() == "mine"


def test_a_finished_picture_goes_on_with_more_evaluations(options, tmp_path):
    out = tmp_path / "out/coast_stylized_night.png"
    options["scales"] = 2
    write_image(tmp_path / "photos/coast.png", picture(66, 80, 1), overwrite=True)
    first = paint(options)[-1].iterate
    between = read_image(out)
    assert "1 of 1 result skipped: already there" in paint(options, resume=True)[0].note
    assert np.array_equal(read_image(out), between)
    records = paint(options, resume=True, max_evaluations=30)
    iterates = [record.iterate for record in records if record.iterate]
    assert {iterate.scale for iterate in iterates} == {2}
    assert iterates[0].evaluations > first.evaluations and iterates[-1].evaluations >= 30
    assert iterates[-1].loss < 0.9 * first.loss
    assert not np.array_equal(read_image(out), between) and records[-1].finished
    frames = {file.stem for file in out.parent.glob("*.progress/*.jpg")}
    assert {"00012", f"{iterates[-1].evaluations:05d}"} <= frames
    # Also where the result has been moved away.
    out.unlink()
    assert paint(options, resume=True, max_evaluations=34)[-1].finished and out.exists()


@pytest.mark.slow
def test_a_film_is_made_of_the_pictures(options, tmp_path):
    film = tmp_path / "films/a.gif"
    paint(options, animation=str(film))
    frames = list((tmp_path / "out/coast_stylized_night.png.progress").glob("*.jpg"))
    with Image.open(film) as image:
        assert (image.n_frames, image.size) == (len(frames), (50, 40))
    with pytest.raises(UserError, match="a.gif` exists already"):
        paint(options, animation=str(film), out_path=str(tmp_path / "again"))


def test_a_film_for_video_players(options, tmp_path):
    av = pytest.importorskip("av")
    paint(options, animation=str(tmp_path / "a.mp4"))
    with av.open(tmp_path / "a.mp4") as film:
        sizes = {(frame.width, frame.height) for frame in film.decode(video=0)}
    assert sizes == {(50, 40)}


def test_a_film_is_of_one_picture(options, tmp_path):
    write_image(tmp_path / "paintings/day.png", picture(48, 44, 3))
    with pytest.raises(UserError, match="one file, but 2 pictures would be made"):
        paint(options, animation=str(tmp_path / "a.gif"))


def test_regions_take_the_style_of_their_own(options, tmp_path):
    painting = np.zeros((48, 60, 3), "float32")
    painting[:, :30] = (0.9, 0.1, 0.1)
    painting[:, 30:] = (0.1, 0.1, 0.9)
    write_image(tmp_path / "paintings/night.png", painting, overwrite=True)
    write_image(tmp_path / "photos/coast.png", np.full((48, 60, 3), 0.5, "float32"), overwrite=True)
    left = np.zeros((48, 60, 3), "float32")
    left[:, :30] = 1
    write_image(tmp_path / "left.png", left)
    write_image(tmp_path / "right.png", 1 - left)
    a, b = str(tmp_path / "left.png"), str(tmp_path / "right.png")
    # Swapped: the left of the photo takes after the right of the painting.
    paint(options, content_mask=(a, b), style_mask=(b, a), style_layers=("relu1_1",),
          content_weight=0.0, init="content", max_evaluations=40)  # fmt: skip
    red, _, blue = np.moveaxis(read_image(tmp_path / "out/coast_stylized_night.png"), -1, 0)
    assert (blue - red)[:, 4:26].mean() > 0.3 and (red - blue)[:, 34:56].mean() > 0.3


def test_a_mask_without_white(options, tmp_path):
    write_image(tmp_path / "black.png", np.zeros((40, 50, 3), "float32"))
    masks = {k: (str(tmp_path / "black.png"),) for k in ("content_mask", "style_mask")}
    fault = list(paint_folder(GatysConfig(**options, **masks)))[-1].fault
    assert "black.png` has no white" in str(fault)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P"])
def test_a_mask_is_grey_times_opacity(tmp_path, mode):
    left = np.zeros((48, 64), "uint8")
    left[:, :32] = 255
    if mode == "L":
        mask = Image.fromarray(left)
    elif mode == "P":
        mask = Image.fromarray((left > 0).astype("uint8"), "L").convert("P")
        mask.putpalette([255] * 6)
        mask.info["transparency"] = b"\0\xff"
    else:
        mask = Image.new(mode, (64, 48), "white")
        mask.putalpha(Image.fromarray(left))
    mask.save(tmp_path / "left.png")
    found = folder._mask(GatysConfig(), str(tmp_path / "left.png"), np.zeros((48, 64, 3), "f"))
    assert np.array_equal(found, left / 255)


def test_a_mask_of_another_shape_is_stretched(tmp_path):
    left = np.zeros((30, 90, 3), "float32")
    left[:, :45] = 1
    path = str(tmp_path / "left.png")
    write_image(path, left)
    with pytest.warns(UserWarning, match="left.png` of 90x30 is stretched .* 50x40"):
        found = folder._mask(GatysConfig(), path, np.zeros((40, 50, 3), "float32"))
    assert found.shape == (40, 50)
    assert found[:, :23].min() > 0.9 and found[:, 27:].max() < 0.1
    # A rounded size is told by nothing.
    assert folder._mask(GatysConfig(), path, np.zeros((33, 100, 3), "float32")).shape == (33, 100)


@pytest.mark.slow
def test_colours_and_strips(options, tmp_path):
    paint(options, preserve_color="luma", concat=True)
    strip = read_image(tmp_path / "out/coast_stylized_night.png")
    assert strip.shape[0] == 40 and strip.shape[1] > 3 * 40
    paint(options, preserve_color="match", overwrite=True)


def test_styles_are_blended(options, tmp_path):
    write_image(tmp_path / "paintings/day.png", picture(48, 44, 3))
    records = paint(options, style_weights=(3.0, 1.0))
    assert [r.path.name for r in records if r.finished] == ["coast_stylized_blend.png"]


def test_what_the_program_says(options, tmp_path, capsys):
    assert main(arguments(options)) == 0
    said = capsys.readouterr().err
    assert "evaluations, loss" in said and "content" in said and "1 written to" in said
    assert main(arguments(options)) == 2
    assert "exist already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content_layers": "relu9_1"}, "vgg16 has the layers relu1_1"),
        ({"content_weight": 0, "style_weight": 0}, "are both zero"),
        ({"style_layers": "relu1_1:0"}, "needs a weight above 0"),
        ({"content_size": 33}, "both sides must be 32 px or more"),
        ({"style_path": "nowhere"}, "--style-path: `nowhere` does not exist"),
        ({"alpha": 1}, "There is no flag --alpha"),
        ({"tile_size": 64, "style_loss": "gaussian"}, "`tile_size` excludes the style loss gauss"),
        ({"init": "nowhere.png"}, "nowhere.png"),
    ],
)
def test_mistakes_are_told_in_one_sentence(options, capsys, change, message):
    assert main(arguments(options | change)) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_a_picture_that_cannot_be_read_is_left_out(options, tmp_path, capsys):
    (tmp_path / "photos/text.jpg").write_text("no picture")
    assert main(arguments(options)) == 1
    said = capsys.readouterr().err
    assert "text.jpg" in said and "1 written to" in said


def test_pictures_too_thin_are_named_and_the_rest_done(options, tmp_path):
    for name in ("photos/a_line", "paintings/b_line"):
        write_image(tmp_path / f"{name}.png", np.zeros((2, 6000, 3), "uint8"))
    options |= {"max_evaluations": 2, "save_every": 0, "style_size": 64, "max_memory": 2}
    records = list(paint_folder(GatysConfig(**options)))
    faults = {record.path.name: str(record.fault) for record in records if record.fault}
    assert faults.keys() == {"a_line.png", "b_line.png"}
    assert "both sides must be 32 px" in faults["a_line.png"]
    assert "192000x64 would take about 16.2 GB" in faults["b_line.png"]
    assert [r.path.name for r in records if r.finished] == ["coast_stylized_night.png"]


def test_the_memory_is_told_before_any_work(options, tmp_path):
    write_image(tmp_path / "photos/large.png", picture(400, 500))
    options["optimizer"] = "lbfgs"

    def told(**changed):
        return next(paint_folder(GatysConfig(**options, content_size=0, **changed))).note

    large = f"the largest picture, {tmp_path}/photos/large.png at 500x400"
    assert re.fullmatch(rf"{large}, will take about \d\.\d GB of memory", told())
    for changed, side in (({"tile_size": 40}, 40), ({"max_memory": 0.9}, 256)):
        text = rf"{large} in tiles of {side} px, will take about 0\.\d GB of memory"
        assert re.fullmatch(text, told(**changed))
    options["content_path"] = str(tmp_path / "photos/large.png")
    message = r"large.png at 500x400 in tiles of 128 px would .* and --max-memory is 0.4 GB: --cont"
    with pytest.raises(UserError, match=message):
        told(max_memory=0.4)
    with pytest.raises(UserError, match=r"at 500x400 would .* --max-memory is 0.9 GB: --content-s"):
        told(max_memory=0.9, style_loss=("gaussian",))


@pytest.mark.slow
def test_tiles_go_on(options, tmp_path):
    options |= {"tile_size": 8, "max_evaluations": 6}
    paint(options, out_path=str(tmp_path / "straight"))
    paint(options, 3)
    records = paint(options, resume=True)
    assert list(records[1].iterate.state["tiles"]) == [8]
    straight, resumed = (read_image(tmp_path / folder / "coast_stylized_night.png")
                         for folder in ("straight", "out"))  # fmt: skip
    assert np.array_equal(straight, resumed)


def test_help_has_the_methods_own_flags(capsys):
    assert main(["stylize.py", "--method", "gatys", "--help"]) == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(GatysConfig):
        assert f"--{field.name.replace('_', '-')}" in said


def test_a_device_that_there_is_not_is_told_first():
    with pytest.raises(UserError, match="a GPU that TensorFlow does not see.* Received: 'gpu:99'"):
        list(paint_folder(GatysConfig(content_path="nowhere", device="gpu:99")))
