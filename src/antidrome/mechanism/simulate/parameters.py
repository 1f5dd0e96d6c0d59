"""Which of the given parameters a simulator takes where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antidrome.errors import InputError

SAME_DRAW = 1e-5
"""Difference of draws, as a share of a parameter's range, that another processor's rounding makes."""


def own_names(simulator: Any) -> tuple[str, ...]:
    """Names of a simulator's parameters, in the order in which it takes them; () where it has none."""
    return tuple(getattr(simulator, "parameter_names", getattr(simulator, "_parameter_names", None)) or ())


def columns_of(simulator: Any, names: Sequence[str]) -> list[int]:
    """Where each of a simulator's parameters stands among those with these names; by place where they share no name.

    Raises
    ------
    InputError
        They share some names only.
    """
    own, given = own_names(simulator), tuple(names)
    if not set(own) & set(given) or len(own) != len(given):
        return list(range(len(given)))
    absent = [name for name in own if name not in given]
    if absent:
        raise InputError(
            f"The simulator takes the parameters {', '.join(own)}, but {absent[0]!r} is not among {', '.join(given)}."
            " Name all of them as it does, or none."
        )
    return [given.index(name) for name in own]
