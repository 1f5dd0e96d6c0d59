"""Recordings in ``.npy`` and ``.npz`` files."""

from pathlib import Path

import numpy as np
import xarray as xr

from antidrome.recordings.archives import load_npy, load_npz
from antidrome.recordings.axes import choose_orientation
from antidrome.recordings.choice import (
    choose_series,
    find_frame_rate,
    find_labels,
    find_times,
    numeric,
    settle_frame_rate,
)
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array


def read_npy(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read one array from a ``.npy`` file; the frame rate comes from the options."""
    return from_named_arrays({path.stem: load_npy(path, max_bytes=options.max_bytes)}, path, "npy", options)


def read_npz(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read one array of a ``.npz`` file, with times, labels and frame rate if it has them under the usual names."""
    return from_named_arrays(load_npz(path, max_bytes=options.max_bytes), path, "npz", options)


def from_named_arrays(
    arrays: dict[str, np.ndarray], path: Path, source_format: str, options: ReadOptions
) -> xr.DataArray:
    """Make a recording from the arrays of one file (``.npy``, ``.npz`` and ``.mat`` share this)."""
    notes: list[str] = []
    numbers = numeric(arrays, str(path))
    name = choose_series({key: array.shape for key, array in numbers.items()}, options.series, str(path))
    values = numbers[name]
    orientation = choose_orientation(values.shape, options.orientation, notes, repr(name))
    n_frames, n_neurons = _lengths(values, orientation)
    time = find_times(numbers, n_frames)
    found = None if time is not None else find_frame_rate(numbers, path.name, notes)
    rate = settle_frame_rate(options.frame_rate_hz, found, time, str(path), notes)
    quantity = options.quantity or (name if name in ("dff", "fluorescence") else "unknown")
    return from_array(
        values,
        rate,
        neuron=find_labels(arrays, n_neurons),
        time=time,
        quantity=quantity,
        orientation=orientation,
        attrs=options.provenance(path, source_format),
        notes=notes,
    )


def _lengths(values: np.ndarray, orientation: str) -> tuple[int, int]:
    if values.ndim < 2:
        return values.size, 1
    return (values.shape[1], values.shape[0]) if orientation == "neuron,time" else (values.shape[0], values.shape[1])
