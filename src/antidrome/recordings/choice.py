"""Which of several arrays in a file is the recording, and what its frame rate is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.axes import positive_rate
from antidrome.recordings.clock import clock_rate_hz, rate_agrees

RATE_NAMES = ("frame_rate_hz", "frame_rate", "framerate", "fs", "fps", "sampling_rate", "imaging_rate")
_NUMBER = re.compile(r"([-+]?\d+\.?\d*(?:e[-+]?\d+)?)\s*(?:hz|fps|1/s|/s|frames/s|frames per second)?", re.I)
TIME_NAMES = ("time", "times", "time_s", "t", "timestamps", "timestamp", "frame_times", "frame_time")
LABEL_NAMES = ("neuron", "neurons", "labels", "roi_id", "roi_ids", "cell_id", "cell_ids")
_FASTEST_HZ = 2000.0
OWN_NAMES = ("dff", "fluorescence")


def numeric(arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arrays of real numbers among those of a file, by name.

    Raises
    ------
    FileFormatError
        If the file has arrays, but none of real numbers.
    """
    found = {str(name): array for name, array in arrays.items() if array.dtype.kind in "iuf"}
    if arrays and not found:
        kinds = ", ".join(f"{name!r} {times_sign(array.shape)} of {array.dtype}" for name, array in arrays.items())
        raise FileFormatError(f"{where} has no array of real numbers; it has {kinds[:400]}")
    return found


def choose_series(shapes: Mapping[str, Sequence[int]], series: str | None, where: str) -> str:
    """Name of the array to read.

    Parameters
    ----------
    shapes
        Shape of every numeric array of the file, by name (:func:`numeric`).
    series
        The name asked for, or None.
    where
        The file, for messages.

    Returns
    -------
    str
        ``series`` if it is there; else the only array of two dimensions, or "dff" or "fluorescence" if the file has an
        array of just that name; else the only array of one dimension that is no time axis.

    Raises
    ------
    InputError
        If the name is not there, or nothing decides.
    FileFormatError
        If no array could be a recording.
    """
    described = _described(shapes)
    if series is not None:
        if series not in shapes:
            raise InputError(f"{where} has no array {series!r}; it has {described or 'none'}")
        return series
    candidates = [
        name
        for name, shape in shapes.items()
        if len(shape) == 2 and min(shape) > 0 and max(shape) > 1 and not (min(shape) == 1 and is_auxiliary(name))
    ]
    if not candidates:
        candidates = [
            name for name, shape in shapes.items() if len(shape) == 1 and shape[0] > 1 and not is_auxiliary(name)
        ]
    own = [name for name in OWN_NAMES if name in candidates]
    if own or len(candidates) == 1:
        return (own or candidates)[0]
    if not candidates:
        raise FileFormatError(f"{where} has no array of frames × neurons; it has {described or 'no array'}")
    several = _described({name: shapes[name] for name in candidates})
    raise InputError(
        f"{where} has several arrays: {several}; choose one with series= (--series NAME){of_a_result(several)}"
    )


def of_a_result(listed: str) -> str:
    """What else to do with a file whose arrays are those of inferred spikes."""
    if "expected_spikes'" not in listed:
        return ""
    return ". It holds inferred spikes; antidrome.recordings.read_spikes reads them all"


def _described(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name!r} {times_sign(shape)}" for name, shape in shapes.items())


def is_auxiliary(name: str) -> bool:
    """Whether an array is called as times or labels are."""
    return name.rpartition("/")[2].lower() in (*TIME_NAMES, *LABEL_NAMES)


def times_sign(shape: Sequence[int]) -> str:
    """A shape for people: 300 × 1000."""
    return " × ".join(map(str, shape)) if len(shape) else "(one number)"


def find_frame_rate(arrays: Mapping[str, Any], where: str, notes: list[str]) -> float | None:
    """Frame rate (Hz) that a file gives beside its arrays under one of the usual names, noted; else None."""
    for name in arrays:
        if name.lower() in RATE_NAMES and np.size(arrays[name]) == 1:
            rate = usable_rate(arrays[name])
            if rate is None:
                notes.append(f"{name!r} of {where} is no frame rate and is left out")
                continue
            notes.append(f"frame rate {rate:g} Hz from {name!r} of {where}")
            return rate
    return None


def reconciled(
    time: np.ndarray | None, rate: float | None, where: str, notes: list[str]
) -> tuple[np.ndarray | None, float | None]:
    """Times (s) and frame rate (Hz) of a file that gives both; the times may count frames, ms or µs.

    Returns
    -------
    time, rate
        Times in seconds. The rate is None where that of the times is at least as good.

    Raises
    ------
    InputError
        If the times and the rate contradict each other in every unit.
    """
    if rate is None or time is None or not np.isfinite(time).all() or (found := clock_rate_hz(time)) is None:
        return time, rate
    if rate_agrees(rate, time):
        return time, None if abs(rate - found) <= 0.01 * found else rate
    units = {1 / rate: "numbers of frames", 1e-3: "milliseconds", 1e-6: "microseconds"}
    for seconds, unit in units.items():
        if rate <= _FASTEST_HZ and rate_agrees(rate, time * seconds):
            notes.append(f"times taken for {unit}, as the frame rate of {rate:g} Hz beside them says")
            if seconds == 1 / rate and time[0] in (0, 1):  # counted from the first frame, whose centre is half of it
                return (time - time[0] + 0.5) * seconds, None
            return time * seconds, None
    raise InputError(
        f"{where}: the frame rate is given as {rate:g} Hz, but the times beside it run at {found:g} Hz (neither frame "
        "numbers, ms nor µs agree with it): correct one of them, or pass the frame_rate_hz of the times"
    )


def single_number(value: Any) -> float | None:
    """The number that an attribute or setting holds, be it in an array of one element or a text ("30.0", "30 Hz")."""
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    while isinstance(value, (list, tuple)):
        if len(value) != 1:
            return None
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        return float(found[1]) if found else None
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return float(value) if is_number else None


def usable_rate(value: Any) -> float | None:
    """The frame rate (Hz) that a file says, or None if it is not a positive number."""
    rate = single_number(value)
    return rate if rate is not None and 0 < rate < np.inf else None


def said_numbers(attributes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Numbers among attributes by name; those with the name of a frame rate also where they are texts."""
    found = {}
    for name, value in attributes.items():
        plain = isinstance(value, (int, float, np.number))
        number = single_number(value) if plain or str(name).lower() in RATE_NAMES else None
        if number is not None:
            found[str(name)] = np.asarray(number)
    return found


def said_units(attributes: Mapping[str, Any], asked: str | None) -> str | None:
    """Units that the attributes of an array state, or None; not where they are those of another quantity than asked."""
    said, quantity = _text(attributes.get("units")), _text(attributes.get("quantity")) or "unknown"
    fits = asked in (None, quantity) or (quantity == "unknown" and said != "unknown")
    return said if fits else None


def _text(value: Any) -> str | None:
    """The text or number of an attribute, however the file kept it; None of anything else."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return str(value) if isinstance(value, (str, int, float, np.number)) else None


def settle_frame_rate(
    asked: float | None, found: float | None, time: np.ndarray | None, where: str, notes: list[str]
) -> float | None:
    """The frame rate (Hz) to use: what the user says, else what the file says, else what its times say.

    Raises
    ------
    InputError
        If none of the three is there.
    """
    found = usable_rate(found)
    if asked is not None:
        asked = positive_rate(asked)
        if found is not None and abs(asked - found) > 1e-6 * found:
            notes.append(f"frame rate {asked:g} Hz as given replaces {found:g} Hz from the file")
        return asked
    if found is not None:
        return found
    if time is None:
        raise InputError(f"{where} has neither times nor a frame rate: pass frame_rate_hz (frames per second)")
    if clock_rate_hz(time) is None:
        raise InputError(
            f"{where} has times that never increase, and so no frame rate: correct them, or remove them and pass "
            "frame_rate_hz (frames per second)"
        )
    return None
