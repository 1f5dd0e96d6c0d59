"""What dask reads of a file: an array on disk that opens the file for each read, its choices and conversions.

A source holds no open file: it can be sent to another process, its file can be replaced meanwhile, no block leaves a
lock behind. Choices of neurons and conversions are sources too, since dask lets a slice of frames through to a source
only where no operation of its own stands between.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import h5py
import numpy as np

from antidrome.errors import FileFormatError
from antidrome.recordings.safety import damage_named, guard_dataset


class Source:
    """An array of a file: its shape and type, and what an index gives."""

    shape: Any
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of dimensions, as dask asks for it."""
        return len(self.shape)


@dataclass(frozen=True)
class Hdf5Source(Source):
    """One dataset of an HDF5 file, opened for each read (looked at again, in case the file was replaced)."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    allow_external: bool = False

    def __getitem__(self, key: Any) -> np.ndarray:
        with damage_named(self.path), h5py.File(self.path, "r") as file:
            dataset = file[self.name]
            guard_dataset(dataset, f"{self.path}: {self.name}", allow_external=self.allow_external)
            if dataset.shape != self.shape:
                raise FileFormatError(f"{self.path} was changed while it was read: open it again")
            return np.asarray(dataset[key])


@dataclass(frozen=True)
class NpySource(Source):
    """One ``.npy`` file, mapped for each read."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        with damage_named(self.path):
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if array.shape != self.shape or array.dtype != self.dtype:
                raise FileFormatError(f"{self.path} was changed while it was read: open it again")
            return np.array(array[key])


@dataclass(frozen=True)
class NamedSource(Source):
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

    def __getitem__(self, key: Any) -> np.ndarray:
        ranges, single = _as_ranges(key)  # turned arrays of xarray do not give single values
        with damage_named(self.path):
            values = np.asarray(getattr(self.array, "oindex", self.array)[ranges])
        return np.asarray(values[single])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[(slice(None),) * self.ndim], dtype)


@dataclass(frozen=True)
class RecordedSource(Source):
    """A source as recordings hold it: frames first, of one type, infinite samples missing."""

    stored: Source
    turned: bool
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, neuron)."""
        return self.stored.shape[::-1] if self.turned else self.stored.shape

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        values = self.stored[key[::-1]].T if self.turned else self.stored[key]
        return without_infinite(np.asarray(values).astype(self.dtype, copy=False))


@dataclass(frozen=True)
class PickedSource(Source):
    """Some neurons of a source, at ascending places along one of its two axes."""

    stored: Source
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

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        ranges, single = _as_ranges(key)
        wanted = np.asarray(self.places, dtype=int)[ranges[self.axis]]
        low, high = (int(wanted.min()), int(wanted.max()) + 1) if wanted.size else (0, 0)
        together = tuple(slice(low, high) if axis == self.axis else one for axis, one in enumerate(ranges))
        return np.asarray(np.take(self.stored[together], wanted - low, axis=self.axis)[single])


def without_infinite(values: np.ndarray) -> np.ndarray:
    """NaN instead of infinite floats."""
    infinite = np.isinf(values)
    return np.where(infinite, np.array(np.nan, values.dtype), values) if infinite.any() else values


def _as_ranges(key: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """An index with ranges of one instead of single places, and what takes the single places out of these."""
    parts = key if isinstance(key, tuple) else (key,)
    ranges = tuple(slice(part, part + 1 or None) if isinstance(part, Integral) else part for part in parts)
    return ranges, tuple(0 if isinstance(part, Integral) else _all_along(part) for part in parts)


def _all_along(part: Any) -> Any:
    return part if part is Ellipsis else slice(None)
