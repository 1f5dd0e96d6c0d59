"""HDF5 files that a full disk cannot break, and dask arrays stored in them block by block.

The HDF5 library keeps what it could not write and tries again whenever something of the file is closed, up to the end
of the process, which it then crashes. So it writes into a `_Sink`, in which nothing fails: from the first failure on,
everything goes into memory. The file is closed in peace, and then the failure is raised.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import h5py
import numpy as np


class Hdf5Writer:
    """An HDF5 file that is being written."""

    def __init__(self, file: h5py.File, sink: "_Sink") -> None:
        self.file = file
        self._sink = sink

    def store(self, arrays: Sequence[da.Array], places: Sequence[Any]) -> None:
        """Compute dask arrays by threads of this process and write them, block by block, what they share once.

        An open file cannot be sent to other processes, of a cluster say.

        Raises
        ------
        OSError
            There is no room for them; no further block is computed.
        """
        if arrays:
            checked = [_Place(place, self._sink) for place in places]
            da.store(list(arrays), checked, lock=True, scheduler="threads")


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
        sink = _Sink(stream)
        with h5py.File(sink, mode) as file:
            yield Hdf5Writer(file, sink)
        sink.raise_failure()


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
