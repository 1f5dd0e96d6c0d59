"""What can, and what cannot, be concluded from the dimension of a population; in sentences."""

from __future__ import annotations

import numpy as np
import xarray as xr

from antidrome.recordings.arguments import counted

LIKE_INDEPENDENT = 0.8
STILL_GROWING = 1.1
MANY_TEMPORAL = 0.1
LOWER_BOUND = 20.0
MANY_DUPLICATES = 0.01


def conclusions(result: xr.Dataset) -> list[str]:
    """Judge an estimate by its controls.

    Parameters
    ----------
    result
        What `population` has measured.

    Returns
    -------
    Sentences, the estimate first. An estimate for which none of the warnings holds says so.
    """
    found = float(result["dimension"])
    first = (
        f"Dimension {found:.1f} ± {float(result['standard_error']):.1f} (standard error) at"
        f" {counted(result.attrs['n_points'], 'point')} and {counted(result.attrs['n_neurons'], 'neuron')}: a figure of"
        " this sample size and scale."
    )
    warnings = [
        sentence
        for rule in (_duplicates, _independent, _noise, _neurons, _points, _time, _high)
        if (sentence := rule(result, found))
    ]
    return [first, *(warnings or ["None of the controls speaks against it."])]


def _independent(result: xr.Dataset, found: float) -> str:
    control, where = float(result["shuffled_dimension"].mean()), ""
    apart, shuffled_apart = float(result["dimension_apart"]), float(result["shuffled_apart"].mean())
    if float(result["temporal_neighbours"]) >= MANY_TEMPORAL and np.isfinite(apart) and np.isfinite(shuffled_apart):
        found, control, where = apart, shuffled_apart, " (without neighbours in time)"
    if not found >= LIKE_INDEPENDENT * control:
        return ""
    return (
        f"The same neurons, shifted against one another in time, have {control:.1f} where the recording has"
        f" {found:.1f}{where}: it is not clearly below neurons that share nothing, and shared structure cannot be"
        " concluded from it."
    )


def _noise(result: xr.Dataset, found: float) -> str:
    components = int(result["components_above_shuffled"])
    if found <= components + 1:
        return ""
    return (
        f"Principal components with more variance than in the shifted recordings: {components}, fewer than the"
        " estimate. Part of it may be noise of single neurons, which fills all dimensions."
    )


def _neurons(result: xr.Dataset, found: float) -> str:
    growth = last_doubling(result["dimension_by_neurons"])
    if not growth > STILL_GROWING:
        return ""
    return (
        f"With twice the neurons the estimate grows by {growth - 1:.0%}: the recorded neurons do not cover the"
        " population's states (or each brings noise of its own). For the population it is no figure."
    )


def _points(result: xr.Dataset, found: float) -> str:
    growth = last_doubling(result["dimension_by_points"])
    if not growth > STILL_GROWING:
        if np.isfinite(growth) and growth < 1 / STILL_GROWING:
            return (
                f"With twice the points the estimate falls by {1 - growth:.0%}: at shorter distances another, smaller"
                " structure shows. It depends on scale."
            )
        return ""
    return f"With twice the points the estimate grows by {growth - 1:.0%}: a lower bound, or noise at short distances."


def _time(result: xr.Dataset, found: float) -> str:
    share, apart = float(result["temporal_neighbours"]), float(result["dimension_apart"])
    if share < MANY_TEMPORAL:
        return ""
    other = f"; without such neighbours it is {apart:.1f}" if np.isfinite(apart) else ""
    return (
        f"{share:.0%} of the points have their nearest neighbour right beside them in time: the estimate describes the"
        f" smoothness of the trace as much as the states{other}."
    )


def _high(result: xr.Dataset, found: float) -> str:
    if found <= LOWER_BOUND:
        return ""
    return f"Above {LOWER_BOUND:.0f} estimates from nearest neighbours are lower bounds at realistic numbers of points."


def _duplicates(result: xr.Dataset, found: float) -> str:
    share = (float(result["n_zero"]) + float(result["n_ties"])) / max(1, result.attrs["n_points"])
    if share < MANY_DUPLICATES:
        return ""
    return (
        f"{share:.0%} of the points were left out, being equal to others or equally far from two (empty bins, counts):"
        " the estimate holds for the others alone. Longer bins (bin_frames) help."
    )


def last_doubling(table: xr.DataArray) -> float:
    """Growth of the mean estimate from about half of the largest size to all of it, as a factor per doubling.

    Half of an odd number is rounded down: from 4 neurons to 9 they are more than doubled.
    """
    if len(table) < 2:
        return float("nan")
    last, before = ([value for value in row if np.isfinite(value)] for row in (table.values[-1], table.values[-2]))
    if not last or not before:
        return float("nan")
    half, whole = table[table.dims[0]].values[-2:]
    return float((np.mean(last) / np.mean(before)) ** (np.log(2) / np.log(whole / half)))
