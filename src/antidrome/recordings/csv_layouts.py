"""Tables that are not one column a neuron: several measures of every region (Fiji), a row for each neuron and frame."""

import re

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.axes import NEURON_NAMES
from antidrome.recordings.csv_times import are_whole
from antidrome.recordings.headings import names_counter

_MEASURE = re.compile(
    r"(area|%area|mean|stddev|mode|min|max|median|x|y|xm|ym|perim\.|bx|by|width|height|major|minor|angle|circ\.|"
    r"feret\w*|minferet|intden|rawintden|skew|kurt|ar|round|solidity)\s*(\d+|\(.+\))?",
    re.I,
)
"""Fiji's "Multi Measure": "Area1", "Mean1", …, or "Mean(cell 1)" where regions have names; "Mean" of a single one."""


def one_measure(header: list[str], kept: list[int], notes: list[str]) -> list[int]:
    """Places of the means, where the table has several measures of every region.

    Raises
    ------
    InputError
        If the mean is not among them.
    """
    found = [_MEASURE.fullmatch(header[place].strip()) for place in kept]
    measures = list(dict.fromkeys(match[1].lower() for match in found if match))
    single = any(match and match[2] is None for match in found) and "mean" not in measures
    if not all(found) or len(measures) < 2 or set(measures) == {"x", "y"} or single:
        return kept
    said = ", ".join(measures)
    if "mean" not in measures:
        raise InputError(f"the table has several measures of each region ({said}): leave the columns of one of them")
    notes.append(f"of the measures of each region ({said}) the mean is read, and the others are left out")
    return [place for place, match in zip(kept, found, strict=True) if match and match[1].lower() == "mean"]


def require_wide(header: list[str], values: np.ndarray, kept: list[int]) -> None:
    """Raise InputError if a column names the neuron or frame of each row, so that neurons lie below one another."""
    if len(kept) < 2:
        return
    for place in kept:
        name, column = header[place], values[:, place]
        names = name.strip().lower() in NEURON_NAMES or names_counter(name)
        if names and are_whole(column) and np.unique(column).size < column.size:
            raise InputError(
                f"column {name!r} repeats its numbers, as in a table of one row for each neuron and frame: give each "
                "neuron a column (in pandas: table.pivot(index=TIME, columns=NEURON, values=TRACE)), or remove or "
                f"rename {name!r}"
            )
