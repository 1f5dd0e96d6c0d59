"""Recordings in text tables (``.csv``, ``.tsv``, ``.txt``), with or without a header and a time column."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings.axes import choose_orientation
from antidrome.recordings.choice import settle_frame_rate
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import require_size

MAX_CSV_BYTES = 4 * 2**30
"""Largest text table that is read; larger recordings belong in a binary format."""

_MAX_LINE_BYTES = 64 * 2**20
_TIME_HEADER = re.compile(
    r"^\s*(time|times|t|timestamps?|seconds|frame_times?)\s*[_\s(\[]*(s|sec|seconds|ms)?[)\]]*\s*$", re.I
)
_COUNTER_HEADER = re.compile(r"^\s*(|unnamed.*|index|frames?|frame_(number|index)|sample)\s*$", re.I)
_EXACT: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}
_MISSING = ("", "nan", "na", "n/a", "null", "none", "inf", "-inf")


@dataclass(frozen=True)
class _Table:
    """A text table: header or None, values (rows, columns)."""

    header: list[str] | None
    values: np.ndarray


@dataclass(frozen=True)
class _Dialect:
    """How a table is written: what stands between cells, the decimal mark, the header or None."""

    delimiter: str
    decimal: str
    header: list[str] | None


def read_csv(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a text table.

    Delimiter (comma, semicolon, tab, blank), decimal comma (with semicolons) and header are told from the first
    lines. A column headed "time" (or "time_ms") gives the times; without a header, a first column that rises in even
    steps does. With a header the columns are neurons; without, the longer axis is time unless ``orientation`` says
    otherwise. Empty cells and "nan" are missing samples.

    Raises
    ------
    FileFormatError
        If a cell is not a number; the message names the row and column.
    UnsafeFileError
        If the file is larger than the cap.
    """
    require_size(path.stat().st_size, min(MAX_CSV_BYTES, options.max_bytes), str(path))
    notes: list[str] = []
    table = _load(path)
    labels = table.header
    time, values, labels = _split_time(table, labels, notes)
    if options.orientation is None and (time is not None or labels is not None):
        orientation = "time,neuron"
    else:
        orientation = choose_orientation(values.shape, options.orientation, notes, path.name)
    rate = settle_frame_rate(options.frame_rate_hz, None, time, str(path), notes)
    return from_array(
        values,
        rate,
        neuron=labels,
        time=time,
        quantity=options.quantity or "unknown",
        orientation=orientation,
        attrs=options.provenance(path, "csv"),
        notes=notes,
    )


def load_table(path: Path, max_bytes: int = MAX_CSV_BYTES) -> tuple[list[str] | None, np.ndarray]:
    """Header (None where there is none) and values (rows, columns) of a text table; NaN where a cell is empty.

    Raises
    ------
    FileFormatError
        If it is no table of numbers; the message names line and column.
    UnsafeFileError
        If it is larger than the cap.
    """
    require_size(path.stat().st_size, min(MAX_CSV_BYTES, max_bytes), str(path))
    table = _load(path)
    return table.header, table.values


def _load(path: Path) -> _Table:
    dialect = _dialect(path)
    header = dialect.header
    try:
        frame = pd.read_csv(
            path,
            sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
            header=None,
            skiprows=0 if header is None else 1,
            decimal=dialect.decimal,
            encoding="utf-8-sig",
            na_values=list(_MISSING[:6]),
            skipinitialspace=True,
            low_memory=False,
            **_EXACT,
        )
    except pd.errors.EmptyDataError:
        raise FileFormatError(f"{path} has a header but no rows") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{path} is not a table of equal rows: {error}") from error
    if header is not None and len(header) != frame.shape[1]:
        raise FileFormatError(f"{path} has {len(header)} names in its header and {frame.shape[1]} columns below it")
    return _Table(header, _numbers(frame, header, dialect.decimal, path))


def _dialect(path: Path) -> _Dialect:
    """How the table is written, from its first two lines."""
    first, second = _first_lines(path)
    delimiter = _delimiter(first)
    decimal = "," if delimiter == ";" and "," in first + second and "." not in second else "."
    cells = _cells(first, delimiter)
    header = None if all(_is_number(cell, decimal) for cell in cells) else [cell.strip() for cell in cells]
    return _Dialect(delimiter, decimal, header)


def _first_lines(path: Path) -> tuple[str, str]:
    """The first two lines, if the file is text with lines of a sensible length."""
    with open(path, "rb") as stream:
        raw = stream.readline(_MAX_LINE_BYTES + 1)
        second = stream.readline(_MAX_LINE_BYTES + 1)
    if max(len(raw), len(second)) > _MAX_LINE_BYTES:
        raise FileFormatError(f"{path} has a line of more than {_MAX_LINE_BYTES} bytes, expected one row a frame")
    if b"\0" in raw + second:
        raise FileFormatError(f"{path} is not text (it holds zero bytes): save it as UTF-8 text")
    if b"\r" in raw.rstrip(b"\r\n"):
        raise FileFormatError(
            f"{path} ends its lines with carriage returns alone, as old Macintosh programs do: save it with line feeds"
        )
    try:
        lines = raw.decode("utf-8-sig"), second.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not UTF-8 text, save it so: {error}") from error
    if not lines[0].strip():
        raise FileFormatError(f"{path} is empty, or its first line is")
    return lines


def _numbers(frame: pd.DataFrame, header: list[str] | None, decimal: str, path: Path) -> np.ndarray:
    if frame.shape[1] == 0:
        raise FileFormatError(f"{path} has no columns")
    columns = []
    for position, column in enumerate(frame.columns):
        numbers: Any = pd.to_numeric(frame[column], errors="coerce")
        if decimal != "." and numbers.isna().any():  # a column with a word in it is text to pandas, with its commas
            numbers = pd.to_numeric(frame[column].astype(str).str.replace(decimal, "."), errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & frame[column].notna())
        if wrong.size:
            name = header[position] if header else str(position)
            line = int(wrong[0]) + 1 + (header is not None)
            cell = str(frame[column].iloc[wrong[0]])[:40]
            raise FileFormatError(f"{path}, line {line}, column {name!r}: {cell!r} is not a number")
        columns.append(numbers.to_numpy(dtype=np.float64))
    return np.stack(columns, axis=1)


def _split_time(
    table: _Table, labels: list[str] | None, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray, list[str] | None]:
    """Times (s) or None, values without time and counter columns, labels of the columns left."""
    values = table.values
    if labels is None:
        if _looks_like_time(values):
            notes.append("the first column rises in even steps and is taken as time in seconds")
            return values[:, 0], values[:, 1:], None
        return None, values, None
    time = None
    kept = list(range(len(labels)))
    if _COUNTER_HEADER.match(labels[0]) and len(labels) > 1 and _counts(values[:, 0]):
        notes.append(f"column {labels[0]!r} counts the rows and is left out")
        kept.remove(0)
    timed = [i for i in kept if _TIME_HEADER.match(labels[i])]
    if timed and len(kept) > 1:
        time = values[:, timed[0]] * (1e-3 if "ms" in labels[timed[0]].lower() else 1.0)
        kept.remove(timed[0])
    return time, values[:, kept], [labels[i] for i in kept]


def _looks_like_time(values: np.ndarray) -> bool:
    if values.shape[0] < 8 or values.shape[1] < 2 or values.shape[1] > values.shape[0]:
        return False
    steps = np.diff(values[:, 0])
    median = np.median(steps)
    return bool(np.isfinite(steps).all() and median > 0 and np.abs(steps - median).max() < 0.1 * median)


def _counts(column: np.ndarray) -> bool:
    return bool((np.diff(column) == 1).all() and column[0] in (0, 1))


def _delimiter(line: str) -> str:
    for delimiter in ("\t", ";", ","):
        if delimiter in line:
            return delimiter
    return " " if len(line.split()) > 1 and all(_is_number(cell, ".") for cell in line.split()) else ","


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise FileFormatError(f"the first line is not a row of cells: {error}") from error


def _is_number(cell: str, decimal: str) -> bool:
    text = cell.strip().strip('"').lower()
    if text in _MISSING:
        return True
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return True
