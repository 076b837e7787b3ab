"""What both scripts share: one sentence for a fault, an exit code, a progress bar."""

import contextlib
import errno
import functools
import itertools
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable

import tf_style
from tf_style.cli import flags
from tf_style.cli.streams import forgiving_streams
from tf_style.errors import NonFiniteError, UserError, WorkerLostError, counted

__all__ = [
    "Interrupt",
    "by_method",
    "code_of",
    "code_of_all",
    "import_tensorflow",
    "machine",
    "of_file",
    "progress_bar",
    "run",
    "say",
    "value_of",
]

HELP = ("-h", "--help", "-help", "--helpfull")

# Windows has no SIGHUP.
HANGUP = getattr(signal, "SIGHUP", None)

# The table in docs/files_and_exit_codes.md.
OK, SOME_FAILED, USER_ERROR, NON_FINITE, NO_MEMORY, WORKER_LOST = 0, 1, 2, 3, 4, 5


@forgiving_streams()
def run(
    config_class: type,
    main: Callable[..., int],
    doc: str | None,
    argv: list[str] | None,
    defaults: Callable[[list[str]], dict] = lambda argv: {},
) -> int:
    """Parse the flags, run the program, and turn what went wrong into a sentence and a code.

    Args:
        config_class: The dataclass of the program's options.
        main: Called with the config; returns the exit code.
        doc: The program's docstring, the head of `--help`; None under `python -OO`.
        argv: The command line; None for the process's own.
        defaults: From the command line, the values of flags that are not given.
    """
    argv = sys.argv if argv is None else argv
    program = os.path.basename(argv[0])
    try:
        argv = flags.expanded(argv)
        if any(word.partition("=")[0] in HELP for word in argv[1:]):
            text = flags.help_text(config_class, doc, value_of("preset", argv))
            print(_as_called(text, program), end="")
            return OK
        if "--version" in argv[1:]:
            print(f"tf_style {tf_style.__version__}")
            return OK
        with warnings.catch_warnings(), _cleaning_up():
            # Once each: an import in between makes Python forget what it has shown.
            told = functools.cache(lambda sentence: _say(program, sentence, OK))
            warnings.showwarning = lambda message, *_: told(str(message))
            return main(flags.parse(config_class, argv, defaults(argv)))
    except (UserError, NonFiniteError) as error:
        return _say(program, error, code_of(error))
    except WorkerLostError as error:
        return _say(program, error, WORKER_LOST)
    except KeyboardInterrupt as error:
        return _say(program, "interrupted", 128 + getattr(error, "number", signal.SIGINT))
    except (ImportError, Warning) as error:
        # Another Keras backend or a missing package; or a note, where -W error makes it a fault.
        return _say(program, error, USER_ERROR)
    except OSError as error:
        # What no check foresees: a full disk, a folder that may not be written.
        named = f"{error.filename}: {error.strerror}" if error.filename else error
        return _say(program, named, USER_ERROR)
    except MemoryError:
        return _say(program, "out of memory; use smaller pictures or batches", NO_MEMORY)
    except Exception as error:
        if fault := _of_a_file(error):
            return _say(program, fault, USER_ERROR)
        # By name: the module that defines it must not be imported for `--help`.
        if type(error).__name__ == "ResourceExhaustedError":
            return _say(program, "out of memory; use smaller pictures or batches", NO_MEMORY)
        raise


@forgiving_streams()
def by_method(
    argv: list[str] | None,
    mains: dict[str, Callable[[list[str]], int]],
    unless: dict[str, Callable[[list[str]], int]] | None = None,
) -> int:
    """Run what `--method` names, with flags of its own, and return its exit code.

    Args:
        argv: The command line; None for the process's own.
        mains: Method -> its program; the first is the default.
        unless: Flag -> the program that is run instead where that flag is given.
    """
    argv = sys.argv if argv is None else argv
    try:
        words = flags.expanded(argv)
        for flag, program in (unless or {}).items():
            if value_of(flag, words):
                return program(argv)
        method = value_of("method", words) or next(iter(mains))
        if method in mains:
            return mains[method](argv)
        sentence = f"`method` must be one of {', '.join(mains)}. Received: {method!r}"
    except UserError as error:
        sentence = error
    return _say(os.path.basename(argv[0]), sentence, USER_ERROR)


def _as_called(text: str, program: str) -> str:
    """Help with the command that it was asked of."""
    if not program.startswith("tf-style "):
        return text
    text = re.sub(r"python (stylize\.py --export-path|-m tf_style\.evaluate)", _command, text)
    return re.sub(r"(python )?(stylize|train)\.py", r"tf-style \2", text)


def _command(found):
    return "tf-style evaluate" if "evaluate" in found[1] else "tf-style export --export-path"


def value_of(flag: str, argv: list[str]) -> str:
    """Return the last value of a flag that decides what the other flags are; empty if it is not
    given.

    Example:
        >>> value_of("method", ["stylize.py", "--method=adain", "--method", "gatys"])
        'gatys'
    """
    value = ""
    for word, after in itertools.pairwise([*argv[1:], ""]):
        name, equals, given = word.replace("_", "-").partition("=")
        if name.lstrip("-") == flag and word.startswith("-"):
            value = word.partition("=")[2] if equals else after
    return value


def code_of(fault: UserError | NonFiniteError) -> int:
    """Return the exit code of a program that a fault has ended."""
    return USER_ERROR if isinstance(fault, UserError) else NON_FINITE


def code_of_all(faults: dict, some_done: bool) -> int:
    """Return the exit code of a program that did a folder but for its faults, `{path: fault}`."""
    if faults and not some_done:
        return min(map(code_of, faults.values()))
    return SOME_FAILED if faults else OK


def of_file(path: os.PathLike, fault: UserError | NonFiniteError) -> str:
    """Return a fault's sentence, with the name of the file it is about."""
    return str(fault) if path.name in str(fault) else f"{path}: {fault}"


def _say(program: str, what: object, code: int) -> int:
    print(f"{program}: {what}", file=sys.stderr)
    return code


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices without its pages of greetings.

    They are written by C++ before any setting is read, so the file descriptor is turned aside
    for the while; if the import fails they are shown. TF_CPP_MIN_LOG_LEVEL, if set, is obeyed
    instead.

    Raises:
        ImportError: Keras has another backend, or a package is not installed.
    """
    tf_style.check_backend()
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    try:
        aside = tempfile.TemporaryFile()
    except OSError:  # No folder can be written to: then the greetings are shown.
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
        except BaseException:
            aside.seek(0)
            with contextlib.suppress(OSError):
                os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, where nothing asks for them."""

    def __init__(self, number: int):
        self.number = number


@contextlib.contextmanager
def _cleaning_up():
    """While it lasts, SIGTERM and SIGHUP end a program as Ctrl-C does: what is begun is removed."""

    def stop(number, frame):
        raise _Terminated(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in filter(None, (signal.SIGTERM, HANGUP)):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_a_file(error: Exception) -> str:
    """What the system said of a file, of an error of TensorFlow's; empty if it is of another kind.

    A full disk has the type of memory that is exhausted.
    """
    if not type(error).__module__.startswith("tensorflow"):
        return ""
    said = "|".join(re.escape(os.strerror(number)) for number in errno.errorcode)
    found = re.search(rf"(?:\}}\}} )?([^\n{{}}]*); ({said})", str(error))
    return f"{found[1]}: {found[2]}" if found else ""


class Interrupt:
    """Ctrl-C, SIGTERM and SIGHUP as a question: the work asks, finishes its step and saves.

    A second Ctrl-C or SIGTERM interrupts at once. A terminal that is closed may send SIGHUP twice;
    where it is ignored, as under `nohup`, it stays so.

    Args:
        step: What is finished first, for the sentence.

    Example:
        >>> with Interrupt("this step") as interrupt:
        ...     interrupt()
        False
    """

    def __init__(self, step: str):
        self.step = step
        self.signal = 0
        self.before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in filter(None, (signal.SIGINT, signal.SIGTERM, HANGUP)):
                if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.signal:
            if number != HANGUP:
                raise KeyboardInterrupt
            return
        self.signal = number
        sentence = f"stopping after {self.step}; once more stops at once\n"
        # Not by `print`, which may be at work just now. The reader may have had the signal too.
        with contextlib.suppress(OSError):
            # A bar erases lines upwards from the cursor: it shall find empty ones.
            os.write(2, (f"\n{sentence}\n\n" if os.isatty(2) else sentence).encode())

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return bool(self.signal)


def machine(precision: str) -> str:
    """Return what will compute, and in which numbers: `CPU with 2 threads, bfloat16`."""
    import tensorflow as tf

    from tf_style.machine import compute_dtype, cpu_threads

    gpus = len(tf.config.get_visible_devices("GPU"))
    threads = tf.config.threading.get_intra_op_parallelism_threads() or cpu_threads()
    devices = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else f"CPU with {counted(threads, 'thread')}"
    return f"{devices}, {compute_dtype(precision)}"


def progress_bar():
    """Return a bar on a terminal, and lines that remain; imported late, as `--help` has to be
    quick.
    """
    from tf_style.cli.bar import Bar

    return Bar()


def say(bar, sentence: str) -> None:
    """Print a line above the bar, whole and as it is: `[` and `:` in a path are no markup."""
    bar.console.print(sentence, markup=False, emoji=False, highlight=False, soft_wrap=True)
