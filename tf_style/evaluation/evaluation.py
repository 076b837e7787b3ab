"""How good a stylizer is: its losses against the photo's and Gatys' method's, and its faults.

As figure 4 of the AdaIN paper: content and style loss of the same pairs, by each method. What a
change of colours alone does to the losses is shown by the photo with the painting's colours. Every
picture and its numbers are written as soon as they are there, so that an evaluation resumes where
it was stopped. Numbers are kept with the digests of what they were made of: model, judge, photo and
painting.

Reference: https://arxiv.org/abs/1703.06868, section 7.1
"""

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.config import same_run
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.judge import Judge
from tf_style.evaluation.methods import digest_of_model, methods_of, stylizer_of
from tf_style.evaluation.pairs import chosen_pairs, every_pair
from tf_style.evaluation.summary import summary, table
from tf_style.evaluation.wanted import check_evaluation
from tf_style.files import sha256, write_atomically
from tf_style.images.outputs import check_apart
from tf_style.images.quality import border_ratio, detail, nyquist_ratio, psnr
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_square
from tf_style.images.sheets import grid
from tf_style.images.writing import write_image
from tf_style.locking import locked_folder

__all__ = ["EvaluationProgress", "evaluate"]

# Rows of the sheet.
SHEET = 12

# No config.json: a folder that has one is a model, which --overwrite must not touch.
OPTIONS = "options.json"


@dataclasses.dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes:
        done: Pictures judged so far.
        total: Pictures in all.
        name: The picture judged last: photo, painting and method.
        note: One sentence, or empty.
        kept: Whether an earlier run judged it.
    """

    done: int
    total: int
    name: str = ""
    note: str = ""
    kept: bool = False


def evaluate(
    config: EvaluateConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[EvaluationProgress]:
    """Judge stylizers on every pair of a photo and a painting, and write what was found.

    Args:
        config: All options of the evaluation.
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
    digests = {row: digest_of_model(name) for row, name in config.models().items()}
    models = {row: stylizer_of(name, config.precision) for row, name in config.models().items()}
    tables = {row: model.styles for row, model in models.items()}
    pairs, by_gatys, note = chosen_pairs(every, config, tables)
    if note:
        yield EvaluationProgress(0, 0, note=note)
    _open(folder, config)
    judge, digest_of = Judge(config), functools.cache(sha256)
    methods, rows = methods_of(config, models)
    records = {}
    work = [(pair, method) for pair in pairs for method in methods
            if method != "gatys" or pair in by_gatys]  # fmt: skip
    for done, (pair, method) in enumerate(work, 1):
        if should_stop():
            return
        made_of = {
            "model": digests.get(method),
            "judge": judge.digest,
            "photo": digest_of(pair.photo),
            "painting": digest_of(pair.painting),
        }
        file = folder / "pairs" / pair.name / f"{method}.json"
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
        kept = found.get("made_of") == made_of
        if not kept:
            judged = _judged(folder, config, judge, pair, methods[method], rows[method])
            found = {"made_of": made_of, "rows": judged}
            # The numbers after the pictures: what has numbers is whole.
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(found).encode())
        records.setdefault(pair.name, {}).update(found["rows"])
        yield EvaluationProgress(done, len(work), f"{pair.name} {method}", kept=kept)
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
    write_atomically(folder / "evaluation.md", table(found).encode(errors="surrogateescape"))
    _draw(folder, pairs, config, [row for rows_ in rows.values() for row in rows_[-1:]])
    written = f"{folder}/evaluation.md, {folder}/sheet.jpg"
    yield EvaluationProgress(len(work), len(work), note=written)


def _judged(folder, config, judge, pair, method, rows):
    """What one method makes of a pair: its pictures, written, and their numbers by rows."""
    photo, painting = (_square(path, config.size) for path in (pair.photo, pair.painting))
    found = {}
    for row, image in zip(rows, method(pair, photo, painting), strict=True):
        write_image(_picture(folder, pair, row), image, overwrite=True)
        found[row] = judge(image, photo, painting) | _faults(image)
    return found


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


def _draw(folder, pairs, config, columns):
    """Photo, painting and results, a row for each of some pairs."""
    count = min(SHEET, len(pairs))
    rows = []
    for pair in (pairs[i * len(pairs) // count] for i in range(count)):
        files = [_picture(folder, pair, name) for name in columns[1:]]
        made = [read_image(file) if file.exists() else None for file in files]
        rows.append([_square(path, config.size) for path in (pair.photo, pair.painting)] + made)
    write_image(folder / "sheet.jpg", grid(rows), overwrite=True)
