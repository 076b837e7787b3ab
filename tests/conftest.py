import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

# Workers that share the cores take one thread each. Set before TensorFlow is imported; programs
# that tests start have a user's environment (see `environment`).
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

# Under nohup it is ignored, by the programs that tests start as well.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The smallest training of a decoder.
TINY = {
    "encoder": "vgg16",
    "content_layer": "relu2_1",
    "style_layers": ("relu1_1", "relu2_1"),
    "batch_size": 2,
}


def picture(height, width, seed=0):
    """A smooth picture without any symmetry, another for each seed."""
    y, x = np.mgrid[0:height, 0:width] / 16
    a, b, c = np.random.default_rng(seed).uniform(0.5, 2, 3)
    planes = [np.sin(a * x + seed), np.cos(b * y + x), np.sin(c * (x + 2 * y) - seed)]
    return (0.5 + 0.4 * np.stack(planes, -1)).astype("float32")


def pictures(count=2, side=16, seed=0):
    """A batch of noise, another for each seed."""
    return np.random.default_rng(seed).random((count, side, side, 3), "float32")


def scratch_files(folder):
    """Sizes of the files in a folder that this process has open and that have no name any more."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        # The listing's own is closed by now.
        with contextlib.suppress(FileNotFoundError):
            file = os.readlink(f"/proc/self/fd/{number}")
            if file.startswith(str(folder)) and file.endswith("(deleted)"):
                found.append(os.stat(f"/proc/self/fd/{number}").st_size)
    return found


def collected(pieces, height, width):
    """The picture of all pieces, which cover it once."""
    image = np.full((height, width, 3), np.nan, "float32")
    for box, piece in pieces:
        assert np.isnan(image[box.slices]).all()
        image[box.slices] = piece
    return image


def write_checkpoint(directory, layer="relu2_1", **model):
    """A checkpoint as train.py writes it, with a random decoder that gives middling greys."""
    from tf_style import checkpoint
    from tf_style.nn import adain
    from tf_style.nn.vgg import build_encoder

    _, layer_factors, digest = build_encoder("vgg16", (layer,), "packaged")
    model = {
        "encoder": "vgg16",
        "encoder_weights": "packaged",
        "encoder_sha256": digest,
        "factors": layer_factors,
        "layer": layer,
        "padding": "reflect",
        "pooling": "max",
    } | model
    stylizer = adain.AdaINStylizer("vgg16", layer, skip_layers=model.get("skip_layers", ()))
    stylizer.packaged = True
    rng, arrays = np.random.default_rng(0), {}
    for name, variable in stylizer.saved_variables().items():
        fan_in = 9 * variable.shape[-2] if "kernel" in name else 1
        scale = (2 / fan_in) ** 0.5
        arrays[name] = rng.normal(0, scale, variable.shape).astype("float32")
    arrays["decoder/conv1_1/kernel"] *= 0.05
    arrays["decoder/conv1_1/bias"] = np.full(3, 0.5, "float32")
    checkpoint.create(directory, {"method": "adain", "model": model}, arrays)
    return directory


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A small checkpoint; not to be written to."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def shallow(tmp_path_factory):
    """The smallest checkpoint, whose graphs are made soonest; not to be written to."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "shallow", "relu1_1")


@pytest.fixture(scope="session")
def stylize(tiny):
    from tf_style.inference.style_transfer import load

    return load(tiny, "float32")


@pytest.fixture(scope="session")
def shipped():
    """Gives a model that ships, in float32, which is loaded once; not to be changed."""
    from tf_style.inference.style_transfer import load

    return functools.cache(lambda name="adain": load(name, "float32"))


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A checkpoint of four styles that differ; not to be written to."""
    from tf_style import checkpoint
    from tf_style.nn.conditional import ConditionalStylizer

    model = {"contract": [4, 5, 6], "blocks": 1, "expand": [4, 3], "grain": 0.0}
    model["styles"] = ["wave", "night", "scream", "lilies"]
    stylizer = ConditionalStylizer.from_checkpoint(model)
    rng, arrays = np.random.default_rng(4), {}
    for name, variable in stylizer.saved_variables().items():
        arrays[name] = np.float32(variable.numpy() + rng.normal(0, 0.3, variable.shape))
    directory = tmp_path_factory.mktemp("models") / "table"
    checkpoint.create(directory, {"method": "conditional", "model": model}, arrays)
    return directory


@pytest.fixture(scope="session")
def plain():
    """A small network with styles from pictures and no normalisation in its contraction."""
    from tf_style.inference.style_transfer import StyleTransfer
    from tf_style.nn.predicted import PredictedStylizer

    stylizer = PredictedStylizer("vgg16", (4, 5, 6), 1, (4, 3), plain_contraction=True)
    rng = np.random.default_rng(3)
    for variable in stylizer.network.weights:
        variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    return StyleTransfer(stylizer)


@pytest.fixture
def damaged(tiny, tmp_path):
    """Makes a copy of the small checkpoint with other weights or another config."""

    def damaged(name="damaged", arrays=None, **changes):
        directory = Path(shutil.copytree(tiny, tmp_path / name))
        if arrays:
            kept = dict(np.load(directory / "stylizer.npz"))
            kept.update({key: change(kept[key]) for key, change in arrays.items()})
            np.savez(directory / "stylizer.npz", **kept)
        config = json.loads((directory / "config.json").read_text())
        for key, value in changes.items():
            part = config if key in config else config["model"]
            part[key] = value
            if value is None:
                del part[key]
        (directory / "config.json").write_text(json.dumps(config))
        return directory

    return damaged


@pytest.fixture
def folders(tmp_path):
    """Two photos and two paintings in folders, and a place for the results."""
    from tf_style.images.writing import write_image

    files = {"content/a.png": (33, 47), "content/b.png": (40, 31),
             "style/s.png": (30, 44), "style/t.png": (37, 26)}  # fmt: skip
    for seed, (name, size) in enumerate(files.items()):
        write_image(tmp_path / name, picture(*size, seed))
    return tmp_path


def environment():
    """This process's, without what the tests and their user have set for TensorFlow and Keras."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}


@pytest.fixture
def run():
    """Runs Python at the repository's root in a process of its own."""

    def run(*words, env=()):
        command, env = [sys.executable, *map(str, words)], environment() | dict(env)
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
        )

    return run
