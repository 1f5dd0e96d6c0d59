"""Whole numbers as arguments: lags, counts, neighbours."""

import numbers
from typing import Any

from antidrome.errors import InputError


def whole_number(name: str, value: Any, least: int | None = None, *, what: str = "") -> int:
    """Return an argument as a plain integer.

    Parameters
    ----------
    name, value
        The argument.
    least
        The smallest allowed value; None: any.
    what
        What it counts, for the message: ``"frames"``.

    Raises
    ------
    InputError
        If it is not a whole number, or too small.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):
        of, bound = f" of {what}" if what else "", "" if least is None else f", at least {least}"
        raise InputError(f"{name} = {value!r}, expected a whole number{of}{bound}.")
    return int(value)


def whole_numbers(values: Any) -> list[int] | None:
    """Return several whole numbers as plain integers (2.0 is 2); None where `values` is anything else."""
    try:
        found = [] if isinstance(values, str) else list(values)
    except TypeError:
        return None
    if not found or not all(isinstance(value, numbers.Real) and value % 1 == 0 for value in found):
        return None
    return [int(value) for value in found]
