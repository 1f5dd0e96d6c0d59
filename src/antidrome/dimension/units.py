"""Units of results: pure numbers, except distances and variances."""

from __future__ import annotations

import xarray as xr

DISTANCE_UNITS = {"euclidean": "as the points", "cosine": "rad", "hamming": "1"}
"""Of the distances in each metric; Hamming's are numbers of coordinates that differ."""
GIVEN = "as given"


def distance_units(metric: str) -> str:
    """Unit of the distances of a neighbour graph: "as given" where distances were given."""
    return DISTANCE_UNITS.get(metric, GIVEN)


def with_units(result: xr.Dataset, **units: str) -> xr.Dataset:
    """The result with the attribute ``units`` on every variable of numbers.

    Parameters
    ----------
    result
        Its variables get the attribute in place; one that is there stays.
    units
        By variable; all others are pure numbers, "1".
    """
    for name, variable in result.data_vars.items():
        if variable.dtype.kind in "biuf":
            variable.attrs.setdefault("units", units.get(str(name), "1"))
    return result
