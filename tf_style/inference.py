"""Stylising with a trained model: arrays in Python, folders on disk."""

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

from tf_style import adain, checkpoint
from tf_style.config import StylizeConfig
from tf_style.errors import NonFiniteError, UserError
from tf_style.images import probe, read_image, write_image
from tf_style.layout import center_crop, concat, fit_longer, fit_shorter, scaled_size
from tf_style.memory import check_memory
from tf_style.ops import match_color, preserve_luma
from tf_style.outputs import outputs_of, pictures_of
from tf_style.precision import compute_dtype

__all__ = ["Done", "StyleTransfer", "load", "stylize_folder"]

PRETRAINED = Path(__file__).parent / "pretrained"

# Under 16 px the encoder's relu4_1 has one line, which a reflection of one cannot extend.
MIN_SIDE = 16


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
    if config["method"] != "adain":
        raise UserError(f"{directory} is of the unknown method {config['method']!r}.")
    model, dtype = config["model"], compute_dtype(precision)
    try:
        stylizer = adain.build_stylizer(model, dtype)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise UserError(f"The model of {directory} cannot be built: {fault}.") from error
    variables = adain.stored_variables(stylizer, model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    arrays = checkpoint.read_stylizer(directory, shapes)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return StyleTransfer(stylizer)


class StyleTransfer:
    """A stylizer as a function of pictures: `stylize(content, style, alpha=1.0) -> image`.

    Args:
        stylizer: A model with the parts `encode_style` and `transfer`.

    Example:
        >>> stylize = StyleTransfer(adain.AdaINStylizer("vgg16"))
        >>> statistics = stylize.encode_style(np.ones((32, 32, 3), "float32"))
        >>> statistics.shape
        (2, 512)
    """

    def __init__(self, stylizer: keras.Model):
        self.stylizer = stylizer
        image = tf.TensorSpec((None, None, None, 3), name="image")
        channels = stylizer.encode_style.output_shape[-1]

        # One trace for all sizes: with Keras' `predict` memory grows with each new size
        # (https://github.com/tensorflow/tensorflow/issues/38561).
        @tf.function(input_signature=[image])
        def encode_style(image):
            return stylizer.encode_style(image)

        @tf.function(
            input_signature=[image, tf.TensorSpec((None, 2, channels)), tf.TensorSpec((None,))]
        )
        def transfer(content, statistics, alpha):
            return stylizer.transfer({"content": content, "statistics": statistics, "alpha": alpha})

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
            style: Likewise; a list of them is blended.
            alpha: Strength in [0, 1].
            style_weights: One number, 0 or more, for each style of a list; None for equal ones.

        Returns:
            Image of the content's size, float32 in [0, 1].

        Raises:
            UserError: A picture too small or unreadable, or numbers out of range.
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
        """A style picture's statistics `(2, channels)`, to be used for many photos."""
        return self._encode_style(_image(style, "style")[None]).numpy()[0]

    def transfer(
        self, content: np.ndarray | str | Path, statistics: np.ndarray, alpha: float = 1.0
    ) -> np.ndarray:
        """Stylise one picture with statistics from `encode_style`."""
        if not 0 <= alpha <= 1:
            raise UserError(f"`alpha` must be between 0 and 1. Received: alpha={alpha}")
        content = _image(content, "content")
        stylized = self._transfer(content[None], statistics[None], np.float32([alpha])).numpy()[0]
        _check_result(stylized, content)
        return stylized


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
    contents, styles = (pictures_of(config, name) for name in ("content_path", "style_path"))
    if config.random_styles and config.random_styles < len(styles):
        chosen = np.random.default_rng(config.seed).choice(
            len(styles), config.random_styles, replace=False
        )
        styles = [styles[i] for i in sorted(chosen)]
    total, todo = outputs_of(config, contents, styles)
    skipped = total - len(todo)
    if skipped:
        yield Done(None, 0, total, note=f"{skipped} of {total} results exist: skipped")
    if not todo:
        return

    stylize = load(config.checkpoint, config.precision)
    if estimate := _check_memory(config, [content for content, _ in todo], styles):
        yield Done(None, 0, total, note=estimate)
    photo = functools.lru_cache(1)(functools.partial(_read_content, config))
    encoded = functools.cache(lambda path: stylize.encode_style(_read_style(config, path)))
    if config.style_weights:
        try:
            for path in styles:
                encoded(path)
        except UserError as error:
            raise UserError(f"A blend needs all its styles: {error}") from error
        pairs = zip(styles, config.style_weights, strict=True)
        shares = (f"{w / sum(config.style_weights):.0%} {path.name}" for path, w in pairs)
        yield Done(None, 0, total, note=f"the style is {', '.join(shares)}")

    for done, ((content_path, style_path), out) in enumerate(todo.items(), skipped + 1):
        began, at = time.monotonic(), content_path
        used = [style_path] if style_path else styles
        try:
            content = photo(content_path)
            at = style_path or out
            if config.preserve_color == "match":
                matched = (match_color(_read_style(config, path), content) for path in used)
                statistics = [stylize.encode_style(image) for image in matched]
            else:
                statistics = [encoded(path) for path in used]
            at = out
            statistics = adain.blend(np.stack(statistics), config.style_weights or [1.0])
            result = _result(config, stylize, content, used, statistics)
            write_image(out, result, quality=config.quality, overwrite=config.overwrite)
        except (UserError, NonFiniteError) as error:
            yield Done(at, done, total, time.monotonic() - began, fault=error)
        else:
            yield Done(out, done, total, time.monotonic() - began)


def _result(config, stylize, content, style_paths, statistics):
    """One stylised picture, as it is to be written."""
    stylized = content
    for _ in range(config.passes):
        stylized = stylize.transfer(stylized, statistics, config.alpha)
    if config.preserve_color == "luma":
        stylized = preserve_luma(stylized, content)
    if config.concat:
        styles = [_read_style(config, path) for path in style_paths]
        stylized = concat([content, *styles, stylized])
    return stylized


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
    # Written so that NaN fails too; the slack is for what resizing elsewhere leaves.
    if not (-0.1 <= image.min() and image.max() <= 1.1):
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
