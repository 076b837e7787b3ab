"""A trained model as a function of pictures."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_style import checkpoint
from tf_style.errors import NonFiniteError, UserError
from tf_style.images.inputs import input_image
from tf_style.machine import compute_dtype
from tf_style.mixtures import check_style, mixture
from tf_style.nn.adain import blend
from tf_style.nn.base import Stylizer
from tf_style.nn.stylizers import from_checkpoint

__all__ = [
    "EncodedContent",
    "StyleTransfer",
    "check_alpha",
    "check_result",
    "load",
]


def load(checkpoint_or_name: str | Path = "adain", precision: str = "auto") -> "StyleTransfer":
    """Return a trained model, ready to stylise.

    Args:
        checkpoint_or_name: A checkpoint folder, or the name of a model that ships with the
            package. A checkpoint folder of that name wins.
        precision: `auto`, `float32` or `bfloat16`, of the convolutions.

    Raises:
        UserError: No such folder or name, or the folder is no whole checkpoint.

    Example:
        >>> stylize = load("adain")
        >>> photo, painting = np.zeros((40, 60, 3), "float32"), np.ones((50, 50, 3), "float32")
        >>> stylize(photo, painting, alpha=0.5).shape
        (40, 60, 3)
    """
    directory = checkpoint.directory_of(checkpoint_or_name)
    config = checkpoint.read_config(directory)
    try:
        stylizer = from_checkpoint(config, compute_dtype(precision))
    except UserError as error:
        raise UserError(f"The model of {directory} cannot be built: {error}.") from error
    variables = stylizer.saved_variables()
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    arrays = checkpoint.read_stylizer(directory, shapes)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return StyleTransfer(stylizer)


class StyleTransfer:
    """A stylizer as a function of pictures: `stylize(content, style, alpha=1.0) -> image`.

    A style is a picture; of a model with a table of styles it is a name, or names with weights.

    Args:
        stylizer: The model.

    Attributes:
        styles: Names of the table's styles; empty where any picture is a style.

    Example:
        >>> from tf_style.nn.stylizers import AdaINStylizer, ConditionalStylizer
        >>> stylize = StyleTransfer(AdaINStylizer("vgg16"))
        >>> statistics = stylize.encode_style(np.ones((32, 32, 3), "float32"))
        >>> statistics.shape
        (2, 512)
        >>> names = ConditionalStylizer(("wave", "night"), (8, 8, 8), 1, (8, 8))
        >>> stylize = StyleTransfer(names)
        >>> stylize(np.ones((32, 48, 3), "float32"), "wave:0.6,night:0.4").shape
        (32, 48, 3)
    """

    def __init__(self, stylizer: Stylizer):
        self.stylizer = stylizer
        self.styles = stylizer.styles
        self._encode_style = _traced(stylizer.encode_style)
        encode_content = stylizer.encode_content
        self._encode_content = _traced(encode_content) if encode_content else None
        decode = stylizer.decode or stylizer.transfer
        self._decode, self._taken = _traced(decode), tuple(decode.input)

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
            style: An image or path as for `content`, or a name as in `encode_style`; a list of them
                is blended.
            alpha: Strength in [0, 1].
            style_weights: One number, 0 or more, for each style of a list; None for equal ones.

        Returns:
            Image of the content's size, float32 in [0, 1].

        Raises:
            UserError: A picture too small or unreadable, an unknown style, or numbers out of range.
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
        return self.transfer(content, blend(statistics, weights), alpha)

    def encode_style(self, style: np.ndarray | str | Path) -> np.ndarray:
        """Return a style's statistics, to be used for many photos.

        Args:
            style: A picture or its path; of a table, `name` or `name:weight,name:weight`.

        Returns:
            What `transfer` takes: of AdaIN `(2, channels)`.
        """
        if self.styles:
            blend = mixture(str(style).split(","), self.styles)
            for name in blend:
                check_style(name, self.styles)
            style = np.float32([blend.get(name, 0.0) for name in self.styles])
        else:
            style = input_image(style, "style")
        return self._encode_style(style[None]).numpy()[0]

    def transfer(
        self, content: np.ndarray | str | Path, statistics: np.ndarray, alpha: float = 1.0
    ) -> np.ndarray:
        """Stylise one picture with statistics from `encode_style`."""
        check_alpha(alpha)
        content = input_image(content, "content")
        stylized = self.decode(self.encode_content(content[None]), statistics[None], alpha)[0]
        check_result(stylized, content)
        return stylized

    def encode_content(self, contents: np.ndarray) -> "EncodedContent":
        """Encode photos of one size, to be stylised in many styles.

        Args:
            contents: Images `(batch, height, width, 3)`, float32 in [0, 1].

        Example:
            >>> stylize = load("adain")
            >>> photos = np.ones((2, 32, 48, 3), "float32")
            >>> styles = np.stack([stylize.encode_style(photo) for photo in photos])
            >>> stylize.decode(stylize.encode_content(photos), styles).shape
            (2, 32, 48, 3)
        """
        features = self._encode_content(contents) if self._encode_content else None
        return EncodedContent(contents, features)

    def decode(
        self, encoded: "EncodedContent", statistics: np.ndarray, alpha: float = 1.0
    ) -> np.ndarray:
        """Stylise photos of one size, each in a style; neither arguments nor results are checked.

        Args:
            encoded: The photos, from `encode_content`.
            statistics: The styles, from `encode_style`, one for each photo.
            alpha: Strength in [0, 1].

        Returns:
            Images `(batch, height, width, 3)`, float32 in [0, 1].
        """
        given = {
            "content": encoded.images,
            "features": encoded.features,
            "statistics": statistics,
            "alpha": np.full(len(statistics), alpha, "float32"),
        }
        return self._decode({name: given[name] for name in self._taken}).numpy()


class EncodedContent(NamedTuple):
    """Photos of one size, ready for any style.

    Attributes:
        images: `(batch, height, width, 3)`, float32 in [0, 1].
        features: What the encoder makes of them, where the network has one.
    """

    images: np.ndarray
    features: tf.Tensor | None


def _traced(model: keras.Model):
    """A model as one graph for all sizes: with Keras' `predict` memory grows with each new size
    (https://github.com/tensorflow/tensorflow/issues/38561).
    """
    specs = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), model.input)
    return tf.function(model, input_signature=[specs], autograph=False)


def check_alpha(alpha: float) -> None:
    """Refuse a strength that is not in [0, 1].

    Raises:
        UserError: It is not.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"`alpha` must be between 0 and 1. Received: alpha={alpha}")


def check_result(stylized: np.ndarray, content: np.ndarray) -> None:
    """Refuse a result that is none.

    Raises:
        NonFiniteError: It has NaN or infinity, or is one flat colour of a photo that is not.
    """
    if not np.isfinite(stylized).all():
        raise NonFiniteError(
            "The network gave NaN or infinity, so nothing is written; try --precision float32, "
            "or another checkpoint."
        )
    if _is_flat(stylized) and not _is_flat(content):
        raise NonFiniteError(
            "The network gave one flat colour, so nothing is written; the checkpoint is untrained "
            "or damaged, or the style has nothing but one colour."
        )


def _is_flat(image: np.ndarray) -> bool:
    return bool((image == image[:1, :1]).all())
