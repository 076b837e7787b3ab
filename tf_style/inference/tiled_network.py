"""Transfer networks for pictures of any size: every normalisation with statistics of the whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from keras import ops

from tf_style.images.inputs import MIN_INPUT_SIDE
from tf_style.images.reading import as_floats
from tf_style.images.resizing import scaled_size
from tf_style.images.tiling import Box, rounded_up, tile_grid
from tf_style.inference.tile_buffer import TileBuffer, shrunk
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.grain import Grain
from tf_style.nn.predicted import PREDICTOR_SIZE, PredictedStylizer
from tf_style.nn.receptive_field import receptive_radius
from tf_style.nn.statistics import Moments, channel_moments
from tf_style.nn.transfer_network import STRIDE

__all__ = ["TiledNetwork"]

# Longer side of the copy whose moments `thumbnail` takes.
THUMBNAIL = 1024

# What has more values a pixel than this is not kept but computed again from what lies before it:
# of the published network the first convolution and the last but one, a sixth of its work, to keep
# which would double the scratch file.
KEPT = 16


@dataclass(frozen=True)
class Activations:
    """What a step of the network gives for a whole picture.

    Attributes:
        height: Rows.
        width: Columns.
        read: Box -> what is there, `(1, box.height, box.width, channels)`.
    """

    height: int
    width: int
    read: Callable[[Box], tf.Tensor]


class TiledNetwork:
    """A transfer network, convolution by convolution over the tiles, or by a thumbnail.

    A convolution's output is kept as it is, and normalised when it is read, by moments that are
    merged while it is written.

    Args:
        stylizer: A `ConditionalStylizer` or `PredictedStylizer`.
        statistics: `exact`, or `thumbnail`: the moments of a copy of 1024 px.
    """

    def __init__(
        self, stylizer: ConditionalStylizer | PredictedStylizer, statistics: str = "exact"
    ):
        self.stylizer = stylizer
        self.network, self._grain = stylizer.network, Grain(stylizer.arguments["grain"])
        self.exact = statistics == "exact"
        # Of one step, and of the step before it where that is computed again.
        step = 2 * max(step.kernel // 2 for step in self.network.table)
        self.halo = step if self.exact else receptive_radius(self.network.layers)

    def scratch_bytes(self, height: int, width: int) -> int:
        """Return the most that is kept of a picture at one time."""
        if not self.exact:
            return 0
        height, width = rounded_up(height, STRIDE), rounded_up(width, STRIDE)
        most, before, source, scale = 0, 0, 0, 1
        for step in self.network.table:
            scale = scale * step.stride // step.upsampling
            size = step.filters * np.dtype(self._dtype(step)).itemsize / scale**2
            kept = size if self._is_kept(step, scale) else 0
            most = max(most, source + kept + (before if step.adds else 0))
            before, source = source, kept or source
        return int(most * height * width)

    def __call__(
        self, content: TileBuffer, statistics: np.ndarray, alpha: float, tile: int, spilled: bool
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """The stylised picture, piece by piece; arguments as in `TiledTransfer`."""
        strength = np.float32([alpha])
        for box, piece in self._full_strength(content, statistics, strength, tile, spilled):
            if alpha < 1:
                photo = as_floats(content.read(box))[None]
                piece = np.asarray(self.stylizer.strength(photo, piece[None], strength))[0]
            yield box, piece

    def _full_strength(self, content, statistics, alpha, tile, spilled):
        """The pieces before the strength acts on pixels, if it does."""
        # The predictor brings any picture to this size.
        small = shrunk(content, PREDICTOR_SIZE, PREDICTOR_SIZE)[None] if alpha < 1 else None
        style = self.stylizer.parameters_of(small, statistics[None], alpha)
        parameters, start = {}, 0
        for step in self.network.table:
            end = start + 2 * step.filters * step.normalised
            parameters[step.name], start = style[:, start:end], end
        height, width = (rounded_up(side, STRIDE) for side in (content.height, content.width))
        if self.exact:
            last = self._exactly(content, height, width, parameters, tile, spilled)
            for part in tile_grid(height, width, tile):
                yield content.piece(part.core, last.read(part.core))
        else:
            thumbnail = scaled_size(content.height, content.width, longer=THUMBNAIL)
            copy = shrunk(content, *(max(side, MIN_INPUT_SIDE) for side in thumbnail))
            copy = self.network.get_layer("pad")(self._grain(copy[None]))
            _, moments = self._at_once(copy, parameters)
            for part in tile_grid(height, width, tile, self.halo, STRIDE):
                image, _ = self._at_once(
                    content.image(part.window, self._grain), parameters, moments
                )
                yield content.piece(part.core, part.inner.of(image))

    def _at_once(self, x, parameters, moments=None):
        """The whole network on one image, and the moments that it had or was given."""
        before, used = None, {}
        for step in self.network.table:
            y = self._convolved(step, x)
            if step.normalised:
                own = ops.stack(channel_moments(y), axis=1) if moments is None else None
                used[step.name] = moments[step.name] if own is None else own
                y = self._layer(step, "norm")(y, parameters[step.name], used[step.name])
            before, x = x, step.finished(y, before)
        return x, used

    def _exactly(self, content, height, width, parameters, tile, spilled):
        source = Activations(height, width, lambda box: content.image(box, self._grain))
        before = None
        table = self.network.table
        for step, after in zip(table, [*table[1:], None], strict=True):
            scale = height // source.height * step.stride // step.upsampling
            result = self._step(step, source, before, parameters[step.name], scale, tile, spilled)
            # What is not needed any more is let go.
            before, source = source if after and after.adds else None, result
        return source

    def _step(self, step, source, before, parameters, scale, tile, spilled):
        """One step over all tiles of a picture; `scale` is the stride of what it gives."""
        up, stride = step.upsampling, step.stride
        height, width = source.height * up // stride, source.width * up // stride
        margin = -(-(step.kernel // 2) // (up * stride)) * stride

        def convolved(box):
            window = (box * stride // up).grown(margin, source.height, source.width)
            y = self._convolved(step, source.read(window))
            return box.within(window * up // stride).of(y)

        plane, moments = None, Moments()
        if self._is_kept(step, scale):
            plane = TileBuffer(height, width, step.filters, self._dtype(step), spilled)
        parts = tile_grid(height, width, -(-tile // scale), 0, max(up, STRIDE // scale))
        for part in parts if plane or step.normalised else ():
            y = convolved(part.core)
            if step.normalised:
                moments.add(y)
            if plane:
                plane.write(part.core, y.numpy()[0])

        # It must not hold on to `convolved`, and all that lies before it, once there is a plane.
        raw = (lambda box: tf.constant(plane.read(box)[None])) if plane else convolved

        def read(box):
            y = raw(box)
            if step.normalised:
                y = self._layer(step, "norm")(y, parameters, moments.statistics())
            return y if step.adds else step.finished(y, None)

        if not step.adds:
            return Activations(height, width, read)
        # The sum takes the place of what was convolved.
        for part in parts:
            total = step.finished(read(part.core), before.read(part.core))
            plane.write(part.core, total.numpy()[0])
        return Activations(height, width, raw)

    def _convolved(self, step, x):
        if step.upsampling > 1:
            x = self._layer(step, "up")(x)
        return self.network.get_layer(step.name)(self._layer(step, "pad")(x))

    def _layer(self, step, suffix):
        return self.network.get_layer(f"{step.name}_{suffix}")

    def _is_kept(self, step, scale):
        return step.adds or step.filters <= KEPT * scale**2

    def _dtype(self, step):
        """Of what is kept: the convolution's, of a block's end that of the sum."""
        return "float32" if step.adds else self.network.get_layer(step.name).compute_dtype
