"""Traces one above the other: which are drawn, at how many places, and what things look like along their axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.plotting.drawing import Picture, Series
from antidrome.recordings.arguments import counted
from antidrome.recordings.segments import times_s

MOST_TRACES = 20
MOST_POINTS = 20_000


def has(*names: str) -> Callable[[Any], bool]:
    """Whether a thing is a dataset with these variables and axes."""
    return lambda thing: hasattr(thing, "data_vars") and set(names) <= {*thing.data_vars, *thing.dims}


def is_array(first: str, second: str) -> Callable[[Any], bool]:
    """Whether a thing is an array along these axes, in any order; of the second one value may have been selected."""

    def knows(thing: Any) -> bool:
        dims, other = set(getattr(thing, "dims", ())), not hasattr(thing, "data_vars")
        return other and {first} <= dims <= {first, second} and second in {*dims, *thing.coords}

    return knows


def along(found: Any, *axes: str) -> Any:
    """The same with these axes, also where one value was selected along them."""
    return found.expand_dims([axis for axis in axes if axis not in found.dims])


def traces(values: Any, of: str = "neuron", spread: Any = None) -> Picture:
    """The first of many traces.

    Parameters
    ----------
    values
        (time, `of`), in any order of the axes.
    of
        The axis along which the traces lie.
    spread
        SD of each value: a band of one to either side.
    """
    values = along(values, of).transpose("time", of)
    shown = values.isel({of: slice(0, MOST_TRACES)})
    times = times_s(shown)
    heights, step = stacked(np.asarray(shown.values, float))
    at, units = shown["time"].values if times is None else times, values.attrs.get("units", "")
    left = values.sizes[of] - shown.sizes[of]
    title = counted(shown.sizes[of], of) + (f" of {values.sizes[of]}" if left else "")
    label = f"{of}, {step:.3g}{' ' + units if units not in ('', '1') else ''} apart"
    places = [telling(trace) for trace in heights.T]
    series = [Series(at[some], trace[some]) for trace, some in zip(heights.T, places, strict=True)]
    if spread is not None:
        sd = np.asarray(along(spread, of).transpose("time", of).values[:, :MOST_TRACES], float)
        bands = zip(heights.T, sd.T, places, strict=True)
        series += [Series(at[some], trace[some], "band", half_width=width[some]) for trace, width, some in bands]
    return Picture(title, "frame" if times is None else "time (s)", label, tuple(series))


def telling(trace: np.ndarray) -> np.ndarray:
    """Places that are drawn: all, or of a longer trace both extremes of each of many bins, so that no event is lost."""
    n, bin_frames = trace.size, -(-2 * trace.size // MOST_POINTS)
    if n <= MOST_POINTS:
        return np.arange(n)
    bins = np.pad(trace, (0, -n % bin_frames), constant_values=np.nan).reshape(-1, bin_frames)
    low, high = np.where(np.isnan(bins), np.inf, bins).argmin(axis=1), np.where(np.isnan(bins), -np.inf, bins)
    return np.unique(np.arange(0, n, bin_frames)[:, None] + np.column_stack([low, high.argmax(axis=1)]))


def row(values: Any) -> np.ndarray:
    """All values, one after the other, as float64."""
    return np.asarray(values.values, float).ravel()


def stacked(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Traces one above the other, and the distance between them: their widest range, without the rarest values."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if not np.isfinite(finite).any():
        return values, 1.0
    low, high = np.nanquantile(finite[:: -(-len(finite) // MOST_POINTS)], [0.002, 0.998])
    step = float(high - low) or 1.0
    return values + step * np.arange(values.shape[1]), step
