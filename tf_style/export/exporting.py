"""A trained model for TensorFlow Serving, or as a file for programs without TensorFlow."""

import contextlib
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.errors import NonFiniteError, UserError
from tf_style.export.config import ExportConfig
from tf_style.export.formats import FORMATS, Format
from tf_style.export.signatures import ServedStylizer, alpha_signature
from tf_style.export.wanted import check_export
from tf_style.files import rename
from tf_style.images.quality import psnr
from tf_style.images.reading import read_image
from tf_style.images.resizing import center_crop, fit_shorter
from tf_style.images.writing import encode_image
from tf_style.inference.style_transfer import StyleTransfer, load
from tf_style.mixtures import readable
from tf_style.nn.vgg import CALIBRATION

__all__ = ["Exported", "export_model"]

# The exported graph may differ from the stylizer by this much of the range of 1.
TOLERANCE = 1e-3

# Sides of the photo and the painting that both are given: odd, and no multiple of anything.
CHECKED_CONTENT, CHECKED_STYLE = (97, 131), 128

# Where TensorFlow Serving looks for requests to warm up by.
WARMUP = Path("assets.extra/tf_serving_warmup_requests")


@dataclass(frozen=True)
class Exported:
    """An export that has been written and checked.

    Attributes:
        path: The version's folder, or the file.
        difference: Greatest difference from the stylizer, of values in [0, 1].
        size: Bytes of all its files.
        warmups: Requests in its warm-up file.
    """

    path: Path
    difference: float
    size: int
    warmups: int


def export_model(config: ExportConfig) -> Exported:
    """Write a model's next version, or its file, whole or not at all, checked against the stylizer.

    Args:
        config: All of it.

    Raises:
        UserError: No such model, a folder that cannot be written, or a missing package.
        NonFiniteError: The exported graph gives another picture than the stylizer.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = ExportConfig(checkpoint="magenta26", export_path=f"{folder}/magenta26")
        ...     found = export_model(config)
        ...     found.path.name, found.difference < 1e-3
        ('1', True)
    """
    check_export(config)
    if config.export_format != "savedmodel":
        return _export_file(config, FORMATS[config.export_format])
    stylize = load(config.checkpoint, config.precision)
    served = ServedStylizer(stylize.stylizer, config.max_bytes, config.max_pixels, config.quality)
    folder = Path(config.export_path)
    with _aside(folder) as aside:
        # Of our own functions, not of the Keras model, whose export has neither these names nor
        # bytes (https://github.com/keras-team/keras/issues/19458).
        tf.saved_model.save(served.module, str(aside), signatures=served.signatures())
        warmups = 0
        if config.warmup_sizes:
            warmups = _write_warmups(
                aside / WARMUP, readable(folder.name), stylize, config.warmup_sizes
            )
        difference = _difference(aside, stylize)
        # Written so that NaN fails too.
        if not difference <= TOLERANCE:
            raise NonFiniteError(
                f"The exported graph differs from the model by {difference:.2g}, more than "
                f"{TOLERANCE:g}, so nothing is written."
            )
        size = _size(aside)
        return Exported(_publish(aside, folder), difference, size, warmups)


def _export_file(config, kind: Format):
    """Write another format's file, run it once, and give it its name."""
    path = Path(config.export_path)
    stylize = load(config.checkpoint, config.precision)
    with _aside(path.parent) as aside:
        file = aside / f"stylizer{path.suffix}"
        kind.write(stylize.stylizer, file)
        given, expected = _checked_pair(stylize)
        found = kind.load(file, given)()[0]
        nearness = psnr(found, expected)
        if not nearness >= kind.least_psnr:
            raise NonFiniteError(
                f"The exported file differs from the model: PSNR {nearness:.0f} dB, less than "
                f"{kind.least_psnr}, so nothing is written."
            )
        size = _size(aside)
        # A weight file before the one that refers to it.
        for file in sorted(aside.iterdir()):
            rename(file, path.with_suffix(file.suffix), overwrite=config.overwrite)
        return Exported(path, float(np.max(np.abs(found - expected))), size, 0)


@contextlib.contextmanager
def _aside(folder):
    """A place beside what is to be written, which leaves nothing behind.

    Its path is UTF-8, by a link if it must be: the programs that write take no other.
    """
    # Not a number, so that a server that watches the folder does not take it for a version.
    aside = folder / f".writing-{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        if readable(str(aside)) == str(aside):
            yield aside
        else:
            with tempfile.TemporaryDirectory() as place:
                link = Path(place, "link")
                link.symlink_to(aside.absolute())
                yield link
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _publish(aside, folder):
    """Give the finished export the next number. Another process may be as far."""
    while True:
        numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        version = folder / str(max(numbers, default=0) + 1)
        try:
            os.rename(aside.resolve(), version)
        except OSError:
            if not version.exists():
                raise
        else:
            return version


def _pictures():
    """The photo and the painting that the check is made with."""
    photo, other = sorted(CALIBRATION.glob("*.jpg"))[:2]
    height, width = CHECKED_CONTENT
    return (
        center_crop(fit_shorter(read_image(photo), 160))[:height, :width],
        center_crop(fit_shorter(read_image(other), CHECKED_STYLE)),
    )


def _checked_pair(stylize: StyleTransfer):
    """Inputs of one picture, and what the stylizer makes of them."""
    photo, painting = _pictures()
    style = stylize.styles[0] if stylize.styles else painting
    given = {"content": photo[None], "alpha": np.ones(1, "float32")}
    return given | _style(stylize, painting), stylize(photo, style)


def _style(stylize: StyleTransfer, painting):
    """A style as a stylizer takes it: the first of a table, or a painting."""
    if stylize.styles:
        return {"style_weights": np.eye(1, len(stylize.styles), dtype="float32")}
    return {"style": painting[None]}


def _difference(directory, stylize: StyleTransfer):
    """The greatest difference between what the export and the stylizer make of one picture."""
    given, expected = _checked_pair(stylize)
    signature = alpha_signature("serving_default") if stylize.styles else "serving_default"
    given = {name: tf.constant(value) for name, value in given.items()}
    found = tf.saved_model.load(str(directory)).signatures[signature](**given)
    return float(np.max(np.abs(found["stylized"].numpy()[0] - expected)))


def _write_warmups(path, name, stylize: StyleTransfer, sizes):
    """Write a request of every signature for every size; returns how many."""
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError as error:
        raise UserError(
            "`warmup_sizes` needs tensorflow-serving-api: pip install 'tf_style[serving]', or "
            "leave them out."
        ) from error
    path.parent.mkdir()
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _requests(stylize, sizes):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())
            count += 1
    return count


def _requests(stylize: StyleTransfer, sizes):
    """Signatures with inputs to warm up by."""
    for side in sizes:
        image = np.random.default_rng(side).random((side, side, 3), "float32")
        data = encode_image(image, "jpg")
        plain = _style(stylize, image)
        alpha = {"alpha": np.ones(1, "float32")}
        if stylize.styles:
            simple = {"style_names": [stylize.styles[0].encode()]}
        else:
            simple = {"style_bytes": [data]}
        statistics = stylize.encode_style(stylize.styles[0] if stylize.styles else image)
        encoded = {"statistics": statistics[None]}
        yield "encode_style", plain
        yield f"encode_{next(iter(simple))}", simple
        for name, content, style in (
            ("serving_default", {"content": image[None]}, plain),
            ("stylize_encoded", {"content": image[None]}, encoded),
            ("stylize_bytes", {"content_bytes": [data]}, simple),
            ("stylize_encoded_bytes", {"content_bytes": [data]}, encoded),
        ):
            if stylize.styles:
                yield name, content | style
                name = alpha_signature(name)
            yield name, content | style | alpha
