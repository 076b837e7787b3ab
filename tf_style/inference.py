"""Stylising with a trained model: arrays in Python, folders on disk."""

import difflib
import functools
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_style import adain, checkpoint, conditional
from tf_style.config import StylizeConfig
from tf_style.errors import NonFiniteError, UserError
from tf_style.graph_images import MIN_SIDE, SLACK
from tf_style.images import probe, read_image, write_image
from tf_style.layout import (
    center_crop,
    concat,
    contact_sheet,
    fit_longer,
    fit_shorter,
    grid,
    scaled_size,
)
from tf_style.memory import check_memory
from tf_style.ops import match_color, preserve_luma
from tf_style.options import weighted
from tf_style.outputs import check_count, outputs_of, pictures_of, short_names
from tf_style.precision import compute_dtype

__all__ = ["Done", "StyleTransfer", "load", "stylize_folder"]

# Method -> what builds its stylizer and names its variables.
MODULES = {"adain": adain, "conditional": conditional, "predicted": conditional}

PRETRAINED = Path(__file__).parent / "pretrained"

# Pictures in a row of --style-grid.
GRID = 5


def load(checkpoint_or_name: str | Path = "adain", precision: str = "auto") -> "StyleTransfer":
    """A trained model, ready to stylise.

    Args:
        checkpoint_or_name: A checkpoint folder, or the name of a model that ships with the
            package. A folder of that name wins.
        precision: `auto`, `float32` or `bfloat16`, of the convolutions.

    Raises:
        UserError: No such folder or name, or the folder is no whole checkpoint.

    Example:
        >>> stylize = load("adain")
        >>> photo, painting = np.zeros((40, 60, 3), "float32"), np.ones((50, 50, 3), "float32")
        >>> stylize(photo, painting, alpha=0.5).shape
        (40, 60, 3)
    """
    directory = _directory(checkpoint_or_name)
    config = checkpoint.read_config(directory)
    module = MODULES.get(config["method"])
    if module is None:
        raise UserError(f"{directory} is of the unknown method {config['method']!r}.")
    model, dtype = config["model"], compute_dtype(precision)
    try:
        stylizer = module.build_stylizer(model, dtype)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise UserError(f"The model of {directory} cannot be built: {fault}.") from error
    variables = module.stored_variables(stylizer, model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    arrays = checkpoint.read_stylizer(directory, shapes)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return StyleTransfer(stylizer)


class StyleTransfer:
    """A stylizer as a function of pictures: `stylize(content, style, alpha=1.0) -> image`.

    A style is a picture; of a model with a table of styles it is a name, or names with weights.

    Args:
        stylizer: A model with the parts `encode_style` and `transfer`.

    Attributes:
        styles: Names of the table's styles; empty where any picture is a style.

    Example:
        >>> stylize = StyleTransfer(adain.AdaINStylizer("vgg16"))
        >>> statistics = stylize.encode_style(np.ones((32, 32, 3), "float32"))
        >>> statistics.shape
        (2, 512)
        >>> names = conditional.ConditionalStylizer(("wave", "night"), (8, 8, 8), 1, (8, 8))
        >>> stylize = StyleTransfer(names)
        >>> stylize(np.ones((32, 48, 3), "float32"), "wave:0.6,night:0.4").shape
        (32, 48, 3)
    """

    def __init__(self, stylizer: keras.Model):
        self.stylizer = stylizer
        self.styles = tuple(getattr(stylizer, "styles", ()))
        self.takes_alpha = "alpha" in stylizer.transfer.input
        image = tf.TensorSpec((None, None, None, 3), name="image")
        style = tf.TensorSpec(stylizer.encode_style.input_shape, name="style")
        statistics = tf.TensorSpec(stylizer.encode_style.output_shape)

        # One trace for all sizes: with Keras' `predict` memory grows with each new size
        # (https://github.com/tensorflow/tensorflow/issues/38561).
        @tf.function(input_signature=[style])
        def encode_style(style):
            return stylizer.encode_style(style)

        @tf.function(input_signature=[image, statistics, tf.TensorSpec((None,))])
        def transfer(content, statistics, alpha):
            given = {"content": content, "statistics": statistics, "alpha": alpha}
            return stylizer.transfer({name: given[name] for name in stylizer.transfer.input})

        self._encode_style = encode_style
        self._transfer = transfer

    def __call__(
        self,
        content: np.ndarray | str | Path,
        style: np.ndarray | str | Path | list,
        alpha: float = 1.0,
        style_weights: list[float] | None = None,
    ) -> np.ndarray:
        """Stylise one picture.

        Args:
            content: Image `(height, width, 3)`, float in [0, 1] or uint8, or a file's path; both
                sides 16 px or more.
            style: Likewise, or a name as in `encode_style`; a list of them is blended.
            alpha: Strength in [0, 1].
            style_weights: One number, 0 or more, for each style of a list; None for equal ones.

        Returns:
            Image of the content's size, float32 in [0, 1].

        Raises:
            UserError: A picture too small or unreadable, an unknown style, or numbers out of range.
            NonFiniteError: The network gave NaN, infinity or one flat colour.
        """
        styles = style if isinstance(style, list | tuple) else [style]
        weights = np.ones(len(styles)) if style_weights is None else np.asarray(style_weights)
        # Written so that NaN fails too.
        usable = (weights >= 0).all() and 0 < weights.sum() < np.inf
        if weights.shape != (len(styles),) or not usable:
            raise UserError(
                f"`style_weights` must be one number, 0 or more, for each of the {len(styles)} "
                f"styles, and not all 0. Received: {style_weights}"
            )
        statistics = np.stack([self.encode_style(one) for one in styles])
        return self.transfer(content, adain.blend(statistics, weights), alpha)

    def encode_style(self, style: np.ndarray | str | Path) -> np.ndarray:
        """A style's statistics, to be used for many photos.

        Args:
            style: A picture or its path; of a table, `name` or `name:weight,name:weight`.

        Returns:
            What `transfer` takes: of AdaIN `(2, channels)`.
        """
        if self.styles:
            mixture = weighted(tuple(part.strip() for part in str(style).split(",")), "style")
            for name in mixture:
                check_style(name, self.styles)
            style = np.float32([mixture.get(name, 0.0) for name in self.styles])
        else:
            style = _image(style, "style")
        return self._encode_style(style[None]).numpy()[0]

    def transfer(
        self, content: np.ndarray | str | Path, statistics: np.ndarray, alpha: float = 1.0
    ) -> np.ndarray:
        """Stylise one picture with statistics from `encode_style`."""
        if not 0 <= alpha <= 1:
            raise UserError(f"`alpha` must be between 0 and 1. Received: alpha={alpha}")
        if alpha < 1 and self.styles:
            raise UserError(
                "The styles of a table have no strength: `alpha` must be 1; mix in another style. "
                f"Received: alpha={alpha}"
            )
        content = _image(content, "content")
        if alpha < 1 and not self.takes_alpha:
            # The photo as its own style is what weakens another.
            statistics = adain.blend(
                np.stack([statistics, self.encode_style(content)]), [alpha, 1 - alpha]
            )
        stylized = self._transfer(content[None], statistics[None], np.float32([alpha])).numpy()[0]
        _check_result(stylized, content)
        return stylized


def check_style(name: str, known: tuple[str, ...]) -> None:
    """Refuse the name of a style that is not there.

    Raises:
        UserError: It lists the known ones.
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise UserError(f"There is no style {name!r}; {hint} are {', '.join(known)}.")


@dataclass(frozen=True)
class Done:
    """One result of `stylize_folder`, or why there is none.

    Attributes:
        path: The file written, or the file that could not be used.
        done: Results so far, failures included.
        total: Results in all.
        seconds: That this one took.
        fault: What went wrong, or None.
        note: One sentence on the whole run; then there is no result.
    """

    path: Path | None
    done: int
    total: int
    seconds: float = 0.0
    fault: UserError | NonFiniteError | None = None
    note: str = ""


def stylize_folder(config: StylizeConfig) -> Iterator[Done]:
    """Stylise every photo with every painting, into a folder.

    Names, formats, sizes and memory are checked before any work. A picture that cannot be read is
    named and left out, the rest is done. A style is encoded once, when it is first needed.

    Args:
        config: All of it.

    Yields:
        A record for each result and each failure.

    Raises:
        UserError: Something the user can mend, before any work.
    """
    contents = pictures_of(config, "content_path")
    sources = _sources(config)
    wanted = _wanted(config, sources)
    total, todo = outputs_of(config, contents, list(wanted))
    skipped = total - len(todo)
    if skipped:
        yield Done(None, 0, total, note=f"{skipped} of {total} results exist: skipped")
    if not todo:
        return

    stylize = load(config.checkpoint, config.precision)
    paths = [source for source in sources.values() if isinstance(source, Path)]
    if estimate := _check_memory(config, [content for content, _ in todo], paths):
        yield Done(None, 0, total, note=estimate)
    photo = functools.lru_cache(1)(functools.partial(_read_content, config))

    @functools.cache
    def encoded(name):
        source = sources[name]
        return stylize.encode_style(_read_style(config, source) if paths else source)

    for sheet in wanted.values():
        names = dict.fromkeys(name for mixture in sheet for name in mixture)
        if len(names) == 1:
            continue
        try:
            for name in names:
                encoded(name)
        except UserError as error:
            raise UserError(f"A blend needs all its styles: {error}") from error
        if len(sheet) == 1:
            shares = (f"{w:.0%} {Path(sources[name]).name}" for name, w in sheet[0].items())
            yield Done(None, 0, total, note=f"the style is {', '.join(shares)}")

    def statistics(mixture, content):
        if config.preserve_color == "match":
            styles = (_read_style(config, sources[name]) for name in mixture)
            parts = [stylize.encode_style(match_color(style, content)) for style in styles]
        else:
            parts = [encoded(name) for name in mixture]
        return adain.blend(np.stack(parts), list(mixture.values()))

    for done, ((content_path, label), out) in enumerate(todo.items(), skipped + 1):
        began, at, sheet = time.monotonic(), content_path, wanted[label]
        try:
            content = photo(content_path)
            at = sources[label] if label in sources and paths else out
            encoded_sheet = [statistics(mixture, content) for mixture in sheet]
            at = out
            images = [_stylized(config, stylize, content, one) for one in encoded_sheet]
            result = images[0]
            if config.all_styles:
                result = contact_sheet(images, list(sources))
            elif len(images) > 1:
                result = grid([images[i : i + GRID] for i in range(0, len(images), GRID)])
            elif config.concat:
                styles = [_read_style(config, sources[name]) for name in sheet[0] if paths]
                result = concat([content, *styles, result])
            write_image(out, result, quality=config.quality, overwrite=config.overwrite)
        except (UserError, NonFiniteError) as error:
            yield Done(at, done, total, time.monotonic() - began, fault=error)
        else:
            yield Done(out, done, total, time.monotonic() - began)


def _sources(config):
    """Names of the styles there are, each with its picture's path, or with itself in a table."""
    directory = _directory(config.checkpoint)
    names = checkpoint.read_config(directory)["model"].get("styles")
    if names:
        sources = {name: name for name in names}
        if config.preserve_color == "match":
            raise UserError(
                "`preserve_color` match changes the painting, but the model has its styles by "
                "name; use luma."
            )
        if not (config.style or config.style_grid or config.all_styles):
            raise UserError(
                f"The model {config.checkpoint} has styles by name: give --style or --all-styles; "
                f"it has {', '.join(names)}."
            )
    else:
        paths = pictures_of(config, "style_path")
        if config.style_weights:
            check_count(config.style_weights, paths)
        sources = {name: path for path, name in short_names(paths).items()}
    if config.random_styles and config.random_styles < len(sources):
        chosen = np.random.default_rng(config.seed).choice(
            len(sources), config.random_styles, replace=False
        )
        sources = {list(sources)[i]: list(sources.values())[i] for i in sorted(chosen)}
    return sources


def _wanted(config, sources):
    """The pictures to make of each photo: {label: mixtures of styles}, several for a sheet."""
    mixture = weighted(config.style) if config.style else {}
    for name in (*mixture, *config.style_grid):
        check_style(name, tuple(sources))
    if mixture:
        label = "_".join(
            name if len(mixture) == 1 else f"{name}{100 * share:.0f}"
            for name, share in mixture.items()
        )
        return {label: [mixture]}
    if config.style_grid:
        return {"_".join((*config.style_grid, "grid")): _corners(config.style_grid)}
    if config.all_styles:
        return {"all": [{name: 1.0} for name in sources]}
    if config.style_weights:
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


def _stylized(config, stylize, content, statistics):
    """One stylised picture."""
    stylized = content
    for _ in range(config.passes):
        stylized = stylize.transfer(stylized, statistics, config.alpha)
    return preserve_luma(stylized, content) if config.preserve_color == "luma" else stylized


def _read_content(config, path):
    image = read_image(path, background=config.background, max_pixels=config.max_pixels)
    image = fit_longer(center_crop(image) if config.crop else image, config.content_size)
    return _image(image, f"`{path}`")


def _read_style(config, path):
    image = read_image(path, background=config.background, max_pixels=config.max_pixels)
    image = center_crop(image) if config.crop else image
    return _image(fit_shorter(image, config.style_size, enlarge=True), f"`{path}`")


def _check_memory(config, contents, styles) -> str:
    """Refuse what will not fit, from headers alone; else one sentence on what it takes."""
    sizes = []
    for option, path, limits in itertools.chain(
        (("content_size", path, {"longer": config.content_size}) for path in set(contents)),
        (("style_size", path, {"shorter": config.style_size, "enlarge": True}) for path in styles),
    ):
        try:
            info = probe(path, config.max_pixels)
        except UserError:
            continue  # Named when its turn comes.
        sides = (info.height, info.width)
        sides = (min(sides),) * 2 if config.crop else sides
        sizes.append((*scaled_size(*sides, **limits), str(path), option))
    return check_memory(*max(sizes, key=lambda size: size[0] * size[1])) if sizes else ""


def _directory(name: str | Path) -> Path:
    if Path(name).is_dir():
        return Path(name)
    shipped = sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))
    if str(name) in shipped:
        return PRETRAINED / str(name)
    raise UserError(
        f"There is no checkpoint folder {str(name)!r}, nor a model of that name; models that "
        f"ship: {', '.join(shipped)}."
    )


def _image(image: np.ndarray | str | Path, what: str) -> np.ndarray:
    """A float32 image, from an array or a file, at least 16 px a side."""
    if isinstance(image, str | os.PathLike):
        what, image = f"`{image}`", read_image(image)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype.kind not in "fu":
        raise UserError(
            f"{what} must be an image (height, width, 3) of float in [0, 1] or uint8. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    height, width, _ = image.shape
    if min(height, width) < MIN_SIDE:
        raise UserError(f"{what} is {width}x{height}: both sides must be {MIN_SIDE} px or more.")
    if image.dtype == np.uint8:
        image = image / np.float32(255)
    # Written so that NaN fails too.
    if not (-SLACK <= image.min() and image.max() <= 1 + SLACK):
        raise UserError(
            f"{what} must be uint8, or float in [0, 1]. Received: {image.dtype} from "
            f"{image.min():.4g} to {image.max():.4g}"
        )
    return image.astype("float32", copy=False)


def _check_result(stylized: np.ndarray, content: np.ndarray) -> None:
    if not np.isfinite(stylized).all():
        raise NonFiniteError(
            "The network gave NaN or infinity, so nothing is written; try --precision float32, "
            "or another checkpoint."
        )
    if _is_flat(stylized) and not _is_flat(content):
        raise NonFiniteError(
            "The network gave one flat colour, so nothing is written; the checkpoint is untrained "
            "or damaged."
        )


def _is_flat(image: np.ndarray) -> bool:
    return bool((image == image[:1, :1]).all())
