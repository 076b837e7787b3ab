"""Every option of training and stylising with a network: default, help, source of its number."""

from dataclasses import dataclass

from tf_style.config import Options, option
from tf_style.errors import UserError

__all__ = ["StylizeConfig", "TrainConfig"]

DATA, MODEL, LOSS, OPTIMIZER, RUN = "data", "model", "loss", "optimizer", "run"
MACHINE = "machine"
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig(Options):
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
    augment_styles: bool = option(
        False, "Mirror the paintings and move their colours, by chance: few become many.",
        group=DATA,
    )  # fmt: skip
    allow_changed_data: bool = option(
        False, "Resume although the folders no longer hold the same files.", group=DATA
    )
    skip_missing: bool = option(
        False, "Leave out pictures that are deleted or changed while they are trained on, and "
        "resume without them.", group=DATA,
    )  # fmt: skip

    method: str = option(
        "adain", "What is trained: adain, any style by a decoder; conditional, a table of styles; "
        "predicted, any style by a predictor (`train.py --method conditional --help` has its "
        "flags).", choices=("adain",), group=MODEL,
    )  # fmt: skip
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
    skip_layers: tuple[str, ...] = option(
        (), "Shallower layers, such as relu2_1,relu3_1, whose features take the style too and join "
        "the decoder: photos keep their details. The paper has none.", group=MODEL,
    )  # fmt: skip
    grain: float = option(
        0.0, "Standard deviation of a noise on the photos, of the range of 1, from which strokes "
        "grow in flat areas (0.03 is good); the model has it in use too. The paper has none.",
        low=0, high=1, group=MODEL,
    )  # fmt: skip
    color_transfer: bool = option(
        False, "Bring the photo to the mean and covariance of the painting's colours before it is "
        "encoded: no hue of the photo is left; the model does so in use too. The paper does not.",
        group=MODEL,
    )  # fmt: skip

    start_from: str = option(
        "", "A checkpoint folder of the same networks, or the name of a model that ships: a new "
        "run begins with its weights instead of random ones.", group=MODEL,
    )  # fmt: skip

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
    gram_weight: float = option(
        0.0, "Weight of the Gram matrices' loss besides, at the same layers: features that go "
        "together, as in strokes, which moments do not tell.", low=0, group=LOSS,
    )  # fmt: skip
    covariance_weight: float = option(
        0.0, "Weight of the covariances' loss besides, relative to the style's own, at the same "
        "layers: as Gram matrices, without the means, and every style counts alike.",
        low=0, group=LOSS,
    )  # fmt: skip
    tv_weight: float = option(
        0.0, "Weight of the total variation, per mean squared difference.", low=0, group=LOSS
    )
    checkerboard_weight: float = option(
        0.0, "Weight of what the output has at a period of two pixels, down and across, mean "
        "square: no weave on flat grounds.", low=0, group=LOSS,
    )  # fmt: skip
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
    ema_momentum: float = option(
        0.0, "Above 0, what is saved for use, previewed and tried on held-out pairs is the moving "
        "average of the weights, of which each step keeps this much (0.999 is good).",
        low=0, high=0.999999, group=OPTIMIZER,
    )  # fmt: skip
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
    progress_gif: str = option(
        "", "Path of a .gif of how the first pair of the previews came out at each of them.",
        group=RUN,
    )  # fmt: skip
    # TensorFlow's index_shuffle takes 32 bits of it.
    seed: int = option(
        0, "Of the initial weights, the order and the crops.", low=0, high=2**32 - 1, group=RUN
    )

    device: str = option(
        "", "cpu, gpu, or a list such as gpu:0,gpu:1; empty: all GPUs, or the CPU where there is "
        "none. With TF_CONFIG, of this worker.", group=MACHINE,
    )  # fmt: skip
    deterministic: bool = option(
        False, "Only operations that give the same bits each time, which on a GPU are slower.",
        group=MACHINE,
    )  # fmt: skip
    steps_per_call: int = option(
        1, "Steps that TensorFlow does without asking Python; more may help a GPU that small "
        "steps leave idle. Ctrl-C waits for them.", low=1, group=MACHINE,
    )  # fmt: skip
    profile: bool = option(
        False, "Write a profile of the second step, for TensorBoard, into the run's logs.",
        group=MACHINE,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        check_training(self)
        if bool(self.val_content_path) != bool(self.val_style_path):
            raise UserError("`val_content_path` and `val_style_path` are given together or not.")


INPUT, LOOK, MEMORY, OUTPUT = "pictures in", "look", "memory", "pictures out"


@dataclass(frozen=True)
class StylizeConfig(Options):
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
        "adain",
        "A checkpoint folder, or the name of a model that ships: adain, paintings, "
        "magenta, magenta26.",
        group=INPUT,
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
    style: tuple[str, ...] = option(
        (), "A style by name, or a mixture as in starry:0.6,wave:0.4. Models with a table have "
        "names; else they are those of the paintings' files.", group=INPUT,
    )  # fmt: skip
    style_grid: tuple[str, ...] = option(
        (), "Names of two styles: a row from one to the other; of four: a square of mixtures, a "
        "style in each corner.", group=INPUT,
    )  # fmt: skip
    all_styles: bool = option(False, "One contact sheet of all styles for each photo.", group=INPUT)
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
    device: str = option("", "cpu, or a GPU as in gpu:0; empty: a GPU if there is one.", group=LOOK)

    max_memory: float = option(
        0.0, "GB that a picture may take above the program's own; one that would take more is done "
        "in tiles, with a scratch file if need be; 0: what the machine has free.", low=0,
        group=MEMORY,
    )  # fmt: skip
    tile_size: int = option(
        0, "Side in pixels of the tiles, without their halo; 0: no tiles if the picture fits as a "
        "whole, else the largest that fit.", low=0, group=MEMORY,
    )  # fmt: skip
    tile_statistics: str = option(
        "exact", "Of a transfer network's normalisations, in tiles: exact, as of the whole "
        "picture; or thumbnail, of a copy of 1024 px: quicker and without a scratch file, but "
        "another picture (PSNR 21 to 30 dB, of detailed photos of twice that size).",
        choices=("exact", "thumbnail"), group=MEMORY,
    )  # fmt: skip

    out_path: str = option(
        "images/output", "Folder for the results, or the file of a single one.", group=OUTPUT
    )
    out_format: str = option(
        "jpg", "Format of the results.", choices=("jpg", "png", "webp"), group=OUTPUT
    )
    quality: int = option(95, "JPEG's or WebP's quality.", low=1, high=100, group=OUTPUT)
    concat: bool = option(
        False, "Write content, style and result side by side, at the result's height.",
        group=OUTPUT,
    )  # fmt: skip
    overwrite: bool = option(False, "Replace results that exist.", group=OUTPUT)
    skip_existing: bool = option(False, "Leave results that exist and do the rest.", group=OUTPUT)

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and self.skip_existing:
            raise UserError("`overwrite` and `skip_existing` exclude each other.")
        chosen = ("style", "style_grid", "all_styles", "style_weights")
        given = [name for name in chosen if getattr(self, name)]
        if len(given) > 1:
            raise UserError(f"`{given[0]}` and `{given[1]}` exclude each other.")
        check_style_weights(self.style_weights)


def check_training(config: Options) -> None:
    """What every training asks of its options.

    Raises:
        UserError: A crop larger than the picture, or an animation that is no .gif.

    Example:
        >>> check_training(TrainConfig())
    """
    if config.crop_size > config.resize_size:
        raise UserError(
            f"`crop_size` must be at most `resize_size`. Received: crop_size={config.crop_size}, "
            f"resize_size={config.resize_size}"
        )
    if config.progress_gif and not config.progress_gif.lower().endswith(".gif"):
        raise UserError(f"`progress_gif` ends in .gif. Received: {config.progress_gif}")
    if config.progress_gif and not config.preview_iter:
        raise UserError("`progress_gif` is made of the previews of `preview_iter`, which is 0.")


def check_style_weights(style_weights: tuple[float, ...]) -> None:
    """Weights of a blend, if there are any, must not all be zero.

    Raises:
        UserError: They are.

    Example:
        >>> check_style_weights((0.0, 2.0))
    """
    if style_weights and not sum(style_weights) > 0:
        raise UserError(f"`style_weights` are all zero. Received: {style_weights}")
