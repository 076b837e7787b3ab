"""Training: one step function and one loop, the same for one core, many GPUs and many workers.

Keras' `fit` is not used: it resumes whole epochs only, and fails under
MultiWorkerMirroredStrategy with two workers (https://github.com/keras-team/keras/issues/20585).
"""

import collections
import contextlib
import dataclasses
import functools
import importlib.util
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_style import checkpoint, machine
from tf_style.errors import NonFiniteError, UserError, WorkerLostError, counted
from tf_style.images.animation import check_film
from tf_style.images.outputs import written_by
from tf_style.locking import locked_folder
from tf_style.machine import cpu_threads
from tf_style.training import data, workers
from tf_style.training.adain import AdaINTrainer
from tf_style.training.conditional import ConditionalTrainer, PredictedTrainer
from tf_style.training.config import TrainConfig
from tf_style.training.previews import Previews, dispensable, write_scalars
from tf_style.training.resuming import check_options, check_surroundings, fingerprint
from tf_style.training.trainer import Trainer
from tf_style.training.wanted import folders_of

__all__ = ["Progress", "train"]

TRAINERS = {
    "adain": AdaINTrainer,
    "conditional": ConditionalTrainer,
    "predicted": PredictedTrainer,
}

# What TensorFlow raises in a worker when another is gone, by the moment at which it finds out.
LOST = (
    tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError, tf.errors.UnavailableError,
)  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """Where a training stands: one record every `log_iter` steps, and at its events.

    Attributes:
        step: Steps done.
        max_iter: Steps in all.
        losses: Means since the last record, weighted as in the total.
        seconds_per_step: Since the last record.
        images_per_second: Pairs, over all devices.
        input_share: Share of the time in which this worker waited for its next batch; NaN with
            `deterministic`.
        learning_rate: Learning rate of the next step.
        note: One sentence on what happened, or empty.
    """

    step: int
    max_iter: int
    losses: dict[str, float]
    seconds_per_step: float = 0.0
    images_per_second: float = 0.0
    input_share: float = 0.0
    learning_rate: float = 0.0
    note: str = ""


def train(
    config: TrainConfig,
    should_stop: Callable[[], bool] = lambda: False,
    on_scan: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Iterator[Progress]:
    """Train a stylizer from a config, resuming where its checkpoint directory stands.

    On the devices that the config names, or under the strategy whose scope is entered. Where
    TF_CONFIG names several workers, each calls this alike, with one and the same checkpoint
    directory on a disk that all of them see; the first of them writes.

    Args:
        config: All of it; written beside the checkpoint.
        should_stop: Asked after every step; once true, the state is saved and the run ends.
            Several workers ask one another every `log_iter` steps, and stop together.
        on_scan: Called with `content` or `style`, the number of files looked at and their total.

    Yields:
        A record every `log_iter` steps, and one for each event worth a sentence.

    Raises:
        UserError: Something the user can mend, before anything is written.
        NonFiniteError: A loss or gradient is NaN or infinite; the last good state stands.
        WorkerLostError: Another worker is gone.
    """
    try:
        with contextlib.ExitStack() as stack:
            run = _Run(config, on_scan, stack)
            yield from run.notes
            yield from run.steps(should_stop)
    except LOST as error:
        if workers.worker_count(workers.strategy_for(config.device)) == 1:
            raise
        step = checkpoint.newest_step(directory_of(config))
        raise WorkerLostError(
            f"A worker was lost: start the same command on each again; it resumes at step {step}."
        ) from error


def directory_of(config: TrainConfig) -> Path:
    """Where a training is kept: an added style's is a run of its own within the model's."""
    added = config.added
    directory = Path(config.checkpoint)
    return directory / "added" / Path(added).stem if added else directory


class _Run:
    """One training: its pictures, its directory, which is locked in a stack, and its loop."""

    def __init__(self, config, on_scan, stack):
        self.config = config
        self.directory = directory_of(config)
        self.added = config.added
        self.notes, self.left_out = [], []
        self.start = 0
        folders = folders_of(config)
        self.strategy = workers.strategy_for(config.device)
        self.workers = workers.worker_count(self.strategy)
        self.writes = workers.is_chief(self.strategy)
        if self.writes:
            # The model's, even for an added style, whose training changes the model at its end.
            stack.enter_context(locked_folder(config.checkpoint))
        if config.deterministic:
            machine.make_deterministic()
        replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % replicas:
            raise UserError(
                f"`batch_size` must be a multiple of the {replicas} devices. "
                f"Received: {config.batch_size}"
            )
        fresh = config.overwrite or not (self.directory / "config.json").exists()
        if config.progress_gif:
            check_film(config.progress_gif, overwrite=config.overwrite or not fresh)
        self.old = None if fresh else checkpoint.read_config(self.directory)
        if self.old:
            check_options(self.old.get("training", {}), config)
        # Before the scan, which may take minutes.
        make = TRAINERS[config.method]
        starts = fresh and config.start_from and not self.added
        first = checkpoint.directory_of(config.start_from) if starts else None
        before = checkpoint.read_config(first) if first else self.old
        # Another loss network than that of the model to start from has factors of its own.
        known = None if first and "factors" in make.free else before
        with self.strategy.scope():
            self.trainer: Trainer = make(config, known and known["model"].get("factors"))
            if first:
                self.trainer.start_from(first, before)
        self.pictures = {}
        for name, path in folders.items():
            # Of a table every painting is a style: none may be left out.
            count = 0 if name == "style" and self.trainer.by_index else config.max_images
            told = functools.partial(on_scan, name)
            self.pictures[name] = data.scan(
                path, count, config.seed, written=written_by(config), on_file=told
            )
        self.previews = Previews(config, self.trainer, self.pictures, self.directory)
        self._open()

    def _note(self, sentence):
        self.notes.append(Progress(self.start, self.config.max_iter, {}, note=sentence))

    # --- The directory ---

    def _open(self):
        """Make the directory, or resume what it holds; only one worker writes."""
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
                "replicas": self.strategy.num_replicas_in_sync,
            },
        }
        if self.old:
            self._check_styles()
            for sentence in check_surroundings(self.old, record):
                self._note(sentence)
            self._resume()
        # Nobody writes before all have read.
        self._agree(record)
        if self.writes and self.old:
            checkpoint.write_config(self.directory, record)
        elif self.writes:
            arrays = self.trainer.stylizer_arrays()
            aside = checkpoint.create(self.directory, record, arrays, overwrite=c.overwrite)
            if aside:
                self._note(f"the old run was moved to {aside}")
        for name, found in self.pictures.items():
            self._note(f"{name}: {counted(len(found.paths), 'picture')}, {len(found.bad)} left out")
        if file := self._list_left_out([x for found in self.pictures.values() for x in found.bad]):
            self._note(f"why pictures were left out stands in {file}")

    def _list_left_out(self, bad):
        """Add to the file of pictures that are not used, and return it; None if all are."""
        self.left_out += bad
        if self.left_out and self.writes:
            return checkpoint.write_left_out(self.directory, self.left_out)
        return None

    def _agree(self, record):
        """All workers begin at the same step, with the same options and pictures."""
        told = fingerprint(self.start, self.config, record["data"])
        if len(set(workers.all_gather(self.strategy, told))) > 1:
            raise UserError(
                "The workers do not see the same: give each the same command, the same pictures, "
                f"and one --checkpoint on a disk that all of them see. Here: step {self.start} of "
                f"{self.directory.resolve()}"
            )

    def _resume(self):
        if self.writes:
            checkpoint.remove_temporaries(self.directory)
        shapes = {name: tuple(v.shape) for name, v in self.trainer.variables.items()}
        found = checkpoint.newest_state(self.directory, shapes)
        if found:
            self.start, state = found
            self.trainer.restore(state)
            self.trainer.load_frozen(self.directory)
            self._note(f"resumed at step {self.start}")
        else:
            # Stopped before the first, or someone has deleted them: nothing trained is lost.
            self.trainer.load(self.directory, self.old["model"])
            self._note(
                f"{self.directory}/train holds no state: begun at step 0, with the weights of "
                "stylizer.npz"
            )

    def _check_styles(self):
        """A style that was added to a table is not in the training of the others."""
        styles = self.old["model"].get("styles", [])
        if styles != self.trainer.model.get("styles", []):
            raise UserError(
                f"The model in {self.directory} has the styles {', '.join(styles)}, which are not "
                "those of the paintings given; train in another --checkpoint."
            )

    def _save(self, step):
        if not self.writes:
            return
        checkpoint.save_state(self.directory, step, self.trainer.state())
        checkpoint.write_stylizer(self.directory, self.trainer.stylizer_arrays())
        if self.added and step == self.config.max_iter:
            # The weights first: a config that does not name the new style reads them as well.
            c = self.config
            record = checkpoint.read_config(checkpoint.extended(c.checkpoint, c.start_from))
            record["model"]["styles"] = self.trainer.model["styles"]
            checkpoint.write_stylizer(c.checkpoint, self.trainer.stylizer_arrays())
            checkpoint.write_config(c.checkpoint, record)

    # --- The loop ---

    def _batches(self, step):
        c = self.config

        def pipeline(context):
            return data.pairs(
                self.pictures["content"],
                self.pictures["style"],
                steps=range(step, c.max_iter),
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
        c, step = self.config, self.start
        if step >= c.max_iter:
            self._note(f"all {c.max_iter} steps are done")
            yield self.notes[-1]
            return
        writer = self._writer()
        batches = iter(self._batches(step))
        # Device tensors: the host waits for the device only when it reads them.
        waiting, since, ends = [], time.monotonic(), False
        while not ends:
            count = self._steps_at_once(step)
            if self._profiles(step):
                tf.profiler.experimental.start(os.fsencode(self.directory / "logs"))
            try:
                waiting.append(self.trainer.steps(batches, tf.constant(count)))
            except tf.errors.OpError as error:
                if "IteratorGetNext" not in error.message or isinstance(error, LOST):
                    raise
                if self._profiles(step):
                    tf.profiler.experimental.stop(save=False)
                # Of several steps at once some may be done.
                step = int(self.trainer.optimizer.iterations.numpy())
                if waiting:
                    self._read(waiting, step)
                yield self._leave_out_lost(step, error)
                batches = iter(self._batches(step))
                continue
            step += count
            if self._profiles(step - count):
                self._read(waiting, step)
                tf.profiler.experimental.stop()
                yield Progress(step, c.max_iter, {}, note=_how_to_see(step, self.directory))
            ends = step == c.max_iter or self._asked_to_stop(step, should_stop)
            saves = ends or step % c.save_iter == 0
            previews = c.preview_iter and (step % c.preview_iter == 0 or step == c.max_iter)
            if saves or previews or step % c.log_iter == 0:
                means, done, waited = self._read(waiting, step)
                passed = time.monotonic() - since
                if saves:
                    self._save(step)  # Before anything is told: who listens may be gone.
                rate = float(self.trainer.optimizer.learning_rate)
                told = {"learning_rate": rate}
                if not c.deterministic:
                    told["input_share"] = waited / passed
                write_scalars(writer, step, means | told)
                seconds = passed / done
                yield Progress(
                    step, c.max_iter, means, seconds, c.batch_size / seconds, waited / passed, rate
                )
                if previews and self.writes:
                    yield from self._look(writer, step)
                waiting, since = [], time.monotonic()
        with dispensable():
            writer.close()
        # No worker leaves while another still needs it, or writes.
        workers.all_gather(self.strategy, step)
        if step < c.max_iter:
            yield Progress(step, c.max_iter, {}, note=f"stopped; step {step} is saved")

    def _look(self, writer, step):
        """Preview, once more without the pictures that are lost."""
        try:
            notes = list(self.previews.look(writer, step))
        except UserError as error:
            yield self._leave_out_lost(step, error)
            notes = list(self.previews.look(writer, step))
        for note in notes:
            yield Progress(step, self.config.max_iter, {}, note=note)

    def _leave_out_lost(self, step, error):
        """Save, and let other pictures stand in for the lost ones if that is asked for.

        Args:
            step: Steps done.
            error: What reading them raised: TensorFlow does not always say which they are.

        Raises:
            UserError: Which pictures are lost, unless they may be left out.
        """
        self._save(step)
        lost = self._lost()
        saved = f"step {step} is saved" if self.writes else "the last saved state stands"
        if not lost and isinstance(error, UserError):
            raise error
        lost = lost or self._lost(thoroughly=True)
        if not lost:
            raise UserError(
                f"A picture could not be read for a moment; {saved}, and the same command resumes."
            ) from error
        path, reason = next(iter(lost.items()))
        others = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
        sentence = f"{path}{others} changed during the training ({reason.rstrip('.')})"
        if not self.config.skip_missing:
            raise UserError(
                f"{sentence}; {saved}: put back what was there and give the same command, or leave "
                "it out by --skip-missing."
            ) from error
        self.pictures |= {name: found.without(lost) for name, found in self.pictures.items()}
        self._list_left_out(list(lost.items()))
        return Progress(
            step, self.config.max_iter, {}, note=f"{sentence}: left out from step {step} on"
        )

    def _lost(self, thoroughly=False):
        """Pictures that are no longer what they were, and why."""
        found = (data.changes(pictures, thoroughly) for pictures in self.pictures.values())
        return dict(collections.ChainMap(*found))

    def _writer(self):
        """Of TensorBoard's logs, which a worker that does not write has not."""
        if self.writes:
            with dispensable():
                return tf.summary.create_file_writer(os.fsencode(self.directory / "logs"))
        return tf.summary.create_noop_writer()

    def _steps_at_once(self, step):
        """How many steps may be done before there is something else to do."""
        c = self.config
        ends = [c.max_iter, step + c.steps_per_call]
        every = (c.save_iter, c.log_iter, c.preview_iter)
        ends += [step - step % n + n for n in every if n]
        if c.profile:
            ends += [n for n in (self.start + 1, self.start + 2) if n > step]
        return min(ends) - step

    def _profiles(self, step):
        """Whether the next step is the one to profile: the second, as the first is compiled."""
        c = self.config
        return c.profile and self.writes and step == min(self.start + 1, c.max_iter - 1)

    def _asked_to_stop(self, step, should_stop):
        """Several workers ask one another only where the host waits for the devices anyway."""
        if self.workers == 1:
            return should_stop()
        if step % self.config.log_iter:
            return False
        return any(workers.all_gather(self.strategy, int(should_stop())))

    def _read(self, waiting, step):
        """Mean losses of some steps, all of them finite; their number, and seconds of waiting."""
        losses = {
            name: np.concatenate([told[name].numpy() for told, _, _ in waiting])
            for name in waiting[0][0]
        }
        faults = np.concatenate([faults.numpy() for _, faults, _ in waiting])
        if faults.any():
            which, tensor = np.argwhere(faults)[0]
            names = self.trainer.tensors([name for name in losses if name != "total"])
            raise NonFiniteError(
                f"At step {step - len(faults) + 1 + which} {names[tensor]} is not finite; the "
                "update was not made and the last saved state stands. Lower --learning-rate, or "
                "use --precision float32."
            )
        means = {name: float(np.mean(values)) for name, values in losses.items()}
        return means, len(faults), sum(float(waited) for _, _, waited in waiting)


def _how_to_see(step: int, directory: Path) -> str:
    """Where a profile is, and what shows it."""
    sentence = f"the profile of step {step} is in {directory / 'logs'}"
    if not any(map(importlib.util.find_spec, ("xprof", "tensorboard_plugin_profile"))):
        sentence += "; for TensorBoard to show it, pip install xprof"
    return sentence
