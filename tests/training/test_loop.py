"""Training for real, on made pictures: it learns, resumes exactly and loses nothing."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from tf_style import checkpoint
from tf_style.errors import NonFiniteError, UserError
from tf_style.inference.style_transfer import load
from tf_style.training.config import TrainConfig
from tf_style.training.loop import train

TINY = {
    "encoder": "vgg16",
    "content_layer": "relu1_1",
    "style_layers": ("relu1_1",),
    "crop_size": 16,
    "resize_size": 24,
    "batch_size": 2,
    "save_iter": 2,
    "log_iter": 1,
    "preview_iter": 0,
    "learning_rate": 1e-3,
}


def make_folder(folder, count, seed):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(count):
        coarse = rng.integers(0, 256, (6, 7, 3), "uint8")
        Image.fromarray(coarse).resize((42, 36), Image.Resampling.BICUBIC).save(
            folder / f"{i}.jpg", quality=95
        )
    return str(folder)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {
        "content_path": make_folder(tmp_path / "content", 5, 1),
        "style_path": make_folder(tmp_path / "style", 3, 2),
    }


@pytest.fixture
def options(folders, tmp_path):
    return {**TINY, **folders, "checkpoint": str(tmp_path / "ckpt")}


def run(options, stop_at=None, **changes):
    """Train, and return the records; stop as a signal would at a step."""
    records = []

    def should_stop():
        return bool(stop_at) and sum(bool(r.losses) for r in records) >= stop_at - 1

    for record in train(TrainConfig(**{**options, **changes}), should_stop):
        records.append(record)
    return records


def newest(directory):
    """The newest state's bytes by name."""
    path = max((p for p in os.scandir(os.path.join(directory, "train"))), key=lambda p: p.name)
    with np.load(path.path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def assert_same_state(one, other):
    one, other = newest(one), newest(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def weights(directory):
    with np.load(Path(directory, "stylizer.npz")) as arrays:
        return dict(arrays)


def notes(records):
    return [record.note for record in records if record.note]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 12 steps: its options and its records; its checkpoint is not to be written to."""
    folder = tmp_path_factory.mktemp("trained")
    options = {
        **TINY,
        "content_path": make_folder(folder / "content", 5, 1),
        "style_path": make_folder(folder / "style", 3, 2),
        "checkpoint": str(folder / "ckpt"),
    }
    return options, run(options, max_iter=12)


@pytest.fixture
def begun(options, trained):
    """Options of a run that has done 12 steps, on pictures and in a checkpoint of its own."""
    shutil.copytree(trained[0]["checkpoint"], options["checkpoint"])
    return options


def change_config(options, part, **changes):
    """Change what the checkpoint says of the model, the training or the versions."""
    record = checkpoint.read_config(options["checkpoint"])
    record[part] |= changes
    checkpoint.write_config(options["checkpoint"], record)


def test_the_loss_falls(trained):
    records = [r for r in trained[1] if r.losses]
    assert [r.step for r in records] == list(range(1, 13))
    first = np.mean([r.losses["total"] for r in records[:3]])
    last = np.mean([r.losses["total"] for r in records[-3:]])
    assert last < first / 2
    assert records[-1].losses.keys() == {"content", "style/relu1_1", "total"}
    assert all(r.images_per_second > 0 and r.learning_rate > 0 for r in records)
    assert all(0 < r.input_share < 1 for r in records)


def test_a_run_resumed_is_the_run_never_stopped(options, tmp_path):
    options |= {"ema_momentum": 0.9, "augment_styles": True, "identity_weight": 50.0}
    straight = str(tmp_path / "straight")
    records = run(options, max_iter=5, checkpoint=straight)
    assert all(r.losses["identity"] > 0 for r in records if r.losses)
    stopped = run(options, max_iter=5, stop_at=3)
    assert "stopped; step 3 is saved" in notes(stopped)
    resumed = run(options, max_iter=5)
    assert "resumed at step 3" in notes(resumed)
    assert [r.step for r in resumed if r.losses] == [4, 5]
    assert_same_state(straight, options["checkpoint"])
    again = run(options, max_iter=5)
    assert "all 5 steps are done" in notes(again)
    assert not [r for r in again if r.losses]


def test_a_run_may_start_from_a_trained_model(begun, tmp_path):
    first, second = begun["checkpoint"], str(tmp_path / "second")
    begun |= {"start_from": first, "checkpoint": second, "max_iter": 1, "learning_rate": 0}
    run(begun)
    layer_factors = [checkpoint.read_config(c)["model"]["factors"] for c in (first, second)]
    assert layer_factors[0] == layer_factors[1]
    trained = weights(first)

    def assert_begun_with_them():
        for name, array in weights(second).items():
            np.testing.assert_array_equal(array, trained[name])

    assert_begun_with_them()
    shutil.rmtree(first)  # Once begun, a run has all that it needs.
    assert "all 1 steps are done" in notes(run(begun))
    # As if it was stopped before its first state.
    shutil.rmtree(f"{second}/train")
    found = " ".join(notes(run(begun)))
    assert f"{second}/train holds no state: begun at step 0" in found
    assert_begun_with_them()


def test_skip_layers_may_join_a_trained_decoder(options, tiny, tmp_path):
    deeper = {"content_layer": "relu2_1", "style_layers": ("relu1_1", "relu2_1")}
    options |= deeper | {"start_from": str(tiny), "learning_rate": 0, "max_iter": 1}
    run(options, skip_layers=("relu1_1",))
    photo, painting = picture(20, 24), picture(24, 20, 1)
    expected, found = (
        load(checkpoint, "float32")(photo, painting) for checkpoint in (tiny, options["checkpoint"])
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    options |= {"start_from": options["checkpoint"], "checkpoint": str(tmp_path / "third")}
    with pytest.raises(UserError, match=r"has skip_layers=\['relu1_1'\], not \[\]"):
        run(options)


@pytest.mark.parametrize("joining", [{"grain": 0.1}, {"color_transfer": True}])
def test_what_has_no_weights_may_join_a_trained_model(begun, trained, tmp_path, joining):
    begun |= {"start_from": trained[0]["checkpoint"], "checkpoint": str(tmp_path / "joined")}
    run(begun, learning_rate=0, max_iter=1, **joining)
    photo, painting = picture(20, 24), picture(24, 20, 1)
    joined = load(begun["checkpoint"], "float32")(photo, painting)
    begun["checkpoint"] = str(tmp_path / "ckpt")
    plain = load(begun["checkpoint"], "float32")(photo, painting)
    assert 1e-3 < np.abs(joined - plain).max()
    change_config(begun, "model", **joining)
    np.testing.assert_allclose(
        load(begun["checkpoint"], "float32")(photo, painting), joined, atol=1e-5
    )


@pytest.mark.parametrize(
    ("start_from", "match"),
    [
        ("nowhere", "no checkpoint folder 'nowhere'"),
        ("adain", "has layer='relu4_1', not 'relu1_1': give the options that it was trained"),
        ("paintings", "has method='conditional', not 'adain'"),
        ("magenta", "has method='predicted', not 'adain'"),
    ],
)
def test_a_model_of_other_networks_is_nothing_to_start_from(options, start_from, match):
    with pytest.raises(UserError, match=match):
        run(options, start_from=start_from)
    assert not os.path.exists(options["checkpoint"])


def test_several_steps_a_call_are_the_steps_one_by_one(options, trained):
    one_by_one = {r.step: r.losses["total"] for r in trained[1] if r.losses}
    records = run(options, max_iter=12, log_iter=3, save_iter=5, steps_per_call=4)
    records = [r for r in records if r.losses]
    assert [r.step for r in records] == [3, 5, 6, 9, 10, 12]
    for before, record in zip([0, 3, 5, 6, 9, 10], records, strict=True):
        mean = np.mean([one_by_one[step] for step in range(before + 1, record.step + 1)])
        assert record.losses["total"] == pytest.approx(mean, rel=1e-6)
    assert_same_state(trained[0]["checkpoint"], options["checkpoint"])


@pytest.mark.parametrize(("max_iter", "profiled"), [(1, 1), (3, 2)])
def test_the_second_step_is_profiled(options, max_iter, profiled):
    records = run(options, max_iter=max_iter, profile=True, steps_per_call=3, log_iter=3)
    assert [n for n in notes(records) if n.startswith(f"the profile of step {profiled} is in ")]
    logs = Path(options["checkpoint"], "logs")
    assert [p.stat().st_size > 0 for p in logs.glob("plugins/profile/*/*.xplane.pb")] == [True]


def test_what_the_machine_does_may_change(begun):
    records = run(begun, max_iter=14, device="cpu", steps_per_call=2)
    assert [r.step for r in records if r.losses] == [13, 14]


def test_every_moment_has_a_checkpoint_that_stylises(options):
    seen = 0
    for record in train(TrainConfig(**options, max_iter=3)):
        if record.losses:
            assert_usable(options["checkpoint"])
            # A step's state is there before the step is told of.
            assert checkpoint.newest_step(options["checkpoint"]) == {1: 0, 2: 2, 3: 3}[record.step]
            seen += 1
    assert seen == 3


def test_the_stylizer_saved_is_the_one_trained(trained):
    state = newest(trained[0]["checkpoint"])
    arrays = weights(trained[0]["checkpoint"])
    assert set(arrays) == {f"decoder/{k}" for k in state if not k.startswith("adam")}
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name.removeprefix("decoder/")])


def test_the_config_is_enough_to_run_again(trained, tmp_path):
    values = checkpoint.read_config(trained[0]["checkpoint"])["training"]
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    run(values, checkpoint=str(tmp_path / "again"))
    assert_same_state(trained[0]["checkpoint"], tmp_path / "again")


def test_overwrite_moves_the_old_run_aside(begun, tmp_path):
    records = run(begun, max_iter=1, overwrite=True)
    [aside] = (tmp_path / "ckpt/before").iterdir()
    assert any("moved to" in note for note in notes(records))
    assert int(newest(aside)["adam/iteration"]) == 12


def test_a_second_run_in_the_folder_is_refused(options, tmp_path):
    first = train(TrainConfig(**options, max_iter=6))
    while not next(first).losses:
        pass
    part = tmp_path / "ckpt/train/.00000001.npz.1.tmp"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half")
    for changes in ({}, {"overwrite": True}):
        with pytest.raises(UserError, match=f"ckpt` is in use by process {os.getpid()} on"):
            run(options, max_iter=6, **changes)
    assert part.exists()
    first.close()
    run(options, max_iter=1)
    assert not part.exists()
    assert not (tmp_path / "ckpt/.lock").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"learning_rate": 2e-3}, "has learning_rate=0.001, not 0.002: .* --overwrite"),
        ({"seed": 1}, "has seed=0, not 1"),
        ({"style_layers": ("relu1_2",)}, "has style_layers="),
        ({"encoder": "vgg19"}, "has encoder='vgg16', not 'vgg19'"),
    ],
)
def test_another_run_is_not_resumed(begun, changes, match):
    before = newest(begun["checkpoint"])
    with pytest.raises(UserError, match=match):
        run(begun, max_iter=12, **changes)
    assert newest(begun["checkpoint"]).keys() == before.keys()


@pytest.mark.slow
def test_a_run_may_be_made_longer_unless_its_schedule_knows_its_end(options, tmp_path):
    run(options, max_iter=2)
    assert [r.step for r in run(options, max_iter=3) if r.losses] == [3]
    cosine = {"lr_schedule": "cosine", "checkpoint": str(tmp_path / "cosine")}
    run(options, max_iter=2, **cosine)
    with pytest.raises(UserError, match="has max_iter=2, not 3"):
        run(options, max_iter=3, **cosine)


def test_changed_pictures_are_said_and_refused(begun):
    Image.new("RGB", (40, 40)).save(os.path.join(begun["style_path"], "new.png"))
    with pytest.raises(UserError, match="style pictures are not those .* --allow-changed-data"):
        run(begun, max_iter=12)
    assert "the style pictures have changed" in notes(
        run(begun, max_iter=12, allow_changed_data=True)
    )


def test_bad_pictures_are_left_out_and_listed(options, folders):
    for i in range(5, 45):
        Image.new("RGB", (40, 40)).save(os.path.join(folders["content_path"], f"{i}.png"))
    bad = os.path.join(folders["content_path"], "bad.jpg")
    Path(bad).write_text("no picture")
    records = run(options, max_iter=1)
    assert "content: 45 pictures, 1 left out" in notes(records)
    listed = Path(options["checkpoint"], "left_out.tsv").read_text()
    assert listed.startswith(f"{bad}\t")


def lose(options, file, **changes):
    """Train, and delete a picture after the first record; returns the notes."""
    found = []
    for record in train(TrainConfig(**{**options, "save_iter": 100, "max_iter": 30, **changes})):
        found.append(record.note)
        if record.losses:
            file.unlink(missing_ok=True)
    return found


def test_a_picture_lost_while_it_is_trained_on(options, folders, trained):
    file = Path(folders["content_path"], "3.jpg")
    content = file.read_bytes()
    told = rf"{file} changed during the training \(No such file or directory\); step (\d+) is saved"
    with pytest.raises(UserError, match=f"{told}: .* --skip-missing") as error:
        lose(options, file, steps_per_call=3, log_iter=3)
    step = int(newest(options["checkpoint"])["adam/iteration"])
    assert f"step {step} is saved" in str(error.value) and 3 <= step < 12
    # Put back, it is as if nothing had been.
    file.write_bytes(content)
    assert f"resumed at step {step}" in notes(run(options, max_iter=12))
    assert_same_state(trained[0]["checkpoint"], options["checkpoint"])
    # Asked to, it does without, and so does who goes on.
    found = lose(options, file, skip_missing=True)
    [said] = [note for note in found if re.search(r"3.jpg changed .* left out from step", note)]
    assert f"{file}\tNo such file" in Path(options["checkpoint"], "left_out.tsv").read_text()
    assert int(newest(options["checkpoint"])["adam/iteration"]) == 30
    assert "all 30 steps are done" in notes(run(options, max_iter=30, skip_missing=True))


def test_a_picture_lost_before_a_preview(options, folders):
    held_out = f"{folders['content_path']}-held-out"
    shutil.copytree(folders["content_path"], held_out)
    options |= {"val_content_path": held_out, "val_style_path": folders["style_path"]}
    file = Path(held_out, "1.jpg")
    with pytest.raises(UserError, match=f"{file} changed during the training .*; step 2 is saved"):
        lose(options, file, preview_iter=2)
    found = lose(options, file, preview_iter=2, max_iter=4, skip_missing=True)
    assert any(note.startswith("held out: ") for note in found)


def test_a_run_below_its_pictures_does_not_see_itself(options, tmp_path):
    """Neither on going on, nor after a fresh start; a run among them is refused."""
    options |= {"content_path": str(tmp_path / "content"), "preview_iter": 1}
    with pytest.raises(UserError, match="would lie among the pictures of --content-path"):
        run(options, max_iter=1, checkpoint=options["content_path"])
    options["checkpoint"] = str(tmp_path / "content/ckpt")
    run(options, max_iter=1)
    assert "content: 5 pictures, 0 left out" in notes(run(options, max_iter=2))
    found = notes(run(options, max_iter=1, overwrite=True, preview_iter=0))
    assert "content: 5 pictures, 0 left out" in found


def test_what_is_not_finite_stops_the_run_and_keeps_the_last_good_state(begun):
    kept = newest(begun["checkpoint"])
    change_config(begun, "training", learning_rate=1e30)
    with pytest.raises(NonFiniteError, match="At step 1[45] the .* is not finite"):
        run(begun, max_iter=19, save_iter=100, learning_rate=1e30)
    for name, value in newest(begun["checkpoint"]).items():
        np.testing.assert_array_equal(value, kept[name])


def test_missing_folders_are_named(options):
    with pytest.raises(UserError, match="`style_path` is needed"):
        run(options, style_path="")
    # Before the weights are looked for, which cannot be had either.
    with pytest.raises(UserError, match="nowhere"):
        run(options, style_path="nowhere", encoder_weights="missing.npz")
    assert not os.path.exists(options["checkpoint"])


def test_other_encoder_weights_are_refused(begun):
    change_config(begun, "model", encoder_sha256="0" * 64)
    with pytest.raises(UserError, match="began with other encoder weights: SHA-256 000000000000"):
        run(begun, max_iter=12)


def test_other_software_or_threads_are_said(begun):
    change_config(begun, "versions", threads=999)
    assert any("threads was 999" in note for note in notes(run(begun, max_iter=12)))


def test_tensorboard_and_previews(options, folders):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held_out = {f"val_{name}": path for name, path in folders.items()}
    records = run(options, max_iter=4, preview_iter=2, log_iter=2, **held_out)
    assert [n for n in notes(records) if n.startswith("held out: content ")]
    events = EventAccumulator(os.path.join(options["checkpoint"], "logs"))
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags >= {
        "total", "content", "style/relu1_1", "learning_rate", "input_share",
        "val/total", "val/content", "val/style/relu1_1", "content, style, stylized",
    }  # fmt: skip
    assert [event.step for event in events.Tensors("total")] == [2, 4]
    previews = sorted(os.listdir(os.path.join(options["checkpoint"], "previews")))
    assert previews == ["00000002.jpg", "00000004.jpg"]
    with Image.open(os.path.join(options["checkpoint"], "previews", previews[-1])) as sheet:
        assert sheet.size[0] > 4 * 16 and sheet.size[1] > 3 * 16


# --- Kills. A child trains by the script's own main; what it left must be usable, and the same
# command must end with the very weights of a run that nobody killed.

CHILD = """
import os, signal, sys
at = int(os.environ["KILL_AT"])
count = 0

def killing(function, after):
    def called(*args, **kwargs):
        global count
        count += 1
        if count == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

after = os.environ["KILL_AFTER"] == "1"
os.replace, os.rename = killing(os.replace, after), killing(os.rename, after)
from tf_style.cli.train import main
raise SystemExit(main(["train.py", *sys.argv[1:]]))
"""


def arguments(options):
    return [
        f"--{name}={','.join(value) if isinstance(value, tuple) else value}"
        for name, value in options.items()
    ]


def start(options, cache, kill_at=0, kill_after=False):
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        "KILL_AT": str(kill_at),
        "KILL_AFTER": str(int(kill_after)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments(options)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(options, cache, **kill):
    child = start(options, cache, **kill)
    output, _ = child.communicate(timeout=300)
    return child.returncode, output


def assert_usable(directory):
    """What a kill leaves is no checkpoint at all, or one that stylises."""
    if os.path.exists(os.path.join(directory, "config.json")):
        picture = np.random.default_rng(0).random((20, 21, 3), "float32")
        assert np.isfinite(load(directory, "float32")(picture, picture)).all()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Options of a run, and the directory where nobody killed it."""
    folder = tmp_path_factory.mktemp("straight")
    options = {
        **TINY,
        "max_iter": 9,
        "content_path": make_folder(folder / "content", 5, 1),
        "style_path": make_folder(folder / "style", 3, 2),
        "checkpoint": str(folder / "ckpt"),
    }
    code, output = finish(options, cache=folder / "cache")
    assert code == 0, output
    return options


# One killed process replaces or renames: the scans' two caches, the new directory's two files,
# then state and stylizer of every save.
RENAMES = {
    1: "cache",
    3: "stylizer",
    4: "config",
    5: "state",
    6: "stylizer",
    7: "state",
}


# After one rename is before the next: the other side of each is one of its neighbour's.
@pytest.mark.slow
@pytest.mark.parametrize(
    "kill_at, kill_after", [*((k, False) for k in RENAMES), (max(RENAMES), True)]
)
def test_killed_at_a_rename(straight, tmp_path, kill_at, kill_after):
    options = {**straight, "checkpoint": str(tmp_path / "ckpt")}
    code, output = finish(options, tmp_path / "cache", kill_at=kill_at, kill_after=kill_after)
    assert code == -signal.SIGKILL, output
    assert_usable(options["checkpoint"])
    code, output = finish(options, tmp_path / "cache")
    assert code == 0, output
    assert_same_state(straight["checkpoint"], options["checkpoint"])


@pytest.mark.slow
def test_killed_at_random_moments(straight, tmp_path):
    began = time.monotonic()
    finish({**straight, "checkpoint": str(tmp_path / "timed")}, tmp_path / "timed_cache")
    whole = time.monotonic() - began
    options = {**straight, "checkpoint": str(tmp_path / "ckpt")}
    rng = random.Random(0)
    killed = 0
    for _ in range(4):
        child = start(options, tmp_path / "cache")
        try:
            child.communicate(timeout=whole * rng.uniform(0.2, 0.9))
            shutil.rmtree(options["checkpoint"])  # it was faster than its kill: once more
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            killed += 1
        assert_usable(options["checkpoint"])
    assert killed
    code, output = finish(options, tmp_path / "cache")
    assert code == 0, output
    assert_same_state(straight["checkpoint"], options["checkpoint"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_first(options, tmp_path, number):
    options.update(max_iter=100_000, save_iter=100_000)
    child = start(options, tmp_path / "cache")
    directory = os.path.join(options["checkpoint"], "logs")
    deadline = time.monotonic() + 300
    while not os.path.exists(directory) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(4)
    child.send_signal(number)
    output, _ = child.communicate(timeout=300)
    assert child.returncode == 128 + number, output
    assert "is saved" in output and "Traceback" not in output
    steps = int(newest(options["checkpoint"])["adam/iteration"])
    assert 0 < steps < 100_000
