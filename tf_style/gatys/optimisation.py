"""Gatys et al.: optimise the pixels, coarse to fine, as a generator of iterates."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator

import numpy as np

from tf_style.errors import NonFiniteError, UserError
from tf_style.gatys.adam import adam
from tf_style.gatys.bounds import BOUNDED, UNBOUNDED
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.lbfgs import lbfgs
from tf_style.gatys.objective import Objective
from tf_style.gatys.pyramid import MIN_PYRAMID_SIDE, plan, tile_for
from tf_style.gatys.tiled_objective import TiledObjective
from tf_style.images.reading import read_image
from tf_style.images.resizing import resize, resize_mask
from tf_style.machine import compute_dtype
from tf_style.memory import allowed_memory
from tf_style.nn.style_losses import LossWeights, layers_that_count, loss_weights
from tf_style.nn.vgg import VGGEncoder, build_encoder

__all__ = ["Iterate", "encoder_for", "gatys"]

# A first step that ends in numbers that are not finite is tried once more with a smaller one.
FIRST_STEP, SMALLER = 0.3, 0.01

# A step that takes so many evaluations wanders in bfloat16's rounding.
STALLED = 10

# Less than half a level of 8 bits is no movement.
MOVED = 0.5 / 255


@dataclasses.dataclass(frozen=True)
class Iterate:
    """An image on its way.

    Args:
        image: `(height, width, 3)` in [0, 1], at the size of its scale.
        evaluations: Made so far, over all scales.
        scale: Number of the scale, from 1.
        measure: Gives content, style and total variation of the image's loss, weighted. It takes an
            evaluation, as optimisers know the loss elsewhere: Adam's result is an average, and what
            is outside [0, 1] is clipped.
        done: Share of the whole work, by pixels evaluated.
        seconds: Since the start, or since it was resumed.
        last: Whether nothing comes after it.
        note: A sentence for the user, where there is something to say.
        state: Arrays to resume from, by name.
    """

    image: np.ndarray
    evaluations: int
    scale: int
    measure: Callable[[], np.ndarray]
    done: float
    seconds: float
    last: bool
    note: str
    state: dict

    @functools.cached_property
    def parts(self) -> tuple[float, float, float]:
        """Content, style and total variation, weighted: of the image as it is."""
        return tuple(map(float, self.measure()))

    content = property(lambda self: self.parts[0], doc="The content part of the image's loss.")
    style = property(lambda self: self.parts[1], doc="The style part.")
    tv = property(lambda self: self.parts[2], doc="The total variation's.")
    loss = property(lambda self: sum(self.parts), doc="All three in sum.")


def encoder_for(config: GatysConfig, dtype: str = "float32") -> tuple[VGGEncoder, LossWeights]:
    """Return the encoder up to the deepest layer that counts, and the weights that go with it."""
    encoder, layer_factors, _ = build_encoder(
        config.encoder,
        layers_that_count(config),
        config.encoder_weights,
        expected_sha256=config.encoder_sha256,
        padding=config.padding,
        pooling=config.pooling,
        compute_dtype=dtype,
    )
    return encoder, loss_weights(config, layer_factors)


def gatys(
    content: np.ndarray,
    styles: list[np.ndarray],
    config: GatysConfig,
    *,
    shares: list[float] = (),
    content_masks: list[np.ndarray] = (),
    style_masks: list[np.ndarray] = (),
    state: dict | None = None,
) -> Iterator[Iterate]:
    """Optimise an image's pixels for the content of one picture and the style of others.

    The loss is `Objective`'s, of pixels in [0, 1] unless `unbounded`. Each scale starts from the
    result of the one before, enlarged; the paper has one scale (its authors have two, in Gatys et
    al. 2017).

    Args:
        content: Image `(height, width, 3)` in [0, 1]; the result has its size.
        styles: Images at the size that goes with the content's.
        config: Weights, layers, optimiser, scales.
        shares: How much each style counts; empty: all alike.
        content_masks: Regions `(height, width)` in [0, 1] of the content.
        style_masks: One for each of them, of the one style.
        state: The state of an iterate, to resume from; all else must be the same, but for
            `max_evaluations`: more of them go to the scale that it stands at, and to finer ones.

    Raises:
        UserError: A picture under 32 px, an empty region, or nothing to optimise.
        NonFiniteError: The loss is not finite, even with a smaller first step.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> photo, painting = rng.random((2, 40, 40, 3)).astype("float32")
        >>> config = GatysConfig(encoder="vgg16", style_layers=("relu1_1",),
        ...                      content_layers=("relu2_1",), max_evaluations=12)
        >>> iterates = list(gatys(photo, [painting], config))
        >>> iterates[-1].image.shape, iterates[-1].loss < iterates[0].loss
        ((40, 40, 3), True)

    References: https://doi.org/10.1109/CVPR.2016.265, https://arxiv.org/abs/1611.07865
    """
    began = time.monotonic()
    pyramid = _Pyramid(
        content, styles, config, shares, content_masks, style_masks, state and state["tiles"]
    )
    stages, work = pyramid.stages, [h * w * n for h, w, n in pyramid.stages]
    note = "" if state else _on_scales(config, stages)
    stage = int(state["stage"]) if state else 0
    # Evaluations of the coarser levels: a resumed run may have had another plan.
    before = int(state["before"]) if state else 0
    if state is None:
        image = _start(content, styles, config, stages[0][:2])
    elif state["finished"]:
        image = pyramid.image(state["position"], stage)
        before, stage, state = before + stages[stage][2], stage + 1, None
    else:
        image = None
    for k in range(stage, len(stages)):
        finest = k == len(stages) - 1
        budget = config.max_evaluations - before if finest else stages[k][2]
        level = _Level(pyramid, k, budget, image, state)
        state = None
        while not level.finished:
            note = level.advance(before) or note
            image, evaluations = pyramid.image(level.best, k), before + level.evaluations
            last = level.finished and finest
            if last and np.abs(image - pyramid.image(level.start, k)).max() < MOVED:
                raise UserError(
                    f"The picture did not move (evaluations: {evaluations}): its start already is "
                    "what the loss asks for; use another --init, or other weights."
                )
            share = min(level.evaluations / max(budget, 1), 1)
            yield Iterate(
                image,
                evaluations,
                k + 1,
                functools.partial(_parts_of, level.objective, image),
                done=1.0 if last else (sum(work[:k]) + share * work[k]) / sum(work),
                seconds=time.monotonic() - began,
                last=last,
                note=note,
                state=level.state(before),
            )
            note = ""
        before += budget


class _Pyramid:
    """The pictures at every size from coarse to fine: what all levels share.

    Args:
        content: The argument of `gatys`, like all but the last.
        known: The tiles of an earlier run, which it is resumed with.
    """

    def __init__(self, content, styles, config, shares, content_masks, style_masks, known):
        for style in styles:
            if min(style.shape[:2]) < MIN_PYRAMID_SIDE:
                raise UserError(
                    f"A painting is {style.shape[1]}x{style.shape[0]} here: both sides must be "
                    f"{MIN_PYRAMID_SIDE} px or more; use a larger --style-size."
                )
        self.content, self.styles, self.config = content, styles, config
        self.shares = shares or [1.0] * len(styles)
        self.content_masks, self.style_masks = content_masks, style_masks
        self.stages = plan(*content.shape[:2], config.scales, config.max_evaluations)
        known = [None] * len(self.stages) if known is None else map(int, known)
        limit = allowed_memory(config.max_memory)
        self.tiles = [
            tile_for(config, h, w, limit, tile)
            for (h, w, _), tile in zip(self.stages, known, strict=True)
        ]
        self.variable = UNBOUNDED if config.unbounded else BOUNDED
        self.dtype = compute_dtype(config.precision)
        self._encoder = functools.cache(functools.partial(encoder_for, config))

    def objective(self, k, exact):
        """Return the loss at a level, in float32 if it is to be exact."""
        height, width, _ = self.stages[k]
        encoder, weights = self._encoder("float32" if exact else self.dtype)
        ratio = height / self.content.shape[0], width / self.content.shape[1]
        sized = [_scaled(style, ratio) for style in self.styles]
        arguments = (
            encoder,
            resize(self.content, height, width),
            list(zip(sized, self.shares, strict=True)),
            weights,
            [resize_mask(mask, height, width) for mask in self.content_masks],
            [resize_mask(mask, *sized[0].shape[:2]) for mask in self.style_masks],
        )
        if self.tiles[k]:
            return TiledObjective(*arguments, self.tiles[k])
        return Objective(*arguments, self.config.seed)

    def image(self, position, k):
        """Return the image that a position of the optimiser stands for."""
        height, width, _ = self.stages[k]
        return np.reshape(self.variable.image(position), (height, width, 3))


class _Level:
    """One size of the pyramid: an optimiser, begun anew in float32 or with a smaller step.

    Args:
        pyramid: The pictures.
        k: The level's number, from 0.
        budget: Its evaluations.
        image: Where it starts, unless there is a state.
        state: The argument of `gatys`, if the run is resumed at this level.
    """

    def __init__(self, pyramid, k, budget, image, state):
        self.pyramid, self.k, self.budget = pyramid, k, budget
        if state:
            self.start, self.used = state["start"], int(state["used"])
            self.retried, self.exact = bool(state["retried"]), bool(state["exact"])
        else:
            height, width, _ = pyramid.stages[k]
            self.start, self.used = pyramid.variable.start(resize(image, height, width)), 0
            self.retried, self.exact = False, pyramid.dtype == "float32"
        self.best, self.finished = self.start, False
        self.arrays = state["optimizer"] if state else {}
        self.last_count = int(self.arrays.get("evaluations", 0))
        self.objective = pyramid.objective(k, self.exact)
        self.optimizer = self._optimizer(state["position"] if state else self.start, self.arrays)

    def _optimizer(self, position, arrays):
        config, function = self.pyramid.config, self.pyramid.variable.of(self.objective)
        step = config.learning_rate if config.optimizer == "adam" else FIRST_STEP
        step *= SMALLER if self.retried else 1.0
        begin = {"arrays": arrays} if arrays else {"start": position}
        if config.optimizer == "adam":
            return adam(function, **begin, learning_rate=step)
        return lbfgs(function, **begin, history=config.history, first_step=step)

    def advance(self, before):
        """Make one iteration; what there is to say of it, if anything."""
        found = next(self.optimizer)
        stalled = not self.exact and found.evaluations - self.last_count >= STALLED
        self.last_count, self.arrays = found.evaluations, found.arrays
        self.evaluations, self.best = self.used + found.evaluations, found.position
        if found.stopped and not found.finite and self.retried:
            raise NonFiniteError(
                f"The loss is not finite after {before + self.evaluations} evaluations, nor "
                "with a smaller first step; lower --style-weight or --content-weight, or "
                "use --precision float32."
            )
        again = (found.stopped and not (self.exact and found.finite)) or stalled
        if again and self.evaluations < self.budget:
            return self._begin_anew(found.finite)
        self.finished = found.stopped or self.evaluations >= self.budget
        return ""

    def _begin_anew(self, finite):
        self.used, self.arrays, self.last_count = self.evaluations, {}, 0
        if finite:
            self.exact = True
            self.objective = self.pyramid.objective(self.k, True)
            note = "bfloat16 finds no way down any more: on in float32"
        else:
            self.retried = True
            note = "the loss was not finite: once more from the best, with a smaller step"
        self.optimizer = self._optimizer(self.best, {})
        return note

    def state(self, before):
        """Arrays to resume from, by name."""
        return {
            "stage": self.k, "before": before, "used": self.used, "retried": self.retried,
            "exact": self.exact, "finished": self.finished, "tiles": np.array(self.pyramid.tiles),
            "start": np.asarray(self.start), "position": np.asarray(self.best),
            "optimizer": self.arrays,
        }  # fmt: skip


def _on_scales(config, stages):
    """What is to be said of the number of scales, where it is not what was asked for."""
    if len(stages) >= config.scales:
        return ""
    return (
        f"{len(stages)} of {config.scales} scales: a coarser one would have a side under "
        f"{MIN_PYRAMID_SIDE} px, or no evaluation"
    )


def _parts_of(objective, image):
    return objective.parts_of(image[None]).numpy()


def _start(content, styles, config, size):
    """The image to begin with, at the coarsest size."""
    init = config.init or ("content" if config.content_weight and config.style_weight else "noise")
    if init == "noise":
        # Around grey, as strong as a photo's contrast.
        noise = np.random.default_rng(config.seed).normal(0.5, 0.15, (*size, 3))
        return np.clip(noise, 0, 1).astype("float32")
    if init in ("content", "style"):
        return resize(content if init == "content" else styles[0], *size)
    return resize(read_image(init), *size)


def _scaled(style, ratio):
    """A painting smaller by as much as the photo is, no side under the least."""
    ratio = max(*ratio, MIN_PYRAMID_SIDE / min(style.shape[:2]))
    return resize(style, *(max(MIN_PYRAMID_SIDE, round(side * ratio)) for side in style.shape[:2]))
