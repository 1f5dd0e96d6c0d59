"""suite2p folders: ``F.npy``, ``Fneu.npy``, ``iscell.npy`` of shape (ROI, frame), raw and without any correction.

The frame rate stands in ``ops.npy`` (version 0) or ``settings.npy`` (version 1), which are pickles: it is read by the
restricted reader of :mod:`antidrome.recordings.pickles`, or given by the user.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.archives import load_npy
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.axes import BY_NUMBER
from antidrome.recordings.choice import settle_frame_rate, times_sign, usable_rate
from antidrome.recordings.lazy import lazy_npy, picked
from antidrome.recordings.options import KEEP_ALL, ReadOptions
from antidrome.recordings.pickles import load_settings
from antidrome.recordings.recording import from_array

_SETTINGS = ("ops.npy", "settings.npy", "db.npy")
_OWN_FOLDERS = re.compile(r"suite2p|combined|plane\d+")


def find_planes(path: Path) -> list[Path]:
    """Folders with ``F.npy``: the path itself, its ``plane0``, ``plane1``, … or those under its ``suite2p``.

    ``combined``, which holds all planes once more, counts where they are not there.
    """
    if (path / "F.npy").is_file():
        return [path]
    for root in (path, path / "suite2p"):
        planes = [p for p in root.glob("plane*") if re.fullmatch(r"plane\d+", p.name) and (p / "F.npy").is_file()]
        if planes:
            return sorted(planes, key=plane_number)
        if (root / "combined" / "F.npy").is_file():
            return [root / "combined"]
    return []


def plane_number(folder: Path) -> int:
    """Number of a plane folder; 0 for any other name."""
    found = re.fullmatch(r"plane(\d+)", folder.name)
    return int(found[1]) if found else 0


def roi_labels(plane: int, n_rois: int, n_planes: int) -> list[str]:
    """Labels of all ROIs of a plane: the ROI number, with the plane before it where there are several."""
    return [str(roi) if n_planes == 1 else f"plane{plane}/{roi}" for roi in range(n_rois)]


def read_suite2p(path: Path, options: ReadOptions) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Read a suite2p folder, or all planes under it.

    Parameters
    ----------
    path
        A plane folder (also ``combined``), a ``suite2p`` folder, or the folder above.
    options
        ``frame_rate_hz`` replaces that of the settings; ``accepted_only=False`` keeps ROIs that are no cells;
        ``series`` may name another trace file of the same shape ("F_chan2").

    Returns
    -------
    fluorescence, neuropil
        Raw traces of the ROIs that ``iscell.npy`` accepts (the number left out is in ``notes``), with neuron
        coordinates ``roi_id``, ``plane``, ``accepted`` and ``cell_probability``; and the neuropil, or None. Planes
        without an accepted ROI are left out and noted.

    Raises
    ------
    InputError
        If no plane has an accepted ROI, or the planes differ in frames or frame rate.
    FileFormatError
        If it is no suite2p folder, or its files contradict one another.
    """
    folders = find_planes(path)
    if not folders:
        raise FileFormatError(f"{path} is no suite2p folder: it has neither F.npy nor plane folders with one")
    found = [_read_plane(folder, len(folders), options) for folder in folders]
    planes = [plane for plane in found if plane.labels]
    if not planes:
        raise InputError(_none_accepted(path, folders, sum(plane.n_rois for plane in found)))
    lengths = {plane.traces.shape[1] for plane in planes}
    rates = {plane.frame_rate_hz for plane in planes}
    if len(lengths) > 1 or len(rates) > 1:
        raise InputError(
            f"{path}: the planes differ in frames ({sorted(lengths)}) or frame rate "
            f"({sorted(str(r) for r in rates)}): read each plane folder by itself"
        )
    notes = [note for plane in found for note in plane.notes]
    rate = settle_frame_rate(options.frame_rate_hz, planes[0].frame_rate_hz, None, str(path), notes)
    names = planes[0].columns
    common: dict[str, Any] = {
        "neuron": [label for plane in planes for label in plane.labels],
        "orientation": "neuron,time",
        "coords": {name: np.concatenate([plane.columns[name] for plane in planes]) for name in names},
        "attrs": options.provenance(path, "suite2p", session_name(path)) | BY_NUMBER,
    }
    quantity = options.quantity or quantity_of(options.series or "F")
    traces = from_array(
        _stack([plane.traces for plane in planes]),
        rate,
        quantity=quantity,
        notes=notes,
        **common,
    )
    neuropils = [plane.neuropil for plane in planes]
    if quantity == "dff" or any(neuropil is None for neuropil in neuropils):
        return traces, None
    return traces, from_array(_stack(neuropils), rate, quantity="fluorescence", **common).rename("neuropil")


@dataclass(frozen=True)
class _Plane:
    """One plane after the choice of ROIs; traces (ROI, frame); `n_rois` before it."""

    n_rois: int
    traces: Any
    neuropil: Any
    labels: list[str]
    columns: dict[str, np.ndarray]
    frame_rate_hz: float | None
    notes: list[str]


def _read_plane(folder: Path, n_planes: int, options: ReadOptions) -> _Plane:
    notes: list[str] = []
    traces = _load_traces(folder / "F.npy", options)
    if options.series is not None:
        traces = _load_series(folder, options, traces.shape)
    n_rois = traces.shape[0]
    accepted, probability = _accepted(folder, n_rois, notes)
    kept = np.flatnonzero(accepted) if options.accepted_only else np.arange(n_rois)
    if kept.size == 0:
        notes.append(f"{folder.name} is left out: none of its {n_rois} ROIs is accepted (iscell.npy)")
    elif kept.size < n_rois:
        notes.append(
            f"{counted(n_rois - kept.size, 'ROI', of=n_rois)} in {folder.name} left out: no cells (iscell.npy)"
        )
    neuropil = None
    if options.series is None and (folder / "Fneu.npy").is_file():
        neuropil = _load_traces(folder / "Fneu.npy", options)
        if neuropil.shape != traces.shape:
            raise FileFormatError(f"{folder}: Fneu.npy is {neuropil.shape}, F.npy is {traces.shape}; they must agree")
    number = plane_number(folder)
    labels = roi_labels(number, n_rois, n_planes)
    return _Plane(
        n_rois=n_rois,
        traces=_pick(traces, kept),
        neuropil=None if neuropil is None else _pick(neuropil, kept),
        labels=[labels[roi] for roi in kept],
        columns={
            "roi_id": kept,
            "plane": np.full(kept.size, number),
            "accepted": accepted[kept],
            "cell_probability": probability[kept],
        },
        frame_rate_hz=None if options.frame_rate_hz is not None else read_frame_rate(folder),
        notes=notes,
    )


def _none_accepted(path: Path, folders: list[Path], n_rois: int) -> str:
    """What is said where nothing is left to read."""
    place = str(folders[0] / "iscell.npy") if len(folders) == 1 else f"{path}: the iscell.npy of {len(folders)} planes"
    verb = "accepts" if len(folders) == 1 else "accept"
    return f"{place} {verb} none of {n_rois} ROIs: curate them in suite2p, or {KEEP_ALL}"


def read_frame_rate(folder: Path) -> float | None:
    """Frame rate (Hz, per plane) from the settings beside the traces, or None if they do not tell."""
    for place in (folder, folder.parent):
        for name in _SETTINGS:
            if not (place / name).is_file():
                continue
            settings = load_settings(place / name)
            rate = usable_rate(settings.get("fs"))
            if rate is not None:
                return rate
    return None


def quantity_of(series: str) -> str:
    """What suite2p's traces of that name are: "F" and "Fneu" of any channel are fluorescence."""
    return "fluorescence" if series.startswith("F") else "dff" if series == "dff" else "unknown"


def _load_series(folder: Path, options: ReadOptions, shape: tuple[int, ...]) -> Any:
    """The traces asked for, which are of the same ROIs and frames as F."""
    path = folder / f"{options.series}.npy"
    if not path.is_file():
        names = listing(sorted(file.stem for file in folder.glob("*.npy")), 20)
        raise InputError(f"{folder} has no series {options.series!r}; its files are {names}")
    traces = _load_traces(path, options)
    if traces.shape != shape:
        raise InputError(f"{path} is {times_sign(traces.shape)}, and no trace of the ROIs, as F is {times_sign(shape)}")
    return traces


def _load_traces(path: Path, options: ReadOptions) -> Any:
    array = load_npy(path, max_bytes=options.max_bytes)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise FileFormatError(f"{path} holds {array.dtype} of shape {array.shape}, expected numbers (ROI, frame)")
    return lazy_npy(path, array, neuron_axis=0)


def _accepted(folder: Path, n_rois: int, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    path = folder / "iscell.npy"
    if not path.is_file():
        notes.append(f"{folder.name} has no iscell.npy: all {n_rois} ROIs are taken as cells")
        return np.ones(n_rois, bool), np.full(n_rois, np.nan)
    return accepted_rois(np.asarray(load_npy(path)), n_rois, str(path))


def accepted_rois(table: np.ndarray, n_rois: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Which ROIs are cells, and how probable that is (NaN where it is not said), from the array ``iscell``."""
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[0] != n_rois or not table.shape[1] or table.dtype.kind not in "biuf":
        raise FileFormatError(f"{where} has shape {table.shape}, expected ({n_rois}, 2) as F has {n_rois} ROIs")
    probability = table[:, 1].astype(np.float64) if table.shape[1] > 1 else np.full(n_rois, np.nan)
    return table[:, 0] > 0.5, probability


def _pick(traces: Any, kept: np.ndarray) -> Any:
    if kept.size == traces.shape[0]:
        return traces
    return np.asarray(traces[kept]) if isinstance(traces, np.ndarray) else picked(traces, kept, 0)


def _stack(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return da.concatenate(parts) if any(isinstance(part, da.Array) for part in parts) else np.concatenate(parts)


def session_name(path: Path) -> str:
    """The folder that a person named: the first one above ``plane0`` and ``suite2p``."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if folder.name and not _OWN_FOLDERS.fullmatch(folder.name):
            return folder.name
    return "suite2p"
