"""What a config is made of: options with their help, checks and source; presets; same runs.

The dataclasses in the rooms' `config.py` are the single source of all options: the commands' flags,
`--help`, the documentation's tables and the checkpoint's `config.json` are made from their fields.
"""

import dataclasses
import inspect
import json
import math
import os
import typing

from tf_style.errors import UserError

__all__ = ["Options", "decisive", "from_dict", "option", "same_run"]


def option(
    default,
    help,
    *,
    choices=None,
    low=None,
    high=None,
    group="",
    changeable=False,
    path="",
):
    """Return a dataclass field with its help and the values it takes.

    A word is not empty unless its default is.

    Args:
        default: The value where none is given.
        help: One or two sentences for `--help` and the documentation.
        choices: The words it may be.
        low: The smallest number allowed.
        high: The largest number allowed.
        group: The heading it stands under.
        changeable: Whether a run may be resumed with another value.
        path: `in` for pictures that are read, `out` for a folder or file that is written.
    """
    metadata = {
        "help": help, "choices": choices, "low": low, "high": high, "group": group,
        "changeable": changeable, "path": path,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


class Options:
    """A dataclass whose values are checked against its fields when it is made.

    Lists become tuples and paths strings, so that every config can be written as JSON. A subclass
    that gives an inherited option another default keeps its help and its checks.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Brush(Options):
        ...     width: int = option(3, "Width of the brush.", low=1)
        >>> @dataclasses.dataclass(frozen=True)
        ... class Roller(Brush):
        ...     width: int = 30
        >>> Roller().width
        30
    """

    # Name -> values that stand in for the defaults, for configs with a field `preset`.
    presets: typing.ClassVar[dict[str, dict]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in inspect.get_annotations(cls):
            value, inherited = vars(cls).get(name), _inherited(cls, name)
            if inherited and not isinstance(value, dataclasses.Field):
                field = dataclasses.field(default=value, metadata=inherited.metadata)
                setattr(cls, name, field)

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

    def paths(self, kind: str) -> dict[str, str]:
        """Return the paths that are given, by their options: what is read, or what is written.

        Args:
            kind: `in` or `out`.
        """
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata["path"] == kind and getattr(self, field.name)
        }


def _inherited(cls, name):
    """The field of that name of the nearest base that has one."""
    found = (vars(base).get("__dataclass_fields__", {}).get(name) for base in cls.__mro__[1:])
    return next(filter(None, found), None)


def from_dict(config_class: type, values: dict) -> typing.Any:
    """Return a config from what `dataclasses.asdict` and JSON made of it, or from some of its
    values.

    What a preset sets is the default of the values that are not given.

    Raises:
        UserError: An unknown field, which names the known ones.

    Example:
        >>> from tf_style.training.config import TrainConfig
        >>> from_dict(TrainConfig, {"style_layers": ["relu1_1"]}).style_layers
        ('relu1_1',)
    """
    known = [field.name for field in dataclasses.fields(config_class)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(f"Unknown option {unknown[0]!r}; {config_class.__name__} has {known}.")
    preset = config_class.presets.get(values.get("preset"), {})
    return config_class(**(preset | values))


def decisive(config: Options) -> dict[str, typing.Any]:
    """Return the options that make a run the one it is, as JSON has them.

    Args:
        config: All options of the run.

    Example:
        >>> from tf_style.training.config import TrainConfig
        >>> "seed" in decisive(TrainConfig()), "save_iter" in decisive(TrainConfig())
        (True, False)
    """
    kept = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if not field.metadata["changeable"]
    }
    return json.loads(json.dumps(kept))


def same_run(before: dict, config: Options, where: str, free: tuple[str, ...] = ()) -> None:
    """Refuse to resume a run with options that would make it another one.

    Args:
        before: The options the run began with. One that is missing is younger than the run, which
            had its default.
        config: The options that are asked for now.
        where: The run's folder, for the message.
        free: Further options that may change.

    Raises:
        UserError: An option differs that may not.

    Example:
        >>> from tf_style.training.config import TrainConfig
        >>> same_run({"seed": 0, "save_iter": 10}, TrainConfig(save_iter=500), "ckpt")
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name, new in decisive(config).items():
        old = before.get(name, json.loads(json.dumps(defaults[name])))
        if name not in free and old != new:
            folder = next(iter(config.paths("out")), "out_path").replace("_", "-")
            raise UserError(
                f"The run in {where} has {name}={old!r}, not {new!r}: give the same options, "
                f"another --{folder}, or --overwrite to begin anew."
            )
