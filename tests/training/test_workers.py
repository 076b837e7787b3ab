"""Several devices and workers compute what one does; one writes; what is lost is resumed."""

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, environment, picture

from tf_style.cli import flags
from tf_style.errors import UserError
from tf_style.images.writing import write_image
from tf_style.training import workers
from tf_style.training.config import TrainConfig
from tf_style.training.loop import train

OPTIONS = {
    "encoder": "vgg16",
    "content_layer": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
    "identity_weight": "5",
    "ema_momentum": "0.5",
    "crop_size": "16",
    "resize_size": "24",
    "batch_size": "4",
    "max_iter": "10",
    "save_iter": "1",
    "log_iter": "1",
    "preview_iter": "5",
}


def test_a_strategy_that_is_entered_is_taken():
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    with strategy.scope():
        assert workers.strategy_for("gpu:7") is strategy
    assert workers.is_chief(strategy) and workers.all_gather(strategy, 3) == [3]


@pytest.mark.parametrize(
    "config",
    [
        "no json",
        "[]",
        {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["a:1"]}},
    ],
)
def test_workers_that_cannot_be_understood(config, monkeypatch):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG must be as .* Received: "):
        workers.strategy_for("cpu")


def test_no_workers_are_none(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}, "task": {"type": "worker", "index": 0}}')
    assert workers.worker_count(workers.strategy_for("cpu")) == 1


# -- the same training, on one device, several, and several workers --------------------------------

# Trains by the script's own main, keeps the state after the first step, and is killed when it has
# met the other worker so many times: once at the start and once after every step.
CHILD = """
import os, shutil, signal, sys
from tf_style import checkpoint
from tf_style.training import workers
meetings, everyone = int(os.environ.get("MEETINGS", 0)), workers.all_gather
def and_killed(strategy, number):
    global meetings
    told = everyone(strategy, number)
    meetings -= 1
    if meetings == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return told
workers.all_gather = and_killed
save_state = checkpoint.save_state
def and_kept(directory, step, arrays):
    save_state(directory, step, arrays)
    if step == 1:
        shutil.copy(os.path.join(directory, "train", "00000001.npz"),
                    os.path.join(directory, "first.npz"))
checkpoint.save_state = and_kept
from tf_style.cli.train import main
raise SystemExit(main(["train.py", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(5):
        write_image(folder / f"content/{seed}.png", picture(36, 42, seed))
        write_image(folder / f"style/{seed}.png", picture(40, 31, 9 + seed))
    return folder


def words_of(folders, checkpoint, changes):
    options = OPTIONS | {
        "content_path": folders / "content",
        "style_path": folders / "style",
        "checkpoint": checkpoint,
    }
    return [f"--{name}={value}" for name, value in (options | changes).items()]


def begin(folders, checkpoint, tf_config=None, meetings=0, **changes):
    words = words_of(folders, checkpoint, changes)
    env = environment() | {"XDG_CACHE_HOME": str(folders / "cache"), "MEETINGS": str(meetings)}
    if tf_config:
        env["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *words],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def end(*children):
    """Output and exit code of each; none outlives the test."""
    outputs = []
    try:
        outputs += [child.communicate(timeout=300)[0] for child in children]
    finally:
        for child in children[len(outputs) :]:
            child.kill()
            outputs.append(child.communicate()[0])
    return [(child.returncode, output) for child, output in zip(children, outputs, strict=True)]


def two_workers(folders, *checkpoints, killed=None, **changes):
    """Two processes that know of each other; the same checkpoint for both, or one for each."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    cluster = {"worker": hosts}
    return [
        begin(
            folders,
            checkpoints[i % len(checkpoints)],
            {"cluster": cluster, "task": {"type": "worker", "index": i}},
            meetings=6 if i == killed else 0,
            **changes,
        )
        for i in range(2)
    ]


def arrays(path):
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


def assert_close(found, expected, names):
    found, expected = arrays(found), arrays(expected)
    chosen = [name for name in expected if names(name)]
    assert chosen
    for name in chosen:
        error = np.linalg.norm(found[name] - expected[name]) / np.linalg.norm(expected[name])
        assert error < 1e-5, f"{name} differs by {error}"


def assert_same_training(one, other):
    # Adam's first momentum is a tenth of the gradient.
    assert_close(one / "first.npz", other / "first.npz", lambda name: "momentum" in name)
    last = "train/00000010.npz"
    assert_close(one / last, other / last, lambda name: "adam" not in name)


@pytest.fixture(scope="module")
def alone(folders):
    """Where this process has trained on whole batches."""
    checkpoint = folders / "alone"
    words = words_of(folders, checkpoint, {"device": "cpu"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folders / "cache"))
        for record in train(flags.parse(TrainConfig, ["train.py", *words])):
            if record.losses and record.step == 2:
                shutil.copy(checkpoint / "train/00000001.npz", checkpoint / "first.npz")
    return checkpoint


@pytest.mark.slow
def test_two_devices_train_as_one(folders, alone):
    checkpoint = folders / "mirrored"
    child = begin(folders, checkpoint, device="cpu:0,cpu:1", steps_per_call=3, deterministic="true")
    ((code, output),) = end(child)
    assert code == 0, output
    assert_same_training(checkpoint, alone)
    # No clock, so no share of the time: a NaN is none.
    tags = [tags_of(folder / "logs") for folder in (checkpoint, alone)]
    assert tags[1] - tags[0] == {"input_share"}


def tags_of(logs):
    """The names of what TensorBoard is told."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    return set(events.Tags()["tensors"])


# How far two devices are from one, of the default layers at a size that they are seen at: from the
# same state, and in the end; and how far one device is that takes its batches in reverse order.
SAME_STEPS = """
import json
import numpy as np, tensorflow as tf
from tf_style.training import workers
from tf_style.training.adain import AdaINTrainer
from tf_style.training.config import TrainConfig
from tf_style.nn.vgg import CALIBRATION
from tf_style.images.reading import read_image

STEPS, SIZE, BATCH = 4, 64, 4
config = TrainConfig(encoder="vgg16", batch_size=BATCH)
strategies = {"one": tf.distribute.get_strategy(), "two": workers.strategy_for("cpu:0,cpu:1")}

def crops(name, seed):
    picture = read_image(f"{CALIBRATION}/{name}.jpg")
    rows, columns = (np.random.default_rng(seed).integers(0, n - SIZE, (STEPS, BATCH))
                     for n in picture.shape[:2])
    return np.stack([[picture[y : y + SIZE, x : x + SIZE] for y, x in zip(*both)]
                     for both in zip(rows, columns)])

contents, styles = crops("moose", 0), crops("rocket", 1)

def trainer_of(which):
    with strategies[which].scope():
        return AdaINTrainer(config)

def step(trainer, i, reverse=False):
    batch, strategy = (contents[i], styles[i], np.zeros(BATCH, "float32")), trainer.strategy
    batch = [x[::-1] if reverse else x for x in batch]
    share = BATCH // strategy.num_replicas_in_sync
    def part(x):
        def of(context):
            first = share * context.replica_id_in_sync_group
            return tf.constant(np.ascontiguousarray(x[first : first + share]))
        return strategy.experimental_distribute_values_from_function(of)
    trainer.step(tuple(map(part, batch)))
    return trainer.state()

def states(which, **how):
    trainer = trainer_of(which)
    return [trainer.state(), *(step(trainer, i, **how) for i in range(STEPS))], trainer

def apart(one, other, kind):
    names = [name for name in one if kind in name and "learning_rate" not in name]
    return max(float(np.linalg.norm(one[n] - other[n]) / np.linalg.norm(one[n])) for n in names)

one, _ = states("one")
two, trainer = states("two")
reverse, _ = states("one", reverse=True)
each = []
for i in range(STEPS):
    trainer.restore(one[i])
    after = step(trainer, i)
    each.append([apart(one[i + 1], after, kind) for kind in ("momentum", "velocity", "kernel")])
ends = [apart(one[-1], x[-1], "/kernel") for x in (two, reverse)]
print(json.dumps({"each": each, "ends": ends}))
"""


@pytest.mark.slow
def test_of_the_default_layers_too_nothing_but_the_order_of_sums_differs(run):
    done = run("-c", SAME_STEPS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert np.max(found["each"]) < 1e-5
    two, reverse = found["ends"]
    assert 0 < two < 4 * reverse < 1e-2


@pytest.fixture(scope="module")
def two_trained(folders):
    """Where two workers have trained, and were not disturbed."""
    for code, output in end(*two_workers(folders, folders / "workers")):
        assert code == 0, output
    return folders / "workers"


@pytest.mark.slow
def test_two_workers_train_as_one(two_trained, alone):
    assert_same_training(two_trained, alone)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_worker_that_is_killed_ends_the_other_and_both_resume(folders, two_trained, killed):
    checkpoint = folders / f"killed{killed}"
    ended = end(*two_workers(folders, checkpoint, killed=killed))
    (code, output), (other, sentence) = ended[killed], ended[1 - killed]
    assert code == -signal.SIGKILL, output
    assert other == 5, sentence
    found = re.search(r"train.py: A worker was lost: start .* resumes at step (\d+)\.\n", sentence)
    assert 4 <= int(found[1]) <= 5 and "Traceback" not in sentence
    for code, output in end(*two_workers(folders, checkpoint)):
        assert code == 0, output
        assert f"resumed at step {found[1]}" in output
    assert_same_training(checkpoint, two_trained)


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_both_at_one_step(folders):
    checkpoint = folders / "stopped"
    children = two_workers(folders, checkpoint, max_iter=100_000, preview_iter=0, log_iter=2)
    deadline = time.monotonic() + 300
    while not list(checkpoint.glob("train/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.2)
    children[1].send_signal(signal.SIGTERM)
    stops = []
    for code, output in end(*children):
        assert code == 128 + signal.SIGTERM, output
        stops.append(int(re.search(r"stopped; step (\d+) is saved", output)[1]))
    assert stops[0] == stops[1] == max(int(path.stem) for path in checkpoint.glob("train/*.npz"))


@pytest.mark.slow
def test_workers_that_do_not_see_the_same_are_told(folders, alone):
    for code, output in end(*two_workers(folders, alone, folders / "elsewhere")):
        assert code == 2, output
        assert re.search("train.py: The workers do not see the same: .* Here: step (10|0)", output)
    assert not (folders / "elsewhere").exists()
