"""How a text table is written: what stands between cells, the decimal mark, and whether its first line is a header."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from antidrome.errors import FileFormatError
from antidrome.recordings.csv_columns import are_even, count_from_zero, rise

MISSING = ("", "nan", "na", "n/a", "null", "none", "inf", "-inf")
"""Cells (in small letters) that stand for no number."""

_MAX_LINE_BYTES = 64 * 2**20
_HEAD_LINES = 100
_HEAD_BYTES = 2**20


@dataclass(frozen=True)
class Dialect:
    """How a table is written; `header` is None where there is none."""

    delimiter: str
    decimal: str
    header: list[str] | None


def find_dialect(path: Path) -> Dialect:
    """How the table is written, from its first hundred lines (fewer, if they are long).

    A point below the header means decimal points; cells parted by semicolons have decimal commas otherwise, which
    serves for whole numbers as well. A first line of numbers is a header if it counts the columns (0, 1, 2, …), as
    pandas writes where nobody named them, or leaves the cell above an index empty.

    Raises
    ------
    FileFormatError
        If the file is not UTF-8 text in lines, or its first line is empty.
    """
    first, below = _head(path)
    delimiter = _delimiter(first if re.search(r"[\t;,]", first) or not below else below[0])
    cells = _cells(first, delimiter)
    is_header = _is_header(cells, below, delimiter)
    points = any("." in line for line in (below if is_header else [first, *below]))
    return Dialect(delimiter, "," if delimiter == ";" and not points else ".", cells if is_header else None)


def _head(path: Path) -> tuple[str, list[str]]:
    """The first line and some below it, if the file is text with lines of a sensible length."""
    lines = _raw_lines(path)
    if max(map(len, lines)) > _MAX_LINE_BYTES:
        raise FileFormatError(f"{path} has a line of more than {_MAX_LINE_BYTES} bytes, expected one row a frame")
    if any(b"\0" in line for line in lines):
        raise FileFormatError(f"{path} is not text (it holds zero bytes): save it as UTF-8 text")
    if b"\r" in lines[0].rstrip(b"\r\n"):
        raise FileFormatError(
            f"{path} ends its lines with carriage returns alone, as old Macintosh programs do: save it with line feeds"
        )
    try:
        first, *below = [line.decode("utf-8-sig" if number == 0 else "utf-8") for number, line in enumerate(lines)]
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not UTF-8 text, save it so: {error}") from error
    if not first.strip():
        raise FileFormatError(f"{path} is empty, or its first line is")
    return first, [line for line in below if line.strip()]


def _raw_lines(path: Path) -> list[bytes]:
    """At least two lines where there are two, then more up to a hundred or a mebibyte."""
    lines: list[bytes] = []
    with open(path, "rb") as stream:
        while len(lines) < 2 or (len(lines) < _HEAD_LINES and stream.tell() < _HEAD_BYTES):
            lines.append(stream.readline(_MAX_LINE_BYTES + 1))
            if not lines[-1]:
                break
    return lines


def _is_header(cells: list[str], below: list[str], delimiter: str) -> bool:
    """Whether the first line names columns; of numbers, what stands below decides."""
    if not all(_is_number(cell, delimiter) for cell in cells):
        return True
    if len(cells) < 2:
        return False
    column = np.array([_number(cells_below[0], delimiter) for cells_below in _rows(below, delimiter)])
    if cells[0]:
        return count_from_zero(cells) and not are_even(np.append(0.0, column))
    names = cells[1:]
    return count_from_zero(names) or (all(names) and len(set(names)) == len(names) and rise(column))


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    return [cells for line in lines if (cells := _cells(line, delimiter))]


def _delimiter(line: str) -> str:
    for delimiter in ("\t", ";", ","):
        if delimiter in line:
            return delimiter
    return " " if len(line.split()) > 1 and all(_is_number(cell, " ") for cell in line.split()) else ","


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
    """A cell as a number, NaN if it is none; between semicolons both decimal marks will do."""
    text = cell.strip('"')
    try:
        return float(text.replace(",", ".") if delimiter == ";" else text)
    except ValueError:
        return np.nan
