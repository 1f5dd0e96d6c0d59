"""``.npy`` and ``.npz`` files: never a pickle, and never more data than the header, the file and the cap agree on."""

import ast
import os
import re
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.safety import DEFAULT_MAX_BYTES, human_bytes, require_file, require_size

MAX_ZIP_RATIO = 200
"""Largest compression of one member above 64 MiB; real traces shrink less than tenfold."""

_SUSPECT_BYTES = 64 * 2**20
_MAX_HEADER_BYTES = 64 * 2**10


def read_npy_header(stream: Any, where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type of the ``.npy`` array that ``stream`` (binary) is at the beginning of.

    The format is that of NumPy's NEP 1: magic, version, length, then a literal dictionary.
    """
    magic = stream.read(8)
    if len(magic) < 8 or not magic.startswith(b"\x93NUMPY") or magic[6] not in (1, 2, 3):
        raise FileFormatError(f"{where} is not a NumPy file, or its beginning is damaged")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_HEADER_BYTES:
        raise FileFormatError(f"{where} is damaged: its header claims {length} bytes")
    raw = stream.read(length)
    try:
        text = re.sub(r"(?<=\d)L\b", "", raw.decode("utf-8" if magic[6] == 3 else "latin1"))
        header = ast.literal_eval(text.strip())
        shape, fortran, descr = header["shape"], header["fortran_order"], header["descr"]
        dtype = np.lib.format.descr_to_dtype(descr)
    except (ValueError, TypeError, KeyError, IndexError, SyntaxError, RecursionError, MemoryError) as error:
        raise FileFormatError(f"{where} is damaged: its header cannot be read ({type(error).__name__})") from error
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if len(raw) != length or not whole or not isinstance(fortran, bool):
        raise FileFormatError(f"{where} is damaged: its header gives the shape {shape!r}")
    return shape, fortran, dtype


def load_npy(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> np.ndarray:
    """Map a ``.npy`` file into memory; what is used of it is read when used.

    Raises
    ------
    UnsafeFileError
        If it holds Python objects or is larger than the cap; without one, any size is mapped.
    FileFormatError
        If it is damaged or cut short.
    """
    path = require_file(path)
    with open(path, "rb") as stream:
        shape, fortran, dtype = read_npy_header(stream, str(path))
        offset = stream.tell()
    _require_numbers(dtype, str(path))
    declared = prod(shape) * dtype.itemsize
    if max_bytes is not None:
        require_size(declared, max_bytes, str(path))
    found = path.stat().st_size - offset
    if found < declared:
        raise FileFormatError(
            f"{path} is cut short: the header promises {dtype} {shape} = {human_bytes(declared)}, "
            f"{human_bytes(found)} are there"
        )
    try:
        if declared == 0 or shape == ():  # nothing to map
            return np.fromfile(path, dtype, prod(shape), offset=offset).reshape(shape)
        return np.memmap(path, dtype=dtype, mode="r", shape=shape, offset=offset, order="F" if fortran else "C")
    except (ValueError, OverflowError, TypeError) as error:
        raise FileFormatError(f"{path} is damaged: its header gives {dtype} of shape {shape!r}") from error


def load_npz(
    path: str | os.PathLike[str], *, only: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz`` file by name; of one that holds `only`, this one.

    Every member's declared size, its compression and the size in its own header are compared before it is read.

    Raises
    ------
    UnsafeFileError
        If a member holds Python objects, is larger than the cap, or expands suspiciously.
    FileFormatError
        If the archive or a member is damaged.
    """
    path = require_file(path)
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if not members:
                raise FileFormatError(f"{path} {_other_archive(archive.namelist())}")
            members = [info for info in members if info.filename == f"{only}.npy"] or members
            require_size(sum(info.file_size for info in members), max_bytes, f"{path} (all arrays)")
            for info in members:
                arrays[info.filename.removesuffix(".npy")] = _load_member(archive, info, path)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        UnicodeError,
        NotImplementedError,  # zipfile's word for a compression that it does not know
        RuntimeError,
    ) as error:
        raise FileFormatError(f"{path} is damaged or cut short: {error}") from error
    return arrays


def _other_archive(names: list[str]) -> str:
    """What is said of a zip archive without NumPy arrays."""
    if any(name.startswith("xl/") for name in names):
        return "is an Excel workbook: save the sheet with the traces as CSV"
    if any(name.endswith(("zarr.json", ".zarray")) for name in names):
        return "is a Zarr store in a zip archive: unpack it"
    return "holds no NumPy array"


def _load_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    where = f"{path}: {info.filename}"
    if info.file_size > _SUSPECT_BYTES and info.file_size > MAX_ZIP_RATIO * max(info.compress_size, 1):
        raise UnsafeFileError(
            f"{where} expands from {human_bytes(info.compress_size)} to {human_bytes(info.file_size)}, "
            f"more than {MAX_ZIP_RATIO}-fold: it looks made to exhaust memory"
        )
    with archive.open(info) as stream:
        shape, fortran, dtype = read_npy_header(stream, where)
        _require_numbers(dtype, where)
        declared = prod(shape) * dtype.itemsize
        if declared > info.file_size:
            raise FileFormatError(
                f"{where} is damaged: its header promises {human_bytes(declared)}, more than it holds"
            )
        content = stream.read(declared)
    if len(content) != declared:
        raise FileFormatError(f"{where} is cut short: {len(content)} of {declared} bytes")
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _require_numbers(dtype: np.dtype[Any], where: str) -> None:
    if dtype.hasobject:
        raise UnsafeFileError(
            f"{where} holds Python objects (a pickle), which can run code when read: save plain numeric arrays"
        )
