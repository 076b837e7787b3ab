"""What both scripts share: one sentence for a fault, an exit code, a progress bar."""

import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable

from tf_style import flags
from tf_style.errors import NonFiniteError, UserError

__all__ = ["Interrupt", "import_tensorflow", "progress_bar", "run"]

# The table in the README.
OK, SOME_FAILED, USER_ERROR, NON_FINITE, NO_MEMORY = 0, 1, 2, 3, 4


def run(config_class: type, main: Callable[..., int], doc: str, argv: list[str] | None) -> int:
    """Parse the flags, run the program, and turn what went wrong into a sentence and a code.

    Args:
        config_class: The dataclass of the program's options.
        main: Called with the config; returns the exit code.
        doc: The program's docstring, the head of `--help`.
        argv: The command line; None for the process's own.
    """
    argv = sys.argv if argv is None else argv
    program = os.path.basename(argv[0])
    if any(word in ("-h", "--help", "-help", "--helpfull") for word in argv[1:]):
        print(flags.help_text(config_class, doc), end="")
        return OK
    warnings.showwarning = lambda message, *_: print(f"{program}: {message}", file=sys.stderr)
    try:
        return main(flags.parse(config_class, argv))
    except UserError as error:
        return _say(program, error, USER_ERROR)
    except NonFiniteError as error:
        return _say(program, error, NON_FINITE)
    except KeyboardInterrupt:
        return _say(program, "interrupted", 128 + signal.SIGINT)
    except MemoryError:
        return _say(program, "out of memory; use smaller pictures or batches", NO_MEMORY)
    except Exception as error:
        # By name: the module that defines it must not be imported for `--help`.
        if type(error).__name__ == "ResourceExhaustedError":
            return _say(program, "out of memory; use smaller pictures or batches", NO_MEMORY)
        raise


def _say(program: str, what: object, code: int) -> int:
    print(f"{program}: {what}", file=sys.stderr)
    return code


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices without its pages of greetings.

    They are written by C++ before any setting is read, so the file descriptor is turned aside
    for the while; if the import fails they are shown. TF_CPP_MIN_LOG_LEVEL, if set, is obeyed
    instead.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class Interrupt:
    """Ctrl-C and SIGTERM as a question: the work asks, finishes its step and saves.

    A second signal interrupts at once.

    Example:
        >>> interrupt = Interrupt()
        >>> interrupt()
        False
    """

    def __init__(self):
        self.signal = 0
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number, frame):
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return bool(self.signal)


def progress_bar(unit: str):
    """A bar with count, time left and a line of text; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
