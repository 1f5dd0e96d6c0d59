"""Recordings in Zarr (versions 2 and 3; plain arrays, groups, or written by xarray) and NetCDF."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import ZarrStore

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.attributes import decode_attributes
from antidrome.recordings.axes import (
    BY_NUMBER,
    NEURON_NAMES,
    choose_orientation,
    has_unit_of_time,
    standard_dims,
    time_in_seconds,
)
from antidrome.recordings.beside import SMALL_BYTES, settle_axes
from antidrome.recordings.choice import (
    TIME_NAMES,
    choose_series,
    find_frame_rate,
    numeric,
    reconciled,
    said_numbers,
    said_units,
    settle_frame_rate,
)
from antidrome.recordings.lazy import lazy_stored
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.recording import from_array, of_frames
from antidrome.recordings.safety import damage_named, open_hdf5
from antidrome.recordings.xarray_groups import (
    arrays_of,
    find_group,
    inherit,
    netcdf_arrays,
    open_netcdf_group,
    zarr_arrays,
)
from antidrome.recordings.zarr_guard import guard_zarr

_TIME_KINDS = "iufMm"
"""Types of times: numbers, dates, durations."""

_OF_MISSING = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes by which an array follows the CF conventions, where a fill value stands for missing samples."""


def read_zarr(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read an array of a Zarr store as dask; choose among several with ``series``."""
    guard_zarr(path, max_bytes=options.max_bytes)
    with damage_named(path):
        return _zarr(path, options)


def _zarr(path: Path, options: ReadOptions) -> xr.DataArray:
    store, outer = open_zarr(path), {}
    if isinstance(store, zarr.Group):
        group, options = find_group(arrays_of(store), zarr_arrays(store), options, path)
        whole = open_xarray_zarr(path) if _written_by_xarray(store) else xr.Dataset(attrs=dict(store.attrs))
        outer, store = dict(store.attrs) if group else {}, _within(store, group)
        if _written_by_xarray(store):
            dataset = inherit(open_xarray_zarr(path, group), whole) if group else whole
            return from_dataset(dataset, path, "zarr", options)
    notes: list[str] = []
    arrays = {path.name.split(".")[0]: store} if isinstance(store, zarr.Array) else arrays_of(store)
    numbers = numeric(arrays, str(path))
    name = choose_series({key: array.shape for key, array in numbers.items()}, options.series, str(path))
    array = numbers[name]
    axes = settle_axes(name, array.shape, _beside(store, array, arrays, name, outer), options, path, notes)
    frames_first = axes.orientation == "time,neuron" and array.ndim == 2
    return from_array(
        lazy_stored(path, array, neuron_axis=1 if frames_first else 0),
        axes.frame_rate_hz,
        neuron=axes.neuron,
        time=axes.time,
        quantity=options.quantity or (name if name in ("dff", "fluorescence") else "unknown"),
        orientation=axes.orientation,
        units=said_units(dict(array.attrs), options.quantity),
        attrs=options.provenance(path, "zarr"),
        notes=notes,
    )


def read_netcdf(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a variable of a NetCDF file (version 4 as dask through the HDF5 rules; version 3 by scipy)."""
    classic = is_classic(path)
    if not classic:
        with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes):
            pass
    try:
        dataset = xr.open_dataset(path, engine="scipy" if classic else "h5netcdf", decode_timedelta=False)
    except Exception as error:  # SciPy and h5netcdf answer damage with errors of every kind, SyntaxError among them
        raise FileFormatError(f"{path} cannot be read as NetCDF: {error}") from error
    with damage_named(path):
        if not classic:
            group, options = find_group(dict(dataset.data_vars), netcdf_arrays(path, options), options, path)
            dataset = open_netcdf_group(path, group, dataset) if group else dataset
        return from_dataset(dataset, path, "netcdf", options)


def is_classic(path: Path) -> bool:
    """Whether a NetCDF file is of version 3."""
    with open(path, "rb") as stream:
        return stream.read(3) == b"CDF"


def open_zarr(path: Path) -> zarr.Array | zarr.Group:
    """Open a guarded Zarr store, or FileFormatError."""
    try:
        return zarr.open(path, mode="r")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"{path} cannot be read as Zarr: {type(error).__name__}: {error}") from error


def open_xarray_zarr(path: Path, group: str = "") -> xr.Dataset:
    """Open (a group of) a guarded Zarr store that xarray wrote, lazily; with its consolidated metadata if there.

    So are stores of other programs that name their dimensions as xarray does. In version 2 xarray takes the fill value
    of an array for its missing samples; zarr-python sets it to zero, and zeros are samples.
    """
    try:
        store = ZarrStore.open_group(
            str(path),
            mode="r",
            group=group or None,
            consolidated=_is_consolidated(path),
            use_zarr_fill_value_as_mask=False if _fills_with_zeros(path, group) else None,
        )
        return xr.open_dataset(store, decode_timedelta=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"{path} cannot be read as Zarr: {type(error).__name__}: {error}") from error


def _fills_with_zeros(path: Path, group: str) -> bool:
    """Whether the fill value of all arrays is zero, and nothing says that it stands for missing samples.

    Of what xarray wrote, some arrays have NaN or none.
    """
    opened = zarr.open_group(path, path=group or None, mode="r")
    arrays = arrays_of(opened).values()
    said = any(name in array.attrs for name in _OF_MISSING for array in arrays)
    fills = [array.metadata.fill_value for array in arrays]
    return not said and all(fill is not None and not fill for fill in fills)


def _is_consolidated(path: Path) -> bool:
    if (path / "zarr.json").is_file():  # some versions of Zarr write null where there are none
        return json.loads((path / "zarr.json").read_bytes()).get("consolidated_metadata") is not None
    return (path / ".zmetadata").is_file()


def from_dataset(dataset: xr.Dataset, path: Path, source_format: str, options: ReadOptions) -> xr.DataArray:
    """Make a recording from one variable of a labelled dataset, keeping its coordinates and attributes."""
    numbers = numeric(dataset.data_vars, str(path))
    name = choose_series({key: variable.shape for key, variable in numbers.items()}, options.series, str(path))
    variable = numbers[name].copy(deep=False)
    variable.attrs = decode_attributes(variable.attrs)
    attrs = {**decode_attributes(dataset.attrs), **variable.attrs}
    notes, read_as = read_notes(variable.attrs.get("notes")), {}
    if attrs.get("neuron_labels") == BY_NUMBER["neuron_labels"]:
        read_as |= BY_NUMBER
    variable = _with_times(variable, dataset, notes)
    try:
        variable, renamed = standard_dims(variable)
    except InputError:
        variable, renamed, orientation = _guessed_dims(variable, options, path)
        read_as |= {"orientation": orientation} if orientation == "neuron,time" else {}
    time = time_in_seconds(variable["time"]) if "time" in variable.coords else None
    scalars = {key: other.values for key, other in dataset.variables.items() if other.size == 1 and key not in attrs}
    found = find_frame_rate(said_numbers(attrs | scalars), path.name, [])
    if options.frame_rate_hz is None:
        time, _ = reconciled(time, found, str(path), notes)
    rate = settle_frame_rate(options.frame_rate_hz, found, time, str(path), notes)
    columns = {str(key): c.values for key, c in variable.coords.items() if c.dims == ("neuron",) and key != "neuron"}
    quantity = options.quantity or attrs.get("quantity") or (name if name in ("dff", "fluorescence") else "unknown")
    recording = from_array(
        _blocks(variable, path),
        rate,
        neuron=variable["neuron"].values if "neuron" in variable.coords else None,
        time=time,
        quantity=quantity,
        units=said_units(attrs, options.quantity),
        coords=columns,
        attrs={**options.provenance(path, source_format, attrs.get("session_id") or None), **read_as},
        notes=[*notes, *renamed],
    )
    return recording.assign_coords(of_frames(variable))


def read_notes(value: Any) -> list[str]:
    """Notes as a list, however the file kept them."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(note) for note in np.ravel(value)]


def _with_times(variable: xr.DataArray, dataset: xr.Dataset, notes: list[str]) -> xr.DataArray:
    """The variable with the times that stand beside it under another usual name, or as a variable, as coordinate."""
    if any(name in variable.coords for name in ("time", *variable.dims) if str(name).lower() in TIME_NAMES):
        return variable
    for name, times in dataset.variables.items():
        along = times.dims[0] if times.ndim == 1 else None
        named = str(name).lower() in TIME_NAMES and times.dtype.kind in _TIME_KINDS
        if not named or along not in variable.dims or str(along).lower() in NEURON_NAMES:
            continue
        if has_unit_of_time(times):
            return variable.assign_coords(time=(along, times.values, times.attrs))
        notes.append(f"{name!r} is in {times.attrs['units']!r}, which is no unit of time, and is left out")
    return variable


def _guessed_dims(variable: xr.DataArray, options: ReadOptions, path: Path) -> tuple[xr.DataArray, list[str], str]:
    """Dimensions of foreign names: times and texts along them tell which is which, or else their lengths."""
    if variable.ndim > 2:
        raise InputError(f"{path}: {variable.name!r} has dimensions {variable.dims}, expected time and neuron")
    notes: list[str] = []
    told, timed = options.orientation, "time" in variable.coords and variable["time"].dtype.kind in _TIME_KINDS
    if told is None and timed and variable.ndim == 2:
        told = "time,neuron" if variable["time"].dims == variable.dims[:1] else "neuron,time"
    orientation = choose_orientation(variable.shape, told, notes, repr(variable.name))
    dims = dict(zip(orientation.split(","), variable.dims, strict=False))
    kept = {}
    for name, coord in variable.coords.items():
        if name == "time" and timed and coord.dims == (dims["time"],):
            kept["time"] = ("time", coord.values, coord.attrs)
        elif coord.dims == (name,) == (dims.get("neuron"),) and coord.dtype.kind in "UO":
            kept["neuron"] = ("neuron", coord.values, coord.attrs)
        else:
            notes.append(f"the coordinate {name!r} is left out, as its name is not known")
    bare = xr.DataArray(variable.variable, name=variable.name).rename({old: new for new, old in dims.items()})
    renamed, more = standard_dims(bare.assign_coords({n: c for n, c in kept.items() if n in bare.dims}))
    return renamed, notes + more, orientation


def _blocks(variable: xr.DataArray, path: Path) -> Any:
    """The values as dask, whole traces per block, without having been read."""
    stored = variable.encoding.get("preferred_chunks", {}).get("neuron", 1)
    return lazy_stored(path, variable.variable, neuron_axis=1, stored=stored)


def _written_by_xarray(group: zarr.Group) -> bool:
    for array in arrays_of(group).values():
        if array.attrs.get("_ARRAY_DIMENSIONS") or getattr(array.metadata, "dimension_names", None):
            return True
    return False


def _within(store: zarr.Group, group: str) -> zarr.Group:
    """The group of that name; "" is the store itself."""
    found = store[group] if group else store
    if not isinstance(found, zarr.Group):
        raise InputError(f"{store.store_path}: {group!r} is no group")
    return found


def _beside(store: Any, array: Any, arrays: dict[str, Any], name: str, outer: dict[str, Any]) -> dict[str, np.ndarray]:
    """Small arrays and attributes that may hold times, labels or the frame rate."""
    small = {
        key: np.asarray(other[...])
        for key, other in arrays.items()
        if key != name and other.nbytes <= SMALL_BYTES and other.ndim <= 1
    }
    for attributes in (store.attrs, array.attrs, outer):
        for key, value in said_numbers(dict(attributes)).items():
            small.setdefault(key, value)
    return small
