"""Training: one step function and one loop, the same for one core, many GPUs and many workers.

Keras' `fit` is not used: it resumes whole epochs only, and fails under
MultiWorkerMirroredStrategy with two workers (https://github.com/keras-team/keras/issues/20585).
"""

import dataclasses
import functools
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style import adain, checkpoint, data
from tf_style.config import TrainConfig
from tf_style.encoder import build_encoder, layer_names, style_of
from tf_style.errors import NonFiniteError, UserError
from tf_style.images import center_crop, fit_shorter, grid, read_image, write_image
from tf_style.layers import ChannelStatistics
from tf_style.losses import content_loss, moments_loss
from tf_style.ops import total_variation
from tf_style.precision import compute_dtype

__all__ = ["LearningRate", "Progress", "train"]

# Pairs shown in every preview, and pairs over which the held-out losses are averaged.
PREVIEW_PAIRS = 4
VALIDATION_PAIRS = 40


@dataclass(frozen=True)
class Progress:
    """Where a training stands: one record every `log_iter` steps, and at its events.

    Attributes:
        step: Steps done.
        max_iter: Steps in all.
        losses: Means since the last record, weighted as in the total.
        seconds_per_step: Since the last record.
        images_per_second: Pairs, over all devices.
        learning_rate: Of the next step.
        note: One sentence on what happened, or empty.
    """

    step: int
    max_iter: int
    losses: dict[str, float]
    seconds_per_step: float = 0.0
    images_per_second: float = 0.0
    learning_rate: float = 0.0
    note: str = ""


@keras.saving.register_keras_serializable(package="tf_style")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate after t steps.

        inverse: rate / (1 + decay * t)                  (torch's adam.lua, the authors')
        cosine:  rate * (1 + cos(pi * t / steps)) / 2
        either   * min(1, (t + 1) / warmup)              where there is a warm-up

    Args:
        rate: At the start, above 0.
        schedule: `inverse` or `cosine`.
        decay: Of `inverse`, per step.
        steps: Of `cosine`, at whose end the rate is 0.
        warmup: Steps of linear rise.

    Example:
        >>> [round(float(LearningRate(1e-4, decay=5e-5)(t)), 7) for t in (0, 20_000)]
        [0.0001, 5e-05]
    """

    def __init__(self, rate, schedule="inverse", decay=0.0, steps=1, warmup=0):
        self.config = {
            "rate": rate, "schedule": schedule, "decay": decay, "steps": steps, "warmup": warmup
        }  # fmt: skip

    def __call__(self, step):
        c, step = self.config, ops.cast(step, "float32")
        if c["schedule"] == "inverse":
            rate = c["rate"] / (1.0 + c["decay"] * step)
        else:
            rate = c["rate"] * 0.5 * (1.0 + ops.cos(math.pi * step / c["steps"]))
        return rate * ops.minimum(1.0, (step + 1.0) / max(c["warmup"], 1))

    def get_config(self):
        return self.config


def train(
    config: TrainConfig,
    should_stop: Callable[[], bool] = lambda: False,
    on_scan: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Iterator[Progress]:
    """Train a stylizer from a config, resuming where its checkpoint directory stands.

    Args:
        config: All of it; written beside the checkpoint.
        should_stop: Asked before every step; once true, the state is saved and the run ends.
        on_scan: Called with `content` or `style`, the number of files looked at and their total.

    Yields:
        A record every `log_iter` steps, and one for each event worth a sentence.

    Raises:
        UserError: Something the user can mend, before anything is written.
        NonFiniteError: A loss or gradient is NaN or infinite; the last good state stands.
    """
    run = _Run(config, on_scan)
    yield from run.notes
    yield from run.steps(should_stop)


class _Run:
    """One process's part in a training."""

    def __init__(self, config, on_scan):
        self.config = config
        self.strategy = tf.distribute.get_strategy()
        self.directory = Path(config.checkpoint)
        self.notes = []
        self.replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % self.replicas:
            raise UserError(
                f"`batch_size` must be a multiple of the {self.replicas} devices. "
                f"Received: {config.batch_size}"
            )
        self.pictures = {
            name: data.scan(
                path, config.max_images, config.seed, on_file=functools.partial(on_scan, name)
            )
            for name, path in self._folders().items()
        }
        self._build()
        self._open()

    def _folders(self):
        c = self.config
        for name in ("content_path", "style_path"):
            if not getattr(c, name):
                raise UserError(f"`{name}` is needed: a folder of pictures to train on.")
        folders = {"content": c.content_path, "style": c.style_path}
        if c.val_content_path:
            folders |= {"val_content": c.val_content_path, "val_style": c.val_style_path}
        return folders

    def _note(self, sentence):
        self.notes.append(Progress(self.start, self.config.max_iter, {}, note=sentence))

    # --- The model and its step ---

    def _build(self):
        c = self.config
        keras.utils.set_random_seed(c.seed)
        dtype = compute_dtype(c.precision)
        source = c.encoder_weights or {"vgg16": "packaged", "vgg19": "imagenet"}[c.encoder]
        known = layer_names(c.encoder)
        layers = tuple(dict.fromkeys((*c.style_layers, c.content_layer)))
        deepest = max(layers, key=lambda layer: known.index(layer) if layer in known else 99)
        if deepest != c.content_layer:
            raise UserError(
                f"`style_layers` must not lie behind `content_layer`. Received: {deepest} "
                f"behind {c.content_layer}"
            )
        with self.strategy.scope():
            self.encoder, factors, digest = build_encoder(
                c.encoder, layers, source, None, c.encoder_sha256,
                padding=c.padding, pooling=c.pooling, compute_dtype=dtype,
            )  # fmt: skip
            self.model = {
                "encoder": c.encoder,
                "encoder_weights": "packaged" if source == "packaged" else "stored",
                "encoder_sha256": digest,
                "factors": factors,
                "layer": c.content_layer,
                "padding": c.padding,
                "pooling": c.pooling,
            }
            self.stylizer = adain.AdaINStylizer(
                c.encoder, c.content_layer, c.padding, c.pooling, dtype
            )
            self.stylizer.encoder.set_weights(self.encoder.get_weights())
            self.decoder = self.stylizer.decoder
            rate = LearningRate(
                c.learning_rate, c.lr_schedule, c.lr_decay, c.max_iter, c.warmup_iter
            )
            # torch's betas and epsilon, the authors'; Keras' own epsilon is 1e-7.
            self.optimizer = keras.optimizers.Adam(rate, 0.9, 0.999, epsilon=1e-8)
            # Built before restoring, or the slots would be made anew after it.
            self.optimizer.build(self.decoder.trainable_variables)
        self.variables = {
            variable.path: variable
            for variable in (*self.decoder.variables, *self.optimizer.variables)
        }

    def losses(self, content, style, identity):
        """Weighted losses of a batch, each `(batch,)`, by name."""
        c = self.config
        batch = ops.shape(content)[0]
        both = self.encoder(ops.concatenate([content, style]))
        both = {layer: ops.stop_gradient(x) for layer, x in both.items()}
        target_style = style_of({k: x[batch:] for k, x in both.items()}, c.style_layers)
        statistics = ChannelStatistics()(both[c.content_layer][batch:])
        target = self.stylizer.adain(both[c.content_layer][:batch], statistics, ops.ones(batch))

        stylized = self.decoder(target)
        features = self.encoder(stylized)
        found_style = style_of(features, c.style_layers)
        losses = {"content": c.content_weight * content_loss(features[c.content_layer], target)}
        for layer in c.style_layers:
            moments = moments_loss(found_style[layer], target_style[layer], c.style_reduction)
            losses[f"style/{layer}"] = c.style_weight * moments
        if c.tv_weight:
            losses["tv"] = c.tv_weight * total_variation(stylized)
        if c.identity_weight:
            # A content loss on the pixels themselves.
            losses["identity"] = c.identity_weight * identity * content_loss(stylized, content)
        return losses

    @functools.cached_property
    def step(self):
        """The compiled training step: a batch -> losses and, by name, what was not finite."""
        variables = self.decoder.trainable_variables
        share = 1.0 / self.config.batch_size

        def gradients(content, style, identity):
            with tf.GradientTape() as tape:
                losses = {
                    name: ops.sum(loss) * share
                    for name, loss in self.losses(content, style, identity).items()
                }
                total = sum(losses.values())
            grads = tape.gradient(total, variables)
            faults = [
                tf.reduce_sum(tf.cast(~tf.math.is_finite(x), tf.int32))
                for x in (*losses.values(), *grads)
            ]
            return losses | {"total": total}, grads, tf.stack(faults)

        def apply(grads):
            self.optimizer.apply_gradients(zip(grads, variables, strict=True))

        @tf.function
        def step(batch):
            losses, grads, faults = self.strategy.run(gradients, args=batch)
            losses = {k: self.strategy.reduce("SUM", x, axis=None) for k, x in losses.items()}
            faults = self.strategy.reduce("SUM", faults, axis=None)
            # A bad update is not applied: what is saved next is the last good state.
            if tf.reduce_all(faults == 0):
                self.strategy.run(apply, args=(grads,))
            return losses, faults

        return step

    # --- The directory ---

    def _open(self):
        c = self.config
        digests = {name: pictures.digest for name, pictures in self.pictures.items()}
        record = {
            "method": c.method,
            "model": self.model,
            "training": dataclasses.asdict(c),
            "data": {
                "digests": digests,
                "used": {name: len(pictures.paths) for name, pictures in self.pictures.items()},
            },
            "versions": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "threads": len(os.sched_getaffinity(0)),
            },
        }
        self.start = 0
        fresh = c.overwrite or not (self.directory / "config.json").exists()
        if fresh:
            stylizer = self._stylizer_arrays()
            checkpoint.create(self.directory, record, stylizer, overwrite=c.overwrite)
        else:
            self._resume(record)
        for name, pictures in self.pictures.items():
            self._note(f"{name}: {len(pictures.paths)} pictures, {len(pictures.bad)} left out")
        bad = [line for pictures in self.pictures.values() for line in pictures.bad]
        if bad:
            text = "".join(f"{path}\t{reason}\n" for path, reason in bad)
            checkpoint.write_atomically(self.directory / "left_out.tsv", text.encode())
            self._note(f"why pictures were left out stands in {self.directory / 'left_out.tsv'}")
        if not fresh:
            self._note(f"resumed at step {self.start}")

    def _resume(self, record):
        old = checkpoint.read_config(self.directory)
        _check_same(old, record, self.config, self._note_change)
        shapes = {name: tuple(variable.shape) for name, variable in self.variables.items()}
        found = checkpoint.newest_state(self.directory, shapes)
        if found:
            self.start, arrays = found
            for name, variable in self.variables.items():
                variable.assign(arrays[name])
        checkpoint.write_config(self.directory, record)

    def _note_change(self, sentence):
        self.notes.append(Progress(0, self.config.max_iter, {}, note=sentence))

    def _stylizer_arrays(self):
        stored = adain.stored_variables(self.stylizer, self.model)
        return {name: ops.convert_to_numpy(variable) for name, variable in stored.items()}

    def save(self, step):
        """Save the state, then the stylizer."""
        arrays = {name: ops.convert_to_numpy(v) for name, v in self.variables.items()}
        checkpoint.save_state(self.directory, step, arrays)
        checkpoint.write_stylizer(self.directory, self._stylizer_arrays())

    # --- The loop ---

    def _dataset(self, start):
        c = self.config

        def pipeline(context):
            return data.pairs(
                self.pictures["content"],
                self.pictures["style"],
                steps=range(start, c.max_iter),
                batch_size=c.batch_size,
                resize_size=c.resize_size,
                crop_size=c.crop_size,
                seed=c.seed,
                identity=c.identity_weight > 0,
                pipelines=context.num_input_pipelines,
                pipeline=context.input_pipeline_id,
                replicas=context.num_replicas_in_sync,
            )

        return self.strategy.distribute_datasets_from_function(pipeline)

    def steps(self, should_stop):
        """Do the steps that are left."""
        c = self.config
        writer = tf.summary.create_file_writer(str(self.directory / "logs"))
        names = None
        waiting, since = [], time.monotonic()
        step = saved = self.start
        if step == 0 and not (self.directory / "train" / f"{0:08d}.npz").exists():
            self.save(0)
        for step, batch in enumerate(self._dataset(self.start), self.start + 1):
            losses, faults = self.step(batch)
            names = names or [*(k for k in losses if k != "total")]
            waiting.append((losses, faults))
            ends = step == c.max_iter or should_stop()
            logs = step % c.log_iter == 0
            saves = step % c.save_iter == 0 or ends
            if logs or saves:
                self._check_finite(waiting, names, step)
                means = {k: float(np.mean([float(one[k]) for one, _ in waiting])) for k in losses}
                seconds = (time.monotonic() - since) / len(waiting)
                rate = float(self.optimizer.learning_rate)
                yield Progress(step, c.max_iter, means, seconds, c.batch_size / seconds, rate)
                _write_scalars(writer, step, means | {"learning_rate": rate})
                waiting, since = [], time.monotonic()
            if saves:
                self.save(step)
                saved = step
            if c.preview_iter and (step % c.preview_iter == 0 or step == c.max_iter):
                yield from self._look(writer, step)
                since = time.monotonic()
            if ends:
                break
        writer.close()
        if step < c.max_iter:
            yield Progress(step, c.max_iter, {}, note=f"stopped; step {saved} is saved")

    def _check_finite(self, waiting, names, step):
        for i, (_, faults) in enumerate(waiting):
            bad = np.flatnonzero(faults.numpy())
            if bad.size:
                tensors = [
                    *(f"the loss {name}" for name in names),
                    *(f"the gradient of {v.path}" for v in self.decoder.trainable_variables),
                ]
                raise NonFiniteError(
                    f"At step {step - len(waiting) + 1 + i} {tensors[bad[0]]} is not finite; the "
                    "update was not made and the last saved state stands. Lower --learning-rate, "
                    "or use --precision float32."
                )

    def _look(self, writer, step):
        """A preview of the fixed pairs, and the held-out losses where there are such pairs."""
        held_out = "val_content" in self.pictures
        names = ("val_content", "val_style") if held_out else ("content", "style")
        contents, styles = (
            [self._fixed(path) for path in _spread(self.pictures[name].paths, PREVIEW_PAIRS)]
            for name in names
        )
        inputs = {
            "content": np.stack(contents),
            "style": np.stack(styles),
            "alpha": np.ones(len(contents), "float32"),
        }
        stylized = ops.convert_to_numpy(self._stylize(inputs))
        picture = grid([contents, styles, list(stylized)])
        path = self.directory / "previews" / f"{step:08d}.jpg"
        write_image(path, picture, overwrite=True)
        with writer.as_default():
            tf.summary.image("content, style, stylized", picture[None], step)
        if held_out:
            losses = self._held_out_losses()
            _write_scalars(writer, step, {f"val/{k}": v for k, v in losses.items()})
            note = "held out: " + ", ".join(f"{k} {v:.4g}" for k, v in losses.items())
            yield Progress(step, self.config.max_iter, {}, note=note)

    @functools.cached_property
    def _stylize(self):
        return tf.function(self.stylizer)

    def _fixed(self, path):
        """A picture as training would cut it, but from the middle."""
        c = self.config
        image = center_crop(fit_shorter(read_image(path), c.resize_size, enlarge=True), c.crop_size)
        return image

    def _held_out_losses(self):
        pictures = [self.pictures[name] for name in ("val_content", "val_style")]
        count = max(len(p.paths) for p in pictures)
        count = min(VALIDATION_PAIRS, count)
        paths = [_spread(p.paths, count) for p in pictures]
        sums = {}
        for content, style in zip(*paths, strict=True):
            losses = self._evaluate(
                self._fixed(content)[None], self._fixed(style)[None], np.zeros(1, "float32")
            )
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss[0]) / count
        sums.pop("identity", None)
        return sums | {"total": sum(sums.values())}

    @functools.cached_property
    def _evaluate(self):
        return tf.function(self.losses)


def _check_same(old: dict, new: dict, config: TrainConfig, say: Callable[[str], None]) -> None:
    """Whether the run that stands in the directory is the one that is asked for."""
    # What may change between sittings without making it another run.
    free = {"checkpoint", "overwrite", "save_iter", "log_iter", "preview_iter", "content_path",
            "style_path", "val_content_path", "val_style_path", "allow_changed_data"}  # fmt: skip
    before, after = old.get("training", {}), new["training"]
    for name, value in after.items():
        value = list(value) if isinstance(value, tuple) else value
        if name not in free and before.get(name, value) != value:
            raise UserError(
                f"The run in {config.checkpoint} has {name}={before[name]!r}, not {value!r}: "
                "give the same options, another --checkpoint, or --overwrite to begin anew."
            )
    if old["model"]["encoder_sha256"] != new["model"]["encoder_sha256"]:
        raise UserError(
            f"The run in {config.checkpoint} began with other encoder weights (SHA-256 "
            f"{old['model']['encoder_sha256'][:12]}..., now "
            f"{new['model']['encoder_sha256'][:12]}...)."
        )
    digests = old.get("data", {}).get("digests", {})
    changed = [k for k, v in new["data"]["digests"].items() if digests.get(k, v) != v]
    if changed and not config.allow_changed_data:
        raise UserError(
            f"The {' and '.join(changed)} pictures are not those that the run in "
            f"{config.checkpoint} began with; restore them, or go on with --allow-changed-data."
        )
    for name, value in new["versions"].items():
        if old.get("versions", {}).get(name, value) != value:
            say(
                f"{name} was {old['versions'][name]}, now {value}: the run goes on, but not bit "
                "for bit as it would have"
            )


def _spread(paths: tuple, count: int) -> list:
    """`count` of the paths at equal distances, round and round if there are fewer."""
    if len(paths) <= count:
        return [paths[i % len(paths)] for i in range(count)]
    return [paths[i * len(paths) // count] for i in range(count)]


def _write_scalars(writer, step: int, values: dict[str, float]) -> None:
    with writer.as_default():
        for name, value in values.items():
            tf.summary.scalar(name, value, step)
