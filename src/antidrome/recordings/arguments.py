"""Words as arguments, and names in messages."""

from collections.abc import Sequence
from typing import Any

from antidrome.errors import InputError

_PLURAL = {"is": "are", "was": "were", "has": "have"}


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise InputError unless an argument is one of the allowed words."""
    if value not in allowed:
        raise InputError(f"{name} = {value!r}, expected one of {', '.join(map(repr, allowed))}.")


def listing(names: Any, most: int = 8) -> str:
    """Names in quotes for a message, the first eight of them."""
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(n: Any, noun: str, verb: str = "", *, of: int | None = None) -> str:
    """A number with its noun, and a verb that agrees: '1 neuron was', '2 neurons were', '1 of 2 neurons was'."""
    n = int(n)
    out_of = n if of is None else int(of)
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    words = [f"{n:,}", "" if of is None else f"of {out_of:,}", noun if out_of == 1 else plural]
    return " ".join(filter(None, [*words, agreeing(n, verb)]))


def agreeing(n: int, verb: str) -> str:
    """A verb that is given in the singular, in the number of its subject: 'is' or 'are'."""
    return verb if n == 1 else _PLURAL.get(verb, verb.removesuffix("s"))
