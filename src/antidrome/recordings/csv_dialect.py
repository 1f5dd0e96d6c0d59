"""How a text table is written: what stands between cells, the decimal mark, and whether its first line is a header."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.csv_columns import count_from
from antidrome.recordings.csv_first_line import FirstLine, begins_times, may_hold, whole_above_decimals
from antidrome.recordings.csv_text import open_text
from antidrome.recordings.csv_times import FEWEST_ROWS, rise

_EXCEL_NAMES = ("DIV/0!", "N/A", "NV", "NUM!", "ZAHL!", "NOMBRE!", "VALUE!", "WERT!", "VALEUR!", "REF!", "BEZUG!")
EXCEL_ERRORS = tuple(f"#{name}" for name in (*_EXCEL_NAMES, "NAME?", "NOM?", "NULL!", "NUL!"))
"""What Excel writes (also the German and the French one) where a formula gives no number."""

NO_NUMBERS = ("", "nan", "na", "n/a", "null", "none", *EXCEL_ERRORS)
"""Cells that are read as missing samples, besides those that pandas knows."""

MISSING = (*(cell.lower() for cell in NO_NUMBERS), "inf", "-inf")
"""Cells (in small letters) that stand for no number."""

CLOCK = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?.*)?|(\d+ days? )?\d{1,3}:\d\d:\d\d([.,]\d*)?")
"""A date (ISO 8601), a time of day, or a time that has passed."""

DATE = re.compile(r"\s*(\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,2}:\d\d)\b")
"""How a date begins, or a time of day, in whatever order, also such as is not read."""

THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+")
"""A number in which points may part thousands: "1.015"."""

_WHOLE = re.compile(r"[-+]?[1-9]\d*")
"""A whole number but zero, without a point."""

_EXCEL = re.compile(r"\"?sep=.?\"?\s*", re.I)
"""A first line that tells Excel what stands between cells."""

_DECIMAL_COMMA = re.compile(r"[-+]?(0|[1-9]\d*),\d+(e[-+]?\d+)?", re.I)
_NO_TWO_NUMBERS = re.compile(r"-0,|[-+]?\d+,0\d")

_STATUS = ("accepted", "rejected", "undecided")
_MAX_LINE_BYTES = 64 * 2**20
_HEAD_LINES = 100
_HEAD_BYTES = 2**20


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes
    ----------
    delimiter, decimal
        What stands between cells (a blank: any number of them), and between whole numbers and decimals.
    header
        Names of the columns, or None.
    status
        Of the columns but the first, what a second line says of each: "accepted", "rejected", "undecided"; or None.
    ends_open
        Whether all rows end with a delimiter, so that there seems to be a last column without cells.
    n_comments, n_skipped
        Lines that begin with # before the table; all lines before its first row.
    untold
        The first row, which may also be a header of numbers, or None.
    """

    delimiter: str
    decimal: str
    header: list[str] | None
    status: list[str] | None
    ends_open: bool
    n_comments: int
    n_skipped: int
    untold: str | None


def find_dialect(path: Path, max_bytes: int) -> Dialect:
    """How the table is written, from its first hundred lines (fewer, if they are long).

    A point below the header means decimal points, unless points seem to part thousands (:func:`parts_thousands`); cells
    parted by semicolons or tabs have decimal commas otherwise, which serves for whole numbers as well. A first line of
    numbers is a header if it counts the columns (0, 1, 2, …, or 1, 2, 3, … of three and more), as pandas writes where
    nobody named them, or leaves the cell above an index empty, or has whole numbers where all that stands below has
    decimals, and could not be a frame. Of lines before the table that
    begin with #, the last is its header if it has as many cells as the first row, and the first row is all numbers.

    Raises
    ------
    FileFormatError
        If the file is not text in lines, or its first line is empty.
    InputError
        If the commas of a single column are decimal marks.
    """
    try:
        with open_text(path, max_bytes) as text:
            comments, (first, *below) = _head(text, path)
    except UnicodeError as error:
        raise FileFormatError(f"{path} is not UTF-8 text, save it so: {error}") from error
    delimiter = _delimiter(first, below)
    cells = _cells(first, delimiter)
    found = _first_line(cells, below, delimiter)
    header = cells if found is FirstLine.NAMES else None
    rows = below if header else [first, *below]
    if header is None and delimiter == ",":
        _refuse_decimal_commas(rows, path)
    status = _status(header, rows, delimiter)
    if status:
        cells, rows = _cells(rows[0], delimiter), rows[1:]
        header = [cells[0].partition("/")[0], *(header or [])[1:]]
    n_skipped = len(comments) + (header is not None) + (status is not None)
    if header is None and comments:
        header = _commented_header(comments[-1], cells, delimiter)
    n_comments = sum(bool(comment) for comment in comments)
    ends_open = delimiter != " " and bool(rows) and all(line.rstrip("\r\n").endswith(delimiter) for line in rows)
    untold = first.strip() if found is FirstLine.UNTOLD and header is None else None
    return Dialect(delimiter, _decimal(rows, delimiter), header, status, ends_open, n_comments, n_skipped, untold)


def _head(text: io.TextIOWrapper, path: Path) -> tuple[list[str], list[str]]:
    """Comments (and blank lines below one), and what follows: two lines at least, up to a hundred or a mebibyte."""
    comments: list[str] = []
    lines: list[str] = []
    n_read = 0
    while len(lines) < 2 or (len(lines) < _HEAD_LINES and n_read < _HEAD_BYTES):
        line = text.readline(_MAX_LINE_BYTES + 1)
        if not line:
            break
        n_read += len(line)
        _require_sound(line, path)
        if not lines and not comments and _EXCEL.fullmatch(line):
            comments.append("")
        elif not lines and (_is_comment(line) or (comments and not line.strip())):
            comments.append(line.strip())
        elif line.strip() or not lines:
            lines.append(line)
        if len(comments) > _HEAD_LINES * _HEAD_LINES or n_read > 4 * _MAX_LINE_BYTES:
            raise FileFormatError(f"{path} begins with {len(comments)} comments: remove the lines that begin with #")
    if not lines or not lines[0].strip():
        raise FileFormatError(f"{path} is empty, or its first line is")
    return comments, lines


def _require_sound(line: str, path: Path) -> None:
    if len(line) > _MAX_LINE_BYTES:
        raise FileFormatError(f"{path} has a line of more than {_MAX_LINE_BYTES} bytes, expected one row a frame")
    if "\0" in line:
        raise FileFormatError(f"{path} is not text (it holds zero bytes): save it as UTF-8 text")
    if "\r" in line.rstrip("\r\n"):
        raise FileFormatError(
            f"{path} ends its lines with carriage returns alone, as old Macintosh programs do: save it with line feeds"
        )


def _is_comment(line: str) -> bool:
    """Whether a line begins with #, and not with the first of several names that do, or with an error of Excel."""
    if re.match(rf"({'|'.join(map(re.escape, EXCEL_ERRORS))})\s*([\t;,]|$)", line):
        return False
    return line.startswith("#") and not re.search(r"[\t;,]\s*\"?#", line)


def _commented_header(comment: str, first_row: list[str], delimiter: str) -> list[str] | None:
    cells = _cells(comment.lstrip("#").strip(), delimiter)
    named = len(cells) == len(first_row) and not all(_is_number(cell, delimiter) for cell in cells)
    return cells if named else None


def _status(header: list[str] | None, rows: list[str], delimiter: str) -> list[str] | None:
    """What the line below the header says of each cell, as Inscopix writes it."""
    if header is None or not rows:
        return None
    status = [cell.lower() for cell in _cells(rows[0], delimiter)[1:]]
    return status if len(status) == len(header) - 1 > 0 and set(status) <= set(_STATUS) else None


def parts_thousands(columns: Iterable[Sequence[str]]) -> bool:
    """Whether points seem to part thousands.

    All could; there are decimal commas, or smaller numbers without a point; and the numbers of some column lie nearer
    together that way. Programs that write three decimals, but none of a whole number (ImageJ), are not meant.
    """
    columns = [[cell for cell in column if ":" not in cell] for column in columns]
    pointed = [column for column in columns if any("." in cell for cell in column)]
    if not pointed or not all(THOUSANDS.fullmatch(cell) for column in pointed for cell in column if "." in cell):
        return False
    numbers = [[c.lstrip("+-") for c in column if THOUSANDS.fullmatch(c) or _WHOLE.fullmatch(c)] for column in pointed]
    wholes = [cell for column in numbers for cell in column if "." not in cell]
    below = bool(wholes) and max(map(len, wholes)) <= len("999")
    commas = any(_DECIMAL_COMMA.fullmatch(cell) for column in columns for cell in column)
    return (below or commas) and any(map(_are_nearer_as_thousands, numbers))


def _are_nearer_as_thousands(cells: Sequence[str]) -> bool:
    """Whether numbers differ by smaller factors if points part their thousands; also where nothing is told by that."""
    if any(cell.count(".") > 1 for cell in cells) or all("." in cell for cell in cells):
        return True
    thousands, decimals = (np.log([float(cell.replace(".", mark)) for cell in cells]) for mark in ("", "."))
    return bool(np.std(thousands) < np.std(decimals))


def _decimal(rows: list[str], delimiter: str) -> str:
    if delimiter not in (";", "\t"):
        return "."
    undated = [["" if DATE.match(cell) else cell for cell in cells] for cells in _rows(rows, delimiter)]
    has_points = any(re.search(r"(?<!\d:\d\d)\.", cell) for cells in undated for cell in cells)
    if has_points and not parts_thousands(zip_longest(*undated, fillvalue="")):
        return "."
    commas = [cell for row in rows for cell in _cells(row, delimiter) if "," in cell] if delimiter == "\t" else []
    grouped = bool(commas) and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in commas)
    return "." if grouped else ","


def _refuse_decimal_commas(rows: list[str], path: Path) -> None:
    """Raise InputError for one column of decimal commas: "-0,132" and "0,05" are no two whole numbers."""
    rows = [row.strip() for row in rows]
    if not all(_DECIMAL_COMMA.fullmatch(row) for row in rows):
        return
    telling = next((row for row in rows if _NO_TWO_NUMBERS.match(row)), None)
    if telling is not None:
        raise InputError(
            f"{path} has a comma in the middle of every line, and {telling!r} is no two numbers: write decimal points"
            " instead of decimal commas, or end every line with a semicolon"
        )


def _first_line(cells: list[str], below: list[str], delimiter: str) -> FirstLine:
    """Whether the first line names columns; of numbers, what stands below decides."""
    if CLOCK.fullmatch(cells[0]) and len(cells) > 1:
        are_names = not all(_is_number(cell, delimiter) for cell in cells[1:])
    elif all(_is_number(cell, delimiter) for cell in cells):
        if _is_run(cells, below, delimiter):
            return FirstLine.NAMES
        found = _whole_above_decimals(cells, below, delimiter)
        if found is not FirstLine.FRAME:
            return found
        are_names = len(cells) > 1 and _counts_columns(cells, below, delimiter)
    else:
        are_names = True
    return FirstLine.NAMES if are_names else FirstLine.FRAME


def _is_run(cells: list[str], below: list[str], delimiter: str) -> bool:
    """Whether cells are 0, 1, 2, … or 1, 2, 3, … above eight rows or more, as those of no frame are.

    Three or four may be a frame of few spikes, where all below are whole numbers that come as near to them.
    """
    names, rows = [cell.strip('"') for cell in cells], _rows(below, delimiter)
    if len(names) < 3 or len(rows) < FEWEST_ROWS or not (count_from(0, names) or count_from(1, names)):
        return False
    columns = [[_number(cell, delimiter) for cell in column] for column in zip(*rows, strict=False)]
    if len(names) > 4 or len(columns) < len(names):
        return True
    values = [np.array(column)[np.isfinite(column)] for column in columns]
    are_whole = all((column == np.round(column)).all() for column in values)
    near = all(column.size and may_hold(float(name), column) for name, column in zip(names, values, strict=True))
    return not (are_whole and near)


def _counts_columns(cells: list[str], below: list[str], delimiter: str) -> bool:
    """Whether numbers count the columns from zero, or leave the cell above an index, or beside frames, empty."""
    column = np.array([_number(cells_below[0], delimiter) for cells_below in _rows(below, delimiter)])
    if cells[0]:
        return count_from(0, cells) and not begins_times("0", column)
    names = cells[1:]
    frames = np.array([_number(name, delimiter) for name in names])
    rises = rise(column) or (frames.size >= FEWEST_ROWS and rise(frames))
    return count_from(0, names) or (all(names) and len(set(names)) == len(names) and rises)


def _whole_above_decimals(cells: list[str], below: list[str], delimiter: str) -> FirstLine:
    """What a first line of numbers is by the decimals below it, in eight rows and more of as many cells."""
    rows = _rows(below, delimiter)
    if len(rows) < FEWEST_ROWS or any(len(row) != len(cells) for row in rows):
        return FirstLine.FRAME
    columns = [[cell for cell in column if cell.lower() not in MISSING] for column in zip(*rows, strict=True)]
    return whole_above_decimals([cell.strip('"') for cell in cells], columns, _decimal(below, delimiter))


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    return [cells for line in lines if (cells := _cells(line, delimiter))]


def _delimiter(first: str, below: list[str]) -> str:
    """What parts the cells of the first line and of the next: a name in a header may hold another of the marks."""
    second = below[0] if below else first
    found = [mark for mark in "\t;," if mark in first] or [mark for mark in "\t;," if mark in second]
    if found:
        return next((mark for mark in found if mark in second), found[0])
    cells = second.split()
    return " " if len(cells) > 1 and all(_is_number(cell, " ") for cell in cells) else ","


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return [cell.strip('"') for cell in line.split()]
    try:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise FileFormatError(f"the first lines are not rows of cells: {error}") from error
    return [cell.strip() for cell in cells]


def _is_number(cell: str, delimiter: str) -> bool:
    return cell.strip('"').lower() in MISSING or not np.isnan(_number(cell, delimiter))


def _number(cell: str, delimiter: str) -> float:
    """A cell as a number, NaN if it is none; between semicolons and tabs both decimal marks will do."""
    text = cell.strip('"')
    try:
        return float(text.replace(",", ".") if delimiter in (";", "\t") else text)
    except ValueError:
        return np.nan
