"""Options that several configs share, as mixins: pictures, results, losses, encoder, machine."""

import dataclasses
import inspect
from dataclasses import dataclass

from tf_style.config import Options, option
from tf_style.errors import UserError, counted
from tf_style.mixtures import weighted

__all__ = [
    "GROUPS",
    "STYLE_LOSS_NAMES",
    "Blend",
    "Encoder",
    "EncoderWeights",
    "LayerLosses",
    "Losses",
    "Machine",
    "Pictures",
    "Results",
    "Tiles",
    "by_group",
    "check_count",
]

METHOD, MODEL, DATA, INPUT = "method", "model", "data", "pictures in"
LOSS, ENCODER, OPTIMIZER, LOOK = "losses", "encoder", "optimizer", "look"
RUN, MACHINE, MEMORY, OUTPUT = "run", "machine", "memory", "pictures out"
JUDGES, REQUESTS = "judges", "requests"

# The headings of `--help` and of the documentation, in their order.
GROUPS = (METHOD, DATA, INPUT, MODEL, LOOK, LOSS, ENCODER, JUDGES, OPTIMIZER, REQUESTS, RUN,
          MACHINE, MEMORY, OUTPUT)  # fmt: skip

PRECISIONS = ("auto", "float32", "bfloat16")
STYLE_LOSS_NAMES = ("gram", "polynomial", "linear", "moments", "gaussian")


def by_group(config_class: type) -> list[dataclasses.Field]:
    """Return a config's options as they are listed: by group, shared ones before its own.

    Args:
        config_class: The config.

    Example:
        >>> from tf_style.export.config import ExportConfig
        >>> [field.name for field in by_group(ExportConfig)][:2]
        ['checkpoint', 'export_format']
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    listed = [fields[name] for name in dict.fromkeys(_declared(config_class)) if name in fields]
    return sorted(listed, key=lambda field: GROUPS.index(field.metadata["group"]))


def _declared(cls):
    """Names in the order of the source: those of the bases as they are listed, then its own."""
    for base in cls.__bases__:
        yield from _declared(base)
    yield from inspect.get_annotations(cls)


@dataclass(frozen=True)
class Pictures(Options):
    """Which photos and paintings are read, and how large."""

    content_path: str = option(
        "images/inputs", "Photos: files, folders (with their subfolders) or globs.", group=INPUT,
        changeable=True, path="in",
    )  # fmt: skip
    style_path: str = option(
        "images/styles", "Paintings: files, folders (with their subfolders) or globs.",
        group=INPUT, changeable=True, path="in",
    )  # fmt: skip
    content_size: int = option(
        1024, "Shrink photos to this many pixels on their longer side; 0: keep their size.", low=0,
        group=INPUT,
    )  # fmt: skip
    background: str = option(
        "white", "Colour behind transparent pixels: a name or #rrggbb.", group=INPUT
    )
    max_pixels: int = option(
        178_956_970, "Refuse pictures of more pixels than this before decoding them.", low=1,
        group=INPUT, changeable=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Blend(Options):
    """How the paintings are blended, and whose colours the result has."""

    style_weights: tuple[float, ...] = option(
        (), "Blend all paintings into one style by these weights, one for each painting in the "
        "order of their names; their sum is scaled to 1.", low=0, group=LOOK,
    )  # fmt: skip
    preserve_color: str = option(
        "none", "Keep the photo's colours: luma (stylise only the brightness) or match (first give "
        "the painting the mean and covariance of the photo's colours).",
        choices=("none", "luma", "match"), group=LOOK,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.style_weights and not sum(self.style_weights) > 0:
            raise UserError(f"`style_weights` are all zero. Received: {self.style_weights}")


def check_count(style_weights: tuple[float, ...], styles: list) -> None:
    """Refuse weights of a blend that are not one for every painting.

    Args:
        style_weights: The weights.
        styles: The paintings.

    Raises:
        UserError: There are more or fewer.
    """
    if len(style_weights) != len(styles):
        raise UserError(
            f"`style_weights` needs one number for each of {counted(len(styles), 'style')}. "
            f"Received: {len(style_weights)}"
        )


@dataclass(frozen=True)
class Results(Options):
    """Where the results go, and what becomes of those that exist."""

    out_path: str = option(
        "images/output", "Folder for the results, or the file of a single one.", group=OUTPUT,
        changeable=True, path="out",
    )  # fmt: skip
    out_format: str = option(
        "jpg", "Format of the results.", choices=("jpg", "png", "webp"), group=OUTPUT
    )
    quality: int = option(
        95, "Quality of JPEG or WebP files.", low=1, high=100, group=OUTPUT, changeable=True
    )
    concat: bool = option(
        False, "Write content, style and result side by side, at the result's height.",
        group=OUTPUT, changeable=True,
    )  # fmt: skip
    overwrite: bool = option(False, "Replace results that exist.", group=OUTPUT, changeable=True)
    skip_existing: bool = option(
        False, "Leave results that exist and do the rest.", group=OUTPUT, changeable=True
    )

    def __post_init__(self):
        super().__post_init__()
        if self.overwrite and self.skip_existing:
            raise UserError("`overwrite` and `skip_existing` exclude each other.")


@dataclass(frozen=True)
class Losses(Options):
    """Weights of the losses: `content_weight * content + style_weight * style + tv_weight * tv`."""

    content_weight: float = option(1.0, "Weight of the content loss.", low=0, group=LOSS)
    style_weight: float = option(
        1e-2, "Weight of the style loss beside --content-weight.", low=0, group=LOSS
    )
    tv_weight: float = option(
        0.0, "Weight of the total variation, per mean squared difference.", low=0, group=LOSS
    )


@dataclass(frozen=True)
class LayerLosses(Losses):
    """Losses that are means over weighted layers, as in Gatys et al. and what followed."""

    content_layers: tuple[str, ...] = option(
        ("relu4_2",), "Layers of the content loss, with weights as in relu3_2:1,relu4_2:3, or all "
        "alike; their sum is scaled to 1.", group=LOSS,
    )  # fmt: skip
    style_layers: tuple[str, ...] = option(
        ("relu1_1:2", "relu2_1:2", "relu3_1:1", "relu4_1:.3", "relu5_1:.1"),
        "Layers of the style loss, with weights as for --content-layers. The deeper the layer, the "
        "larger the motifs that replace parts of the photo.", group=LOSS,
    )  # fmt: skip
    style_loss: tuple[str, ...] = option(
        ("gram",), "How styles are compared: gram, or the kernels linear, polynomial, gaussian or "
        "moments (batch-norm statistics); a mixture as in gram:2,moments:1.", group=LOSS,
    )  # fmt: skip
    weights_for: str = option(
        "normalised", "The VGG that the weights are meant for: normalised to mean activation 1, or "
        "raw, as most published weights are; those are converted for each layer.",
        choices=("normalised", "raw"), group=LOSS,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        for name in ("content_layers", "style_layers", "style_loss"):
            weighted(getattr(self, name), name)
        unknown = sorted(set(weighted(self.style_loss)) - set(STYLE_LOSS_NAMES))
        if unknown:
            known = ", ".join(STYLE_LOSS_NAMES)
            raise UserError(f"`style_loss` must be one of {known}. Received: {unknown[0]!r}")


@dataclass(frozen=True)
class EncoderWeights(Options):
    """Which network describes images, and where its weights are."""

    encoder: str = option(
        "vgg19", "The network that describes images. The package contains the weights of vgg16; "
        "Keras downloads those of vgg19.", choices=("vgg19", "vgg16"), group=ENCODER,
    )  # fmt: skip
    encoder_weights: str = option(
        "", "packaged (vgg16), imagenet (from Keras' cache or site), or the path of an .h5 or .npz "
        "file; empty: packaged for vgg16, imagenet for vgg19.", group=ENCODER,
    )  # fmt: skip

    def weight_files(self) -> dict[str, str]:
        """Return where the weights of each network come from: {network: source}."""
        return {self.encoder: self.encoder_weights}


@dataclass(frozen=True)
class Encoder(EncoderWeights):
    """The encoder in full: its weights, its borders and its pooling."""

    encoder_sha256: str = option(
        "", "SHA-256 that the encoder's weight file must have; empty: any.", group=ENCODER
    )
    padding: str = option(
        "reflect", "How convolutions pad the image's border.", choices=("reflect", "zero"),
        group=ENCODER,
    )  # fmt: skip
    pooling: str = option("max", "The encoder's pooling.", choices=("max", "avg"), group=ENCODER)


@dataclass(frozen=True)
class Machine(Options):
    """What computes, and how exactly."""

    precision: str = option(
        "auto", "Number format of the convolutions: float32, bfloat16, or auto (bfloat16 where the "
        "processor is fast at it). Weights and statistics are always float32.",
        choices=PRECISIONS, group=MACHINE,
    )  # fmt: skip
    device: str = option(
        "", "cpu, or a GPU as in gpu:0; empty: a GPU if there is one.", group=MACHINE,
        changeable=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Tiles(Options):
    """How much memory a picture may take."""

    max_memory: float = option(
        0.0, "GB that a picture may take above the program's own; one that needs more is computed "
        "in tiles; 0: what the machine has free.", low=0, group=MEMORY, changeable=True,
    )  # fmt: skip
    tile_size: int = option(
        0, "Side of the tiles in pixels, without their halo; 0: no tiles if the whole picture "
        "fits, else the largest that fit.", low=0, group=MEMORY,
    )  # fmt: skip
