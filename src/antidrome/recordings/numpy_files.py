"""Recordings in ``.npy`` and ``.npz`` files."""

from pathlib import Path

import numpy as np
import xarray as xr

from antidrome.recordings.archives import load_npy, load_npz
from antidrome.recordings.beside import settle_axes, siblings, with_outer
from antidrome.recordings.choice import choose_series, numeric
from antidrome.recordings.lazy import lazy_npy
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array


def read_npy(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read one array from a ``.npy`` file; the frame rate comes from the options."""
    return from_named_arrays({path.stem: load_npy(path, max_bytes=options.max_bytes)}, path, "npy", options)


def read_npz(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read one array of a ``.npz`` file, with times, labels and frame rate if it has them under the usual names."""
    return from_named_arrays(load_npz(path, max_bytes=options.max_memory_bytes), path, "npz", options)


def from_named_arrays(
    arrays: dict[str, np.ndarray], path: Path, source_format: str, options: ReadOptions
) -> xr.DataArray:
    """Make a recording from the arrays of one file (``.npy``, ``.npz`` and ``.mat`` share this)."""
    notes: list[str] = []
    numbers = numeric(arrays, str(path))
    name = choose_series({key: array.shape for key, array in numbers.items()}, options.series, str(path))
    values = numbers[name]
    near, *around = siblings(arrays, name)
    axes = settle_axes(name, values.shape, with_outer(near, around), options, path, notes)
    if isinstance(values, np.memmap):
        values = lazy_npy(path, values, neuron_axis=axes.orientation.split(",").index("neuron"))
    own = name.rpartition("/")[2]
    quantity = options.quantity or (own if own in ("dff", "fluorescence") else "unknown")
    return from_array(
        values,
        axes.frame_rate_hz,
        neuron=axes.neuron,
        time=axes.time,
        quantity=quantity,
        orientation=axes.orientation,
        attrs=options.provenance(path, source_format),
        notes=notes,
    )
