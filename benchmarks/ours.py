"""Runs of this package, and the same model without one or another of its measures.

In bfloat16, which is what `auto` is where it is fast, unless the run says otherwise.

What goes without is written from the package's public parts: Keras models, losses, files.
"""

import functools
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.measure import Job
from tf_style.files import write_npz
from tf_style.images.reading import read_image
from tf_style.images.writing import to_uint8, write_image
from tf_style.inference.config import StylizeConfig
from tf_style.inference.folder import stylize_folder
from tf_style.inference.style_transfer import load
from tf_style.nn.adain import restyled, statistics_of
from tf_style.nn.losses import content_loss, moments_loss
from tf_style.nn.vgg import layer_names, style_of
from tf_style.training.adain import AdaINTrainer
from tf_style.training.config import TrainConfig

# --- A pair ---


def pair(job: Job, precision: str = "bfloat16") -> Iterator:
    """A photo and a painting, from arrays to an array."""
    stylize = load(job.checkpoint, precision)
    content, style = (to_uint8(read_image(path)) for path in (job.photos[0], job.style))
    while True:
        yield
        yield to_uint8(stylize(content, style))


def pair_by_keras(job: Job, compiled: bool = True) -> Iterator:
    """Without `StyleTransfer`: the Keras model itself, in a `tf.function` or called as it is."""
    stylizer = load(job.checkpoint, "bfloat16").stylizer
    function = tf.function(stylizer, autograph=False) if compiled else stylizer
    content, style = (read_image(path)[None] for path in (job.photos[0], job.style))
    given = {"content": content, "style": style, "alpha": np.ones(1, "float32")}
    given = {name: tf.constant(x) for name, x in given.items()}
    while True:
        yield
        yield to_uint8(function(given).numpy()[0])


def pair_rewritten(job: Job) -> Iterator:
    """Without types of the layers' own: TensorFlow's rewriter says what becomes bfloat16."""
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    return pair(job, "float32")


# --- A folder ---


def folder(
    job: Job, precision: str = "bfloat16", new_style: bool = True, **options
) -> Iterator[float | Path]:
    """`stylize_folder`, from files to files, less what loading and tracing take.

    That is what a run takes whose only photo is small; one after it, which has this photo too, is
    timed.

    Args:
        job: The files.
        precision: Of the convolutions.
        new_style: Whether the small photo has a style of its own, so that the encoding of the
            painting counts.
        **options: More of `StylizeConfig`'s.
    """
    styles = (job.warm_up_style, job.style) if new_style else (job.style,)
    small, turn = (job.warm_up_photo, styles[0]), itertools.count()

    def run(photos):
        out = job.out_folder(next(turn))
        wanted = {small, *((photo, job.style) for photo in photos)}
        for photo, style in itertools.product((job.warm_up_photo, *job.photos), styles):
            if (photo, style) not in wanted:  # It is there already, and skipped.
                (out / f"{photo.stem}_stylized_{style.stem}.jpg").touch()
        config = StylizeConfig(
            checkpoint=str(job.checkpoint),
            content_path=str(job.warm_up_photo.parent),
            style_path=str(job.style.parent if new_style else job.style),
            content_size=0,
            style_size=0,
            precision=precision,
            out_path=str(out),
            skip_existing=True,
            **options,
        )
        done = [record for record in stylize_folder(config) if record.path]
        faults = [record.fault for record in done if record.fault]
        if faults or len(done) != len(wanted):
            raise RuntimeError(f"{len(done)} results of {len(wanted)}, with the faults {faults}")
        return done[-1].path

    run([])  # The first of a process takes longer.
    while True:
        began = time.perf_counter()
        run([])
        yield time.perf_counter() - began
        yield run(job.photos)


def photo_by_photo(job: Job, precision: str = "bfloat16", encode_once: bool = True) -> Iterator:
    """Without `stylize_folder`: read, stylise and write a photo, then the next."""
    stylize, out = load(job.checkpoint, precision), job.out_folder()
    while True:
        yield
        statistics = stylize.encode_style(job.style) if encode_once else None
        for path in job.photos:
            if encode_once:
                image = stylize.transfer(path, statistics)
            else:
                image = stylize(path, job.style)
            write_image(out / path.name, image, overwrite=True)
        yield out / path.name


def whole(job: Job) -> Iterator:
    """Without tiles: the Keras model on the whole of a photo, from file to file."""
    stylize, out = load(job.checkpoint, "bfloat16"), job.out_folder()
    statistics = stylize.encode_style(job.style)[None]

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3))], autograph=False)
    def transfer(content):
        given = {"content": content, "statistics": tf.constant(statistics), "alpha": tf.ones(1)}
        return stylize.stylizer.transfer(given)

    def stylized(path):
        image = transfer(read_image(path)[None]).numpy()[0]
        write_image(out / path.name, image, overwrite=True)
        return image

    stylized(job.warm_up_photo)
    while True:
        yield
        for path in job.photos:
            image = stylized(path)
        yield to_uint8(image)


# --- Training ---


def trainer_of(job: Job, precision: str) -> tuple[AdaINTrainer, tuple]:
    """A trainer with the job's weights and the losses of PyTorch's ports, and a batch for it."""
    weights, file = job.weights(), job.out_folder() / "vgg19.npz"
    encoder = {k.removeprefix("encoder/"): x for k, x in weights.items() if k.startswith("encoder")}
    write_npz(file, encoder)
    contents, styles = (batch / np.float32(255) for batch in job.batches())
    config = TrainConfig(
        encoder_weights=str(file),
        crop_size=job.size,
        batch_size=len(contents),
        style_weight=10.0,
        style_reduction="mean",
        lr_decay=0.0,
        precision=precision,
    )
    trainer = AdaINTrainer(config, dict.fromkeys(layer_names("vgg19"), 1.0))
    for name, variable in trainer.stored.items():
        variable.assign(weights[name])
    batch = contents, styles, np.zeros(len(contents), "float32")
    return trainer, tuple(map(tf.constant, batch))


def training(job: Job, precision: str = "bfloat16", compiled: bool = True) -> Iterator:
    """A step; the loss is what comes of it."""
    tf.config.run_functions_eagerly(not compiled)
    trainer, batch = trainer_of(job, precision)
    while True:
        yield
        losses, faults = trainer.step(batch)
        if faults.numpy().any():
            raise RuntimeError(f"A loss or gradient is not finite: {losses}")
        yield float(losses["total"])


def training_by_keras(job: Job) -> Iterator:
    """Without the trainer's step: a tape, each batch through the encoder by itself."""
    trainer, (contents, styles, _) = trainer_of(job, "bfloat16")
    c, encoder, decoder = trainer.config, trainer.encoder, trainer.decoder

    @tf.function(autograph=False)
    def step(contents, styles):
        with tf.GradientTape() as tape:
            style_features, layer = encoder(styles), c.content_layer
            statistics = statistics_of({layer: style_features[layer]})
            strength = tf.ones(contents.shape[0])
            target = restyled({layer: encoder(contents)[layer]}, statistics, strength)
            found = encoder(decoder(target))
            loss = content_loss(found[layer], target[layer])
            pairs = (style_of(x, c.style_layers) for x in (found, style_features))
            for moments, goal in zip(*(x.values() for x in pairs), strict=True):
                loss += c.style_weight * moments_loss(moments, goal, c.style_reduction)
            loss = tf.reduce_mean(loss)
        trainer.optimizer.apply(
            tape.gradient(loss, trainer.trained_variables), trainer.trained_variables
        )
        return loss

    while True:
        yield
        yield float(step(contents, styles))


# --- The machine ---


def product(job: Job, dtype: str) -> Iterator:
    """A product of two square matrices, whose corner is read."""
    matrix = tf.cast(tf.random.uniform((job.size, job.size)), dtype)
    while True:
        yield
        yield float(tf.matmul(matrix, matrix)[0, 0])


RUNS = {
    "pair": pair,
    "pair float32": functools.partial(pair, precision="float32"),
    "pair by Keras": pair_by_keras,
    "pair not compiled": functools.partial(pair_by_keras, compiled=False),
    "pair rewritten": pair_rewritten,
    "folder": folder,
    "folder float32": functools.partial(folder, precision="float32"),
    "large": functools.partial(folder, new_style=False, max_memory=2.0),
    "photo by photo": photo_by_photo,
    "style every time": functools.partial(photo_by_photo, encode_once=False),
    "whole": whole,
    "training": training,
    "training float32": functools.partial(training, precision="float32"),
    "training by Keras": training_by_keras,
    "training not compiled": functools.partial(training, compiled=False),
    "product float32": functools.partial(product, dtype="float32"),
    "product bfloat16": functools.partial(product, dtype="bfloat16"),
}
