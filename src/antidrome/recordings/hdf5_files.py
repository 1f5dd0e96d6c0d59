"""Recordings in plain HDF5 files and in MATLAB 7.3 files, which are HDF5 with the axes the other way round."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from antidrome.recordings.axes import choose_orientation
from antidrome.recordings.choice import choose_series, find_frame_rate, find_labels, find_times, settle_frame_rate
from antidrome.recordings.lazy import lazy_hdf5
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import open_hdf5

_SMALL_BYTES = 64 * 2**20


def read_hdf5(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a dataset of a plain HDF5 file, named by its path inside the file (without the first slash); lazy."""
    return _read(path, options, "hdf5", reverse=False)


def read_mat73(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a matrix of a MATLAB 7.3 file; ``orientation`` means MATLAB's rows and columns; lazy."""
    return _read(path, options, "mat", reverse=True)


def is_mat73(path: Path) -> bool:
    """True if the file begins with the text that MATLAB puts before HDF5."""
    with open(path, "rb") as stream:
        return stream.read(10) == b"MATLAB 7.3"


def _read(path: Path, options: ReadOptions, source_format: str, *, reverse: bool) -> xr.DataArray:
    notes: list[str] = []
    with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes) as file:
        datasets = _numeric_datasets(file, reverse)
        shapes = {name: _shape(dataset, reverse) for name, dataset in datasets.items()}
        name = choose_series(shapes, options.series, str(path))
        dataset, shape = datasets[name], shapes[name]
        orientation = choose_orientation(shape, options.orientation, notes, repr(name))
        if len(shape) == 1:
            values: Any = dataset[()].ravel()
            n_frames, n_neurons = shape[0], 1
        else:
            frames_first = (orientation == "time,neuron") != reverse
            values = lazy_hdf5(dataset, neuron_axis=1 if frames_first else 0, allow_external=options.allow_external)
            values = values.T if reverse else values
            n_frames, n_neurons = shape if orientation == "time,neuron" else shape[::-1]
        beside = _beside(file, name, datasets)
    time = find_times(beside, n_frames)
    found = None if time is not None else find_frame_rate(beside, path.name, notes)
    rate = settle_frame_rate(options.frame_rate_hz, found, time, str(path), notes)
    own = name.rsplit("/", 1)[-1]
    return from_array(
        values,
        rate,
        neuron=find_labels(beside, n_neurons),
        time=time,
        quantity=options.quantity or (own if own in ("dff", "fluorescence") else "unknown"),
        orientation=orientation,
        attrs=options.provenance(path, source_format),
        notes=notes,
    )


def _numeric_datasets(file: h5py.File, reverse: bool) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, member: Any) -> None:
        hidden = reverse and name.startswith("#")
        if isinstance(member, h5py.Dataset) and member.dtype.kind in "iuf" and member.ndim <= 3 and not hidden:
            found[name] = member

    file.visititems(visit)
    return found


def _shape(dataset: h5py.Dataset, reverse: bool) -> tuple[int, ...]:
    """Shape as the writer saw it; MATLAB's vectors count as one dimension."""
    shape = tuple(dataset.shape[::-1] if reverse else dataset.shape)
    return (max(shape),) if reverse and len(shape) == 2 and 1 in shape else shape


def _beside(file: h5py.File, name: str, datasets: dict[str, h5py.Dataset]) -> dict[str, np.ndarray]:
    """Small arrays and attributes in the same group, by their own names."""
    parent = name.rpartition("/")[0]
    beside: dict[str, np.ndarray] = {}
    for other, dataset in datasets.items():
        if other.rpartition("/")[0] == parent and other != name and dataset.nbytes <= _SMALL_BYTES:
            values = np.asarray(dataset[()])
            beside[other.rsplit("/", 1)[-1]] = values.ravel() if values.size == max(values.shape, default=1) else values
    for attributes in (file.attrs, file[name].parent.attrs, file[name].attrs):
        for key, value in attributes.items():
            if isinstance(value, (int, float, np.number)):
                beside.setdefault(key, np.asarray(value))
    return beside
