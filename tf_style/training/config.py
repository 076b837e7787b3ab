"""Every option of training: default, help, source of its number; presets."""

import typing
from dataclasses import dataclass

from tf_style.config import Options, option
from tf_style.errors import UserError
from tf_style.option_groups import (
    DATA,
    LOSS,
    MACHINE,
    METHOD,
    MODEL,
    OPTIMIZER,
    PRECISIONS,
    RUN,
    Encoder,
    LayerLosses,
    Losses,
)

__all__ = ["BACKBONES", "ConditionalConfig", "PredictedConfig", "TrainConfig", "Training"]

BACKBONES = ("vgg16", "mobilenet_v2")

# With a mean over layers, 4 * 0.25 of 4e-4 E_l each is 1e-4 of the mean squared difference of Gram
# matrices. https://github.com/magenta/magenta, image_stylization
DUMOULIN_STYLE = 4 * 4e-4
# 5 of the mean squared difference of Gram / N, which is 20 / N**2 of E_l. The total variation is
# 1e-6 / 2 of a sum over 256x256 pixels of 0 to 255, for each of 4 pictures where the other losses
# are means. https://github.com/jcjohnson/fast-neural-style
JOHNSON = {layer: 20 / n**2 for layer, n in
           {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512}.items()}  # fmt: skip
JOHNSON_TV = 1e-6 / 2 * 255**2 * 256 * 256 * 3 * 4
# 0.5e-3 of the mean squared difference, 1e4 / 2 of a mean for the total variation.
# https://github.com/magenta/magenta, arbitrary_image_stylization
GHIASI_STYLE, GHIASI_TV = 4 * 2e-3, 5e3


@dataclass(frozen=True)
class Training(Options):
    """What all trainings share: pictures, optimiser, run, machine."""

    content_path: str = option(
        "", "Photos to train on: folders (with their subfolders), files or globs.", group=DATA,
        changeable=True, path="in",
    )  # fmt: skip
    style_path: str = option(
        "", "Paintings to train on: folders (with their subfolders), files or globs.", group=DATA,
        changeable=True, path="in",
    )  # fmt: skip
    val_content_path: str = option(
        "", "Held-out photos; with --val-style-path their losses are logged.", group=DATA,
        changeable=True, path="in",
    )  # fmt: skip
    resize_size: int = option(
        512, "Pixels of a training picture's shorter side before cropping.", low=16, group=DATA
    )
    crop_size: int = option(256, "Pixels of the square random crop.", low=16, group=DATA)
    max_images: int = option(
        0, "Use at most this many photos and paintings each, drawn by the seed; 0: all.",
        low=0, group=DATA,
    )  # fmt: skip
    allow_changed_data: bool = option(
        False, "Resume although the folders no longer contain the same files.", group=DATA,
        changeable=True,
    )  # fmt: skip
    skip_missing: bool = option(
        False, "Leave out pictures that are deleted or changed during the training, and resume "
        "without them.", group=DATA, changeable=True,
    )  # fmt: skip

    grain: float = option(
        0.0, "Standard deviation of noise that is added to photos of range [0, 1], from which "
        "strokes grow in flat areas (0.03 is good). The model adds it in use too. The papers have "
        "none.", low=0, high=1, group=MODEL,
    )  # fmt: skip
    start_from: str = option(
        "", "A checkpoint folder of the same networks, or the name of a model that ships: a new "
        "run begins with its weights instead of random ones.", group=MODEL,
    )  # fmt: skip

    learning_rate: float = option(1e-4, "Adam's learning rate.", low=0, group=OPTIMIZER)
    lr_decay: float = option(
        5e-5, "Decay of the schedule inverse: learning_rate / (1 + lr_decay * t).", low=0,
        group=OPTIMIZER,
    )  # fmt: skip
    lr_schedule: str = option(
        "inverse", "inverse (the paper's) or cosine (to zero at --max-iter).",
        choices=("inverse", "cosine"), group=OPTIMIZER,
    )  # fmt: skip
    warmup_iter: int = option(
        0, "Steps in which the learning rate rises linearly from zero.", low=0, group=OPTIMIZER
    )
    ema_momentum: float = option(
        0.0, "Above 0, the model that is saved for use, previewed and validated is the moving "
        "average of the weights, of which each step keeps this much (0.999 is good).",
        low=0, high=0.999999, group=OPTIMIZER,
    )  # fmt: skip
    batch_size: int = option(8, "Pairs per step, over all devices.", low=1, group=OPTIMIZER)
    max_iter: int = option(160_000, "Steps in all.", low=1, group=OPTIMIZER)
    precision: str = option(
        "float32", "Number format of the convolutions: float32, bfloat16, or auto (bfloat16 where "
        "the processor is fast at it). Weights and statistics are always float32.",
        choices=PRECISIONS, group=OPTIMIZER,
    )  # fmt: skip

    checkpoint: str = option(
        "ckpt", "The run's folder; if it has a state, the run is resumed.", group=RUN,
        changeable=True, path="out",
    )  # fmt: skip
    overwrite: bool = option(
        False, "Move what is in --checkpoint aside and start anew.", group=RUN, changeable=True
    )
    save_iter: int = option(1000, "Steps between saved states.", low=1, group=RUN, changeable=True)
    log_iter: int = option(
        50, "Steps between TensorBoard's losses; the host waits for the device only then.", low=1,
        group=RUN, changeable=True,
    )  # fmt: skip
    preview_iter: int = option(
        1000, "Steps between previews of the same fixed pairs; 0: none.", low=0, group=RUN,
        changeable=True,
    )  # fmt: skip
    progress_gif: str = option(
        "", "Path of a .gif that shows the first pair at each of the previews.", group=RUN,
        changeable=True, path="out",
    )  # fmt: skip
    # TensorFlow's index_shuffle takes 32 bits of it.
    seed: int = option(
        0, "Seed of the initial weights, the order and the crops.", low=0, high=2**32 - 1,
        group=RUN,
    )  # fmt: skip

    device: str = option(
        "", "cpu, gpu, or a list such as gpu:0,gpu:1; empty: all GPUs, or the CPU where there is "
        "none. With TF_CONFIG, the devices of this worker.", group=MACHINE, changeable=True,
    )  # fmt: skip
    deterministic: bool = option(
        False, "Use only operations that give the same bits each time, which are slower on a GPU.",
        group=MACHINE, changeable=True,
    )  # fmt: skip
    steps_per_call: int = option(
        1, "Steps that TensorFlow does without returning to Python; more may help a GPU that small "
        "steps leave idle. Ctrl-C waits for them.", low=1, group=MACHINE, changeable=True,
    )  # fmt: skip
    profile: bool = option(
        False, "Write a profile of the second step, for TensorBoard, into the run's logs.",
        group=MACHINE, changeable=True,
    )  # fmt: skip

    @property
    def added(self) -> str:
        """The painting that is added to a trained model; empty where a model is trained."""
        return ""

    def __post_init__(self):
        super().__post_init__()
        if self.crop_size > self.resize_size:
            raise UserError(
                f"`crop_size` must be at most `resize_size`. Received: crop_size={self.crop_size}, "
                f"resize_size={self.resize_size}"
            )
        if self.progress_gif and not self.progress_gif.lower().endswith(".gif"):
            raise UserError(f"`progress_gif` ends in .gif. Received: {self.progress_gif}")
        if self.progress_gif and not self.preview_iter:
            raise UserError("`progress_gif` is made of the previews of `preview_iter`, which is 0.")


@dataclass(frozen=True)
class HeldOutStyles(Training):
    """Trainings for any style, which are validated on paintings that they have not seen."""

    val_style_path: str = option("", "Held-out paintings.", group=DATA, changeable=True, path="in")

    def __post_init__(self):
        super().__post_init__()
        if bool(self.val_content_path) != bool(self.val_style_path):
            raise UserError("`val_content_path` and `val_style_path` are given together or not.")


@dataclass(frozen=True)
class TrainConfig(HeldOutStyles, Losses, Encoder):
    """What `train.py` does; the defaults are those of the AdaIN paper and its authors' code.

    Source of the numbers: https://github.com/xunhuang1995/AdaIN-style, train.lua.

    Example:
        >>> TrainConfig(batch_size=4).batch_size
        4
    """

    method: str = option(
        "adain", "What is trained: adain, any style by a decoder; conditional, a table of styles; "
        "predicted, any style by a predictor (`train.py --method conditional --help` has its "
        "flags).", choices=("adain",), group=METHOD,
    )  # fmt: skip
    augment_styles: bool = option(
        False, "Mirror the paintings and shift their colours at random: few become many.",
        group=DATA,
    )  # fmt: skip
    content_layer: str = option(
        "relu4_1", "Layer where AdaIN acts and the content loss compares.", group=MODEL
    )
    skip_layers: tuple[str, ...] = option(
        (), "Shallower layers, such as relu2_1,relu3_1, whose features take the style too and join "
        "the decoder: photos keep their details. The paper has none.", group=MODEL,
    )  # fmt: skip
    color_transfer: bool = option(
        False, "Give the photo the mean and covariance of the painting's colours before it is "
        "encoded, so that no hue of the photo is left. The model does so in use too; the paper "
        "does not.", group=MODEL,
    )  # fmt: skip
    style_weight: float = option(
        1e-2, "Weight of the style loss beside --content-weight; the style loss is the sum over "
        "--style-layers. The authors' released decoder has 1e-1.", low=0, group=LOSS,
    )  # fmt: skip
    style_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), "Layers of the style loss.", group=LOSS
    )
    style_reduction: str = option(
        "sum", "Reduction over channels: sum (the authors' code) or mean (the PyTorch ports, whose "
        "weight is 10); w_sum = w_mean / channels of the layer.", choices=("sum", "mean"),
        group=LOSS,
    )  # fmt: skip
    gram_weight: float = option(
        0.0, "Weight of a loss of Gram matrices at the same layers. They tell which features occur "
        "together, as in strokes; moments do not.", low=0, group=LOSS,
    )  # fmt: skip
    covariance_weight: float = option(
        0.0, "Weight of a loss of covariances at the same layers, relative to the style's own: "
        "Gram matrices without the means, in which every style counts alike.",
        low=0, group=LOSS,
    )  # fmt: skip
    checkerboard_weight: float = option(
        0.0, "Weight of the output's mean square at a period of two pixels, down and across: no "
        "weave on flat grounds.", low=0, group=LOSS,
    )  # fmt: skip
    identity_weight: float = option(
        0.0, "Above 0, the first pair of every batch has its own content as style and this "
        "weight on the pixels' squared error; speeds up short trainings (50 is good).",
        low=0, group=LOSS,
    )  # fmt: skip


@dataclass(frozen=True)
class TransferTraining(Training, LayerLosses, Encoder):
    """What trainings of a transfer network share: its shape, and its losses."""

    contract: tuple[int, ...] = option(
        (32, 64, 128), "Channels of the first three convolutions; the residual blocks have the "
        "last.", low=1, group=MODEL,
    )  # fmt: skip
    blocks: int = option(5, "Residual blocks.", low=0, group=MODEL)
    expand: tuple[int, ...] = option(
        (64, 32), "Channels of the two convolutions after upsampling.", low=1, group=MODEL
    )
    encoder: str = "vgg16"
    pooling: str = "avg"
    style_weight: float = option(
        DUMOULIN_STYLE, "Weight of the style loss beside --content-weight; the style loss is the "
        "weighted mean over --style-layers.", low=0, group=LOSS,
    )  # fmt: skip
    content_layers: tuple[str, ...] = ("relu3_3",)
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    weights_for: str = "raw"
    resize_size: int = 258
    max_images: int = option(
        0, "Use at most this many photos, drawn by the seed; 0: all.", low=0, group=DATA
    )
    learning_rate: float = 1e-3
    lr_decay: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        for name, length in (("contract", 3), ("expand", 2)):
            if len(getattr(self, name)) != length:
                raise UserError(
                    f"`{name}` takes {length} numbers. Received: {len(getattr(self, name))}"
                )


@dataclass(frozen=True)
class ConditionalConfig(TransferTraining):
    """What `train.py --method conditional` does; the defaults are those of Dumoulin et al. 2017.

    Source of the numbers: https://github.com/magenta/magenta, image_stylization.

    Example:
        >>> ConditionalConfig(style_path="wave.jpg").learning_rate
        0.001
    """

    presets: typing.ClassVar[dict[str, dict]] = {
        "dumoulin": {},
        "johnson": {
            "style_layers": tuple(f"{layer}:{weight!r}" for layer, weight in JOHNSON.items()),
            "style_weight": sum(JOHNSON.values()),
            "tv_weight": JOHNSON_TV, "style_size": 256, "batch_size": 4, "pooling": "max",
        },
    }  # fmt: skip

    method: str = option(
        "conditional", "What is trained: conditional, a table of styles; predicted, any style; "
        "adain (`train.py --help` has its flags).", choices=("conditional",), group=METHOD,
    )  # fmt: skip
    preset: str = option(
        "dumoulin", "Settings to start from; other flags override it; --help shows its values. "
        "johnson: one style, as in Johnson et al. 2016.", choices=("dumoulin", "johnson"),
        group=METHOD,
    )  # fmt: skip
    style_path: str = option(
        "", "Paintings, a style each, named as their files: folders, files or globs.",
        group=DATA, changeable=True, path="in",
    )  # fmt: skip
    val_content_path: str = option(
        "", "Held-out photos, whose losses with every style are logged.", group=DATA,
        changeable=True, path="in",
    )  # fmt: skip
    style_size: int = option(
        512, "Shrink paintings to this many pixels on their shorter side: it sets the size of the "
        "strokes; 0: keep their size.", low=0, group=DATA,
    )  # fmt: skip
    start_from: str = option(
        "", "A checkpoint folder of the same networks, or the name of a model that ships: a new "
        "run begins with its weights instead of random ones. A style that it does not have begins "
        "with the mean of those it has.", group=MODEL,
    )  # fmt: skip
    batch_size: int = option(16, "Photos per step, over all devices.", low=1, group=OPTIMIZER)
    max_iter: int = 40_000
    add_style: str = option(
        "", "A painting to add to the trained model in --checkpoint, or, in a new --checkpoint, to "
        "that of --start-from. Only its own scales and shifts are trained; no other style "
        "changes.", group=RUN,
    )  # fmt: skip

    @property
    def added(self) -> str:
        """The painting that is added to a trained model; empty where a model is trained."""
        return self.add_style


@dataclass(frozen=True)
class PredictedConfig(TransferTraining, HeldOutStyles):
    """What `train.py --method predicted` does; the defaults are those of Ghiasi et al. 2017.

    Source of the numbers: https://github.com/magenta/magenta, arbitrary_image_stylization.

    Example:
        >>> PredictedConfig().batch_size
        8
    """

    method: str = option(
        "predicted", "What is trained: predicted, any style; conditional, a table of styles; "
        "adain (`train.py --help` has its flags).", choices=("predicted",), group=METHOD,
    )  # fmt: skip
    preset: str = option(
        "ghiasi", "Settings to start from; other flags override it.", choices=("ghiasi",),
        group=METHOD,
    )  # fmt: skip
    style_path: str = option(
        "", "Paintings to train on, hundreds or more: folders (with their subfolders), files or "
        "globs.", group=DATA, changeable=True, path="in",
    )  # fmt: skip
    style_size: int = option(
        256, "Pixels of the square that is cut out of a painting.", low=16, group=DATA
    )
    plain_styles: bool = option(
        False, "Take paintings as they are. By default they are mirrored and their colours "
        "shifted, at random.", group=DATA,
    )  # fmt: skip
    backbone: str = option(
        "vgg16", "The network that reads the style: vgg16, the package's own encoder, which stays "
        "as it is; or mobilenet_v2, whose weights Keras downloads and which is trained.",
        choices=BACKBONES, group=MODEL,
    )  # fmt: skip
    plain_contraction: bool = option(
        False, "Leave the first three convolutions free of the style, without normalisation, as in "
        "the published mobile net (magenta).", group=MODEL,
    )  # fmt: skip
    backbone_weights: str = option(
        "", "Weights of mobilenet_v2: imagenet (from Keras' cache or site), or the path of an .h5 "
        "file; empty: imagenet.", group=MODEL,
    )  # fmt: skip
    style_weight: float = GHIASI_STYLE
    tv_weight: float = GHIASI_TV
    learning_rate: float = 1e-5
    batch_size: int = 8
    max_iter: int = 8_000_000

    def weight_files(self) -> dict[str, str]:
        """Return where the weights of each network come from: {network: source}."""
        return super().weight_files() | {"mobilenet_v2": self.backbone_weights}

    def __post_init__(self):
        super().__post_init__()
        if self.backbone_weights and self.backbone != "mobilenet_v2":
            raise UserError("`backbone_weights` are for --backbone mobilenet_v2.")
