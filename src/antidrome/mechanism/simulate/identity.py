"""Which simulator it is, as far as its source and settings tell: so that no fit goes on with simulations of another."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import numbers
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from antidrome.core.hashing import hash_arrays, hash_configuration
from antidrome.mechanism.simulate.seeded import SeededSimulator


def simulator_identity(simulator: Any) -> str:
    """Name and digest of the source of a simulator, and of its settings: with others it is another simulator.

    Comments and layout do not count; nor does what the function calls, or finds in variables outside it. Settings are
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

    These are numbers, text, arrays, and tuples, lists and mappings of such. Names that begin with an underscore do not
    count; whole numbers, lists and mappings do where the constructor has an argument of their name: others may be
    counters and caches, which change while it simulates.
    """
    given = getattr(simulator, "identity_settings", None)
    if given is not None:
        return _described(given() if callable(given) else given)
    arguments, found = _arguments_of(type(simulator)), {}
    for name, value in getattr(simulator, "__dict__", {}).items():
        fixed = isinstance(value, bool) or not isinstance(value, numbers.Integral | list | Mapping)
        if name.startswith("_") or value is None or not _is_plain(value):
            continue
        if fixed or arguments is None or name in arguments:
            found[name] = _described(value)
    return found


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
    return value is None or isinstance(value, numbers.Number | str) or _is_array(value)


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
    if isinstance(value, np.generic):
        return _described(value.item())
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Number):
        return repr(value)
    if _is_array(value):
        return hash_arrays({"values": np.asarray(value)})
    if callable(value):
        return _of_function(value)
    if dataclasses.is_dataclass(value):
        return {one.name: _described(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return [type(value).__qualname__, _settings_of(value)]


def _source(function: Callable[..., Any]) -> str | None:
    """Its code without comments and layout; None where there is no source."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return None
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:  # a lambda in the middle of something
        return text
