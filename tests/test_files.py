import hashlib
import io
import os
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import h5py
import keras
import numpy as np
import pytest

from tf_style import files
from tf_style.errors import UserError

RNG = np.random.default_rng(5)
ARRAYS = {
    "block1_conv1/kernel": RNG.normal(size=(3, 3, 3, 4)).astype("float32"),
    "block1_conv1/bias": RNG.normal(size=4).astype("float32"),
    "block1_conv2/kernel": RNG.normal(size=(3, 3, 4, 5)).astype("float32"),
    "block1_conv2/bias": RNG.normal(size=5).astype("float32"),
}
SHAPES = {name: value.shape for name, value in ARRAYS.items()}


def read(path, **options):
    return (files.read_h5 if path.suffix == ".h5" else files.read_npz)(path, SHAPES, **options)


def assert_equal(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], value), name


def write_h5(
    path, name=lambda layer, kind: f"{layer}/{layer}_{kind[0].upper()}_1:0", arrays=ARRAYS
):
    """Kernels are called W, as in the files that Keras downloads."""
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            layer, kind = key.split("/")
            file[name(layer, "W" if kind == "kernel" else "b")] = value
    return path


# -- .npz ------------------------------------------------------------------------------------------


def test_npz_round_trip(tmp_path):
    files.write_npz(tmp_path / "a.npz", ARRAYS)
    assert_equal(read(tmp_path / "a.npz"))


def test_npz_types(tmp_path):
    arrays = {
        "half": np.float16([1.5, -2]),
        "single": np.float32([[0.1]]),
        "step": np.array(2**53 + 1, "int64"),
    }
    files.write_npz(tmp_path / "a.npz", arrays)
    found = files.read_npz(tmp_path / "a.npz", {k: v.shape for k, v in arrays.items()})
    assert {k: v.dtype for k, v in found.items()} == {
        "half": np.float32, "single": np.float32, "step": np.int64
    }  # fmt: skip
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())


def test_npz_optional_arrays_are_read_where_they_are(tmp_path):
    files.write_npz(tmp_path / "a.npz", ARRAYS | {"factors": np.ones(2, "float32")})
    found = read(tmp_path / "a.npz", optional={"factors": (2,), "other": (3,)})
    assert found.keys() == {*ARRAYS, "factors"}
    assert_equal(read(tmp_path / "a.npz"))
    with pytest.raises(UserError, match=r"'factors' is \(2,\), float32, expected \(13,\)"):
        read(tmp_path / "a.npz", optional={"factors": (13,)})


def test_npz_of_numpys_own_making(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    assert_equal(read(tmp_path / "a.npz"))


def test_write_npz_gives_the_same_bytes_for_the_same_arrays(tmp_path):
    for name in ("a.npz", "b.npz"):
        files.write_npz(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:  # no clock in it
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_to_float16():
    halves = files.to_float16({"a": np.float32([1, 1 / 3, 65504])})
    assert halves["a"].dtype == np.float16 and halves["a"].tolist() == [1, np.float16(1 / 3), 65504]
    with pytest.raises(UserError, match="'b' has values that float16 cannot hold"):
        files.to_float16({"a": np.ones(2), "b": np.float32([1, 7e4])})


# -- HDF5 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        lambda layer, kind: f"{layer}/{layer}_{kind}_1:0",
        lambda layer, kind: f"{layer}/{layer}/{kind}:0",
        lambda layer, kind: f"model_weights/{layer}/{layer}/{kind}",
        lambda layer, kind: f"layers/{layer}/vars/{'Wb'.index(kind)}",
    ],
    ids=["keras-applications", "keras 2", "whole model", "layers by name"],
)
def test_h5_layouts(tmp_path, name):
    assert_equal(read(write_h5(tmp_path / "a.h5", name)))


# Keras 3.15 asks TensorFlow 2.21's variables for an array in NumPy 1's way.
keras_saves = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def small_model():
    """A network with VGG's names and one layer before and after."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, name="other")(image)
    x = keras.layers.Conv2D(4, 3, name="block1_conv1")(x)
    x = keras.layers.Conv2D(5, 3, name="block1_conv2")(x)
    model = keras.Model(image, keras.layers.Dense(2, name="predictions")(x))
    for layer in ("block1_conv1", "block1_conv2"):
        model.get_layer(layer).set_weights([ARRAYS[f"{layer}/{n}"] for n in ("kernel", "bias")])
    return model


@keras_saves
def test_h5_of_save_weights(tmp_path, small_model):
    small_model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:  # Keras 3 files layers under their class
        assert "layers/conv2d_1/vars/0" in file and "block1_conv1" not in file["layers"]
    assert_equal(read(tmp_path / "a.weights.h5"))


@keras_saves
def test_h5_of_save_weights_of_a_model_inside_a_model(tmp_path, small_model):
    image = keras.Input((8, 8, 3))
    outer = keras.Model(image, keras.layers.Dense(1)(small_model(image)))
    outer.save_weights(tmp_path / "a.weights.h5")
    assert_equal(read(tmp_path / "a.weights.h5"))


def test_h5_of_other_float_types(tmp_path):
    arrays = {name: value.astype("float64") for name, value in ARRAYS.items()}
    assert_equal(read(write_h5(tmp_path / "a.h5", arrays=arrays)))
    arrays["block1_conv1/bias"] = np.full(4, 1e300)
    with pytest.raises(UserError, match="'block1_conv1/bias' holds NaN or infinity"):
        read(write_h5(tmp_path / "a.h5", arrays=arrays))


@pytest.mark.parametrize("link", ["external", "soft"])
def test_h5_links_are_not_followed(tmp_path, link):
    write_h5(tmp_path / "target.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for layer in ("block1_conv1", "block1_conv2"):
            if link == "external":
                file[layer] = h5py.ExternalLink(str(tmp_path / "target.h5"), layer)
            else:
                file[f"kept/{layer}_W"] = ARRAYS[f"{layer}/kernel"]
                file[layer] = h5py.SoftLink("/kept")
    with pytest.raises(UserError, match=r"lacks 'block1_conv1/kernel'"):
        read(tmp_path / "a.h5")


def test_h5_virtual_datasets_are_refused(tmp_path):
    write_h5(tmp_path / "target.h5")
    layout = h5py.VirtualLayout((3, 3, 3, 4), "float32")
    source = "block1_conv1/block1_conv1_W_1:0"
    layout[:] = h5py.VirtualSource(tmp_path / "target.h5", source, shape=(3, 3, 3, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset(source, layout)
    with pytest.raises(UserError, match="is kept in another file, which is refused"):
        read(tmp_path / "a.h5")


def test_h5_external_storage_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4 * 108))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "block1_conv1/W", (3, 3, 3, 4), "float32", external=[(str(secret), 0, 4 * 108)]
        )
    with pytest.raises(UserError, match="is kept in another file, which is refused"):
        read(tmp_path / "a.h5")


def test_h5_chunks_larger_than_the_array_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "block1_conv1/W", (3, 3, 3, 4), "float32", maxshape=(None,) * 4, chunks=(99, 99, 9, 9)
        )
    with pytest.raises(UserError, match=r"in chunks of \(99, 99, 9, 9\), expected \(3, 3, 3, 4\)"):
        read(tmp_path / "a.h5")


# -- files that are not what they should be --------------------------------------------------------


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
def test_truncated_files(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    files.write_npz(path, ARRAYS) if suffix == "npz" else write_h5(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="truncated or damaged .* fetch it again"):
        read(path)


def test_damaged_npz(tmp_path):
    """One changed byte anywhere: read as it was, or one sentence."""
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    refused = 0
    for position in RNG.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << RNG.integers(8)
        (tmp_path / "a.npz").write_bytes(damaged)
        try:
            assert_equal(read(tmp_path / "a.npz"))
        except UserError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "header", [b"{'descr': ((((", b"{'descr': '''", b"0" * 50, b"{}\n", b"\xff"]
)
def test_npz_with_a_bad_header(tmp_path, header):
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", member)
    with pytest.raises(UserError, match="truncated or damaged"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_weights_of_another_network(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    other = {f"conv{i}/kernel": np.zeros((1, 1, 3, 3), "float32") for i in range(9)}
    files.write_npz(path, other) if suffix == "npz" else write_h5(path, arrays=other)
    message = r"lacks 'block1_conv1/kernel' .*it holds conv0/.*not the weights of this network"
    with pytest.raises(UserError, match=message):
        read(path)


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize(
    "value, fault",
    [
        (np.zeros((3, 3, 4, 3), "float32"), r"is \(3, 3, 4, 3\), float32, expected \(3, 3, 3, 4\)"),
        (np.zeros((3, 3, 3, 4), "int32"), r"is \(3, 3, 3, 4\), int32, expected"),
        (np.full((3, 3, 3, 4), np.nan, "float32"), "holds NaN or infinity"),
        (np.full((3, 3, 3, 4), np.inf, "float16"), "holds NaN or infinity"),
    ],
    ids=["shape", "type", "nan", "inf"],
)
def test_wrong_arrays(tmp_path, suffix, value, fault):
    arrays = ARRAYS | {"block1_conv1/kernel": value}
    path = tmp_path / f"a.{suffix}"
    files.write_npz(path, arrays) if suffix == "npz" else write_h5(path, arrays=arrays)
    with pytest.raises(UserError, match=f"'block1_conv1/kernel' {fault}"):
        read(path)


class Bomb:
    def __reduce__(self):
        return os.abort, ()


def test_pickles_are_not_opened(tmp_path):
    kernel = np.empty((3, 3, 3, 4), object)
    kernel[0, 0, 0, 0] = Bomb()
    np.savez(tmp_path / "a.npz", **(ARRAYS | {"block1_conv1/kernel": kernel}))
    with pytest.raises(UserError, match=r"'block1_conv1/kernel' is .*object, expected"):
        read(tmp_path / "a.npz")


def member_of(shape, size):
    """A .npy whose header tells a shape and whose data are so many bytes."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, header)
    return member.getvalue() + bytes(size)


@pytest.mark.parametrize(
    "kind, fault",
    [
        ("unpacks to", r"is 20000128 bytes, expected \(3, 3, 3, 4\)"),
        ("claims", r"is \(1099511627776,\), float32, expected \(3, 3, 3, 4\)"),
        ("lies about", "truncated or damaged"),
        ("packs by bzip2", "not compressed as NumPy does"),
    ],
)
def test_npz_bombs(tmp_path, kind, fault):
    """Refused before anything near 20 MB is taken."""
    member = member_of((2**40,), 432) if kind == "claims" else member_of((3, 3, 3, 4), 20_000_000)
    compression = zipfile.ZIP_BZIP2 if "bzip2" in kind else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", member if name == "block1_conv1/kernel" else b"")
        if kind in ("lies about", "packs by bzip2"):
            for info in archive.filelist:
                info.file_size = 128 + 432
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=fault):
            read(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_weights_of_a_deeper_network_are_another_networks(tmp_path, kind):
    deeper = ARRAYS | {"block1_conv3/kernel": ARRAYS["block1_conv2/kernel"]}
    path = tmp_path / f"a.{kind}"
    if kind == "h5":
        write_h5(path, arrays=deeper)
    else:
        files.write_npz(path, deeper)
    assert_equal(read(path))
    with pytest.raises(UserError, match="a.* holds 'block1_conv3', .* are the weights of another"):
        read(path, foreign=frozenset(["block1_conv3", "block1_conv4"]))


# -- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a.npz"
    files.write_npz(path, ARRAYS)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_npz(path, {"other": np.zeros(3)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.npz"]


def test_several_writers_of_one_file_do_not_meet(tmp_path):
    """Threads share their process's number, as the processes of two containers do."""
    path = tmp_path / f"{'a' * 250}.bin"

    def write(letter):
        files.write_atomically(path, lambda file: [file.write(letter) for _ in range(20_000)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [b"a", b"b", b"c", b"d"] * 5))
    content = path.read_bytes()
    assert content == content[:1] * 20_000 and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path):
    """Of a full disk the system names no file; of a folder that is gone, the temporary one."""

    def onto_a_full_disk(file):
        raise OSError(28, "No space left on device")

    for name, content, kind in [("a", onto_a_full_disk, OSError), ("b/c", b"", FileNotFoundError)]:
        with pytest.raises(kind) as caught:
            files.write_atomically(tmp_path / name, content)
        assert caught.value.filename == str(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
