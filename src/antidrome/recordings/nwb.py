"""Recordings in NWB files: ``RoiResponseSeries`` in ``DfOverF`` or ``Fluorescence``, with their ROI table.

The file is guarded first (:mod:`antidrome.recordings.safety`), then opened by pynwb; the traces stay on disk. Which
axis is time is decided by the length of the ROI table, since files with the axes exchanged are common.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import xarray as xr
from pynwb.ophys import DfOverF, Fluorescence, RoiResponseSeries

from antidrome.errors import AntidromeError, FileFormatError, InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import BY_NUMBER, even_times
from antidrome.recordings.choice import of_a_result, settle_frame_rate
from antidrome.recordings.lazy import lazy_hdf5, picked, recorded
from antidrome.recordings.nwb_caiman import is_denoised, residuals
from antidrome.recordings.nwb_planes import join_planes
from antidrome.recordings.nwb_results import MARK, NO_SESSION
from antidrome.recordings.nwb_rois import RoiTable, roi_table
from antidrome.recordings.options import KEEP_ALL, ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import open_hdf5
from antidrome.recordings.units import is_percent, says_dff, stated_units, units_of_spikes

_NOT_TRACES = ("neuropil", "deconv", "denoised", "background", "spike")
_CORRECTED = ("correct", "subtract", "minus", "demix")
_NOT_CORRECTED = re.compile(r"(un|non|not|pre|(?<![a-z])(un|non|not|pre)[-_ ]+)(correct|subtract)(ed|ion|ing)?")
_CORRECTED_ELSE = re.compile(
    r"baseline|background|motion|bleach|drift|offset|(?<!a)gain|dark|cross[-_ ]?talk|(?<!c)ha?emo"
)
"""What else is taken away from traces, which then still hold their neuropil."""


@dataclass(frozen=True)
class Series:
    """One ``RoiResponseSeries``, where it is ("ophys/DfOverF/plane0"), and the container that it is or should be in."""

    path: str
    kind: str
    series: Any

    @property
    def is_trace(self) -> bool:
        """False for neuropil, baselines, deconvolved traces, and results of spike inference."""
        words = self.path.lower()
        if any(word in words for word in _NOT_TRACES) or "spike" in str(self.series.unit).lower():
            return False
        own = "/".join(words.split("/")[-2:])
        return "baseline" not in own or _is_corrected_for("baseline", own)

    @property
    def is_corrected(self) -> bool:
        """Whether its own name, or that of its container, says that something was taken away that may be neuropil."""
        own = _NOT_CORRECTED.sub("", "/".join(self.path.lower().split("/")[-2:]))
        of_else = _CORRECTED_ELSE.search(own) is not None and "neuropil" not in own
        return any(word in own for word in _CORRECTED) and not of_else

    @property
    def is_neuropil(self) -> bool:
        """True for neuropil itself, False for traces that were corrected for it ("NeuropilCorrected")."""
        words = self.path.lower()
        return "neuropil" in words and not _is_corrected_for("neuropil", words)


def _is_corrected_for(what: str, path: str) -> bool:
    """Whether the names of a path, from the last that says what it is of, say that it was taken away."""
    names = path.split("/")
    last = max(place for place, name in enumerate(names) if what in name)
    return any(word in name for name in names[last:] for word in _CORRECTED)


@contextmanager
def open_nwb(path: Path, options: ReadOptions) -> Iterator[pynwb.NWBFile]:
    """Open a guarded NWB file with pynwb for reading."""
    with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes) as file:
        try:
            with warnings.catch_warnings():
                # on cached namespaces and exchanged axes, which are seen to and noted here
                warnings.simplefilter("ignore", UserWarning)
                io = pynwb.NWBHDF5IO(file=file, mode="r", load_namespaces=True)
                nwbfile = io.read()
        except Exception as error:  # pynwb raises many kinds for files that break its schema
            raise FileFormatError(f"{path} cannot be read as NWB: {_reason(error)}") from error
        yield nwbfile


def _reason(error: Exception) -> str:
    """What pynwb says, without the print of the whole file that its builders put before it."""
    return f"{type(error).__name__}: {' '.join(str(error.args[-1] if error.args else error).split())[:400]}"


def find_series(nwbfile: pynwb.NWBFile) -> list[Series]:
    """All ``RoiResponseSeries`` of a file, in the order of their paths."""
    found = []
    for item in nwbfile.objects.values():
        if not isinstance(item, RoiResponseSeries):
            continue
        names, holder = [item.name], item.parent
        while holder is not None and not isinstance(holder, pynwb.NWBFile):
            names.append(holder.name)
            holder = holder.parent
        found.append(Series("/".join(reversed(names)), _kind(item), item))
    return sorted(found, key=lambda series: series.path)


def _kind(series: RoiResponseSeries) -> str:
    """The container of a series; "DfOverF" in any other if its name or unit says ΔF/F, and "" where none says."""
    if isinstance(series.parent, DfOverF) or says_dff(series.name) or says_dff(series.unit):
        return "DfOverF"
    if isinstance(series.parent, Fluorescence):
        return "DfOverF" if is_percent({"units": series.unit}) else "Fluorescence"
    return ""


def pick_series(found: list[Series], wanted: str | None, where: str) -> Series:
    """The series asked for by name or end of path; else the only trace in ``DfOverF``, else in ``Fluorescence``.

    A trace that this package added to the file is taken only where there is no other. Of several that a name fits,
    neuropil and deconvolved traces are passed over in the same way.
    """
    listed = ", ".join(f"{s.path!r} {' × '.join(map(str, np.shape(s.series.data)))}" for s in found)
    if not found:
        raise FileFormatError(
            f"{where} has no RoiResponseSeries, expected one in processing/ophys (current-clamp sweeps are read with "
            "antidrome.recordings.read_current_clamp)"
        )
    matching = found if wanted is None else series_called(found, wanted)
    best = matching if len(matching) == 1 else _preferred(matching)
    if len(best) == 1:
        return best[0]
    if wanted is not None:
        raise InputError(f"{where}: series = {wanted!r} fits {len(best)} series, the file has {listed}")
    raise InputError(
        f"{where}: choose a series with series= (--series NAME), or several planes, which are joined, with commas "
        f"(--series NAME,NAME); the file has {listed}{of_a_result(listed)}"
    )


def pick_planes(found: list[Series], wanted: str | None, where: str) -> list[Series]:
    """The series asked for; several where ``wanted`` names several, parted by commas."""
    names = [] if wanted is None or series_called(found, wanted) else [name.strip() for name in wanted.split(",")]
    if len(names) < 2:
        return [pick_series(found, wanted, where)]
    planes = [pick_series(found, name, where) for name in names]
    if len({plane.path for plane in planes}) < len(planes):
        raise InputError(f"{where}: series = {wanted!r} names a series twice")
    return planes


def series_called(found: list[Series], wanted: str) -> list[Series]:
    """The series that a name fits: the whole path, else the end of it, else any part."""
    matching = [s for s in found if s.path == wanted] or [s for s in found if f"/{s.path}".endswith(f"/{wanted}")]
    return matching or [s for s in found if wanted in s.path.split("/")]


def _preferred(found: list[Series]) -> list[Series]:
    """Traces of others than this package, if there are; of these the first kind that there is."""
    traces = [s for s in found if s.is_trace]
    traces = [s for s in traces if not str(s.series.comments).startswith(MARK)] or traces
    for kind in ("DfOverF", "Fluorescence", ""):
        if candidates := [s for s in traces if s.kind == kind]:
            return candidates
    return found


def read_nwb(path: Path, options: ReadOptions) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Read a trace and, if the file has it, the neuropil of the same ROIs.

    Parameters
    ----------
    path
        NWB file (HDF5).
    options
        ``series`` names the series ("plane0", "DfOverF/plane0", or its whole path), or several planes of one clock
        ("plane0,plane1"), which are joined; ``accepted_only=False`` keeps ROIs that a column "accepted" or "iscell" of
        the ROI table rejects (CaImAn's "keep", where "accepted" is false throughout).

    Returns
    -------
    recording, neuropil
        Dask-backed; the scalar columns of the ROI table are neuron coordinates; labels are the ROI table's ids, with
        the name of the series before them where several are joined.
    """
    with open_nwb(path, options) as nwbfile:
        found = find_series(nwbfile)
        recordings, neuropils = [], []
        for chosen in pick_planes(found, options.series, str(path)):
            table = roi_table(chosen.series, f"{path}: {chosen.path}")
            recording, surround = _recording(chosen, table, path, options, nwbfile), None
            if chosen.is_corrected:
                recording.attrs["notes"].append(f"{chosen.path} is taken as corrected for neuropil, as its name says")
            elif chosen.kind != "DfOverF":
                surround = _neuropil(found, chosen, table, path, options, nwbfile)
            recordings.append(recording)
            neuropils.append(surround)
    names = [recording.attrs["series"] for recording in recordings]
    neuropil = None if any(one is None for one in neuropils) else join_planes(neuropils, names, str(path))
    return join_planes(recordings, names, str(path)), neuropil


def frame_times(series: RoiResponseSeries, n_frames: int, where: str) -> tuple[np.ndarray | None, float | None]:
    """Frame times (s) and frame rate (Hz) of a series: its timestamps, or starting time and rate."""
    if series.timestamps is not None:
        time = np.asarray(series.timestamps[:], dtype=np.float64)
        if time.shape != (n_frames,):
            raise FileFormatError(f"{where} has {counted(time.size, 'timestamp')} for {counted(n_frames, 'frame')}")
        return time, None
    rate = np.nan if series.rate is None else float(series.rate)  # before it is judged: a long double may be less
    if not np.isfinite(rate) or rate <= 0:
        return None, None
    return even_times(float(series.starting_time or 0.0), rate, n_frames), rate


def frames_of(series: RoiResponseSeries, n_rois: int) -> int:
    """Number of frames of a series of so many ROIs, whichever of its axes is time."""
    shape = np.shape(series.data)
    return shape[-1] if len(shape) == 2 and _is_transposed(shape, n_rois, series, ReadOptions()) else shape[0]


def _recording(
    chosen: Series, table: RoiTable, path: Path, options: ReadOptions, nwbfile: pynwb.NWBFile
) -> xr.DataArray:
    series, where = chosen.series, f"{path}: {chosen.path}"
    notes = list(table.notes)
    values, n_frames = _values(series, len(table), where, options, notes)
    if is_denoised(series):
        values = values + _values(residuals(series, where), len(table), where, options, [])[0].rechunk(values.chunks)
        notes.append("fluorescence is C + residuals of CaImAn (denoised trace plus residual)")
    time, found_rate = frame_times(series, n_frames, where)
    if options.frame_rate_hz is not None and found_rate is not None:
        rate = settle_frame_rate(options.frame_rate_hz, found_rate, None, where, notes)
        time = even_times(float(series.starting_time or 0.0), options.frame_rate_hz, n_frames)
    else:
        rate = settle_frame_rate(options.frame_rate_hz, found_rate, time, where, notes)
    kept = table.kept(options.accepted_only)
    if kept.size == 0:
        raise InputError(f"{where}: the ROI table accepts none of {len(table)} ROIs: {KEEP_ALL}")
    if kept.size < len(table):
        notes.append(
            f"{counted(len(table) - kept.size, 'ROI', 'is', of=len(table))} not accepted in the ROI table: left out"
        )
        values = picked(values, kept, 1)
    if chosen.kind == "DfOverF" and options.quantity is None and not isinstance(series.parent, DfOverF):
        notes.append(f"taken for ΔF/F, as the name {series.name!r} or unit {series.unit!r} of the series says")
    quantity = options.quantity or {"DfOverF": "dff", "Fluorescence": "fluorescence"}.get(chosen.kind, "unknown")
    unit: str | None = str(series.unit)
    if options.quantity == "dff" and stated_units({"units": unit, "quantity": "dff"}) is None:
        notes.append(f"unit {unit!r} of the series is none of ΔF/F: taken for fractions, as quantity='dff' says")
        unit = None
    by_number = BY_NUMBER if all(map(str.isdecimal, table.labels.tolist())) else {}
    session_id = None if nwbfile.session_id == NO_SESSION else nwbfile.session_id
    try:
        return from_array(
            values,
            rate,
            neuron=table.labels[kept],
            time=time,
            quantity=quantity,
            units={"dff": unit, "unknown": units_of_spikes(series.unit)}.get(quantity),
            coords={name: column[kept] for name, column in table.columns.items()},
            attrs=options.provenance(path, "nwb", session_id) | {"series": chosen.path} | by_number,
            notes=notes,
        )
    except AntidromeError as error:
        raise type(error)(f"{where}: {error}") from error


def _values(
    series: pynwb.TimeSeries, n_rois: int, where: str, options: ReadOptions, notes: list[str]
) -> tuple[Any, int]:
    """Lazy values (frames, ROIs) with conversion and offset applied, and the number of frames."""
    data = series.data
    shape = np.shape(data)
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "iuf":
        raise FileFormatError(f"{where} holds {getattr(data, 'dtype', type(data).__name__)}, expected numbers")
    if len(shape) == 1 and n_rois == 1:
        values, n_frames = lazy_hdf5(data, neuron_axis=0, allow_external=options.allow_external)[:, None], shape[0]
    elif len(shape) == 2 and n_rois in shape:
        transposed = _is_transposed(shape, n_rois, series, options)
        values = lazy_hdf5(data, neuron_axis=0 if transposed else 1, allow_external=options.allow_external)
        values = recorded(values, turned=True, dtype=values.dtype) if transposed else values
        n_frames = values.shape[0]
        if transposed:
            notes.append("the series is stored ROI × time, as its ROI table shows, and is read so")
    else:
        raise FileFormatError(
            f"{where} has shape {shape}, but its ROI table region has {n_rois} ROIs: no axis fits, the file is damaged"
        )
    if n_frames == 0:
        raise FileFormatError(f"{where} is empty")
    conversion = 1.0 if series.conversion is None else float(series.conversion)
    offset = float(series.offset or 0.0)
    if conversion == 0 or not np.isfinite([conversion, offset]).all():
        notes.append(f"conversion {conversion:g} and offset {offset:g} of the series are none and are not applied")
    elif (conversion, offset) != (1.0, 0.0):
        notes.append(f"values × {conversion:g} + {offset:g} (conversion and offset of the series)")
        values = values.astype(np.result_type(values.dtype, np.float32)) * conversion + offset
    return values, n_frames


def _is_transposed(shape: tuple[int, ...], n_rois: int, series: pynwb.TimeSeries, options: ReadOptions) -> bool:
    if options.orientation is not None and shape[0] == shape[1]:
        return options.orientation == "neuron,time"
    if shape[0] == shape[1]:
        return False
    return shape[0] == n_rois and not (series.timestamps is not None and len(series.timestamps) == n_rois)


def _neuropil(
    found: list[Series], chosen: Series, table: RoiTable, path: Path, options: ReadOptions, nwbfile: pynwb.NWBFile
) -> xr.DataArray | None:
    """The neuropil series of the same ROIs and frames, if there is just one and it is of no other series."""
    alike = [s for s in found if s is not chosen and _are_alike(s.series, chosen.series)]
    same = [s for s in alike if s.is_neuropil]
    if len(same) > 1:
        same = [s for s in same if s.series.name == chosen.series.name]
    if len(same) != 1 or not np.array_equal(roi_table(same[0].series, same[0].path).labels, table.labels):
        return None
    rest = "".join(re.findall(r"[a-z\d]+", str(same[0].series.name).lower().replace("neuropil", "")))
    others = [str(s.series.name).lower() for s in alike if s.is_trace and not s.is_neuropil]
    if rest and rest not in str(chosen.series.name).lower() and any(rest in name for name in others):
        return None
    return _recording(same[0], table, path, options, nwbfile).rename("neuropil")


def _are_alike(one: RoiResponseSeries, other: RoiResponseSeries) -> bool:
    """Whether two series are of the same frames and of the same rows of one ROI table."""
    return (
        np.shape(one.data) == np.shape(other.data)
        and one.rois.table is other.rois.table
        and np.array_equal(one.rois.data[:], other.rois.data[:])
    )
