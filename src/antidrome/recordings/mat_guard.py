"""MATLAB files up to version 7.2, measured before ``scipy.io.loadmat`` sees them."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.safety import human_bytes, require_size

_COMPRESSED = 15
_SUSPECT_BYTES = 64 * 2**20
_MAX_RATIO = 500
_STEP = 2**20
_BROKEN = (
    MatReadError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    NotImplementedError,
    OSError,
    EOFError,
    zlib.error,
    MemoryError,
    OverflowError,
    struct.error,
    AttributeError,
    UnicodeDecodeError,
)


def load_mat(path: Path, max_bytes: int, names: list[str] | None = None) -> dict[str, Any]:
    """Read the variables of a MATLAB file (v4 to v7.2); structs come as NumPy records, nothing is executed.

    Raises
    ------
    UnsafeFileError
        If a compressed variable expands beyond the cap or suspiciously.
    FileFormatError
        If it is damaged or no such file.
    """
    require_size(path.stat().st_size, max_bytes, str(path))
    guard_mat5(path, max_bytes)
    try:
        content = scipy.io.loadmat(str(path), variable_names=names, appendmat=False)
    except _BROKEN as error:
        raise FileFormatError(f"{path} is not a MATLAB file, or is damaged: {error}") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def guard_mat5(path: Path, max_bytes: int) -> None:
    """Measure the compressed variables of a v5–v7.2 file without keeping what comes out; v4 files have none."""
    with open(path, "rb") as stream:
        header = stream.read(128)
        if len(header) < 128 or header[126:128] not in (b"IM", b"MI"):
            return
        order = "<" if header[126:128] == b"IM" else ">"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind != _COMPRESSED:
                stream.seek(size, 1)
                continue
            end = stream.tell() + size
            _measure(stream, size, path, max_bytes)
            stream.seek(end)


def _measure(stream: Any, size: int, path: Path, max_bytes: int) -> None:
    expander = zlib.decompressobj()
    expanded, left, pending = 0, size, b""
    while not expander.eof:
        if not pending:
            pending = stream.read(min(_STEP, left))
            left -= len(pending)
            if not pending:
                raise FileFormatError(f"{path} is cut short: a compressed variable ends too early")
        try:
            expanded += len(expander.decompress(pending, _STEP))
        except zlib.error as error:
            raise FileFormatError(f"{path} is damaged: {error}") from error
        pending = expander.unconsumed_tail
        require_size(expanded, max_bytes, f"{path} (a compressed variable)")
        if expanded > _SUSPECT_BYTES and expanded > _MAX_RATIO * size:
            raise UnsafeFileError(
                f"{path}: a variable expands from {human_bytes(size)} to more than {human_bytes(expanded)}: "
                "it looks made to exhaust memory"
            )


def plain_arrays(content: dict[str, Any]) -> dict[str, np.ndarray]:
    """The numeric variables of a MATLAB file, vectors (1 × n, n × 1) as one dimension."""
    arrays = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "iufUS":
            arrays[name] = value.ravel() if value.ndim == 2 and 1 in value.shape else value
    return arrays
