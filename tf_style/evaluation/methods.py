"""What is judged: models, Gatys' method, and two rows that are no models."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.checkpoint import directory_of
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.pairs import Pair
from tf_style.files import sha256
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import gatys
from tf_style.images.color import match_color
from tf_style.inference.style_transfer import load

__all__ = ["PHOTO", "RECOLOURED", "Method", "digest_of_model", "methods_of", "stylizer_of"]

PHOTO, RECOLOURED = "photo", "recoloured"

# Of checkpoints and SavedModels, the files that a model is read from.
MODEL_FILES = ("config.json", "stylizer.npz", "saved_model.pb", "variables/*")

# A pair, its photo and its painting -> an image for each row.
Method = Callable[[Pair, np.ndarray, np.ndarray], list[np.ndarray]]


def methods_of(
    config: EvaluateConfig, models: dict[str, Callable]
) -> tuple[dict[str, Method], dict[str, tuple[str, ...]]]:
    """Return what is judged by its name, and the rows of the table that each makes.

    Args:
        config: All options of the evaluation.
        models: The models by their names.
    """
    methods = {
        PHOTO: lambda pair, photo, painting: [photo],
        RECOLOURED: lambda pair, photo, painting: [match_color(photo, painting)],
    }
    for name, model in models.items():
        methods[name] = functools.partial(_by_model, model)
    rows = {name: (name,) for name in methods}
    if config.gatys_evaluations:
        rows["gatys"] = tuple(f"gatys {n}" for n in sorted(config.gatys_evaluations))
        methods["gatys"] = functools.partial(_by_gatys, config)
    return methods, rows


def digest_of_model(name: str) -> str:
    """Return a digest of all files that a model is read from."""
    saved_model = (Path(name) / "saved_model.pb").exists()
    folder = Path(name) if saved_model else directory_of(name)
    files = [file for pattern in MODEL_FILES for file in sorted(folder.glob(pattern))]
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def stylizer_of(name: str, precision: str) -> Callable:
    """Return a model as a function of a photo and a style, with the attribute `styles`."""
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
