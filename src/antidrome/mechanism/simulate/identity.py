"""Which simulator it is, as far as its source tells: so that no fit goes on with simulations of another one."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def simulator_identity(simulator: Any) -> str:
    """Name and digest of the source of a simulator: another name, or other code, is another simulator.

    Comments and layout do not count; nor does what the function calls, or finds in variables outside it.

    Parameters
    ----------
    simulator
        A function, or an object that runs one (its attributes ``function`` and ``features``).
    """
    inner = getattr(simulator, "function", None)
    if callable(inner):
        parts = [inner, getattr(getattr(simulator, "call", None), "features", None)]
        return ", ".join(_of_function(part) for part in parts if part is not None)
    return _of_function(simulator) if inspect.isroutine(simulator) else _of_function(type(simulator))


def _of_function(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        function = type(function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    source = _source(function)
    return name if source is None else f"{name} {hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}"


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
