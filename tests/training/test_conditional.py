"""What the trainings of many styles move, and towards what."""

import dataclasses
import os
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from tf_style import checkpoint
from tf_style.config import from_dict
from tf_style.errors import UserError
from tf_style.images.writing import write_image
from tf_style.nn.grain import random_grain
from tf_style.nn.predicted import StylePredictor, load_trunk
from tf_style.training.conditional import ConditionalTrainer, PredictedTrainer, style_names
from tf_style.training.config import ConditionalConfig, PredictedConfig
from tf_style.training.loop import train

TINY = {
    "encoder": "vgg16", "contract": (4, 5, 6), "blocks": 1, "expand": (4, 3), "crop_size": 32,
    "resize_size": 36, "style_size": 40, "batch_size": 2, "weights_for": "normalised",
    "content_layers": ("relu2_1",), "style_layers": ("relu1_1", "relu2_1"), "style_weight": 2.0,
    "max_iter": 2, "preview_iter": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        write_image(root / f"photos/{seed}.png", picture(40, 44, seed))
    for seed, name in enumerate(("wave", "night"), 10):
        write_image(root / f"paintings/{name}.png", picture(48, 44, seed))
    write_image(root / "new.png", picture(44, 44, 20))
    return root


def config(folders, kind=ConditionalConfig, **changes):
    paths = {"content_path": str(folders / "photos"), "style_path": str(folders / "paintings")}
    return kind(**TINY | paths | changes)


def batch(index=(0, 1)):
    photos = np.stack([picture(32, 32, k) for k in range(2)])
    return tf.constant(photos), tf.constant(index), tf.zeros(2)


def gram(x):
    x = np.asarray(x, "float64").reshape(-1, x.shape[-1])
    return x.T @ x / len(x)


def test_losses_are_those_of_the_formula(folders):
    trainer = ConditionalTrainer(config(folders, tv_weight=3.0, content_weight=5.0))
    content, style, _ = batch()
    found = {k: np.asarray(v) for k, v in trainer.losses(*batch()).items()}
    assert found.keys() == {"content/relu2_1", "style/relu1_1", "style/relu2_1", "tv"}
    picks = tf.one_hot(style, 2)
    stylized = trainer.stylizer(
        {"content": content, "style_weights": picks, "alpha": tf.ones(len(picks))}
    ).numpy()
    for k in range(2):
        features = trainer.encoder(stylized[k : k + 1])
        of_content = trainer.encoder(content[k : k + 1])
        difference = np.asarray(features["relu2_1"] - of_content["relu2_1"], "float64")
        np.testing.assert_allclose(
            found["content/relu2_1"][k], 5 * np.mean(difference**2), rtol=1e-4
        )
        for layer in ("relu1_1", "relu2_1"):
            target = trainer.targets[layer, "gram"][k].numpy()
            distance = np.mean((gram(features[layer]) - target) ** 2) / 4
            np.testing.assert_allclose(found[f"style/{layer}"][k], distance, rtol=1e-3)
    down, across = np.diff(stylized, axis=1), np.diff(stylized, axis=2)
    tv = np.mean(down**2, (1, 2, 3)) + np.mean(across**2, (1, 2, 3))
    np.testing.assert_allclose(found["tv"], 3 * tv, rtol=1e-4)


@pytest.mark.parametrize("trainer, kind", [(ConditionalTrainer, ConditionalConfig),
                                           (PredictedTrainer, PredictedConfig)])  # fmt: skip
def test_grain_is_on_what_the_network_sees_and_not_on_what_it_is_held_against(
    folders, trainer, kind
):
    grainy, plain = (trainer(config(folders, kind, grain=grain)) for grain in (0.2, 0.0))
    content, style, identity = batch()
    style = style if kind is ConditionalConfig else content[:, ::-1]
    for step in (0, 1):
        grainy.optimizer.iterations.assign(step)
        noisy = random_grain(content, 0.2, [grainy.config.seed, step])
        found, expected, other = (
            {k: np.asarray(v) for k, v in one.losses(given, style, identity).items()}
            for one, given in ((grainy, content), (plain, noisy), (plain, content))
        )
        for layer in ("style/relu1_1", "style/relu2_1"):
            np.testing.assert_allclose(found[layer], expected[layer], rtol=1e-3)
            assert (np.abs(found[layer] / other[layer] - 1) > 1e-3).any()
        assert (np.abs(found["content/relu2_1"] / expected["content/relu2_1"] - 1) > 1e-2).all()
    assert grainy.model["grain"] == grainy.stylizer.arguments["grain"] == 0.2


@pytest.mark.parametrize("trainer, kind", [(ConditionalTrainer, ConditionalConfig),
                                           (PredictedTrainer, PredictedConfig)])  # fmt: skip
def test_every_network_is_told_that_it_is_trained(folders, trainer, kind):
    """Told so, reflections copy their lines, which is faster than MirrorPad."""
    content, style, identity = batch()
    style = style if kind is ConditionalConfig else content
    losses = tf.function(trainer(config(folders, kind)).losses)
    graph = losses.get_concrete_function(content, style, identity).graph
    assert not [op.name for op in graph.get_operations() if op.type.startswith("MirrorPad")]


def test_a_first_painting_that_cannot_be_read_is_passed_over(folders, tmp_path):
    shutil.copytree(folders / "paintings", tmp_path / "paintings")
    (tmp_path / "paintings/a.png").write_bytes(b"no picture")
    paths = {"style_path": str(tmp_path / "paintings"), "style_loss": ("gaussian",)}
    trainer = PredictedTrainer(config(folders, PredictedConfig, **paths))
    assert trainer.style_losses
    (tmp_path / "paintings/night.png").unlink()
    (tmp_path / "paintings/wave.png").unlink()
    with pytest.raises(UserError, match=r"a.png` is not an image"):
        PredictedTrainer(config(folders, PredictedConfig, **paths))


def test_a_painting_too_thin_is_told_by_name(folders, tmp_path):
    write_image(tmp_path / "line.png", picture(2, 600))
    with pytest.raises(UserError, match=r"line.png` is 600x2: both sides must be 16 px or more"):
        ConditionalTrainer(config(folders, style_path=str(tmp_path)))


def test_targets_are_the_paintings_whole(folders):
    from tf_style.images.reading import read_image
    from tf_style.images.resizing import fit_shorter

    trainer = ConditionalTrainer(config(folders))
    assert trainer.names == ["night", "wave"] == trainer.model["styles"]
    for k, name in enumerate(trainer.names):
        image = fit_shorter(read_image(folders / f"paintings/{name}.png"), 40)
        features = trainer.encoder(image[None])["relu2_1"]
        np.testing.assert_allclose(
            trainer.targets["relu2_1", "gram"][k], gram(features.numpy()), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("name", ["moments", "linear", "polynomial", "gaussian"])
def test_every_style_loss_is_a_choice_here_too(folders, name):
    trainer = ConditionalTrainer(config(folders, style_loss=("gram", name)))
    losses = trainer.losses(*batch())
    assert f"style/relu1_1/{name}" in losses and "style/relu1_1/gram" in losses
    assert all(np.isfinite(x).all() for x in losses.values())


def test_a_step_moves_the_network_and_the_styles_of_the_batch(folders):
    trainer = ConditionalTrainer(config(folders))
    before = {name: v.numpy() for name, v in trainer.stored.items()}
    _, faults = trainer.step(batch((1, 1)))
    assert not faults.numpy().any()
    changed = {name for name, v in trainer.stored.items() if (v.numpy() != before[name]).any()}
    assert changed == set(before) - {"styles/night"}


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """A weight file of Keras' MobileNetV2, as it is before training, and one of its kernels."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    net = keras.applications.MobileNetV2((256, 256, 3), include_top=False, weights=None)
    with warnings.catch_warnings():
        # Keras 3.15 asks TensorFlow 2.21's variables for an array in NumPy 1's way.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        net.save_weights(path)
    return path, net.get_layer("block_16_project").get_weights()[0]


def test_the_backbone_takes_its_weights_from_a_file(folders, mobilenet):
    (file, kernel), predictor = mobilenet, StylePredictor("mobilenet_v2")
    load_trunk(predictor, str(file))
    found = predictor.trunk.get_layer("block_16_project").get_weights()[0]
    np.testing.assert_array_equal(found, kernel)
    for path, fault in (
        (
            "packaged",
            "Only VGG16's weights are packaged. .* use --backbone vgg16, or --backbone-we",
        ),
        ("none.h5", "no backbone weight file 'none.h5'; --backbone-weights takes `imagenet`, or"),
        (__file__, "test_conditional.py holds no weights of MobileNetV2 without its top"),
    ):
        with pytest.raises(UserError, match=fault):
            load_trunk(predictor, path)
    with pytest.raises(UserError, match="`backbone_weights` are for --backbone mobilenet_v2"):
        PredictedConfig(backbone_weights=str(file))


@pytest.mark.parametrize(
    "backbone", ["vgg16", pytest.param("mobilenet_v2", marks=pytest.mark.slow)]
)
def test_a_predicted_style_is_trained_through_its_predictor(folders, backbone, mobilenet):
    of_backbone = {"backbone": backbone}
    if backbone == "mobilenet_v2":
        of_backbone["backbone_weights"] = str(mobilenet[0])
    trainer = PredictedTrainer(config(folders, PredictedConfig, **of_backbone))
    before = {name: v.numpy() for name, v in trainer.stored.items()}
    content, _, identity = batch()
    style = np.stack([picture(40, 40, k) for k in (5, 6)])
    trunk = trainer.stylizer.predictor.trunk.get_weights()
    for _ in range(2):  # The heads begin near zero: the bottleneck moves when they have.
        losses, faults = trainer.step((content, style, identity))
    assert not faults.numpy().any() and {"tv", "content/relu2_1"} <= losses.keys()
    changed = {name for name, v in trainer.stored.items() if (v.numpy() != before[name]).any()}
    assert {"heads/heads/kernel", "predictor/bottleneck/kernel"} <= changed
    moved = any(
        (a != b).any()
        for a, b in zip(trunk, trainer.stylizer.predictor.trunk.get_weights(), strict=True)
    )
    assert moved == (backbone == "mobilenet_v2")


@pytest.mark.slow
def test_a_published_net_is_trained_on_and_resumed_with_its_frozen_normalisations(
    folders, tmp_path, monkeypatch
):
    """By steps of length zero: all that a checkpoint stores stays what it was."""
    monkeypatch.setattr("tf_style.training.conditional.load_trunk", None)  # Nothing is downloaded.
    options = config(
        folders, PredictedConfig, start_from="magenta", backbone="mobilenet_v2",
        plain_contraction=True, contract=(8, 16, 32), blocks=5, expand=(16, 8), learning_rate=0,
        checkpoint=str(tmp_path / "on"), preview_iter=0, max_iter=1, val_style_path="",
        val_content_path="",
    )  # fmt: skip
    shipped = np.load(checkpoint.PRETRAINED / "magenta" / "stylizer.npz")
    for steps in (1, 2):
        list(train(dataclasses.replace(options, max_iter=steps)))
        found = np.load(tmp_path / "on/stylizer.npz")
        assert set(found) == set(shipped)
        for name, array in found.items():
            np.testing.assert_array_equal(array, np.float32(shipped[name]), err_msg=name)
    with pytest.raises(UserError, match="has plain_contraction=True, not False: give the options"):
        other = {"checkpoint": str(tmp_path / "other"), "plain_contraction": False}
        list(train(dataclasses.replace(options, **other)))


@pytest.mark.slow
def test_training_resuming_and_adding_a_style(folders, tmp_path):
    from tf_style.inference.style_transfer import load

    options = config(folders, checkpoint=str(tmp_path / "ckpt"), save_iter=1, preview_iter=1,
                     progress_gif=str(tmp_path / "a.gif"))  # fmt: skip
    list(train(options))
    assert checkpoint.read_config(tmp_path / "ckpt")["model"]["styles"] == ["night", "wave"]
    assert (tmp_path / "a.gif").exists() and (tmp_path / "ckpt/previews/00000002.jpg").exists()
    assert "all 2 steps are done" in [r.note for r in train(options)][-1]
    other = dataclasses.replace(options, checkpoint=str(tmp_path / "other"))
    with pytest.raises(UserError, match="a.gif` exists already"):
        list(train(other))
    before = load(tmp_path / "ckpt", "float32")
    photo = picture(40, 44, 1)
    pictures = {name: before(photo, name) for name in before.styles}

    adding = dataclasses.replace(
        options, add_style=str(folders / "new.png"), style_path="", progress_gif=""
    )
    list(train(adding))
    after = load(tmp_path / "ckpt", "float32")
    assert after.styles == ("night", "wave", "new")
    for name, expected in pictures.items():
        assert np.array_equal(after(photo, name), expected)
    assert not np.array_equal(after(photo, "new"), after(photo, "wave"))
    with pytest.raises(UserError, match="has the style 'new' already"):
        list(train(dataclasses.replace(adding, overwrite=True)))
    with pytest.raises(UserError, match="has the styles night, wave, new, which are not those"):
        list(train(options))


@pytest.mark.slow
def test_a_table_may_start_from_another(folders, tmp_path):
    first = config(folders, checkpoint=str(tmp_path / "first"))
    list(train(first))
    old = ConditionalTrainer(first)
    old.load(first.checkpoint, old.model)
    for painting in (folders / "paintings/wave.png", folders / "new.png"):
        shutil.copy(painting, tmp_path)
    options = dataclasses.replace(
        first, style_path=str(tmp_path / "*.png"), start_from=first.checkpoint,
        checkpoint=str(tmp_path / "second"), max_iter=1, learning_rate=0,
    )  # fmt: skip
    list(train(options))
    expected = {name: v.numpy() for name, v in old.stored.items()}
    night, wave = expected.pop("styles/night"), expected["styles/wave"]
    expected["styles/new"] = (night + wave) / 2
    with np.load(tmp_path / "second/stylizer.npz") as found:
        assert set(found.files) == set(expected)
        for name in found.files:
            np.testing.assert_array_equal(found[name], expected[name])


def test_max_images_thins_the_photos_and_no_style(folders, tmp_path):
    options = config(folders, checkpoint=str(tmp_path / "ckpt"), max_images=1)
    list(train(options))
    assert checkpoint.read_config(tmp_path / "ckpt")["data"]["used"] == {"content": 1, "style": 2}


def test_an_added_style_has_the_network_and_the_grain_of_the_model(folders, tmp_path):
    first = ConditionalTrainer(config(folders, grain=0.2))
    record = {"method": "conditional", "model": first.model}
    checkpoint.create(tmp_path / "ckpt", record, first.stylizer_arrays(), overwrite=False)
    adding = {"checkpoint": str(tmp_path / "ckpt"), "add_style": str(folders / "new.png")}
    second = ConditionalTrainer(config(folders, contract=(5, 6, 7), blocks=2, grain=0.1, **adding))
    assert second.model == first.model | {"styles": ["night", "wave", "new"]}
    content = batch()[0]
    noisy = random_grain(content, 0.2, [second.config.seed, 0])
    np.testing.assert_allclose(second.grained(content), noisy, atol=1e-6)

    # Checkpoints from before there was grain do not tell.
    del record["model"]["grain"]
    checkpoint.write_config(tmp_path / "ckpt", record)
    assert ConditionalTrainer(config(folders, grain=0.1, **adding)).model["grain"] == 0


def test_a_style_is_added_to_a_copy_of_a_model(folders, table, tmp_path):
    """`table` has other networks than the options say, and must not be written to."""
    directory = tmp_path / os.fsdecode(b"n\xe9w")  # Of no UTF-8, as TensorFlow's log is named then.
    before = {path.name: path.read_bytes() for path in table.iterdir() if path.is_file()}
    adding = config(
        folders, start_from=str(table), checkpoint=str(directory), style_path="",
        add_style=str(folders / "new.png"), max_iter=1,
    )  # fmt: skip
    list(train(adding))
    made = checkpoint.read_config(directory)
    old = checkpoint.read_config(table)
    assert made["model"] == old["model"] | {"styles": [*old["model"]["styles"], "new"]}
    with np.load(table / "stylizer.npz") as old, np.load(directory / "stylizer.npz") as new:
        assert set(new.files) == {*old.files, "styles/new"}
        assert all(np.array_equal(new[name], old[name]) for name in old.files)
    found = {path.name: path.read_bytes() for path in table.iterdir() if path.is_file()}
    assert found == before
    # The next is added to the copy, whatever it came from.
    night = {"add_style": str(folders / "paintings/night.png"), "start_from": "paintings"}
    with pytest.raises(UserError, match="w has the style 'night' already"):
        ConditionalTrainer(dataclasses.replace(adding, **night))


def test_adding_to_what_has_no_styles(folders, tiny):
    with pytest.raises(UserError, match="has no table of styles"):
        ConditionalTrainer(
            config(folders, checkpoint=str(tiny), add_style=str(folders / "new.png"))
        )


def test_styles_are_named_as_they_are_typed(tmp_path):
    for name in ("Cafe\u0301", os.fsdecode(b"\xe9"), "10:30", "a, b"):
        write_image(tmp_path / f"{name}.png", picture(20, 20, 1))
    assert sorted(style_names(str(tmp_path))) == ["10:30", "Caf\u00e9", "a, b", "\u00e9"]


def test_two_paintings_of_one_name(tmp_path):
    for name in ("a/x.png", "b/x.png"):
        write_image(tmp_path / name, picture(20, 20, 1))
    with pytest.raises(UserError, match="are named 'x': rename one"):
        style_names(str(tmp_path))


def test_published_weights_are_converted_layer_by_layer(folders):
    """A Gram loss of raw VGG is the normalised one by factor**4."""
    raw = from_dict(ConditionalConfig, {"preset": "johnson"})
    trainer = ConditionalTrainer(dataclasses.replace(
        raw, **{k: v for k, v in TINY.items() if k not in ("style_layers", "style_weight",
                                                          "weights_for", "content_layers")},
        content_path=str(folders / "photos"), style_path=str(folders / "paintings"),
    ))  # fmt: skip
    layer_factors = trainer.model["factors"]
    for (layer, _), weight in trainer.weights.style.items():
        channels = 64 * 2 ** (int(layer[4]) - 1)
        assert weight == pytest.approx(20 / channels**2 / layer_factors[layer] ** 4)
    assert trainer.weights.content == {"relu3_3": pytest.approx(layer_factors["relu3_3"] ** -2)}
