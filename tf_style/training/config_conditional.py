"""Every option of training one network for many styles: default, help, source of its number."""

import typing
from dataclasses import dataclass

from tf_style.config import Options, option, same
from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig, check_losses
from tf_style.option_groups import DATA, LOSS, MODEL, OPTIMIZER, RUN, TrainConfig, check_training

__all__ = ["BACKBONES", "ConditionalConfig", "PredictedConfig"]

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
class ConditionalConfig(Options):
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

    content_path: str = same(TrainConfig, "content_path")
    style_path: str = option(
        "", "Paintings, a style each, named as their files: a folder, a file or a glob.",
        group=DATA,
    )  # fmt: skip
    val_content_path: str = option(
        "", "Held-out photos, whose losses with every style are logged.", group=DATA
    )
    resize_size: int = same(TrainConfig, "resize_size", default=258)
    crop_size: int = same(TrainConfig, "crop_size")
    style_size: int = option(
        512, "A painting's shorter side is shrunk to this many pixels: how large its strokes "
        "are; 0: as it is.", low=0, group=DATA,
    )  # fmt: skip
    max_images: int = same(TrainConfig, "max_images", help="Use at most this many photos, drawn by "
                           "the seed; 0: all.")  # fmt: skip
    allow_changed_data: bool = same(TrainConfig, "allow_changed_data")
    skip_missing: bool = same(TrainConfig, "skip_missing")

    method: str = option(
        "conditional", "What is trained: conditional, a table of styles; predicted, any style; "
        "adain (`train.py --help` has its flags).", choices=("conditional",), group=MODEL,
    )  # fmt: skip
    preset: str = option(
        "dumoulin", "Settings to start from; other flags win over it; with --help they are shown. "
        "johnson: one style, as in Johnson et al. 2016.", choices=("dumoulin", "johnson"),
        group=MODEL,
    )  # fmt: skip
    contract: tuple[int, ...] = option(
        (32, 64, 128), "Channels of the first three convolutions; the residual blocks have the "
        "last.", low=1, group=MODEL,
    )  # fmt: skip
    blocks: int = option(5, "Residual blocks.", low=0, group=MODEL)
    expand: tuple[int, ...] = option(
        (64, 32), "Channels of the two convolutions after upsampling.", low=1, group=MODEL
    )
    grain: float = same(TrainConfig, "grain")
    encoder: str = same(TrainConfig, "encoder", default="vgg16")
    encoder_weights: str = same(TrainConfig, "encoder_weights")
    encoder_sha256: str = same(TrainConfig, "encoder_sha256")
    padding: str = same(TrainConfig, "padding")
    pooling: str = same(TrainConfig, "pooling", default="avg")

    start_from: str = same(
        TrainConfig, "start_from", help="A checkpoint folder of the same networks, or the name of "
        "a model that ships: a new run begins with its weights instead of random ones; of styles "
        "that it has not, with the mean of those it has.",
    )  # fmt: skip

    content_weight: float = same(TrainConfig, "content_weight")
    style_weight: float = option(DUMOULIN_STYLE, "Weight of the style loss.", low=0, group=LOSS)
    tv_weight: float = same(TrainConfig, "tv_weight")
    content_layers: tuple[str, ...] = same(
        GatysConfig, "content_layers", default=("relu3_3",), group=LOSS
    )
    style_layers: tuple[str, ...] = same(
        GatysConfig, "style_layers", default=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        group=LOSS,
    )  # fmt: skip
    style_loss: tuple[str, ...] = same(GatysConfig, "style_loss", group=LOSS)
    weights_for: str = same(GatysConfig, "weights_for", default="raw", group=LOSS)

    learning_rate: float = same(TrainConfig, "learning_rate", default=1e-3)
    lr_decay: float = same(TrainConfig, "lr_decay", default=0.0)
    lr_schedule: str = same(TrainConfig, "lr_schedule")
    warmup_iter: int = same(TrainConfig, "warmup_iter")
    ema_momentum: float = same(TrainConfig, "ema_momentum")
    batch_size: int = option(16, "Photos per step, over all devices.", low=1, group=OPTIMIZER)
    max_iter: int = same(TrainConfig, "max_iter", default=40_000)
    precision: str = same(TrainConfig, "precision")

    checkpoint: str = same(TrainConfig, "checkpoint")
    add_style: str = option(
        "", "A painting to add to the trained model in --checkpoint, or in a new --checkpoint to "
        "that of --start-from: only its own scales and shifts are trained, no other style "
        "changes.", group=RUN,
    )  # fmt: skip
    overwrite: bool = same(TrainConfig, "overwrite")
    save_iter: int = same(TrainConfig, "save_iter")
    log_iter: int = same(TrainConfig, "log_iter")
    preview_iter: int = same(TrainConfig, "preview_iter")
    progress_gif: str = same(TrainConfig, "progress_gif")
    seed: int = same(TrainConfig, "seed")

    device: str = same(TrainConfig, "device")
    deterministic: bool = same(TrainConfig, "deterministic")
    steps_per_call: int = same(TrainConfig, "steps_per_call")
    profile: bool = same(TrainConfig, "profile")

    def __post_init__(self):
        super().__post_init__()
        check_training(self)
        check_losses(self)
        for name, length in (("contract", 3), ("expand", 2)):
            if len(getattr(self, name)) != length:
                raise UserError(
                    f"`{name}` takes {length} numbers. Received: {len(getattr(self, name))}"
                )


@dataclass(frozen=True)
class PredictedConfig(ConditionalConfig):
    """What `train.py --method predicted` does; the defaults are those of Ghiasi et al. 2017.

    Source of the numbers: https://github.com/magenta/magenta, arbitrary_image_stylization.

    Example:
        >>> PredictedConfig().batch_size
        8
    """

    presets: typing.ClassVar[dict[str, dict]] = {}

    style_path: str = option(
        "", "Paintings to train on, hundreds or more: a folder (walked recursively), a file or a "
        "glob.", group=DATA,
    )  # fmt: skip
    val_style_path: str = same(TrainConfig, "val_style_path")
    style_size: int = option(
        256, "Pixels of the square that is cut out of a painting.", low=16, group=DATA
    )
    plain_styles: bool = option(
        False, "Take paintings as they are; else they are mirrored and their colours moved, by "
        "chance.", group=DATA,
    )  # fmt: skip

    method: str = option(
        "predicted", "What is trained: predicted, any style; conditional, a table of styles; "
        "adain (`train.py --help` has its flags).", choices=("predicted",), group=MODEL,
    )  # fmt: skip
    preset: str = option(
        "ghiasi", "Settings to start from; other flags win over it.", choices=("ghiasi",),
        group=MODEL,
    )  # fmt: skip
    backbone: str = option(
        "vgg16", "What the style is read by: vgg16, the package's own encoder, which stays as it "
        "is; or mobilenet_v2, whose weights are downloaded by Keras and trained.",
        choices=BACKBONES, group=MODEL,
    )  # fmt: skip
    backbone_weights: str = option(
        "", "mobilenet_v2's: imagenet (from Keras' cache or site), or the path of an .h5 file; "
        "empty: imagenet.", group=MODEL,
    )  # fmt: skip

    start_from: str = same(TrainConfig, "start_from")

    style_weight: float = same(ConditionalConfig, "style_weight", default=GHIASI_STYLE)
    tv_weight: float = same(ConditionalConfig, "tv_weight", default=GHIASI_TV)
    learning_rate: float = same(ConditionalConfig, "learning_rate", default=1e-5)
    batch_size: int = option(8, "Pairs per step, over all devices.", low=1, group=OPTIMIZER)
    max_iter: int = same(ConditionalConfig, "max_iter", default=8_000_000)

    def __post_init__(self):
        super().__post_init__()
        if self.backbone_weights and self.backbone != "mobilenet_v2":
            raise UserError("`backbone_weights` are for --backbone mobilenet_v2.")
        if self.add_style:
            raise UserError("`add_style` is for --method conditional: predicted takes any style.")
        if bool(self.val_content_path) != bool(self.val_style_path):
            raise UserError("`val_content_path` and `val_style_path` are given together or not.")
