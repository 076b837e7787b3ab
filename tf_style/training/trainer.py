"""What all trainings share: the step, the optimiser, the learning rate, the state."""

import contextlib
import functools
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.machine import compute_dtype
from tf_style.nn.base import keras_defaults
from tf_style.nn.grain import random_grain
from tf_style.nn.vgg import build_encoder, default_weights
from tf_style.training.config import TrainConfig

__all__ = ["LearningRate", "Trainer"]


@keras.saving.register_keras_serializable(package="tf_style")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate after t steps.

        inverse: rate / (1 + decay * t)                  (torch's adam.lua, the authors')
        cosine:  rate * (1 + cos(pi * t / steps)) / 2
        either   * min(1, (t + 1) / warmup)              where there is a warm-up

    Args:
        rate: The rate at the start, above 0.
        schedule: `inverse` or `cosine`.
        decay: Decay of `inverse`, per step.
        steps: Steps of `cosine`, at whose end the rate is 0.
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
        return dict(self.config)


class Trainer:
    """What all trainings share: the step, the optimiser, the state. A method adds its networks.

    A method's `build` makes the networks, and `losses` says what a batch costs.

    Args:
        config: All of the training's options.
        layer_factors: Factors of the encoder's layers, from the run's own config; None at its
            beginning.

    Attributes:
        stylizer: The model that is trained, saved and served.
        encoder: What its pictures are judged by.
        model: What a checkpoint's config says of it.
        trained_variables: The variables that are trained.
        stored: Those that a checkpoint stores of the stylizer, by name.
        variables: All that a state must hold, by name.
        by_index: Whether a batch has the indices of its styles, not their pictures.
        loss_names: What a step tells, once it has been traced.
    """

    by_index = False

    # What a model to start from may differ in: a table's names are its own, the others have no
    # weights.
    free: tuple[str, ...] = ("styles", "grain", "color_transfer")

    def __init__(self, config: TrainConfig, layer_factors: dict[str, float] | None = None):
        c = self.config = config
        self.strategy = tf.distribute.get_strategy()
        keras.utils.set_random_seed(c.seed)
        with self.strategy.scope(), keras_defaults():
            self.build(layer_factors)
            rate = LearningRate(
                c.learning_rate, c.lr_schedule, c.lr_decay, c.max_iter, c.warmup_iter
            )
            # torch's betas and epsilon, the authors'; Keras' own epsilon is 1e-7. Named, or a
            # second run in one process would look for `adam_1` in the first one's state.
            self.optimizer = keras.optimizers.Adam(
                rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, name="adam",
                use_ema=c.ema_momentum > 0, ema_momentum=c.ema_momentum,
            )  # fmt: skip
            # Built before restoring, or the slots would be made anew after it.
            self.optimizer.build(self.trained_variables)
        self.variables = {v.path: v for v in (*self.trained_variables, *self.optimizer.variables)}

    def build(self, layer_factors: dict[str, float] | None) -> None:
        """Make `encoder`, `stylizer`, `model`, `trained_variables` and `stored`."""
        raise NotImplementedError

    def losses(self, content, style, identity) -> dict:
        """Weighted losses of a batch, each `(batch,)`, by name."""
        raise NotImplementedError

    def grained(self, content):
        """Photos with this step's noise, as they are given to what is trained."""
        step = ops.cast(self.optimizer.iterations, "int64")
        return random_grain(content, self.model["grain"], tf.stack([self.config.seed, step]))

    def pair_options(self) -> dict:
        """Return how `data.pairs` is to draw the styles."""
        return {}

    def preview(self, contents: list, styles: list) -> tuple[list, np.ndarray]:
        """Pictures of styles and, of as many photos, how they come out in them."""
        raise NotImplementedError

    def build_encoder(self, layers: tuple[str, ...], layer_factors: dict | None) -> dict:
        """Build the loss network, and return what a checkpoint's config says of it."""
        c = self.config
        source = c.encoder_weights or default_weights(c.encoder)
        self.encoder, layer_factors, digest = build_encoder(
            c.encoder, layers, source, layer_factors, c.encoder_sha256,
            padding=c.padding, pooling=c.pooling, compute_dtype=compute_dtype(c.precision),
        )  # fmt: skip
        return {
            "encoder": c.encoder,
            "encoder_weights": "packaged" if source == "packaged" else "stored",
            "encoder_sha256": digest,
            "factors": layer_factors,
        }

    @functools.cached_property
    def step(self):
        """The compiled training step: a batch -> losses and, by name, what was not finite."""
        return tf.function(lambda batch: self._told(self._update(batch)), autograph=False)

    @functools.cached_property
    def steps(self):
        """Several steps, compiled: an iterator of batches and a count -> what each step told.

        As of `step`, with the count in front of every shape; and the seconds in which all of them
        waited for their batches, NaN with `deterministic`: then graphs have no clock.
        """

        def clock():
            return (
                tf.constant(math.nan, tf.float64) if self.config.deterministic else tf.timestamp()
            )

        # Without AutoGraph, which cannot read this source on Python 3.13.
        @tf.function(autograph=False)
        def steps(batches, count):
            def body(i, reports, waited):
                began = clock()
                with tf.control_dependencies([began]):
                    batch = next(batches)
                local = [self.strategy.experimental_local_results(x)[0] for x in batch]
                with tf.control_dependencies(local):
                    waited += clock() - began
                return i + 1, reports.write(i, self._update(batch)), waited

            reports = tf.TensorArray(tf.float32, count)
            start = (0, reports, tf.constant(0.0, tf.float64))
            # One after the other, or the wait for a batch would lie within the step before.
            _, reports, waited = tf.while_loop(
                lambda i, *_: i < count, body, start, parallel_iterations=1
            )
            return *self._told(reports.stack()), waited

        return steps

    def _update(self, batch):
        """One step on all replicas; what it tells is a vector, so that it is summed at once."""
        report, grads = self.strategy.run(self._gradients, args=batch)
        report = self.strategy.reduce("SUM", report, axis=None)
        _, faults = self._told(report)

        def update():
            self.strategy.run(self._apply, args=(grads,))
            return True

        # A bad update is not applied: what is saved next is the last good state.
        tf.cond(tf.reduce_all(faults == 0), update, lambda: False)
        return report

    def _gradients(self, content, style, identity):
        """A replica's part of the losses and of their gradients, which add up to the batch's."""
        share = 1.0 / self.config.batch_size
        # The encoder does not move: nothing is kept of what it alone computes.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.trained_variables])
            losses = {
                name: ops.sum(loss) * share
                for name, loss in self.losses(content, style, identity).items()
            }
            total = sum(losses.values())
        grads = tape.gradient(total, [v.value for v in self.trained_variables])
        faults = [
            tf.reduce_sum(tf.cast(~tf.math.is_finite(x), tf.float32))
            for x in (*losses.values(), *grads)
        ]
        self.loss_names = [*losses, "total"]
        return tf.stack([*losses.values(), total, *faults]), grads

    def _apply(self, grads):
        # Which sums them over the replicas.
        self.optimizer.apply_gradients(zip(grads, self.trained_variables, strict=True))

    def _told(self, report):
        """Losses by name, and the faults, of one step's vector or of several."""
        count = len(self.loss_names)
        losses = dict(zip(self.loss_names, tf.unstack(report[..., :count], axis=-1), strict=True))
        return losses, report[..., count:]

    def tensors(self, loss_names: list[str]) -> list[str]:
        """Return what each of the step's `faults` counts, in their order."""
        return [
            *(f"the loss {name}" for name in loss_names),
            *(f"the gradient of {v.path}" for v in self.trained_variables),
        ]

    @functools.cached_property
    def evaluate(self):
        """The losses of held-out pairs, compiled; nothing moves."""
        return tf.function(self.losses)

    @functools.cached_property
    def stylize(self):
        """The stylizer, compiled."""
        return tf.function(self.stylizer)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that a training needs to resume."""
        return {name: v.numpy() for name, v in self.variables.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Put back what `state` gave; every variable must be there."""
        for name, variable in self.variables.items():
            variable.assign(state[name])

    def start_from(self, directory: Path, other: dict) -> None:
        """Begin with the weights of a trained model of the same networks.

        Args:
            directory: Where its weights are.
            other: What its `config.json` says.

        Raises:
            UserError: It is of other networks, and says in what.
        """
        theirs = {"method": other["method"]} | other["model"]
        for name, mine in ({"method": self.config.method} | self.model).items():
            joined = name == "skip_layers" and set(theirs[name]) <= set(mine)
            if name not in self.free and not joined and theirs.get(name) != mine:
                raise UserError(
                    f"The model in {directory}, to start from, has {name}={theirs.get(name)!r}, "
                    f"not {mine!r}: give the options that it was trained with."
                )
        self.load(directory, other["model"])

    def load(self, directory: Path, model: dict) -> None:
        """Take over a stylizer's weights; `model` is what its config says of it."""
        self.take(checkpoint.read_stylizer(directory, self.shapes()))

    def shapes(self) -> dict[str, tuple]:
        """Return the shapes of what a checkpoint stores."""
        return {name: tuple(v.shape) for name, v in self.stored.items()}

    def take(self, arrays: dict[str, np.ndarray]) -> None:
        """Put stored arrays into the variables."""
        for name, array in arrays.items():
            self.stored[name].assign(array)

    def load_frozen(self, directory: Path) -> None:
        """Take over what a checkpoint stores and no step changes, which no state holds.

        Args:
            directory: The training's own checkpoint.
        """
        trained = {v.path for v in self.trained_variables}
        frozen = [name for name, v in self.stored.items() if v.path not in trained]
        if frozen:
            arrays = checkpoint.read_stylizer(directory, self.shapes())
            self.take({name: arrays[name] for name in frozen})

    @contextlib.contextmanager
    def averaged(self):
        """While it lasts, the weights are their moving averages, if the config asks for these."""
        # Before the first step there is nothing to average.
        if not self.config.ema_momentum or not self.optimizer.iterations.numpy():
            yield
            return
        weights = [v.numpy() for v in self.trained_variables]
        self.optimizer.finalize_variable_values(self.trained_variables)
        try:
            yield
        finally:
            for variable, weight in zip(self.trained_variables, weights, strict=True):
                variable.assign(weight)

    def stylizer_arrays(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint stores of the stylizer."""
        with self.averaged():
            return {name: v.numpy() for name, v in self.stored.items()}
