"""What the package's functional models share: a config of their arguments, names of variables."""

import contextlib
import functools
import inspect
from collections.abc import Iterable, Iterator

import keras

__all__ = ["FromArguments", "keras_defaults", "named_variables"]


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


def named_variables(
    parts: dict[str, Iterable[keras.layers.Layer]],
) -> dict[str, keras.Variable]:
    """The variables of some layers: {prefix/layer/variable: variable}.

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
