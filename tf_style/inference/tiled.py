"""Pictures of any size, tile by tile: what `StyleTransfer.transfer` does, in bounded memory.

Every normalisation needs statistics of the whole picture, so it is gone over more than once:

    AdaIN               1 encode, merge the moments, keep the features
                        2 decode
    transfer network    once for each convolution: convolve, merge the moments, keep the output
      by a thumbnail    once, with the moments that a small copy of the picture has

In float32 the first two give what the whole picture would, but for rounding.
"""

import numpy as np

from tf_style.images.color import preserve_luma
from tf_style.images.reading import as_floats
from tf_style.images.writing import to_uint8
from tf_style.inference.style_transfer import StyleTransfer, check_alpha, check_result
from tf_style.inference.tile_buffer import TileBuffer
from tf_style.inference.tiled_adain import TiledAdaIN
from tf_style.inference.tiled_network import TiledNetwork
from tf_style.nn.adain import AdaINStylizer

__all__ = ["TiledTransfer"]


class TiledTransfer:
    """A trained model for pictures of any size.

    Args:
        stylize: The model.
        statistics: `exact` or `thumbnail`, of the normalisations of a transfer network.

    Attributes:
        halo: Pixels around a tile that are computed besides, at most.

    Example:
        >>> from tf_style.inference.style_transfer import load
        >>> stylize = load("adain", "float32")
        >>> rng = np.random.default_rng(0)
        >>> painting = rng.random((32, 32, 3), "float32")
        >>> photo = rng.integers(0, 256, (70, 90, 3), "uint8")
        >>> image = TiledTransfer(stylize)(photo, stylize.encode_style(painting), tile=32)
        >>> image.shape, image.dtype
        ((70, 90, 3), dtype('uint8'))
    """

    def __init__(self, stylize: StyleTransfer, statistics: str = "exact"):
        self.stylize = stylize
        if isinstance(stylize.stylizer, AdaINStylizer):
            self._pieces = TiledAdaIN(stylize.stylizer)
        else:
            self._pieces = TiledNetwork(stylize.stylizer, statistics)
        self.halo = self._pieces.halo

    def scratch_bytes(self, height: int, width: int, passes: int = 1) -> int:
        """Return the most that is kept of a picture at one time, in bytes.

        Args:
            height: Height of the picture.
            width: Width of the picture.
            passes: Times that the network is applied; results but the last are kept as float32.
        """
        images = min(passes - 1, 2) * 12 * height * width
        return self._pieces.scratch_bytes(height, width) + images

    def __call__(
        self,
        content: np.ndarray,
        statistics: np.ndarray,
        alpha: float = 1.0,
        *,
        tile: int = 1024,
        spilled: bool = False,
        passes: int = 1,
        luma: bool = False,
    ) -> np.ndarray:
        """Stylise one picture.

        Args:
            content: `(height, width, 3)`, uint8, or float32 in [0, 1]; both sides 16 px or more.
            statistics: The style, from `StyleTransfer.encode_style`.
            alpha: Strength in [0, 1].
            tile: Side of a tile in pixels, without its halo.
            spilled: Whether what is kept between the passes lies in a scratch file.
            passes: Times that the network is applied.
            luma: Whether only the brightness is stylised.

        Returns:
            Image of the content's size, uint8.

        Raises:
            UserError: A number out of range, or a scratch file that cannot be used.
            NonFiniteError: The network gave NaN, infinity or one flat colour.
        """
        check_alpha(alpha)
        whole = image = TileBuffer.of(content)
        for left in reversed(range(passes)):
            dtype = "float32" if left else "uint8"
            result = TileBuffer(image.height, image.width, 3, dtype, spilled and left > 0)
            extremes = []
            for box, piece in self._pieces(image, statistics, alpha, tile, spilled):
                extremes += [piece.min((0, 1)), piece.max((0, 1))]
                if luma and not left:
                    piece = preserve_luma(piece, as_floats(whole.read(box)))
                result.write(box, piece if left else to_uint8(piece))
            check_result(np.stack(extremes)[None], content)
            image = result
        return image.array
