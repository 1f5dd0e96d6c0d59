"""From a recording to points: what is left out, binned, spread over time, and shifted for the control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.points import frames_of
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.axes import NEURON_NAMES, TIME_NAMES, called
from antidrome.recordings.masked import unmasked
from antidrome.recordings.tables import names_times, opened_table, without_index

MOSTLY = 0.5
MIN_SHIFT = 0.1


@runtime_checkable
class Settings(Protocol):
    """What this file needs of the settings."""

    bin_frames: int
    max_points: int | None
    standardise: bool


@dataclass(frozen=True)
class PopulationPoints:
    """Points of a population: all bins in their order, and which of them are used.

    Parameters
    ----------
    values
        (bins, neurons), float64, without NaN.
    index
        Bins that are used as points.
    frame
        Place in time of each used bin, in bins of the recording.
    kind
        "time" where neighbouring rows follow one another, "trial" where they do not.
    notes
        What was left out.
    """

    values: Float[np.ndarray, "bins neurons"]
    index: Int[np.ndarray, " points"]
    frame: Int[np.ndarray, " points"]
    kind: Literal["time", "trial"]
    notes: tuple[str, ...]

    @property
    def n_used(self) -> int:
        """Number of points."""
        return self.index.size

    def used(self) -> np.ndarray:
        """The rows of `values` that are points."""
        return self.values[self.index]


def population_points(recording: Any, settings: Settings) -> PopulationPoints:
    """Clean, bin and choose the points of a recording.

    Raises
    ------
    InputError
        Not two axes of numbers, infinite values, or nothing left.
    """
    notes: list[str] = []
    values, kind = _two_axes(recording, notes)
    values = _without_dead_neurons(values, notes)
    values, frame = _binned(values, settings.bin_frames, notes)
    complete = ~np.isnan(values).any(axis=1)
    if not complete.all():
        notes.append(f"{counted((~complete).sum(), 'point', 'has', of=len(complete))} missing values: left out.")
        values, frame = values[complete], frame[complete]
    if len(values) == 0:
        raise InputError(f"No point is complete. {' '.join(notes)} Choose neurons that were recorded together.")
    constant = np.ptp(values, axis=0) == 0
    if constant.any():
        notes.append(f"{counted(constant.sum(), 'neuron', 'is')} constant in what is left: left out.")
        values = values[:, ~constant]
    if settings.standardise and values.size:
        mean, sd = values.mean(axis=0), values.std(axis=0)
        values -= mean
        values /= sd
    index = np.arange(len(values))
    if settings.max_points is not None and len(values) > settings.max_points:
        index = np.linspace(0, len(values) - 1, settings.max_points).round().astype(int)
        notes.append(
            f"{counted(settings.max_points, 'point', 'was', of=len(values))} used, spread evenly over the recording."
        )
    return PopulationPoints(values, index, frame[index], kind, tuple(notes))


def shifted(
    values: Float[np.ndarray, "bins neurons"], draw: np.random.Generator, rows: Int[np.ndarray, " rows"] | None = None
) -> Float[np.ndarray, "rows neurons"]:
    """Rows of each neuron shifted circularly by a time of its own: its statistics stay, what neurons share is gone."""
    n = len(values)
    rows = np.arange(n) if rows is None else rows
    least = max(1, int(MIN_SHIFT * n))
    shifts = draw.integers(least, max(least + 1, n - least + 1), values.shape[1])
    return np.take_along_axis(values, (rows[:, None] - shifts) % n, axis=0)


def _two_axes(recording: Any, notes: list[str]) -> tuple[np.ndarray, Literal["time", "trial"]]:
    kind: Literal["time", "trial"] = "time"
    if hasattr(recording, "data_vars"):
        raise InputError(
            f"got a Dataset with variables {listing(recording.data_vars)}, expected one array (time, neuron) or"
            " (trial, neuron): pick one, for instance dataset['expected_spikes']"
        )
    if hasattr(recording, "dims"):
        along_time, of_neurons = frames_of(recording), called(recording.dims, NEURON_NAMES)
        if len(recording.dims) == 2:
            first, last = [*along_time, ...], [..., *of_neurons]
            recording = recording.transpose(*(last if of_neurons else first))
        kind = "time" if _follow(recording, along_time) else "trial"
        recording = recording.data
    values = np.asarray(unmasked(opened_table(without_index(recording)).values, notes))
    if values.ndim != 2 or values.dtype.kind not in "fbiu" or 0 in values.shape:
        raise InputError(
            f"The recording has the shape {values.shape} and type {values.dtype}; expected numbers (time, neuron) or"
            " (trial, neuron)."
        )
    values = values.astype(np.float64)
    if np.isinf(values).any():
        row, neuron = np.argwhere(np.isinf(values))[0]
        raise InputError(f"The recording has an infinite value (row {row}, neuron {neuron}); mark missing ones as NaN.")
    return values, kind


def _follow(recording: Any, along: list[Any]) -> bool:
    """Whether neighbouring rows follow one another: along time, or stacked with the times of a trial in a row."""
    levels = [recording.indexes[dim].names for dim in along if dim in getattr(recording, "indexes", {})]
    return bool(called(tuple(along), TIME_NAMES)) or any(names_times(names[-1]) for names in levels)


def _without_dead_neurons(values: np.ndarray, notes: list[str]) -> np.ndarray:
    missing = np.isnan(values).mean(axis=0) > MOSTLY
    constant = (np.fmax.reduce(values, axis=0) <= np.fmin.reduce(values, axis=0)) & ~missing
    if missing.any():
        notes.append(f"{counted(missing.sum(), 'neuron', 'is', of=missing.size)} missing most of the time: left out.")
    if constant.any():
        notes.append(f"{counted(constant.sum(), 'neuron', 'is', of=constant.size)} constant: left out.")
    kept = ~missing & ~constant
    return values if kept.all() else values[:, kept]


def _binned(values: np.ndarray, bin_frames: int, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    n_bins = len(values) // bin_frames
    if n_bins == 0:
        raise InputError(
            f"bin_frames is {bin_frames} and the recording has {counted(len(values), 'frame')}: no whole bin."
        )
    left = len(values) - n_bins * bin_frames
    if left:
        notes.append(f"{counted(left, 'frame', 'was')} left out at the end: no whole bin.")
    binned = values[: n_bins * bin_frames].reshape(n_bins, bin_frames, -1)
    return (binned[:, 0] if bin_frames == 1 else binned.mean(axis=1)), np.arange(n_bins)
