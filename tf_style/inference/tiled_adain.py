"""AdaIN for pictures of any size: passes over the tiles, with statistics of the whole."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style.images.reading import as_floats
from tf_style.images.tiling import Box, rounded_up, tile_grid
from tf_style.inference.tile_buffer import TileBuffer
from tf_style.nn.adain import colors_of, restyled
from tf_style.nn.base import keras_defaults
from tf_style.nn.color_transfer import ColorTransfer, color_channels
from tf_style.nn.grain import Grain
from tf_style.nn.receptive_field import receptive_radius
from tf_style.nn.statistics import Moments
from tf_style.nn.vgg import stride_of

__all__ = ["TiledAdaIN"]


class TiledAdaIN:
    """AdaIN in two passes over the tiles, with `color_transfer` one before for the colours.

    What is kept between them are the deepest features. Those of the decoder's skip layers, of which
    a picture has more, are computed anew for each tile.

    Args:
        stylizer: An `AdaINStylizer`.
    """

    @keras_defaults()
    def __init__(self, stylizer: keras.Model):
        self.layer, skips = stylizer.arguments["layer"], stylizer.arguments["skip_layers"]
        self._layers = (*skips, self.layer)
        encoder, self._grain = stylizer.encoder, Grain(stylizer.arguments["grain"])
        self._color = ColorTransfer() if stylizer.arguments["color_transfer"] else None
        self.channels = encoder.output[self.layer].shape[-1]
        self.dtype = encoder.output[self.layer].dtype
        self.stride = stride = stride_of(self.layer)
        self.encoder_halo = receptive_radius(encoder.layers) * stride
        halos = [receptive_radius(stylizer.decoder.layers)]
        for name in skips:
            before = keras.Model(encoder.input, encoder.output[name]).layers
            join = stylizer.decoder.get_layer(name.replace("relu", "skip"))
            behind = stylizer.decoder.layers[stylizer.decoder.layers.index(join) :]
            halos.append(receptive_radius(before) * stride_of(name) + receptive_radius(behind))
        shallow = skips and keras.Model(encoder.input, {x: encoder.output[x] for x in skips})
        # In features.
        self.decoder_halo = -(-max(halos) // stride)
        self.halo = max(self.encoder_halo, self.decoder_halo * stride)
        statistics = tf.TensorSpec((1, *stylizer.encode_style.output_shape[1:]))
        given = {"alpha": tf.TensorSpec((1,)), "statistics": statistics, "moments": statistics}
        image = tf.TensorSpec((1, None, None, 3))

        @tf.function(input_signature=[image])
        def encode(image):
            return encoder(image)

        features = tf.TensorSpec((1, None, None, self.channels), self.dtype)

        @tf.function(input_signature=[features, image, given])
        def decode(features, image, given):
            features = {self.layer: features} | (shallow(image) if shallow else {})
            return ops.clip(stylizer.decoder(restyled(features, **given)), 0.0, 1.0)

        self._encode, self._decode = encode, decode

    def scratch_bytes(self, height: int, width: int) -> int:
        """Return the bytes of a picture's deepest features."""
        height, width = rounded_up(height, self.stride), rounded_up(width, self.stride)
        per_position = self.channels * np.dtype(self.dtype).itemsize
        return height // self.stride * (width // self.stride) * per_position

    def __call__(
        self, content: TileBuffer, statistics: np.ndarray, alpha: float, tile: int, spilled: bool
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """The stylised picture, piece by piece; arguments as in `TiledTransfer`."""
        stride, grain, of_colors = self.stride, self._grain, []
        if self._color:
            whole = Moments()
            for part in tile_grid(content.height, content.width, tile):
                piece = color_channels(as_floats(content.read(part.core))[None])
                whole.add(piece)
            of_colors = [whole.statistics()]
            colors = colors_of(statistics[None]), np.float32([alpha]), *of_colors

        def seen(image, **place):
            return grain(self._color(image, *colors) if of_colors else image, **place)

        height, width = (rounded_up(side, stride) for side in (content.height, content.width))
        features = TileBuffer(height // stride, width // stride, self.channels, self.dtype, spilled)
        moments = {name: Moments() for name in self._layers}
        for part in tile_grid(height, width, tile, self.encoder_halo, stride):
            for name, whole in self._encode(content.image(part.window, seen)).items():
                core = (part.inner // stride_of(name)).of(whole)
                moments[name].add(core)
                if name == self.layer:
                    features.write(part.core // stride, core.numpy()[0])
        # In the order of `statistics_of`.
        of_layers = [moments[name].statistics() for name in sorted(moments)]
        given = {
            "alpha": np.float32([alpha]),
            "statistics": statistics[None],
            "moments": np.concatenate(of_layers + of_colors, axis=-1),
        }
        tile = -(-tile // stride)
        for part in tile_grid(features.height, features.width, tile, self.decoder_halo):
            window = content.image(part.window * stride, seen)
            image = self._decode(features.read(part.window)[None], window, given)
            yield content.piece(part.core * stride, (part.inner * stride).of(image))
