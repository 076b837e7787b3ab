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
from tf_style.gatys.pyramid import MIN_SIDE, plan, tile_for
from tf_style.gatys.tiled_objective import TiledObjective
from tf_style.images.reading import read_image
from tf_style.images.resizing import resize, resize_mask
from tf_style.memory import allowed_memory
from tf_style.nn.style_losses import LossWeights, layers_that_count, loss_weights
from tf_style.nn.vgg import VGGEncoder, build_encoder
from tf_style.precision import compute_dtype

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
        state: Arrays to go on from, by name.
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
    """The encoder up to the deepest layer that counts, and the weights that go with it."""
    encoder, factors, _ = build_encoder(
        config.encoder,
        layers_that_count(config),
        config.encoder_weights,
        expected_sha256=config.encoder_sha256,
        padding=config.padding,
        pooling=config.pooling,
        compute_dtype=dtype,
    )
    return encoder, loss_weights(config, factors)


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
        style_masks: As many of the one style.
        state: An iterate's, to go on from; all else must be the same, but for `max_evaluations`:
            more of them go to the scale that it stands at, and to finer ones.

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
    stages = plan(*content.shape[:2], config.scales, config.max_evaluations)
    for style in styles:
        if min(style.shape[:2]) < MIN_SIDE:
            raise UserError(
                f"A painting is {style.shape[1]}x{style.shape[0]} here: both sides must be "
                f"{MIN_SIDE} px or more; use a larger --style-size."
            )
    began = time.monotonic()
    encoder_of = functools.cache(functools.partial(encoder_for, config))
    shares = shares or [1.0] * len(styles)
    work = [h * w * n for h, w, n in stages]

    known = map(int, state["tiles"]) if state else [None] * len(stages)
    limit = allowed_memory(config.max_memory)
    tiles = [tile_for(config, h, w, limit, t) for (h, w, _), t in zip(stages, known, strict=True)]

    def objective_at(height, width, tile, exact):
        encoder, weights = encoder_of("float32" if exact else compute_dtype(config.precision))
        ratio = height / content.shape[0], width / content.shape[1]
        sized = [_scaled(style, ratio) for style in styles]
        arguments = (
            encoder,
            resize(content, height, width),
            list(zip(sized, shares, strict=True)),
            weights,
            [resize_mask(mask, height, width) for mask in content_masks],
            [resize_mask(mask, *sized[0].shape[:2]) for mask in style_masks],
        )
        return TiledObjective(*arguments, tile) if tile else Objective(*arguments, config.seed)

    note = "" if state else _on_scales(config, stages)
    variable = UNBOUNDED if config.unbounded else BOUNDED
    inexact = compute_dtype(config.precision) != "float32"
    stage = int(state["stage"]) if state else 0
    # Evaluations of the coarser scales: what is gone on with may have had another plan.
    before = int(state["before"]) if state else 0
    if state is None:
        image = _start(content, styles, config, stages[0][:2])
    elif state["finished"]:
        image = _image(variable, state["position"], stages[stage])
        before, stage, state = before + stages[stage][2], stage + 1, None
    for k in range(stage, len(stages)):
        height, width, budget = stages[k]
        if k == len(stages) - 1:
            budget = config.max_evaluations - before
        if state:
            start, used = state["start"], int(state["used"])
            retried, exact = bool(state["retried"]), bool(state["exact"])
        else:
            start, used = variable.start(resize(image, height, width)), 0
            retried, exact = False, not inexact
        objective = objective_at(height, width, tiles[k], exact)
        if state and state["optimizer"]:
            optimizer = _optimizer(config, variable.of(objective), None, state["optimizer"])
        else:
            position = state["position"] if state else start
            optimizer = _optimizer(config, variable.of(objective), position, retried=retried)
        last_count = int(state["optimizer"].get("evaluations", 0)) if state else 0
        state, best, finished = None, start, False
        while not finished:
            found = next(optimizer)
            stalled = not exact and found.evaluations - last_count >= STALLED
            last_count = found.evaluations
            evaluations, arrays = used + found.evaluations, found.arrays
            best = found.position
            again = (found.stopped and not (exact and found.finite)) or stalled
            again = again and evaluations < budget
            if found.stopped and not found.finite and retried:
                raise NonFiniteError(
                    f"The loss is not finite after {before + evaluations} evaluations, nor "
                    "with a smaller first step; lower --style-weight or --content-weight, or "
                    "use --precision float32."
                )
            if again:
                used, arrays, last_count = evaluations, {}, 0
                if found.finite:
                    exact, objective = True, objective_at(height, width, tiles[k], True)
                    note = "bfloat16 finds no way down any more: on in float32"
                else:
                    retried = True
                    note = "the loss was not finite: once more from the best, with a smaller step"
                optimizer = _optimizer(config, variable.of(objective), best, retried=retried)
            elif found.stopped:
                finished = True
            finished = finished or evaluations >= budget
            image = _image(variable, best, stages[k])
            last = finished and k == len(stages) - 1
            if last and np.abs(image - _image(variable, start, stages[k])).max() < MOVED:
                raise UserError(
                    f"The picture did not move (evaluations: {before + evaluations}): its start "
                    "already is what the loss asks for; use another --init, or other weights."
                )
            share = min(evaluations / max(budget, 1), 1)
            done = (sum(work[:k]) + share * work[k]) / sum(work)
            stored = {
                "stage": k, "before": before, "used": used, "retried": retried, "exact": exact,
                "finished": finished, "tiles": np.array(tiles), "start": np.asarray(start),
                "position": np.asarray(best), "optimizer": arrays,
            }  # fmt: skip
            yield Iterate(
                image,
                before + evaluations,
                k + 1,
                functools.partial(_parts_of, objective, image),
                done=1.0 if last else done,
                seconds=time.monotonic() - began,
                last=last,
                note=note,
                state=stored,
            )
            note = ""
        before += budget


def _on_scales(config, stages):
    """What is to be said of the number of scales, where it is not what was asked for."""
    if len(stages) >= config.scales:
        return ""
    return (
        f"{len(stages)} of {config.scales} scales: a coarser one would have a side under "
        f"{MIN_SIDE} px, or no evaluation"
    )


def _image(variable, position, stage):
    height, width, _ = stage
    return np.reshape(variable.image(position), (height, width, 3))


def _parts_of(objective, image):
    return objective.parts_of(image[None]).numpy()


def _optimizer(config, function, start, arrays=None, retried=False):
    step = config.learning_rate if config.optimizer == "adam" else FIRST_STEP
    step *= SMALLER if retried else 1.0
    if config.optimizer == "adam":
        return adam(function, start, arrays=arrays, learning_rate=step)
    return lbfgs(function, start, arrays=arrays, history=config.history, first_step=step)


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
    ratio = max(*ratio, MIN_SIDE / min(style.shape[:2]))
    return resize(style, *(max(MIN_SIDE, round(side * ratio)) for side in style.shape[:2]))
