"""What functional models share: a config of their arguments; and the contract of stylizers."""

import contextlib
import functools
import inspect
from collections.abc import Iterable, Iterator

import keras

__all__ = ["FromArguments", "Stylizer", "keras_defaults", "named_variables"]


@contextlib.contextmanager
def keras_defaults() -> Iterator[None]:
    """While it lasts, layers are made with channels last and in float32, unless they say otherwise.

    Whatever Keras is set to, by `keras.json` or by a program with models of its own.

    Example:
        >>> keras.config.set_image_data_format("channels_first")
        >>> with keras_defaults():
        ...     keras.layers.Conv2D(8, 3).data_format
        'channels_last'
        >>> keras.config.image_data_format()
        'channels_first'
        >>> keras.config.set_image_data_format("channels_last")
    """
    settings = keras.config
    before = settings.image_data_format(), settings.floatx(), settings.dtype_policy()
    try:
        settings.set_image_data_format("channels_last")
        settings.set_floatx("float32")
        settings.set_dtype_policy("float32")
        yield
    finally:
        settings.set_image_data_format(before[0])
        settings.set_floatx(before[1])
        settings.set_dtype_policy(before[2])


class FromArguments:
    """A functional model that its constructor's arguments describe, as a base before `keras.Model`.

    Keras would write down the whole graph of layers instead, which no longer fits once one of them
    has changed. The constructor sets `self.arguments`. Its layers are made under `keras_defaults`.

    Example:
        >>> class Doubled(FromArguments, keras.Model):
        ...     def __init__(self, channels=3, **kwargs):
        ...         image = keras.Input((None, None, channels))
        ...         super().__init__(inputs=image, outputs=2 * image, **kwargs)
        ...         self.arguments = {"channels": channels}
        >>> Doubled.from_config(Doubled(1, name="twice").get_config()).input_shape
        (None, None, None, 1)
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        init = cls.__init__

        @functools.wraps(init)
        def under_defaults(self, *args, **kwargs):
            with keras_defaults():
                init(self, *args, **kwargs)

        # Keras reads it by two ways, one of which sees the wrapper alone.
        under_defaults.__signature__ = inspect.signature(init)
        cls.__init__ = under_defaults

    def get_config(self):
        return dict(self.arguments) | {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


class Stylizer(FromArguments):
    """A network from a photo and a style to an image, as a base before `keras.Model`.

    It has no losses and no modes. (It is no `keras.Model` itself: Keras puts its functional class
    into the bases of the first subclass that is made, and fails at the second.)

    All that uses a trained model (inference, tiles, export, serving, evaluation) knows only this:

        encode_style:  style -> statistics           a picture, or weights of a table's styles
        transfer:      (content, statistics, alpha) -> stylized

    Both are Keras models. `alpha`, `(batch,)`, is the strength of the style in [0, 1], whatever the
    method. Where the content is encoded without the style, `transfer` has two halves, so that a
    photo is encoded once for many styles; elsewhere both are None:

        encode_content: content -> features
        decode:         (content, features, statistics, alpha) -> stylized

    Attributes:
        method: The method that a checkpoint's config names.
        styles: Names of a table of styles; empty where any picture is a style.
    """

    method: str = ""
    styles: tuple[str, ...] = ()
    encode_content: keras.Model | None = None
    decode: keras.Model | None = None

    def saved_variables(self) -> dict[str, keras.Variable]:
        """Return all that a checkpoint holds, {name: variable}: what is not packaged."""
        raise NotImplementedError

    @classmethod
    def from_checkpoint(cls, model: dict, compute_dtype: str = "float32") -> "Stylizer":
        """Build the stylizer that a checkpoint describes; its saved variables are not yet loaded.

        Args:
            model: The `model` entry of the checkpoint's config.
            compute_dtype: `float32` or `bfloat16`, for the convolutions.
        """
        raise NotImplementedError


def named_variables(
    parts: dict[str, Iterable[keras.layers.Layer]],
) -> dict[str, keras.Variable]:
    """Return the variables of some layers: {prefix/layer/variable: variable}.

    Args:
        parts: Prefix -> layers. Names of layers differ within a part.

    Example:
        >>> layer = keras.layers.Dense(2, name="heads")
        >>> layer.build((None, 3))
        >>> sorted(named_variables({"predictor": [layer]}))
        ['predictor/heads/bias', 'predictor/heads/kernel']
    """
    return {
        f"{prefix}/{layer.name}/{variable.name}": variable
        for prefix, layers in parts.items()
        for layer in layers
        for variable in layer.weights
    }
