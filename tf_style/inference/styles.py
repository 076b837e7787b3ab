"""The styles of a run: read once, encoded once, mixed."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tf_style.errors import UserError
from tf_style.images.color import match_color
from tf_style.images.inputs import input_image
from tf_style.images.reading import read_image
from tf_style.images.resizing import center_crop, fit_shorter
from tf_style.inference.config import StylizeConfig
from tf_style.inference.style_transfer import StyleTransfer
from tf_style.inference.wanted import Mixture, Wanted
from tf_style.nn.adain import blend

__all__ = ["Styles"]


class Styles:
    """The styles of a run by their names. A style is encoded once, when it is first needed.

    Args:
        config: All options of the run.
        stylize: The model.
        wanted: What the run is to make.
        unfit: Paintings that do not fit into memory, with the reason.
    """

    def __init__(
        self,
        config: StylizeConfig,
        stylize: StyleTransfer,
        wanted: Wanted,
        unfit: dict[Path, UserError],
    ):
        self.config, self.stylize, self.unfit = config, stylize, unfit
        self.sources, self.mixtures = wanted.sources, wanted.mixtures
        self.encoded = functools.cache(self._encoded)

    def source(self, label: str) -> Path | None:
        """Return the painting that a result's label names; None for mixtures and tables."""
        source = self.sources.get(label)
        return source if isinstance(source, Path) else None

    def read(self, name: str) -> np.ndarray:
        """Return a painting as the model sees it.

        Args:
            name: The style's name.

        Raises:
            UserError: It cannot be read, or does not fit into memory.
        """
        c, path = self.config, self.sources[name]
        if path in self.unfit:
            raise self.unfit[path]
        image = read_image(path, background=c.background, max_pixels=c.max_pixels)
        image = center_crop(image) if c.crop else image
        return input_image(fit_shorter(image, c.style_size, enlarge=True), f"`{path}`")

    def _encoded(self, name):
        source = self.read(name) if self.source(name) else self.sources[name]
        return self.stylize.encode_style(source)

    def statistics(self, mixture: Mixture, content: np.ndarray) -> np.ndarray:
        """Return the statistics of a mixture of styles, in the photo's colours where asked for.

        Args:
            mixture: Weights of the styles, by their names.
            content: The photo.
        """
        if self.config.preserve_color == "match":
            matched = (match_color(self.read(name), content) for name in mixture)
            parts = [self.stylize.encode_style(style) for style in matched]
        else:
            parts = [self.encoded(name) for name in mixture]
        return blend(np.stack(parts), list(mixture.values()))

    def encode_blends(self) -> Iterator[str]:
        """Encode what blends and sheets need, before any work, and say what is blended.

        Raises:
            UserError: A blend lacks one of its styles.
        """
        for sheet in self.mixtures.values():
            names = dict.fromkeys(name for mixture in sheet for name in mixture)
            if len(names) == 1:
                continue
            try:
                for name in names:
                    self.encoded(name)
            except UserError as error:
                raise UserError(f"A blend needs all its styles: {error}") from error
            if len(sheet) == 1:
                shares = (f"{w:.0%} {Path(self.sources[n]).name}" for n, w in sheet[0].items())
                yield f"the style is {', '.join(shares)}"
