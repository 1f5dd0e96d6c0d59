"""The Recording contract: an ``xarray.DataArray`` with dims ``("time", "neuron")`` and nothing left to guess.

A *time* is the centre of its frame, in seconds. A recording made from a frame rate alone starts at zero: frame ``i``
covers ``[i, i + 1) / frame_rate_hz`` and its time is ``(i + 1/2) / frame_rate_hz``. NaN means: not measured.
"""

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

import antidrome.recordings.accessor  # noqa: F401  registers recording.antidrome
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing, one_of
from antidrome.recordings.axes import (
    BY_NUMBER,
    Orientation,
    checked_times,
    neuron_labels,
    positive_rate,
    standard_dims,
    time_in_seconds,
)
from antidrome.recordings.clock import clock_rate_hz, require_agreement, rounding_note
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.tables import as_frame, is_table, opened_table
from antidrome.recordings.units import known_units

Quantity = Literal["dff", "fluorescence", "unknown"]

NAMES = {"dff": "dff", "fluorescence": "fluorescence", "unknown": "fluorescence"}


def from_array(
    values: Any,
    frame_rate_hz: float | None = None,
    *,
    neuron: Sequence[Any] | np.ndarray | None = None,
    time: Any = None,
    quantity: str = "unknown",
    orientation: str = "time,neuron",
    units: str | None = None,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> xr.DataArray:
    """Make a recording from a plain array.

    Parameters
    ----------
    values
        numpy or dask array, shape (frames, neurons), or (neurons, frames) with ``orientation="neuron,time"``; one
        dimension means one neuron. Of a DataFrame (frames, neurons) the names of columns are labels, and an index of
        dates, durations or fractional numbers (seconds, or the unit in its name) gives the times; with
        ``orientation="neuron,time"`` it is the other way round. Integers and half floats become float32 (32-bit and
        longer integers: float64), foreign byte orders the machine's own. Masked and infinite samples become NaN and
        are counted in ``notes``; the infinite ones of a dask array are not counted, since nothing of it is read here.
    frame_rate_hz
        Frames per second. May be left out when ``time`` is given.
    neuron
        Unique labels; default "0", "1", …
    time
        Centre of each frame in seconds, finite and not decreasing (repeated times are kept and counted in
        ``notes``); dates count from the first frame; a DataArray may be in the unit that its attribute "units" names.
        Default ``(i + 1/2) / frame_rate_hz``.
    quantity
        "dff" (ΔF/F), "fluorescence" (raw) or "unknown".
    orientation
        Meaning of the two axes of ``values``: "time,neuron" or "neuron,time".
    units
        "1" (fraction), "percent" ("%"), "a.u." or "unknown"; default by ``quantity``. Others are noted, and unknown.
    coords
        Further values per neuron (ROI metadata), each of one dimension.
    attrs
        Further attributes, for instance ``source`` and ``session_id``.
    notes
        What was done to the data before, one sentence each.

    Returns
    -------
    xr.DataArray
        Dims ("time", "neuron"), dask-backed if ``values`` was.

    Raises
    ------
    InputError
        If the array, the labels, the times or the frame rate cannot be used; the message says which and where.

    Examples
    --------
    >>> import numpy as np
    >>> recording = from_array(np.zeros((300, 2)), 30.0, quantity="dff")
    >>> recording.dims, recording.attrs["frame_rate_hz"]
    (('time', 'neuron'), 30.0)
    """
    one_of("quantity", quantity, get_args(Quantity))
    one_of("orientation", orientation, get_args(Orientation))
    notes = as_notes(notes)
    turned = orientation == "neuron,time"
    values = as_frame(values)
    if turned and is_table(values) and hasattr(values, "columns"):
        values, turned = values.T, False  # names and times stand where they do in other tables
    if not turned:
        values, named, timed = opened_table(values)
        neuron = named if neuron is None else neuron
        time = timed if time is None else time
    array = _two_dimensional(values, notes)
    array = _as_float(array, np.ndim(values) == 2 and turned, notes)
    n_frames, n_neurons = array.shape
    rate = None if frame_rate_hz is None else positive_rate(frame_rate_hz)
    times = checked_times(time, rate, n_frames, n_neurons, notes)
    if rate is not None and time is not None:
        require_agreement(rate, times)
    labels = neuron_labels(neuron, n_neurons, n_frames)
    if rate is None and n_frames > 1:
        rate = clock_rate_hz(times)
    if time is not None and (rounded := rounding_note(times, rate)) and rounded not in notes:
        notes.append(rounded)
    all_attrs: dict[str, Any] = {
        "quantity": quantity,
        "units": known_units(units, quantity, notes),
        "source": "",
        "source_format": "array",
        "session_id": "",
    }
    if neuron is None:
        all_attrs |= BY_NUMBER
    if orientation == "neuron,time":
        all_attrs["orientation"] = orientation
    all_attrs |= dict(attrs or {})
    if rate is not None:
        all_attrs["frame_rate_hz"] = rate
    all_attrs["notes"] = notes
    metadata = {name: ("neuron", _per_neuron(name, column, n_neurons)) for name, column in (coords or {}).items()}
    return xr.DataArray(
        array,
        dims=("time", "neuron"),
        coords={"time": times, "neuron": labels, **metadata},
        name=NAMES[quantity],
        attrs=all_attrs,
    )


def of_frames(array: xr.DataArray) -> dict[Hashable, tuple[str, np.ndarray]]:
    """Trials, sessions, stimuli …: coordinates along time that files can hold, not of text and numbers together."""
    found = {k: c.values for k, c in array.coords.items() if c.dims == ("time",) and k != "time"}
    of_one_kind = {k: v for k, v in found.items() if v.dtype.kind != "O" or all(isinstance(one, str) for one in v)}
    return {k: ("time", values) for k, values in of_one_kind.items()}


def as_recording(recording: Any, frame_rate_hz: float | None = None) -> xr.DataArray:
    """Take a recording in any accepted form and return it in the one form that the methods compute on.

    Parameters
    ----------
    recording
        A recording (``DataArray`` with dims "time" and "neuron" in either order; common synonyms such as "frame"
        and "roi" are renamed and noted), a numpy or dask array of shape (frames, neurons), or a DataFrame of it.
    frame_rate_hz
        Needed for plain arrays and for a ``DataArray`` without a time coordinate. With a time coordinate it must
        agree with it within one per cent, or as well as rounded times let anyone tell.

    Returns
    -------
    xr.DataArray
        A valid recording with strictly increasing times; further values per neuron and per frame (trial, session,
        stimulus) are kept.

    Raises
    ------
    InputError
        If it is not a recording, or its times repeat.
    """
    if not isinstance(recording, xr.DataArray):
        refuse_paths(recording)
        if isinstance(recording, xr.Dataset):
            raise InputError(
                f"got a Dataset with variables {listing(recording.data_vars)}, expected one DataArray: "
                "pick the trace, for instance dataset['dff']"
            )
        if frame_rate_hz is None and opened_table(recording).times is None:
            raise InputError("a plain array carries no frame rate: pass frame_rate_hz (frames per second)")
        return from_array(recording, frame_rate_hz)
    array, notes = standard_dims(recording)
    attrs = dict(array.attrs)
    if "time" in array.coords:
        time = time_in_seconds(array["time"])
        rate = attrs.get("frame_rate_hz") if frame_rate_hz is None else frame_rate_hz
    else:
        time = None
        rate = frame_rate_hz if frame_rate_hz is not None else attrs.get("frame_rate_hz")
    result = from_array(
        array.data,
        rate,
        neuron=array["neuron"].values if "neuron" in array.coords else None,
        time=time,
        quantity=attrs.get("quantity", "unknown"),
        units=attrs.get("units"),
        coords={str(k): c.values for k, c in array.coords.items() if c.dims == ("neuron",) and k != "neuron"},
        attrs={k: v for k, v in attrs.items() if k not in ("quantity", "units", "notes", "frame_rate_hz")},
        notes=[*as_notes(attrs.get("notes")), *notes],
    )
    result = result.assign_coords(of_frames(array))
    repeated = np.flatnonzero(np.diff(result["time"].values) <= 0)
    if repeated.size:
        raise InputError(
            f"{repeated.size} times repeat the one before (first: frame {repeated[0] + 1}, "
            f"{result['time'].values[repeated[0]]:g} s), expected strictly increasing times: "
            "drop the repeated frames or correct the time coordinate"
        )
    return result


def refuse_paths(values: Any) -> None:
    """Raise InputError for the name of a file where its contents are expected."""
    if isinstance(values, str | os.PathLike):
        raise InputError(
            f"got the path {os.fspath(values)!r}, expected what the file holds: read it first, with"
            " antidrome.read(path)"
        )


def _two_dimensional(values: Any, notes: list[str]) -> Any:
    """The values as stored; of one dimension, as a column."""
    require_known_shape(values)
    array = opened_table(values).values
    array = array if array.dtype.kind == "b" else unmasked(array, notes)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise InputError(f"got an array of shape {tuple(array.shape)}, expected two dimensions (frames, neurons)")
    return array


def _as_float(array: Any, turned: bool, notes: list[str]) -> Any:
    """Frames first, as floats, infinite samples missing."""
    n_frames, n_neurons = array.shape[::-1] if turned else array.shape
    if 0 in array.shape:
        raise InputError(f"the recording is empty: {counted(n_frames, 'frame')} × {counted(n_neurons, 'neuron')}")
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "iuf":
        raise InputError(f"got values of type {array.dtype}, expected real numbers")
    target = np.float32 if (kind == "f" and size <= 4) or (kind in "iu" and size <= 2) else np.float64
    if type(array).__module__.startswith("dask"):
        from antidrome.recordings.lazy import recorded

        return recorded(array, turned=turned, dtype=np.dtype(target))
    array = array.T if turned else array
    floats = np.asarray(array).astype(target, copy=False)
    infinite = np.isinf(floats)
    n_infinite = int(infinite.sum())
    if n_infinite:
        frame, neuron = np.argwhere(infinite)[0]
        notes.append(
            f"{counted(n_infinite, 'infinite sample')} taken as missing (first: frame {frame}, neuron {neuron})"
        )
        floats = np.where(infinite, np.array(np.nan, target), floats)
    return floats


def _per_neuron(name: str, column: Any, n_neurons: int) -> np.ndarray:
    values = np.asarray(column)
    if values.shape != (n_neurons,):
        raise InputError(f"coordinate {name!r} has shape {values.shape}, expected one value for each of {n_neurons}")
    return values


def as_notes(notes: Any) -> list[str]:
    """The notes of a recording, one sentence each, from what its attribute holds."""
    if notes is None:
        return []
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]
