"""What a config is made of: fields with their help, checks and source, presets, weights by name.

The dataclasses in `config.py` and `config_gatys.py` are the single source of all options: the
scripts' flags, `--help`, the README's tables and the checkpoint's `config.json` are made from
their fields.
"""

import dataclasses
import math
import os
import typing

from tf_style.errors import UserError

__all__ = ["Options", "by_group", "from_dict", "option", "same", "weighted"]


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
        >>> from tf_style.config import TrainConfig
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
    found = {}
    for item in items:
        name, _, weight = item.partition(":")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise UserError(f"`{what}` takes name:weight, 0 or more. Received: {item!r}")
    if len(found) != len(items) or not sum(found.values()) > 0:
        reason = "names one twice" if len(found) != len(items) else "needs a weight above 0"
        raise UserError(f"`{what}` {reason}. Received: {','.join(items) or 'none'}")
    return {name: weight / sum(found.values()) for name, weight in found.items()}
