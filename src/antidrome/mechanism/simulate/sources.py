"""The source of functions and classes, as far as there is one: in files, and in the cells of notebooks."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import linecache
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_INSTALLED = ("site-packages", "dist-packages")
"""Folders in which packages are installed."""


def digest_of(code: Callable[..., Any]) -> str | None:
    """Of the code without comments and layout; None where there is no source."""
    text = _text(code)
    if text is None:
        return None
    with contextlib.suppress(SyntaxError):  # a lambda in the middle of something
        text = ast.dump(ast.parse(text))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def tree_of(kind: type) -> ast.AST | None:
    """The code of a class; None where there is no source."""
    text = _text(kind)
    try:
        return None if text is None else ast.parse(text)
    except SyntaxError:
        return None


def own_bases(kind: type) -> list[type]:
    """The classes that a class inherits from and that the user wrote as well: those of no installed package."""
    return [one for one in kind.__mro__[1:] if _is_own(one)]


def _is_own(kind: type) -> bool:
    package = kind.__module__.partition(".")[0]
    if package in ("__main__", "builtins", "antidrome"):
        return package == "__main__"
    try:
        path = Path(inspect.getfile(kind)).resolve()
    except (OSError, TypeError):
        return False
    library = Path(sysconfig.get_path("stdlib")).resolve()
    return not (library in path.parents or any(name in path.parts for name in _INSTALLED))


def _text(code: Callable[..., Any]) -> str | None:
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return _text_by_functions(code) if inspect.isclass(code) else None


def _text_by_functions(kind: type) -> str | None:
    """Of a class without a file, in the cell of the notebook that its functions are from."""
    for function in _functions_of(kind):
        lines = linecache.getlines(function.__code__.co_filename)
        node = _class_around(function.__code__.co_firstlineno, kind.__name__, "".join(lines))
        if node is not None:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            return textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    return None


def _class_around(line: int, name: str, text: str) -> ast.ClassDef | None:
    """The innermost class of this name whose lines hold that of one of its functions."""
    try:
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef) and node.name == name]
    except SyntaxError:
        return None
    around = [node for node in nodes if node.lineno <= line <= (node.end_lineno or 0)]
    return max(around, key=lambda node: node.lineno, default=None)


def _functions_of(kind: type) -> Iterator[Any]:
    """The Python functions that a class defines, without what is around them."""
    for value in vars(kind).values():
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, functools.cached_property):
            value = value.func
        function = inspect.unwrap(getattr(value, "__func__", value))
        if inspect.isfunction(function):
            yield function
