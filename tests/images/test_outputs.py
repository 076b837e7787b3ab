"""Names of results, and which of them are to be made."""

import pytest
from conftest import picture

from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.images.outputs import outputs_of, pictures_of, short_names
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig


def results(folder, config_class=StylizeConfig, unfinished=lambda path: False, **options):
    paths = {f"{name}_path": str(folder / name) for name in ("content", "style", "out")}
    config = config_class(**paths | options)
    contents, styles = (pictures_of(config, name) for name in ("content_path", "style_path"))
    labels = list(short_names(styles).values())
    return outputs_of(config, contents, labels, unfinished, options.get("resume", False))


def fill(folder, names, seed=0):
    for name in names:
        write_image(folder / name, picture(20, 24, seed))


@pytest.mark.parametrize("side", ["content", "style"])
@pytest.mark.parametrize(
    "files, expected",
    [
        (["x/a.png", "y/a.png"], ["x_a", "y_a"]),
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),
        (["x/a.png", "x/b.png", "y/b.png"], ["x_a", "x_b", "y_b"]),
        (["x/a.png", "x/a.jpg", "y/a.png"], ["x_a_jpg", "x_a_png", "y_a_png"]),
        (
            ["w/z.png", "x/y_z.png", "x_y/z.png"],
            ["0000_w_z_png", "0001_x_y_z_png", "0002_x_y_z_png"],
        ),
        (["x/a.png", "b.png"], ["a", "b"]),
    ],
)
def test_equal_names(tmp_path, side, files, expected):
    other = {"content": "style", "style": "content"}[side]
    fill(tmp_path / side, files)
    fill(tmp_path / other, ["s.png", "t.png"])
    total, outputs = results(tmp_path)
    part = {"content": 0, "style": -1}[side]
    assert sorted({path.stem.split("_stylized_")[part] for path in outputs.values()}) == expected
    assert len(set(outputs.values())) == len(outputs) == total == 2 * len(files)


def test_two_pairs_of_one_name_are_refused(tmp_path):
    fill(tmp_path / "content", ["a.png", "a_stylized_s.png"])
    fill(tmp_path / "style", ["s.png", "s_stylized_s.png"])
    with pytest.raises(UserError, match="both give .*a_stylized_s_stylized_s.jpg`; rename one"):
        results(tmp_path)


def test_what_exists(tmp_path):
    fill(tmp_path / "content", ["a.png", "b.png"])
    fill(tmp_path / "style", ["s.png"])
    fill(tmp_path / "out", ["a_stylized_s.jpg"])
    with pytest.raises(UserError, match="Results exist already: 1 of 2, such as .*a_stylized"):
        results(tmp_path)
    assert len(results(tmp_path, overwrite=True)[1]) == 2
    total, todo = results(tmp_path, skip_existing=True)
    assert total == 2 and [path.name for path in todo.values()] == ["b_stylized_s.jpg"]


@pytest.mark.parametrize("name", ["r.png", "sub/r.WEBP", "r.jpeg", "r.jpg"])
@pytest.mark.parametrize("config_class", [StylizeConfig, GatysConfig])
def test_one_result_may_be_given_its_files_name(tmp_path, config_class, name):
    fill(tmp_path / "content", ["a.png"])
    fill(tmp_path / "style", ["s.png"])
    total, todo = results(tmp_path, config_class, out_path=str(tmp_path / name))
    assert total == 1 and list(todo.values()) == [tmp_path / name]
    fill(tmp_path / "content", ["b.png"])
    with pytest.raises(UserError, match="is one file, but 2 pictures would be made: give a folder"):
        results(tmp_path, config_class, out_path=str(tmp_path / name))
    # A folder may have any name.
    (tmp_path / name).mkdir(parents=True)
    _, todo = results(tmp_path, config_class, out_path=str(tmp_path / name))
    assert {path.parent for path in todo.values()} == {tmp_path / name}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_path": ""}, "`out_path` must not be empty"),
        ({"out_path": "r.tif"}, "`r.tif` must end in .jpg, .png, .webp or .jpeg"),
        ({"out_path": "r.png", "out_format": "webp"}, "`out_format` webp contradicts .* r.png"),
    ],
)
def test_files_and_folders_that_cannot_be_meant(tmp_path, options, message):
    fill(tmp_path / "content", ["a.png"])
    fill(tmp_path / "style", ["s.png"])
    with pytest.raises(UserError, match=message):
        results(tmp_path, **options)
    assert results(tmp_path, out_path="r.png", out_format="png")[0] == 1


def test_what_was_begun(tmp_path):
    fill(tmp_path / "content", ["a.png", "b.png"])
    fill(tmp_path / "style", ["s.png"])
    fill(tmp_path / "out", ["a_stylized_s.jpg", "b_stylized_s.jpg"])

    def begun(path):
        return path.name == "a_stylized_s.jpg"

    with pytest.raises(UserError, match="a_stylized_s.jpg` was begun and not finished: --resume"):
        results(tmp_path, GatysConfig, begun)
    _, todo = results(tmp_path, GatysConfig, begun, resume=True)
    assert [path.name for path in todo.values()] == ["a_stylized_s.jpg"]
    assert len(results(tmp_path, GatysConfig, begun, overwrite=True)[1]) == 2


@pytest.mark.parametrize("side", ["content", "style"])
def test_results_among_the_pictures_are_refused(tmp_path, side):
    fill(tmp_path / "content", ["a.png"])
    fill(tmp_path / "style", ["s.png"])
    message = f"a_stylized_s.jpg` would lie among the pictures of --{side}-path and be taken"
    with pytest.raises(UserError, match=message):
        results(tmp_path, out_path=str(tmp_path / side))
    pattern = {f"{side}_path": str(tmp_path / side / "*.png"), "out_path": str(tmp_path / side)}
    with pytest.raises(UserError, match="a_stylized_s.png` would lie among"):
        results(tmp_path, **pattern, out_format="png")
    assert len(results(tmp_path, **pattern)[1]) == 1
    with pytest.raises(UserError, match="film.gif` would lie among"):
        results(tmp_path, GatysConfig, animation=str(tmp_path / side / "film.gif"))
    # One below is left out of the search, and holds nothing else.
    within = str(tmp_path / side / "out")
    [path] = results(tmp_path, out_path=within)[1].values()
    fill(path.parent, [path.name])
    assert len(results(tmp_path, out_path=within, skip_existing=True)[1]) == 0
    fill(path.parent, ["mine.png"])
    with pytest.raises(UserError, match=f"--{side}-path: .*mine.png` may be a picture to read"):
        results(tmp_path, out_path=within)


def test_a_fault_names_the_flag(tmp_path):
    fill(tmp_path / "style", ["s.png"])
    with pytest.raises(UserError, match="^--content-path: .*content"):
        results(tmp_path)
