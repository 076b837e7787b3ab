"""What a training reads, told by names alone, without TensorFlow."""

from pathlib import Path

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.images.listing import list_images
from tf_style.images.outputs import check_apart, written_by
from tf_style.nn.vgg_weights import check_weights
from tf_style.training.config import Training

__all__ = ["folders_of"]


def folders_of(config: Training) -> dict[str, str]:
    """Return the pictures that a training reads: `content`, `style`, and those that are held out.

    Args:
        config: All options of the training, by any method.

    Raises:
        UserError: A name that stands for nothing.
    """
    folders = {"content": config.content_path, "style": config.added or config.style_path}
    for name, path in folders.items():
        if not path:
            raise UserError(f"`{name}_path` is needed: a folder of pictures to train on.")
    folders |= {
        name.removesuffix("_path"): path
        for name, path in config.paths("in").items()
        if name.startswith("val_")
    }
    films = filter(None, [config.progress_gif])
    check_apart(config, Path(config.checkpoint, "preview.jpg"), *films)
    for path in folders.values():
        list_images(path, written_by(config))
    encoder, *others = config.weight_files().items()
    check_weights(dict([encoder]))
    # A run that is resumed has what it began with.
    if not Path(config.checkpoint, "config.json").exists():
        check_weights(dict(others))
        if config.start_from:
            checkpoint.directory_of(config.start_from)
    return folders
