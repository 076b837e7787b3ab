"""The scales of a pixel optimisation: their sizes and evaluations, their memory, their tiles."""

import functools

from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.tiled_objective import halo_of
from tf_style.images.resizing import scaled_size
from tf_style.memory import TILES, first_that_fits, untiled_bytes, window_pixels
from tf_style.mixtures import weighted
from tf_style.nn.style_losses import layers_that_count
from tf_style.nn.vgg import VGGEncoder

__all__ = ["MIN_PYRAMID_SIDE", "PICTURE_BYTES", "bytes_of", "plan", "tile_for"]

# Under 32 px a side relu5_1 has two positions or one.
MIN_PYRAMID_SIDE = 32

# Scales are the default from this longer side on, and the coarsest has at least this one.
COARSE_TO_FINE, COARSEST = 512, 128

# A coarse scale has one in so many of the evaluations: more bring the finest no further.
COARSE_SHARE = 8

# Peak of encoder and gradient above the libraries' own, with the pictures; the history is counted
# apart. Measured from 128 to 512 px (VGG16 to relu5_1, float32; bfloat16 takes less).
EVALUATION_BYTES = 3600

# Of a picture taken by tiles, besides their windows: L-BFGS has some twenty more of its size in a
# line search; pictures, content's features. By benchmarks/tiled_gradient.py.
PICTURE_BYTES = 400

# Of each pair of L-BFGS's history: a step, a change of the gradient, and one of them once more
# while a state is written.
PAIR_BYTES = 3 * 12


def plan(height: int, width: int, scales: int, max_evaluations: int) -> list[tuple]:
    """Return the height, width and evaluations of every size, coarse to fine.

    Each size has twice the size of the one before. A coarse one has an eighth of the evaluations
    (less of more than four), which cost a quarter and less; the finest has the others.

    Args:
        height: Height of the finest.
        width: Width of the finest.
        scales: How many; 0: for pictures of 512 px and more as many as leave the coarsest a
            longer side of 128 px or more, else one.
        max_evaluations: Evaluations in all.

    Raises:
        UserError: A side of less than 32 px.

    Example:
        >>> plan(384, 512, 0, 500)
        [(96, 128, 62), (192, 256, 62), (384, 512, 376)]
    """
    longer, shorter = max(height, width), min(height, width)
    if shorter < MIN_PYRAMID_SIDE:
        raise UserError(
            f"The photo is {width}x{height} here: both sides must be {MIN_PYRAMID_SIDE} px or "
            "more; use a larger --content-size."
        )
    if not scales:
        scales = 1
        while longer >= COARSE_TO_FINE and longer / 2**scales >= COARSEST:
            scales += 1
    while scales > 1 and (
        shorter / 2 ** (scales - 1) < MIN_PYRAMID_SIDE or scales > max_evaluations
    ):
        scales -= 1
    each = max(1, max_evaluations // max(COARSE_SHARE, 2 * scales))
    sizes = [scaled_size(height, width, longer=round(longer / 2**k)) for k in range(scales)][::-1]
    return [
        (h, w, each if k < scales - 1 else max_evaluations - each * (scales - 1))
        for k, (h, w) in enumerate(sizes)
    ]


def bytes_of(config: GatysConfig, height: int, width: int, tile: int = 0) -> tuple[int, int]:
    """Memory of a scale, above the libraries' own: bytes a pixel, and bytes whatever its size.

        without tiles   EVALUATION_BYTES + history
        by tiles        PICTURE_BYTES + history,   EVALUATION_BYTES * (tile + 2 * halo)**2

    Args:
        config: Layers and optimiser.
        height: Height of the scale.
        width: Width of the scale.
        tile: Side of a tile; 0: none.

    Example:
        >>> bytes_of(GatysConfig(history=10), 300, 400)
        (3960, 0)
    """
    history = PAIR_BYTES * config.history if config.optimizer == "lbfgs" else 0
    if not tile:
        return EVALUATION_BYTES + history, 0
    window = window_pixels(height, width, tile, _halo(config))
    return PICTURE_BYTES + history, EVALUATION_BYTES * window


def tile_for(
    config: GatysConfig, height: int, width: int, limit: float, before: int | None = None
) -> int:
    """Side of the tiles that a scale is taken by; 0: none.

    Args:
        config: With `tile_size`, which wins.
        height: Height of the scale.
        width: Width of the scale.
        limit: Bytes that there are.
        before: What the run that is resumed had: the same if it fits, as other tiles give the
            same but for rounding.

    Example:
        >>> [tile_for(GatysConfig(), side, side, limit=8e9) for side in (512, 1024, 2048)]
        [0, 0, 512]
    """
    if "gaussian" in weighted(config.style_loss):
        return 0
    known = () if before is None else (before,)
    choices = (config.tile_size,) if config.tile_size else (*known, 0, *TILES)

    def total(tile):
        each, fixed = bytes_of(config, height, width, tile)
        return untiled_bytes(height, width, each) + fixed

    tile = first_that_fits(choices, total, limit)
    # Otherwise one window is the whole picture.
    return tile if tile and max(height, width) > tile + 2 * _halo(config) else 0


@functools.cache
def _halo(config):
    return halo_of(VGGEncoder(config.encoder, layers_that_count(config)))
