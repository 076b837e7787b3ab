"""tf_style: neural style transfer in TensorFlow and Keras 3.

    import tf_style

    stylize = tf_style.load("adain")
    image = stylize("photo.jpg", "painting.jpg", alpha=0.8)
    tf_style.write_image("out.png", image)

Importing it is cheap: TensorFlow comes with the first name that needs it.
"""

import importlib
import json
import os
import sys

__version__ = "0.1.0"

# Name -> the module that holds it.
_PUBLIC = {
    "AdaIN": "nn.layers",
    "AdaINStylizer": "nn.adain",
    "ConditionalConfig": "training.config",
    "ConditionalStylizer": "nn.conditional",
    "ExportConfig": "export.config",
    "GatysConfig": "gatys.config",
    "NonFiniteError": "errors",
    "PredictedConfig": "training.config",
    "PredictedStylizer": "nn.predicted",
    "StyleTransfer": "inference.style_transfer",
    "StylizeConfig": "inference.config",
    "TrainConfig": "training.config",
    "UserError": "errors",
    "VGGEncoder": "nn.vgg",
    "export_model": "export.exporting",
    "list_images": "images.listing",
    "load": "inference.style_transfer",
    "optimize": "gatys.in_memory",
    "paint_folder": "gatys.folder",
    "read_image": "images.reading",
    "stylize_folder": "inference.folder",
    "train": "training.loop",
    "write_image": "images.writing",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tf_style' has no attribute {name!r}")
    check_backend()
    return getattr(importlib.import_module(f"tf_style.{_PUBLIC[name]}"), name)


def __dir__():
    return __all__


def check_backend():
    """Refuse another Keras backend in one sentence, instead of deep inside a layer.

    Whatever computes asks this before it imports Keras; `--help` and the options do without.

    Raises:
        ImportError: It names the backend, and the setting that chose it.
    """
    if "keras" in sys.modules:
        backend, source = sys.modules["keras"].config.backend(), "keras.config.backend()"
    elif os.environ.get("KERAS_BACKEND"):
        backend, source = os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    else:
        source = os.path.join(_keras_home(), "keras.json")
        try:
            with open(source, encoding="utf-8") as file:
                backend = json.load(file).get("backend", "tensorflow")
        except (OSError, ValueError, AttributeError):
            return
    if backend != "tensorflow":
        raise ImportError(
            f"tf_style needs Keras' TensorFlow backend; {source} says {backend!r}: "
            "set KERAS_BACKEND=tensorflow."
        )


def _keras_home():
    """Where Keras looks for its settings; a process may have no home at all."""
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return os.path.expanduser(os.environ.get("KERAS_HOME", default))
