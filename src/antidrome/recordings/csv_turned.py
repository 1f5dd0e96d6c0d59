"""Text tables with a header whose rows are neurons: the first column names them, the other headings tell the frames."""

import re
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import listing
from antidrome.recordings.csv_columns import count_from
from antidrome.recordings.csv_times import FEWEST_ROWS, are_even, are_whole, count, rise
from antidrome.recordings.headings import names_nothing

_NEURON = re.compile(r"\s*(neuron|roi|cell|unit)s?([\s_-]*(id|no|nr|num|number|index|idx|#)\.?)?\s*", re.I)
_FRAME = re.compile(r"(?:(?:t|frame|time)[\s_-]*)?(\d+(\.\d*)?)", re.I)
_FEWEST_COLUMNS = 3


def neurons_in_rows(
    header: list[str] | None, values: np.ndarray, notes: list[str], orientation: str | None
) -> tuple[np.ndarray | None, np.ndarray, list[str] | None] | None:
    """Take labels of neurons out of the first column, and times out of the other headings.

    Parameters
    ----------
    header
        Names of the columns, or None.
    values
        Shape (rows, columns).
    notes
        Gets a sentence for what was told from the headings.
    orientation
        The orientation asked for, or None.

    Returns
    -------
    time, values, labels
        Times (s), or None where the headings count the frames; values of shape (frames, neurons); labels of neurons,
        or None where nobody named them: 0, 1, 2, … under no name. None instead of all three if the rows are frames, or
        may be.

    Raises
    ------
    InputError
        If the headings rise, but neither count the frames nor are even times in seconds; or if nothing tells whether
        they, or the first column, count the frames.
    """
    if header is None or len(header) < _FEWEST_COLUMNS or orientation == "time,neuron":
        return None
    corner, names = header[0], values[:, 0]
    frames = _numbers(header[1:])
    if frames is None or not (rise(frames) or count(frames)) or not _are_labels(names):
        return None
    named = bool(_NEURON.fullmatch(corner))
    if not (named or names_nothing(corner) or corner.strip().lower() == "id"):
        return None
    if orientation is None and named:
        _require_told(header, frames, names)
    if orientation is None and not named and not _are_frames(frames, names):
        return None
    labels = [str(int(name)) for name in names]
    return _times(header, frames, notes), values[:, 1:].T, labels if named or not count_from(0, labels) else None


def _numbers(headings: Sequence[str]) -> np.ndarray | None:
    """The numbers that all headings are, or end in: "0.05", "t0", "frame_12"; None where one is anything else."""
    found = [_FRAME.fullmatch(heading.strip().replace(",", ".")) for heading in headings]
    return np.array([float(match[1]) for match in found if match]) if all(found) else None


def _are_labels(names: np.ndarray) -> bool:
    """Whether numbers are whole and all different."""
    return bool(np.isfinite(names).all()) and are_whole(names) and np.unique(names).size == names.size


def _are_frames(frames: np.ndarray, names: np.ndarray) -> bool:
    """Whether headings above a first column without a name tell frames, of which there are more than neurons."""
    if len(frames) <= len(names):
        return False
    if count(frames):
        return not count(names) and not rise(names)
    return len(frames) >= FEWEST_ROWS and are_even(frames)


def _times(header: list[str], frames: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """The times (s) that the headings tell; None if they count the frames."""
    first = "the first column" + (f" ({header[0]!r})" if header[0] else "") + " names the neurons"
    if count(frames):
        notes.append(f"{first}, and the other headings count the frames")
        return None
    if are_whole(frames) or not are_even(frames):
        raise InputError(
            f"the headings {listing(header[1:], 3)} rise like those of frames, but they neither count these nor are "
            "even times in seconds: write times in seconds, or count the frames and pass frame_rate_hz; if each column "
            "is a neuron, pass orientation='time,neuron'"
        )
    notes.append(f"{first}, and the other headings are taken as times in seconds")
    return frames


def _require_told(header: list[str], frames: np.ndarray, names: np.ndarray) -> None:
    """Raise InputError if the first column may be numbers of frames below a heading that says what the others are."""
    if are_whole(frames) and rise(names) and len(names) > len(frames):
        raise InputError(
            f"the first column, {header[0]!r}, rises like numbers of frames, and so do the headings "
            f"{listing(header[1:], 3)}: pass orientation='neuron,time' if each row is a neuron, or 'time,neuron' if "
            "each column is one"
        )
