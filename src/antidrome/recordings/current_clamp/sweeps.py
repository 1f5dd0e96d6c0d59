"""What a current-clamp recording is: voltage (mV) and current (pA) of sweeps that share their times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.axes import time_in_seconds

VOLTAGE_UNITS = {"V": 1e3, "volts": 1e3, "volt": 1e3, "mV": 1.0, "µV": 1e-3, "uV": 1e-3}
CURRENT_UNITS = {
    "A": 1e12,
    "amperes": 1e12,
    "ampere": 1e12,
    "mA": 1e9,
    "µA": 1e6,
    "uA": 1e6,
    "nA": 1e3,
    "pA": 1.0,
}
DENSITY_UNITS = {"µA/cm²": 1e6, "uA/cm2": 1e6, "µA/cm2": 1e6, "uA_cm2": 1e6, "ua_cm2": 1e6}
_PLAUSIBLE_MV = (1.0, 500.0)
_PLAUSIBLE_PA = (1.0, 5e4)
_PLAUSIBLE_DENSITY_PA = (1e-1, 1e6)
_PLAUSIBLE_HZ = (200.0, 5e6)
_SAME_STEP = 1e-6


def current_clamp_from_array(
    voltage: Any,
    current: Any,
    sampling_rate_hz: float,
    *,
    voltage_unit: str = "mV",
    current_unit: str = "pA",
    area_cm2: float | None = None,
    sweep: Sequence[Any] | None = None,
    junction_potential_mv: float | None = None,
    attrs: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> xr.Dataset:
    """A current-clamp recording from arrays.

    Parameters
    ----------
    voltage, current
        (time,) or (sweep, time), in their units; a single current serves all sweeps. NaN is allowed in voltages (what
        was not recorded).
    sampling_rate_hz
        Samples per second.
    voltage_unit
        V, mV or µV.
    current_unit
        A, mA, µA, nA, pA; or the density µA/cm², which needs ``area_cm2``.
    area_cm2
        Area of the membrane, cm², kept with the recording (a model's current is a density).
    sweep
        Labels; by default 0, 1, …
    junction_potential_mv
        Liquid-junction potential, to be added to the voltage: noted with the recording and not applied.

    Returns
    -------
    Dataset with `voltage_mv` and `current_pa` (sweep, time), times in seconds from the start of the sweep.

    Raises
    ------
    InputError
        If shapes do not fit, a unit is unknown, or values are implausible in the unit given, as they are when units
        are confused.

    Examples
    --------
    >>> recording = current_clamp_from_array([-70.0, -65.0, -70.0], [0.0, 0.1, 0.0], 1000.0, current_unit="nA")
    >>> recording["current_pa"].values.tolist(), recording["time"].values.tolist()
    ([[0.0, 100.0, 0.0]], [0.0, 0.001, 0.002])
    """
    rate = _positive(sampling_rate_hz, "sampling_rate_hz")
    if not _PLAUSIBLE_HZ[0] <= rate <= _PLAUSIBLE_HZ[1]:
        raise InputError(
            f"sampling_rate_hz is {rate:g}; spikes are recorded with thousands of samples per second. Is it in kHz, or"
            " does a time step have another unit than its name says?"
        )
    voltage_unit, current_unit = micro_sign(voltage_unit.strip()), micro_sign(current_unit.strip())
    v = _table(voltage, "voltage") * _factor(voltage_unit, VOLTAGE_UNITS, "voltage")
    i = _table(current, "current") * _current_factor(current_unit, area_cm2)
    if len(i) == 1 and len(v) > 1:
        i = np.repeat(i, len(v), axis=0)
    _refuse_turned(v)
    if v.shape != i.shape:
        raise InputError(f"Voltage of shape {v.shape} and current of shape {i.shape} do not belong together.")
    if not np.isfinite(i).all():
        raise InputError("The injected current has missing or infinite values; a model needs all of it.")
    labels = np.arange(len(v)) if sweep is None else np.asarray(sweep)
    if labels.shape != (len(v),):
        raise InputError(f"{labels.size} sweep labels were given for {len(v)} sweeps.")
    _check_plausible(v, voltage_unit, _PLAUSIBLE_MV, "voltage", "mV")
    limits = _PLAUSIBLE_DENSITY_PA if current_unit in DENSITY_UNITS else _PLAUSIBLE_PA
    _check_plausible(i, current_unit, limits, "current", "pA")
    described = {"sampling_rate_hz": rate, "notes": list(notes), **dict(attrs or {})}
    if area_cm2 is not None:
        described["area_cm2"] = _positive(area_cm2, "area_cm2")
    if junction_potential_mv is not None:
        described["junction_potential_mv"] = float(junction_potential_mv)
    dims = ("sweep", "time")
    return xr.Dataset(
        {
            "voltage_mv": (dims, v, {"units": "mV", "long_name": "membrane voltage"}),
            "current_pa": (dims, i, {"units": "pA", "long_name": "injected current"}),
        },
        coords={"sweep": labels, "time": ("time", np.arange(v.shape[1]) / rate, {"units": "s"})},
        attrs=described,
    )


def find_sweeps(labels: Sequence[Any], sweeps: Any, where: str) -> list[int]:
    """Positions of the sweeps asked for (one, or a list), by label or by the text of a label; of all if it is None.

    Raises
    ------
    InputError
        If no sweep is asked for.
    FileFormatError
        If there is no sweep of that label.
    """
    if sweeps is None:
        return list(range(len(labels)))
    sweeps = list(sweeps) if isinstance(sweeps, Iterable) and not isinstance(sweeps, str) else [sweeps]
    if not len(sweeps):
        raise InputError("sweeps is empty; name at least one, or leave it out to read all.")
    texts = [str(label) for label in labels]
    absent = [sweep for sweep in sweeps if sweep not in labels and str(sweep) not in texts]
    if absent:
        raise FileFormatError(f"{where} has no sweep {absent[0]!r}; it has {', '.join(texts)}.")
    return [labels.index(sweep) if sweep in labels else texts.index(str(sweep)) for sweep in sweeps]


def micro_sign(text: str) -> str:
    """The text with the Greek letter μ, which looks like the sign µ of units, replaced by that sign."""
    return text.replace("\u03bc", "\u00b5")


def stimulus_epoch(recording: xr.Dataset, sweep: Any = None) -> tuple[float, float]:
    """When the stimulus is on, in ms: the longest time for which the current differs from the holding current.

    In the times of the recording: where its beginning was cut off, they still count from the start of the sweep.

    Parameters
    ----------
    recording
        From `current_clamp_from_array` or `read_current_clamp`.
    sweep
        Label of the sweep, or its text; not needed if there is only one.

    Raises
    ------
    InputError
        If the current never changes.
    """
    stretches = stimulus_stretches(recording, sweep)
    on_ms, off_ms = stretches[int(np.argmax(stretches[:, 1] - stretches[:, 0]))].tolist()
    return on_ms, off_ms


def stimulus_stretches(recording: xr.Dataset, sweep: Any = None) -> np.ndarray:
    """From when to when, in ms, the current differs from the holding current, (stretch, 2); see `stimulus_epoch`."""
    one = choose_sweep(recording, sweep)
    current, (start_ms, rate_hz) = one["current_pa"].values, sampling_of(one)
    holding = np.median(current[: max(1, len(current) // 50)])
    scale = max(float(np.abs(current - holding).max()), 1e-12)
    away = np.abs(current - holding) > 0.05 * scale
    if scale < 1e-3 or not away.any():
        raise InputError("The injected current never changes, so there is no stimulus; give its times yourself.")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], away.astype(np.int8), [0]])))
    return start_ms + edges.reshape(-1, 2) / (rate_hz / 1000)


def sampling_of(recording: xr.Dataset) -> tuple[float, float]:
    """Time of the first sample (ms) and samples per second, by the times: some may have been cut off or thinned out.

    Raises
    ------
    InputError
        If the times are not evenly spaced.
    """
    if "time" not in recording.coords:
        return 0.0, float(recording.attrs["sampling_rate_hz"])
    time_s = time_in_seconds(recording["time"])
    if len(time_s) < 2:
        raise InputError(f"A sweep needs two samples or more; the recording has {len(time_s)}.")
    step_s = (time_s[-1] - time_s[0]) / (len(time_s) - 1)
    if not step_s > 0 or np.abs(np.diff(time_s) - step_s).max() > 0.01 * step_s:
        raise InputError("The times of the recording are not evenly spaced; take one stretch of it.")
    declared = float(recording.attrs.get("sampling_rate_hz", 1 / step_s))
    exact = declared / max(1, round(declared * step_s))
    return 1000 * float(time_s[0]), exact if abs(exact * step_s - 1) < _SAME_STEP else float(1 / step_s)


def choose_sweep(recording: xr.Dataset, sweep: Any = None) -> xr.Dataset:
    """One sweep of a recording, dims (time,).

    Raises
    ------
    InputError
        If there are several and none was named, or none of that name.
    """
    if "sweep" not in recording.dims:  # one that xarray has taken out already
        recording = recording.expand_dims("sweep")
    labels = recording["sweep"].values.tolist()
    if sweep is None and len(labels) == 1:
        return recording.isel(sweep=0)
    there = f"the recording has {', '.join(map(str, labels))}"
    if sweep is None:
        raise InputError(f"Which of the {len(labels)} sweeps? Name one; {there}.")
    if sweep not in labels and str(sweep) not in map(str, labels):
        raise InputError(f"There is no sweep {sweep!r}; {there}.")
    return recording.isel(sweep=find_sweeps(labels, [sweep], "The recording")[0])


def _table(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or array.size == 0 or array.shape[-1] < 2:
        raise InputError(
            f"The {name} has shape {array.shape} and type {array.dtype}; expected (time,) or (sweep, time)."
        )
    return np.atleast_2d(array.astype(np.float64))


def _refuse_turned(voltage: np.ndarray) -> None:
    n_sweeps, n_samples = voltage.shape
    if n_sweeps > n_samples:
        raise InputError(
            f"The voltage would be {n_sweeps} sweeps of {n_samples} samples; expected (sweep, time): transpose voltage"
            " and current."
        )


def _factor(unit: str, known: Mapping[str, float], name: str) -> float:
    if unit not in known:
        raise InputError(f"{unit!r} is no unit of {name} known here; known are {', '.join(known)}.")
    return known[unit]


def _current_factor(unit: str, area_cm2: float | None) -> float:
    if unit not in DENSITY_UNITS:
        return _factor(unit, CURRENT_UNITS, "current")
    if area_cm2 is None:
        raise InputError(f"A current density ({unit}) needs area_cm2, the area of the membrane.")
    return DENSITY_UNITS[unit] * _positive(area_cm2, "area_cm2")


def _check_plausible(values: np.ndarray, unit: str, limits: tuple[float, float], name: str, base: str) -> None:
    """Values that no cell has come from a wrong unit; a current that is zero throughout is fine."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError(f"The {name} has no finite value.")
    largest = float(np.abs(finite).max())
    low, high = limits
    if largest > high or 0 < largest < low:
        raise InputError(
            f"The {name} reaches {largest:.3g} {base} if it is in {unit}, which no cell does: it is probably in another"
            f" unit; say which with {name}_unit."
        )


def _positive(value: float, name: str) -> float:
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"{name} is {value}; expected a positive number.")
    return float(value)
