"""How far the work is: a bar where there is a terminal, and lines that remain everywhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn
from rich.table import Column
from rich.text import Text

__all__ = ["Bar", "time_left"]

# Without a terminal, a line this often; on one, where the bar says the rest, so many in all.
SECONDS_PER_LINE = 30
LINES = 20

TITLE_WIDTH = 24


class _Title(ProgressColumn):
    """What is done, cut to the width that the other columns leave."""

    def render(self, task):
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Numbers(ProgressColumn):
    """` 30% 2h05m left 120/400 steps`: what matters most is cut last."""

    def render(self, task):
        if not task.total:
            return Text()
        share = f"{int(100 * task.completed / task.total):3d}%"
        counters = f"{task.completed}/{task.total} {task.fields['unit']}"
        told = " ".join(filter(None, (share, _left(task), counters)))
        return Text(told, no_wrap=True, overflow="ellipsis")


class Bar(Progress):
    """Titles, bars and numbers, with a text below that may be long; erased at the end.

    Where there is no terminal, or one that cannot move its cursor, there are lines alone.

    Attributes:
        disable: Whether there is no bar.

    Example:
        >>> bar = Bar()
        >>> bar.show("training", 120, 400, "steps", "content 1.2 style 3.4", left=65)
        >>> Console(width=60).print(bar)
        training ━━━━━━                 30% 1m05s left 120/400 steps
        content 1.2 style 3.4
    """

    def __init__(self):
        console = Console(stderr=True)
        super().__init__(
            _Title(table_column=Column(max_width=TITLE_WIDTH)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            _Numbers(table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            disable=not sys.stderr.isatty() or console.is_dumb_terminal,
            expand=True,
            transient=True,
        )
        self.last = None

    def get_renderables(self):
        """Yield the bars, and below them what is to be read whole."""
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["text"]) for task in self.tasks if task.fields["text"])

    def show(
        self, title: str, done: int, total: int | None, unit: str = "", text: str = "",
        left: float | None = None, steady: bool = False, skipped: int = 0,
    ) -> None:  # fmt: skip
        """Move the bar on.

        Args:
            title: Title of the bar; another one begins anew.
            done: How much of `total` is done.
            total: None as long as nobody knows.
            unit: Unit of both.
            text: Below the bar.
            left: Seconds, if they are known.
            steady: Reckon them from what was done since the title's first call.
            skipped: How much of that took no time, as an earlier run had done it.
        """
        now = time.monotonic()
        task = self.tasks[-1] if self.tasks else None
        anew = task is None or task.description != title
        first, before = (now, done) if anew else task.fields["began"]
        if steady and done - skipped > before:
            left = (now - first) / (done - skipped - before) * (total - done)
        ends = None if left is None else now + left
        fields = {"unit": unit, "text": text, "ends": ends, "began": (first, before)}
        if not anew:
            self.update(task.id, completed=done, total=total, **fields)
            return
        if task:
            self.remove_task(task.id)
        self.add_task(title, completed=done, total=total, **fields)
        self.last = None

    def due(self) -> bool:
        """Return whether a line that remains is due; the first and the last always are."""
        task, now = self.tasks[-1], time.monotonic()
        if self.disable:
            due = self.last is None or now - self.last > SECONDS_PER_LINE
            here = now
        else:
            here = LINES * task.completed // task.total
            due = here != self.last
        due = due or task.completed == task.total
        if due:
            self.last = here
        return due

    def line(self, what: str) -> str:
        """Where the bar stands: `120/400 <what>, 2h05m left`."""
        task = self.tasks[-1]
        return ", ".join(filter(None, (f"{task.completed}/{task.total} {what}", _left(task))))


def _left(task):
    """What is left of a bar's time, counted down between its moves."""
    ends = task.fields["ends"]
    return "" if ends is None else time_left(max(0.0, ends - time.monotonic()))


def time_left(seconds: float) -> str:
    """`2h05m left`, `3m20s left` or `7s left`.

    Example:
        >>> time_left(7500), time_left(200), time_left(7)
        ('2h05m left', '3m20s left', '7s left')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m left"
    return f"{minutes}m{seconds:02d}s left" if minutes else f"{seconds}s left"
