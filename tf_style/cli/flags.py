"""Dataclass fields to command-line flags: names, types, defaults and help from one source.

absl parses; `--content-path` and `--content_path` are the same flag, which absl alone would
refuse (https://github.com/abseil/abseil-cpp/issues/961).
"""

import dataclasses
import difflib
import os
import re
import shutil
import sys
import textwrap
import typing
import warnings

from absl import flags

from tf_style.config import from_dict
from tf_style.errors import UserError
from tf_style.option_groups import by_group

__all__ = ["expanded", "help_text", "parse"]

# Flags that say which the styles are: beside one of them all words without a flag are photos.
STYLES = ("style", "style_path", "style_grid", "all_styles")


def parse(config_class: type, argv: list[str], defaults: dict | None = None) -> typing.Any:
    """Return the config that a command line gives.

    Words after a flag for pictures that are read belong to it up to the next flag, so that the
    shell may expand a pattern. Words without a flag are pictures where a command takes them: a
    photo and a painting, or all of them photos beside a flag that names the style.

    Args:
        config_class: The dataclass whose fields are the flags.
        argv: The program's name, then its arguments.
        defaults: Values of flags that are not given; None for the config's own.

    Raises:
        UserError: An unknown flag, a value of the wrong type or out of range, or a stray word.

    Example:
        >>> from tf_style.training.config import TrainConfig
        >>> config = parse(TrainConfig, ["train.py", "--batch-size=4", "--style_layers=relu1_1"])
        >>> config.batch_size, config.style_layers
        (4, ('relu1_1',))
        >>> parse(TrainConfig, ["train.py", "--content-path", "a.jpg", "b.jpg"]).content_path
        ('a.jpg', 'b.jpg')
    """
    values, spellings = _define(config_class), _spellings(config_class)
    words = [_as_absl_spells(word, spellings) for word in expanded(argv)[1:]]
    words, several = _joined(words, config_class)
    try:
        stray = values([argv[0], *words])[1:]
    except flags.UnrecognizedFlagError as error:
        near = _near(error.flagname.replace("-", "_"), list(spellings))
        hint = f"; did you mean --{near.replace('_', '-')}? See" if near else "; see"
        raise UserError(f"There is no flag --{error.flagname}{hint} --help.") from None
    except flags.Error as error:
        # absl names the flag and the value; of a boolean's fault it gives a tuple.
        fault = re.sub(r"\('(.*)', .*\)$", r"\1", str(error).replace("\n", " ").rstrip("."))
        fault = re.sub(r"--\w+", lambda found: found[0].replace("_", "-"), fault)
        raise UserError(f"{fault}; see --help.") from None
    names = [field.name for field in dataclasses.fields(config_class)]
    given = {name: values[name].value for name in names if values[name].present} | several
    given |= _positional(config_class, argv, stray, given) if stray else {}
    for name in given:
        if values[name].present > 1:
            _warn_of_two(name, given[name])
    given = {name: _at_home(value) for name, value in given.items()}
    return from_dict(config_class, (defaults or {}) | given)


def help_text(config_class: type, doc: str | None, preset: str = "") -> str:
    """Return what `--help` prints: the program's docstring, then every flag by its group.

    Args:
        config_class: The dataclass whose fields are the flags.
        doc: What the program is for, with examples; None where Python has left docstrings out.
        preset: Name of the preset whose values are shown as the defaults.
    """
    presets = config_class.presets
    defaults = presets[preset] | {"preset": preset} if preset in presets else {}
    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 100))
    lines, group = [(doc or "").strip()], None
    for field in by_group(config_class):
        about = field.metadata
        if about["group"] != group:
            group = about["group"]
            lines += ["", f"{group.capitalize()}:"]
        name = field.name.replace("_", "-")
        if field.type is bool:
            lines.append(f"  --{name}")
        else:
            default = defaults.get(field.name, field.default)
            default = _text(default) or ("none" if default == () else "empty")
            lines.append(f"  --{name}  (default: {default})")
        choices = about["choices"]
        known = f" One of: {', '.join(choices)}." if choices and len(choices) > 1 else ""
        lines += textwrap.wrap(about["help"] + known, width - 8, initial_indent=" " * 8,
                               subsequent_indent=" " * 8, break_on_hyphens=False)  # fmt: skip
    lines += ["", "Other:", "  --version", "        Print the version."]
    return "\n".join(lines) + "\n"


def _define(config_class: type) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt()  # Flags may follow words.
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }
    for field in dataclasses.fields(config_class):
        about = field.metadata
        if typing.get_origin(field.type) is tuple:
            item = typing.get_args(field.type)[0]
            flags.DEFINE(
                _TupleParser(item), field.name, field.default, about["help"], values,
                serializer=flags.CsvListSerializer(","),
            )  # fmt: skip
        else:
            define[field.type](field.name, field.default, about["help"], flag_values=values)
    return values


def _at_home(value):
    """With a path for its ~, which in `--out-path=~/out` the shell leaves to the program."""
    if isinstance(value, tuple):
        return tuple(map(_at_home, value))
    return os.path.expanduser(value) if isinstance(value, str) else value


class _TupleParser(flags.ArgumentParser):
    """Comma-separated values of one type."""

    def __init__(self, item: type):
        super().__init__()
        self.item = item

    def parse(self, argument):
        if isinstance(argument, tuple):
            return argument
        try:
            # As `--help` shows a default of no items.
            parts = argument.split(",") if argument.strip() not in ("", "none") else []
            return tuple(self.item(part.strip()) for part in parts)
        except ValueError:
            raise ValueError(f"{argument!r} is no comma-separated list of numbers") from None

    def flag_type(self):
        return f"comma-separated {self.item.__name__}s"


def _spellings(config_class: type) -> dict[str, str]:
    """Every flag that may stand on the command line, dashes as underscores, as absl spells it."""
    fields = by_group(config_class)
    off = [field.name for field in fields if field.type is bool]
    return (
        {field.name: field.name for field in fields}
        | {f"no{name}": f"no{name}" for name in off}
        | {f"no_{name}": f"no{name}" for name in off}
    )


def _as_absl_spells(word: str, spellings: dict[str, str]) -> str:
    """`--max-iter=3` as `--max_iter=3`; what is no flag may be a value and stays as it is."""
    name, equals, value = word.partition("=")
    flag = spellings.get(name.lstrip("-").replace("-", "_"))
    return f"--{flag}{equals}{value}" if flag and name.startswith("-") else word


def _near(name: str, known: list[str]) -> str:
    """The flag that an unknown one may be meant for: one typed wrong, or one with a word of it."""
    words = {word for word in name.split("_") if len(word) > 3}
    akin = [flag for flag in known if words & {*flag.split("_")} or flag.startswith(f"{name}_")]
    close = difflib.get_close_matches(name, known, 1, cutoff=0.8)
    return next(iter(close + akin + difflib.get_close_matches(name, known, 1)), "")


def expanded(argv: list[str]) -> list[str]:
    """Return a command line with the contents of every --flagfile in its place."""
    if not any(word.lstrip("-").startswith("flagfile") for word in argv[1:]):
        return argv
    try:
        return [argv[0], *flags.FlagValues().read_flags_from_files(argv[1:], force_gnu=True)]
    except (flags.Error, OSError) as error:
        raise UserError(f"--flagfile: {str(error).removeprefix('ERROR:: ')}") from None


def _joined(words, config_class):
    """The words without those that belong to a flag for pictures, and that flag's values."""
    flagged = {f"--{field.name}": field.name for field in dataclasses.fields(config_class)
               if field.metadata["path"] == "in"}  # fmt: skip
    kept, several, name, twice = [], {}, "", set()
    words = iter(words)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in flagged:
            name, twice = flagged[flag], twice | ({flagged[flag]} & set(several))
            several[name] = [value] if equals else [next(words, "")]  # Whatever it looks like.
        elif name and not word.startswith("-"):
            several[name].append(word)
        else:
            name = ""
            kept.append(word)
    for name, found in several.items():
        several[name] = found[0] if len(found) == 1 else tuple(found)
    for name in twice:
        _warn_of_two(name, several[name])
    return kept, several


def _warn_of_two(name, last):
    flag = name.replace("_", "-")
    warnings.warn(f"--{flag} is given twice or more; the last counts: {_text(last)}", stacklevel=3)


def _positional(config_class, argv, words, given):
    """Words without a flag: a photo and a painting, or photos beside a flag for the style."""
    names = {field.name for field in dataclasses.fields(config_class)}
    if not {"content_path", "style_path", "out_path"} <= names or "content_path" in given:
        why = "every option is a --flag"
        if "content_path" in given or os.path.lexists(words[0]):
            why = "give pictures by --content-path and --style-path"
        raise UserError(f"Unexpected argument {words[0]!r}: {why}; see --help.")
    program = os.path.basename(argv[0])
    if any(name in given for name in STYLES):
        more = f" and {len(words) - 3} more" if len(words) > 3 else ""
        print(f"{program}: photos: {', '.join(words[:3])}{more}", file=sys.stderr)
        return {"content_path": words[0] if len(words) == 1 else tuple(words)}
    if len(words) != 2:
        raise UserError(
            "Give a photo and a painting, or any number of photos and --style or --style-path. "
            f"Received: {' '.join(map(repr, words))}"
        )
    photo, painting = words
    print(f"{program}: the photo is {photo}, the painting is {painting}", file=sys.stderr)
    return {"content_path": photo, "style_path": painting}


def _text(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
