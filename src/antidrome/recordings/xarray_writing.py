"""Results as Zarr or NetCDF, and back; values, coordinates and attributes return as they were."""

from contextlib import closing
from pathlib import Path
from typing import Any

import dask
import h5netcdf
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from antidrome.errors import AntidromeError, FileFormatError, InputError
from antidrome.recordings.attributes import decode_attributes, encode_attributes
from antidrome.recordings.files import atomic_directory, atomic_write
from antidrome.recordings.hdf5_writing import hdf5_writer
from antidrome.recordings.lazy import IN_MEMORY_VALUES, block_neurons
from antidrome.recordings.safety import open_hdf5
from antidrome.recordings.xarray_files import open_xarray_zarr
from antidrome.recordings.zarr_guard import guard_zarr

_OF_ZARR = (".zgroup", ".zarray", "zarr.json")
_PACKED = {"zlib": True, "complevel": 1, "shuffle": True}


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset as NetCDF-4, block by block where it is dask."""
    plain = _encoded(dataset)
    encoding = {str(n): _PACKED for n, v in plain.data_vars.items() if v.ndim and v.dtype.kind in "iuf"}
    with (
        atomic_write(path) as temporary,
        hdf5_writer(temporary, "w") as writer,
        closing(H5NetCDFStore(h5netcdf.File(writer.file, "w"))) as store,
    ):
        places = _Places()
        plain.dump_to_store(store, writer=places, encoding=encoding)
        writer.store(places.arrays, places.targets)


class _Places:
    """Writes arrays in memory where xarray wants them, and notes where those of dask go."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.targets: list[Any] = []

    def add(self, source: Any, target: Any, region: Any = None) -> None:
        if dask.is_dask_collection(source):
            self.arrays.append(source)
            self.targets.append(target)
        else:
            target[...] = source


def write_zarr(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset as a Zarr store (version 2, which every reader knows), whole traces per chunk."""
    if path.is_dir() and any(path.iterdir()) and not any((path / mark).exists() for mark in _OF_ZARR):
        raise InputError(f"{path} is a folder of other files, which would be deleted: write to another place")
    plain = _encoded(dataset)
    encoding: dict[str, Any] = {}
    for name, variable in plain.data_vars.items():
        chunks = _chunks(variable)
        if chunks and variable.chunks is not None:
            plain[name] = variable.chunk(dict(zip(variable.dims, chunks, strict=True)))
        encoding[str(name)] = {"chunks": chunks} if chunks else {}
    with atomic_directory(path) as temporary:
        plain.to_zarr(temporary, mode="w", zarr_format=2, consolidated=True, encoding=encoding)


def read_xarray_result(path: Path, max_bytes: int | None = None) -> xr.Dataset:
    """Read what :func:`write_zarr` or :func:`write_netcdf` wrote; traces too large for memory stay on disk.

    Raises
    ------
    FileFormatError
        If it is damaged.
    """
    if path.is_dir():
        guard_zarr(path, max_bytes=max_bytes)
    else:
        with open_hdf5(path, max_bytes=max_bytes, every_size=True):
            pass
    try:
        return _read_guarded(path)
    except AntidromeError:
        raise
    except Exception as error:  # xarray and h5netcdf answer damage with errors of every kind
        raise FileFormatError(f"{path} is damaged: {error}. Copy it again, or write it anew.") from error


def _read_guarded(path: Path) -> xr.Dataset:
    """The dataset, with attributes as they were written."""
    if path.is_dir():
        opened = open_xarray_zarr(path)
    else:
        opened = xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False)
    if sum(variable.size for variable in opened.data_vars.values()) > IN_MEMORY_VALUES:
        dataset = _with_traces_on_disk(opened)
    else:
        with opened:
            dataset = opened.load()
    dataset.attrs = decode_attributes(dataset.attrs)
    for variable in dataset.variables.values():
        variable.attrs = decode_attributes(variable.attrs)
        variable.encoding = {}
    return dataset


def _with_traces_on_disk(opened: xr.Dataset) -> xr.Dataset:
    """What has neurons and frames as dask arrays, whole traces per block; the rest in memory."""
    traces = {}
    for name, variable in opened.data_vars.items():
        if {"time", "neuron"} <= set(variable.dims):
            n_neurons = variable.sizes["neuron"]
            stored = variable.encoding.get("preferred_chunks", {}).get("neuron", 1)
            per_block = block_neurons(variable.size // max(1, n_neurons), variable.dtype.itemsize, stored, n_neurons)
            traces[name] = variable.chunk({dim: per_block if dim == "neuron" else -1 for dim in variable.dims})
    result = opened.assign(traces)
    for name, variable in result.variables.items():
        if name not in traces:
            variable.load()
    return result


def _encoded(dataset: xr.Dataset) -> xr.Dataset:
    plain = dataset.copy()
    plain.attrs = encode_attributes(dataset.attrs)
    for name, variable in plain.variables.items():
        variable.attrs = encode_attributes(dataset[name].attrs)
        variable.encoding = {}
    return plain


def _chunks(variable: xr.DataArray) -> tuple[int, ...]:
    """Whole traces of some neurons; one sample at a time."""
    if "time" not in variable.dims or "neuron" not in variable.dims:
        return tuple(variable.shape) if 0 not in variable.shape else ()
    per_chunk = block_neurons(
        variable.sizes["time"], 4 * np.dtype(variable.dtype).itemsize, 1, variable.sizes["neuron"]
    )
    lengths = {"time": variable.sizes["time"], "neuron": per_chunk}
    return tuple(lengths.get(str(dim), 1) for dim in variable.dims)
