"""What a Zarr store or NetCDF file would lose if a dataset took its place."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from antidrome.recordings.choice import OWN_NAMES, RATE_NAMES, is_auxiliary, times_sign
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.safety import open_unguarded
from antidrome.recordings.xarray_files import is_classic, open_zarr
from antidrome.recordings.xarray_groups import arrays_of, netcdf_arrays, zarr_arrays
from antidrome.recordings.zarr_guard import guard_zarr

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Array:
    """An array: its name, quantity, shape, its first and last value (None where they are not known).

    All but the name are the same for an array and its transpose. An index has the name of its only dimension.
    """

    name: str
    quantity: str
    shape: tuple[int, ...]
    ends: tuple[float, float] | None
    is_index: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths, the longest first; of a single trace, as of one neuron."""
        return tuple(sorted(self.shape, reverse=True)) if len(self.shape) > 1 else (*self.shape, 1)

    def holds(self, other: "_Array") -> bool:
        """Whether it is as large as another array, and of its quantity, or what the other is called now."""
        if len(self.sizes) != len(other.sizes) or any(a < b for a, b in zip(self.sizes, other.sizes, strict=True)):
            return False
        return self.quantity == other.quantity or (other.quantity == _UNKNOWN and self._is_the_same(other))

    def _is_the_same(self, other: "_Array") -> bool:
        if self.sizes != other.sizes or self.ends is None or other.ends is None:
            return False
        return bool(np.allclose(self.ends, other.ends, rtol=1e-5, atol=0, equal_nan=True))


def lost_arrays(dataset: xr.Dataset, path: Path) -> list[str]:
    """The arrays of a file or store which a dataset that takes its place has not: "'F' (300 × 3)".

    Each trace needs an array of its own in the dataset, no smaller and of the same quantity. An array whose quantity
    the file does not say may have got one when it was read; the two then have the same shape and values. All else needs
    a variable of its name, but for what reading turns into times, labels and the frame rate.
    """
    own = [_described(name, variable) for name, variable in dataset.data_vars.items()]
    own.sort(key=lambda array: array.sizes, reverse=True)
    lost = []
    found = _stored_arrays(path)
    traces = _wide(found)
    for stored in sorted(traces, key=lambda array: (array.quantity != _UNKNOWN, array.sizes), reverse=True):
        holder = next((array for array in own if array.holds(stored)), None)
        if holder is None and stored.name not in dataset.coords:
            lost.append(_said(stored))
        elif holder is not None:
            own.remove(holder)
    others = [array for array in found if array not in traces and not _is_read_otherwise(array)]
    return lost + [_said(array) for array in others if array.name.rpartition("/")[2] not in dataset.variables]


def arrays_of_others(dataset: xr.Dataset, path: Path) -> list[str]:
    """Names of what Antidrome did not write into a Zarr store or NetCDF file, as far as names tell.

    All, where it has not the times and neurons of all that Antidrome writes; none where it holds expected spikes; of
    traces alone, which others may name so too, what the dataset in their place has not.
    """
    names = _names(path)
    if not {"time", "neuron"} <= names:
        return sorted(names)
    return [] if "expected_spikes" in names else sorted(names - {*map(str, dataset.variables), *map(str, dataset.dims)})


def _names(path: Path) -> set[str]:
    """Names of the arrays and groups at the top of a store or file; none of a file that is damaged."""
    if path.is_dir():
        children = {child.name for child in path.iterdir() if child.is_dir()}
        return {path.stem} if (path / ".zarray").exists() or children == {"c"} else children
    try:
        if not is_classic(path):
            with open_unguarded(path) as file:
                return set(file)
        with xr.open_dataset(path, engine="scipy", decode_cf=False) as opened:
            return set(map(str, opened.variables))
    except Exception:  # SciPy and h5py answer damage with errors of every kind
        return set()


def _said(array: _Array) -> str:
    return f"{array.name!r} ({times_sign(array.shape)})"


def _is_read_otherwise(array: _Array) -> bool:
    """Whether reading makes times, labels or a frame rate of an array, or does not need it, since it holds nothing."""
    is_rate = array.name.rpartition("/")[2].lower() in RATE_NAMES
    return array.is_index or is_auxiliary(array.name) or is_rate or 0 in array.shape


def _stored_arrays(path: Path) -> list[_Array]:
    """Everything in a file or store."""
    if path.is_dir():
        guard_zarr(path)
        store = open_zarr(path)
        arrays = arrays_of(store) | zarr_arrays(store) if isinstance(store, zarr.Group) else {path.stem: store}
        return [_described(name, array) for name, array in arrays.items()]
    with xr.open_dataset(path, decode_timedelta=False) as opened:
        outside = [_described(name, variable) for name, variable in opened.variables.items()]
    inside = {} if is_classic(path) else netcdf_arrays(path, ReadOptions())
    return [*outside, *(_Array(name, _UNKNOWN, array.shape, None) for name, array in inside.items())]


def _wide(arrays: list[_Array]) -> list[_Array]:
    """Those of two dimensions; where there are none, those of one that are no times or labels."""
    wide = [array for array in arrays if len(array.shape) == 2]
    return wide or [array for array in arrays if len(array.shape) == 1 and not _is_read_otherwise(array)]


def _described(name: Hashable, array: Any) -> _Array:
    """What is said of an array of xarray or Zarr."""
    dims = array.attrs.get("_ARRAY_DIMENSIONS") or getattr(array, "dims", None) or _dimension_names(array)
    is_index = list(dims or ()) == [str(name).rpartition("/")[2]]
    return _Array(str(name), _quantity(name, dict(array.attrs)), tuple(array.shape), _ends(array), is_index)


def _dimension_names(array: Any) -> Any:
    """Names of the dimensions of an array of Zarr version 3, if it has some."""
    return getattr(getattr(array, "metadata", None), "dimension_names", None)


def _quantity(name: Hashable, attrs: Mapping[Any, Any]) -> str:
    return str(attrs.get("quantity") or (name if name in OWN_NAMES else _UNKNOWN))


def _ends(array: Any) -> tuple[float, float] | None:
    """The first and the last number; None of what has no numbers."""
    if array.dtype.kind not in "biuf" or 0 in array.shape:
        return None
    first, last = (float(np.asarray(array[(place,) * array.ndim])) for place in (0, -1))
    return first, last
