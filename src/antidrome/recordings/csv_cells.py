"""The cells of a text table as numbers, dates and clock times, and what is said of a cell that is none of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from antidrome.errors import FileFormatError
from antidrome.recordings.csv_dialect import CLOCK, DATE, THOUSANDS, Dialect, parts_thousands

_GROUPED = {
    "points": re.compile(r"[-+]?\d{1,3}(\.\d{3})+,\d*|[-+]?\d{1,3}(\.\d{3}){2,}"),
    "commas": re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?"),
}


def drop_comments(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that do not begin with #."""
    if frame.shape[1] == 0 or pd.api.types.is_numeric_dtype(frame[0]):
        return frame
    return frame[~frame[0].astype(str).str.startswith("#")]


def clock_column(frame: pd.DataFrame, dialect: Dialect, path: Path) -> np.ndarray | None:
    """Seconds of a first column of dates (since the first of them) or of clock times; None if it is neither."""
    cells = frame[0].dropna()
    if cells.empty or pd.api.types.is_numeric_dtype(cells) or not CLOCK.fullmatch(str(cells.iloc[0]).strip()):
        return None
    texts = frame[0].str.strip().str.replace(",", ".")
    times: Any
    if re.match(r"\d{4}-", str(cells.iloc[0]).strip()):
        times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        times = times - times.dropna().iloc[0] if times.notna().any() else times
    else:
        times = pd.to_timedelta(texts, errors="coerce")
    _require_none(frame, 0, times.isna() & frame[0].notna(), dialect, path, "is no date or time of day like the first")
    return (times / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)


def numbers(frame: pd.DataFrame, place: int, dialect: Dialect, path: Path) -> np.ndarray:
    """The numbers of a column; NaN where a cell is empty.

    Raises
    ------
    FileFormatError
        If a cell is not a number, or points may part its thousands; the message names line and column.
    """
    column = frame[place]
    if dialect.decimal == ",":
        _require_no_thousands(frame, place, dialect, path)
    found: Any = pd.to_numeric(column, errors="coerce")
    if dialect.decimal != "." and found.isna().any():  # a column with a word in it is text to pandas, with its commas
        found = pd.to_numeric(column.astype(str).str.replace(dialect.decimal, "."), errors="coerce")
    wrong = found.isna() & column.notna()
    if wrong.any():
        is_date = bool(DATE.match(str(column.loc[wrong].iloc[0])))
        if not is_date:
            _require_no_groups(frame, dialect, path)
        said = "is not a number"
        if frame.shape[1] == 1:
            said += ": cells are parted by commas, semicolons, tabs or blanks"
        elif is_date:
            said += ": dates and clock times are read in the first column, as 2026-01-31 12:00:00.0 or 12:00:00.0"
        elif wrong.all() and len(wrong) > 1:
            said += ", nor is any cell of its column: remove the column, or give each neuron a column if it names them"
        _require_none(frame, place, wrong, dialect, path, said)
    return found.to_numpy(dtype=np.float64)


def _require_no_thousands(frame: pd.DataFrame, place: int, dialect: Dialect, path: Path) -> None:
    """Blame "1.015" where decimals have commas, and where smaller numbers of its column have no point."""
    column = frame[place]
    if pd.api.types.is_numeric_dtype(column):
        return
    texts = column.astype(str).str.strip()
    wrong = texts.str.fullmatch(THOUSANDS.pattern)
    if not wrong.any():
        return
    if any(_has_decimals(frame[other]) for other in frame):
        said = "is not a number: its thousands are parted by points; write the table again without them"
    elif parts_thousands([texts[column.notna()].tolist()]):
        said = (
            "may be a number of thousands or one of decimals, since others of its column have no point: write the table"
            " again without points between thousands, or with equally many decimals in every cell"
        )
    else:
        return
    _require_none(frame, place, wrong, dialect, path, said)


def _has_decimals(column: pd.Series) -> bool:
    """Whether a cell of a table with decimal commas has decimals."""
    if not pd.api.types.is_numeric_dtype(column):
        return bool(column.astype(str).str.contains(r"\d,\d").any())
    values = column.to_numpy(dtype=np.float64)
    return bool((values[np.isfinite(values)] % 1 != 0).any())


def _require_no_groups(frame: pd.DataFrame, dialect: Dialect, path: Path) -> None:
    """Blame a cell of grouped thousands first: it spoils the decimal mark of all others."""
    for what, pattern in _GROUPED.items():  # points first: "1.210,50" is told apart, "0,000" is not
        if what == "commas" and dialect.decimal == ",":
            continue
        for place, column in frame.items():
            if pd.api.types.is_numeric_dtype(column):
                continue
            wrong = column.astype(str).str.strip().str.fullmatch(pattern.pattern)
            advice = f"is not a number: its thousands are parted by {what}; write the table again without them"
            _require_none(frame, int(str(place)), wrong, dialect, path, advice)


def _require_none(frame: pd.DataFrame, place: int, wrong: Any, dialect: Dialect, path: Path, said: str) -> None:
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong)[0])
    name = dialect.header[place] if dialect.header else str(place)
    line = int(frame.index[row]) + 1 + dialect.n_skipped
    raise FileFormatError(f"{path}, line {line}, column {name!r}: {str(frame[place].iloc[row])[:40]!r} {said}")
