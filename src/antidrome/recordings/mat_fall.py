"""suite2p's ``Fall.mat``: the arrays of a plane folder in one MATLAB file, read as the folder is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import BY_NUMBER
from antidrome.recordings.choice import settle_frame_rate, usable_rate
from antidrome.recordings.options import KEEP_ALL, ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.suite2p import accepted_rois, quantity_of, session_name

_TRACES = ("F", "Fneu", "spks", "F_chan2", "Fneu_chan2")
FALL_NAMES = (*_TRACES, "iscell", "ops/fs", "fs")
"""All that is read of the file."""


def is_fall(arrays: Mapping[str, Any], series: str | None) -> bool:
    """Whether a file has suite2p's traces with its choice of cells, and a trace (or nothing) is asked for."""
    return {"F", "iscell"} <= arrays.keys() and (series is None or (series in _TRACES and series in arrays))


def read_fall(
    arrays: Mapping[str, np.ndarray], path: Path, options: ReadOptions
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Read the traces, shape (ROI, frame) there, of the ROIs that ``iscell`` accepts, at the frame rate of ``ops.fs``.

    Parameters
    ----------
    arrays
        Arrays of the file by name, fields of structs as "struct/field".
    path
        The file.
    options
        ``series`` may name "F" (default), "F_chan2", …; ``accepted_only=False`` keeps ROIs that are no cells.

    Returns
    -------
    recording, neuropil
        As of a suite2p folder; the neuropil is None where a series is asked for or the file has none.

    Raises
    ------
    InputError
        If no ROI is accepted, or there is no frame rate.
    FileFormatError
        If the arrays contradict one another.
    """
    notes: list[str] = []
    series = options.series or "F"
    traces = _matrix(arrays, series, path)
    n_rois = traces.shape[0]
    iscell = arrays["iscell"].reshape(n_rois, -1) if arrays["iscell"].size in (n_rois, 2 * n_rois) else arrays["iscell"]
    accepted, probability = accepted_rois(iscell, n_rois, f"{path}: iscell")
    kept = np.flatnonzero(accepted) if options.accepted_only else np.arange(n_rois)
    if kept.size == 0:
        raise InputError(f"{path}: iscell accepts none of {n_rois} ROIs: curate them in suite2p, or {KEEP_ALL}")
    if kept.size < n_rois:
        notes.append(f"{counted(n_rois - kept.size, 'ROI', 'is', of=n_rois)} no cell: left out (iscell)")
    found = usable_rate(arrays.get("ops/fs", arrays.get("fs")))
    if found is not None and options.frame_rate_hz is None:
        notes.append(f"frame rate {found:g} Hz from the settings (ops.fs) of {path.name}")
    rate = settle_frame_rate(options.frame_rate_hz, found, None, str(path), notes)
    session = session_name(path.parent) if path.stem == "Fall" else None
    common: dict[str, Any] = {
        "neuron": [str(roi) for roi in kept],
        "orientation": "neuron,time",
        "coords": {"roi_id": kept, "accepted": accepted[kept], "cell_probability": probability[kept]},
        "attrs": options.provenance(path, "mat", session) | BY_NUMBER,
    }
    quantity = options.quantity or quantity_of(series)
    recording = from_array(traces[kept], rate, quantity=quantity, notes=notes, **common)
    if options.series is not None or "Fneu" not in arrays:
        return recording, None
    neuropil = _matrix(arrays, "Fneu", path)
    if neuropil.shape != traces.shape:
        raise FileFormatError(f"{path}: Fneu is {neuropil.shape}, F is {traces.shape}; they must agree")
    return recording, from_array(neuropil[kept], rate, quantity="fluorescence", **common).rename("neuropil")


def _matrix(arrays: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """Traces (ROI, frame); those of a single ROI come as a vector."""
    array = np.atleast_2d(arrays[name])
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise FileFormatError(
            f"{path}: {name} holds {array.dtype} of shape {array.shape}, expected numbers (ROI, frame)"
        )
    return array
