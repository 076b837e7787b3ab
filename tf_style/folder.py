"""A folder of photos in the style of a folder of paintings, by a trained model."""

import functools
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_style import adain, checkpoint, devices
from tf_style.config import StylizeConfig
from tf_style.errors import NonFiniteError, UserError
from tf_style.images import probe, read_image, write_image
from tf_style.inference import as_image, check_style, directory_of, load
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

__all__ = ["Done", "stylize_folder"]

# Pictures in a row of --style-grid.
GRID = 5


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
    devices.choose_one(config.device)
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
    directory = directory_of(config.checkpoint)
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
    return as_image(image, f"`{path}`")


def _read_style(config, path):
    image = read_image(path, background=config.background, max_pixels=config.max_pixels)
    image = center_crop(image) if config.crop else image
    return as_image(fit_shorter(image, config.style_size, enlarge=True), f"`{path}`")


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
