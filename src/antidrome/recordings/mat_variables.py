"""The variables of a MATLAB file as arrays by name, and what is said of those that are none."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from antidrome.errors import InputError
from antidrome.recordings.choice import OWN_NAMES, choose_series, is_auxiliary, times_sign

_MAX_DEPTH = 8
"""Structs within structs that are looked into."""


def plain_arrays(content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Numbers and texts of a MATLAB file by name, vectors (1 × n, n × 1) as one dimension.

    Fields of a struct are called "struct/field", as in MATLAB 7.3 files. A cell array of texts is an array of texts.
    """
    arrays = {}
    for name, value in _members(content):
        texts = _cell_texts(value)
        if texts is not None:
            arrays[name] = texts
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iufUS":
            arrays[name] = value.ravel() if value.ndim == 2 and 1 in value.shape else value
    return arrays


def choose_matrix(shapes: Mapping[str, Sequence[int]], where: str) -> str:
    """Name of the array to read, where none was asked for; structs are looked into if no matrix is outside them.

    Raises
    ------
    InputError, FileFormatError
        As :func:`antidrome.recordings.choice.choose_series`; or if there are vectors outside, one of which may be a
        single neuron, and matrices in structs.
    """
    outside = {name: shape for name, shape in shapes.items() if "/" not in name}
    numbers = {name: shape for name, shape in shapes.items() if math.prod(shape) > 1}
    matrices = [name for name, shape in numbers.items() if len(shape) == 2]
    if any(name in outside for name in matrices) or any(name in numbers for name in OWN_NAMES):
        return choose_series(outside, None, where)
    vectors = [name for name in numbers if name in outside and not is_auxiliary(name)]
    if vectors and matrices:
        raise InputError(
            f"{where} has the vector {vectors[0]!r} and, in a struct, the matrix {matrices[0]!r}: choose one with"
            " series= (--series NAME)"
        )
    return choose_series(shapes, None, where)


def containers(content: Mapping[str, Any]) -> dict[str, str]:
    """What is said of cell arrays, arrays of structs and sparse matrices, by name: what they are, what to do."""
    found = {}
    for name, value in _members(content):
        matlab_name = name.replace("/", ".")
        if _cell_texts(value) is not None:
            continue
        if scipy.sparse.issparse(value):
            found[name] = advice(name, f"a sparse matrix of {times_sign(value.shape)}", f"full({matlab_name})")
        elif _is_cell(value):
            what = f"a cell array of {times_sign(value.shape)}{_holding(value)}"
            found[name] = advice(name, what, f"{matlab_name}{{1}}")
        elif _is_struct(value) and value.size and value.dtype.names:
            what = f"an array of {times_sign(value.shape)} structs"
            found[name] = advice(name, what, f"{matlab_name}(1).{value.dtype.names[0]}")
    return found


def _members(content: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Variables by name; single structs are replaced by their fields, all the way down."""
    for name, value in content.items():
        if _is_struct(value) and value.size == 1 and depth < _MAX_DEPTH:
            record = value.ravel()[0]
            fields = {f"{name}/{field}": record[field] for field in value.dtype.names}
            yield from _members(fields, depth + 1)
        else:
            yield name, value


def _is_struct(value: Any) -> bool:
    """Whether SciPy gives a struct so; objects and functions have types of their own."""
    return type(value) is np.ndarray and value.dtype.names is not None


def _is_cell(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype.kind == "O"


def _cell_texts(value: Any) -> np.ndarray | None:
    """The texts of a row or column of cells, or None if it is none."""
    if not _is_cell(value) or not value.size or value.size != max(value.shape):
        return None
    members = value.ravel().tolist()
    if not all(isinstance(member, np.ndarray) and member.dtype.kind == "U" and member.size <= 1 for member in members):
        return None
    return np.array([str(member.item()) if member.size else "" for member in members])


def _holding(cell: np.ndarray) -> str:
    matrices = [member for member in cell.ravel() if isinstance(member, np.ndarray) and member.dtype.kind in "iuf"]
    if not matrices:
        return ""
    first = times_sign(matrices[0].shape)
    return (
        f" that holds numbers ({first})" if len(matrices) == 1 else f" that holds {len(matrices)} arrays, first {first}"
    )


def advice(name: str, what: str, expression: str) -> str:
    """That a variable is no matrix, and how MATLAB saves the one in it."""
    return f"{name!r} is {what}: save the matrix by itself (in MATLAB: x = {expression}; save('x.mat', 'x'))"
