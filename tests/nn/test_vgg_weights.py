import hashlib
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from tf_style import files
from tf_style.errors import UserError
from tf_style.nn import vgg_weights

ARRAYS = {"block1_conv1/bias": np.float32([1, 2, 3, 4])}
SHAPES = {"block1_conv1/bias": (4,)}


def read(path, **options):
    return vgg_weights.read_weights(path, "vgg16", SHAPES, **options)[0]


def assert_equal(found):
    assert found.keys() == ARRAYS.keys()
    assert np.array_equal(found["block1_conv1/bias"], ARRAYS["block1_conv1/bias"])


def write_h5(path):
    with h5py.File(path, "w") as file:
        file["block1_conv1/block1_conv1_b_1:0"] = ARRAYS["block1_conv1/bias"]
    return path


# -- kinds of files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.h5", "a.npz", "a.weights"])
def test_the_content_tells_the_kind_of_a_file(tmp_path, name):
    assert_equal(read(write_h5(tmp_path / name)))
    files.write_npz(tmp_path / name, ARRAYS)
    assert_equal(read(tmp_path / name))


def test_optional_arrays_and_foreign_layers(tmp_path):
    arrays = ARRAYS | {"factors": np.ones(2, "float32"), "block9/bias": np.ones(2, "float32")}
    files.write_npz(tmp_path / "a.npz", arrays)
    assert read(tmp_path / "a.npz", optional={"factors": (2,)}).keys() == {*ARRAYS, "factors"}
    with pytest.raises(UserError, match="are the weights of another"):
        read(tmp_path / "a.npz", foreign=frozenset(["block9"]))


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"", "is empty; fetch it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer.*lfs pull",
        ),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<html><head>", "is a web page"),
        (b"<?xml version='1.0'?><Error>", "is a web page"),
        (b"\x80\x04\x95 a pickle", r"is neither HDF5 nor \.npz \(it begins with b'\\x80"),
        (b"PK\x03\x04 and no archive", "is truncated or damaged .*; fetch it again"),
        (b"\x89HDF\r\n\x1a\n and no file", "is truncated or damaged .*; fetch it again"),
    ],
)
@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_not_a_weight_file(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} {fault}"):
        read(tmp_path / name)


# -- names and digests -----------------------------------------------------------------------------


def test_packaged_file_is_the_one_named_in_the_code():
    assert files.sha256(vgg_weights.PACKAGED) == vgg_weights.PACKAGED_SHA256


def test_packaged():
    found, digest = vgg_weights.read_weights(
        "packaged", "vgg16", {"block1_conv1/kernel": (3, 3, 3, 64)}
    )
    # The same number stands in Keras' vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5.
    assert abs(found["block1_conv1/kernel"][0, 0, 0, 0] - 0.42947057) < 2e-4  # float16
    assert digest == vgg_weights.PACKAGED_SHA256


def test_packaged_has_no_vgg19():
    with pytest.raises(UserError, match=r"Only VGG16's .* --encoder vgg19 .*use --encoder vgg16"):
        vgg_weights.read_weights("packaged", "vgg19", SHAPES)


def test_a_changed_packaged_file_is_refused(tmp_path, monkeypatch):
    files.write_npz(tmp_path / "vgg16.npz", ARRAYS)
    monkeypatch.setattr(vgg_weights, "PACKAGED", tmp_path / "vgg16.npz")
    with pytest.raises(UserError, match=r"its SHA-256 is [0-9a-f]{64} over [\d,]+ bytes, expected"):
        vgg_weights.read_weights("packaged", "vgg16", SHAPES)


def test_expected_sha256(tmp_path):
    path = tmp_path / "a.npz"
    files.write_npz(path, ARRAYS)
    digest = files.sha256(path)
    found = vgg_weights.read_weights(path, "vgg16", SHAPES, expected_sha256=digest)
    assert found[1] == digest
    with pytest.raises(UserError, match=rf"a\.npz is not the expected weight file.*{digest}.*000"):
        read(path, expected_sha256="0" * 64)


@pytest.mark.parametrize("name", ["missing.h5", "", "imagenet "])
def test_missing_file(tmp_path, name):
    with pytest.raises(UserError, match=r"no encoder weight file .*`packaged` .*`imagenet`.*path"):
        read(f"{tmp_path}/{name}")


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    files.write_npz(tmp_path / "a.npz", ARRAYS)
    assert_equal(read("~/a.npz"))


IMAGENET = """
import os
import sys

from tf_style.nn import vgg_weights

made, cached, md5 = sys.argv[1:]
for encoder in ("vgg19", "vgg16", "mobilenet_v2"):
    try:
        vgg_weights.read_weights("imagenet", encoder, {})
    except vgg_weights.UserError as error:
        print(error)
os.rename(made, cached)
vgg_weights.KERAS_FILES["vgg19"] = vgg_weights.KERAS_FILES["vgg19"][0], md5
found, _ = vgg_weights.read_weights("imagenet", "vgg19", {"block1_conv1/bias": (4,)})
print(list(found))
"""


@pytest.mark.slow
def test_imagenet_without_a_network_and_from_the_cache(tmp_path):
    """First from an empty cache, then from one that has a file; stdout stays clean."""
    made, cache = write_h5(tmp_path / "made.h5"), tmp_path / "models"
    md5 = hashlib.md5(made.read_bytes()).hexdigest()
    files = {encoder: name for encoder, (name, _) in vgg_weights.KERAS_FILES.items()}
    nowhere = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMAGENET, made, cache / files["vgg19"], md5],
        env=os.environ | nowhere | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr and "Downloading data" in run.stderr
    *sentences, backbone, found = run.stdout.splitlines()
    assert found == "['block1_conv1/bias']"
    for sentence, encoder in zip(sentences, ("vgg19", "vgg16"), strict=True):
        assert sentence.startswith(f"{encoder.upper()}'s ImageNet weights are not in Keras' cache")
        assert "use --encoder vgg16 --encoder-weights packaged, or fetch" in sentence
        assert f"{files[encoder]} on another machine and give its path" in sentence
    assert backbone.startswith("MOBILENET_V2's ImageNet weights are not in Keras' cache")
    assert "use --backbone vgg16, or fetch" in backbone and "to --backbone-weights" in backbone
