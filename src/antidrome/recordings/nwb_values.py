"""Arrays of a result as pynwb writes them: compressed, and block by block where they are dask."""

import math
from typing import Any

import numpy as np
import xarray as xr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator

from antidrome.recordings.lazy import block_neurons

_CHUNK_BYTES = 2**20


def stored_values(variable: xr.DataArray) -> Any:
    """Values with time first, compressed; (time, neuron) or (time, neuron, sample)."""
    variable = variable.transpose("time", "neuron", ...)
    chunks = _chunks(variable)
    if variable.chunks is None:
        return H5DataIO(np.asarray(variable.values), chunks=chunks, compression="gzip", compression_opts=1)
    shape = variable.shape
    buffer = (shape[0], _per_block(variable, chunks[1]), *shape[2:])
    blocks = _Blocks(variable.data, chunk_shape=chunks, buffer_shape=buffer)
    return H5DataIO(blocks, compression="gzip", compression_opts=1)


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


class _Blocks(GenericDataChunkIterator):
    """Blocks of whole traces of a dask array."""

    def __init__(self, array: Any, **sizes: Any) -> None:
        self._array = array
        super().__init__(**sizes)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return np.asarray(self._array[selection].compute())

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    def _get_dtype(self) -> np.dtype:
        return np.dtype(self._array.dtype)
