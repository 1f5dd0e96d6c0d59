"""Arrays on disk as dask arrays that hold no open file: each block opens the file, reads its part, closes it.

So a recording can be sent to another process, its file can be replaced meanwhile, and no block leaves a lock behind.
Blocks hold whole traces (all frames of some neurons), which is what every method here works on.
"""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings.safety import damage_named, guard_dataset

BLOCK_BYTES = 64 * 2**20
"""Aim for the size of one block."""

LAZY_BYTES = 256 * 2**20
"""Arrays of ``.npy`` files larger than this stay on disk, behind dask."""

IN_MEMORY_VALUES = 60_000_000
"""Results with at most so many values are read into memory; larger ones stay on disk, behind dask."""

HELD_BYTES = 4 * BLOCK_BYTES
"""What :func:`neuron_blocks` holds of a dask array at most: more, and of each block only its own part is computed."""


@dataclass(frozen=True)
class Hdf5Source:
    """One dataset of an HDF5 file, opened for each read (looked at again, in case the file was replaced)."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    allow_external: bool = False

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        with damage_named(self.path), h5py.File(self.path, "r") as file:
            dataset = file[self.name]
            guard_dataset(dataset, f"{self.path}: {self.name}", allow_external=self.allow_external)
            if dataset.shape != self.shape:
                raise FileFormatError(f"{self.path} was changed while it was read: open it again")
            return np.asarray(dataset[key])


def lazy_hdf5(dataset: h5py.Dataset, *, neuron_axis: int, allow_external: bool = False) -> da.Array:
    """A dask array over an HDF5 dataset, whole traces per block; shape as stored."""
    source = Hdf5Source(
        os.path.abspath(dataset.file.filename), dataset.name, dataset.shape, dataset.dtype, allow_external
    )
    stored = dataset.chunks[neuron_axis] if dataset.chunks else 1
    return _from_source(source, neuron_axis, stored)


@dataclass(frozen=True)
class NpySource:
    """One ``.npy`` file, mapped for each read."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        with damage_named(self.path):
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if array.shape != self.shape or array.dtype != self.dtype:
                raise FileFormatError(f"{self.path} was changed while it was read: open it again")
            return np.array(array[key])


def lazy_npy(path: str | os.PathLike[str], array: np.ndarray, *, neuron_axis: int) -> da.Array | np.ndarray:
    """A dask array over the ``.npy`` file that ``array`` maps, if it is large; else the array."""
    if array.nbytes <= LAZY_BYTES:
        return array
    return _from_source(NpySource(os.path.abspath(path), array.shape, array.dtype), neuron_axis, 1)


@dataclass(frozen=True)
class NamedSource:
    """An array of a store (Zarr's, or a variable of xarray), read when needed; damage is told with its path."""

    path: str
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as stored."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Type as stored."""
        return np.dtype(self.array.dtype)

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        ranges, single = _as_ranges(key)  # turned arrays of xarray do not give single values
        with damage_named(self.path):
            values = np.asarray(getattr(self.array, "oindex", self.array)[ranges])
        return np.asarray(values[single])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[(slice(None),) * self.ndim], dtype)


def lazy_stored(path: str | os.PathLike[str], array: Any, *, neuron_axis: int, stored: int | None = None) -> da.Array:
    """A dask array over an array of a store, whole traces per block; `stored` neurons lie together."""
    together = array.chunks[neuron_axis] if stored is None else stored
    return _from_source(NamedSource(os.path.abspath(path), array), neuron_axis, together)


@dataclass(frozen=True)
class RecordedSource:
    """A source as recordings hold it: frames first, of one type, infinite samples missing."""

    stored: Any
    turned: bool
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, neuron)."""
        return self.stored.shape[::-1] if self.turned else self.stored.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        values = self.stored[key[::-1]].T if self.turned else self.stored[key]
        return without_infinite(np.asarray(values).astype(self.dtype, copy=False))


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


@dataclass(frozen=True)
class PickedSource:
    """Some neurons of a source, at ascending places along one of its two axes."""

    stored: Any
    places: tuple[int, ...]
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the source, with fewer neurons."""
        return tuple(len(self.places) if axis == self.axis else n for axis, n in enumerate(self.stored.shape))

    @property
    def dtype(self) -> np.dtype:
        """Type as stored."""
        return np.dtype(self.stored.dtype)

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        ranges, single = _as_ranges(key)
        wanted = np.asarray(self.places, dtype=int)[ranges[self.axis]]
        low, high = (int(wanted.min()), int(wanted.max()) + 1) if wanted.size else (0, 0)
        together = tuple(slice(low, high) if axis == self.axis else one for axis, one in enumerate(ranges))
        return np.asarray(np.take(self.stored[together], wanted - low, axis=self.axis)[single])


def picked(array: Any, places: np.ndarray, axis: int) -> Any:
    """Neurons at ascending places along an axis of a two-dimensional array.

    Of an array on disk they are an array on disk again, so that slices of frames reach the file (see :func:`recorded`).
    """
    stored = _stored(array) if isinstance(array, da.Array) else None
    if stored is None or array.ndim != 2:
        return array[(slice(None),) * axis + (places,)]
    counts = np.histogram(places, np.cumsum([0, *array.chunks[axis]]) - 0.5)[0]
    chunks = tuple(tuple(counts[counts > 0].tolist()) if i == axis else one for i, one in enumerate(array.chunks))
    return _from_chunks(PickedSource(stored, tuple(places.tolist()), axis), chunks)


def without_infinite(values: np.ndarray) -> np.ndarray:
    """NaN instead of infinite floats."""
    infinite = np.isinf(values)
    return np.where(infinite, np.array(np.nan, values.dtype), values) if infinite.any() else values


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


def _from_source(source: Any, neuron_axis: int, stored: int) -> da.Array:
    shape = source.shape
    itemsize = np.dtype(source.dtype).itemsize
    if len(shape) == 1:
        return _from_chunks(source, shape)
    n_neurons = shape[neuron_axis]
    per_block = block_neurons(math.prod(shape) // max(1, n_neurons), itemsize, stored, n_neurons)
    chunks = (*shape[:neuron_axis], per_block, *shape[neuron_axis + 1 :])
    return _from_chunks(source, chunks)


def _from_chunks(source: Any, chunks: tuple[Any, ...]) -> da.Array:
    name = False if _is_named(source) else None  # a name made of the values would read them
    return da.from_array(source, chunks=chunks, name=name, meta=np.empty((0,) * source.ndim, source.dtype))


def _as_ranges(key: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """An index with ranges of one instead of single places, and what takes the single places out of these."""
    parts = key if isinstance(key, tuple) else (key,)
    ranges = tuple(slice(part, part + 1 or None) if isinstance(part, Integral) else part for part in parts)
    return ranges, tuple(0 if isinstance(part, Integral) else _all_along(part) for part in parts)


def _all_along(part: Any) -> Any:
    return part if part is Ellipsis else slice(None)


def _is_named(source: Any) -> bool:
    return isinstance(source, NamedSource) or (hasattr(source, "stored") and _is_named(source.stored))


def _stored(array: da.Array) -> Any:
    """What a dask array reads, where it is an array on disk and nothing else; or None."""
    layers = dict(array.dask.layers)
    stored = dict(layers.pop(f"original-{array.name}", {})).get(f"original-{array.name}")
    known = Hdf5Source | NpySource | NamedSource | RecordedSource | PickedSource
    return stored if list(layers) == [array.name] and isinstance(stored, known) else None
