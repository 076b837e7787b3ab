"""AdaIN's networks as a table: what all contenders compute, on which weights, and how much it is.

VGG19 to relu4_1 and its mirror, with borders reflected: https://arxiv.org/abs/1703.06868, section
6.1. NumPy alone, so that a contender's memory is its own library's.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["DECODER", "ENCODER", "Convolution", "flops", "random_weights", "training_flops"]


class Convolution(NamedTuple):
    """A convolution of 3x3: its place in a checkpoint, its channels, its input's stride."""

    name: str
    channels: int
    filters: int
    stride: int

    def flops(self, height: int, width: int) -> int:
        """Multiplications and additions for a picture of this size.

        Example:
            >>> Convolution("encoder/block1_conv1", 3, 64, 1).flops(10, 10)
            345600
        """
        positions = (height // self.stride) * (width // self.stride)
        return 2 * 9 * self.channels * self.filters * positions


def _encoder():
    channels = 3
    for block, (count, filters) in enumerate(((2, 64), (2, 128), (4, 256), (1, 512)), 1):
        for k in range(1, count + 1):
            yield Convolution(f"encoder/block{block}_conv{k}", channels, filters, 2 ** (block - 1))
            channels = filters


ENCODER = tuple(_encoder())
DECODER = tuple(
    Convolution(c.name.replace("encoder/block", "decoder/conv").replace("_conv", "_"),
                c.filters, c.channels, c.stride)
    for c in reversed(ENCODER)
)  # fmt: skip


def flops(height: int, width: int, encoded: int = 2, decoded: int = 1) -> int:
    """FLOPs of the convolutions for pictures of one size.

    Args:
        height: Of every picture.
        width: Likewise.
        encoded: Pictures that the encoder sees; 2 and one decoded are a pair.
        decoded: Pictures that come out of the decoder.

    Example:
        >>> f"{flops(512, 512):.3g}"
        '3.8e+11'
    """
    encoder, decoder = (sum(c.flops(height, width) for c in net) for net in (ENCODER, DECODER))
    return encoded * encoder + decoded * decoder


def training_flops(size: int, batch: int) -> int:
    """FLOPs of the convolutions in one training step.

    Forward: content, style and result through the encoder, the decoder once. Backward: through the
    encoder to its picture, which is as much as forward; through the decoder to its weights and its
    features, but for those that it starts from.

    Example:
        >>> training_flops(256, 4) / flops(256, 256) / 4 > 2
        True
    """
    last = DECODER[0].flops(size, size)
    return batch * (flops(size, size, encoded=4, decoded=3) - last)


def random_weights(seed: int) -> dict[str, np.ndarray]:
    """Weights of both networks as a checkpoint names them; kernels `(3, 3, channels, filters)`.

    He et al.'s deviation, so that features neither grow nor vanish; the first kernel takes pixels
    of 0 to 255 to numbers about 1, the last gives pictures about a mid-grey, seldom clipped.
    """
    rng, weights = np.random.default_rng(seed), {}
    for c in (*ENCODER, *DECODER):
        scale = (2 / (9 * c.channels)) ** 0.5
        scale *= {ENCODER[0]: 1 / 64, DECODER[-1]: 1 / 16}.get(c, 1.0)
        kernel = rng.normal(0, scale, (3, 3, c.channels, c.filters))
        weights[f"{c.name}/kernel"] = kernel.astype("float32")
        weights[f"{c.name}/bias"] = np.full(c.filters, 0.5 * (c is DECODER[-1]), "float32")
    return weights
