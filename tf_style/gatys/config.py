"""Every option of Gatys' method: default, help, source of its number; presets."""

import typing
from dataclasses import dataclass

from tf_style.config import option
from tf_style.errors import UserError
from tf_style.mixtures import weighted
from tf_style.option_groups import (
    INPUT,
    LOSS,
    METHOD,
    OPTIMIZER,
    OUTPUT,
    PRECISIONS,
    Blend,
    Encoder,
    LayerLosses,
    Machine,
    Pictures,
    Results,
    Tiles,
)

__all__ = ["PRESETS", "GatysConfig"]

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
class GatysConfig(Pictures, Blend, LayerLosses, Encoder, Machine, Tiles, Results):
    """What `stylize.py --method gatys` does; `--preset paper` has the paper's values.

    Source of the numbers: https://doi.org/10.1109/CVPR.2016.265

    Example:
        >>> GatysConfig(content_weight=0).style_loss
        ('gram',)
    """

    presets: typing.ClassVar[dict[str, dict]] = PRESETS

    method: str = option(
        "gatys", "gatys: optimise the pixels of each picture; adain: a trained network, in one "
        "pass (`stylize.py --help` has its flags).", choices=("gatys",), group=METHOD,
    )  # fmt: skip
    preset: str = option(
        "default", "Settings to start from; other flags override it; --help shows its values. "
        "paper: the paper's; notebook: the authors' published notebook; jcjohnson: the most used "
        "implementation. All three leave the pixels unbounded.", choices=tuple(PRESETS),
        group=METHOD,
    )  # fmt: skip
    content_size: int = 512
    style_size: int = option(
        0, "Resize paintings to this many pixels on their shorter side; 0: resize their longer "
        "side to the photo's, times --style-scale.", low=0, group=INPUT,
    )  # fmt: skip
    style_scale: float = option(
        1.0, "Size of the painting relative to the photo; smaller gives finer strokes.", low=0.01,
        group=INPUT,
    )  # fmt: skip
    content_mask: tuple[str, ...] = option(
        (), "Regions of the photo: grey pictures of any size, white inside, black or transparent "
        "outside, separated by commas; one of another shape than the photo's is stretched.",
        group=INPUT,
    )  # fmt: skip
    style_mask: tuple[str, ...] = option(
        (), "As many regions of the painting; each region of the photo takes the style of its own.",
        group=INPUT,
    )  # fmt: skip
    content_weight: float = option(
        1.0, "Weight of the content loss; 0: only the texture of the painting.", low=0, group=LOSS
    )
    style_weight: float = option(
        50.0, "Weight of the style loss beside --content-weight; the style loss is the weighted "
        "mean over --style-layers. 5 tints, 50 paints and keeps faces, 500 puts the painting's "
        "motifs in their place; 0: reconstruct the photo from its content layers.", low=0,
        group=LOSS,
    )  # fmt: skip
    pooling: str = "avg"

    optimizer: str = option(
        "lbfgs", "lbfgs; or adam, which needs the memory of three more pictures instead of "
        "2 * history, and returns the moving average of its iterates.", choices=("lbfgs", "adam"),
        group=OPTIMIZER,
    )  # fmt: skip
    max_evaluations: int = option(
        500, "Evaluations of loss and gradient over all scales, give or take the end of a step: "
        "they are what takes the time.", low=1, group=OPTIMIZER, changeable=True,
    )  # fmt: skip
    scales: int = option(
        0, "Number of sizes from coarse to fine, each twice the last and started from it; 0: as "
        "many as keep the coarsest at 128 px or more, for pictures of 512 px and more.", low=0,
        high=8, group=OPTIMIZER,
    )  # fmt: skip
    init: str = option(
        "", "Where to start: content, noise, style or a picture's path; empty: content, or noise "
        "if the weight of content or style is 0.", group=OPTIMIZER,
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
        0.02, "Adam's step for pixels in [0, 1]; it is 1.6 times that for those in the middle of "
        "the range, unless --unbounded.", low=0, group=OPTIMIZER,
    )  # fmt: skip
    precision: str = option(
        "auto", "Number format of the convolutions; auto: bfloat16 where the processor is fast at "
        "it, until it finds no way down any more, then float32.", choices=PRECISIONS,
        group=OPTIMIZER,
    )  # fmt: skip
    seed: int = option(
        0, "Seed of the noise and of the Gaussian kernel's features.", low=0, high=2**31 - 1,
        group=OPTIMIZER,
    )  # fmt: skip

    save_every: int = option(
        50, "Evaluations between intermediate pictures and saved states, in the folder "
        "<result>.progress; 0: none, but a state if it is stopped.", low=0, group=OUTPUT,
        changeable=True,
    )  # fmt: skip
    animation: str = option(
        "", "Path of a .gif or .mp4 of the intermediate pictures (mp4 needs the extra video).",
        group=OUTPUT, changeable=True, path="out",
    )  # fmt: skip
    resume: bool = option(
        False, "Resume results that were stopped, from their saved states; and continue finished "
        "ones if --max-evaluations is higher.", group=OUTPUT, changeable=True,
    )  # fmt: skip
    overwrite: bool = option(
        False, "Replace results that exist, and begin anew what was stopped.", group=OUTPUT,
        changeable=True,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and self.resume:
            raise UserError("`overwrite` and `resume` exclude each other.")
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
