"""Spike times with uncertainty, finer than the frames, from expected spikes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.segments import frame_rate_of, times_s
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.results import opened_result

QUIET, QUIET_HZ, QUIET_LEAST = 0.02, 0.6, 0.002
"""Expected spikes of a step below which it separates events; per second where steps are shorter than 1/30 s; and at
least, since a network of the recording's own expects 0.001 of any step."""
LEAST_MASS = 0.5
LEVEL = 0.9
MOST_IN_A_STEP = 10_000
"""Spikes placed in a frame at most: an artefact can be taken for more spikes than memory has room for."""


class SpikeTimes(NamedTuple):
    """One value a spike: seconds, the 90 % interval, and how sure it is that there is a spike."""

    time_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    probability: np.ndarray


def place_with_uncertainty(expected: np.ndarray, edges_s: np.ndarray) -> SpikeTimes:
    """Times of the spikes that the expected counts add up to.

    Steps with next to no expected spikes (0.02, no more than 0.6 per second, but 0.002 of any step) separate events,
    and their mass gets no time. An event of expected mass M holds round(M) spikes; the k-th of n takes the k-th n-th of
    the mass, its time is the median of that part, and its interval holds 90 % of it. The mass of a step, at most
    10,000, is spread evenly over it, so that times are not bound to frames.

    Parameters
    ----------
    expected
        (step,) expected spikes; NaN counts as none.
    edges_s
        (step, 2) start and end of every step, seconds.
    """
    mass = np.minimum(np.nan_to_num(np.asarray(expected, float)), MOST_IN_A_STEP)
    quiet = np.clip(QUIET_HZ * (edges_s[:, 1] - edges_s[:, 0]), QUIET_LEAST, QUIET)
    loud = np.concatenate([[False], mass >= quiet, [False]])
    starts, ends = np.flatnonzero(loud[1:] & ~loud[:-1]), np.flatnonzero(~loud[1:] & loud[:-1])
    rows = [
        _within(mass[a:b], edges_s[a:b]) for a, b in zip(starts, ends, strict=True) if mass[a:b].sum() >= LEAST_MASS
    ]
    columns = np.concatenate(rows, axis=1) if rows else np.empty((4, 0))
    return SpikeTimes(*columns)


def _within(mass: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """(4, spike) columns of one event."""
    total = mass.sum()
    n = max(1, round(total))
    at = np.column_stack([np.r_[0.0, np.cumsum(mass)[:-1]], np.cumsum(mass)]).ravel() / total
    at = np.maximum.accumulate(at + 1e-12 * np.arange(len(at)))
    seconds = edges_s.ravel()
    k = np.arange(n)
    middle, low, high = (np.interp((k + q) / n, at, seconds) for q in (0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return np.stack([middle, low, high, np.full(n, min(1.0, total / n))])


def placed(
    expected: Iterable[np.ndarray], recording: xr.DataArray, grid: FrameGrid, frame_rate_hz: float, steps: int
) -> xr.Dataset:
    """Spike times of every neuron, one row a spike; the attribute `expected_spikes` tells how many were expected.

    Parameters
    ----------
    expected
        (step,) of every neuron on the regular grid; a single NaN where nothing was inferred.
    steps
        Steps per frame.
    """
    time_s, width = recording["time"].values, 1 / frame_rate_hz
    recorded = np.full(int(grid.places[-1]) + 1, np.nan)
    recorded[grid.places] = time_s
    missing = np.isnan(recorded)
    recorded[missing] = np.interp(np.flatnonzero(missing), grid.places, time_s)
    first = (recorded[:, None] + (np.arange(steps) / steps - 0.5) * width).ravel()
    edges = np.column_stack([first, first + width / steps])
    labels = recording["neuron"].values.astype(str)
    found, total = [], 0.0
    for row in expected:
        found.append(place_with_uncertainty(row, edges) if row.ndim else None)
        total += float(np.nansum(row, dtype=float))
    names = np.concatenate([np.full(len(f.time_s), name) for f, name in zip(found, labels, strict=True) if f] or [[]])
    columns = {
        field: np.concatenate([getattr(f, field) for f in found if f] or [np.empty(0)]) for field in SpikeTimes._fields
    }
    units = {"time_s": "s", "low_s": "s", "high_s": "s", "probability": "1"}
    data = {name: ("spike", values, {"units": units[name]}) for name, values in columns.items()}
    attrs = {"frame_rate_hz": frame_rate_hz, "expected_spikes": round(total, 2)}
    return xr.Dataset({"neuron": ("spike", names.astype(str)), **data}, attrs=attrs)


def expected_of(
    result: xr.Dataset | None, recording: xr.DataArray, grid: FrameGrid, steps: int
) -> Iterator[np.ndarray] | None:
    """(frame,) expected spikes of every neuron, as `placed` takes them, if a result holds them all; read in blocks.

    None if it does not: where frames are missing or have steps, inference says more than its result.

    Raises
    ------
    InputError
        No result of inference, or of other neurons or frames than the recording.
    """
    if result is None:
        return None
    result = opened_result(result)
    theirs, ours = (one["neuron"].values.astype(str).tolist() for one in (result, recording))
    if theirs != ours or not _same_frames(result, recording):
        raise InputError(
            f"The result ({counted(result.sizes['time'], 'frame')}, {counted(len(theirs), 'neuron')}) is of other"
            f" neurons or frames than the recording ({counted(recording.sizes['time'], 'frame')},"
            f" {counted(len(ours), 'neuron')}); give what predict gave for it."
        )
    if steps > 1 or grid.n_missing:
        return None
    return _rows(result["expected_spikes"].transpose("neuron", "time"))


def _same_frames(result: xr.Dataset, recording: xr.DataArray) -> bool:
    """Whether both have the same frames: as many, and each within half a frame period where both have times."""
    if result.sizes["time"] != recording.sizes["time"]:
        return False
    theirs, ours = times_s(result), times_s(recording)
    if theirs is None or ours is None:
        return True
    return bool(np.abs(theirs - ours).max() * frame_rate_of(recording) <= 0.5)


def _rows(expected: xr.DataArray) -> Iterator[np.ndarray]:
    first = 0
    for n in expected.chunksizes.get("neuron", (expected.sizes["neuron"],)):
        block = expected.isel(neuron=slice(first, first + n)).values
        yield from (np.asarray(np.nan) if np.isnan(row).all() else row for row in block)
        first += n
