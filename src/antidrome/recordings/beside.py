"""What stands beside the traces of a file: times, labels, frame rate; and what it says of the axes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import Orientation, choose_orientation, positive_rate
from antidrome.recordings.choice import (
    LABEL_NAMES,
    RATE_NAMES,
    TIME_NAMES,
    find_frame_rate,
    reconciled,
    settle_frame_rate,
    times_sign,
    usable_rate,
)
from antidrome.recordings.options import ReadOptions

SMALL_BYTES = 64 * 2**20
"""Arrays larger than this are no times, labels or rates of a recording, and are not read to see."""


@dataclass(frozen=True)
class Axes:
    """The two axes of an array: which is which, the frame rate (Hz); times (s) and labels where the file has them."""

    orientation: Orientation
    frame_rate_hz: float | None
    time: np.ndarray | None
    neuron: np.ndarray | None


def settle_axes(
    name: str,
    shape: Sequence[int],
    beside: Mapping[str, np.ndarray],
    options: ReadOptions,
    path: Path,
    notes: list[str],
) -> Axes:
    """Settle the axes of an array that has no names for them.

    Parameters
    ----------
    name, shape
        The array, as the file calls it; two dimensions, or one for a single neuron.
    beside
        Arrays and numbers beside it, by name.
    options
        The caller's orientation and frame rate win over all else. Without them, times and labels under the usual names
        tell the axes that have their lengths; without those, the longer axis is time.
    path
        The file.
    notes
        Gets a sentence for what was guessed and what does not fit.

    Raises
    ------
    InputError
        If there is no frame rate; where the file has times that do not fit, the message says so.
    """
    times = _times_in(beside)
    labels = _labels_in(beside, notes)
    orientation = _orientation(name, shape, options.orientation, times, labels, notes)
    lengths = (*shape, 1)[:2] if orientation == "time,neuron" or len(shape) < 2 else (shape[1], shape[0])
    time, neuron = _fitting(times, lengths[0]), _fitting(labels, lengths[1])
    found = find_frame_rate(_numbers(beside), path.name, notes if time is None else [])
    if options.frame_rate_hz is None:
        time, found = reconciled(time, found, str(path), notes)
    else:
        time, _ = reconciled(time, positive_rate(options.frame_rate_hz), str(path), notes)
    read_as = f"{name!r} ({times_sign(shape)}, read as {orientation})"
    strays = _strays(times, f"{read_as} has {counted(lengths[0], 'frame')}") if time is None else []
    if strays and found is None and options.frame_rate_hz is None:
        raise InputError(
            f"{path}: {strays[0]}: correct it, or pass frame_rate_hz (frames per second) to go on without it"
        )
    if neuron is None:
        strays += _strays(labels, f"{read_as} has {counted(lengths[1], 'neuron')}")
    notes.extend(f"{stray}; it is left out" for stray in strays)
    rate = settle_frame_rate(options.frame_rate_hz, found, time, str(path), notes)
    return Axes(orientation, rate, time, neuron)


def siblings(arrays: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Other arrays by their own names: those of the same group or struct, those of the one around it, and so on."""
    found, parent = [], name
    while parent or not found:
        parent = parent.rpartition("/")[0]
        held = {other.rpartition("/")[2]: other for other in arrays if other.rpartition("/")[0] == parent}
        found.append({own: arrays[other] for own, other in held.items() if other != name})
    return found


def with_outer(beside: Mapping[str, np.ndarray], around: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What is beside an array, and of the groups around, the nearest first, what is missing there.

    Times or a rate further out may be those of another signal: they count only where there are neither nearer by.
    """
    found = dict(beside)
    for outer in around:
        clocked = any(_is_clock(name, values) for name, values in found.items())
        for name, values in outer.items():
            if not (clocked and _is_clock(name, values)):
                found.setdefault(name, values)
    return found


def _is_clock(name: str, values: np.ndarray) -> bool:
    """Whether these are times, or a frame rate."""
    if name.lower() in TIME_NAMES:
        return values.size > 1
    return name.lower() in RATE_NAMES and values.size == 1 and usable_rate(values) is not None


def _vectors(beside: Mapping[str, np.ndarray], names: Sequence[str], kinds: str) -> dict[str, np.ndarray]:
    """Arrays of one axis (or one row or column) among them, under the usual names."""
    return {
        key: values.ravel()
        for key, values in beside.items()
        if key.lower() in names and values.dtype.kind in kinds and values.ndim and values.size == max(values.shape)
    }


def _times_in(beside: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = _vectors(beside, TIME_NAMES, "iuf")
    return {key: values.astype(np.float64) for key, values in found.items()}


def _labels_in(beside: Mapping[str, np.ndarray], notes: list[str]) -> dict[str, np.ndarray]:
    """Texts and whole numbers (MATLAB's are doubles), none of them twice: those that repeat are classes, not names."""
    found = _vectors(beside, LABEL_NAMES, "iuUST")
    doubles = _vectors(beside, LABEL_NAMES, "f")
    found |= {key: values.astype(np.int64) for key, values in doubles.items() if _are_whole(values)}
    unique = {key: values for key, values in found.items() if np.unique(values).size == values.size}
    notes.extend(f"{key!r} repeats its values, names no neurons and is left out" for key in found if key not in unique)
    return unique


def _numbers(beside: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: values for key, values in beside.items() if values.dtype.kind in "iuf"}


def _are_whole(values: np.ndarray) -> bool:
    return bool((np.abs(values) < 2**53).all() and (values == np.floor(values)).all())


def _orientation(
    name: str,
    shape: Sequence[int],
    asked: str | None,
    times: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    notes: list[str],
) -> Orientation:
    """What the caller says; else what has as many entries as only one axis is long says; else a guess that is noted."""
    if asked is None and len(shape) == 2 and shape[0] != shape[1]:
        for vectors, first in ((times, "time,neuron"), (labels, "neuron,time")):
            for key, values in vectors.items():
                if values.size in shape:
                    return _told(name, shape, key, values.size, first, notes)
    return choose_orientation(tuple(shape), asked, notes, repr(name))


def _told(name: str, shape: Sequence[int], key: str, size: int, first: str, notes: list[str]) -> Orientation:
    """The orientation in which an array beside fits; noted where it has fewer frames than neurons."""
    orientation: Orientation = "time,neuron" if (size == shape[0]) == (first == "time,neuron") else "neuron,time"
    if (orientation == "time,neuron") == (shape[0] < shape[1]):
        notes.append(
            f"orientation of {name!r} {times_sign(shape)} taken as {orientation} ({key!r} has {size} entries); "
            "pass orientation= (--orientation) to decide it"
        )
    return orientation


def _fitting(vectors: Mapping[str, np.ndarray], length: int) -> np.ndarray | None:
    """The first vector of that length, or None."""
    return next((values for values in vectors.values() if values.size == length), None)


def _strays(vectors: Mapping[str, np.ndarray], expected: str) -> list[str]:
    """What is said of vectors that fit no axis; single numbers are none."""
    return [f"{key!r} has {values.size} entries, but {expected}" for key, values in vectors.items() if values.size > 1]
