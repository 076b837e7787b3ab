"""Every option of Gatys' method: default, help, source of its number; presets."""

import typing
from dataclasses import dataclass

from tf_style.config import Options, option, same, weighted
from tf_style.errors import UserError
from tf_style.option_groups import (
    INPUT,
    MEMORY,
    OPTIMIZER,
    OUTPUT,
    PRECISIONS,
    StylizeConfig,
    TrainConfig,
    check_style_weights,
)

__all__ = ["PRESETS", "STYLE_LOSS_NAMES", "GatysConfig", "check_losses"]

RECIPE = "recipe"

STYLE_LOSS_NAMES = ("gram", "polynomial", "linear", "moments", "gaussian")

# The authors' notebook: 1e3 / n**2 of the mean squared difference of Gram matrices, which
# is 4e3 / n**2 of E_l. https://github.com/leongatys/PytorchNeuralStyleTransfer
NOTEBOOK = {f"relu{b}_1": 4e3 / n**2 for b, n in enumerate((64, 128, 256, 512, 512), 1)}
# 100 of the mean squared difference of Gram / N, which is 400 / N**2 of E_l; its total variation is
# a sum over the pixels of 0 to 256: 1e-3 / 2 * 256**2 * 3 * 512 * 384 of our mean, at 512x384.
# https://github.com/jcjohnson/neural-style
JCJOHNSON = {f"relu{b}_1": 400 / n**2 for b, n in enumerate((64, 128, 256, 512, 512), 1)}


def _layers(weights):
    return tuple(f"{layer}:{weight!r}" for layer, weight in weights.items())


OTHERS = {"padding": "zero", "scales": 1, "unbounded": True}
RAW = OTHERS | {"weights_for": "raw", "pooling": "max", "history": 100}
PRESETS = {
    "default": {},
    "paper": OTHERS
    | {"weights_for": "normalised", "pooling": "avg", "style_weight": 1000.0,
       "content_weight": 1.0, "tv_weight": 0.0, "style_loss": ("gram",),
       "content_layers": ("relu4_2",),
       "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
       "optimizer": "lbfgs", "init": "noise"},
    "notebook": RAW
    | {"style_layers": _layers(NOTEBOOK), "style_weight": sum(NOTEBOOK.values()),
       "init": "content"},
    "jcjohnson": RAW
    | {"style_layers": _layers(JCJOHNSON), "style_weight": sum(JCJOHNSON.values()),
       "content_weight": 5.0, "tv_weight": 1.9e7, "init": "noise", "max_evaluations": 1000},
}  # fmt: skip


@dataclass(frozen=True)
class GatysConfig(Options):
    """What `stylize.py --method gatys` does; `--preset paper` has the paper's values.

    Source of the numbers: https://doi.org/10.1109/CVPR.2016.265

    Example:
        >>> GatysConfig(content_weight=0).style_loss
        ('gram',)
    """

    presets: typing.ClassVar[dict[str, dict]] = PRESETS

    method: str = option(
        "gatys", "gatys: optimise the pixels of each picture; adain: a trained network, in one "
        "pass (`stylize.py --help` has its flags).", choices=("gatys",), group=INPUT,
    )  # fmt: skip
    content_path: str = same(StylizeConfig, "content_path")
    style_path: str = same(StylizeConfig, "style_path")
    content_size: int = same(StylizeConfig, "content_size", default=512)
    style_size: int = option(
        0, "A painting's shorter side is brought to this many pixels; 0: its longer side to the "
        "photo's, times --style-scale.", low=0, group=INPUT,
    )  # fmt: skip
    style_scale: float = option(
        1.0, "Size of the painting against the photo; smaller gives finer strokes.", low=0.01,
        group=INPUT,
    )  # fmt: skip
    content_mask: tuple[str, ...] = option(
        (), "Regions of the photo: grey pictures of any size, white inside, black or transparent "
        "outside, separated by commas; one of another shape than the photo's is stretched.",
        group=INPUT,
    )  # fmt: skip
    style_mask: tuple[str, ...] = option(
        (), "As many regions of the painting; each region takes the style of its own.",
        group=INPUT,
    )  # fmt: skip
    background: str = same(StylizeConfig, "background")
    max_pixels: int = same(StylizeConfig, "max_pixels")

    preset: str = option(
        "default", "Settings to start from; other flags win over it; with --help they are shown. "
        "paper: the paper's; notebook: the authors' published notebook; jcjohnson: the most used "
        "implementation. All three leave the pixels unbounded.", choices=tuple(PRESETS),
        group=RECIPE,
    )  # fmt: skip
    content_weight: float = option(
        1.0, "Weight of the content loss; 0: the texture of the painting alone.", low=0,
        group=RECIPE,
    )  # fmt: skip
    style_weight: float = option(
        50.0, "Weight of the style loss: 5 tints, 50 paints and keeps faces, 500 puts the "
        "painting's motifs in their place (README shows them); 0: the photo as its content layers "
        "have kept it.", low=0, group=RECIPE,
    )  # fmt: skip
    tv_weight: float = same(TrainConfig, "tv_weight", group=RECIPE)
    content_layers: tuple[str, ...] = option(
        ("relu4_2",), "Layers of the content loss, with weights as in relu3_2:1,relu4_2:3 or all "
        "alike; their sum is scaled to 1.", group=RECIPE,
    )  # fmt: skip
    style_layers: tuple[str, ...] = option(
        ("relu1_1:2", "relu2_1:2", "relu3_1:1", "relu4_1:.3", "relu5_1:.1"),
        "Layers of the style loss, likewise; the deeper, the larger the motifs that take a photo's "
        "place.", group=RECIPE,
    )  # fmt: skip
    style_loss: tuple[str, ...] = option(
        ("gram",), "How styles are compared: gram, or the kernels linear, polynomial, gaussian or "
        "moments (batch-norm statistics); a mixture as in gram:2,moments:1.", group=RECIPE,
    )  # fmt: skip
    style_weights: tuple[float, ...] = same(StylizeConfig, "style_weights", group=RECIPE)
    weights_for: str = option(
        "normalised", "The VGG that the weights are meant for: normalised to mean activation 1, "
        "or raw as most published weights; those are converted for each layer.",
        choices=("normalised", "raw"), group=RECIPE,
    )  # fmt: skip
    preserve_color: str = same(StylizeConfig, "preserve_color", group=RECIPE)
    encoder: str = same(TrainConfig, "encoder", group=RECIPE)
    encoder_weights: str = same(TrainConfig, "encoder_weights", group=RECIPE)
    encoder_sha256: str = same(TrainConfig, "encoder_sha256", group=RECIPE)
    padding: str = same(TrainConfig, "padding", group=RECIPE)
    pooling: str = same(TrainConfig, "pooling", default="avg", group=RECIPE)

    optimizer: str = option(
        "lbfgs", "lbfgs, or adam: three more pictures' memory instead of 2 * history, and the "
        "moving average of its iterates as the result.", choices=("lbfgs", "adam"),
        group=OPTIMIZER,
    )  # fmt: skip
    max_evaluations: int = option(
        500, "Evaluations of loss and gradient over all scales, give or take the end of a step: "
        "what you wait for.", low=1,
        group=OPTIMIZER,
    )  # fmt: skip
    scales: int = option(
        0, "Sizes from coarse to fine, each twice the last and started from it; 0: as many as "
        "leave the coarsest 128 px or more, for pictures of 512 px and more.", low=0, high=8,
        group=OPTIMIZER,
    )  # fmt: skip
    init: str = option(
        "", "Where to start: content, noise, style or a picture's path; empty: content, and noise "
        "where the weight of content or style is 0.", group=OPTIMIZER,
    )  # fmt: skip
    unbounded: bool = option(
        False, "Move the pixels without bounds and clip the result, as published programs do; the "
        "clipped picture may have a multiple of the style loss.", group=OPTIMIZER,
    )  # fmt: skip
    history: int = option(
        20, "Steps that L-BFGS remembers; each costs two pictures of memory.", low=1, high=200,
        group=OPTIMIZER,
    )  # fmt: skip
    learning_rate: float = option(
        0.02, "Adam's step, of pixels in [0, 1]; for middling ones 1.6 times that, unless "
        "--unbounded.", low=0, group=OPTIMIZER,
    )  # fmt: skip
    precision: str = option(
        "auto", "Of the convolutions; auto: bfloat16 where the processor is fast at it, and from "
        "where that finds no way down any more float32.", choices=PRECISIONS, group=OPTIMIZER,
    )  # fmt: skip
    device: str = same(StylizeConfig, "device", group=OPTIMIZER)
    seed: int = option(
        0, "Of the noise, and of the Gaussian kernel's features.", low=0, high=2**31 - 1,
        group=OPTIMIZER,
    )  # fmt: skip

    max_memory: float = option(
        0.0, "GB that a picture may take above the program's own; the gradient of one that would "
        "take more is taken by tiles; 0: what the machine has free.", low=0, group=MEMORY,
    )  # fmt: skip
    tile_size: int = same(StylizeConfig, "tile_size")

    out_path: str = same(StylizeConfig, "out_path")
    out_format: str = same(StylizeConfig, "out_format")
    quality: int = same(StylizeConfig, "quality")
    concat: bool = same(StylizeConfig, "concat")
    save_every: int = option(
        50, "Evaluations between intermediate pictures and saved states, in the folder "
        "<result>.progress; 0: none, but a state if it is stopped.", low=0, group=OUTPUT,
    )  # fmt: skip
    animation: str = option(
        "", "Path of a .gif or .mp4 of the intermediate pictures (mp4 needs the extra video).",
        group=OUTPUT,
    )  # fmt: skip
    resume: bool = option(
        False, "Go on with what was stopped, from its saved state; and with what is finished, if "
        "--max-evaluations is higher.", group=OUTPUT,
    )  # fmt: skip
    overwrite: bool = option(
        False, "Replace results that exist, and begin anew what was stopped.", group=OUTPUT
    )
    skip_existing: bool = same(StylizeConfig, "skip_existing")

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and (self.skip_existing or self.resume):
            raise UserError("`overwrite` excludes `skip_existing` and `resume`.")
        check_style_weights(self.style_weights)
        check_losses(self)
        if not self.content_weight and not self.style_weight:
            raise UserError("`content_weight` and `style_weight` are both zero.")
        if self.tile_size and "gaussian" in weighted(self.style_loss):
            raise UserError(
                f"`tile_size` excludes the style loss gaussian, which draws positions from the "
                f"whole picture. Received: {self.tile_size}"
            )
        if len(self.content_mask) != len(self.style_mask):
            raise UserError(
                f"`content_mask` and `style_mask` go in pairs. Received: {len(self.content_mask)} "
                f"and {len(self.style_mask)}"
            )
        if self.style_mask and self.style_weights:
            raise UserError("`style_mask` is of one painting, `style_weights` blends several.")
        if self.animation:
            if not self.animation.lower().endswith((".gif", ".mp4")):
                raise UserError(f"`animation` ends in .gif or .mp4. Received: {self.animation}")
            if not self.save_every:
                raise UserError("`animation` is made of the pictures of `save_every`, which is 0.")


def check_losses(config: Options) -> None:
    """Layers with weights, and style losses that exist.

    Args:
        config: With `content_layers`, `style_layers` and `style_loss`.

    Raises:
        UserError: Weights that are none, or an unknown style loss.

    Example:
        >>> check_losses(GatysConfig())
    """
    for name in ("content_layers", "style_layers", "style_loss"):
        weighted(getattr(config, name), name)
    unknown = sorted(set(weighted(config.style_loss)) - set(STYLE_LOSS_NAMES))
    if unknown:
        known = ", ".join(STYLE_LOSS_NAMES)
        raise UserError(f"`style_loss` must be one of {known}. Received: {unknown[0]!r}")
