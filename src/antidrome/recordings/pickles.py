"""The little that suite2p keeps in pickles (``ops.npy``, ``settings.npy``), read without running anything.

A pickle is a program. This unpickler knows the few names that a dictionary of arrays, numbers and text needs, each
replaced by a function that can do nothing else, and refuses the file at the first other name.
"""

import io
import os
import pickle  # only the parser; every name that it may call is listed below
import pickletools
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.archives import read_npy_header
from antidrome.recordings.safety import require_file, require_size

MAX_PICKLE_BYTES = 2 * 2**30
"""Largest ``ops.npy`` that is read: it holds mean images, never the movie."""


def load_settings(path: str | os.PathLike[str], max_bytes: int = MAX_PICKLE_BYTES) -> dict[str, Any]:
    """Read a dictionary saved by ``numpy.save`` (a pickle in a 0-d object array).

    Parameters
    ----------
    path
        ``ops.npy``, ``settings.npy`` or ``db.npy`` of a suite2p folder.
    max_bytes
        Largest size of the file.

    Returns
    -------
    dict
        Arrays, numbers, text and containers of them. Dates and paths come out as ``None``.

    Raises
    ------
    UnsafeFileError
        If the file asks for any other kind of object.
    FileFormatError
        If it is damaged or not a dictionary.
    """
    path = require_file(path)
    require_size(path.stat().st_size, max_bytes, str(path))
    with open(path, "rb") as stream:
        try:
            shape, _, dtype = read_npy_header(stream, str(path))
            if not dtype.hasobject or shape != ():
                raise FileFormatError(f"{path} holds an array of {dtype} {shape}, expected one dictionary")
            program = stream.read()
            _require_modest_places(program, str(path))
            content = _plain(_Unpickler(io.BytesIO(program), str(path)).load())
        except (UnsafeFileError, FileFormatError):
            raise
        except _DAMAGE as error:
            raise FileFormatError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    content = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} holds a {type(content).__name__}, expected a dictionary of settings")
    return content


def _require_modest_places(program: bytes, where: str) -> None:
    """Refuse a pickle that keeps an object in a far place: memory is taken for every place before it.

    Raises
    ------
    UnsafeFileError
        If a place lies beyond the number of bytes of the file.
    """
    for operation, argument, _ in pickletools.genops(program):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= len(program):
            raise UnsafeFileError(f"{where} is damaged, or made to exhaust memory: it uses {argument} places")


_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    SyntaxError,
    UnicodeError,
    io.UnsupportedOperation,
)


class _Nothing:
    """Stands for a date or a path: takes anything, keeps nothing."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _DType:
    """Stands for ``numpy.dtype``: a plain type and its byte order, no fields and no offsets."""

    def __init__(self, name: Any, *flags: Any) -> None:
        if not isinstance(name, str):
            raise FileFormatError(f"a data type is damaged: {name!r}")
        self.value = np.dtype(name)
        if self.value.kind not in "biufcSUOMm":
            raise FileFormatError(f"a data type is {name!r}, expected numbers or text")

    def __setstate__(self, state: Any) -> None:
        if any(part is not None for part in state[2:5]):
            raise FileFormatError("an array has fields, expected numbers or text")
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands for ``numpy.ndarray`` while it is read: nothing is allocated beyond the bytes at hand."""

    value: Any = None

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.value.hasobject:
            self.value = np.empty(len(content), dtype=object)
            self.value[:] = content
        else:
            self.value = np.frombuffer(content, dtype=dtype.value)
        self.value = self.value.reshape(shape, order="F" if fortran else "C")


class _ArrayName:
    """Stands for the bare name ``numpy.ndarray``, which pickles mention but never need to call."""

    def __new__(cls, *arguments: Any) -> Any:
        raise FileFormatError("an array is made in an unusual way")


def _from_buffer(buffer: Any, dtype: _DType, shape: Any, order: str) -> Any:
    array = _Array()
    array.value = np.frombuffer(buffer, dtype=dtype.value).reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: _DType, content: Any = None) -> Any:
    if dtype.value.hasobject or not isinstance(content, bytes) or len(content) != dtype.value.itemsize:
        raise FileFormatError(f"a number of type {dtype.value} is damaged")
    return np.frombuffer(content, dtype=dtype.value)[0]


def _plain(value: Any, depth: int = 0) -> Any:
    """Replace the stand-ins by what they stand for."""
    if depth > 20:
        raise FileFormatError("the settings are nested too deeply")
    if isinstance(value, _Array):
        if isinstance(value.value, np.ndarray) and value.value.dtype.hasobject:
            plain = np.empty(value.value.shape, dtype=object)
            plain.ravel()[:] = [_plain(item, depth + 1) for item in value.value.ravel()]
            return plain
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, depth + 1) for item in value)
    return None if isinstance(value, (_Nothing, _DType)) else value


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise UnsafeFileError(f"the pickle asks for the encoding {encoding!r}, expected latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """The empty ``bytes``, which old pickles call for."""
    return b""


_NUMPY_NAMES = {"_reconstruct": _Array, "scalar": _scalar, "_frombuffer": _from_buffer}
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayName,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    ("builtins", "bytes"): _no_bytes,
    ("builtins", "complex"): complex,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "bytes"): _no_bytes,
    ("__builtin__", "complex"): complex,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    **{("datetime", name): _Nothing for name in ("datetime", "date", "time", "timedelta", "timezone")},
    **{
        (module, name): _Nothing
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
    **{
        (f"{package}.{module}", name): function
        for package in ("numpy.core", "numpy._core")
        for module in ("multiarray", "numeric")
        for name, function in _NUMPY_NAMES.items()
    },
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, where: str) -> None:
        super().__init__(stream)
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise UnsafeFileError(
                f"{self._where} asks for {module}.{name}; only arrays, numbers and text are read from a pickle: "
                "remove the file and pass frame_rate_hz instead"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafeFileError(f"{self._where} asks for an object outside the file; it is not read")
