"""Current-clamp recordings in npz and csv files, whose names tell quantity and unit: ``voltage_mV``, ``dt_ms``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.archives import load_npz
from antidrome.recordings.csv_files import load_table
from antidrome.recordings.current_clamp.sweeps import current_clamp_from_array, micro_sign
from antidrome.recordings.units import SECONDS, plain_unit

_VOLTAGE = re.compile(
    r"^(voltage|membrane_potential|vm|v|response)(?:[_ (\[]+(mV|V|uV|µV)[)\]]?)?(?:[_ ]*(\d{1,9}))?$", re.I
)
_CURRENT = re.compile(
    r"^(current|command|stimulus|i)(?:[_ (\[]+(pA|nA|uA|µA|mA|A|uA[_/]cm2|µA/cm²)[)\]]?)?(?:[_ ]*(\d{1,9}))?$", re.I
)
_TIME = re.compile(r"^(time|t)(?:[_ (\[]+(s|ms|us|µs)[)\]]?)?$", re.I)
_STEP = re.compile(r"^(dt|sampling_interval)[_ (\[]+(s|ms|us|µs)[)\]]?$", re.I)
_RATE = re.compile(r"^(sampling_rate|sample_rate|rate|fs)(?:[_ (\[]+(hz|khz)[)\]]?)?$", re.I)
_AREA = re.compile(r"^(a_soma|area|membrane_area)_cm2$", re.I)
_JUNCTION = re.compile(r"^(liquid_)?junction_potential_mv$", re.I)
_LABELS = re.compile(r"^sweeps?(?:[_ ]*(?:number|label|id)s?)?$", re.I)
_UNITS = {unit.lower(): unit for unit in ("mV", "V", "uV", "µV", "pA", "nA", "uA", "µA", "mA", "A", "uA/cm2", "µA/cm²")}
_SAME_RATE = 1e-3
"""Share by which rates that are said twice may differ: times and steps are written rounded."""

_Numbered = dict[int | None, re.Match[str]]
"""Arrays of one quantity by the numbers in their names, in order; one alone may have no number."""


def names_voltage(names: Iterable[str]) -> bool:
    """Whether one of the names of arrays or columns is that of a voltage."""
    return any(_VOLTAGE.match(name) for name in names)


def read_table_sweeps(
    path: Path, kind: str, asked: Mapping[str, Any], area_cm2: float | None, max_bytes: int
) -> xr.Dataset:
    """Read an npz archive or a csv table; see `read_current_clamp`.

    Raises
    ------
    FileFormatError
        If there is no voltage, or no current.
    InputError
        If a unit or the sampling rate is said nowhere, or twice and differently, or a numbered voltage or current has
        no partner of its number.
    """
    arrays = load_npz(path, max_bytes=max_bytes) if kind == "npz" else _columns(path, max_bytes)
    voltages = _numbered(arrays, _VOLTAGE, "voltage", path)
    currents = _numbered(arrays, _CURRENT, "current", path)
    _require_partners(voltages, currents, path)
    voltage, voltage_unit = _series(arrays, voltages, "voltage", path)
    current, current_unit = _series(arrays, currents, "current", path)
    rate = _sampling_rate(arrays, asked["sampling_rate_hz"], path)
    _require_times_of(voltage, arrays, path)
    labels = list(voltages) if None not in voltages and len(voltages) == len(np.atleast_2d(voltage)) else None
    recording = current_clamp_from_array(
        voltage,
        current,
        rate,
        voltage_unit=_settle(voltage_unit, asked["voltage_unit"], "voltage", "mV", path),
        current_unit=_settle(current_unit, asked["current_unit"], "current", "pA", path),
        sweep=labels,
        area_cm2=area_cm2 if area_cm2 is not None else _scalar(arrays, _AREA),
        junction_potential_mv=_scalar(arrays, _JUNCTION),
        attrs={"source": str(path), "source_format": kind},
        notes=_notes_on_labels(arrays, labels or range(len(np.atleast_2d(voltage)))),
    )
    with xr.set_options(keep_attrs=True):
        return recording.assign_coords(time=recording["time"] + _start_s(arrays))


def _columns(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    header, values = load_table(path, max_bytes)
    if header is None:
        raise FileFormatError(f"{path} has no header; expected columns such as time_ms, voltage_mV, current_pA.")
    names = [name.strip() for name in header]
    named = (_VOLTAGE, _CURRENT, _TIME, _STEP, _RATE, _AREA, _JUNCTION)
    known = [name for name in names if any(pattern.match(name) for pattern in named)]
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise FileFormatError(f"{path} has several columns named {twice!r}; give each a name of its own.")
    return {name: values[:, i] for i, name in enumerate(names)}


def _numbered(arrays: Mapping[str, np.ndarray], pattern: re.Pattern[str], what: str, path: Path) -> _Numbered:
    """The arrays whose names fit."""
    matches = [match for name in arrays if (match := pattern.match(name)) and np.size(arrays[name]) > 1]
    if not matches:
        raise FileFormatError(f"{path} has no {what}; it has {', '.join(arrays) or 'nothing'}.")
    if len(matches) == 1 and matches[0].group(3) is None:
        return {None: matches[0]}
    found: _Numbered = {}
    for match in sorted(matches, key=lambda match: int(match.group(3) or 0)):
        number = int(match.group(3) or 0)
        if number in found:
            raise InputError(f"{path} gives one {what} twice: {found[number].string} and {match.string}; keep one.")
        found[number] = match
    return found


def _require_partners(voltages: _Numbered, currents: _Numbered, path: Path) -> None:
    """Numbered voltages and currents belong together by their numbers; a single one without number goes with all."""
    if None in voltages or None in currents:
        return
    alone = [match.string for number, match in voltages.items() if number not in currents]
    alone += [match.string for number, match in currents.items() if number not in voltages]
    if alone:
        raise InputError(
            f"{path}: {', '.join(alone)} {'have' if len(alone) > 1 else 'has'} no partner of the same number; voltages"
            " and currents are matched by the numbers in their names."
        )


def _series(arrays: Mapping[str, np.ndarray], found: _Numbered, what: str, path: Path) -> tuple[np.ndarray, str | None]:
    """The array, or the columns one below the other, and the unit in their names."""
    names = [match.string for match in found.values()]
    units = {micro_sign((match.group(2) or "").lower()).replace("_", "/") for match in found.values()}
    if len(units) > 1:
        raise InputError(f"{path} gives the {what} in several units ({', '.join(sorted(units))}); expected one.")
    unit = units.pop()
    if len(names) > 1 and any(np.ndim(arrays[name]) != 1 for name in names):
        raise InputError(f"{path} has several arrays of {what}: {', '.join(names)}.")
    values = np.stack([arrays[name] for name in names]) if len(names) > 1 else arrays[names[0]]
    return values, _UNITS.get(unit) if unit else None


def _require_times_of(voltage: np.ndarray, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise InputError where the file's times are not those of the samples."""
    for name, values in arrays.items():
        if _TIME.match(name) and np.size(values) > 1 and np.size(values) != np.shape(voltage)[-1]:
            raise InputError(
                f"{path}: {name!r} has {np.size(values)} times for a voltage of shape {np.shape(voltage)}; expected"
                " (time,) or (sweep, time), with a time for each sample."
            )


def _sampling_rate(arrays: Mapping[str, np.ndarray], asked: float | None, path: Path) -> float:
    said = _said_rates(arrays, path)
    if said and max(said.values()) > (1 + _SAME_RATE) * min(said.values()):
        raise InputError(
            f"{path} says twice and differently how it was sampled:"
            f" {', '.join(f'{rate:g} Hz by {name}' for name, rate in said.items())}; keep what holds."
        )
    found = [*said.values()][-1] if said else None
    if asked is not None:
        if found is not None and abs(found - asked) > 0.01 * found:
            raise InputError(f"{path} is sampled at {found:g} Hz by its own account, not at {asked:g} Hz.")
        return asked
    if found is None:
        raise InputError(f"{path} does not say how it was sampled; give sampling_rate_hz.")
    return found


def _said_rates(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, float]:
    """Sampling rates (Hz) by the names of the arrays that tell them."""
    said = {}
    for name, values in arrays.items():
        if match := _STEP.match(name):
            said[name] = 1 / (_positive(values, name, path) * SECONDS[plain_unit(match.group(2))])
        elif match := _RATE.match(name):
            said[name] = _positive(values, name, path) * (1000 if (match.group(2) or "").lower() == "khz" else 1)
        elif (match := _TIME.match(name)) and np.size(values) > 1:
            said[name] = _rate_of_times(np.ravel(values), match.group(2), name, path)
    return said


def _notes_on_labels(arrays: Mapping[str, np.ndarray], labels: Iterable[int]) -> list[str]:
    """What to know where the file has other labels of its sweeps than those that are used."""
    used = list(labels)
    return [
        f"{name!r} in the file ({np.array2string(np.ravel(values), threshold=6, edgeitems=3)}) is not read: the sweeps"
        f" are labelled {', '.join(map(str, used[:6]))}{' …' if len(used) > 6 else ''}. What labels them is a number in"
        " the names, as in voltage_mV_39 and current_pA_39."
        for name, values in arrays.items()
        if _LABELS.match(name) and not np.array_equal(np.ravel(values), used)
    ]


def _start_s(arrays: Mapping[str, np.ndarray]) -> float:
    """When the file's times begin; 0 in a file without."""
    for name, values in arrays.items():
        if (match := _TIME.match(name)) and match.group(2) and np.size(values) > 1:
            return float(np.ravel(values)[0]) * SECONDS[plain_unit(match.group(2))]
    return 0.0


def _positive(values: np.ndarray, name: str, path: Path) -> float:
    """The one number that an array holds, be it once or in each row."""
    if np.size(values) and values.dtype.kind in "iuf" and np.ptp(values) == 0 and np.ravel(values)[0] > 0:
        return float(np.ravel(values)[0])
    raise FileFormatError(f"{path}: {name} is {str(values)[:50]}; expected one positive number.")


def _rate_of_times(times: np.ndarray, unit: str | None, name: str, path: Path) -> float:
    steps = np.diff(times)
    step = float(np.median(steps))
    if not np.isfinite(steps).all() or step <= 0 or np.abs(steps - step).max() > 0.01 * step:
        raise InputError(f"{path}: the times in {name!r} are not evenly spaced; resample the recording first.")
    if unit is None:
        raise InputError(f"{path}: the times in {name!r} have no unit; name them time_s, time_ms or time_us.")
    return 1 / ((times[-1] - times[0]) / (len(times) - 1) * SECONDS[plain_unit(unit)])


def _settle(found: str | None, asked: str | None, what: str, example: str, path: Path) -> str:
    if found and asked and found.replace("µ", "u") != asked.replace("µ", "u"):
        raise InputError(f"{path} gives its {what} in {found}, not in {asked}.")
    if not (found or asked):
        raise InputError(f"{path} does not say in which unit its {what} is; give {what}_unit, for example {example!r}.")
    return found or asked or ""


def _scalar(arrays: Mapping[str, np.ndarray], pattern: re.Pattern) -> float | None:
    values = [
        float(np.ravel(v)[0])
        for name, v in arrays.items()
        if pattern.match(name) and np.size(v) == 1 and v.dtype.kind in "iuf"
    ]
    return values[0] if values else None
