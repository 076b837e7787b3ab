"""Training: one step function and one loop, the same for one core, many GPUs and many workers.

Keras' `fit` is not used: it resumes whole epochs only, and fails under
MultiWorkerMirroredStrategy with two workers (https://github.com/keras-team/keras/issues/20585).
"""

import dataclasses
import functools
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_style import checkpoint, data
from tf_style.conditional_trainer import ConditionalTrainer, PredictedTrainer
from tf_style.config import TrainConfig
from tf_style.errors import NonFiniteError, UserError
from tf_style.film import check_film, write_film
from tf_style.images import list_images, read_image, write_image
from tf_style.layout import center_crop, fit_shorter, grid
from tf_style.precision import cpu_threads
from tf_style.trainer import AdaINTrainer, Trainer

__all__ = ["Progress", "train"]

TRAINERS = {
    "adain": AdaINTrainer,
    "conditional": ConditionalTrainer,
    "predicted": PredictedTrainer,
}

# Pairs shown in every preview, and pairs over which the held-out losses are averaged.
PREVIEW_PAIRS = 4
VALIDATION_PAIRS = 40

# What may change between sittings without making it another run.
FREE = {
    "checkpoint", "overwrite", "save_iter", "log_iter", "preview_iter", "content_path",
    "style_path", "val_content_path", "val_style_path", "allow_changed_data", "progress_gif",
}  # fmt: skip


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
    """One training: its pictures, its directory and its loop."""

    def __init__(self, config, on_scan):
        self.config = config
        self.directory = Path(config.checkpoint)
        self.added = getattr(config, "add_style", "")
        if self.added:
            # A run of its own, whose end changes the model that it adds to.
            self.directory = self.directory / "added" / Path(self.added).stem
        self.strategy = tf.distribute.get_strategy()
        self.notes = []
        self.start = 0
        replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % replicas:
            raise UserError(
                f"`batch_size` must be a multiple of the {replicas} devices. "
                f"Received: {config.batch_size}"
            )
        folders = self._folders()
        fresh = config.overwrite or not (self.directory / "config.json").exists()
        if config.progress_gif:
            check_film(config.progress_gif, overwrite=config.overwrite or not fresh)
        self.old = None if fresh else checkpoint.read_config(self.directory)
        if self.old:
            check_options(self.old.get("training", {}), config)
        # Before the scan, which may take minutes.
        make = TRAINERS[config.method]
        self.trainer: Trainer = make(config, self.old and self.old["model"]["factors"])
        self.pictures = {}
        for name, path in folders.items():
            # Of a table every painting is a style: none may be left out.
            count = 0 if name == "style" and self.trainer.by_index else config.max_images
            told = functools.partial(on_scan, name)
            self.pictures[name] = data.scan(path, count, config.seed, on_file=told)
        self._open()

    def _folders(self):
        c = self.config
        folders = {"content": c.content_path, "style": self.added or c.style_path}
        for name, path in folders.items():
            if not path:
                raise UserError(f"`{name}_path` is needed: a folder of pictures to train on.")
        for name in ("val_content_path", "val_style_path"):
            if getattr(c, name, ""):
                folders[name.removesuffix("_path")] = getattr(c, name)
        for path in folders.values():
            list_images(path)  # A folder that is not there is told before weights are fetched.
        return folders

    def _note(self, sentence):
        self.notes.append(Progress(self.start, self.config.max_iter, {}, note=sentence))

    # --- The directory ---

    def _open(self):
        """Make the directory, or go on from what it holds."""
        c = self.config
        record = {
            "method": c.method,
            "model": self.trainer.model,
            "training": dataclasses.asdict(c),
            "data": {
                "digests": {name: found.digest for name, found in self.pictures.items()},
                "used": {name: len(found.paths) for name, found in self.pictures.items()},
            },
            "versions": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "threads": cpu_threads(),
            },
        }
        if self.old is None:
            arrays = self.trainer.stylizer_arrays()
            aside = checkpoint.create(self.directory, record, arrays, overwrite=c.overwrite)
            if aside:
                self._note(f"the old run was moved to {aside}")
        else:
            self._check_styles()
            for sentence in check_surroundings(self.old, record):
                self._note(sentence)
            self._resume()
            checkpoint.write_config(self.directory, record)
        for name, found in self.pictures.items():
            self._note(f"{name}: {len(found.paths)} pictures, {len(found.bad)} left out")
        bad = [line for found in self.pictures.values() for line in found.bad]
        if bad:
            file = checkpoint.write_left_out(self.directory, bad)
            self._note(f"why pictures were left out stands in {file}")

    def _resume(self):
        shapes = {name: tuple(v.shape) for name, v in self.trainer.variables.items()}
        found = checkpoint.newest_state(self.directory, shapes)
        if found:
            self.start, state = found
            self.trainer.restore(state)
        self._note(f"resumed at step {self.start}")

    def _check_styles(self):
        """A style that was added to a table is not in the training of the others."""
        styles = self.old["model"].get("styles", [])
        if styles != self.trainer.model.get("styles", []):
            raise UserError(
                f"The model in {self.directory} has the styles {', '.join(styles)}, which are not "
                "those of the paintings given; train in another --checkpoint."
            )

    def _save(self, step):
        checkpoint.save_state(self.directory, step, self.trainer.state())
        checkpoint.write_stylizer(self.directory, self.trainer.stylizer_arrays())
        if self.added and step == self.config.max_iter:
            # The weights first: a config that does not name the new style reads them as well.
            record = checkpoint.read_config(self.config.checkpoint)
            record["model"]["styles"] = self.trainer.model["styles"]
            checkpoint.write_stylizer(self.config.checkpoint, self.trainer.stylizer_arrays())
            checkpoint.write_config(self.config.checkpoint, record)

    # --- The loop ---

    def _batches(self):
        c = self.config

        def pipeline(context):
            return data.pairs(
                self.pictures["content"],
                self.pictures["style"],
                steps=range(self.start, c.max_iter),
                batch_size=c.batch_size,
                resize_size=c.resize_size,
                crop_size=c.crop_size,
                seed=c.seed,
                **self.trainer.pair_options(),
                pipelines=context.num_input_pipelines,
                pipeline=context.input_pipeline_id,
                replicas=context.num_replicas_in_sync,
            )

        return self.strategy.distribute_datasets_from_function(pipeline)

    def steps(self, should_stop):
        """Do the steps that are left."""
        c = self.config
        if self.start >= c.max_iter:
            self._note(f"all {c.max_iter} steps are done")
            yield self.notes[-1]
            return
        writer = tf.summary.create_file_writer(str(self.directory / "logs"))
        # Device tensors: the host waits for the device only when it reads them.
        waiting, since = [], time.monotonic()
        for step, batch in enumerate(self._batches(), self.start + 1):
            waiting.append(self.trainer.step(batch))
            ends = step == c.max_iter or should_stop()
            saves = ends or step % c.save_iter == 0
            previews = c.preview_iter and (step % c.preview_iter == 0 or step == c.max_iter)
            if saves or previews or step % c.log_iter == 0:
                means = self._read(waiting, step)
                seconds = (time.monotonic() - since) / len(waiting)
                rate = float(self.trainer.optimizer.learning_rate)
                _write_scalars(writer, step, means | {"learning_rate": rate})
                yield Progress(step, c.max_iter, means, seconds, c.batch_size / seconds, rate)
                if saves:
                    self._save(step)
                if previews:
                    yield from self._look(writer, step)
                waiting, since = [], time.monotonic()
            if ends:
                break
        writer.close()
        if step < c.max_iter:
            yield Progress(step, c.max_iter, {}, note=f"stopped; step {step} is saved")

    def _read(self, waiting, step):
        """The mean losses of some steps, once all are known to be finite."""
        for i, (losses, faults) in enumerate(waiting):
            bad = np.flatnonzero(faults.numpy())
            if bad.size:
                tensor = self.trainer.tensors([name for name in losses if name != "total"])[bad[0]]
                raise NonFiniteError(
                    f"At step {step - len(waiting) + 1 + i} {tensor} is not finite; the update "
                    "was not made and the last saved state stands. Lower --learning-rate, or use "
                    "--precision float32."
                )
        return {name: float(np.mean([float(x[name]) for x, _ in waiting])) for name in losses}

    # --- Looking at what has been learnt ---

    def _look(self, writer, step):
        """A preview of the fixed pairs, and the held-out losses where there are such pairs."""
        c, pictures = self.config, self.pictures
        contents, styles = (
            [self._middle(path) for path in _spread(found.paths, PREVIEW_PAIRS)]
            for found in (
                pictures.get("val_content", pictures["content"]),
                pictures.get("val_style", pictures["style"]),
            )
        )
        styles, stylized = self.trainer.preview(contents, styles)
        picture = grid([contents, styles, list(stylized)])
        write_image(self.directory / "previews" / f"{step:08d}.jpg", picture, overwrite=True)
        if c.progress_gif:
            frames = self.directory / "progress"
            write_image(frames / f"{step:08d}.png", stylized[0], overwrite=True)
            write_film(
                c.progress_gif, [read_image(frame) for frame in sorted(frames.glob("*.png"))]
            )
        with writer.as_default():
            tf.summary.image("content, style, stylized", picture[None], step)
        if "val_content" in pictures:
            losses = self._held_out_losses()
            _write_scalars(writer, step, {f"val/{k}": v for k, v in losses.items()})
            note = "held out: " + ", ".join(f"{k} {v:.4g}" for k, v in losses.items())
            yield Progress(step, c.max_iter, {}, note=note)

    def _middle(self, path):
        """A picture as training would cut it, but from the middle."""
        c = self.config
        return center_crop(fit_shorter(read_image(path), c.resize_size, enlarge=True), c.crop_size)

    def _held_out_losses(self):
        contents = self.pictures["val_content"].paths
        styles = self.pictures.get("val_style", self.pictures["style"]).paths
        count = min(VALIDATION_PAIRS, max(len(contents), len(styles)))
        sums = {}
        pairs = zip(_spread(contents, count), _spread(styles, count), strict=True)
        for k, (content, style) in enumerate(pairs):
            style = np.array(k % len(styles)) if self.trainer.by_index else self._middle(style)
            losses = self.trainer.evaluate(
                self._middle(content)[None], style[None], np.zeros(1, "float32")
            )
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss[0]) / count
        sums.pop("identity", None)  # Nothing, of pairs that are not identical.
        return sums | {"total": sum(sums.values())}


def check_options(before: dict, config: TrainConfig) -> None:
    """Refuse to go on with other options than those that the run began with.

    Args:
        before: What the directory's `config.json` says of the training.
        config: What is asked for now.

    Raises:
        UserError: An option that makes it another run.
    """
    free = set(FREE)
    if config.lr_schedule == "inverse":
        free.add("max_iter")  # No step depends on it, so a run may be made longer.
    for name, value in dataclasses.asdict(config).items():
        value = list(value) if isinstance(value, tuple) else value
        if name not in free and before.get(name, value) != value:
            raise UserError(
                f"The run in {config.checkpoint} has {name}={before[name]!r}, not {value!r}: give "
                "the same options, another --checkpoint, or --overwrite to begin anew."
            )


def check_surroundings(old: dict, new: dict) -> list[str]:
    """Refuse to go on with other weights or pictures than those that the run began with.

    Args:
        old: The directory's `config.json`.
        new: What it would be, had the run begun now.

    Returns:
        Sentences on what changed and may.

    Raises:
        UserError: What changed makes it another run.
    """
    where = new["training"]["checkpoint"]
    digests = [x["model"].get("encoder_sha256", "") for x in (old, new)]
    if digests[0] != digests[1]:
        raise UserError(
            f"The run in {where} began with other encoder weights: SHA-256 {digests[0][:12]}..., "
            f"now {digests[1][:12]}..."
        )
    known = old.get("data", {}).get("digests", {})
    changed = [name for name, x in new["data"]["digests"].items() if known.get(name, x) != x]
    if changed and not new["training"]["allow_changed_data"]:
        raise UserError(
            f"The {' and '.join(changed)} pictures are not those that the run in {where} began "
            "with; restore them, or go on with --allow-changed-data."
        )
    sentences = [f"the {name} pictures have changed" for name in changed]
    versions = old.get("versions", {})
    sentences += [
        f"{name} was {versions[name]} and is now {value}: the run goes on, but not bit for bit "
        "as it would have"
        for name, value in new["versions"].items()
        if versions.get(name, value) != value
    ]
    return sentences


def _spread(paths: tuple, count: int) -> list:
    """`count` of the paths at equal distances, round and round if there are fewer."""
    if len(paths) <= count:
        return [paths[i % len(paths)] for i in range(count)]
    return [paths[i * len(paths) // count] for i in range(count)]


def _write_scalars(writer, step: int, values: dict[str, float]) -> None:
    with writer.as_default():
        for name, value in values.items():
            tf.summary.scalar(name, value, step)
