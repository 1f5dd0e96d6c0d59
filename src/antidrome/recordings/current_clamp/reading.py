"""``read_current_clamp``: NWB, ABF, npz and csv, told apart by content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xarray as xr

from antidrome.errors import AntidromeError, FileFormatError
from antidrome.recordings.current_clamp.sweeps import find_sweeps, micro_sign
from antidrome.recordings.safety import DEFAULT_MAX_BYTES, require_file, require_size

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_current_clamp(
    path: str | os.PathLike[str],
    *,
    voltage_unit: str | None = None,
    current_unit: str | None = None,
    sampling_rate_hz: float | None = None,
    area_cm2: float | None = None,
    sweeps: Any = None,
    allow_external: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> xr.Dataset:
    """Read a current-clamp recording.

    Parameters
    ----------
    path
        NWB (current-clamp series and their stimuli), ABF (with the extra ``abf``), npz or csv. In npz and csv, names
        tell what an array is and its unit: ``voltage_mV``, ``current_pA`` (or ``command_pA``), ``time_s`` or ``dt_ms``
        or ``sampling_rate_hz``. Numbered columns, ``voltage_mV_1`` and ``current_pA_1``, belong together by their
        numbers, which label the sweeps. The stimuli of an NWB file are brought to the samples of their responses by
        their own sampling rates and starting times; ``attrs["notes"]`` tell where that changed anything.
    voltage_unit, current_unit
        For files that do not say; a unit that contradicts the file's is refused. NWB always says V and A, also where
        mV and pA were written without their conversion: there the unit given here holds, and is noted.
    sampling_rate_hz
        Samples per second, for files that do not say.
    area_cm2
        Area of the membrane, cm², to be kept with the recording.
    sweeps
        Label or labels of the sweeps to read, numbers or their text; by default all. NWB files whose sweeps differ in
        sampling rate are read so.
    allow_external
        Allow HDF5 files to read from other files.
    max_bytes
        Cap on what one array may declare.

    Returns
    -------
    Dataset with `voltage_mv` and `current_pa` (sweep, time); see `current_clamp_from_array`. Times are those that an
    npz or csv file holds, else they count from the start of the sweep.

    Raises
    ------
    InputError
        If a unit or the sampling rate is not known, or values are implausible in their unit.
    FileFormatError, UnsafeFileError
        If the file is damaged, of no known format, or asks for what a recording never needs.
    """
    path = require_file(path)
    asked = {
        "voltage_unit": voltage_unit and micro_sign(voltage_unit),
        "current_unit": current_unit and micro_sign(current_unit),
        "sampling_rate_hz": sampling_rate_hz,
    }
    kind = _format(path)
    require_size(path.stat().st_size, max_bytes, str(path))
    try:
        if kind == "nwb":
            from antidrome.recordings.current_clamp.nwb_series import read_nwb_sweeps

            return read_nwb_sweeps(path, asked, area_cm2, sweeps, allow_external=allow_external, max_bytes=max_bytes)
        if kind == "abf":
            from antidrome.recordings.current_clamp.abf import read_abf_sweeps

            found = read_abf_sweeps(path, asked, area_cm2)
        else:
            from antidrome.recordings.current_clamp.tables import read_table_sweeps

            found = read_table_sweeps(path, kind, asked, area_cm2, max_bytes)
        return found.isel(sweep=find_sweeps(found["sweep"].values.tolist(), sweeps, str(path)))
    except AntidromeError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def holds_voltage(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a current-clamp recording: NWB, ABF, or an npz or csv with a column of voltage.

    Raises
    ------
    InputError
        There is no such file.
    FileFormatError
        An npz is damaged.
    """
    path = require_file(path)
    try:
        kind = _format(path)
    except FileFormatError:
        return False
    if kind in ("nwb", "abf"):
        return True
    from antidrome.recordings.current_clamp.tables import names_voltage

    if kind == "npz":
        from antidrome.recordings.archives import load_npz

        return names_voltage(load_npz(path))
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(10_000)
    return names_voltage(name.strip().strip('"') for name in first.replace(";", ",").replace("\t", ",").split(","))


def _format(path: Path) -> str:
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder; expected one NWB, ABF, npz or csv file.")
    with open(path, "rb") as stream:
        start = stream.read(8)
    if start == _HDF5_MAGIC:
        return "nwb"
    if start[:4] in (b"ABF ", b"ABF2"):
        return "abf"
    if start[:2] == b"PK":
        return "npz"
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return "csv"
    raise FileFormatError(f"{path} is no current-clamp recording known here; expected NWB, ABF, npz or csv.")
