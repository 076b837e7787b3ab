"""What a config is made of: fields with their help, checks and source, presets, weights by name.

The dataclasses in `config.py` and `config_gatys.py` are the single source of all options: the
scripts' flags, `--help`, the README's tables and the checkpoint's `config.json` are made from
their fields.
"""

import dataclasses
import difflib
import math
import os
import re
import typing
import unicodedata

from tf_style.errors import UserError

__all__ = [
    "Options",
    "by_group",
    "check_style",
    "from_dict",
    "mixture",
    "names_among",
    "option",
    "readable",
    "same",
    "weighted",
]


def option(default, help, *, choices=None, low=None, high=None, group=""):
    """A field with its help and the values it takes; `low` and `high` are themselves allowed.

    A word is not empty unless its default is.
    """
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "group": group}
    return dataclasses.field(default=default, metadata=metadata)


def same(config_class, name, **changes):
    """The field of another config, but for what is changed."""
    field = config_class.__dataclass_fields__[name]
    return option(**{"default": field.default} | dict(field.metadata) | changes)


class Options:
    """A dataclass whose values are checked against its fields when it is made.

    Lists become tuples and paths strings, so that every config can be written as JSON.
    """

    # Name -> values that stand in for the defaults, for configs with a field `preset`.
    presets: typing.ClassVar[dict[str, dict]] = {}

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, about = getattr(self, field.name), field.metadata
            if isinstance(value, list | os.PathLike):
                value = tuple(value) if isinstance(value, list) else os.fspath(value)
                object.__setattr__(self, field.name, value)
            for one in value if isinstance(value, tuple) else (value,):
                if one == "" and field.default:
                    raise UserError(f"`{field.name}` must not be empty. Received: {value!r}")
                if about["choices"] and one not in about["choices"]:
                    known = ", ".join(map(str, about["choices"]))
                    raise UserError(f"`{field.name}` must be one of {known}. Received: {one!r}")
                low, high = about["low"], about["high"]
                if low is not None and not (low <= one <= (math.inf if high is None else high)):
                    bounds = f"{low} or more" if high is None else f"between {low} and {high}"
                    raise UserError(f"`{field.name}` must be {bounds}. Received: {one}")
                if one == math.inf:
                    raise UserError(f"`{field.name}` must be finite. Received: {one}")


def by_group(config_class: type) -> list[dataclasses.Field]:
    """A config's fields with those of a group together: what a subclass adds comes last in it."""
    fields = dataclasses.fields(config_class)
    groups = list(dict.fromkeys(field.metadata["group"] for field in fields))
    return sorted(fields, key=lambda field: groups.index(field.metadata["group"]))


def from_dict(config_class: type, values: dict) -> typing.Any:
    """A config from what `dataclasses.asdict` and JSON made of it, or from some of its values.

    What a preset sets is the default of the values that are not given.

    Raises:
        UserError: An unknown field, which names the known ones.

    Example:
        >>> from tf_style.option_groups import TrainConfig
        >>> from_dict(TrainConfig, {"style_layers": ["relu1_1"]}).style_layers
        ('relu1_1',)
    """
    known = [field.name for field in dataclasses.fields(config_class)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(f"Unknown option {unknown[0]!r}; {config_class.__name__} has {known}.")
    preset = config_class.presets.get(values.get("preset"), {})
    return config_class(**(preset | values))


def weighted(items: tuple[str, ...], what: str = "items") -> dict[str, float]:
    """Names with weights that sum to 1, from `name` or `name:weight` each.

    Raises:
        UserError: No name, one twice, or weights that are no numbers, negative or all zero.

    Example:
        >>> weighted(("relu1_1", "relu2_1:3"))
        {'relu1_1': 0.25, 'relu2_1': 0.75}
    """
    return _shares([item.partition(":")[::2] for item in items], what)


def mixture(items: tuple[str, ...], known: tuple[str, ...]) -> dict[str, float]:
    """The styles of a mixture with weights that sum to 1, as `weighted`.

    Names come from files, and may hold the commas and colons that separate them from one another
    and from their weights: a known name is taken as a whole.

    Args:
        items: What is asked for, split at its commas.
        known: Names of the styles there are; the result has those of them, and names as they were
            typed of what is not there.

    Example:
        >>> mixture(("10:30:3", "Night", " rain"), ("10:30", "Night, rain"))
        {'10:30': 0.75, 'Night, rain': 0.25}
    """
    return _shares(_matched(items, known), "style")


def names_among(items: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of styles without weights, put together as by `mixture`.

    Example:
        >>> names_among(("Night", "rain", "wave"), ("Night, rain", "wave"))
        ('Night, rain', 'wave')
    """
    return tuple(f"{name}:{weight}" if weight else name for name, weight in _matched(items, known))


def readable(name: str) -> str:
    r"""A file's name as a person types it: accents composed, and what is not UTF-8 as Latin-1.

    Example:
        >>> readable("Cafe\u0301"), readable("caf\udce9")
        ('Café', 'café')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        name = name.encode(errors="surrogateescape").decode("latin-1")
    return unicodedata.normalize("NFC", name)


def _matched(items, known):
    """Names, of the known ones where they match, and the text of their weights."""
    names = {_spelled(name): name for name in known}
    # Longer ones first, as one may begin with another and a comma.
    choice = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    item = re.compile(rf"({choice}) *(?::([^,]*))?(?:,|$)")
    rest, found = _spelled(",".join(items)), []
    while rest:
        if match := item.match(rest):
            name, weight, rest = names[match[1]], match[2] or "", rest[match.end() :]
        else:
            first, _, rest = rest.partition(",")
            name, _, weight = first.partition(":")
        found.append((name, weight))
    return found


def _spelled(name):
    """As typed in a list, which has blanks around its commas or none."""
    return re.sub(r"\s*,\s*", ",", readable(name)).strip()


def _shares(found, what):
    """Names with weights that sum to 1, from pairs of texts."""
    shares = {}
    for name, weight in found:
        try:
            shares[name] = float(weight or 1)
        except ValueError:
            shares[name] = math.nan
        if not 0 <= shares[name] < math.inf:
            given = f"{name}:{weight}"
            raise UserError(f"`{what}` takes name:weight, 0 or more. Received: {given!r}")
    if len(shares) != len(found) or not sum(shares.values()) > 0:
        reason = "names one twice" if len(shares) != len(found) else "needs a weight above 0"
        given = ",".join(f"{name}:{weight}" if weight else name for name, weight in found)
        raise UserError(f"`{what}` {reason}. Received: {given or 'none'}")
    return {name: weight / sum(shares.values()) for name, weight in shares.items()}


def check_style(name: str, known: tuple[str, ...]) -> None:
    """Refuse the name of a style that is not there.

    Args:
        name: Of a style.
        known: Names that there are.

    Raises:
        UserError: It lists the known ones.

    Example:
        >>> check_style("wave", ("wave", "night"))
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise UserError(f"There is no style {name!r}; {hint} are {', '.join(known)}.")
