"""AdaIN for pictures of any size: two passes over the tiles, with statistics of the whole."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style.scratch import Plane
from tf_style.tiling import Box, Moments, reach, rounded_up, tile_grid

__all__ = ["TiledAdaIN"]


class TiledAdaIN:
    """AdaIN in two passes over the tiles.

    Args:
        stylizer: An `AdaINStylizer`.
    """

    def __init__(self, stylizer: keras.Model):
        self.layer = stylizer.arguments["layer"]
        self.channels = stylizer.decoder.input_shape[-1]
        self.dtype = stylizer.encoder.output[self.layer].dtype
        self.stride = stride = 2 ** (int(self.layer[4]) - 1)
        self.encoder_halo = reach(stylizer.encoder.layers) * stride
        # In features.
        self.decoder_halo = -(-reach(stylizer.decoder.layers) // stride)
        self.halo = max(self.encoder_halo, self.decoder_halo * stride)
        given = {
            "alpha": (1,),
            "statistics": (1, 2, self.channels),
            "moments": (1, 2, self.channels),
        }
        given = {name: tf.TensorSpec(shape) for name, shape in given.items()}

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3))])
        def encode(image):
            return stylizer.encoder(image)[self.layer]

        features = tf.TensorSpec((1, None, None, self.channels), self.dtype)

        @tf.function(input_signature=[features, given])
        def decode(features, given):
            return ops.clip(stylizer.decoder(stylizer.adain(features, **given)), 0.0, 1.0)

        self._encode, self._decode = encode, decode

    def scratch_bytes(self, height: int, width: int) -> int:
        """The features of a picture."""
        height, width = rounded_up(height, self.stride), rounded_up(width, self.stride)
        per_position = self.channels * np.dtype(self.dtype).itemsize
        return height // self.stride * (width // self.stride) * per_position

    def __call__(
        self, content: Plane, statistics: np.ndarray, alpha: float, tile: int, spilled: bool
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """The stylised picture, piece by piece; arguments as in `TiledTransfer`."""
        stride = self.stride
        height, width = (rounded_up(side, stride) for side in (content.height, content.width))
        features = Plane(height // stride, width // stride, self.channels, self.dtype, spilled)
        moments = Moments()
        for part in tile_grid(height, width, tile, self.encoder_halo, stride):
            core = (part.inner // stride).of(self._encode(content.image(part.window)))
            moments = moments.merged(Moments.of(core))
            features.write(part.core // stride, core.numpy()[0])
        given = {
            "alpha": np.float32([alpha]),
            "statistics": statistics[None],
            "moments": moments.statistics(),
        }
        tile = -(-tile // stride)
        for part in tile_grid(features.height, features.width, tile, self.decoder_halo):
            image = self._decode(features.read(part.window)[None], given)
            yield content.piece(part.core * stride, (part.inner * stride).of(image))
