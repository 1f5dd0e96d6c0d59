"""Recordings in plain HDF5 files and in MATLAB 7.3 files, which are HDF5 with the axes the other way round."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings.beside import SMALL_BYTES, settle_axes, siblings, with_outer
from antidrome.recordings.choice import LABEL_NAMES, choose_series, said_numbers, said_units, times_sign
from antidrome.recordings.lazy import lazy_hdf5
from antidrome.recordings.mat_fall import FALL_NAMES, is_fall, read_fall
from antidrome.recordings.mat_variables import advice, choose_matrix
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import open_hdf5, require_size


def read_hdf5(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a dataset of a plain HDF5 file, named by its path inside the file (without the first slash); lazy."""
    return _read(path, options, "hdf5", reverse=False)


def read_mat73(path: Path, options: ReadOptions) -> xr.DataArray | tuple[xr.DataArray, xr.DataArray | None]:
    """Read a matrix of a MATLAB 7.3 file; ``orientation`` means MATLAB's rows and columns; lazy.

    The ``Fall.mat`` of suite2p is read as its folder is, with the neuropil, into memory.
    """
    with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes) as file:
        datasets = _numeric_datasets(file, reverse=True)
        if is_fall(datasets, options.series):
            wanted = [name for name in FALL_NAMES if name in datasets]
            for name in wanted:
                require_size(datasets[name].nbytes, options.max_memory_bytes, f"{path}: {name}")
            return read_fall({name: np.asarray(datasets[name][()]).T for name in wanted}, path, options)
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
        try:
            if reverse and options.series is None:
                name = choose_matrix(shapes, str(path))
            else:
                name = choose_series(shapes, options.series, str(path))
        except FileFormatError as error:
            cells = _matlab_cells(file) if reverse else []
            if not cells:
                raise
            raise FileFormatError(f"{error}; {cells[0]}") from error
        dataset, shape = datasets[name], shapes[name]
        units = said_units(dict(dataset.attrs), options.quantity)
        axes = settle_axes(name, shape, _beside(file, name, datasets), options, path, notes)
        if len(shape) == 1:
            values: Any = dataset[()].ravel()
        else:
            frames_first = (axes.orientation == "time,neuron") != reverse
            values = lazy_hdf5(dataset, neuron_axis=1 if frames_first else 0, allow_external=options.allow_external)
            values = values.T if reverse else values
    own = name.rpartition("/")[2]
    return from_array(
        values,
        axes.frame_rate_hz,
        neuron=axes.neuron,
        time=axes.time,
        quantity=options.quantity or (own if own in ("dff", "fluorescence") else "unknown"),
        orientation=axes.orientation,
        units=units,
        attrs=options.provenance(path, source_format),
        notes=notes,
    )


def _numeric_datasets(file: h5py.File, reverse: bool) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, member: Any) -> None:
        hidden = reverse and (name.startswith("#") or _is_empty(member) or member.attrs.get("MATLAB_class") == b"char")
        if isinstance(member, h5py.Dataset) and member.dtype.kind in "iuf" and member.ndim <= 3 and not hidden:
            found[name] = member

    file.visititems(visit)
    return found


def _is_empty(member: Any) -> bool:
    """Whether a variable of MATLAB is empty; what stands in the file is its shape."""
    return "MATLAB_empty" in member.attrs


def _matlab_cells(file: h5py.File) -> list[str]:
    """What is said of the cell arrays of a MATLAB 7.3 file, whose members lie elsewhere in the file."""
    found: list[str] = []

    def visit(name: str, member: Any) -> None:
        if not name.startswith("#") and member.attrs.get("MATLAB_class") == b"cell":
            what = f"a cell array of {times_sign(member.shape[::-1])}"
            found.append(advice(name, what, f"{name.replace('/', '.')}{{1}}"))

    file.visititems(visit)
    return found


def _shape(dataset: h5py.Dataset, reverse: bool) -> tuple[int, ...]:
    """Shape as the writer saw it; MATLAB's vectors count as one dimension."""
    shape = tuple(dataset.shape[::-1] if reverse else dataset.shape)
    return (max(shape),) if reverse and len(shape) == 2 and 1 in shape else shape


def _beside(file: h5py.File, name: str, datasets: dict[str, h5py.Dataset]) -> dict[str, np.ndarray]:
    """Small arrays and attributes in the same group, and in those around, by their own names."""
    own, *around = map(_small, siblings(datasets, name))
    beside: dict[str, np.ndarray] = _text_labels(file, name.rpartition("/")[0]) | own
    for attributes in (file.attrs, file[name].parent.attrs, file[name].attrs):
        for key, value in said_numbers(attributes).items():
            beside.setdefault(key, value)
    return with_outer(beside, around)


def _small(datasets: dict[str, h5py.Dataset]) -> dict[str, np.ndarray]:
    """Those that are vectors or numbers, and not too large for times, labels or rates of a recording."""
    return {
        name: np.asarray(dataset[()]).ravel()
        for name, dataset in datasets.items()
        if dataset.nbytes <= SMALL_BYTES and dataset.size == max(dataset.shape, default=1)
    }


def _text_labels(file: h5py.File, parent: str) -> dict[str, np.ndarray]:
    """Labels that are texts, of fixed or variable length or in MATLAB's cells, of the group of that name."""
    found = {}
    group: Any = file[parent or "/"]
    for name in group:
        member: Any = group.get(name) if name.lower() in LABEL_NAMES else None
        if isinstance(member, h5py.Dataset) and h5py.check_string_dtype(member.dtype) and member.ndim == 1:
            require_size(member.nbytes, SMALL_BYTES, f"{file.filename}: {member.name}")
            found[name] = member.asstr("utf-8", errors="replace")[()].astype(str)
        elif isinstance(member, h5py.Dataset) and member.attrs.get("MATLAB_class") == b"cell" and not _is_empty(member):
            texts = [_matlab_text(file, reference) for reference in np.ravel(member[()])]
            if None not in texts:
                found[name] = np.array(texts)
    return found


def _matlab_text(file: h5py.File, reference: Any) -> str | None:
    """The text that a cell refers to, stored as numbers of its letters; None if it is none."""
    member = file[reference] if reference else None
    if not isinstance(member, h5py.Dataset) or member.attrs.get("MATLAB_class") != b"char" or member.dtype != "u2":
        return None
    require_size(member.nbytes, SMALL_BYTES, f"{file.filename}: {member.name}")
    return "" if _is_empty(member) else np.asarray(member[()]).tobytes().decode("utf-16-le", "replace")
