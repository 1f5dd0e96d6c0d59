"""How a result is labelled inside an NWB file, and how it is read back."""

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings.attributes import decode_attributes, encode_attributes
from antidrome.recordings.axes import even_times
from antidrome.recordings.lazy import IN_MEMORY_VALUES, lazy_hdf5
from antidrome.recordings.safety import open_hdf5

NEURON_TABLE = "antidrome_neurons"
ROI_TABLE = "antidrome_rois"
RECORD = "antidrome_record"
WHOLE = "result"
MARK = "Written by Antidrome"
NO_SESSION = "unknown"
"""Session id of a file that is written of a result without one."""
_DESCRIPTIONS = {
    "expected_spikes": "Expected number of spikes in each frame (posterior mean of the count); not a probability.",
    "rate_hz": "Expected spikes per second: expected spikes per frame times the frame rate.",
    "spike_probability": "Posterior probability of at least one spike in the frame.",
    "expected_spikes_sd": "Posterior standard deviation of the number of spikes in the frame.",
    "samples": "Samples of the posterior: number of spikes in each frame; axes time, neuron, sample.",
    "dff": "Change of fluorescence over baseline, from which the spikes were inferred.",
}


def description_of(name: str) -> str:
    """What a series is, in a sentence with its unit."""
    return _DESCRIPTIONS.get(name, f"{name} of each neuron in each frame, computed by Antidrome.")


def columns_of(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """What has one value a neuron: columns of the neuron table."""
    return {str(n): v for n, v in {**result.coords, **result.data_vars}.items() if v.dims == ("neuron",)}


def series_of(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """What has a value in every frame: series, those of neurons as numbers, since NWB has no traces of truth values."""
    everything = {**result.data_vars, **result.coords}
    series = {str(n): v for n, v in everything.items() if "time" in v.dims and n != "time"}
    return {n: v.astype(np.uint8) if v.dtype == bool and "neuron" in v.dims else v for n, v in series.items()}


def stored_dims(dims: Sequence[Hashable]) -> list[Hashable]:
    """The order of dimensions in the file: time, neuron, others."""
    first = [dim for dim in ("time", "neuron") if dim in dims]
    return [*first, *(dim for dim in dims if dim not in first)]


def record_of(result: xr.Dataset) -> str:
    """What NWB has no place for, as JSON: attributes, dimensions, which are coordinates, and what has other dimensions.

    Kept as a scratch dataset, since an HDF5 attribute holds no more than 64 KiB.
    """
    per_neuron, series = columns_of(result), series_of(result)
    others = {str(n): v for n, v in result.variables.items() if n not in (*per_neuron, *series, "time")}
    records: dict[str, Any] = {
        WHOLE: {
            "attributes": encode_attributes(result.attrs),
            "coordinates": [n for n in (*per_neuron, *series, *others) if n in result.coords],
            "columns": {n: encode_attributes(v.attrs) for n, v in per_neuron.items()},
            "time": encode_attributes(result["time"].attrs),
            "others": {name: _as_json(variable) for name, variable in others.items()},
        }
    }
    for name, variable in series.items():
        records[name] = {
            "attributes": encode_attributes(variable.attrs),
            "dims": [str(dim) for dim in variable.dims],
            "is_truth": result[name].dtype == bool,
        }
    return json.dumps(records)


def is_result(group: h5py.Group) -> bool:
    """True if the group of an NWB file was written by this package."""
    return any(_text(group.attrs.get(key)).startswith(MARK) for key in ("comments", "description"))


def result_groups(ophys: h5py.Group) -> dict[str, h5py.Group]:
    """Groups that this package wrote into an ophys module, by name: in the module or in a container of it."""
    found: dict[str, h5py.Group] = {}
    for holder in (ophys, *(member for member in ophys.values() if isinstance(member, h5py.Group))):
        for name, member in holder.items():
            if isinstance(member, h5py.Group) and is_result(member):
                found[name] = member
    return found


def quantities_of(result: xr.Dataset) -> set[str]:
    """The variables of a result that have a value in every frame."""
    return {name for name in series_of(result) if name not in result.coords}


def held_result(path: Path) -> tuple[str, set[str]]:
    """The quantities of the result that an NWB file holds (none if it holds none), and the series that it is of."""
    with open_hdf5(path) as file:
        ophys, record = file.get("processing/ophys"), file.get(f"scratch/{RECORD}")
        names = set(result_groups(ophys)) if isinstance(ophys, h5py.Group) else set()
        text = _text(record[()]) if isinstance(record, h5py.Dataset) else ""
    try:
        about = json.loads(text)[WHOLE]
        series, coordinates = decode_attributes(about["attributes"]).get("series"), about["coordinates"]
    except (KeyError, ValueError, TypeError):  # damaged: nothing is known of its series
        series, coordinates = None, []
    return str(series or ""), names - {NEURON_TABLE, ROI_TABLE, *coordinates}


def read_nwb_result(path: Path, max_bytes: int | None) -> xr.Dataset:
    """Read the series and the neuron table that :mod:`antidrome.recordings.nwb_writing` wrote.

    Series too large for memory stay on disk.
    """
    with open_hdf5(path, max_bytes=max_bytes, every_size=True) as file:
        ophys = file.get("processing/ophys")
        groups = result_groups(ophys) if isinstance(ophys, h5py.Group) else {}
        table, record = groups.pop(NEURON_TABLE, None), file.get(f"scratch/{RECORD}")
        groups.pop(ROI_TABLE, None)
        if table is None or not isinstance(record, h5py.Dataset) or not groups:
            raise FileFormatError(f"{path} holds no spikes written by Antidrome in processing/ophys")
        try:
            return _assemble(table, json.loads(_text(record[()])), groups)
        except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
            raise FileFormatError(f"{path}: the result is damaged: {type(error).__name__}: {error}") from error


def _assemble(table: h5py.Group, records: dict[str, Any], groups: dict[str, h5py.Group]) -> xr.Dataset:
    about = records[WHOLE]
    columns = {name: _values(table[name]) for name in about["columns"]}
    variables: dict[str, Any] = {
        name: ("neuron", values, decode_attributes(about["columns"][name])) for name, values in columns.items()
    }
    variables["time"] = ("time", _times(next(iter(groups.values()))), decode_attributes(about["time"]))
    on_disk = sum(group["data"].size for group in groups.values()) > IN_MEMORY_VALUES
    for name, group in groups.items():
        record = records[name]
        dims = stored_dims(record["dims"])
        lazy = on_disk and dims[:2] == ["time", "neuron"]
        array = xr.DataArray(lazy_hdf5(group["data"], neuron_axis=1) if lazy else _values(group["data"]), dims=dims)
        array = array.astype(bool) if record.get("is_truth") else array
        variables[name] = array.transpose(*record["dims"]).assign_attrs(decode_attributes(record["attributes"]))
    for name, encoded in about.get("scalars", {}).items():  # files of before others were kept
        variables[name] = ((), decode_attributes(encoded)["value"])
    variables |= {name: _from_json(encoded) for name, encoded in about.get("others", {}).items()}
    result = xr.Dataset(variables, attrs=decode_attributes(about["attributes"]))
    return result.set_coords(about["coordinates"])


def _as_json(variable: xr.Variable) -> dict[str, Any]:
    return {
        "dims": [str(dim) for dim in variable.dims],
        "type": variable.dtype.str,
        "values": encode_attributes({"value": variable.values}),
        "attributes": encode_attributes(variable.attrs),
    }


def _from_json(encoded: dict[str, Any]) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    values = np.array(decode_attributes(encoded["values"])["value"], np.dtype(encoded["type"]))
    return encoded["dims"], values, decode_attributes(encoded["attributes"])


def _times(group: h5py.Group) -> np.ndarray:
    if "timestamps" in group:
        return group["timestamps"][()].astype(np.float64)
    start = group["starting_time"]
    return even_times(float(start[()]), float(start.attrs["rate"]), group["data"].shape[0])


def _values(dataset: h5py.Dataset) -> np.ndarray:
    values = dataset[()]
    if dataset.dtype.kind == "O":
        return np.array([_text(value) for value in values.flat]).reshape(values.shape)
    return values


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
