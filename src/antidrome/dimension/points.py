"""Points to measure: N rows of D numbers, in memory or on disk, read block by block and never copied whole."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

import antidrome.recordings.accessor  # noqa: F401  registers .antidrome of labelled results
from antidrome.core.hashing import hash_rows
from antidrome.errors import InputError
from antidrome.recordings.axes import NEURON_NAMES, TIME_NAMES, called
from antidrome.recordings.headings import names_group
from antidrome.recordings.tables import is_table, names_times, opened_table, without_index

BLOCK_BYTES = 32 * 2**20
"""Aim for the size of one block that is read."""


@dataclass(frozen=True)
class Points:
    """Rows of an array that is in memory, mapped, or chunked on disk (Zarr, HDF5, dask); trailing axes count as one.

    `selected` holds the rows that are taken, in their order; None means all.
    """

    source: Any
    selected: np.ndarray | None = None

    @property
    def n_points(self) -> int:
        """Number of rows N."""
        return int(self.source.shape[0]) if self.selected is None else self.selected.size

    @property
    def n_dimensions(self) -> int:
        """Numbers per row, D."""
        return prod(self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type as stored."""
        return np.dtype(self.source.dtype)

    @property
    def in_memory(self) -> bool:
        """Whether any row can be had without reading a file."""
        return isinstance(self.source, np.ndarray) and not isinstance(self.source, np.memmap)

    def rows(self, start: int, stop: int, columns: slice = slice(None)) -> Shaped[np.ndarray, "rows columns"]:
        """Rows start…stop of this selection, as stored; a view where that is possible."""
        if self.selected is not None:
            return self.take(self.selected[start:stop], columns, mapped=True)
        return self._read(slice(start, stop), columns)

    def take(self, index: Any, columns: slice = slice(None), *, mapped: bool = False) -> np.ndarray:
        """Rows by number, in the given order (`mapped`: numbers of the source, not of the selection)."""
        index = np.asarray(index)
        if self.selected is not None and not mapped:
            index = self.selected[index]
        if isinstance(self.source, np.ndarray):
            flat = _flat(self.source)
            if flat is None:
                return self._read(index, columns)
            return np.asarray(flat[index][:, columns] if columns == slice(None) else flat[:, columns][index])
        needed, back = np.unique(index, return_inverse=True)  # chunked stores read rising indices best
        return self._read(needed, columns)[back]

    def select(self, index: np.ndarray) -> Points:
        """Some of the rows as points of their own; copied if in memory, else read when needed."""
        return Points(np.ascontiguousarray(self.take(index))) if self.in_memory else self.view(index)

    def view(self, index: np.ndarray) -> Points:
        """Some of the rows, in any order, read when needed."""
        return Points(self.source, index if self.selected is None else self.selected[index])

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> list[tuple[int, int]]:
        """Row ranges of about `block_bytes` each as float64."""
        step = max(1, min(self.n_points, block_bytes // (8 * self.n_dimensions)))
        return [(start, min(start + step, self.n_points)) for start in range(0, self.n_points, step)]

    def content_hash(self) -> str:
        """Hash of the values, wherever they are kept; read block by block."""
        return hash_rows((self.rows(*block) for block in self.blocks()), self.n_points, self.dtype)

    def __reduce__(self) -> tuple:
        """Sent to another process, a mapped file travels as its name."""
        source = self.source
        if isinstance(source, np.memmap) and isinstance(source.base, mmap.mmap) and source.filename is not None:
            order = "C" if source.flags.c_contiguous else "F"
            where = (str(source.filename), source.dtype.str, source.shape, source.offset, order)
            return _reopen, (where, self.selected)
        return Points, (source, self.selected)

    def _read(self, rows: Any, columns: slice) -> np.ndarray:
        if isinstance(self.source, np.ndarray) and (flat := _flat(self.source)) is not None:
            return np.asarray(flat[rows, columns])
        trailing, place = _trailing(self.source.shape, columns)
        getter = self.source.oindex if hasattr(self.source, "oindex") else self.source
        block = np.asarray(getter[(rows, *trailing)])
        return block.reshape(block.shape[0], -1)[:, place]


def as_points(points: Any) -> Points:
    """Take points in any accepted form.

    Parameters
    ----------
    points
        numpy array, memmap, DataArray, Zarr or HDF5 array, dask array, or nested lists; the first axis are the points,
        all others are flattened; of a recording (time and neuron, or synonyms: frame, cell …, or trials and times
        stacked, in any order) the frames are the points. One-dimensional input is N points of one number.

    Raises
    ------
    InputError
        If it is not an array of real numbers, has no rows, or no columns.
    """
    if isinstance(points, Points):
        return points
    _refuse_what_is_no_array(points)
    if hasattr(points, "dims") and hasattr(points, "data"):  # xarray
        axes = [*frames_of(points), *called(points.dims, NEURON_NAMES)]
        points = (points.transpose(*axes) if len(axes) == len(points.dims) == 2 else points).data
    if hasattr(points, "detach") or not all(hasattr(points, name) for name in ("shape", "dtype", "__getitem__")):
        points = _as_array(points)
    if any(length != length for length in points.shape):
        raise InputError("The dask array does not know its own length; call compute_chunk_sizes() on it first.")
    if len(points.shape) == 1:
        points = points[:, None] if isinstance(points, np.ndarray) else np.asarray(points)[:, None]
    if len(points.shape) < 2 or 0 in points.shape:
        raise InputError(f"The points have the shape {tuple(points.shape)}; expected (points, numbers per point).")
    if np.dtype(points.dtype).kind not in "biuf":
        raise InputError(f"The points are of type {points.dtype}; expected real numbers, such as float32 or integers.")
    if np.dtype(points.dtype).itemsize > 8:
        raise InputError(f"The points are of type {points.dtype}; convert them to float64.")
    return Points(points)


def frames_of(array: Any) -> list[Any]:
    """The one dimension of time, or that in which xarray has stacked trials and times."""
    levels = {dim: array.indexes[dim].names for dim in array.dims if dim in getattr(array, "indexes", {})}
    stacked = [
        dim
        for dim, names in levels.items()
        if len(names) > 1 and any(names_times(name) or names_group(str(name)) for name in names)
    ]
    return called(array.dims, TIME_NAMES) or (stacked if len(stacked) == 1 else [])


def from_tensor(tensor: Any) -> np.ndarray:
    """The values of a tensor of PyTorch; of bfloat16, which numpy does not know, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def spread_rows(n: int, at_most: int) -> Int[np.ndarray, " rows"]:
    """Rows spread evenly over n, from the first to the last; all of them, if they are not more."""
    return np.unique(np.linspace(0, n - 1, min(n, at_most)).astype(int))


def _refuse_what_is_no_array(points: Any) -> None:
    """A sentence for what is often given by mistake, or would lose something on the way to an array."""
    what = type(points).__name__
    if isinstance(points, str | os.PathLike):
        raise InputError(
            f"The points are the path {str(points)!r}; open it first (np.load(path, mmap_mode='r'), zarr.open(path)),"
            " or use the command: antidrome dimension FILE."
        )
    if isinstance(points, Mapping) or not (hasattr(points, "__len__") or hasattr(points, "shape")):
        raise InputError(f"The points are a {what}; expected one array (points, numbers per point).")
    if isinstance(points, np.ma.MaskedArray) and np.ma.is_masked(points):
        raise InputError(
            f"{int(np.ma.getmaskarray(points).sum())} values of the points are masked; distances need all of them."
            " Leave such points or columns out first."
        )
    if type(points).__module__.startswith("scipy.sparse"):
        raise InputError("The points are a sparse matrix; give points.toarray() (distances need all the zeros).")


def _reopen(where: tuple, selected: np.ndarray | None) -> Points:
    name, dtype, shape, offset, order = where
    return Points(np.memmap(name, dtype, "r", offset, shape, order), selected)


def _as_array(points: Any) -> np.ndarray:
    if hasattr(points, "detach"):
        points = from_tensor(points)
    points = without_index(points)
    if is_table(points):
        for name, dtype in zip(getattr(points, "columns", ()), getattr(points, "dtypes", ()), strict=False):
            if getattr(dtype, "kind", "f") not in "biuf":
                raise InputError(f"Column {str(name)!r} of the table is not of numbers; leave such columns out.")
        return np.asarray(opened_table(points, "the table of points").values)
    try:
        return np.asarray(points)
    except ValueError as error:
        raise InputError(
            f"The points are not one array of numbers: {' '.join(str(error).split()).rstrip('.')}."
        ) from error


def _flat(array: np.ndarray) -> np.ndarray | None:
    """Rows of numbers as a view; None where that would copy the whole array (Fortran order of three axes or more)."""
    if array.ndim == 2:
        return array
    return array.reshape(array.shape[0], -1) if array[0].flags.c_contiguous else None


def _trailing(shape: tuple[int, ...], columns: slice) -> tuple[tuple[slice, ...], slice]:
    """The part of the trailing axes that holds some columns, cut along the first of them, and their place in it."""
    if columns == slice(None):
        return (), columns
    axis = next((i for i, length in enumerate(shape[1:], 1) if length > 1), 1)
    inner = prod(shape[axis + 1 :])
    start, stop, _ = columns.indices(prod(shape[1:]))
    first, last = start // inner, -(-stop // inner)
    return (slice(None),) * (axis - 1) + (slice(first, last),), slice(start - first * inner, stop - first * inner)
