"""How good a stylizer is: its losses against the photo's and Gatys' method's, and its faults.

As figure 4 of the AdaIN paper: content and style loss of the same pairs, by each method. What a
change of colours alone does to the losses is shown by the photo with the painting's colours. Every
picture and its numbers are written as soon as they are there, so that an evaluation goes on where
it was stopped.

Reference: https://arxiv.org/abs/1703.06868, section 7.1
"""

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_style.artefacts import border_ratio, detail, nyquist_ratio, psnr
from tf_style.config_evaluate import EvaluateConfig
from tf_style.config_gatys import GatysConfig
from tf_style.errors import UserError
from tf_style.gatys import gatys
from tf_style.images import read_image
from tf_style.inference import load
from tf_style.judge import Judge
from tf_style.layout import center_crop, fit_shorter, grid
from tf_style.listing import list_images
from tf_style.ops import match_color
from tf_style.outputs import short_names
from tf_style.weights import write_atomically
from tf_style.writing import write_image

__all__ = ["Judged", "Pair", "evaluate", "every_pair", "summary"]

PHOTO, RECOLOURED = "photo", "recoloured"
STYLE = ("moments", "gram", "centred")

# Rows of the sheet.
SHEET = 12

# What may differ between a run and the one that goes on with it.
FREE = {"out_path", "overwrite"}


@dataclasses.dataclass(frozen=True)
class Judged:
    """How far an evaluation is.

    Attributes:
        done: Pictures judged so far.
        total: In all.
        name: Of the picture judged last: photo, painting and method.
        note: One sentence, or empty.
    """

    done: int
    total: int
    name: str = ""
    note: str = ""


class Pair(NamedTuple):
    """A photo and a painting, by their files; `style` is what the painting is called."""

    name: str
    photo: Path
    painting: Path
    style: str


def evaluate(
    config: EvaluateConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Judged]:
    """Judge stylizers on every pair of a photo and a painting, and write what was found.

    Args:
        config: All of it.
        should_stop: Asked before every picture.

    Yields:
        A record for each picture and each note.

    Raises:
        UserError: Something the user can mend.
        NonFiniteError: A stylizer gave a picture that is none.

    Example:
        >>> import tempfile
        >>> from tf_style.encoder import CALIBRATION
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = EvaluateConfig(
        ...         content_path=f"{CALIBRATION}/moose.jpg", style_path=f"{CALIBRATION}/rocket.jpg",
        ...         out_path=folder, gatys_evaluations=(), size=64)
        ...     [record.name for record in evaluate(config)]
        ['moose_rocket photo', 'moose_rocket recoloured', 'moose_rocket adain', '']
    """
    for name in ("content_path", "style_path"):
        if not getattr(config, name):
            raise UserError(f"`{name}` is needed: a folder of pictures.")
    models = {Path(name).name: _stylizer(name, config.precision) for name in config.checkpoint}
    pairs, chosen = _pairs(config, models)
    folder = Path(config.out_path)
    _open(folder, config)
    judge = Judge(config)
    methods = {
        PHOTO: lambda pair, photo, painting: [photo],
        RECOLOURED: lambda pair, photo, painting: [match_color(photo, painting)],
    }
    for name, model in models.items():
        methods[name] = functools.partial(_by_model, model)
    rows = {name: (name,) for name in (PHOTO, RECOLOURED, *models)}
    if config.gatys_evaluations:
        rows["gatys"] = tuple(f"gatys {n}" for n in sorted(config.gatys_evaluations))
        methods["gatys"] = functools.partial(_by_gatys, config)
    records = {}
    work = [(pair, method) for pair in pairs for method in methods
            if method != "gatys" or pair in chosen]  # fmt: skip
    for done, (pair, method) in enumerate(work, 1):
        if should_stop():
            return
        file = folder / "pairs" / f"{pair.name}_{method}.json"
        if not file.exists():
            photo, painting = (_square(path, config.size) for path in (pair.photo, pair.painting))
            found = {}
            images = methods[method](pair, photo, painting)
            for row, image in zip(rows[method], images, strict=True):
                write_image(folder / "pictures" / f"{pair.name}_{row}.png", image, overwrite=True)
                found[row] = judge(image, photo, painting) | _faults(image)
            # The numbers after the pictures: what has numbers is whole.
            write_atomically(file, json.dumps(found).encode())
        for row, losses in json.loads(file.read_text("utf-8")).items():
            records.setdefault(pair.name, {})[row] = losses
        yield Judged(done, len(work), f"{pair.name} {method}")
    rebuilt = {name: _reconstruction(f, pairs, config) for name, f in models.items()}
    found = {
        "config": dataclasses.asdict(config),
        "encoder_sha256": judge.digest,
        "summary": summary(records),
        "reconstruction": {name: value for name, value in rebuilt.items() if value},
        "pairs": records,
    }
    write_atomically(folder / "evaluation.json", json.dumps(found, indent=1).encode())
    write_atomically(folder / "evaluation.md", _table(found).encode())
    _draw(folder, pairs, config, [row for rows_ in rows.values() for row in rows_[-1:]])
    yield Judged(len(work), len(work), note=f"{folder}/evaluation.md, {folder}/sheet.jpg")


def summary(records: dict[str, dict[str, dict]]) -> dict[str, dict[str, float]]:
    """Means over the pairs: {row: {content, moments, gram, centred, frame, checkerboard, pairs}}.

    A style loss is relative to the untouched photo's: its sum over the layers, each as a share of
    the photo's own in that layer,

        style = mean over pairs{ mean over layers{ loss_l(x) / loss_l(photo) } }

    so that no layer counts by its scale. 1 is the photo, 0 the painting's statistics.

    Args:
        records: {pair: {row: losses}}; every pair has the row `photo`.

    Example:
        >>> losses = lambda x: {"content": 1 - x, "moments": {"a": x}, "gram": {"a": x * x},
        ...                     "centred": {"a": 2 * x}, "frame": 1.0, "checkerboard": 0.5}
        >>> summary({"pair": {"photo": losses(1.0), "net": losses(0.5)}})["net"]["gram"]
        0.25
    """
    names = dict.fromkeys(row for pair in records.values() for row in pair)
    found = {}
    for name in names:
        of_row = [(pair[name], pair[PHOTO]) for pair in records.values() if name in pair]
        found[name] = {
            key: float(np.mean([losses[key] for losses, _ in of_row]))
            for key in ("content", "frame", "checkerboard")
        }
        for key in STYLE:
            shares = [
                [value / before[key][layer] for layer, value in losses[key].items()]
                for losses, before in of_row
            ]
            found[name][key] = float(np.mean(shares))
            layers = list(of_row[0][0][key])
            found[name][f"{key} by layer"] = dict(
                zip(layers, map(float, np.mean(shares, axis=0)), strict=True)
            )
        found[name]["pairs"] = len(of_row)
    return found


def _stylizer(name, precision):
    """A model as a function of a photo and a style, `styles` its attribute."""
    if not (Path(name) / "saved_model.pb").exists():
        return load(name, precision)
    run = tf.saved_model.load(name).signatures["serving_default"]
    inputs = set(run.structured_input_signature[1])
    if not inputs <= {"content", "style", "alpha"}:
        raise UserError(
            f"The SavedModel {name} takes {', '.join(sorted(inputs))}, not a content and a style: "
            "give the checkpoint that it was exported from."
        )

    def stylize(photo, painting):
        given = {"content": photo[None], "style": painting[None], "alpha": np.ones(1, "float32")}
        given = {key: tf.constant(given[key]) for key in inputs}
        return run(**given)["stylized"].numpy()[0]

    stylize.styles = ()
    return stylize


def every_pair(config: EvaluateConfig) -> list[Pair]:
    """Every photo of an evaluation with every painting.

    Example:
        >>> from tf_style.encoder import CALIBRATION
        >>> moose, rocket = (f"{CALIBRATION}/{name}.jpg" for name in ("moose", "rocket"))
        >>> config = EvaluateConfig(content_path=moose, style_path=rocket)
        >>> [pair.name for pair in every_pair(config)]
        ['moose_rocket']
    """
    photos, paintings = (
        short_names(list_images(path)) for path in (config.content_path, config.style_path)
    )
    return [
        Pair(f"{photo}_{painting}", photo_path, path, painting)
        for photo_path, photo in photos.items()
        for path, painting in paintings.items()
    ]


def _pairs(config, models):
    """The pairs that are judged, and those of them that Gatys' method is run on."""
    pairs = every_pair(config)
    for name, model in models.items():
        if model.styles:
            pairs = [pair for pair in pairs if pair.style in model.styles]
            if not pairs:
                known = ", ".join(model.styles)
                raise UserError(f"No painting is named as one of the styles of {name}: {known}.")
    rng = np.random.default_rng(config.seed)
    if config.pairs and config.pairs < len(pairs):
        pairs = [pairs[i] for i in sorted(rng.choice(len(pairs), config.pairs, replace=False))]
    count = min(config.gatys_pairs or len(pairs), len(pairs))
    return pairs, {pairs[i * len(pairs) // count] for i in range(count)}


def _open(folder, config):
    """Make the folder, or go on with it if it is of the same evaluation."""
    file = folder / "config.json"
    about = {k: v for k, v in dataclasses.asdict(config).items() if k not in FREE}
    about = json.dumps(about, indent=1)
    if file.exists() and file.read_text("utf-8") != about:
        if not config.overwrite:
            raise UserError(
                f"{folder} has an evaluation with other options: give another --out-path, or "
                "--overwrite to begin anew."
            )
        for name in ("pairs", "pictures"):
            shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "pairs").mkdir(parents=True, exist_ok=True)
    write_atomically(file, about.encode())


def _square(path, size):
    return center_crop(fit_shorter(read_image(path), size, enlarge=True), size)


def _by_model(model, pair, photo, painting):
    return [model(photo, pair.style if model.styles else painting)]


def _by_gatys(config, pair, photo, painting):
    """The picture after each of the numbers of evaluations, in one run."""
    counts = sorted(config.gatys_evaluations)
    options = GatysConfig(
        encoder=config.encoder,
        encoder_weights=config.encoder_weights,
        precision=config.precision,
        max_evaluations=counts[-1],
        scales=1,
        init="content",
    )
    images = []
    for iterate in gatys(photo, [painting], options):
        while len(images) < len(counts) and (
            iterate.evaluations >= counts[len(images)] or iterate.last
        ):
            images.append(iterate.image)
    return images


def _faults(image):
    return {"frame": border_ratio(detail(image)), "checkerboard": nyquist_ratio(image)}


def _reconstruction(model, pairs, config):
    """Of photos in their own style PSNR, SSIM and how far a channel's mean moves, in steps of 255.

    Means over the photos; nothing of a table of styles.
    """
    if model.styles:
        return None
    found = []
    for path in dict.fromkeys(pair.photo for pair in pairs):
        photo = _square(path, config.size)
        image = model(photo, photo)
        ssim = tf.image.ssim(tf.constant(image), tf.constant(photo), max_val=1.0)
        cast = 255 * np.abs((image - photo).mean((0, 1))).mean()
        found.append((psnr(image, photo), float(ssim), cast))
    return dict(zip(("psnr", "ssim", "cast"), map(float, np.mean(found, axis=0)), strict=True))


def _table(found):
    lines = [
        "| | content | moments | gram | centred | frame | checkerboard | PSNR, SSIM and cast of a "
        "photo in its own style | pairs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["summary"].items():
        rebuilt = found["reconstruction"].get(name)
        shown = "{psnr:.1f} dB, {ssim:.3f}, {cast:.1f}/255".format(**rebuilt) if rebuilt else ""
        cells = (f"{row[key]:.3f}" for key in ("content", *STYLE))
        faults = (f"{row[key]:.2f}" for key in ("frame", "checkerboard"))
        lines.append(
            f"| {name} | {' | '.join(cells)} | {' | '.join(faults)} | {shown} | {row['pairs']} |"
        )
    return "\n".join(lines) + "\n"


def _draw(folder, pairs, config, columns):
    """Photo, painting and results, a row for each of some pairs."""
    count = min(SHEET, len(pairs))
    rows = []
    for pair in (pairs[i * len(pairs) // count] for i in range(count)):
        files = [folder / "pictures" / f"{pair.name}_{name}.png" for name in columns[1:]]
        made = [read_image(file) if file.exists() else None for file in files]
        rows.append([_square(path, config.size) for path in (pair.photo, pair.painting)] + made)
    write_image(folder / "sheet.jpg", grid(rows), overwrite=True)
