"""Gatys' method for programs: arrays in, an array out."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tf_style.config import from_dict
from tf_style.errors import UserError
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import Iterate, gatys
from tf_style.gatys.pyramid import MIN_PYRAMID_SIDE
from tf_style.images.color import match_color, preserve_luma
from tf_style.images.inputs import input_image
from tf_style.images.resizing import fit_longer, fit_shorter, resize_mask
from tf_style.option_groups import check_count

__all__ = ["optimize"]


def optimize(
    content: np.ndarray,
    style: np.ndarray | Sequence[np.ndarray],
    config: GatysConfig | None = None,
    *,
    content_masks: Sequence[np.ndarray] = (),
    style_masks: Sequence[np.ndarray] = (),
    callback: Callable[[Iterate], None] | None = None,
    **options,
) -> np.ndarray:
    """Optimise one picture for the content of a photo and the style of one painting or several.

    What `stylize.py --method gatys` does, without files: options of paths, names, saving and the
    device have no meaning here, and the photo keeps its size whatever `content_size` is.

    Args:
        content: Image `(height, width, 3)`, float in [0, 1] or uint8, or its path.
        style: A painting in the same form, of any size; or several, which `style_weights`
            blends.
        config: All options; None: the defaults.
        content_masks: Regions of the photo, `(height, width)` in [0, 1] of any size; each takes the
            style of its own region of the painting.
        style_masks: One for each of them, of the one painting.
        callback: Called with every iterate; `iterate.loss` and its parts are there, and
            `iterate.note` where there is something to say.
        **options: Fields of `GatysConfig`, by name; they win over `config`. A `preset` sets
            defaults where there is no `config`.

    Returns:
        Image of the photo's size, float32 in [0, 1].

    Raises:
        UserError: A picture, mask or option that cannot be used.
        NonFiniteError: The loss is not finite.

    Example:
        >>> photo, painting = np.random.default_rng(0).random((2, 40, 48, 3), "float32")
        >>> losses = []
        >>> image = optimize(photo, painting, encoder="vgg16", content_layers=["relu2_1"],
        ...                  style_layers=["relu1_1"], max_evaluations=8,
        ...                  callback=lambda iterate: losses.append(iterate.loss))
        >>> image.shape, image.dtype, losses[-1] < losses[0]
        ((40, 48, 3), dtype('float32'), True)
    """
    if config is None:
        config = from_dict(GatysConfig, options)
    elif options:
        config = dataclasses.replace(config, **options)
    content = input_image(content, "content")
    styles = [
        _sized(config, input_image(one, "style"), content)
        for one in (style if isinstance(style, list | tuple) else [style])
    ]
    if config.style_weights:
        check_count(config.style_weights, styles)
    if len(content_masks) != len(style_masks) or (style_masks and len(styles) > 1):
        raise UserError(
            "`content_masks` and `style_masks` go in pairs, with one painting. Received: "
            f"{len(content_masks)} and {len(style_masks)}, with {len(styles)}"
        )
    if config.preserve_color == "match":
        styles = [match_color(one, content) for one in styles]
    for iterate in gatys(
        content,
        styles,
        config,
        shares=list(config.style_weights),
        content_masks=[resize_mask(mask, *content.shape[:2]) for mask in content_masks],
        style_masks=[resize_mask(mask, *styles[0].shape[:2]) for mask in style_masks],
    ):
        if callback is not None:
            callback(iterate)
    if config.preserve_color == "luma":
        return preserve_luma(iterate.image, content)
    return iterate.image


def _sized(config, style, content):
    if config.style_size:
        return fit_shorter(style, config.style_size, enlarge=True)
    longer = max(MIN_PYRAMID_SIDE, round(max(content.shape[:2]) * config.style_scale))
    return fit_longer(style, longer, enlarge=True)
