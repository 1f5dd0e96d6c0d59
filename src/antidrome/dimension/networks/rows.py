"""Data for a network, one batch of rows at a time: arrays, memmaps, Zarr, tensors, or PyTorch datasets and loaders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from antidrome.dimension.networks.steps import Batch
from antidrome.dimension.points import from_tensor
from antidrome.errors import InputError


@dataclass(frozen=True)
class Rows:
    """Data points in a fixed order.

    Parameters
    ----------
    n_rows
        How many there are.
    batch
        Gives the rows with some numbers.
    """

    n_rows: int
    batch: Callable[[np.ndarray], Batch]


def as_rows(data: Any) -> Rows:
    """Take data in any accepted form.

    Parameters
    ----------
    data
        Array (rows, …): numpy, memmap, Zarr, dask, DataArray, torch tensor; a mapping of such arrays for networks with
        several inputs; a PyTorch map-style dataset, or a DataLoader that keeps the order.

    Raises
    ------
    InputError
        Anything else, no rows, a loader that shuffles, or an iterable dataset.
    """
    if data is None:
        raise InputError("No data were given; a network needs data: layers(network, data).")
    if isinstance(data, Mapping):
        return _from_mapping(data)
    if hasattr(data, "dims") and hasattr(data, "data"):
        data = data.data
    if hasattr(data, "shape") and hasattr(data, "__getitem__"):
        return _from_array(data)
    if hasattr(data, "sampler") and hasattr(data, "dataset"):
        return _from_loader(data)
    if isinstance(data, str | bytes) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise InputError(
            f"Data of type {type(data).__name__} cannot be read row by row; give an array (rows, …), a mapping of"
            " arrays for several inputs, a map-style dataset, or a DataLoader with shuffle=False."
        )
    return _from_dataset(data, None)


def _from_array(array: Any) -> Rows:
    if len(array.shape) < 1 or array.shape[0] == 0:
        raise InputError(f"The data have the shape {tuple(array.shape)}; expected (rows, …) with at least one row.")

    return Rows(int(array.shape[0]), lambda index: _numeric(_take(array, index)))


def _from_mapping(data: Mapping[str, Any]) -> Rows:
    columns = {name: as_rows(value) for name, value in data.items()}
    lengths = {name: rows.n_rows for name, rows in columns.items()}
    if not lengths or len(set(lengths.values())) > 1:
        raise InputError(f"Inputs of a network need the same number of rows; got {lengths}.")

    def batch(index: np.ndarray) -> Batch:
        return {name: rows.batch(index) for name, rows in columns.items()}

    return Rows(next(iter(lengths.values())), batch)


def _from_loader(loader: Any) -> Rows:
    sampler = type(loader.sampler).__name__
    if not hasattr(loader.dataset, "__len__"):
        raise InputError("An iterable dataset has no rows to come back to; give a map-style dataset or an array.")
    if sampler != "SequentialSampler":
        raise InputError(
            f"The DataLoader draws its rows with a {sampler}, so that their order changes from pass to pass; use"
            " shuffle=False, or give the dataset itself."
        )
    return _from_dataset(loader.dataset, loader.collate_fn)


def _from_dataset(dataset: Any, collate: Callable | None) -> Rows:
    if len(dataset) == 0:
        raise InputError("The dataset is empty.")

    def batch(index: np.ndarray) -> Batch:
        items = [dataset[int(i)] for i in index]
        return _inputs(collate(items) if collate is not None else _collate(items))

    return Rows(len(dataset), batch)


def _collate(items: Sequence[Any]) -> Any:
    first = items[0]
    if isinstance(first, Mapping):
        return {key: _collate([item[key] for item in items]) for key in first}
    if isinstance(first, list | tuple):
        return tuple(_collate(column) for column in zip(*items, strict=True))
    arrays = [_as_numpy(item) for item in items]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise InputError(f"Rows of the dataset differ in shape ({', '.join(map(str, sorted(shapes)[:3]))}, …).")
    return np.stack(arrays)


def _inputs(batch: Any) -> Batch:
    """Inputs of a batch: of (x, y, …) the first, a mapping, or inputs alone."""
    if isinstance(batch, list | tuple):
        batch = batch[0]
    if isinstance(batch, Mapping):
        return {str(name): _numeric(_as_numpy(value)) for name, value in batch.items()}
    return _numeric(_as_numpy(batch))


def _take(array: Any, index: np.ndarray) -> np.ndarray:
    contiguous = index.size and np.array_equal(index, np.arange(index[0], index[0] + index.size))
    if contiguous:
        return _as_numpy(array[int(index[0]) : int(index[0]) + index.size])
    if hasattr(array, "oindex"):
        return _as_numpy(array.oindex[index])
    return _as_numpy(array[index])


def _as_numpy(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = from_tensor(value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"A row of the data is not an array of numbers: {error}.") from error


def _numeric(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fbiu":
        raise InputError(f"The data are of type {values.dtype}; a network takes numbers.")
    return values.astype(np.float32) if values.dtype == np.float16 else values
