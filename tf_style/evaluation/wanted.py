"""What an evaluation needs, told by names alone, without TensorFlow."""

from pathlib import Path

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.evaluation.config import EvaluateConfig
from tf_style.images.outputs import pictures_of
from tf_style.nn.vgg_weights import check_weights

__all__ = ["check_evaluation"]


def check_evaluation(config: EvaluateConfig) -> None:
    """Refuse an evaluation of pictures or models that are not there.

    Args:
        config: All options of the evaluation.

    Raises:
        UserError: It names what is missing.
    """
    for name in ("content_path", "style_path"):
        if not getattr(config, name):
            raise UserError(f"`{name}` is needed: a folder of pictures.")
        pictures_of(config, name)
    for model in config.checkpoint:
        if not (Path(model) / "saved_model.pb").exists():
            checkpoint.directory_of(model)
    check_weights(config.weight_files())
