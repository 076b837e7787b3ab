"""Every option, with its default, its help and the source of its number.

The dataclasses are the single source: the scripts' flags, `--help`, the README's table and the
checkpoint's `config.json` are made from their fields.
"""

import dataclasses
import math
import os
import typing
from dataclasses import dataclass

from tf_style.errors import UserError

__all__ = ["GatysConfig", "StylizeConfig", "TrainConfig", "from_dict", "weighted"]


def option(default, help, *, choices=None, low=None, high=None, group=""):
    """A field with its help and the values it takes; `low` and `high` are themselves allowed."""
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "group": group}
    return dataclasses.field(default=default, metadata=metadata)


class Checked:
    """A dataclass whose values are checked against its fields when it is made.

    Lists become tuples and paths strings, so that every config can be written as JSON.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, about = getattr(self, field.name), field.metadata
            if isinstance(value, list | os.PathLike):
                value = tuple(value) if isinstance(value, list) else os.fspath(value)
                object.__setattr__(self, field.name, value)
            for one in value if isinstance(value, tuple) else (value,):
                if about["choices"] and one not in about["choices"]:
                    known = ", ".join(map(str, about["choices"]))
                    raise UserError(f"`{field.name}` must be one of {known}. Received: {one!r}")
                low, high = about["low"], about["high"]
                if low is not None and not (low <= one <= (math.inf if high is None else high)):
                    bounds = f"{low} or more" if high is None else f"between {low} and {high}"
                    raise UserError(f"`{field.name}` must be {bounds}. Received: {one}")
                if one == math.inf:
                    raise UserError(f"`{field.name}` must be finite. Received: {one}")


DATA, MODEL, LOSS, OPTIMIZER, RUN = "data", "model", "loss", "optimizer", "run"
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig(Checked):
    """What `train.py` does; the defaults are those of the AdaIN paper and its authors' code.

    Source of the numbers: https://github.com/xunhuang1995/AdaIN-style, train.lua.

    Example:
        >>> TrainConfig(batch_size=4).batch_size
        4
    """

    content_path: str = option(
        "", "Photos to train on: a folder (walked recursively), a file or a glob.", group=DATA
    )
    style_path: str = option("", "Paintings to train on, likewise.", group=DATA)
    val_content_path: str = option(
        "", "Held-out photos; with --val-style-path their losses are logged.", group=DATA
    )
    val_style_path: str = option("", "Held-out paintings.", group=DATA)
    resize_size: int = option(
        512, "Pixels of a training picture's shorter side before cropping.", low=16, group=DATA
    )
    crop_size: int = option(256, "Pixels of the square random crop.", low=16, group=DATA)
    max_images: int = option(
        0, "Use at most this many photos and paintings each, drawn by the seed; 0: all.",
        low=0, group=DATA,
    )  # fmt: skip
    allow_changed_data: bool = option(
        False, "Resume although the folders no longer hold the same files.", group=DATA
    )

    method: str = option("adain", "What is trained.", choices=("adain",), group=MODEL)
    encoder: str = option(
        "vgg19", "The network that describes images; vgg16's weights come with the package, "
        "vgg19's are downloaded by Keras.", choices=("vgg19", "vgg16"), group=MODEL,
    )  # fmt: skip
    encoder_weights: str = option(
        "", "packaged (vgg16), imagenet (from Keras' cache or site), or the path of an .h5 or .npz "
        "file; empty: packaged for vgg16, imagenet for vgg19.", group=MODEL,
    )  # fmt: skip
    encoder_sha256: str = option(
        "", "SHA-256 that the encoder's weight file must have; empty: any.", group=MODEL
    )
    padding: str = option(
        "reflect", "What lies beyond the border.", choices=("reflect", "zero"), group=MODEL
    )
    pooling: str = option("max", "The encoder's pooling.", choices=("max", "avg"), group=MODEL)
    content_layer: str = option(
        "relu4_1", "Layer where AdaIN acts and the content loss compares.", group=MODEL
    )

    content_weight: float = option(1.0, "Weight of the content loss.", low=0, group=LOSS)
    style_weight: float = option(
        1e-2, "Weight of the style loss; the authors' released decoder has 1e-1.", low=0,
        group=LOSS,
    )  # fmt: skip
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), "Layers of the style loss.", group=LOSS
    )
    style_reduction: str = option(
        "sum", "Over channels: sum (the authors' code) or mean (the PyTorch ports, whose weight "
        "is 10); w_sum = w_mean / channels of the layer.", choices=("sum", "mean"), group=LOSS,
    )  # fmt: skip
    tv_weight: float = option(
        0.0, "Weight of the total variation, per mean squared difference.", low=0, group=LOSS
    )
    identity_weight: float = option(
        0.0, "Above 0, the first pair of every batch has its own content as style and this "
        "weight on the pixels' squared error; speeds up short trainings (50 is good).",
        low=0, group=LOSS,
    )  # fmt: skip

    learning_rate: float = option(1e-4, "Adam's learning rate.", low=0, group=OPTIMIZER)
    lr_decay: float = option(
        5e-5, "With inverse: learning_rate / (1 + lr_decay * t).", low=0, group=OPTIMIZER
    )
    lr_schedule: str = option(
        "inverse", "inverse (the paper's) or cosine (to zero at --max-iter).",
        choices=("inverse", "cosine"), group=OPTIMIZER,
    )  # fmt: skip
    warmup_iter: int = option(
        0, "Steps in which the learning rate rises linearly from zero.", low=0, group=OPTIMIZER
    )
    batch_size: int = option(8, "Pairs per step, over all devices.", low=1, group=OPTIMIZER)
    max_iter: int = option(160_000, "Steps in all.", low=1, group=OPTIMIZER)
    precision: str = option(
        "float32", "Of the convolutions: float32, bfloat16, or auto (bfloat16 where the "
        "processor is fast at it). Weights and statistics are float32 always.",
        choices=PRECISIONS, group=OPTIMIZER,
    )  # fmt: skip

    checkpoint: str = option(
        "ckpt", "The run's folder; if it has a state, the run is resumed.", group=RUN
    )
    overwrite: bool = option(False, "Move what is in --checkpoint aside and start anew.", group=RUN)
    save_iter: int = option(1000, "Steps between saved states.", low=1, group=RUN)
    log_iter: int = option(
        50, "Steps between TensorBoard's losses; the host waits for the device only then.", low=1,
        group=RUN,
    )  # fmt: skip
    preview_iter: int = option(
        1000, "Steps between previews of the same fixed pairs; 0: none.", low=0, group=RUN
    )
    # TensorFlow's index_shuffle takes 32 bits of it.
    seed: int = option(
        0, "Of the initial weights, the order and the crops.", low=0, high=2**32 - 1, group=RUN
    )

    def __post_init__(self):
        super().__post_init__()
        if self.crop_size > self.resize_size:
            raise UserError(
                f"`crop_size` must be at most `resize_size`. Received: crop_size={self.crop_size}, "
                f"resize_size={self.resize_size}"
            )
        if bool(self.val_content_path) != bool(self.val_style_path):
            raise UserError("`val_content_path` and `val_style_path` are given together or not.")


INPUT, LOOK, OUTPUT = "pictures in", "look", "pictures out"


@dataclass(frozen=True)
class StylizeConfig(Checked):
    """What `stylize.py` does.

    Example:
        >>> StylizeConfig(alpha=0.5).content_size
        1024
    """

    method: str = option(
        "adain", "adain: a trained network, in one pass; gatys: optimise the pixels of each "
        "picture (`stylize.py --method gatys --help` has its flags).", choices=("adain",),
        group=INPUT,
    )  # fmt: skip
    checkpoint: str = option(
        "adain", "A checkpoint folder, or the name of a model that ships: adain.", group=INPUT
    )
    content_path: str = option(
        "images/inputs", "Photos: a file, a folder (walked recursively) or a glob.", group=INPUT
    )
    style_path: str = option("images/styles", "Paintings, likewise.", group=INPUT)
    content_size: int = option(
        1024, "A photo's longer side is shrunk to this many pixels; 0: as it is.", low=0,
        group=INPUT,
    )  # fmt: skip
    style_size: int = option(
        512, "A painting's shorter side is brought to this many pixels; smaller gives finer "
        "strokes; 0: as it is.", low=0, group=INPUT,
    )  # fmt: skip
    crop: bool = option(False, "Cut the middle square out of photos and paintings.", group=INPUT)
    background: str = option(
        "white", "Colour behind transparent pixels: a name or #rrggbb.", group=INPUT
    )
    max_pixels: int = option(
        178_956_970, "Refuse pictures of more pixels than this before decoding them.", low=1,
        group=INPUT,
    )  # fmt: skip
    random_styles: int = option(
        0, "Use this many of the paintings, drawn by --seed; 0: all.", low=0, group=INPUT
    )
    seed: int = option(0, "Of --random-styles.", low=0, group=INPUT)

    alpha: float = option(
        1.0, "Strength of the style: 0 is the decoded photo, 1 the full style.", low=0, high=1,
        group=LOOK,
    )  # fmt: skip
    style_weights: tuple[float, ...] = option(
        (), "Blend all paintings into one style by these weights (their sum is scaled to 1), "
        "in the order of the paintings' names.", low=0, group=LOOK,
    )  # fmt: skip
    preserve_color: str = option(
        "none", "Keep the photo's colours: luma (only the brightness is stylised) or match (the "
        "painting is first given the photo's colour mean and covariance).",
        choices=("none", "luma", "match"), group=LOOK,
    )  # fmt: skip
    passes: int = option(1, "Times that the network is applied.", low=1, group=LOOK)
    precision: str = option(
        "auto", "Of the convolutions; auto: bfloat16 where the processor is fast at it.",
        choices=PRECISIONS, group=LOOK,
    )  # fmt: skip

    out_path: str = option("images/output", "Folder for the results.", group=OUTPUT)
    out_format: str = option(
        "jpg", "Format of the results.", choices=("jpg", "png", "webp"), group=OUTPUT
    )
    quality: int = option(95, "JPEG's or WebP's quality.", low=1, high=100, group=OUTPUT)
    concat: bool = option(False, "Write content, style and result side by side.", group=OUTPUT)
    overwrite: bool = option(False, "Replace results that exist.", group=OUTPUT)
    skip_existing: bool = option(False, "Leave results that exist and do the rest.", group=OUTPUT)

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and self.skip_existing:
            raise UserError("`overwrite` and `skip_existing` exclude each other.")
        if self.style_weights and not sum(self.style_weights) > 0:
            raise UserError(f"`style_weights` are all zero. Received: {self.style_weights}")


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


RAW = {"weights_for": "raw", "pooling": "max", "padding": "zero", "history": 100, "scales": 1}
PRESETS = {
    "paper": {},
    "notebook": RAW
    | {"style_layers": _layers(NOTEBOOK), "style_weight": sum(NOTEBOOK.values()),
       "init": "content"},
    "jcjohnson": RAW
    | {"style_layers": _layers(JCJOHNSON), "style_weight": sum(JCJOHNSON.values()),
       "content_weight": 5.0, "tv_weight": 1.9e7, "init": "noise", "max_evaluations": 1000},
}  # fmt: skip


@dataclass(frozen=True)
class GatysConfig(Checked):
    """What `stylize.py --method gatys` does; the defaults are those of the paper.

    Source of the numbers: https://doi.org/10.1109/CVPR.2016.265

    Example:
        >>> GatysConfig(content_weight=0).style_loss
        ('gram',)
    """

    method: str = option(
        "gatys", "gatys: optimise the pixels of each picture; adain: a trained network, in one "
        "pass (`stylize.py --help` has its flags).", choices=("gatys",), group=INPUT,
    )  # fmt: skip
    content_path: str = option(
        "images/inputs", "Photos: a file, a folder (walked recursively) or a glob.", group=INPUT
    )
    style_path: str = option("images/styles", "Paintings, likewise.", group=INPUT)
    content_size: int = option(
        512, "A photo's longer side is shrunk to this many pixels; 0: as it is.", low=0,
        group=INPUT,
    )  # fmt: skip
    style_size: int = option(
        0, "A painting's shorter side is brought to this many pixels; 0: its longer side to the "
        "photo's, times --style-scale.", low=0, group=INPUT,
    )  # fmt: skip
    style_scale: float = option(
        1.0, "Size of the painting against the photo; smaller gives finer strokes.", low=0.01,
        group=INPUT,
    )  # fmt: skip
    content_mask: tuple[str, ...] = option(
        (), "Regions of the photo: grey pictures of any size, white inside, separated by commas.",
        group=INPUT,
    )  # fmt: skip
    style_mask: tuple[str, ...] = option(
        (), "As many regions of the painting; each region takes the style of its own.",
        group=INPUT,
    )  # fmt: skip
    background: str = option(
        "white", "Colour behind transparent pixels: a name or #rrggbb.", group=INPUT
    )
    max_pixels: int = option(
        178_956_970, "Refuse pictures of more pixels than this before decoding them.", low=1,
        group=INPUT,
    )  # fmt: skip

    preset: str = option(
        "paper", "Settings to start from; other flags win over it. notebook: the authors' "
        "published notebook; jcjohnson: the most used implementation.", choices=tuple(PRESETS),
        group=RECIPE,
    )  # fmt: skip
    content_weight: float = option(
        1.0, "Weight of the content loss; 0: the texture of the painting alone.", low=0,
        group=RECIPE,
    )  # fmt: skip
    style_weight: float = option(
        1000.0, "Weight of the style loss (the paper's beta / alpha); 0: the photo as its "
        "content layers have kept it.", low=0, group=RECIPE,
    )  # fmt: skip
    tv_weight: float = option(
        0.0, "Weight of the total variation, per mean squared difference.", low=0, group=RECIPE
    )
    content_layers: tuple[str, ...] = option(
        ("relu4_2",), "Layers of the content loss, with weights as in relu3_2:1,relu4_2:3 or all "
        "alike; their sum is scaled to 1.", group=RECIPE,
    )  # fmt: skip
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers of the style loss, likewise.", group=RECIPE,
    )  # fmt: skip
    style_loss: tuple[str, ...] = option(
        ("gram",), "How styles are compared: gram, or the kernels linear, polynomial, gaussian or "
        "moments (batch-norm statistics); a mixture as in gram:2,moments:1.", group=RECIPE,
    )  # fmt: skip
    style_weights: tuple[float, ...] = option(
        (), "Blend all paintings into one style by these weights (their sum is scaled to 1), "
        "in the order of the paintings' names.", low=0, group=RECIPE,
    )  # fmt: skip
    weights_for: str = option(
        "normalised", "The VGG that the weights are meant for: normalised to mean activation 1, "
        "or raw as most published weights; those are converted for each layer.",
        choices=("normalised", "raw"), group=RECIPE,
    )  # fmt: skip
    preserve_color: str = option(
        "none", "Keep the photo's colours: luma (only the brightness is stylised) or match (the "
        "painting is first given the photo's colour mean and covariance).",
        choices=("none", "luma", "match"), group=RECIPE,
    )  # fmt: skip
    encoder: str = option(
        "vgg19", "The network that describes images; vgg16's weights come with the package, "
        "vgg19's are downloaded by Keras.", choices=("vgg19", "vgg16"), group=RECIPE,
    )  # fmt: skip
    encoder_weights: str = option(
        "", "packaged (vgg16), imagenet (from Keras' cache or site), or the path of an .h5 or .npz "
        "file; empty: packaged for vgg16, imagenet for vgg19.", group=RECIPE,
    )  # fmt: skip
    encoder_sha256: str = option(
        "", "SHA-256 that the encoder's weight file must have; empty: any.", group=RECIPE
    )
    padding: str = option(
        "reflect", "What lies beyond the border.", choices=("reflect", "zero"), group=RECIPE
    )
    pooling: str = option("avg", "The encoder's pooling.", choices=("max", "avg"), group=RECIPE)

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
    history: int = option(
        20, "Steps that L-BFGS remembers; each costs two pictures of memory.", low=1, high=200,
        group=OPTIMIZER,
    )  # fmt: skip
    learning_rate: float = option(0.02, "Adam's step, of pixels in [0, 1].", low=0, group=OPTIMIZER)
    precision: str = option(
        "float32", "Of the convolutions. bfloat16 is faster where the processor is good at it, "
        "but its rounding ends L-BFGS early: use it with adam.", choices=PRECISIONS,
        group=OPTIMIZER,
    )  # fmt: skip
    seed: int = option(
        0, "Of the noise, and of the Gaussian kernel's features.", low=0, high=2**31 - 1,
        group=OPTIMIZER,
    )  # fmt: skip

    out_path: str = option("images/output", "Folder for the results.", group=OUTPUT)
    out_format: str = option(
        "jpg", "Format of the results.", choices=("jpg", "png", "webp"), group=OUTPUT
    )
    quality: int = option(95, "JPEG's or WebP's quality.", low=1, high=100, group=OUTPUT)
    concat: bool = option(False, "Write content, style and result side by side.", group=OUTPUT)
    save_every: int = option(
        50, "Evaluations between intermediate pictures and saved states, in the folder "
        "<result>.progress; 0: none.", low=0, group=OUTPUT,
    )  # fmt: skip
    animation: str = option(
        "", "Path of a .gif or .mp4 of the intermediate pictures (mp4 needs the extra video).",
        group=OUTPUT,
    )  # fmt: skip
    resume: bool = option(False, "Go on with what was stopped, from its saved state.", group=OUTPUT)
    overwrite: bool = option(
        False, "Replace results that exist, and begin anew what was stopped.", group=OUTPUT
    )
    skip_existing: bool = option(False, "Leave results that exist and do the rest.", group=OUTPUT)

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and (self.skip_existing or self.resume):
            raise UserError("`overwrite` excludes `skip_existing` and `resume`.")
        if self.style_weights and not sum(self.style_weights) > 0:
            raise UserError(f"`style_weights` are all zero. Received: {self.style_weights}")
        for name in ("content_layers", "style_layers", "style_loss"):
            weighted(getattr(self, name), name)
        unknown = sorted(set(weighted(self.style_loss, "style_loss")) - set(STYLE_LOSS_NAMES))
        if unknown:
            known = ", ".join(STYLE_LOSS_NAMES)
            raise UserError(f"`style_loss` must be one of {known}. Received: {unknown[0]!r}")
        if not self.content_weight and not self.style_weight:
            raise UserError("`content_weight` and `style_weight` are both zero.")
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


def weighted(items: tuple[str, ...], what: str = "items") -> dict[str, float]:
    """Names with weights that sum to 1, from `name` or `name:weight` each.

    Raises:
        UserError: No name, one twice, or weights that are no numbers, negative or all zero.

    Example:
        >>> weighted(("relu1_1", "relu2_1:3"))
        {'relu1_1': 0.25, 'relu2_1': 0.75}
    """
    found = {}
    for item in items:
        name, _, weight = item.partition(":")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise UserError(f"`{what}` takes name:weight, 0 or more. Received: {item!r}")
    if len(found) != len(items) or not sum(found.values()) > 0:
        reason = "names one twice" if len(found) != len(items) else "needs a weight above 0"
        raise UserError(f"`{what}` {reason}. Received: {','.join(items) or 'none'}")
    return {name: weight / sum(found.values()) for name, weight in found.items()}


def from_dict(config_class: type, values: dict) -> typing.Any:
    """A config from what `dataclasses.asdict` and JSON made of it, or from some of its values.

    What a preset sets is the default of the values that are not given.

    Raises:
        UserError: An unknown field, which names the known ones.

    Example:
        >>> from_dict(TrainConfig, {"style_layers": ["relu1_1"]}).style_layers
        ('relu1_1',)
    """
    known = [field.name for field in dataclasses.fields(config_class)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(f"Unknown option {unknown[0]!r}; {config_class.__name__} has {known}.")
    preset = PRESETS.get(values.get("preset"), {})
    return config_class(**(preset | values))
