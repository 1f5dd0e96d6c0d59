"""Recordings in text tables (``.csv``, ``.tsv``, ``.txt``), with or without a header and a time column."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings.axes import choose_orientation
from antidrome.recordings.choice import settle_frame_rate
from antidrome.recordings.csv_columns import split_columns
from antidrome.recordings.csv_dialect import MISSING, find_dialect
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import require_size

MAX_CSV_BYTES = 4 * 2**30
"""Largest text table that is read; larger recordings belong in a binary format."""

_EXACT: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


@dataclass(frozen=True)
class _Table:
    """A text table: header or None, values (rows, columns)."""

    header: list[str] | None
    values: np.ndarray


def read_csv(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a text table.

    Delimiter (comma, semicolon, tab, blank), decimal comma (with semicolons) and header are told from the first
    lines. A column headed "time" (or "time_ms") gives the times; else a first column without a name that rises in even
    steps does. Columns that only count the rows ("frame", "index", or a first one without a name) are left out. Named
    columns are neurons; without names, or with the names 0, 1, 2, …, the longer axis is time unless ``orientation``
    says otherwise. Empty cells and "nan" are missing samples.

    Raises
    ------
    FileFormatError
        If a cell is not a number; the message names the row and column.
    InputError
        If a first column without a name may be the time, but not surely.
    UnsafeFileError
        If the file is larger than the cap.
    """
    require_size(path.stat().st_size, min(MAX_CSV_BYTES, options.max_bytes), str(path))
    notes: list[str] = []
    table = _load(path)
    time, values, labels = split_columns(table.header, table.values, notes)
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
    dialect = find_dialect(path)
    header = dialect.header
    try:
        frame = pd.read_csv(
            path,
            sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
            header=None,
            skiprows=0 if header is None else 1,
            decimal=dialect.decimal,
            encoding="utf-8-sig",
            na_values=list(MISSING[:6]),
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
