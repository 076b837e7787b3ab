"""What a program is to make, told by names alone: to find fault with these takes no TensorFlow."""

import functools
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_style import checkpoint
from tf_style.config import check_style, mixture, names_among
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.export.config import BESIDE, SUFFIXES, ExportConfig
from tf_style.gatys.config import GatysConfig
from tf_style.images.animation import check_film
from tf_style.images.listing import list_images
from tf_style.images.outputs import (
    check_apart,
    check_count,
    outputs_of,
    pictures_of,
    short_names,
    written_by,
)
from tf_style.images.writing import check_place
from tf_style.nn.vgg_weights import find_weights
from tf_style.option_groups import StylizeConfig, TrainConfig

__all__ = [
    "CONFIG",
    "FINAL",
    "GRID",
    "PROGRESS",
    "STATE",
    "Painted",
    "Stylized",
    "check_evaluation",
    "check_export",
    "check_unused",
    "folders_of",
    "frames_of",
    "painted_of",
    "stylized_of",
]

# Pictures in a row of --style-grid.
GRID = 5

PROGRESS = ".progress"

# Of the folder of a picture: what says that it is not finished, and what a finished one leaves for
# more evaluations, without the optimiser's history, which is most of a state.
CONFIG, STATE, FINAL = "config.json", "state.npz", "final.npz"


class Stylized(NamedTuple):
    """Results of a trained model.

    Attributes:
        sources: Names of the styles, each with its picture's path, or with itself in a table.
        mixtures: Of every photo's results by their labels: mixtures of styles, several for a sheet.
        total: How many results there are in all.
        todo: The files of those that are to be made, by photo and label.
    """

    sources: dict[str, Path | str]
    mixtures: dict[str, list[dict[str, float]]]
    total: int
    todo: dict[tuple[Path, str], Path]


def stylized_of(config: StylizeConfig) -> Stylized:
    """What a run with a trained model is to make.

    Args:
        config: Of the run.

    Raises:
        UserError: A name that stands for nothing, or a result that cannot be written.
    """
    contents = pictures_of(config, "content_path")
    sources = _sources(config)
    mixtures = _mixtures(config, sources)
    return Stylized(sources, mixtures, *outputs_of(config, contents, list(mixtures)))


class Painted(NamedTuple):
    """Results of Gatys' method.

    Attributes:
        styles: Of every photo's results by their labels: the paintings.
        total: How many results there are in all.
        todo: The files of those that are to be made, by photo and label.
    """

    styles: dict[str, list[Path]]
    total: int
    todo: dict[tuple[Path, str], Path]


def painted_of(config: GatysConfig) -> Painted:
    """What a run of Gatys' method is to make.

    Args:
        config: Of the run.

    Raises:
        UserError: A name that stands for nothing, or a result that cannot be written.
    """
    contents, paintings = (pictures_of(config, name) for name in ("content_path", "style_path"))
    if config.style_weights:
        check_count(config.style_weights, paintings)
        styles = {"blend": paintings}
    else:
        styles = {name: [path] for path, name in short_names(paintings).items()}
    unfinished = functools.partial(_unfinished, config)
    total, todo = outputs_of(config, contents, list(styles), unfinished)
    for out in todo.values():
        if not (config.overwrite or config.resume):
            check_unused(Path(f"{out}{PROGRESS}"))
    if config.style_mask and len(paintings) > 1:
        raise UserError(f"`style_mask` is of one painting. Received: {len(paintings)} paintings")
    if config.animation:
        if total > 1:
            raise UserError(f"`animation` is one file, but {total} pictures would be made.")
        check_film(config.animation, overwrite=config.overwrite or config.resume)
    init = () if config.init in ("", "content", "noise", "style") else (config.init,)
    for path in (*config.content_mask, *config.style_mask, *init):
        list_images(path)
    _check_weights(config.encoder_weights, config.encoder)
    return Painted(styles, total, todo)


def frames_of(folder: Path) -> list[Path]:
    """The intermediate pictures of a result of Gatys' method, in their order."""
    frames = [file for file in folder.glob("*.jpg") if re.fullmatch(r"\d{5,}", file.stem)]
    return sorted(frames, key=lambda file: int(file.stem))


def check_unused(folder: Path) -> None:
    """Refuse to mix a result's intermediate pictures with those of another run."""
    if frames_of(folder):
        raise UserError(
            f"`{folder}` has the intermediate pictures of another run: give another --out-path, "
            "move it away, or replace them by --overwrite."
        )


def _unfinished(config, out):
    """Whether a result was begun and not finished, or is to be gone on with by more evaluations."""
    folder = Path(f"{out}{PROGRESS}")
    if (folder / STATE).exists():
        return True
    if not config.resume or not (folder / FINAL).exists():
        return False
    try:
        return json.loads((folder / CONFIG).read_text())["max_evaluations"] < config.max_evaluations
    except (OSError, ValueError, LookupError, TypeError):
        return False


def folders_of(config: TrainConfig) -> dict[str, str]:
    """The pictures that a training reads: `content`, `style`, and those that are held out.

    Args:
        config: Of the training, by any method.

    Raises:
        UserError: A name that stands for nothing.
    """
    style = getattr(config, "add_style", "") or config.style_path
    folders = {"content": config.content_path, "style": style}
    for name, path in folders.items():
        if not path:
            raise UserError(f"`{name}_path` is needed: a folder of pictures to train on.")
    for name in ("val_content_path", "val_style_path"):
        if getattr(config, name, ""):
            folders[name.removesuffix("_path")] = getattr(config, name)
    films = filter(None, [config.progress_gif])
    check_apart(config, Path(config.checkpoint, "preview.jpg"), *films)
    for path in folders.values():
        list_images(path, written_by(config))
    _check_weights(config.encoder_weights, config.encoder)
    # A run that is resumed has what it began with.
    if not Path(config.checkpoint, "config.json").exists():
        _check_weights(getattr(config, "backbone_weights", ""), "mobilenet_v2")
        if config.start_from:
            checkpoint.directory_of(config.start_from)
    return folders


def check_evaluation(config: EvaluateConfig) -> None:
    """Refuse an evaluation of pictures or models that are not there.

    Args:
        config: Of the evaluation.

    Raises:
        UserError: It names what is missing.
    """
    for name in ("content_path", "style_path"):
        if not getattr(config, name):
            raise UserError(f"`{name}` is needed: a folder of pictures.")
        pictures_of(config, name)
    for model in config.checkpoint:
        if not (Path(model) / "saved_model.pb").exists():
            checkpoint.directory_of(model)
    _check_weights(config.encoder_weights, config.encoder)


def check_export(config: ExportConfig) -> None:
    """Refuse an export of a model that is not there, or to where something else is.

    Args:
        config: Of the export.

    Raises:
        UserError: It says which.
    """
    if not config.export_path:
        raise UserError("`export_path` is needed: the folder of the model's versions, or the file.")
    checkpoint.read_config(checkpoint.directory_of(config.checkpoint))
    if suffix := SUFFIXES[config.export_format]:
        for file in (suffix, *BESIDE.get(config.export_format, ())):
            check_place(Path(config.export_path).with_suffix(file), config.overwrite)
    else:
        check_place(Path(config.export_path) / "version", overwrite=True)


def _check_weights(source, network):
    """A file of weights must be there; what Keras has or downloads is seen later."""
    if source not in ("", "imagenet"):
        find_weights(source, network)


def _sources(config):
    """Names of the styles there are, each with its picture's path, or with itself in a table."""
    directory = checkpoint.directory_of(config.checkpoint)
    names = checkpoint.read_config(directory)["model"].get("styles")
    if names:
        sources = {name: name for name in names}
        if config.preserve_color == "match":
            raise UserError(
                "`preserve_color` match changes the painting, but the model has its styles by "
                "name; use luma."
            )
        if names[1:] and not (config.style or config.style_grid or config.all_styles):
            raise UserError(
                f"The model {config.checkpoint} has styles by name: give --style or --all-styles; "
                f"it has {', '.join(names)}."
            )
    else:
        try:
            paths = pictures_of(config, "style_path")
        except UserError as error:
            files = [name for name in config.style if Path(name).is_file()]
            if not files:
                raise
            raise UserError(
                f"`style` takes names of paintings: give a file by --style-path {files[0]}."
            ) from error
        sources = {name: path for path, name in short_names(paths).items()}
    if config.random_styles and config.random_styles < len(sources):
        chosen = np.random.default_rng(config.seed).choice(
            len(sources), config.random_styles, replace=False
        )
        sources = {list(sources)[i]: list(sources.values())[i] for i in sorted(chosen)}
    return sources


def _mixtures(config, sources):
    """The pictures to make of each photo: {label: mixtures of styles}, several for a sheet."""
    blend = mixture(config.style, tuple(sources)) if config.style else {}
    corners = names_among(config.style_grid, tuple(sources))
    for name in (*blend, *corners):
        check_style(name, tuple(sources))
    if len(set(corners)) not in (0, 2, 4) or len(set(corners)) < len(corners):
        raise UserError(
            f"`style_grid` takes the names of two or four styles. Received: {','.join(corners)}"
        )
    if blend:
        label = "_".join(
            name if len(blend) == 1 else f"{name}{100 * share:.0f}" for name, share in blend.items()
        )
        return {label: [blend]}
    if corners:
        return {"_".join((*corners, "grid")): _corners(corners)}
    if config.all_styles:
        return {"all": [{name: 1.0} for name in sources]}
    if config.style_weights:
        check_count(config.style_weights, list(sources))
        total = sum(config.style_weights)
        shares = (weight / total for weight in config.style_weights)
        return {"blend": [dict(zip(sources, shares, strict=True))]}
    return {name: [{name: 1.0}] for name in sources}


def _corners(names):
    """Mixtures from one style to another, or of a square with a style in each corner, by rows."""
    steps = [k / (GRID - 1) for k in range(GRID)]
    if len(names) == 2:
        return [dict(zip(names, (1 - x, x), strict=True)) for x in steps]
    return [
        dict(zip(names, ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y), strict=True))
        for y in steps
        for x in steps
    ]
