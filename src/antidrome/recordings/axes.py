"""The two axes of a recording: times in seconds, neuron labels, and which axis is which."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing, one_of
from antidrome.recordings.masked import unmasked
from antidrome.recordings.units import SECONDS, plain_unit

Orientation = Literal["time,neuron", "neuron,time"]

TIME_NAMES = ("time", "times", "frame", "frames", "t", "timestamp", "timestamps")
NEURON_NAMES = ("neuron", "neurons", "roi", "rois", "roi_id", "cell", "cells", "cell_id", "unit", "unit_id")


def even_times(start_s: float, frame_rate_hz: float, n_frames: int) -> np.ndarray:
    """Times (s), shape (frames,), of even frames, the first at ``start_s``."""
    if start_s == 0.5 / frame_rate_hz:
        return (np.arange(n_frames) + 0.5) / frame_rate_hz
    return start_s + np.arange(n_frames) / frame_rate_hz


def time_in_seconds(time: xr.DataArray) -> np.ndarray:
    """Times as float64 seconds, shape (frames,): dates count from the first frame, "ms" is divided by 1000.

    Units are those of the attribute "units": what CF and xarray call nanoseconds to days, in full or abbreviated.
    """
    values = np.asarray(time.values)
    if values.dtype.kind == "M":
        return (values - values[:1]) / np.timedelta64(1, "s")
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    if values.dtype.kind == "O" and len(time.dims) == 1 and getattr(time.indexes.get(time.dims[0]), "nlevels", 1) > 1:
        levels = listing(time.indexes[time.dims[0]].names)
        raise InputError(
            f"the time coordinate is a MultiIndex of {levels}, expected seconds: take one trial, or"
            f" reset_index({str(time.dims[0])!r}) and assign the times of all frames"
        )
    unit = _unit(time)
    if not has_unit_of_time(time):
        raise InputError(f"the time coordinate is in {unit!r}, expected seconds, or ns, us, ms, minutes, hours, days")
    if values.dtype.kind not in "iuf":
        raise InputError(f"the time coordinate is of type {values.dtype}, expected numbers of seconds")
    return values.astype(np.float64) * SECONDS[unit]


def has_unit_of_time(time: xr.DataArray | xr.Variable) -> bool:
    """Whether times are dates, durations, or in a unit that is known; in seconds where they have none."""
    return time.dtype.kind in "Mm" or _unit(time) in SECONDS


def _unit(time: xr.DataArray | xr.Variable) -> str:
    return plain_unit(str(time.attrs.get("units", "s")))


def neuron_labels(neuron: Sequence[Any] | np.ndarray | None, n_neurons: int, n_frames: int) -> np.ndarray:
    """Unique text labels, shape (neurons,)."""
    if neuron is None:
        return np.array([str(i) for i in range(n_neurons)])
    missing = [place for place, label in enumerate(neuron) if _is_missing(label)]
    if missing:
        raise InputError(
            f"{len(missing)} of {n_neurons} neuron labels are missing (first: column {missing[0]}): name these neurons,"
            " each by a label that no other has, or leave them out"
        )
    labels = np.array([label.decode() if isinstance(label, bytes) else str(label) for label in neuron])
    if len(labels) != n_neurons:
        hint = _transposed_hint(len(labels) == n_frames)
        raise InputError(
            f"{counted(len(labels), 'neuron label')} for an array of {counted(n_neurons, 'neuron')} ×"
            f" {counted(n_frames, 'frame')}{hint}"
        )
    unique, counts = np.unique(labels, return_counts=True)
    if len(unique) != n_neurons:
        raise InputError(f"neuron labels must be unique; given more than once: {listing(unique[counts > 1])}")
    return labels


def _is_missing(label: Any) -> bool:
    """Whether a label is None, NaN, NaT or pandas' NA, which would be the same neuron in all recordings."""
    not_a_number = isinstance(label, float | np.floating | np.datetime64) and bool(label != label)
    return label is None or not_a_number or type(label).__name__ in ("NAType", "NaTType")


BY_NUMBER = {"neuron_labels": "by number"}
"""Attribute of recordings whose neurons nobody named: the labels are their places in the file."""


def named_by_number(recording: xr.DataArray) -> bool:
    """Whether nobody named the neurons, so that equal labels of two recordings say little."""
    if recording.attrs.get("neuron_labels") != BY_NUMBER["neuron_labels"] or "neuron" not in recording.coords:
        return False
    return all(str(label).split("/")[-1].isdecimal() for label in recording["neuron"].values)


def choose_orientation(
    shape: tuple[int, ...], orientation: str | None, notes: list[str], where: str
) -> Literal["time,neuron", "neuron,time"]:
    """The orientation asked for, or else a guess that is noted: recordings have more frames than neurons."""
    if orientation is not None:
        one_of("orientation", orientation, get_args(Orientation))
        return "neuron,time" if orientation == "neuron,time" else "time,neuron"
    if len(shape) == 2 and shape[0] < shape[1]:
        guess: Orientation = "neuron,time"
    else:
        guess = "time,neuron"
    if len(shape) == 2 and 1 not in shape:
        notes.append(
            f"orientation of {where} {shape[0]} × {shape[1]} taken as {guess} (the longer axis is time); "
            "pass orientation= (--orientation) to decide it"
        )
    return guess


def positive_rate(frame_rate_hz: Any) -> float:
    """A frame rate (Hz) as a positive finite float, or InputError."""
    try:
        rate = float(frame_rate_hz)
    except (TypeError, ValueError):
        raise InputError(f"frame_rate_hz = {frame_rate_hz!r}, expected frames per second") from None
    if not np.isfinite(rate) or rate <= 0:
        raise InputError(f"frame_rate_hz = {rate:g}, expected a positive number of frames per second")
    return rate


def checked_times(time: Any, rate: float | None, n_frames: int, n_neurons: int, notes: list[str]) -> np.ndarray:
    """Frame times (s), shape (frames,), finite and not decreasing; from the rate (Hz) where none are given."""
    if time is None:
        if rate is None:
            raise InputError("the recording has neither times nor a frame rate: pass frame_rate_hz")
        return even_times(0.5 / rate, rate, n_frames)
    if not isinstance(time, xr.DataArray):
        time = xr.DataArray(np.asarray(unmasked(time, [], "times")))
    times = time_in_seconds(time)
    if times.shape != (n_frames,):
        hint = _transposed_hint(times.shape == (n_neurons,))
        raise InputError(
            f"{counted(times.size, 'time')} for {counted(n_frames, 'frame')} × {counted(n_neurons, 'neuron')}{hint}"
        )
    bad = np.flatnonzero(~np.isfinite(times))
    if bad.size:
        raise InputError(f"{bad.size} of {n_frames} times are not finite (first: frame {bad[0]}): remove these frames")
    steps = np.diff(times)
    back = np.flatnonzero(steps < 0)
    if back.size:
        raise InputError(
            f"time runs backwards {back.size} times (first: frame {back[0] + 1}, from {times[back[0]]:g} s to "
            f"{times[back[0] + 1]:g} s): sort the frames, or split the recording where the clock restarts"
        )
    repeated = int((steps == 0).sum())
    if repeated:
        notes.append(f"{repeated} times repeat the one before (first: frame {np.flatnonzero(steps == 0)[0] + 1})")
    return times


def standard_dims(array: xr.DataArray) -> tuple[xr.DataArray, list[str]]:
    """Rename the usual synonyms of "time" and "neuron"; put time first."""
    notes: list[str] = []
    if array.ndim == 1 and str(array.dims[0]).lower() in TIME_NAMES:
        array = array.expand_dims("neuron", axis=1)
    for standard, synonyms in (("time", TIME_NAMES), ("neuron", NEURON_NAMES)):
        if standard in array.dims:
            continue
        found = [dim for dim in array.dims if str(dim).lower() in synonyms]
        if len(found) == 1:
            notes += _on_frame_numbers(array, found[0])
            array = _rename(array, found[0], standard)
            notes.append(f"dimension {found[0]!r} taken as {standard!r}")
    if set(array.dims) != {"time", "neuron"} or array.ndim != 2:
        advice = "rename them" if array.ndim == 2 else "choose one place along every other, or lay trials end to end"
        raise InputError(f"got dimensions {tuple(array.dims)}, expected ('time', 'neuron'): {advice}")
    return array.transpose("time", "neuron"), notes


def called(dims: tuple[Any, ...], names: tuple[str, ...]) -> list[Any]:
    """The one dimension that has such a name, the standard name first; none where nothing decides."""
    found = [dim for dim in dims if dim == names[0]] or [dim for dim in dims if str(dim).lower() in names]
    return found if len(found) == 1 else []


def _on_frame_numbers(array: xr.DataArray, dim: Any) -> list[str]:
    """A sentence where numbers of frames, which are left out as they are no times, tell of missing frames."""
    numbers = array.coords[dim].values if str(dim).lower() in ("frame", "frames") and dim in array.coords else None
    if numbers is None or numbers.dtype.kind not in "iuf" or "time" in array.coords:
        return []
    steps = np.diff(numbers)
    if not (steps > 1).any() or not (steps > 0).all():
        return []
    return [
        f"numbers of frames have gaps (first: after {numbers[np.argmax(steps > 1)]:g}) and are not used: give times in"
        " seconds, as a coordinate 'time' along them, or the frames will be taken as evenly spaced"
    ]


def _rename(array: xr.DataArray, dim: Any, standard: str) -> xr.DataArray:
    """Rename a dimension; frame numbers are not times, and a time coordinate along the frames is."""
    if standard in array.coords and array[standard].dims == (dim,):
        array = without_levels(array, dim)
        times = array[standard]  # a level that was taken apart keeps the whole index, and would be no index again
        array = array.assign_coords({standard: (dim, np.asarray(times.values), times.attrs)}).swap_dims({dim: standard})
        return array.drop_vars(dim) if dim in array.coords else array
    if str(dim).lower() in ("frame", "frames") and dim in array.coords:
        array = without_levels(array, dim)
        array = array.drop_vars(dim, errors="ignore")
    return array.rename({dim: standard})


def without_levels(array: xr.DataArray, dim: Any) -> xr.DataArray:
    """The same with the levels of a MultiIndex along a dimension as plain coordinates."""
    return array.reset_index(dim) if getattr(array.indexes.get(dim), "nlevels", 1) > 1 else array


def _transposed_hint(transposed: bool) -> str:
    return ": the array looks transposed, pass orientation='neuron,time'" if transposed else ""
