"""What the package's functional models share: a config of their arguments, names of variables."""

from collections.abc import Iterable

import keras

__all__ = ["FromArguments", "named_variables"]


class FromArguments:
    """A functional model that its constructor's arguments describe, as a base before `keras.Model`.

    Keras would write down the whole graph of layers instead, which no longer fits once one of them
    has changed. The constructor sets `self.arguments`.

    Example:
        >>> class Doubled(FromArguments, keras.Model):
        ...     def __init__(self, channels=3, **kwargs):
        ...         image = keras.Input((None, None, channels))
        ...         super().__init__(inputs=image, outputs=2 * image, **kwargs)
        ...         self.arguments = {"channels": channels}
        >>> Doubled.from_config(Doubled(1, name="twice").get_config()).input_shape
        (None, None, None, 1)
    """

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
