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
import textwrap
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from antidrome.core.hashing import hash_arrays, hash_configuration
from antidrome.mechanism.simulate.seeded import SeededSimulator

CONSTRUCTORS = ("__init__", "__post_init__", "__new__")
_NAMESPACES = types.SimpleNamespace | argparse.Namespace
"""What holds what was put into it, and nothing else."""
_WITH_TEXT = (
    os.PathLike | enum.Enum | range | slice | bytes | bytearray | datetime.date | datetime.time | datetime.timedelta
)


def simulator_identity(simulator: Any) -> str:
    """Name and digest of the source of a simulator, and of its settings: with others it is another simulator.

    Comments and layout do not count; nor does what the function calls, or finds in variables outside it, and of a path
    its text counts, not what the file holds. Settings are
    the arguments of a `functools.partial`, those of an object (`_settings_of`), and what changes the meaning of columns
    and gaps in a simulator that was made of a function (`_of_wrapper`).

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
    name = getattr(function, "__qualname__", type(function).__qualname__)
    source = _source(function)
    return name if source is None else f"{name} {hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}"


def _settings_of(simulator: Any) -> Any:
    """What an object was made with: its `identity_settings` (a mapping), else what its attributes tell.

    These are numbers, text, arrays, paths, members of enumerations, and tuples, lists, sets and mappings of such. Names
    that begin with an underscore do not count; lists, sets, mappings and paths do where the constructor has an argument
    of their name, whole numbers there as well, or where the class sets them in its constructor alone, as far as its
    source tells: others may be counters, caches and scratch folders, which are others each time.
    """
    given = getattr(simulator, "identity_settings", None)
    if given is not None:
        return _described(given() if callable(given) else given)
    kind = type(simulator)
    arguments, found = _arguments_of(kind), {}
    for name, value in getattr(simulator, "__dict__", {}).items():
        derived = isinstance(getattr(kind, name, None), functools.cached_property)
        if name.startswith("_") or derived or value is None or not _is_plain(value):
            continue
        if _is_fixed(value) or arguments is None or name in arguments or _is_number_of(kind, name, value):
            found[name] = _described(value)
    return found


def _is_fixed(value: Any) -> bool:
    """Whether it is nothing that counts or collects, nor a place that may be made anew each time."""
    if isinstance(value, bool | enum.Enum):
        return True
    changing = numbers.Integral | list | Mapping | set | bytearray | os.PathLike | _NAMESPACES
    return not isinstance(value, changing)


def _is_number_of(kind: type, name: str, value: Any) -> bool:
    """Whether it is a whole number that the class sets in its constructor alone."""
    if not isinstance(value, numbers.Integral):
        return False
    changed = _set_while_running(kind)
    return changed is not None and name not in changed


@functools.cache
def _set_while_running(kind: type) -> set[str] | None:
    """Names of the attributes that the functions of a class set, but for its constructor; None without its source."""
    found: set[str] = set()
    for one in kind.__mro__:
        if one.__module__ == "builtins":
            continue
        tree = _tree(one)
        if tree is None:
            return None
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda))
        for function in functions:
            if getattr(function, "name", None) not in CONSTRUCTORS:
                found |= {node.attr for node in ast.walk(function) if _sets_attribute(node)}
    return found


def _sets_attribute(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)


def _arguments_of(kind: type) -> set[str] | None:
    """Names of the constructor's arguments; None where it takes any."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return set()
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return None if anything else set(parameters)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, _NAMESPACES):
        return _is_plain(vars(value))
    return value is None or isinstance(value, numbers.Number | str | _WITH_TEXT) or _is_array(value)


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
        return {one.name: _described(getattr(value, one.name)) for one in dataclasses.fields(value)}
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


def _source(function: Callable[..., Any]) -> str | None:
    """Its code without comments and layout; None where there is no source."""
    text = _text(function)
    if text is None:
        return None
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:  # a lambda in the middle of something
        return text


def _tree(kind: type) -> ast.AST | None:
    """The code of a class; None where there is no source."""
    text = _text(kind)
    try:
        return None if text is None else ast.parse(text)
    except SyntaxError:
        return None


def _text(code: Callable[..., Any]) -> str | None:
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return None
