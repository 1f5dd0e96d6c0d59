"""``write`` and ``read_spikes``: results into NWB, Zarr, NetCDF or a suite2p-shaped folder, and back."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.arguments import counted, listing, one_of
from antidrome.recordings.axes import time_in_seconds
from antidrome.recordings.reading import detect_format, is_format
from antidrome.recordings.safety import require_file

FORMATS = ("nwb", "zarr", "netcdf", "suite2p")
SINGLE_FILES = ("nwb", "netcdf")
"""Formats that are a file; the others are folders."""
_SUFFIXES = {".nwb": "nwb", ".zarr": "zarr", ".nc": "netcdf", ".nc4": "netcdf", ".netcdf": "netcdf"}
_OF_NWB_TABLES = ("colnames", "description", "namespace", "neurodata_type", "object_id")


def write(
    result: xr.Dataset | xr.DataArray,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    source: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a result (or a recording); the old file or the new one is there at any moment, never half of one.

    Parameters
    ----------
    result
        Dataset with dims "time" and "neuron", as the estimators return it; dask-backed values are written block by
        block. A recording (``DataArray``) is written as a dataset of one variable.
    path
        File, or folder for Zarr and suite2p. Missing parent folders are made.
    format
        "nwb", "zarr", "netcdf" or "suite2p"; default by suffix (``.nwb``, ``.zarr``, ``.nc``).
    source
        The recording's own file. For NWB: the results go into a copy of it, with its ROI table, or into the file itself
        if ``path`` is the same file (a copy is completed first and then takes its place). For suite2p: gives the
        number of ROIs. Default: the ``source`` attribute of the result, if that file is of the same format. An NWB file
        holds one result: spikes replace earlier ones of the same series; what has other traces, or is of another
        series, must go into another file.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the format is unknown, the result does not fit the source, or a recording, an earlier result in an NWB file,
        or a folder, a store or a NetCDF file of others would be lost.
    """
    path = Path(path)
    format = format_of(path, format)
    dataset = _as_dataset(result)
    _require_writable(dataset, format)
    origin = _source_of(dataset, format, source)
    _refuse_loss(dataset, path, format, origin)
    if format in ("nwb", "suite2p"):
        dataset = _with_seconds(dataset)
    if format == "nwb":
        from antidrome.recordings.nwb_writing import write_nwb

        write_nwb(dataset, path, origin)
    elif format == "suite2p":
        from antidrome.recordings.suite2p_writing import write_suite2p

        write_suite2p(dataset, path, origin)
    else:
        from antidrome.recordings.xarray_writing import write_netcdf, write_zarr

        (write_zarr if format == "zarr" else write_netcdf)(dataset, path)
    return path


def format_of(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format in which :func:`write` would write a file: what is asked for, else what its ending tells.

    Raises
    ------
    InputError
        If the format is unknown, or the ending tells none.
    """
    suffix = Path(path).suffix
    format = format or _SUFFIXES.get(suffix.lower())
    if format is None:
        raise InputError(f"{path}: no format for the suffix {suffix!r}: pass format=, one of {', '.join(FORMATS)}")
    one_of("format", format, FORMATS)
    return format


def read_spikes(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> xr.Dataset:
    """Read back a result that :func:`write` wrote, in any of its formats.

    Parameters
    ----------
    path
        File or folder.
    max_bytes
        Cap on what one array may declare, as for :func:`read`.

    Returns
    -------
    xr.Dataset
        The variables, coordinates and attributes that were written (suite2p: ``expected_spikes`` and ``rate_hz``). Of
        more than 60 million values, those of every frame stay on disk, behind dask (not from suite2p).

    Raises
    ------
    FileFormatError
        If it is damaged, or of a format that no result is written in. Arrays of others in Zarr or NetCDF are returned
        as they are.
    """
    path = require_file(path)
    if path.is_dir() and not any((path / name).is_file() for name in (".zgroup", "zarr.json")):
        from antidrome.recordings.suite2p_writing import read_suite2p_result

        return read_suite2p_result(path)
    format = detect_format(path)
    if format == "nwb":
        from antidrome.recordings.nwb_results import read_nwb_result

        return read_nwb_result(path, max_bytes)
    if format not in ("zarr", "netcdf", "hdf5"):
        raise FileFormatError(f"{path} is {format}, expected a result in NWB, Zarr, NetCDF or a suite2p-shaped folder")
    from antidrome.recordings.xarray_writing import read_xarray_result

    return read_xarray_result(path, max_bytes)


def _as_dataset(result: xr.Dataset | xr.DataArray) -> xr.Dataset:
    if isinstance(result, xr.DataArray):
        dataset = result.to_dataset(name=result.name or "fluorescence")
        dataset.attrs = {k: v for k, v in result.attrs.items() if k not in ("units", "quantity")}
    elif isinstance(result, xr.Dataset):
        dataset = result
    else:
        raise InputError(
            f"got a {type(result).__name__}, expected a Dataset or a DataArray: files keep frame times and neuron"
            " labels, so make a recording of the values first: antidrome.recordings.from_array(values, frame_rate_hz)"
        )
    missing = {"time", "neuron"} - set(dataset.coords)
    if missing:
        raise InputError(f"the result has no coordinate {' and '.join(sorted(missing))}, expected time (s) and neuron")
    return dataset


def _with_seconds(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with times in seconds, for files that have no unit of times."""
    seconds, time = time_in_seconds(dataset["time"]), dataset["time"]
    if time.dtype.kind not in "mM" and np.array_equal(seconds, time):
        return dataset
    return dataset.assign_coords(time=("time", seconds, {**time.attrs, "units": "s"}))


def _require_writable(dataset: xr.Dataset, format: str) -> None:
    """Refuse what no file of the format can hold, before anything is computed."""
    marks = "/:" if format == "nwb" else "/"
    if wrong := [str(name) for name in dataset.variables if any(mark in str(name) for mark in marks)]:
        raise InputError(
            f"{wrong[0]!r} has one of {' '.join(marks)}, which files do not take in a name: rename it first"
        )
    for name, variable in dataset.variables.items() if format == "nwb" else ():
        if {"time", "neuron"} <= set(variable.dims) and variable.dtype.kind not in "biuf":
            raise InputError(
                f"{str(name)!r} holds {variable.dtype}, and nwb holds only numbers of neurons in frames: leave it out"
                " (drop_vars), or write Zarr or NetCDF"
            )
        if variable.dims == ("neuron",) and name in _OF_NWB_TABLES:
            raise InputError(f"{name!r} is what nwb calls a part of every table: rename it first")
    if format in ("nwb", "suite2p") and not (dataset.sizes["time"] and dataset.sizes["neuron"]):
        sizes = f"{counted(dataset.sizes['time'], 'frame')} × {counted(dataset.sizes['neuron'], 'neuron')}"
        raise InputError(f"the result is empty ({sizes}), and {format} holds no empty arrays: write Zarr or NetCDF")


def _refuse_loss(dataset: xr.Dataset, path: Path, format: str, origin: Path | None) -> None:
    """Refuse to replace the recording by its result, and a file that would have been copied had it been found."""
    recorded = dataset.attrs.get("source")
    place = Path(recorded) if isinstance(recorded, str) and recorded else None
    is_itself = place is not None and path.resolve() == place.resolve()
    if format in ("zarr", "netcdf") and not is_itself:
        _refuse_arrays_of_others(dataset, path, format)
    if place is None or not path.exists():
        return
    if format in ("zarr", "netcdf") and is_itself:
        from antidrome.recordings.xarray_loss import lost_arrays

        if "expected_spikes" in dataset or not is_format(path, format):
            raise InputError(
                f"{path} is the recording itself, and would be replaced by its result: write to another file"
            )
        if lost := lost_arrays(dataset, path):
            raise InputError(
                f"{path} is the recording itself, and would lose {', '.join(lost)} of what it holds: write to another"
                " file"
            )
    if format == "nwb" and origin is None and dataset.attrs.get("source_format") == "nwb" and not place.exists():
        raise InputError(
            f"{path} exists, and the recording {recorded} is no longer where it was: give its place as source=, so that"
            " the result goes into a copy of it, or another name for the result"
        )


def _refuse_arrays_of_others(dataset: xr.Dataset, path: Path, format: str) -> None:
    if not path.exists() or not is_format(path, format):
        return
    from antidrome.recordings.xarray_loss import arrays_of_others

    if others := arrays_of_others(dataset, path):
        raise InputError(
            f"{path} holds arrays that are not in the result and would be deleted ({listing(others, 4)}): write to"
            " another place"
        )


def _source_of(dataset: xr.Dataset, format: str, source: str | os.PathLike[str] | None) -> Path | None:
    """The source if it is of the format to be written; a source that is named but missing is an error."""
    if format not in ("nwb", "suite2p"):
        return None
    if source is not None:
        path = require_file(source)
    else:
        recorded = dataset.attrs.get("source")
        path = Path(recorded) if isinstance(recorded, str) and recorded else None
        if path is None or not path.exists():
            return None
    if is_format(path, format):
        return path
    if source is not None:
        raise InputError(f"source={str(source)!r} is no {format} file: a result in {format} has no use for it")
    return None
