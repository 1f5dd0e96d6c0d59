"""HDF5 files that a full disk cannot break, and dask arrays stored in them block by block.

The HDF5 library keeps what it could not write and tries again whenever something of the file is closed, up to the end
of the process, which it then crashes. So it writes into a `_Sink`, in which nothing fails: from the first failure on,
everything goes into memory. The file is closed in peace, and then the failure is raised. For the same reason an
interrupt waits while the library is at work (`_Signals`).
"""

import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dask
import dask.array as da
import h5py
import numpy as np
from dask.array.core import slices_from_chunks


class Hdf5Writer:
    """An HDF5 file that is being written."""

    def __init__(self, file: h5py.File, sink: "_Sink", signals: "_Signals") -> None:
        self.file = file
        self._sink, self._signals = sink, signals

    def store(self, arrays: Sequence[da.Array], places: Sequence[Any]) -> None:
        """Compute dask arrays by threads of this process and write them, block by block, what they share once.

        An open file cannot be sent to other processes, of a cluster say: arrays that rest on what a cluster holds are
        computed there, kept there until they are written, and fetched block by block.

        Raises
        ------
        OSError
            There is no room for them; no further block is computed.
        """
        if not arrays:
            return
        checked = [_Place(place, self._sink) for place in places]
        if not _rest_on_a_cluster(arrays):
            with self._signals.let_through():
                da.store(list(arrays), checked, lock=True, scheduler="threads")
            return
        for array, place in zip(dask.persist(*arrays), checked, strict=True):
            for block, region in zip(np.ndindex(array.numblocks), slices_from_chunks(array.chunks), strict=True):
                with self._signals.let_through():
                    values = array.blocks[block].compute()
                place[region] = values


class _Place:
    """Where blocks of an array are written, as long as the file has room."""

    def __init__(self, place: Any, sink: "_Sink") -> None:
        self._place = place
        self._sink = sink

    def __setitem__(self, region: Any, values: Any) -> None:
        self._place[region] = np.asarray(values)
        self._sink.raise_failure()


@contextmanager
def hdf5_writer(path: Path, mode: Literal["w", "r+"]) -> Iterator[Hdf5Writer]:
    """A new HDF5 file, or one that is there, to write to.

    Raises
    ------
    OSError
        What was written could not be stored (a full disk, say); raised when the file is closed.
    """
    with open(path, "w+b" if mode == "w" else "r+b", buffering=0) as stream:
        sink, signals = _Sink(stream), _Signals()
        with signals.held(), h5py.File(sink, mode) as file:
            yield Hdf5Writer(file, sink, signals)
        sink.raise_failure()


def _rest_on_a_cluster(arrays: Sequence[da.Array]) -> bool:
    """Whether blocks that they are made of are in the memory of a cluster's workers."""
    if "distributed" not in sys.modules:
        return False
    from distributed import futures_of

    return bool(futures_of(list(arrays)))


class _Signals:
    """SIGINT and SIGTERM, held back where what their handlers raise would come out of the HDF5 library."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: list[int] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait until the block ends; only the main thread is ever interrupted by them."""
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            self._handlers = {number: handler for number, handler in found.items() if handler is not None}
        self._note_all()
        try:
            yield
        finally:
            self._restore()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within `held`: no waiting as long as the block lasts, in which this thread is not in the library."""
        try:
            self._restore()
            yield
        finally:
            self._note_all()

    def _note_all(self) -> None:
        for number in self._handlers:
            signal.signal(number, lambda came, _: self._came.append(came))

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        while self._came:
            signal.raise_signal(self._came.pop(0))


class _Sink(io.RawIOBase):
    """A file for the HDF5 library; what it cannot hold is kept in memory, and its failure with it."""

    def __init__(self, stream: io.FileIO) -> None:
        self._stream = stream
        self._kept: list[tuple[int, bytes]] = []
        self._end = stream.seek(0, io.SEEK_END)
        self._place = 0
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._stream.seek(self._place)
        n_read, more = 0, 1
        while more and n_read < len(view):
            more = self._stream.readinto(view[n_read:])
            n_read += more
        view[n_read:] = bytes(len(view) - n_read)
        for start, content in self._kept:
            first, last = max(start, self._place), min(start + len(content), self._place + len(view))
            if first < last:
                view[first - self._place : last - self._place] = content[first - start : last - start]
        self._place += len(view)
        return len(view)

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        if not self._is_written(view):
            self._kept.append((self._place, bytes(view)))
        self._place += len(view)
        self._end = max(self._end, self._place)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._place if size is None else size
        if self._failure is None:
            try:
                self._stream.truncate(self._end)
            except OSError as error:
                self._failure = error
        return self._end

    def _is_written(self, view: memoryview) -> bool:
        if self._failure is None:
            try:
                self._stream.seek(self._place)
                n_written = 0
                while n_written < len(view):
                    n_written += self._stream.write(view[n_written:])
            except OSError as error:
                self._failure = error
        return self._failure is None
