"""Content hashes of recordings, arrays and configurations: the same data, the same hash, wherever it is stored.

A hash answers "is this the data (the configuration) that the result was made from?". It covers values, times, neuron
labels and units; it does not depend on the file format, the path, the byte order, or how a dask array is chunked.
"""

import hashlib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from antidrome.core.configuration import to_dict
from antidrome.errors import InputError

if typing.TYPE_CHECKING:
    import xarray

BLOCK_BYTES = 64 * 2**20
HASHED_ATTRIBUTES = ("quantity", "units", "frame_rate_hz")


def hash_recording(recording: "xarray.DataArray") -> str:
    """Return the content hash of a recording: 32 hexadecimal digits.

    Parameters
    ----------
    recording
        Dims ``(time, neuron)``; of dask-backed recordings one block at a time is in memory, and each is read once.
    """
    recording = recording.transpose("time", "neuron")
    digest = _new_digest()
    dtype = str(recording.dtype.newbyteorder("="))
    _add_text(digest, json.dumps([list(map(str, recording.dims)), list(recording.shape), dtype]))
    for name in recording.dims:
        if name in recording.coords:
            _add_array(digest, np.asarray(recording.coords[name].values))
    attributes = {name: recording.attrs[name] for name in HASHED_ATTRIBUTES if name in recording.attrs}
    _add_text(digest, json.dumps(attributes, sort_keys=True, default=float))
    for trace in _trace_digests(recording.data):
        digest.update(trace)
    return digest.hexdigest()


def hash_arrays(arrays: Mapping[str, Any]) -> str:
    """Return the content hash of named arrays, whatever their order in the mapping: 32 hexadecimal digits."""
    digest = _new_digest()
    for name in sorted(arrays):
        _add_text(digest, name)
        _add_array(digest, np.asarray(arrays[name]))
    return digest.hexdigest()


def hash_rows(rows: Iterable[np.ndarray], n_rows: int, dtype: np.dtype) -> str:
    """Return the content hash of a table given in blocks of whole rows, however many a block: 32 hexadecimal digits."""
    digest = _new_digest()
    _add_text(digest, json.dumps([n_rows, str(dtype.newbyteorder("="))]))
    for block in rows:
        _add_values(digest, block)
    return digest.hexdigest()


def hash_configuration(configuration: Any) -> str:
    """Return the hash of a configuration (a dataclass or a JSON-ready mapping): 32 hexadecimal digits.

    Raises
    ------
    InputError
        If it holds what JSON cannot.
    """
    values = configuration if isinstance(configuration, Mapping) else to_dict(configuration)
    try:
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"This configuration cannot be hashed: {error}. Use numbers, text, lists and tables."
        ) from None
    digest = _new_digest()
    _add_text(digest, text)
    return digest.hexdigest()


def _new_digest() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16, person=b"antidrome")


def _add_text(digest: "hashlib.blake2b", text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "little") + data)


def _add_array(digest: "hashlib.blake2b", values: np.ndarray) -> None:
    """Add shape, type and values; text is hashed as UTF-8, so that the width of a fixed-width column does not count."""
    if values.dtype.kind in "OUST":
        _add_text(digest, json.dumps([str(label) for label in values.ravel().tolist()]))
        return
    _add_text(digest, json.dumps([list(values.shape), values.dtype.newbyteorder("=").str[1:]]))
    _add_values(digest, values)


def _add_values(digest: "hashlib.blake2b", values: np.ndarray) -> None:
    """Add values in C order and little-endian; every NaN counts as one NaN, and -0.0 as 0.0."""
    digest.update(_canonical(values).tobytes())


def _canonical(values: np.ndarray) -> np.ndarray:
    """The values in C order and little-endian, with one kind of NaN and of zero."""
    if values.dtype.kind in "fc":
        values = np.array(values, order="C")
        values += 0
        values[np.isnan(values)] = np.nan
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))


def _trace_digests(values: Any) -> Iterator[bytes]:
    """The digest of every neuron's trace; (time, neuron) is read in blocks, dask arrays in their own.

    A digest for each trace, which grows from block to block along time, is what makes the blocks not count.
    """
    n_frames, n_neurons = values.shape
    if getattr(values, "chunks", None):
        of_frames, of_neurons = values.chunks
    else:
        width = max(1, BLOCK_BYTES // max(1, n_frames * values.dtype.itemsize))
        of_frames, of_neurons = (n_frames,), [min(width, n_neurons - first) for first in range(0, n_neurons, width)]
    for columns in _slices(of_neurons):
        traces = [_new_digest() for _ in range(columns.start, columns.stop)]
        for rows in _slices(of_frames):
            block = _canonical(np.asarray(values[rows, columns]).T)
            for trace, part in zip(traces, block, strict=True):
                trace.update(part.data)
        yield from (trace.digest() for trace in traces)


def _slices(lengths: Iterable[int]) -> Iterator[slice]:
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length
