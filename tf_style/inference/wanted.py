"""What a run with a trained model is to make, told by names alone, without TensorFlow."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.images.outputs import outputs_of, pictures_of, short_names
from tf_style.inference.config import StylizeConfig
from tf_style.mixtures import check_style, mixture, names_among
from tf_style.option_groups import check_count

__all__ = ["GRID", "Mixture", "Wanted", "wanted_of"]

# Pictures in a row of --style-grid.
GRID = 5

# Weights of styles by their names; they sum to 1.
Mixture = dict[str, float]


class Wanted(NamedTuple):
    """The results that a run with a trained model is to make.

    Attributes:
        sources: Names of the styles, each with its picture's path, or with itself in a table.
        mixtures: The mixtures of styles of every photo's results, by their labels; several for a
            sheet.
        total: How many results there are in all.
        todo: The files of those that are to be made, by photo and label.
    """

    sources: dict[str, Path | str]
    mixtures: dict[str, list[Mixture]]
    total: int
    todo: dict[tuple[Path, str], Path]


def wanted_of(config: StylizeConfig) -> Wanted:
    """Return what a run with a trained model is to make.

    Args:
        config: All options of the run.

    Raises:
        UserError: A name that stands for nothing, or a result that cannot be written.
    """
    contents = pictures_of(config, "content_path")
    sources, style = _sources(config)
    mixtures = _mixtures(config, sources, style)
    return Wanted(sources, mixtures, *outputs_of(config, contents, list(mixtures)))


def _sources(config):
    """The styles there are, each with its picture's path, or with itself in a table; and --style,
    with names for its files.
    """
    directory = checkpoint.directory_of(config.checkpoint)
    names = checkpoint.read_config(directory)["model"].get("styles")
    if names:
        sources, style = {name: name for name in names}, config.style
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
        files = dict.fromkeys(Path(found) for found in map(_file_of, config.style) if found)
        # Without files and names there may be a folder of the default's name.
        default = config.style_path == type(config).style_path
        paths = [] if files and default else pictures_of(config, "style_path")
        labels = short_names(list(dict.fromkeys([*paths, *files])))
        sources = {name: path for path, name in labels.items()}
        style = tuple(_named(item, labels, sources) for item in config.style)
    if config.random_styles and config.random_styles < len(sources):
        chosen = np.random.default_rng(config.seed).choice(
            len(sources), config.random_styles, replace=False
        )
        sources = {list(sources)[i]: list(sources.values())[i] for i in sorted(chosen)}
    return sources, style


def _file_of(item):
    """The picture file that `file` or `file:weight` names, if there is one."""
    return next((x for x in (item, item.rpartition(":")[0]) if x and Path(x).is_file()), "")


def _named(item, labels, sources):
    """`file:weight` as `name:weight`; a name wins over a file."""
    if item in sources or not (file := _file_of(item)):
        return item
    return labels[Path(file)] + item[len(file) :]


def _mixtures(config, sources, style):
    """The pictures to make of each photo: {label: mixtures of styles}, several for a sheet."""
    blend = mixture(style, tuple(sources)) if style else {}
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
