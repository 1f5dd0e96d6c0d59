"""Append-only files of checksummed records: what was written stays, what a killed writer left half is cut off.

A file is a line of JSON (what the file is), then records: magic, length, CRC-32, payload. A record is written by one
system call, so that a killed process leaves whole records and at most one torn one at the end; a damaged record in the
middle is an error.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from antidrome.core.locks import try_lock, unlock
from antidrome.errors import FileFormatError, InputError, ResumeError

MAGIC = b"AdSr"
MAX_RECORD_BYTES = 2**30
MAX_HEADER_BYTES = 2**24
_SYNC_SECONDS = 1.0


class RecordFile:
    """One writer's file of records; the writer holds a lock on it as long as it lives.

    Parameters
    ----------
    path
        The file; made if it is not there.
    header
        What the file is, JSON-ready; a file with another header is refused.

    Raises
    ------
    ResumeError
        If another process is writing it, or its header differs (the message names the fields).
    FileFormatError
        If it is damaged.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            self._lock()
            end = self._end_of_records(header)
            os.ftruncate(self._descriptor, end)
            os.lseek(self._descriptor, end, os.SEEK_SET)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._synced = time.monotonic()

    def append(self, payload: bytes) -> None:
        """Write one record; it survives the death of this process, and within a second that of the machine.

        Raises
        ------
        OSError
            There is no room for it; nothing of it stays.
        """
        record = MAGIC + len(payload).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little") + payload
        self._write(record)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Bring everything to the disk."""
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def _write(self, content: bytes) -> None:
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            os.ftruncate(self._descriptor, start)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self.path)) from error

    def close(self) -> None:
        """Bring everything to the disk and let go of the file."""
        if self._descriptor >= 0:
            self.sync()
            unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        # Windows locks bytes, not files, and would keep readers out: there is no lock
        if sys.platform != "win32" and not try_lock(self._descriptor):
            raise ResumeError(
                f"{self.path} is being written by another process. Wait for it, or give each process its own shard."
            )

    def _end_of_records(self, header: dict[str, Any]) -> int:
        """Write or check the header; the end of the last whole record."""
        text = json.dumps(header, sort_keys=True).encode() + b"\n"
        if len(text) > MAX_HEADER_BYTES:
            raise InputError(
                f"{self.path}: names, units and description of these simulations take {len(text):,} bytes, more than a"
                f" file may begin with ({MAX_HEADER_BYTES:,}). Give the features shorter names."
            )
        size = os.fstat(self._descriptor).st_size
        found = (
            os.pread(self._descriptor, len(text) + 1, 0) if hasattr(os, "pread") else self._read_start(len(text) + 1)
        )
        if size < len(text) and text.startswith(found):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._write(text)
            self.sync()
            return len(text)
        if not found.startswith(text):
            require_same_header(read_header(self.path), header, self.path)
        end = len(text)
        for start, payload in read_records(self.path):
            end = start + 12 + len(payload)
        return end

    def _read_start(self, n: int) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, n)


def require_same_header(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    """Raise ResumeError naming the fields in which two headers differ."""
    differing = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    if differing:
        details = "; ".join(
            f"{key}: {_short(found.get(key))} there, {_short(expected.get(key))} here" for key in differing
        )
        raise ResumeError(
            f"{path} holds other simulations ({details}). Use the simulator and settings that it was made with, or"
            " another folder."
        )


def read_header(path: Path) -> dict[str, Any]:
    """What a record file says that it is."""
    with open(path, "rb") as stream:
        line = stream.readline(MAX_HEADER_BYTES)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not line.endswith(b"\n"):
        raise FileFormatError(f"{path} is not a file of simulations, or its beginning is damaged.")
    return header


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of every whole record; a torn one at the end is passed over.

    Raises
    ------
    FileFormatError
        If a record in the middle is damaged; the message names the offset.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        stream.readline(MAX_HEADER_BYTES)
        while (start := stream.tell()) + 12 <= size:
            head = stream.read(12)
            length = int.from_bytes(head[4:8], "little")
            whole = head[:4] == MAGIC and length <= MAX_RECORD_BYTES
            if whole and start + 12 + length > size:
                return
            payload = stream.read(length) if whole else b""
            if not whole or zlib.crc32(payload) != int.from_bytes(head[8:12], "little"):
                if whole and start + 12 + length == size:
                    return
                raise FileFormatError(
                    f"{path} is damaged at byte {start}: a record does not match its checksum. Restore the file from a"
                    " copy, or delete it to simulate its part again."
                )
            yield start, payload


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "…"
