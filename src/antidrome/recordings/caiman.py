"""CaImAn results in HDF5 (``cnm.save("….hdf5")``): traces with their residual, never the denoised ``C`` alone."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import BY_NUMBER
from antidrome.recordings.choice import settle_frame_rate, usable_rate
from antidrome.recordings.lazy import lazy_hdf5, picked
from antidrome.recordings.options import KEEP_ALL, ReadOptions
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import open_hdf5

_DENOISED = ("C", "S", "f", "bl", "c1")
_RESIDUALS = ("YrA", "R")


def is_caiman(file: h5py.File) -> bool:
    """True if the file has CaImAn's ``estimates`` group."""
    link = file.get("estimates", getlink=True)
    return isinstance(link, h5py.HardLink) and isinstance(file.get("estimates"), h5py.Group)


def read_caiman(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read the traces of a CaImAn file, shape (component, frame) there.

    Parameters
    ----------
    path
        HDF5 file written by ``CNMF.save``.
    options
        ``series`` may be "F_dff" or "C+YrA"; by default ``F_dff`` (ΔF/F) if the file has it, else ``C + YrA`` (the
        background-subtracted fluorescence, arbitrary units). ``accepted_only=False`` keeps rejected components.

    Raises
    ------
    FileFormatError
        If the file has the denoised ``C`` but no residual: spikes inferred from it would be inferred twice.
    InputError
        If a denoised trace is asked for, or there is no frame rate.
    """
    with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes) as file:
        estimates = file.get("estimates")
        if not isinstance(estimates, h5py.Group):
            raise FileFormatError(f"{path} has no group 'estimates', expected a file saved by CaImAn")
        notes: list[str] = []
        values, quantity, n_components = _traces(estimates, path, options, notes)
        accepted = _accepted(estimates, n_components, path, notes)
        kept = np.flatnonzero(accepted) if options.accepted_only else np.arange(n_components)
        if kept.size == 0:
            raise InputError(f"{path}: idx_components accepts none of {n_components} components: {KEEP_ALL}")
        if kept.size < n_components:
            rejected = counted(n_components - kept.size, "component", "is", of=n_components)
            notes.append(f"{rejected} rejected and left out")
            values = picked(values, kept, 0)
        rate = settle_frame_rate(options.frame_rate_hz, _frame_rate(file), None, str(path), notes)
    return from_array(
        values,
        rate,
        neuron=kept,
        orientation="neuron,time",
        quantity=options.quantity or quantity,
        coords={"roi_id": kept, "accepted": accepted[kept]},
        attrs=options.provenance(path, "caiman") | BY_NUMBER,
        notes=notes,
    )


def _traces(group: h5py.Group, path: Path, options: ReadOptions, notes: list[str]) -> tuple[Any, str, int]:
    """Lazy traces (component, frame), their quantity, and the number of components."""
    denoised = _matrix(group, "C")
    dff = _matrix(group, "F_dff")
    residual = next((m for name in _RESIDUALS if (m := _matrix(group, name)) is not None), None)
    wanted = options.series
    if wanted in _DENOISED:
        raise InputError(f"series {wanted!r} of {path} is a denoised trace: use 'F_dff' or 'C+YrA'")
    if wanted not in (None, "F_dff", "C+YrA"):
        raise InputError(f"series = {wanted!r}, expected 'F_dff' or 'C+YrA' for a CaImAn file")
    if dff is not None and wanted != "C+YrA":
        if denoised is not None and dff.shape != denoised.shape:
            raise FileFormatError(f"{path}: F_dff is {dff.shape}, C is {denoised.shape}; save the estimates again")
        notes.append("ΔF/F as computed by CaImAn (F_dff)")
        return lazy_hdf5(dff, neuron_axis=0, allow_external=options.allow_external), "dff", dff.shape[0]
    if wanted == "F_dff":
        raise InputError(f"{path} has no F_dff: run estimates.detrend_df_f in CaImAn, or read series='C+YrA'")
    if denoised is None:
        raise FileFormatError(f"{path} has neither F_dff nor C in 'estimates': there is no trace to read")
    if residual is None:
        raise FileFormatError(
            f"{path} has only the denoised trace C, without its residual YrA: spikes cannot be inferred from it. "
            "Save the estimates with YrA, or run estimates.detrend_df_f and save F_dff"
        )
    if residual.shape != denoised.shape:
        raise FileFormatError(f"{path}: YrA is {residual.shape}, C is {denoised.shape}; save the estimates again")
    notes.append("fluorescence is C + YrA (denoised trace plus residual)")
    traces = [lazy_hdf5(part, neuron_axis=0, allow_external=options.allow_external) for part in (denoised, residual)]
    return traces[0] + traces[1].rechunk(traces[0].chunks), "fluorescence", denoised.shape[0]


def _matrix(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """A numeric matrix; None where CaImAn wrote 'NoneType', nothing, or an empty array."""
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 2 or dataset.dtype.kind not in "iuf":
        return None
    return dataset if 0 not in dataset.shape else None


def _accepted(group: h5py.Group, n_components: int, path: Path, notes: list[str]) -> np.ndarray:
    dataset = group.get("idx_components")
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or dataset.dtype.kind not in "iuf":
        notes.append(f"the components were not evaluated (no idx_components): all {n_components} are kept")
        return np.ones(n_components, bool)
    index = dataset[()].astype(np.int64)
    if index.size and (index.min() < 0 or index.max() >= n_components):
        raise FileFormatError(
            f"{path}: idx_components names component {index.max()}, there are {n_components}; save the estimates again"
        )
    accepted = np.zeros(n_components, bool)
    accepted[index] = True
    return accepted


def _frame_rate(file: h5py.File) -> float | None:
    for place in ("params/data/fr", "params/fr", "estimates/fr", "fr"):
        dataset = file.get(place)
        if isinstance(dataset, h5py.Dataset) and dataset.size == 1:
            return usable_rate(dataset[()])
    return None
