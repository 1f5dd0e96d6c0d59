"""Axon binary files, with pyabf (the extra ``abf``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.current_clamp.sweeps import (
    CURRENT_UNITS,
    VOLTAGE_UNITS,
    current_clamp_from_array,
    micro_sign,
)

_HEADER_BYTES = 512


def read_abf_sweeps(path: Path, asked: Mapping[str, Any], area_cm2: float | None) -> xr.Dataset:
    """Read all sweeps: the first channel in a unit of voltage, and the current that was recorded or, else, commanded.

    Raises
    ------
    InputError
        If pyabf is not installed, or no channel is a voltage.
    FileFormatError
        If the file is damaged.
    """
    try:
        import pyabf
    except ImportError as error:
        raise InputError("ABF files need pyabf: pip install 'antidrome[abf]'") from error
    if path.stat().st_size < _HEADER_BYTES:
        raise FileFormatError(f"{path} is cut short: {path.stat().st_size} bytes are less than an ABF header.")
    try:
        file = pyabf.ABF(str(path))
        units = [micro_sign(str(unit).strip()) for unit in file.adcUnits]
        found = _sweeps(file, units, asked, path)
    except (FileFormatError, InputError):
        raise
    except Exception as error:  # pyabf raises whatever a damaged header leads to
        raise FileFormatError(f"{path} cannot be read as ABF: {type(error).__name__}: {error}") from error
    voltage, current, current_unit, rate, notes = found
    return current_clamp_from_array(
        voltage,
        current,
        rate,
        voltage_unit=_voltage_unit(units, asked, path),
        current_unit=current_unit,
        area_cm2=area_cm2,
        attrs={"source": str(path), "source_format": "abf", "protocol": str(getattr(file, "protocol", ""))},
        notes=notes,
    )


def _sweeps(
    file: Any, units: list[str], asked: Mapping[str, Any], path: Path
) -> tuple[np.ndarray, np.ndarray, str, float, list[str]]:
    channel = units.index(_voltage_unit(units, asked, path))
    recorded = next((i for i, unit in enumerate(units) if unit in CURRENT_UNITS), None)
    voltage, current, command_unit = [], [], "pA"
    for sweep in file.sweepList:
        file.setSweep(sweep, channel=channel)
        voltage.append(np.array(file.sweepY, np.float64))
        command_unit = micro_sign(str(file.sweepUnitsC).strip("\0 "))
        current.append(np.array(file.sweepC, np.float64))
    if recorded is not None:
        current, command_unit = [], units[recorded]
        for sweep in file.sweepList:
            file.setSweep(sweep, channel=recorded)
            current.append(np.array(file.sweepY, np.float64))
    if not all(np.isfinite(c).all() for c in current):
        raise InputError(
            f"{path} holds neither a recorded current nor the command as a waveform of epochs; export voltage and"
            " current together, for example as csv."
        )
    unit = asked["current_unit"] or command_unit
    if unit not in CURRENT_UNITS:
        raise InputError(
            f"{path} gives its command in {command_unit or 'no unit'}; if it is a current clamp, say with current_unit."
        )
    if asked["sampling_rate_hz"] and abs(asked["sampling_rate_hz"] - file.dataRate) > 0.01 * file.dataRate:
        raise InputError(f"{path} is sampled at {file.dataRate} Hz, not at {asked['sampling_rate_hz']:g} Hz.")
    notes = ["the current is the one that was recorded" if recorded is not None else "the current is the command"]
    length = min(map(len, [*voltage, *current]))
    if any(len(v) != length for v in voltage):
        notes.append(f"sweeps differ in length; each is cut to {length} samples")
    return np.stack([v[:length] for v in voltage]), np.stack([c[:length] for c in current]), unit, file.dataRate, notes


def _voltage_unit(units: list[str], asked: Mapping[str, Any], path: Path) -> str:
    found = next((unit for unit in units if unit in VOLTAGE_UNITS), None)
    if found is None or (asked["voltage_unit"] and asked["voltage_unit"] != found):
        raise InputError(
            f"{path} has channels in {', '.join(units)}; expected a voltage"
            + (f" in {asked['voltage_unit']}." if asked["voltage_unit"] else ".")
        )
    return found
