"""Frozen dataclasses to JSON and back, strictly: an unknown key or a wrong type is an error that names the remedy.

Every method keeps its settings in one frozen dataclass. What is written into a model file or a run folder is
``to_dict(configuration)``; what is read back goes through ``from_dict``, so that a setting that no longer exists, or
was misspelt, is never ignored.
"""

import dataclasses
import enum
import math
import numbers
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from antidrome.errors import InputError, did_you_mean

Configuration = TypeVar("Configuration")
INFINITE = ("inf", "-inf")
"""Infinite numbers as JSON holds them."""


def to_dict(configuration: Any) -> dict[str, Any]:
    """Return the JSON-ready dictionary of a dataclass.

    Paths and infinite numbers ("inf") are strings there, tuples are lists, enumerations their values.

    Raises
    ------
    InputError
        If a field holds what JSON cannot (an array, a function, NaN).
    """
    if not dataclasses.is_dataclass(configuration) or isinstance(configuration, type):
        raise InputError(f"Expected a configuration (an instance of a dataclass), got {type(configuration).__name__}.")
    return {
        field.name: _plain(getattr(configuration, field.name), f"{type(configuration).__name__}.{field.name}")
        for field in dataclasses.fields(configuration)
    }


def from_dict(cls: type[Configuration], values: Mapping[str, Any], *, where: str = "configuration") -> Configuration:
    """Build the dataclass ``cls`` from plain values, checking every key and type.

    Parameters
    ----------
    cls
        A dataclass; its fields may be numbers, strings, paths, enumerations, ``Literal``, optional values, lists,
        tuples, dictionaries and further dataclasses.
    values
        What ``to_dict`` gave, or a parsed JSON or TOML table. Missing keys take the field's default.
    where
        What the values come from (a file name), for messages.

    Raises
    ------
    InputError
        For an unknown key (with the closest known one), a missing key without default, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a table of settings for {cls.__name__}, got {type(values).__name__}.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise InputError(
            f"{where}: {cls.__name__} has no setting {unknown[0]!r}.{did_you_mean(str(unknown[0]), fields)}"
            f" Its settings are: {', '.join(fields)}."
        )
    hints = typing.get_type_hints(cls)
    arguments = {key: _parse(hints[key], value, f"{where}: {cls.__name__}.{key}") for key, value in values.items()}
    missing = [name for name, field in fields.items() if name not in arguments and _required(field)]
    if missing:
        raise InputError(f"{where}: {cls.__name__} needs a value for {missing[0]!r}.")
    return cls(**arguments)


def part_of(configuration: Any, cls: type[Configuration]) -> Configuration:
    """The settings that ``cls`` has, taken from a configuration that has more (an instance of a subclass)."""
    return cls(**{field.name: getattr(configuration, field.name) for field in dataclasses.fields(cls)})  # type: ignore[arg-type]


def settle_numbers(configuration: Any) -> None:
    """Give a new dataclass, also a frozen one, numbers of the types of its fields: 30 in a field of floats is 30.0.

    Python calls them equal, but a file of settings, and a hash, does not. What is of another type stays as it is.
    """
    hints = typing.get_type_hints(type(configuration))
    for field in dataclasses.fields(configuration):
        value = getattr(configuration, field.name)
        object.__setattr__(configuration, field.name, _settled(hints[field.name], value))


def _settled(hint: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    wanted = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if int in wanted and isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if float in wanted else value


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: Any, where: str) -> Any:
    """Reduce one value to what JSON holds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value, where)
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, numbers.Real) and not isinstance(value, bool | int | float):  # of numpy
        value = int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f"{where} is {value}, which no configuration file can hold. Give a number.")
    if isinstance(value, float) and math.isinf(value):
        return str(float(value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"{where} is a {type(value).__name__}; settings are numbers, text, lists and tables.")


def _parse(hint: Any, value: Any, where: str) -> Any:
    """Turn a plain value into what the annotation asks for, or say why it cannot be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Literal:
        return _parse_literal(arguments, value, where)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(arguments, value, where)
    if origin in (list, tuple):
        return _parse_sequence(origin, arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong_type(where, "a table", value)
        return {key: _parse(arguments[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, where=where)
    return _parse_scalar(hint, value, where)


def _parse_scalar(hint: type, value: Any, where: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _parse_literal(tuple(member.value for member in hint), value, where, wrap=hint)
    if isinstance(hint, type) and issubclass(hint, pathlib.PurePath) and isinstance(value, str | pathlib.PurePath):
        return hint(value)
    if hint is float and (value in INFINITE or (isinstance(value, int) and not isinstance(value, bool))):
        return float(value)
    if isinstance(value, bool) and hint is not bool:
        raise _wrong_type(where, hint.__name__, value)
    if not isinstance(value, hint):
        raise _wrong_type(where, getattr(hint, "__name__", str(hint)), value)
    return value


def _parse_literal(allowed: tuple, value: Any, where: str, wrap: Any = None) -> Any:
    if value not in allowed or any(value == choice and type(value) is not type(choice) for choice in allowed):
        hint = did_you_mean(str(value), map(str, allowed))
        raise InputError(f"{where} is {value!r}; it can be {', '.join(map(repr, allowed))}.{hint}")
    return wrap(value) if wrap else value


def _parse_union(alternatives: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in alternatives:
        return None
    problems = []
    for alternative in alternatives:
        if alternative is type(None):
            continue
        try:
            return _parse(alternative, value, where)
        except InputError as error:
            problems.append(error)
    raise problems[0]


def _parse_sequence(origin: type, arguments: tuple, value: Any, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong_type(where, "a list", value)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise InputError(f"{where} has {len(value)} entries; it needs {len(arguments)}.")
        hints: tuple = arguments
    else:
        hints = (arguments[0] if arguments else Any,) * len(value)
    pairs = zip(hints, value, strict=True)
    return origin(_parse(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(pairs))


def _wrong_type(where: str, wanted: str, value: Any) -> InputError:
    return InputError(f"{where} is {value!r} ({type(value).__name__}); it needs {wanted}.")
