"""Content hashes of recordings, arrays and configurations: the same data, the same hash, wherever it is stored.

A hash answers "is this the data (the configuration) that the result was made from?". It covers values, times, neuron
labels and units; it does not depend on the file format, the path, the byte order, or how a dask array is chunked.
"""

import hashlib
import json
import typing
from collections.abc import Iterator, Mapping
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
        Dims ``(time, neuron)``; dask-backed recordings are read block by block, never whole.
    """
    digest = _new_digest()
    _add_text(digest, json.dumps([list(map(str, recording.dims)), list(recording.shape), str(recording.dtype)]))
    for name in recording.dims:
        if name in recording.coords:
            _add_array(digest, np.asarray(recording.coords[name].values))
    attributes = {name: recording.attrs[name] for name in HASHED_ATTRIBUTES if name in recording.attrs}
    _add_text(digest, json.dumps(attributes, sort_keys=True, default=float))
    for block in _row_blocks(recording.data):
        _add_values(digest, block)
    return digest.hexdigest()


def hash_arrays(arrays: Mapping[str, Any]) -> str:
    """Return the content hash of named arrays, whatever their order in the mapping: 32 hexadecimal digits."""
    digest = _new_digest()
    for name in sorted(arrays):
        _add_text(digest, name)
        _add_array(digest, np.asarray(arrays[name]))
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
    if values.dtype.kind in "fc":
        values = np.array(values, order="C")
        values += 0
        values[np.isnan(values)] = np.nan
    digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())


def _row_blocks(values: Any) -> Iterator[np.ndarray]:
    """Yield consecutive blocks of rows of about BLOCK_BYTES; dask arrays are cut at their own chunk borders."""
    if values.ndim == 0:
        yield np.asarray(values)
        return
    bytes_per_row = max(1, int(np.prod(values.shape[1:])) * values.dtype.itemsize)
    n_rows = max(1, BLOCK_BYTES // bytes_per_row)
    if hasattr(values, "chunks") and values.chunks:
        chunk = max(1, max(values.chunks[0]))
        n_rows = max(chunk, n_rows // chunk * chunk)
    for start in range(0, values.shape[0], n_rows):
        yield np.asarray(values[start : start + n_rows])
