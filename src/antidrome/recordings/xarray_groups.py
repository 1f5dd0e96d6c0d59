"""Recordings that lie in a group of a Zarr store or NetCDF file: which group, and what it inherits."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import zarr

from antidrome.errors import FileFormatError
from antidrome.recordings.choice import choose_series, is_auxiliary, numeric
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.safety import open_hdf5


@dataclass(frozen=True)
class Stored:
    """Shape and type of an array of a file that has been closed."""

    shape: tuple[int, ...]
    dtype: np.dtype


def find_group(
    outside: Mapping[str, Any], inside: Mapping[str, Any], options: ReadOptions, path: Path
) -> tuple[str, ReadOptions]:
    """The group to read, "" for the file itself, and the options with the name inside it.

    Parameters
    ----------
    outside, inside
        Arrays outside groups by name, and in groups by "group/name".
    options
        ``series`` may be "group/name"; without it, groups are looked into where there is nothing outside.
    path
        The file, for messages.

    Raises
    ------
    InputError, FileFormatError
        As :func:`antidrome.recordings.choice.choose_series`, with all arrays that the file has.
    """
    asked = options.series
    if not inside or (asked in outside if asked is not None else _may_be_read(outside)):
        return "", options
    numbers = numeric({**outside, **inside}, str(path))
    name = choose_series({key: array.shape for key, array in numbers.items()}, asked, str(path))
    group, _, own = name.rpartition("/")
    return group, replace(options, series=own)


def _may_be_read(arrays: Mapping[str, Any]) -> bool:
    """Whether one of the arrays may be a recording, and not times or labels of those in groups."""
    return any(array.ndim == 2 or (array.ndim == 1 and not is_auxiliary(name)) for name, array in arrays.items())


def arrays_of(group: zarr.Group) -> dict[str, zarr.Array]:
    """The arrays of a group itself by name."""
    return _arrays(group, max_depth=0)


def zarr_arrays(store: zarr.Group) -> dict[str, zarr.Array]:
    """The arrays in groups of a store by "group/name"."""
    return {name: array for name, array in _arrays(store, max_depth=None).items() if "/" in name}


def _arrays(group: zarr.Group, max_depth: int | None) -> dict[str, zarr.Array]:
    """Arrays in the order of their names, whatever the file system's; stray files in the folder are passed over."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr hierarchy")
        members = sorted(group.members(max_depth=max_depth), key=lambda member: member[0])
    return {str(name): member for name, member in members if isinstance(member, zarr.Array)}


def netcdf_arrays(path: Path, options: ReadOptions) -> dict[str, Any]:
    """The arrays in groups of a NetCDF file (version 4) by "group/name", with shape and type; no dimensions."""
    found: dict[str, Any] = {}

    def visit(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset) and "/" in name and member.attrs.get("CLASS") != b"DIMENSION_SCALE":
            found[name] = Stored(member.shape, member.dtype)

    with open_hdf5(path, allow_external=options.allow_external, max_bytes=options.max_bytes) as file:
        file.visititems(visit)
    return found


def open_netcdf_group(path: Path, group: str, outer: xr.Dataset) -> xr.Dataset:
    """A group of a NetCDF file, with the coordinates and attributes of the file itself that it has not."""
    try:
        inner = xr.open_dataset(path, engine="h5netcdf", group=group, decode_timedelta=False)
    except Exception as error:  # h5netcdf answers damage with errors of every kind
        raise FileFormatError(f"{path}: the group {group!r} cannot be read as NetCDF: {error}") from error
    return inherit(inner, outer)


def inherit(inner: xr.Dataset, outer: xr.Dataset) -> xr.Dataset:
    """The coordinates along the group's own dimensions, and the attributes, that only the file around it has."""
    coords = {
        name: coord
        for name, coord in outer.variables.items()
        if name in outer.coords
        and name not in inner.variables
        and all(inner.sizes.get(dim) == length for dim, length in coord.sizes.items())
    }
    return inner.assign_coords(coords).assign_attrs({**outer.attrs, **inner.attrs})
