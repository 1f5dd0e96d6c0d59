"""Arrays on disk as dask arrays that hold no open file: each block opens the file, reads its part, closes it.

Blocks hold whole traces (all frames of some neurons), which is what every method here works on.
"""

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr

from antidrome.recordings.sources import (
    Hdf5Source,
    NamedSource,
    NpySource,
    PickedSource,
    RecordedSource,
    Source,
    without_infinite,
)

BLOCK_BYTES = 64 * 2**20
"""Aim for the size of one block."""

LAZY_BYTES = 256 * 2**20
"""Arrays of ``.npy`` files larger than this stay on disk, behind dask."""

IN_MEMORY_VALUES = 60_000_000
"""Results with at most so many values are read into memory; larger ones stay on disk, behind dask."""

HELD_BYTES = 4 * BLOCK_BYTES
"""What :func:`neuron_blocks` holds of a dask array at most: more, and of each block only its own part is computed."""


def lazy_hdf5(dataset: h5py.Dataset, *, neuron_axis: int, allow_external: bool = False) -> da.Array:
    """A dask array over an HDF5 dataset, whole traces per block; shape as stored."""
    source = Hdf5Source(
        os.path.abspath(dataset.file.filename), dataset.name, dataset.shape, dataset.dtype, allow_external
    )
    stored = dataset.chunks[neuron_axis] if dataset.chunks else 1
    return _from_source(source, neuron_axis, stored)


def lazy_npy(path: str | os.PathLike[str], array: np.ndarray, *, neuron_axis: int) -> da.Array | np.ndarray:
    """A dask array over the ``.npy`` file that ``array`` maps, if it is large; else the array."""
    if array.nbytes <= LAZY_BYTES:
        return array
    return _from_source(NpySource(os.path.abspath(path), array.shape, array.dtype), neuron_axis, 1)


def lazy_stored(path: str | os.PathLike[str], array: Any, *, neuron_axis: int, stored: int | None = None) -> da.Array:
    """A dask array over an array of a store, whole traces per block; `stored` neurons lie together."""
    together = array.chunks[neuron_axis] if stored is None else stored
    return _from_source(NamedSource(os.path.abspath(path), array), neuron_axis, together)


def recorded(array: da.Array, *, turned: bool, dtype: np.dtype) -> da.Array:
    """A dask array (time, neuron) of floats; infinite samples of it become NaN.

    Where it is an array on disk and nothing else, what happens to the values happens as they are read: dask lets a
    slice of frames through to the file only where no operation stands between.
    """
    stored = _stored(array)
    if isinstance(stored, RecordedSource) and not turned and array.dtype == dtype:
        return array
    if stored is not None and array.ndim == 2:
        source, chunks = RecordedSource(stored, turned, dtype), array.chunks[::-1] if turned else array.chunks
        return _from_chunks(source, chunks)
    floats = (array.T if turned else array).astype(dtype)
    return floats.map_blocks(without_infinite, dtype=dtype) if array.dtype.kind == "f" else floats


def picked(array: Any, places: np.ndarray, axis: int) -> Any:
    """Neurons at ascending places along an axis of a two-dimensional array.

    Of an array on disk they are an array on disk again, so that slices of frames reach the file (see :func:`recorded`).
    """
    stored = _stored(array) if isinstance(array, da.Array) else None
    if stored is None or array.ndim != 2:
        return array[(slice(None),) * axis + (places,)]
    counts = np.histogram(places, np.cumsum([0, *array.chunks[axis]]) - 0.5)[0]
    chunks = tuple(
        (tuple(counts[counts > 0].tolist()) or (0,)) if i == axis else one for i, one in enumerate(array.chunks)
    )
    return _from_chunks(PickedSource(stored, tuple(places.tolist()), axis), chunks)


def block_neurons(n_values: int, itemsize: int, stored: int, n_neurons: int) -> int:
    """Neurons per block, of so many values each: about 64 MiB, a multiple of what the file stores together."""
    wanted = max(1, BLOCK_BYTES // max(1, n_values * itemsize))
    if stored < wanted:
        wanted -= wanted % stored
    return min(wanted, n_neurons)


def neuron_blocks(recording: xr.DataArray, blocks: Iterable[slice]) -> Iterator[xr.DataArray]:
    """The traces of one block of neurons after the other, in memory; a dask block that several share is computed once.

    Parameters
    ----------
    recording
        With the dimension "neuron".
    blocks
        Slices of neurons, from first to last.
    """
    if recording.chunks is None:
        yield from (recording.isel(neuron=block) for block in blocks)
        return
    edges = np.cumsum([0, *recording.chunksizes["neuron"]])
    per_neuron = recording.nbytes // max(1, recording.sizes["neuron"])
    first, held = 0, None
    for block in blocks:
        if held is None or not first <= block.start < block.stop <= first + held.sizes["neuron"]:
            first = int(edges[np.searchsorted(edges, block.start, side="right") - 1])
            last = int(edges[np.searchsorted(edges, block.stop)])
            if (last - first) * per_neuron > max(HELD_BYTES, (block.stop - block.start) * per_neuron):
                held = None
                yield recording.isel(neuron=block).load()
                continue
            held = recording.isel(neuron=slice(first, last)).load()
        yield held.isel(neuron=slice(block.start - first, block.stop - first)).copy()  # lets go of the rest


def _from_source(source: Source, neuron_axis: int, stored: int) -> da.Array:
    shape = source.shape
    itemsize = np.dtype(source.dtype).itemsize
    if len(shape) == 1:
        return _from_chunks(source, shape)
    n_neurons = shape[neuron_axis]
    per_block = block_neurons(math.prod(shape) // max(1, n_neurons), itemsize, stored, n_neurons)
    chunks = (*shape[:neuron_axis], per_block, *shape[neuron_axis + 1 :])
    return _from_chunks(source, chunks)


def _from_chunks(source: Source, chunks: tuple[Any, ...]) -> da.Array:
    name = False if _is_named(source) else None  # a name made of the values would read them
    return da.from_array(source, chunks=chunks, name=name, meta=np.empty((0,) * source.ndim, source.dtype))


def _is_named(source: Source) -> bool:
    return isinstance(source, NamedSource) or (hasattr(source, "stored") and _is_named(source.stored))


def _stored(array: da.Array) -> Source | None:
    """What a dask array reads, where it is an array on disk and nothing else; or None."""
    layers = dict(array.dask.layers)
    stored = dict(layers.pop(f"original-{array.name}", {})).get(f"original-{array.name}")
    return stored if list(layers) == [array.name] and isinstance(stored, Source) else None
