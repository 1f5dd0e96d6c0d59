"""MATLAB files up to version 7.2, measured before ``scipy.io.loadmat`` sees them."""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.safety import human_bytes, require_size

_MATRIX, _COMPRESSED = 14, 15
_CONTAINERS, _HOLDERS = (1, 2, 3), (16, 17)
"""Classes of cells, structs and objects; and of functions and opaque objects, which hold one matrix."""
_NUMERIC, _SPARSE = (4, *range(6, 16)), 5
_NUMBER_TYPES = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18)
_COMPLEX = 0x0800
_FLAGS_TAG = (6, 8)
"""Of the first element of a matrix; SciPy takes it for granted."""
_LEAST_DIMENSIONS_BYTES = 8
"""Two dimensions, which everything in MATLAB has; SciPy dies (SIGSEGV) of texts with none."""
_HEAD_BYTES = 4096
_MAX_DEPTH = 50
_SUSPECT_BYTES = 64 * 2**20
_MAX_RATIO = 500
_STEP = 2**20


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
    except Exception as error:  # SciPy answers damage with errors of every kind, UnboundLocalError among them
        raise FileFormatError(f"{path} is not a MATLAB file, or is damaged: {error}") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def guard_mat5(path: Path, max_bytes: int) -> None:
    """Measure what a v5–v7.2 file would expand to and allocate; v4 files can do neither.

    Compressed variables are expanded without keeping what comes out. Cells and structs, for which memory is taken by
    their declared number of members, are walked through and must have that many. Numbers must be of a type that there
    is: SciPy's reader dies (SIGSEGV) of others.
    """
    with open(path, "rb") as stream:
        header = stream.read(128)
        if len(header) < 128 or header[126:128] not in (b"IM", b"MI"):
            return
        order = "<" if header[126:128] == b"IM" else ">"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            end = stream.tell() + size
            if kind == _COMPRESSED:
                head = _measure(stream, size, path, max_bytes)[8:]
            else:
                head = stream.read(min(size, _HEAD_BYTES)) if kind == _MATRIX else b""
            if kind in (_MATRIX, _COMPRESSED) and not _is_plain(head, order, str(path)):
                stream.seek(end - size)
                content = stream.read(size)
                if kind == _COMPRESSED:
                    content = zlib.decompress(content)[8:]
                _walk(memoryview(content), order, str(path), 0)
            stream.seek(end)


def _measure(stream: Any, size: int, path: Path, max_bytes: int) -> bytes:
    """Expand a compressed variable, counting; returns its first bytes."""
    expander = zlib.decompressobj()
    expanded, left, pending, head = 0, size, b"", b""
    while not expander.eof:
        if not pending:
            pending = stream.read(min(_STEP, left))
            left -= len(pending)
            if not pending:
                raise FileFormatError(f"{path} is cut short: a compressed variable ends too early")
        try:
            part = expander.decompress(pending, _STEP)
        except zlib.error as error:
            raise FileFormatError(f"{path} is damaged: {error}") from error
        head += part[: max(0, _HEAD_BYTES + 8 - len(head))]
        expanded += len(part)
        pending = expander.unconsumed_tail
        require_size(expanded, max_bytes, f"{path} (a compressed variable)")
        if expanded > _SUSPECT_BYTES and expanded > _MAX_RATIO * size:
            raise UnsafeFileError(
                f"{path}: a variable expands from {human_bytes(size)} to more than {human_bytes(expanded)}: "
                "it looks made to exhaust memory"
            )
    return head


def _class_of(content: Any, order: str) -> int:
    """MATLAB class of a matrix element, from the flags at its beginning; 0 if there are none."""
    return struct.unpack_from(f"{order}I", content, 8)[0] & 0xFF if len(content) >= 16 else 0


def _is_plain(head: bytes, order: str, where: str) -> bool:
    """Whether the beginning of a matrix tells all that must be known: real numbers or text, of a type that there is."""
    if _class_of(head, order) not in _NUMERIC or struct.unpack_from(f"{order}I", head, 8)[0] & _COMPLEX:
        return False
    if struct.unpack_from(f"{order}II", head) != _FLAGS_TAG:
        return False
    place = 0
    for number in range(4):  # flags, dimensions, name, numbers
        if place + 8 > len(head):
            return False
        kind, size, start, place = _tag(head, order, place)
        if start + size > place:
            return False
        if number == 1 and size < _LEAST_DIMENSIONS_BYTES:
            return False
        if number == 3:
            _require_numbers(kind, where)
    return True


def _require_numbers(kind: int, where: str) -> None:
    if kind not in _NUMBER_TYPES:
        raise FileFormatError(f"{where} is damaged: numbers of the unknown type {kind}")


def _walk(content: memoryview, order: str, where: str, depth: int) -> None:
    """Compare what a variable declares (members of cells and structs, numbers) with what is there, all the way down."""
    kind = _class_of(content, order)
    if len(content) >= 8 and struct.unpack_from(f"{order}II", content) != _FLAGS_TAG:
        raise FileFormatError(f"{where} is damaged: a variable does not begin with its flags")
    if depth > _MAX_DEPTH:
        raise FileFormatError(f"{where}: cells are nested more than {_MAX_DEPTH} deep")
    parts = list(_elements(content, order, where))
    dimensions = bytes(parts[1][1]) if len(parts) > 1 else b""
    if kind not in _HOLDERS and (len(dimensions) % 4 or len(dimensions) < _LEAST_DIMENSIONS_BYTES):
        raise FileFormatError(f"{where} is damaged: {len(dimensions)} bytes are not the dimensions of a variable")
    if kind in _CONTAINERS:
        _require_members(dimensions, len(content), order, where)
    elif len(parts) - 3 < _n_numbers(content, order, kind):
        raise FileFormatError(f"{where} is damaged: a variable lacks its numbers")
    for number, (element, part) in enumerate(parts):
        if element == _MATRIX and kind in (*_CONTAINERS, *_HOLDERS):
            _walk(part, order, where, depth + 1)
        elif number >= 3 and kind not in _CONTAINERS:
            _require_numbers(element, where)


def _require_members(dimensions: bytes, n_bytes: int, order: str, where: str) -> None:
    n_members = math.prod(max(int(length), 0) for length in np.frombuffer(dimensions, dtype=f"{order}i4"))
    if n_members > n_bytes:
        raise FileFormatError(f"{where} is damaged: {n_members} members declared in {human_bytes(n_bytes)}")


def _n_numbers(content: memoryview, order: str, kind: int) -> int:
    """Elements of numbers that a variable must have: real and imaginary parts, after the places of sparse ones."""
    if kind not in (_SPARSE, *_NUMERIC):
        return 0
    is_complex = bool(struct.unpack_from(f"{order}I", content, 8)[0] & _COMPLEX)
    return (3 if kind == _SPARSE else 1) + is_complex


def _elements(content: memoryview, order: str, where: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of the elements inside a matrix; short ones have their content in the tag."""
    place = 0
    while place + 8 <= len(content):
        kind, size, start, place = _tag(content, order, place)
        if start + size > min(place, len(content)):
            raise FileFormatError(f"{where} is damaged: an element of {human_bytes(size)} does not fit its variable")
        yield kind, content[start : start + size]


def _tag(content: Any, order: str, place: int) -> tuple[int, int, int, int]:
    """Type, size and place of the element at `place`, and where the next one begins; of a short one (at most 4 bytes,
    if the file is sound) the content stands in the tag."""
    kind, size = struct.unpack_from(f"{order}II", content, place)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, place + 4, place + 8
    return kind, size, place + 8, place + 8 + size + (-size) % 8
