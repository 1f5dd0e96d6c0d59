"""Results as a suite2p-shaped ``spks.npy``, so that tools made for suite2p show them.

``spks.npy`` is float32 (ROI, frame), expected spikes per frame, with a row for **every** ROI of the suite2p folder.
Rows of ROIs that were not analysed (no cells) or of which nothing could be inferred are **zero**, because suite2p's own
programs cannot take NaN; the file ``antidrome.json`` beside it lists the analysed ROIs, where nothing was inferred, the
unit, the frame times and all attributes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.archives import load_npy
from antidrome.recordings.attributes import decode_attributes, encode_attributes
from antidrome.recordings.files import atomic_directory
from antidrome.recordings.safety import require_size
from antidrome.recordings.suite2p import find_planes, plane_number, roi_labels

SIDECAR = "antidrome.json"
_MAX_SIDECAR_BYTES = 512 * 2**20


def write_suite2p(result: xr.Dataset, path: Path, source: Path | None) -> None:
    """Write ``spks.npy`` (in ``plane0``, ``plane1``, … where the source has several planes) into a folder.

    Parameters
    ----------
    result
        With ``expected_spikes`` (time, neuron).
    path
        A new folder, or one written by this function before; never a suite2p folder itself.
    source
        The suite2p folder that was analysed, for the number of ROIs; without it the rows are the neurons.
    """
    if "expected_spikes" not in result:
        raise InputError(f"the result has no expected_spikes; it has {', '.join(map(str, result.data_vars))}")
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or (path / SIDECAR).is_file())):
        raise InputError(f"{path} exists and is not a result of Antidrome: choose a new folder, nothing is overwritten")
    places = _places(result, source)
    values = result["expected_spikes"].transpose("neuron", "time")
    with atomic_directory(path) as temporary:
        missing = {}
        for name, n_rois, neurons, rois in places:
            folder = temporary / name
            folder.mkdir(exist_ok=True)
            missing |= _write_rows(folder / "spks.npy", values, n_rois, neurons, rois)
        sidecar = _sidecar(result, [(name, rois, neurons) for name, _, neurons, rois in places], missing)
        (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=1), encoding="utf-8")


def read_suite2p_result(path: Path) -> xr.Dataset:
    """Read back ``expected_spikes`` and ``rate_hz`` of the analysed ROIs from a folder written by this package."""
    file = path / SIDECAR
    if not file.is_file():
        raise FileFormatError(f"{path} has no {SIDECAR}: it was not written by Antidrome, so its unit is unknown")
    require_size(file.stat().st_size, _MAX_SIDECAR_BYTES, str(file))
    try:
        sidecar = json.loads(file.read_text(encoding="utf-8"))
        time, labels = np.array(sidecar["time"]), np.array(sidecar["neuron"], dtype=str)
        values = np.zeros((len(time), len(labels)), np.float32)
        for name, plane in sidecar["planes"].items():
            if Path(name).name != name and name != ".":
                raise FileFormatError(f"{file} names a folder outside itself: {name!r}")
            values[:, plane["neurons"]] = load_npy(path / name / "spks.npy")[plane["rois"]].T
        for neuron, stretches in sidecar.get("missing", {}).items():
            for first, end in stretches:
                values[first:end, int(neuron)] = np.nan
        attrs = decode_attributes(sidecar["attributes"])
        per_second = np.float32(attrs.get("frame_rate_hz", 0))
    except FileFormatError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FileFormatError(f"{file} is damaged: {type(error).__name__}: {error}") from error
    expected = xr.DataArray(
        values, dims=("time", "neuron"), coords={"time": time, "neuron": labels}, attrs={"units": "spikes per frame"}
    )
    result = xr.Dataset({"expected_spikes": expected}, attrs=attrs)
    if "frame_rate_hz" in attrs:
        result["rate_hz"] = (expected * per_second).assign_attrs(units="spikes/s")
    return result


def _places(result: xr.Dataset, source: Path | None) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
    """For each plane: folder name, number of ROIs, positions of its neurons in the result, their ROI numbers."""
    labels = [str(label) for label in result["neuron"].values]
    folders = find_planes(source) if source is not None and source.is_dir() else []
    if not folders:
        everything = np.arange(len(labels))
        return [(".", len(labels), everything, everything)]
    places, position = [], {label: i for i, label in enumerate(labels)}
    n_found = 0
    for folder in folders:
        shape = load_npy(folder / "F.npy").shape
        if shape[1] != result.sizes["time"]:
            raise InputError(f"{folder} has {shape[1]} frames, the result {result.sizes['time']}: another recording?")
        names = roi_labels(plane_number(folder), shape[0], len(folders))
        rois = np.array([roi for roi, name in enumerate(names) if name in position], dtype=np.int64)
        neurons = np.array([position[names[roi]] for roi in rois], dtype=np.int64)
        n_found += len(rois)
        places.append((folder.name if len(folders) > 1 else ".", shape[0], neurons, rois))
    if n_found != len(labels):
        raise InputError(f"{len(labels) - n_found} of {len(labels)} neurons of the result are not ROIs of {source}")
    return places


def _write_rows(
    path: Path, values: xr.DataArray, n_rois: int, neurons: np.ndarray, rois: np.ndarray
) -> dict[str, list[list[int]]]:
    """Write the array block by block, so that a large result is never whole in memory.

    Returns
    -------
    By the place of a neuron in the result: from where to where its values are missing, and zero in the file.
    """
    missing = {}
    shape = (n_rois, values.sizes["time"])
    step = max(1, 2**26 // (4 * shape[1]))
    with open(path, "wb") as stream:  # not a memory map, which kills the process where the disk is full
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        first = stream.tell()
        stream.truncate(first + 4 * n_rois * shape[1])
        for start in range(0, len(rois), step):
            part = slice(start, start + step)
            block = values.isel(neuron=neurons[part]).to_numpy()
            lacking = np.isnan(block)
            for row in np.flatnonzero(lacking.any(axis=1)):
                edges = np.flatnonzero(np.diff(lacking[row].astype(np.int8), prepend=0, append=0))
                missing[str(neurons[part][row])] = edges.reshape(-1, 2).tolist()
            rows = np.where(lacking, 0, block).astype("<f4")
            breaks = np.flatnonzero(np.diff(rois[part]) != 1) + 1
            for roi, run in zip(rois[part][np.r_[0, breaks]], np.split(rows, breaks), strict=True):
                stream.seek(first + 4 * int(roi) * shape[1])
                stream.write(run.tobytes())
    return missing


def _sidecar(
    result: xr.Dataset, planes: list[tuple[str, np.ndarray, np.ndarray]], missing: dict[str, list[list[int]]]
) -> dict[str, Any]:
    return {
        "content": "spks.npy: expected spikes per frame, float32 (ROI, frame); rows of ROIs not listed here are zero,"
        " and so are frames (from, to) listed as missing by the neuron's place",
        "units": "spikes per frame",
        "planes": {name: {"rois": rois.tolist(), "neurons": neurons.tolist()} for name, rois, neurons in planes},
        "neuron": [str(label) for label in result["neuron"].values],
        "missing": missing,
        "time": result["time"].values.tolist(),
        "attributes": encode_attributes(result.attrs),
    }
