"""Recordings in text tables (``.csv``, ``.tsv``, ``.txt``, packed by gzip or not), with or without header and times."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import AntidromeError, FileFormatError, InputError
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.axes import Orientation, choose_orientation
from antidrome.recordings.choice import settle_frame_rate
from antidrome.recordings.csv_cells import clock_column, drop_comments, numbers
from antidrome.recordings.csv_columns import split_columns
from antidrome.recordings.csv_dialect import NO_NUMBERS, Dialect, find_dialect
from antidrome.recordings.csv_text import open_text
from antidrome.recordings.csv_turned import neurons_in_rows
from antidrome.recordings.options import KEEP_ALL, ReadOptions
from antidrome.recordings.recording import from_array

MAX_CSV_BYTES = 4 * 2**30
"""Largest text table that is read, and largest size that gzip may expand to; larger ones belong in a binary format."""

_EXACT: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


@dataclass(frozen=True)
class _Table:
    """A text table: header or None, values (rows, columns), what a second line says of the columns but the first."""

    header: list[str] | None
    values: np.ndarray
    status: list[str] | None
    notes: list[str]


def read_csv(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a text table.

    Encoding (UTF-8, UTF-16), delimiter (comma, semicolon, tab, blank), decimal comma (with semicolons and tabs) and
    header are told from the first lines; lines that begin with # are left out, unless the last of them is a header. A
    column headed "time" (or "time_ms", "Zeit (s)", …), or of dates (ISO 8601) or clock times, gives the times. A first
    column that rises at every step is no neuron: it is time if its name says so or ends in a unit of time, or if it has
    no name and rises in even steps; one without a name whose times repeat is left out where ``frame_rate_hz`` is given.
    The same holds for a first row where there is no header and rows are neurons.
    Columns that only count the rows are left out; so are, of the measures that Fiji gives of every region, all but the
    mean. Times that are even but for their rounding are taken as even. Named columns are neurons; without names, or
    with the names 0, 1, 2, …, the longer axis is time unless ``orientation`` says otherwise. Rows are neurons where the
    first column is called so ("neuron", "roi", "cell_id", …) and the other headings are even times in seconds or count
    the frames; also under an empty heading or "id", where there are more of such times than rows. Empty cells, "nan"
    and errors of Excel ("#DIV/0!") are missing samples. A second line of "accepted", "rejected" and "undecided", as
    Inscopix writes it, tells which neurons are accepted.

    Raises
    ------
    FileFormatError
        If a cell is not a number; the message names the row and column.
    InputError
        If a first column or row may be the time, but not surely; or ``orientation`` says that named columns are frames;
        or there is no frame rate; or no neuron is accepted; or the table has one row for each neuron and frame.
    UnsafeFileError
        If the file is larger than the cap.
    """
    table = _load(path, options.max_memory_bytes)
    notes = list(table.notes)
    time, values, labels, orientation = _axes(table, options, notes, path.name)
    if time is None and options.frame_rate_hz is None:
        raise InputError(_no_rate(path, table.header))
    rate = settle_frame_rate(options.frame_rate_hz, None, time, str(path), notes)
    coords: dict[str, np.ndarray] = {}
    if table.status is not None:
        labels = labels or [str(i) for i in range(values.shape[1])]
        accepted = _accepted(table, labels, notes)
        kept = _kept(accepted, options, path, notes)
        values, labels, coords = values[:, kept], [labels[i] for i in kept], {"accepted": accepted[kept]}
    return from_array(
        values,
        rate,
        neuron=labels,
        time=time,
        quantity=options.quantity or "unknown",
        orientation=orientation,
        coords=coords,
        attrs=options.provenance(path, "csv"),
        notes=notes,
    )


def _axes(
    table: _Table, options: ReadOptions, notes: list[str], name: str
) -> tuple[np.ndarray | None, np.ndarray, list[str] | None, Orientation]:
    """Times (s) or None, the traces, labels of neurons or None, and which axis of the traces is which."""
    asked = options.orientation
    turned = neurons_in_rows(table.header, table.values, notes, asked) if table.status is None else None
    if turned is not None:
        return *turned, "time,neuron"
    is_timed = options.frame_rate_hz is not None
    time, values, labels = split_columns(table.header, table.values, notes, is_timed=is_timed, orientation=asked)
    columns_are_neurons = labels is not None or (time is not None and table.header is not None)
    if asked == "neuron,time" and columns_are_neurons:
        raise InputError(
            f"{name} names its columns ({listing(table.header, 3)}), and orientation='neuron,time' says that they are "
            "frames: pass no orientation if each column is a neuron, or remove the first line if each is a frame"
        )
    if asked is None and columns_are_neurons:
        return time, values, labels, "time,neuron"
    return time, values, labels, choose_orientation(values.shape, asked, notes if time is None else [], name)


def load_table(path: Path, max_bytes: int = MAX_CSV_BYTES) -> tuple[list[str] | None, np.ndarray]:
    """Header (None where there is none) and values (rows, columns) of a text table; NaN where a cell is empty.

    Raises
    ------
    FileFormatError
        If it is no table of numbers; the message names line and column.
    UnsafeFileError
        If it is larger than the cap.
    """
    table = _load(path, max_bytes)
    return table.header, table.values


def _load(path: Path, max_bytes: int) -> _Table:
    max_bytes = min(MAX_CSV_BYTES, max_bytes)
    dialect = find_dialect(path, max_bytes)
    frame = _frame(path, dialect, max_bytes)
    header, notes = dialect.header, []
    if dialect.untold is not None:
        notes.append(
            f"the first line, {dialect.untold!r}, is taken as a frame: if these whole numbers above decimals name the"
            " columns, write a letter before each"
        )
    if _ends_open(frame, dialect):
        notes.append("the last column is empty, since all rows end with a delimiter, and is left out")
        frame = frame.iloc[:, :-1]
        header = header and header[: frame.shape[1]]
    if header is not None and len(header) != frame.shape[1]:
        raise FileFormatError(
            f"{path} has {len(header)} names in its header and {frame.shape[1]} columns below it: remove lines above "
            "the header, and name every column"
        )
    if frame.shape[1] == 0:
        raise FileFormatError(f"{path} has no columns")
    rows = drop_comments(frame)
    n_comments = dialect.n_comments + len(frame) - len(rows)
    if n_comments:
        notes.append(f"{n_comments} lines that begin with # are left out")
    clock = clock_column(rows, dialect, path)
    columns = [] if clock is None else [clock]
    columns += [numbers(rows, place, dialect, path) for place in range(len(columns), rows.shape[1])]
    if clock is not None:
        notes.append("the first column holds dates or clock times and is taken as time")
        header = ["time", *(header[1:] if header else map(str, range(rows.shape[1] - 1)))]
    return _Table(header, np.stack(columns, axis=1), dialect.status, notes)


def _ends_open(frame: pd.DataFrame, dialect: Dialect) -> bool:
    """Whether the last column stands for nothing: no cell of it holds anything, and nothing names it."""
    named = dialect.header is not None and len(dialect.header) == frame.shape[1] and dialect.header[-1] != ""
    return dialect.ends_open and not named and frame.shape[1] > 1 and bool(frame.iloc[:, -1].isna().all())


def _frame(path: Path, dialect: Dialect, max_bytes: int) -> pd.DataFrame:
    """All rows; of a single column, a blank line between others is an empty cell and separates nothing."""
    frame = _rows(path, dialect, max_bytes)
    if frame.shape[1] > 1:
        return frame
    with open_text(path, max_bytes) as text:
        lines = pd.Series(text.read().splitlines()[dialect.n_skipped :], dtype=str).str.strip()
    filled = np.flatnonzero(lines != "")
    if dialect.header is not None:
        filled -= filled[0]  # blank lines below the header
    if len(filled) != len(frame) or len(set(np.diff(filled).tolist())) < 2:  # every second line, as of line ends
        return frame
    return frame.set_axis(filled).reindex(range(filled[-1] + 1))


def _rows(path: Path, dialect: Dialect, max_bytes: int) -> pd.DataFrame:
    try:
        with open_text(path, max_bytes) as text:
            return pd.read_csv(
                text,
                sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
                header=None,
                skiprows=dialect.n_skipped,
                decimal=dialect.decimal,
                na_values=list(NO_NUMBERS),
                skipinitialspace=True,
                low_memory=False,
                **_EXACT,
            )
    except AntidromeError:
        raise
    except pd.errors.EmptyDataError:
        raise FileFormatError(f"{path} has a header but no rows") from None
    except (pd.errors.ParserError, UnicodeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{path} is not a table of equal rows: {error}") from error


def _accepted(table: _Table, labels: Sequence[str], notes: list[str]) -> np.ndarray:
    """Which neurons are accepted; those not decided on count where not one is accepted."""
    status = dict(zip((table.header or [])[1:], table.status or [], strict=True))
    accepted = np.array([status[label] == "accepted" for label in labels])
    undecided = np.array([status[label] == "undecided" for label in labels])
    if accepted.any() or not undecided.any():
        return accepted
    notes.append(f"no neuron is accepted yet: the {int(undecided.sum())} undecided ones are taken as accepted")
    return undecided


def _kept(accepted: np.ndarray, options: ReadOptions, path: Path, notes: list[str]) -> np.ndarray:
    """Places of the neurons to read."""
    if not options.accepted_only:
        return np.arange(accepted.size)
    kept = np.flatnonzero(accepted)
    if kept.size == 0:
        raise InputError(f"{path} accepts none of {counted(accepted.size, 'neuron')}: {KEEP_ALL}")
    if kept.size < accepted.size:
        notes.append(
            f"{counted(accepted.size - kept.size, 'neuron', 'is', of=accepted.size)} not accepted and left out"
        )
    return kept


def _no_rate(path: Path, header: list[str] | None) -> str:
    names = ", ".join(repr(name) for name in (header or [])[:8])
    more = f" and {len(header) - 8} more" if header and len(header) > 8 else ""
    seen = f"its headings are {names}{more}" if header else "it has no headings"
    return (
        f"{path} has neither times nor a frame rate ({seen}): call the column of times 'time' (s) or 'time_ms', "
        "or pass frame_rate_hz (frames per second)"
    )
