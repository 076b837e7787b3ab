"""The objective of pixel optimisation in tiles: the same value and gradient in less memory."""

from dataclasses import astuple
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_style.errors import UserError
from tf_style.gatys.objective import Objective
from tf_style.images.tiling import Tile, tile_grid
from tf_style.nn.losses import content_loss
from tf_style.nn.receptive_field import receptive_radius
from tf_style.nn.style_losses import LossWeights
from tf_style.nn.vgg import VGGEncoder, stride_of

__all__ = ["TiledObjective", "halo_of"]


class TiledObjective(Objective):
    """`Objective`, its gradient taken one tile at a time: exact, but for rounding.

    What the style losses compare are means over positions, so that those of a picture follow from
    those s_t of its tiles, and the chain rule takes the gradient apart in the same way:

        first pass    s = merge{ s_t(x) },   dL/ds_t
        second pass   dL/dx = sum{ d/dx( <dL/ds_t, s_t(x)> + content_t(x) ) } + d/dx tv(x)

    s_t is of a tile's core, the features of which are computed in a window that is larger on each
    side by the receptive field: the window's pixels have their part of the gradient in it. The
    second pass computes the features again; it keeps nothing of one tile for the next. Where the
    gradient of a whole costs about two passes of the encoder, this costs three, times what the
    windows overlap.

    Args:
        encoder: The argument of `Objective`, like all that follow.
        content: Image `(height, width, 3)`.
        styles: Images of any size and how much each counts, or one image.
        weights: What each part counts; not with the Gaussian kernel, which draws positions from
            the whole picture.
        content_masks: Regions of the content.
        style_masks: One for each of them, of the style.
        tile: Side of a tile's core in pixels, as in `tile_grid`.

    Raises:
        UserError: The Gaussian kernel.

    Example:
        >>> encoder = VGGEncoder("vgg16", ("relu1_1",))
        >>> photo, style = np.random.default_rng(0).random((2, 32, 48, 3)).astype("float32")
        >>> weights = LossWeights({"relu1_1": 1.0}, {("relu1_1", "gram"): 1.0})
        >>> pixels = tf.reshape(style, [-1])
        >>> whole, _ = Objective(encoder, photo, photo, weights)(pixels)
        >>> tiled, gradient = TiledObjective(encoder, photo, photo, weights, tile=16)(pixels)
        >>> np.allclose(whole, tiled, rtol=1e-4), gradient.shape
        (True, TensorShape([4608]))

    References: https://doi.org/10.1109/CVPR.2016.265; the statistics' merging
    https://www.cs.yale.edu/publications/techreports/tr222.pdf
    """

    def __init__(
        self,
        encoder: VGGEncoder,
        content: np.ndarray,
        styles: np.ndarray | list[tuple[np.ndarray, float]],
        weights: LossWeights,
        content_masks: list[np.ndarray] = (),
        style_masks: list[np.ndarray] = (),
        tile: int = 512,
    ):
        if any(kernel == "gaussian" for _, kernel in weights.style):
            raise UserError(
                "The style loss gaussian draws positions from the whole picture and cannot be "
                "computed in tiles: use another --style-loss, or a smaller --content-size."
            )
        self.tile = tile
        super().__init__(encoder, content, styles, weights, content_masks, style_masks)
        tiles = self._tiles(content)
        self.boxes, self.shares = _boxes(tiles), _shares(tiles, content, self.regions)

    def parts(self, image: tf.Tensor) -> tf.Tensor:
        """Content, style and total variation of an image `(1, height, width, 3)`, weighted."""
        return self._first_pass(tf.convert_to_tensor(image))[0]

    def _value_and_gradient(self, pixels):
        image = tf.reshape(pixels, self.shape)
        parts, pulls = self._first_pass(image)
        return tf.reduce_sum(parts), tf.reshape(self._second_pass(image, pulls), [-1])

    def _first_pass(self, image):
        """The parts, and the derivatives of the style's by the statistics of every tile."""

        def of_tile(boxes):
            return self._tile(_cut(image, boxes.window), boxes)

        like = tf.TensorSpec([1]), self._like(self.regions)
        content, found = _for_each(of_tile, self.boxes, like)
        with tf.GradientTape() as tape:
            tape.watch(found)
            style = self._style_part(self._merged(found, self.shares))
        parts = [tf.reduce_sum(content, axis=0), style, self._tv_part(image)]
        return tf.concat(parts, axis=0), tape.gradient(style, found)

    def _second_pass(self, image, pulls):
        """The gradient, `(height, width, 3)`."""
        with tf.GradientTape() as tape:
            tape.watch(image)
            tv = self._tv_part(image)
        of_tv = tape.gradient(tv, image, unconnected_gradients="zero")

        def add(k, gradient):
            boxes, pull = tf.nest.map_structure(lambda x: x[k], (self.boxes, pulls))
            window = _cut(image, boxes.window)
            with tf.GradientTape() as tape:
                tape.watch(window)
                loss, found = self._tile(window, boxes)
                for a, b in zip(tf.nest.flatten(pull), tf.nest.flatten(found), strict=True):
                    loss += tf.reduce_sum(a * b)
            of_window = tape.gradient(loss, window)
            return k + 1, tf.tensor_scatter_nd_add(gradient, _pixels(boxes.window), of_window[0])

        count = len(self.boxes.core)
        start = 0, of_tv[0]
        return tf.while_loop(lambda k, _: k < count, add, start, parallel_iterations=1)[1]

    def _tile(self, window, boxes):
        """A tile's part of the content loss, and the statistics of its core."""
        features = self._core(window, boxes)
        content = tf.zeros(1)
        for layer, weight in self.weights.content.items():
            whole = self.content[layer]
            target = _cut(whole, boxes.core, stride_of(layer))
            share = tf.cast(tf.size(target) / tf.size(whole), tf.float32)
            content += weight * share * content_loss(features[layer], target)
        return content, self._described_core(features, self.regions, boxes)

    def _core(self, window, boxes):
        """Features of a tile's core."""
        features = self.encoder(window)
        return {layer: _cut(x, boxes.inner, stride_of(layer)) for layer, x in features.items()}

    def _described_core(self, features, regions, boxes):
        def weights(region, layer):
            if region is None:
                return None
            region = _cut(region, boxes.core, stride_of(layer))
            # Where a region has no part of a tile, its share is 0 and any finite statistics do.
            return tf.where(tf.reduce_any(region > 0), region, 1.0)

        regions = {layer: [weights(at, layer) for at in of] for layer, of in regions.items()}
        found = self._described(features, regions)
        return tf.nest.map_structure(lambda x: x[0], found)

    def _merged(self, found, shares):
        """Statistics of the whole, of those of all tiles."""
        return {
            (layer, kernel): [
                self.style_losses[layer, kernel].merge(*of_region)
                for of_region in zip(parts, shares[layer], strict=True)
            ]
            for (layer, kernel), parts in found.items()
        }

    def _like(self, regions):
        """What `_described_core` gives, without values."""
        outputs = self.encoder.output.items()
        blank = {layer: tf.zeros((1, 1, 1, output.shape[-1])) for layer, output in outputs}
        everywhere = {layer: [None] * len(of) for layer, of in regions.items()}
        found = self._described(blank, everywhere)
        return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:]), found)

    # The targets, likewise.

    def _tiles(self, image):
        return tile_grid(*image.shape[:2], self.tile, halo_of(self.encoder), _stride(self.encoder))

    def _content_features(self, image):
        found = {}
        for tile in self._tiles(image) if self.weights.content else ():
            boxes = Boxes(*(x[0] for x in _boxes([tile])))
            features = self._core(_cut(image[None], boxes.window), boxes)
            for layer in self.weights.content:
                stride, x = stride_of(layer), features[layer].numpy()
                if layer not in found:
                    height, width = (side // stride for side in image.shape[:2])
                    found[layer] = np.zeros((1, height, width, x.shape[-1]), x.dtype)
                found[layer][0][(tile.core // stride).slices] = x[0]
        return {layer: tf.constant(x) for layer, x in found.items()}

    def _statistics(self, image, regions):
        tiles = self._tiles(image)

        def of_tile(boxes):
            features = self._core(_cut(image[None], boxes.window), boxes)
            return self._described_core(features, regions, boxes)

        found = _for_each(of_tile, _boxes(tiles), self._like(regions))
        return self._merged(found, _shares(tiles, image, regions))


def halo_of(encoder: VGGEncoder) -> int:
    """Pixels around a tile that the features of its core depend on, at most.

    Example:
        >>> halo_of(VGGEncoder("vgg16", ("relu1_1", "relu4_1")))
        32
    """
    return receptive_radius(encoder.layers) * _stride(encoder)


def _stride(encoder):
    return max(map(stride_of, encoder.output))


class Boxes(NamedTuple):
    """A tile, or all: rows and columns as `Box` has them, `(4,)` or `(tiles, 4)` int32."""

    window: tf.Tensor
    inner: tf.Tensor
    core: tf.Tensor


def _boxes(tiles: list[Tile]) -> Boxes:
    columns = ([astuple(getattr(tile, name)) for tile in tiles] for name in Boxes._fields)
    return Boxes(*(tf.constant(column, tf.int32) for column in columns))


def _cut(x, box, stride=1):
    """A box of features of this stride, `(1, height, width, ...)`."""
    top, left, bottom, right = tf.unstack(box // stride)
    return x[:, top:bottom, left:right]


def _pixels(box):
    """Row and column of each pixel of a box, `(height, width, 2)`."""
    top, left, bottom, right = tf.unstack(box)
    places = tf.meshgrid(tf.range(top, bottom), tf.range(left, right), indexing="ij")
    return tf.stack(places, axis=-1)


def _shares(tiles, image, regions):
    """For every layer and region how much of its weight is in each tile."""
    shares = {}
    for layer, of in regions.items():
        stride = stride_of(layer)
        ones = np.ones([side // stride for side in image.shape[:2]])
        cores = [(tile.core // stride).slices for tile in tiles]
        wholes = [ones if region is None else np.float64(region[0]) for region in of]
        shares[layer] = [
            tf.constant([whole[core].sum() / whole.sum() for core in cores], tf.float32)
            for whole in wholes
        ]
    return shares


def _for_each(function, boxes, like):
    """The function of each tile's boxes, one after the other, stacked."""
    return tf.map_fn(function, boxes, fn_output_signature=like, parallel_iterations=1)
