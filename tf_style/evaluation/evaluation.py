"""How good a stylizer is: its losses against the photo's and Gatys' method's, and its faults.

As figure 4 of the AdaIN paper: content and style loss of the same pairs, by each method. What a
change of colours alone does to the losses is shown by the photo with the painting's colours. Every
picture and its numbers are written as soon as they are there, so that an evaluation goes on where
it was stopped. Numbers are kept with the digests of what they were made of: model, judge, photo and
painting.

Reference: https://arxiv.org/abs/1703.06868, section 7.1
"""

import dataclasses
import filecmp
import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_style.checkpoint import directory_of
from tf_style.config import same_run
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.judge import Judge
from tf_style.evaluation.wanted import check_evaluation
from tf_style.files import sha256, write_atomically
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import gatys
from tf_style.images.color import match_color
from tf_style.images.listing import list_images
from tf_style.images.outputs import check_apart, short_names
from tf_style.images.quality import border_ratio, detail, nyquist_ratio, psnr
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_square
from tf_style.images.sheets import grid
from tf_style.images.writing import write_image
from tf_style.inference.style_transfer import load
from tf_style.locking import locked_folder

__all__ = ["EvaluationProgress", "Pair", "evaluate", "every_pair", "summary"]

PHOTO, RECOLOURED = "photo", "recoloured"
STYLE = ("moments", "gram", "centred")

# Rows of the sheet.
SHEET = 12

# What may differ between a run and the one that goes on with it.

# No config.json: a folder that has one is a model, which --overwrite must not touch.
OPTIONS = "options.json"

# Of checkpoints and SavedModels, the files that a model is read from.
MODEL_FILES = ("config.json", "stylizer.npz", "saved_model.pb", "variables/*")


@dataclasses.dataclass(frozen=True)
class EvaluationProgress:
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
    """A photo and a painting, by their files; `style` is what the painting is called.

    `name` is `photo/painting`: no file has a slash in its name, so that no two pairs have one name.
    """

    name: str
    photo: Path
    painting: Path
    style: str


def evaluate(
    config: EvaluateConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[EvaluationProgress]:
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
        >>> from tf_style.nn.vgg import CALIBRATION
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = EvaluateConfig(
        ...         content_path=f"{CALIBRATION}/moose.jpg", style_path=f"{CALIBRATION}/rocket.jpg",
        ...         out_path=folder, gatys_evaluations=(), size=64)
        ...     [record.name for record in evaluate(config)]
        ['moose/rocket photo', 'moose/rocket recoloured', 'moose/rocket adain', '']
    """
    check_evaluation(config)
    check_apart(config, Path(config.out_path, "sheet.jpg"))
    with locked_folder(config.out_path):
        yield from _evaluate(config, should_stop)


def _evaluate(config, should_stop):
    # What is quick is checked before any weights are read.
    every = every_pair(config)
    folder = Path(config.out_path)
    _check(folder, config)
    # Digests first: what changes before it is read is found the next time.
    digests = {row: _digest_of_model(name) for row, name in config.models().items()}
    models = {row: _stylizer(name, config.precision) for row, name in config.models().items()}
    pairs, chosen, note = _pairs(every, config, models)
    if note:
        yield EvaluationProgress(0, 0, note=note)
    _open(folder, config)
    judge = Judge(config)
    methods = {
        PHOTO: lambda pair, photo, painting: [photo],
        RECOLOURED: lambda pair, photo, painting: [match_color(photo, painting)],
    }
    for name, model in models.items():
        methods[name] = functools.partial(_by_model, model)
    digest_of = functools.cache(sha256)
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
        file = folder / "pairs" / pair.name / f"{method}.json"
        made_of = {
            "model": digests.get(method),
            "judge": judge.digest,
            "photo": digest_of(pair.photo),
            "painting": digest_of(pair.painting),
        }
        kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if kept.get("made_of") != made_of:
            photo, painting = (_square(path, config.size) for path in (pair.photo, pair.painting))
            found = {}
            images = methods[method](pair, photo, painting)
            for row, image in zip(rows[method], images, strict=True):
                write_image(_picture(folder, pair, row), image, overwrite=True)
                found[row] = judge(image, photo, painting) | _faults(image)
            kept = {"made_of": made_of, "rows": found}
            # The numbers after the pictures: what has numbers is whole.
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(kept).encode())
        records.setdefault(pair.name, {}).update(kept["rows"])
        yield EvaluationProgress(done, len(work), f"{pair.name} {method}")
    rebuilt = {name: _reconstruction(f, pairs, config) for name, f in models.items()}
    found = {
        "config": dataclasses.asdict(config),
        "encoder_sha256": judge.digest,
        "models_sha256": digests,
        "summary": summary(records),
        "reconstruction": {name: value for name, value in rebuilt.items() if value},
        "pairs": records,
    }
    write_atomically(folder / "evaluation.json", json.dumps(found, indent=1).encode())
    write_atomically(folder / "evaluation.md", _table(found).encode(errors="surrogateescape"))
    _draw(folder, pairs, config, [row for rows_ in rows.values() for row in rows_[-1:]])
    yield EvaluationProgress(
        len(work), len(work), note=f"{folder}/evaluation.md, {folder}/sheet.jpg"
    )


def summary(records: dict[str, dict[str, dict]]) -> dict[str, dict[str, float]]:
    """Means over the pairs: {row: {content, moments, gram, centred, frame, checkerboard, pairs}}.

    A style loss is relative to the untouched photo's: its sum over the layers, each as a share of
    the photo's own in that layer,

        style = mean over pairs{ mean over layers{ loss_l(x) / loss_l(photo) } }

    so that no layer counts by its scale. 1 is the photo, 0 the painting's statistics. A pair whose
    photo has the painting's statistics already is no measure and not counted.

    Args:
        records: {pair: {row: losses}}; every pair has the row `photo`.

    Raises:
        UserError: No pair is a measure.

    Example:
        >>> losses = lambda x: {"content": 1 - x, "moments": {"a": x}, "gram": {"a": x * x},
        ...                     "centred": {"a": 2 * x}, "frame": 1.0, "checkerboard": 0.5}
        >>> summary({"pair": {"photo": losses(1.0), "net": losses(0.5)}})["net"]["gram"]
        0.25
    """
    records = {
        name: pair for name, pair in records.items()
        if all(value > 0 for key in STYLE for value in pair[PHOTO][key].values())
    }  # fmt: skip
    if not records:
        raise UserError(
            "No pair can be judged: every photo has its painting's colours and texture already. "
            "Give other pictures."
        )
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


def _digest_of_model(name):
    """Of all files that a model is read from."""
    saved_model = (Path(name) / "saved_model.pb").exists()
    folder = Path(name) if saved_model else directory_of(name)
    files = [file for pattern in MODEL_FILES for file in sorted(folder.glob(pattern))]
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


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
        >>> from tf_style.nn.vgg import CALIBRATION
        >>> moose, rocket = (f"{CALIBRATION}/{name}.jpg" for name in ("moose", "rocket"))
        >>> config = EvaluateConfig(content_path=moose, style_path=rocket)
        >>> [pair.name for pair in every_pair(config)]
        ['moose/rocket']
    """
    photos, paintings = (
        short_names(list_images(path, [config.out_path]))
        for path in (config.content_path, config.style_path)
    )
    return [
        Pair(f"{photo}/{painting}", photo_path, path, painting)
        for photo_path, photo in photos.items()
        for path, painting in paintings.items()
    ]


def _pairs(every, config, models):
    """The pairs that are judged, those of them that Gatys' method is run on, and a sentence."""
    pairs = [pair for pair in every if not filecmp.cmp(pair.photo, pair.painting, shallow=False)]
    alike = len(every) - len(pairs)
    if not pairs:
        raise UserError(
            f"Every photo of --content-path {config.content_path} is its own painting: give other "
            "pictures to --style-path."
        )
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
    note = f"{alike} of {len(every)} pairs left out: the photo is the painting" if alike else ""
    return pairs, {pairs[i * len(pairs) // count] for i in range(count)}, note


def _check(folder, config):
    """Refuse a folder that has another evaluation."""
    file = folder / OPTIONS
    if not file.exists() or config.overwrite:
        return
    try:
        before = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise UserError(
            f"`{file}` cannot be read: {error}; use --overwrite to begin anew."
        ) from error
    same_run(before, config, str(folder))


def _open(folder, config):
    """Make the folder, or empty it if it is to be begun anew."""
    if (folder / OPTIONS).exists() and config.overwrite:
        for name in ("pairs", "pictures"):
            shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / OPTIONS, json.dumps(dataclasses.asdict(config), indent=1).encode())


def _picture(folder, pair, row):
    return folder / "pictures" / pair.name / f"{row}.png"


def _square(path, size):
    return fit_square(read_image(path), size)


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
        files = [_picture(folder, pair, name) for name in columns[1:]]
        made = [read_image(file) if file.exists() else None for file in files]
        rows.append([_square(path, config.size) for path in (pair.photo, pair.painting)] + made)
    write_image(folder / "sheet.jpg", grid(rows), overwrite=True)
