"""The ROI table of an NWB series: labels, scalar metadata, and which ROIs were accepted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError

_ACCEPTED = ("accepted", "iscell", "is_cell")
_KEEP = "keep"
"""CaImAn's own choice; its "accepted" holds what was chosen by hand."""
_RESERVED = ("neuron", "time", "roi_id", "roi_row")


@dataclass(frozen=True)
class RoiTable:
    """The rows of a ROI table that a series refers to.

    Attributes
    ----------
    labels
        The table's text column "label" if it has one without repetition, else its ids as text, shape (rois,); with the
        row number where ids repeat.
    rows
        Row of each ROI in the whole table, shape (rois,).
    columns
        Scalar columns, each of shape (rois,), with ``roi_id`` and ``roi_row``.
    accepted
        Shape (rois,), or None if the table does not say.
    notes
        What was told from the table.
    """

    labels: np.ndarray
    rows: np.ndarray
    columns: dict[str, np.ndarray]
    accepted: np.ndarray | None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def kept(self, accepted_only: bool) -> np.ndarray:
        """Indices of the ROIs to read."""
        if accepted_only and self.accepted is not None:
            return np.flatnonzero(self.accepted)
        return np.arange(len(self))


def roi_table(series: Any, where: str) -> RoiTable:
    """Read what the ROI table says of the ROIs of a ``RoiResponseSeries``."""
    if series.rois is None or series.rois.table is None:
        raise FileFormatError(f"{where} has no ROI table region, expected one row a ROI")
    table = series.rois.table
    rows = np.asarray(series.rois.data[:]).astype(np.int64).ravel()
    ids = np.asarray(table.id[:]).ravel()
    if rows.size and (rows.min() < 0 or rows.max() >= ids.size):
        raise FileFormatError(f"{where} refers to row {rows.max()} of a ROI table with {ids.size} rows")
    if np.unique(rows).size < rows.size:
        row = next(row for row in rows.tolist() if (rows == row).sum() > 1)
        raise FileFormatError(f"{where} names row {row} of its ROI table for several ROIs: correct its region 'rois'")
    labels = np.array([str(i) for i in ids[rows]])
    if len(np.unique(labels)) != len(labels):
        labels = np.array([f"{i}#{row}" for i, row in zip(ids[rows], rows, strict=True)])
    columns: dict[str, np.ndarray] = {"roi_id": ids[rows], "roi_row": rows}
    accepted = None
    for column in table.columns:
        values = _scalar_column(column, ids.size)
        if values is None:
            continue
        name = str(column.name)
        if name.lower() in _ACCEPTED and values.dtype.kind in "biuf":
            flags = values if values.ndim == 1 else values[:, 0]
            accepted = flags[rows] > 0.5
            columns["accepted"] = accepted
            if values.ndim == 2 and values.shape[1] > 1:
                columns["cell_probability"] = values[rows, 1]
        elif values.ndim == 1 and name == "label" and values.dtype.kind == "U" and len(set(values)) == ids.size:
            labels = values[rows]
        elif values.ndim == 1 and name not in _RESERVED:
            columns[name] = values[rows]
    notes: list[str] = []
    if accepted is not None and (chosen := _by_caiman(columns, accepted)) is not None:
        accepted = columns["accepted"] = chosen
        notes.append(
            f"the ROI table has a column {_KEEP!r}: its choice is taken, with what was accepted or rejected by hand"
        )
    return RoiTable(labels, rows, columns, accepted, notes)


def _by_caiman(columns: dict[str, np.ndarray], accepted: np.ndarray) -> np.ndarray | None:
    """Which ROIs CaImAn keeps, with the changes that were made by hand; None of a table that it did not write."""
    nothing = np.zeros(accepted.size)  # of another type than True and False
    keep, rejected = columns.get(_KEEP, nothing), columns.get("rejected", nothing)
    if keep.dtype != bool or not keep.any() or (accepted.any() and rejected.dtype != bool):
        return None
    return (keep & ~rejected.astype(bool)) | accepted


def _scalar_column(column: Any, n_rows: int) -> np.ndarray | None:
    """Values of a column with one number or text a row, or of the two-column "iscell"; else None."""
    data = getattr(column, "data", None)
    shape = np.shape(data) if data is not None else ()
    two_columns = str(column.name).lower() in _ACCEPTED and len(shape) == 2 and shape[1] <= 2
    if type(column).__name__ not in ("VectorData", "EnumData") or not shape or shape[0] != n_rows:
        return None
    if len(shape) != 1 and not two_columns:
        return None
    values = np.asarray(data[:])
    if values.dtype.kind == "O":
        if not all(isinstance(value, (str, bytes)) for value in values):
            return None
        values = np.array([value.decode() if isinstance(value, bytes) else value for value in values])
    return values if values.dtype.kind in "biufU" else None
