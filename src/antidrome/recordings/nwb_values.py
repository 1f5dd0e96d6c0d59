"""Arrays of a result as pynwb writes them: compressed, and block by block where they are dask.

What is computed for several arrays at once, as a block of neurons is inferred, must be stored for all of them at once:
pynwb writes one array after the other, and would have it computed for each. So pynwb makes room, which `fill` fills.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from hdmf.backends.hdf5.h5_utils import H5DataIO

from antidrome.recordings.hdf5_writing import hdf5_writer
from antidrome.recordings.lazy import block_neurons
from antidrome.recordings.nwb_results import NEURON_TABLE, columns_of, result_groups, series_of, stored_dims

_CHUNK_BYTES = 2**20


def stored_values(variable: xr.DataArray) -> Any:
    """Values with time first, compressed; (time,), (time, neuron) or (time, neuron, sample)."""
    variable = variable.transpose(*stored_dims(variable.dims))
    if "neuron" not in variable.dims:
        return plain_values(variable.values)
    chunks = _chunks(variable)
    if not is_later(variable):
        return H5DataIO(np.asarray(variable.values), chunks=chunks, compression="gzip", compression_opts=1)
    return H5DataIO(shape=variable.shape, dtype=variable.dtype, chunks=chunks, compression="gzip", compression_opts=1)


def plain_values(values: np.ndarray) -> Any:
    """Numbers and truth values as they are; what the file format has no type for, as text."""
    if values.dtype.kind in "biuf":
        return np.asarray(values)
    return np.array([str(value) for value in values.flat], object).reshape(values.shape).tolist()


def is_later(variable: xr.DataArray) -> bool:
    """Whether an array is stored by `fill`: traces, or one number a neuron, behind dask."""
    if variable.chunks is None or variable.dtype.kind not in "biuf":
        return False
    return {"time", "neuron"} <= set(variable.dims) or variable.dims == ("neuron",)


def fill(path: Path, result: xr.Dataset) -> None:
    """Compute what `is_later` of a result, every block once, into the datasets that a file has for it."""
    with hdf5_writer(path, "r+") as writer:
        groups = result_groups(writer.file["processing/ophys"])
        arrays, places = [], []
        for name, variable in _later(result).items():
            if variable.dims == ("neuron",):
                arrays.append(variable.data)
                places.append(groups[NEURON_TABLE][name])
            else:
                variable = variable.transpose(*stored_dims(variable.dims))
                per_block = _per_block(variable, _chunks(variable)[1])
                arrays.append(variable.data.rechunk((-1, per_block, *[-1] * (variable.ndim - 2))))
                places.append(groups[name]["data"])
        writer.store(arrays, places)


def _later(result: xr.Dataset) -> Mapping[str, xr.DataArray]:
    return {name: v for name, v in {**columns_of(result), **series_of(result)}.items() if is_later(v)}


def _chunks(variable: xr.DataArray) -> tuple[int, ...]:
    """Up to a mebibyte: long stretches of time, few neurons, so that one trace is read quickly."""
    frames, neurons = variable.shape[:2]
    rest = int(np.prod(variable.shape[2:])) * variable.dtype.itemsize
    across = min(neurons, 32, _per_block(variable, 1))  # a block of neurons is written at a time, in whole chunks
    along = max(1, min(frames, _CHUNK_BYTES // max(1, across * rest)))
    return (along, across, *variable.shape[2:])


def _per_block(variable: xr.DataArray, together: int) -> int:
    n_frames, n_neurons, *rest = variable.shape
    return block_neurons(n_frames * math.prod(rest), variable.dtype.itemsize, together, n_neurons)
