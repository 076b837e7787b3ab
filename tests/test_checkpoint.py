"""The checkpoint directory: whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.locking import locked_folder

CONFIG = {"method": "gatys", "model": {"encoder": "vgg16"}}
WEIGHTS = {"decoder/conv/kernel": np.arange(6, dtype="float32").reshape(2, 3)}
SHAPES = {name: value.shape for name, value in WEIGHTS.items()}


@pytest.fixture
def directory(tmp_path):
    checkpoint.create(tmp_path / "ckpt", CONFIG, WEIGHTS)
    return tmp_path / "ckpt"


def state(number):
    return {"weight": np.full((3,), number, "float32"), "step": np.int64(number)}


STATE_SHAPES = {"weight": (3,), "step": ()}


def test_create_gives_back_what_it_was_given(directory):
    assert checkpoint.read_config(directory) == CONFIG
    read = checkpoint.read_stylizer(directory, SHAPES)
    np.testing.assert_array_equal(read["decoder/conv/kernel"], WEIGHTS["decoder/conv/kernel"])


def test_only_a_checkpoint_hides_a_model_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paintings").mkdir()
    (tmp_path / "paintings" / "wave.jpg").touch()
    for name in ("paintings", "paintings/", "adain"):
        assert checkpoint.directory_of(name).parent == checkpoint.PRETRAINED
    checkpoint.write_config("paintings", CONFIG)
    assert checkpoint.directory_of("paintings") == Path("paintings")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="other is no checkpoint: it has no config.json"):
        checkpoint.read_config(checkpoint.directory_of("other"))
    with pytest.raises(UserError, match="no checkpoint folder 'none', nor a model of that name"):
        checkpoint.directory_of("none")


def test_a_model_that_ships_is_extended_elsewhere(directory, tmp_path):
    shipped = checkpoint.PRETRAINED / "paintings"
    assert checkpoint.extended(tmp_path / "new", "paintings") == shipped
    assert checkpoint.extended(directory, "paintings") == directory
    assert checkpoint.extended(directory) == directory
    for own, start_from in (("paintings", ""), (shipped, ""), (shipped, "paintings")):
        with pytest.raises(UserError, match="not written to: give --start-from paintings and a"):
            checkpoint.extended(own, start_from)


def test_create_leaves_nothing_else_behind(directory):
    assert [path.name for path in directory.parent.iterdir()] == ["ckpt"]


def test_create_makes_folders_above(tmp_path):
    checkpoint.create(tmp_path / "a" / "b", CONFIG, WEIGHTS)
    assert checkpoint.read_config(tmp_path / "a" / "b") == CONFIG


def test_create_takes_an_empty_folder(tmp_path):
    (tmp_path / "ckpt").mkdir()
    # A new disk has this folder, and a run its lock.
    (tmp_path / "ckpt/lost+found").mkdir()
    (tmp_path / "ckpt/.lock").write_text("process 1")
    inode = os.stat(tmp_path / "ckpt").st_ino
    assert checkpoint.create(tmp_path / "ckpt", CONFIG, WEIGHTS) is None
    assert checkpoint.read_config(tmp_path / "ckpt") == CONFIG
    assert os.stat(tmp_path / "ckpt").st_ino == inode  # It may be a mount point.


@pytest.mark.parametrize("overwrite", [False, True])
def test_create_refuses_a_folder_in_use(tmp_path, overwrite):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is no run that could be resumed"):
        checkpoint.create(tmp_path, CONFIG, WEIGHTS, overwrite=overwrite)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_create_takes_the_current_folder_and_links(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "link").symlink_to("disk")
    for name in (".", "../link", "../link"):
        checkpoint.create(name, CONFIG, WEIGHTS, overwrite=True)
        assert checkpoint.read_config(name) == CONFIG
        assert sorted(set(os.listdir(name)) - {"before"}) == ["config.json", "stylizer.npz"]
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk/before").is_dir()


@pytest.mark.parametrize("mode", [0o555, 0o111])
def test_create_takes_a_folder_in_a_closed_one(mode):
    user = os.geteuid()
    # Not pytest's folder, which is closed to the other user whom root must be for this.
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent, "ckpt")
        directory.mkdir()
        os.chown(directory, user or 65534, -1)
        os.chmod(parent, mode)
        os.seteuid(user or 65534)
        try:
            with locked_folder(directory):
                checkpoint.create(directory, CONFIG, WEIGHTS)
                checkpoint.create(directory, CONFIG, WEIGHTS, overwrite=True)
            assert checkpoint.read_config(directory) == CONFIG
        finally:
            os.seteuid(user)
            os.chmod(parent, 0o755)


def test_overwrite_moves_aside_and_loses_nothing(directory):
    checkpoint.save_state(directory, 7, state(7))
    (directory / "notes.txt").write_text("mine")
    aside = checkpoint.create(directory, {**CONFIG, "new": True}, WEIGHTS, overwrite=True)
    assert checkpoint.read_config(directory)["new"]
    assert checkpoint.newest_state(directory, STATE_SHAPES) is None
    assert checkpoint.newest_state(aside, STATE_SHAPES)[0] == 7
    assert (directory / "notes.txt").read_text() == "mine"
    # Twice within one second.
    again = checkpoint.create(directory, CONFIG, WEIGHTS, overwrite=True)
    assert again != aside and again.is_dir() and aside.is_dir()


@pytest.mark.parametrize("after", range(3))
def test_a_kill_while_a_run_is_moved_aside_loses_nothing(directory, monkeypatch, after):
    checkpoint.save_state(directory, 7, state(7))
    rename, done = os.rename, []

    def killing(*names):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(names)
        rename(*names)

    monkeypatch.setattr(os, "rename", killing)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.create(directory, {**CONFIG, "new": True}, WEIGHTS, overwrite=True)
    monkeypatch.undo()
    checkpoint.create(directory, {**CONFIG, "new": True}, WEIGHTS, overwrite=True)
    assert checkpoint.read_config(directory)["new"]
    assert checkpoint.newest_state(directory, STATE_SHAPES) is None
    kept = {path.name for path in directory.rglob("before/*/*")}
    assert kept == {"train", "stylizer.npz", "config.json"}


def test_create_goes_on_where_it_was_killed(tmp_path):
    (tmp_path / "ckpt").mkdir()
    checkpoint.write_stylizer(tmp_path / "ckpt", WEIGHTS)
    checkpoint.create(tmp_path / "ckpt", CONFIG, WEIGHTS)
    assert checkpoint.read_config(tmp_path / "ckpt") == CONFIG


def test_models_of_before_an_option_have_none_of_it(directory):
    model = {"encoder": "vgg16", "grain": 0.03}
    checkpoint.write_config(directory, {"method": "adain", "model": model})
    expected = model | {"skip_layers": [], "color_transfer": False}
    assert checkpoint.read_config(directory)["model"] == expected


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "is no checkpoint: it has no config.json"),
        ("{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        ("[]", "lacks `method` or `model`"),
        ("{}", "lacks `method` or `model`"),
        ('{"method": ["adain"], "model": {}}', "lacks `method` or `model`"),
        ('{"method": "adain", "model": []}', "lacks `method` or `model`"),
    ],
)
def test_config_that_cannot_be_read(directory, content, match):
    path = directory / "config.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=match):
        checkpoint.read_config(directory)


def test_stylizer_that_is_missing(directory):
    (directory / "stylizer.npz").unlink()
    with pytest.raises(UserError, match="it has no stylizer.npz"):
        checkpoint.read_stylizer(directory, SHAPES)


def test_stylizer_is_replaced_in_one_step(directory):
    doubled = {name: 2 * value for name, value in WEIGHTS.items()}
    before = open(directory / "stylizer.npz", "rb")
    checkpoint.write_stylizer(directory, doubled)
    # Who had it open still reads the old one whole: the new one is another file.
    with before, np.load(before) as old:
        np.testing.assert_array_equal(old["decoder/conv/kernel"], WEIGHTS["decoder/conv/kernel"])
    read = checkpoint.read_stylizer(directory, SHAPES)
    np.testing.assert_array_equal(read["decoder/conv/kernel"], doubled["decoder/conv/kernel"])


def test_the_newest_state_wins_and_two_are_kept(directory):
    assert checkpoint.newest_state(directory, STATE_SHAPES) is None
    for step in (1, 5, 200, 10):
        checkpoint.save_state(directory, step, state(step))
    step, arrays = checkpoint.newest_state(directory, STATE_SHAPES)
    assert step == 200
    assert arrays["step"] == 200 and arrays["step"].dtype == np.int64
    np.testing.assert_array_equal(arrays["weight"], [200, 200, 200])
    assert len(list((directory / "train").iterdir())) == 2


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_a_damaged_newest_state_gives_way(directory, kept):
    checkpoint.save_state(directory, 1, state(1))
    checkpoint.save_state(directory, 2, state(2))
    newest = directory / "train" / "00000002.npz"
    newest.write_bytes(newest.read_bytes()[:kept])
    assert checkpoint.newest_state(directory, STATE_SHAPES)[0] == 1


def test_a_flipped_bit_is_found(directory):
    checkpoint.save_state(directory, 1, state(1))
    path = directory / "train" / "00000001.npz"
    content = bytearray(path.read_bytes())
    at = content.find(np.full(3, 1, "float32").tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        checkpoint.newest_state(directory, STATE_SHAPES)


def test_only_damaged_states_are_an_error(directory):
    checkpoint.save_state(directory, 1, state(1))
    (directory / "train" / "00000001.npz").write_bytes(b"")
    with pytest.raises(UserError, match="00000001.npz is truncated or damaged"):
        checkpoint.newest_state(directory, STATE_SHAPES)


def test_half_written_files_are_no_states(directory):
    checkpoint.save_state(directory, 1, state(1))
    left = directory / "train" / ".00000002.npz.77.tmp"
    left.write_bytes(b"PK")
    assert checkpoint.newest_state(directory, STATE_SHAPES)[0] == 1
    assert left.exists()  # Another process may be writing it.
    checkpoint.remove_temporaries(directory)
    assert not left.exists()


def test_left_out_pictures_are_listed(directory):
    path = checkpoint.write_left_out(directory, [("a.jpg", "is empty"), ("b.jpg", "is text")])
    assert path.read_text() == "a.jpg\tis empty\nb.jpg\tis text\n"


def test_config_is_plain_json(directory):
    assert json.loads((directory / "config.json").read_text()) == CONFIG
