"""Standard streams that may be closed, full or read by nobody: words are lost there, not work."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

__all__ = ["forgiving_streams"]


@contextlib.contextmanager
def forgiving_streams() -> Iterator[None]:
    """While it lasts, no write to stdout or stderr fails: what cannot be written is dropped.

    Example:
        >>> with forgiving_streams():
        ...     print("told")
        told
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one. Else the next file, a result perhaps, would get
            # it, and all that is told.
            os.open(os.devnull, os.O_RDWR)
    out, err = map(_Forgiving, (sys.stdout, sys.stderr))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        out.let_go()
        err.let_go()


class _Forgiving:
    """A stream without the faults of its writes; else it is the stream itself, None if closed."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def isatty(self):
        with _forgiven():
            return self._stream.isatty()
        return False

    def write(self, text):
        with _forgiven():
            self._stream.write(text)
        return len(text)

    def flush(self):
        with _forgiven():
            self._stream.flush()

    def let_go(self):
        """Empty the buffer, which the interpreter flushes at its end: a fault is an exit code."""
        with _forgiven():
            try:
                self._stream.flush()
            except OSError:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
                self._stream.flush()


def _forgiven():
    """The faults of a stream that is full or without a reader, closed, or None."""
    return contextlib.suppress(OSError, ValueError, AttributeError)
