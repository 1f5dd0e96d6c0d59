"""The text of a table, however the file is encoded (UTF-8, UTF-16) or packed (gzip)."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.archives import MAX_ZIP_RATIO
from antidrome.recordings.safety import human_bytes, require_size

GZIP_MAGIC = b"\x1f\x8b"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SUSPECT_BYTES = 64 * 2**20


@contextmanager
def open_text(path: Path, max_bytes: int) -> Iterator[io.TextIOWrapper]:
    """Open a table as text with its own line ends.

    Parameters
    ----------
    path
        UTF-8, or UTF-16 with a byte order mark; packed by gzip or not.
    max_bytes
        Largest size, and largest size of what gzip expands to.

    Raises
    ------
    UnsafeFileError
        Also while it is read, if it is larger than the cap or expands suspiciously.
    FileFormatError
        While it is read, if the gzip file is damaged.
    """
    size = path.stat().st_size
    require_size(size, max_bytes, str(path))
    with open(path, "rb") as file:
        packed = file.peek(2)[:2] == GZIP_MAGIC
        stream = io.BufferedReader(_Expanded(file, size, max_bytes, path)) if packed else file
        encoding = "utf-16" if stream.peek(2)[:2] in _UTF_16_MARKS else "utf-8-sig"
        with io.TextIOWrapper(stream, encoding, newline="\n") as text:
            yield text


class _Expanded(io.RawIOBase):
    """What gzip expands to, counted while it is read."""

    def __init__(self, file: Any, size: int, max_bytes: int, path: Path) -> None:
        self._stream = gzip.GzipFile(fileobj=file)
        self._size, self._max_bytes, self._path = size, max_bytes, path
        self._found = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._stream.read1(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise FileFormatError(f"{self._path} is damaged or cut short: {error}") from error
        buffer[: len(content)] = content
        self._found += len(content)
        require_size(self._found, self._max_bytes, f"{self._path} (expanded)")
        if self._found > max(_SUSPECT_BYTES, MAX_ZIP_RATIO * self._size):
            raise UnsafeFileError(
                f"{self._path} expands from {human_bytes(self._size)} to more than {human_bytes(self._found)}, "
                f"more than {MAX_ZIP_RATIO}-fold: it looks made to exhaust memory"
            )
        return len(content)
