"""One session read in blocks: centred, scaled, zero where nothing was observed; never whole unless it is small.

Everything that the method needs of the data is two matrix products: ``Z = Y C`` (frame, latent) and ``Yᵀ G``
(neuron, latent). Row-wise storage (numpy, memmap, HDF5, Zarr, sparse) is read once for both, in blocks of frames with
a halo of the largest lag; dask arrays multiply block by block wherever their scheduler runs, on any chunks.
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from antidrome.core.digests import column_digests, frame_weights, spelled_out
from antidrome.dynamics import sparse
from antidrome.dynamics.population import Session
from antidrome.errors import InputError

BLOCK_VALUES = 2**23
CHUNK_VALUES = 2**26
"""As many are read at once where a part of a chunk of a dask array may cost as much as the whole."""
SMALL_VALUES = 2**24
FEWEST_FRAMES = 64


@dataclasses.dataclass(frozen=True)
class SessionData:
    """A session as ``(y − mean) · gain`` with zeros for missing entries.

    Parameters
    ----------
    session
        Where the values are.
    gain
        (neuron,) factor for each used column, 1/scale.
    kept
        The whole prepared matrix for small sessions, or None.
    """

    session: Session
    gain: np.ndarray
    kept: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(frame, neuron)."""
        return self.session.n_frames, len(self.session.columns)

    @property
    def dtype(self) -> np.dtype:
        """Type of the blocks: float64 for small sessions and for float64 data, else float32."""
        small = self.shape[0] * self.shape[1] <= SMALL_VALUES
        wide = np.dtype(self.session.values.dtype).itemsize > 4
        return np.dtype(np.float64 if small or wide else np.float32)

    def in_memory(self) -> SessionData:
        """Keep the prepared matrix: for sessions of a few million values."""
        return dataclasses.replace(self, kept=self.read(0, self.session.n_frames))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Prepared frames ``start ≤ t < stop``, (frame, neuron); frames outside all segments are zero."""
        if self.kept is not None:
            return self.kept[start:stop]
        session = self.session
        block = read_rows(session, start, stop).astype(self.dtype, copy=False)
        block = np.subtract(block, session.mean.astype(block.dtype))
        block *= self.gain.astype(block.dtype)
        release(session.values)
        if not session.is_complete:
            np.copyto(block, 0, where=~np.isfinite(block))
        outside = session.segment[start:stop] < 0
        if outside.any():
            block[outside] = 0
        return block

    def blocks(self, halo: int = 0) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Blocks of frames with up to `halo` further frames on both sides: (frames, their place in block, block)."""
        n_frames = self.session.n_frames
        size = self.frames_at_once(halo)
        for start in range(0, n_frames, size):
            stop = min(start + size, n_frames)
            low, high = max(0, start - halo), min(n_frames, stop + halo)
            yield slice(start, stop), slice(start - low, stop - low), self.read(low, high)

    def once(self, tail: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Blocks that are read once each, with up to `tail` frames before them: see `read_once`."""
        return read_once(self.read, self.session.n_frames, self.frames_at_once(tail), tail)

    def frames_at_once(self, tail: int) -> int:
        """Frames of a block: see the function of this name; everything where it is in memory."""
        return self.session.n_frames if self.kept is not None else frames_at_once(self.session, tail)

    def project(self, loadings: np.ndarray) -> np.ndarray:
        """Y C, (frame, latent), float64."""
        if self._is_dask:
            return np.asarray(self._lazy() @ loadings.astype(self.dtype), dtype=np.float64)
        if self._is_sparse:
            return sparse.project(self.session, self.gain, loadings)
        result = np.empty((self.shape[0], loadings.shape[1]))
        for frames, _, block in self.blocks():
            result[frames] = block @ loadings.astype(block.dtype, copy=False)
        return result

    def back_project(self, mixture: np.ndarray) -> np.ndarray:
        """Yᵀ G, (neuron, latent), float64."""
        if self._is_dask:
            return np.asarray(self._lazy().T @ mixture.astype(self.dtype), dtype=np.float64)
        if self._is_sparse:
            return sparse.back_project(self.session, self.gain, mixture)
        result = np.zeros((self.shape[1], mixture.shape[1]))
        for frames, _, block in self.blocks():
            result += block.T @ mixture[frames].astype(block.dtype, copy=False)
        return result

    def project_and_back(
        self, loadings: np.ndarray, mix: Callable[[np.ndarray, np.ndarray], np.ndarray], halo: int
    ) -> np.ndarray:
        """Yᵀ mix(Y C) in one read, (neuron, latent); ``mix(Z, segment)`` sees `halo` frames on both sides."""
        if self._is_dask or self._is_sparse:
            return self.back_project(mix(self.project(loadings), self.session.segment))
        result = np.zeros((self.shape[1], loadings.shape[1]))
        for frames, inner, block in self.blocks(halo):
            low = frames.start - inner.start
            z = (block @ loadings.astype(block.dtype, copy=False)).astype(np.float64, copy=False)
            g = mix(z, self.session.segment[low : low + len(block)])[inner]
            result += block[inner].T @ g.astype(block.dtype, copy=False)
        return result

    @property
    def _is_dask(self) -> bool:
        return self.kept is None and is_dask(self.session.values)

    @property
    def _is_sparse(self) -> bool:
        return self.kept is None and sparse.is_sparse(self.session.values) and self.session.is_complete

    def _lazy(self) -> Any:
        import dask.array as da

        session = self.session
        block = session.values
        if not session.uses_all:
            block = block[:, session.columns]
        block = (block.astype(self.dtype) - session.mean.astype(self.dtype)) * self.gain.astype(self.dtype)
        keep = (session.segment >= 0)[:, None]
        if not session.is_complete:
            keep = keep & da.isfinite(block)
        elif keep.all():
            return block
        return da.where(keep, block, self.dtype.type(0))


def frames_at_once(session: Session, tail: int = 0) -> int:
    """Frames of a block that is read, much longer than its tail; all columns of the storage come along with them."""
    n_columns = max(session.values.shape[1], 1)
    chunk = min(max(session.values.chunks[0]), CHUNK_VALUES // n_columns) if is_dask(session.values) else 1
    return max(4 * tail + 1, chunk, FEWEST_FRAMES, BLOCK_VALUES // n_columns)


def read_once(
    read: Callable[[int, int], np.ndarray], n_frames: int, size: int, tail: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Blocks of frames, in their order: (first frame of the block, how many of the tail, tail and block).

    The tail, up to `tail` frames before the block, is kept from what was read already.
    """
    last = np.zeros(0)
    for start in range(0, n_frames, size):
        block = read(start, min(start + size, n_frames))
        block = np.concatenate([last, block]) if len(last) else block
        yield start - len(last), len(last), block
        last = block[len(block) - min(tail, len(block)) :].copy()


def read_rows(session: Session, start: int, stop: int) -> np.ndarray:
    """Raw frames ``start ≤ t < stop`` of the used columns, (frame, neuron)."""
    rows = session.values[start:stop]
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    rows = np.asarray(rows)
    return rows if session.uses_all else rows[:, session.columns]


def release(values: Any) -> None:
    """Give the pages of a memory-mapped file back after a block was copied out of it; they stay in the system's cache.

    Not those of a copy-on-write map, whose changes live in its pages alone.
    """
    if isinstance(values, np.memmap) and values.mode in ("r", "r+") and hasattr(mmap, "MADV_DONTNEED"):
        mapped = getattr(values, "_mmap", None)
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)


def is_dask(values: Any) -> bool:
    """Whether an array is a dask array, without importing dask."""
    return type(values).__module__.partition(".")[0] == "dask"


def column_statistics(values: Any, segment: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Observed frames, mean, variance, infinite entries, kind of numbers and digest of every column, in one read.

    Returns
    -------
    "n_observed", "mean", "variance" (divisor n), "n_infinite", "least" (at most 0), "varies" (not all numbers are
    equal), "whole" (all numbers are), "digest" (see `core.digests`): (neuron,) each, over frames with ``segment ≥ 0``.

    Raises
    ------
    InputError
        If the values are not real numbers.
    """
    if np.dtype(values.dtype).kind not in "iufb":
        raise InputError(f"Session {name!r} holds values of type {values.dtype}, expected real numbers.")
    n_frames, n_columns = values.shape
    if is_dask(values):
        return _dask_statistics(values, segment)
    if sparse.is_sparse(values) and (found := sparse.statistics(values, segment)) is not None:
        return found
    count, mean, m2, n_infinite = np.zeros((4, n_columns))
    least, greatest = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    whole, digest = np.ones(n_columns, dtype=bool), np.zeros(n_columns, dtype=np.uint64)
    everything = Session(name, values, *[np.arange(n_columns)] * 2, segment, mean, mean, mean, least, whole, digest)
    size = frames_at_once(everything)
    for start in range(0, n_frames, size):
        stop = min(start + size, n_frames)
        inside = segment[start:stop] >= 0
        block = read_rows(everything, start, stop)[inside]
        n, centre, spread, infinite, smallest, largest = block_statistics(block)
        shift, total = centre - mean, np.maximum(count + n, 1)
        m2 += spread + shift**2 * count * n / total
        mean += shift * n / total
        count += n
        n_infinite += infinite
        least, greatest = np.minimum(least, smallest), np.maximum(greatest, largest)
        whole[whole] = all_whole(block, whole)
        digest += column_digests(block, frame_weights(start, stop)[inside])
        release(values)
    variance = m2 / np.maximum(count, 1)
    found = {"n_observed": count, "mean": mean, "variance": variance, "n_infinite": n_infinite}
    return {**found, "least": np.minimum(least, 0), "varies": greatest > least, "whole": whole, "digest": digest}


def all_whole(block: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether all observed numbers of some columns (flags) are whole: (column,); hardly any work where none is left."""
    if block.dtype.kind != "f" or not columns.any():
        return np.ones(int(columns.sum()), dtype=bool)
    some = block[:, columns]
    return ((some == np.rint(some)) | np.isnan(some)).all(axis=0)


def block_statistics(block: np.ndarray) -> tuple[np.ndarray, ...]:
    """Observed entries, mean, squares about it, infinite entries, least and greatest entry of a block's columns."""
    finite = np.isfinite(block)
    n = finite.sum(axis=0).astype(float)
    if finite.all():
        filled = block.astype(np.float64, copy=False)
        infinite = np.zeros(block.shape[1])
    else:
        filled = np.where(finite, block, 0).astype(np.float64, copy=False)
        infinite = np.isinf(block).sum(axis=0).astype(float)
    least = filled.min(axis=0, initial=np.inf, where=finite)
    greatest = filled.max(axis=0, initial=-np.inf, where=finite)
    mean = filled.sum(axis=0) / np.maximum(n, 1)
    deviation = filled - mean
    deviation *= finite
    return n, mean, np.einsum("tp,tp->p", deviation, deviation), infinite, least, greatest


def _dask_statistics(values: Any, segment: np.ndarray) -> dict[str, np.ndarray]:
    import dask
    import dask.array as da

    used = values if (segment >= 0).all() else values[segment >= 0]
    finite = da.isfinite(used)
    filled = da.where(finite, used, 0).astype(np.float64)
    count = finite.sum(axis=0)
    mean = filled.sum(axis=0) / da.maximum(count, 1)
    least, greatest = da.where(finite, used, np.inf).min(axis=0), da.where(finite, used, -np.inf).max(axis=0)
    whole, n_infinite = (filled == da.rint(filled)).all(axis=0), da.isinf(used).sum(axis=0)
    weights = da.from_array(frame_weights(0, len(segment))[segment >= 0][:, None], chunks=(used.chunks[0], 1))
    digest = (da.map_blocks(spelled_out, used, dtype=np.uint64) * weights).sum(axis=0)
    count, mean, n_infinite, least, greatest, whole, digest = dask.compute(
        count, mean, n_infinite, least, greatest, whole, digest
    )
    spread = (((filled - mean) * finite) ** 2).sum(axis=0).compute()
    return {
        "n_observed": count.astype(float),
        "mean": mean,
        "variance": spread / np.maximum(count, 1),
        "n_infinite": n_infinite.astype(float),
        "least": np.minimum(least, 0),
        "varies": greatest > least,
        "whole": whole,
        "digest": digest,
    }
