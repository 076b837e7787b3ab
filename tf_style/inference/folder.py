"""A folder of photos in the style of a folder of paintings, by a trained model."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_style import machine
from tf_style.errors import NonFiniteError, UserError, counted
from tf_style.inference.config import StylizeConfig
from tf_style.inference.pipeline import Pipeline
from tf_style.inference.planning import plans_of
from tf_style.inference.style_transfer import load
from tf_style.inference.styles import Styles
from tf_style.inference.tiled import TiledTransfer
from tf_style.inference.wanted import wanted_of

__all__ = ["StylizingProgress", "stylize_folder"]


@dataclass(frozen=True)
class StylizingProgress:
    """One result of `stylize_folder`, or why there is none.

    Attributes:
        path: The file written, or the file that could not be used.
        done: Results so far, failures included.
        total: Results in all.
        seconds: How long this one took.
        fault: What went wrong, or None.
        note: One sentence on the whole run; then there is no result.
    """

    path: Path | None
    done: int
    total: int
    seconds: float = 0.0
    fault: UserError | NonFiniteError | None = None
    note: str = ""


def stylize_folder(
    config: StylizeConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[StylizingProgress]:
    """Stylise every photo with every painting, into a folder.

    Names, formats, sizes and memory are checked before any work. A picture that cannot be
    read, or does not fit into memory, is named and left out, the rest is done. A style is encoded
    once, when it is first needed.

    Args:
        config: All options of the run.
        should_stop: Asked before every result; once true, no other is begun.

    Yields:
        A record for each result and each failure.

    Raises:
        UserError: Something the user can mend, before any work.
    """
    machine.choose_one(config.device)
    wanted = wanted_of(config)
    total, todo = wanted.total, wanted.todo
    skipped = total - len(todo)

    def note(sentence):
        return StylizingProgress(None, 0, total, note=sentence)

    if skipped:
        yield note(f"{skipped} of {counted(total, 'result')} skipped: already there")
    if not todo:
        return
    stylize = load(config.checkpoint, config.precision)
    tiled = TiledTransfer(stylize, config.tile_statistics)
    paintings = [source for source in wanted.sources.values() if isinstance(source, Path)]
    plans = plans_of(config, tiled, [content for content, _ in todo], paintings)
    yield from map(note, plans.notes)
    styles = Styles(config, stylize, wanted, plans.styles)
    yield from map(note, styles.encode_blends())

    results = Pipeline(config, stylize, styles, tiled, plans, should_stop)(todo)
    began = time.monotonic()
    for done, (path, fault) in enumerate(results, skipped + 1):
        now = time.monotonic()
        yield StylizingProgress(path, done, total, now - began, fault)
        began = now
