"""Which simulator it is, as far as its source and settings tell: so that no fit goes on with simulations of another."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import datetime
import enum
import functools
import hashlib
import inspect
import numbers
import os
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from antidrome.core.hashing import hash_arrays, hash_configuration
from antidrome.mechanism.simulate.seeded import SeededSimulator
from antidrome.mechanism.simulate.sources import digest_of, own_bases, tree_of

CONSTRUCTORS = ("__init__", "__post_init__", "__new__")
COLLECTING = ("append", "extend", "insert", "pop", "remove", "clear", "add", "discard", "update", "setdefault")
"""Methods that change what they are called of."""
_NAMESPACES = types.SimpleNamespace | argparse.Namespace
"""What holds what was put into it, and nothing else."""
_WITH_TEXT = (
    os.PathLike | enum.Enum | range | slice | bytes | bytearray | datetime.date | datetime.time | datetime.timedelta
)


def simulator_identity(simulator: Any) -> str:
    """Name and digest of the source of a simulator, and of its settings: with others it is another simulator.

    Of a class, those that the user wrote and that it inherits from count as well. Comments and layout do not count; nor
    does what the function calls, or finds in variables outside it, and of a path its text counts, not what the file
    holds. Settings are the arguments of a `functools.partial`, those of an object (`_settings_of`), and what changes
    the meaning of columns and gaps in a simulator that was made of a function (`_of_wrapper`).

    Parameters
    ----------
    simulator
        A function, or an object that runs one (its attributes ``function`` and ``features``).
    """
    inner = getattr(simulator, "function", None)
    if callable(inner):
        parts = [inner, getattr(getattr(simulator, "call", simulator), "features", None)]
        told = getattr(simulator, "identity_settings", None)
        name = ", ".join([*(_of_function(part) for part in parts if callable(part)), *_of_wrapper(simulator)])
        return _with_settings(name, [_settings_of(simulator)]) if told is not None else name
    if inspect.isroutine(simulator) or isinstance(simulator, functools.partial):
        return _of_function(simulator)
    return _with_settings(_of_code(type(simulator)), [_settings_of(simulator)])


def _of_wrapper(simulator: Any) -> list[str]:
    """Settings of a `SeededSimulator`, where they are not the usual ones: usual ones are not told in checkpoints."""
    if not isinstance(simulator, SeededSimulator):
        return []
    order = [f"parameter_names={simulator.own_order}"] if simulator.own_order else []
    return order + (["missing='failure'"] if simulator.missing == "failure" else [])


def _of_function(function: Callable[..., Any]) -> str:
    """Of a function: without what partial arguments and decorators are around it, but with those arguments."""
    settings: list[Any] = []
    while isinstance(function, functools.partial) or hasattr(function, "__wrapped__") or inspect.ismethod(function):
        if isinstance(function, functools.partial):
            settings.append([_described(function.args), _described(function.keywords)])
            function = function.func
            continue
        bound = getattr(function, "__self__", None)
        if bound is not None and not inspect.isclass(bound):
            settings.append(_settings_of(bound))
        inner = getattr(function, "__wrapped__", getattr(function, "__func__", None))
        if inner is None or inner is function:
            break
        function = inner
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        settings.append(_settings_of(function))
        function = type(function)
    return _with_settings(_of_code(function), settings)


def _with_settings(name: str, settings: list[Any]) -> str:
    """The name, with a digest of the settings where there are any."""
    found = [one for one in settings if one and one != [[], {}]]
    return f"{name}, settings {hash_configuration({'settings': found})[:16]}" if found else name


def _of_code(function: Callable[..., Any]) -> str:
    bases = own_bases(function) if inspect.isclass(function) else []
    return ", of ".join(_named(one) for one in (function, *bases))


def _named(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    digest = digest_of(function)
    return name if digest is None else f"{name} {digest}"


def _settings_of(simulator: Any) -> Any:
    """What an object was made with: its `identity_settings` (a mapping), else what its attributes tell.

    These are numbers, text, arrays, paths, members of enumerations, and tuples, lists, sets, mappings and records
    (dataclasses and their like) of such. Names that begin with an underscore do not count; lists, sets, mappings, paths
    and whole numbers do where the constructor has an argument of their name, and whole numbers and records that can be
    changed where nothing but a constructor sets them or their fields, as far as the source of their classes tells:
    others may be counters, caches, states and scratch folders, which are others each time.
    """
    given = getattr(simulator, "identity_settings", None)
    if given is not None:
        return _described(given() if callable(given) else given)
    kind = type(simulator)
    arguments, found = _arguments_of(kind), {}
    for name, value in _attributes(simulator).items():
        derived = isinstance(getattr(kind, name, None), functools.cached_property)
        if name.startswith("_") or derived or value is None or not _is_told(value):
            continue
        is_given = (arguments is None or name in arguments) and not _names_in(value)
        if _is_fixed(value) or is_given or _is_left_alone(kind, name, value):
            found[name] = _described(value)
    return found


def _attributes(simulator: Any) -> dict[str, Any]:
    """What an object holds, in its dictionary, its slots or as a tuple with names."""
    kind = type(simulator)
    names = list(getattr(kind, "_fields", ())) if isinstance(simulator, tuple) else []
    for one in reversed(kind.__mro__):
        slots = vars(one).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    held = {name: getattr(simulator, name, None) for name in names if not name.startswith("_")}
    return held | getattr(simulator, "__dict__", {})


def _fields_of(value: Any) -> tuple[str, ...] | None:
    """Names of the fields of a record (of dataclasses, attrs or pydantic); None if it is none."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return tuple(one.name for one in dataclasses.fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(one.name for one in kind.__attrs_attrs__)
    fields = getattr(kind, "model_fields", None)
    return tuple(fields) if isinstance(fields, Mapping) else None


def _is_fixed(value: Any) -> bool:
    """Whether it is nothing that counts or collects, nor a place that may be made anew each time."""
    if isinstance(value, bool | enum.Enum):
        return True
    if dataclasses.is_dataclass(type(value)):
        return bool(type(value).__dataclass_params__.frozen)
    changing = numbers.Integral | list | Mapping | set | bytearray | os.PathLike | _NAMESPACES
    return not isinstance(value, changing) and _fields_of(value) is None


def _is_left_alone(kind: type, name: str, value: Any) -> bool:
    """Whether it is a whole number or a record that is set in constructors alone."""
    names = _names_in(value)
    if not (names or isinstance(value, numbers.Integral)):
        return False
    changed = _set_while_running(kind)
    if changed is None:
        return False
    own = (_set_while_running(one) or set() for one in _records_in(value))  # those that are made have no source
    return changed.union(*own).isdisjoint({name, *names})


def _names_in(value: Any) -> set[str]:
    """Names of the fields of a record or namespace, and of those within it."""
    fields = _names_of(value)
    return set(fields).union(*(_names_in(getattr(value, name, None)) for name in fields))


def _records_in(value: Any) -> set[type]:
    """Classes of a record and of those within it."""
    own = set() if _fields_of(value) is None else {type(value)}
    return own.union(*(_records_in(getattr(value, name, None)) for name in _names_of(value)))


def _names_of(value: Any) -> tuple[str, ...]:
    """Names of the fields of a record or namespace; none of anything else."""
    return tuple(vars(value)) if isinstance(value, _NAMESPACES) else _fields_of(value) or ()


@functools.cache
def _set_while_running(kind: type) -> set[str] | None:
    """Names of attributes that the functions of a class change, but for its constructor; None without its source."""
    found: set[str] = set()
    for one in kind.__mro__:
        if one.__module__ == "builtins":
            continue
        tree = tree_of(one)
        if tree is None:
            return None
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda))
        for function in functions:
            if getattr(function, "name", None) not in CONSTRUCTORS:
                found |= {name for node in ast.walk(function) if (name := _changed_by(node)) is not None}
    return found


def _changed_by(node: ast.AST) -> str | None:
    """Name of the attribute that is set, or whose entries are, or that collects something; None of other code."""
    is_set = isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)
    if (is_set and isinstance(node, ast.Subscript)) or (isinstance(node, ast.Attribute) and node.attr in COLLECTING):
        node, is_set = node.value, True
    return node.attr if is_set and isinstance(node, ast.Attribute) else None


def _arguments_of(kind: type) -> set[str] | None:
    """Names of the constructor's arguments; None where it takes any."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return set()
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return None if anything else set(parameters)


def _is_told(value: Any) -> bool:
    """Whether it is plain; what holds itself (a cell its sections, and these the cell) is not."""
    try:
        return _is_plain(value)
    except RecursionError:
        return False


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, _NAMESPACES):
        return _is_plain(vars(value))
    if isinstance(value, numbers.Number | str | _WITH_TEXT) or value is None or _is_array(value):
        return True
    fields = _fields_of(value)
    return fields is not None and all(_is_plain(getattr(value, name, None)) for name in fields)


def _is_array(value: Any) -> bool:
    """Whether it is an array of numbers or text, of whatever library."""
    try:
        return hasattr(value, "__array__") and np.asarray(value).dtype.kind in "biufcSUmM"
    except (TypeError, ValueError, RuntimeError):  # a random key of JAX, a tensor on another device
        return False


def _described(value: Any) -> Any:
    """JSON-ready: the value if it is plain, the source of a function, the settings of another object."""
    if isinstance(value, Mapping):
        return {str(key): _described(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_described(one) for one in value]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((_described(one) for one in value), key=repr)]
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        return _described(value.item())
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Number | _WITH_TEXT):
        return _text_of(value)
    if _is_array(value):
        return hash_arrays({"values": np.asarray(value)})
    return _described_object(value)


def _described_object(value: Any) -> Any:
    """The same, of what is no plain value."""
    if isinstance(value, _NAMESPACES):
        return [type(value).__qualname__, _described(vars(value))]
    if callable(value):
        return _of_function(value)
    if dataclasses.is_dataclass(value):
        return {one.name: _described(getattr(value, one.name, None)) for one in dataclasses.fields(value)}
    return [type(value).__qualname__, _settings_of(value)]


def _text_of(value: Any) -> str:
    """What says which number, path, member of an enumeration, range, date or bytes it is."""
    if isinstance(value, enum.Enum) and not isinstance(value, numbers.Number):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return f"bytes {hashlib.blake2b(value, digest_size=16).hexdigest()}"
    return repr(value)
