"""Words as arguments, and names in messages."""

from collections.abc import Sequence
from typing import Any

from antidrome.errors import InputError


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise InputError unless an argument is one of the allowed words."""
    if value not in allowed:
        raise InputError(f"{name} = {value!r}, expected one of {', '.join(map(repr, allowed))}.")


def listing(names: Any, most: int = 8) -> str:
    """Names in quotes for a message, the first eight of them."""
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
