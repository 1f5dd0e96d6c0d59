"""Points from files: arrays, tables and stores whose first axis are the points, or any recording (its frames)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.dimension.points import as_points
from antidrome.errors import AntidromeError, FileFormatError, InputError
from antidrome.recordings.archives import load_npy, load_npz
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import TIME_NAMES, called
from antidrome.recordings.reading import detect_format, read
from antidrome.recordings.safety import DEFAULT_MAX_BYTES, damage_named, open_hdf5, require_file
from antidrome.recordings.sources import NamedSource
from antidrome.recordings.zarr_guard import guard_zarr

ENCODINGS = frozenset({"_FillValue", "missing_value", "scale_factor", "add_offset"})
"""Attributes by which a stored number differs from what it stands for."""


@dataclass(frozen=True)
class DecodedSource(NamedSource):
    """An array of a store whose numbers stand for others, as its attributes say; decoded as it is read."""

    attrs: Mapping[str, Any]

    @property
    def dtype(self) -> np.dtype:
        """Type of the decoded numbers."""
        return self._decoded(np.zeros(0, self.array.dtype)).dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._decoded(super().__getitem__(key))

    def _decoded(self, values: np.ndarray) -> np.ndarray:
        import xarray as xr
        from xarray.conventions import decode_cf_variable

        with damage_named(self.path):
            stored = xr.Variable([f"axis {i}" for i in range(values.ndim)], values, self.attrs)
            return decode_cf_variable("points", stored, decode_times=False, decode_timedelta=False).values


def read_points(
    path: str | os.PathLike[str],
    *,
    series: str | None = None,
    accepted_only: bool = True,
    drop_missing: bool = False,
    recording: bool = False,
    orientation: str | None = None,
) -> tuple[Any, list[str]]:
    """Read points from a file.

    Parameters
    ----------
    path
        ``.npy`` (mapped), ``.npz``, ``.csv`` and other text tables, Zarr, NetCDF: the first axis are the points (in the
        latter two that of time, or frames, if one is called so; missing values there are NaN, and scaled numbers are
        scaled back, as their attributes say), the others are flattened; columns of a table that only count its rows,
        or hold their times, are left out. Any other recording (NWB, suite2p, CaImAn, .mat …): its frames are the
        points, with or without a frame rate.
    series
        Which array, where a file has several.
    accepted_only
        Leave out ROIs that a recording marks as no cells.
    drop_missing
        Leave out points with a value that is not finite; they are counted in the notes.
    recording
        The file is a recording: a table is read as one, also where its times have no name.
    orientation
        "time,neuron" or "neuron,time": the file is a recording, of any format, whose two axes mean this.

    Returns
    -------
    points, notes
        An array (or a Zarr array, which is read in blocks), and what was left out.

    Raises
    ------
    InputError, FileFormatError, UnsafeFileError
        With the path in the message.
    """
    path = require_file(path)
    kind = detect_format(path)
    notes: list[str] = []
    if orientation is not None:
        points = _frames(path, series, accepted_only, orientation, notes)
    elif kind == "csv" and not recording:
        points = _table(path, notes)
    elif kind in (readers := {"npy": _npy, "npz": _npz, "zarr": _zarr, "netcdf": _netcdf}):
        points = readers[kind](path, series)
    else:
        points = _frames(path, series, accepted_only, None, notes)
    if not drop_missing:
        return points, notes
    values = np.asarray(points)
    try:
        as_points(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    missing = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if missing.any():
        notes.append(f"{counted(missing.sum(), 'point', 'has', of=len(values))} values that are not finite: left out.")
    return values[~missing], notes


def _npy(path: Path, _series: str | None) -> Any:
    return load_npy(path)


def _npz(path: Path, series: str | None) -> Any:
    arrays = {name: array for name, array in load_npz(path).items() if array.dtype.kind in "biuf" and array.ndim >= 2}
    return _chosen(arrays, series, path)


def _table(path: Path, notes: list[str]) -> np.ndarray:
    """A text table: one point a line, with or without a header; what tells when or which it is, is no coordinate."""
    from antidrome.recordings.csv_columns import without_counters, without_times
    from antidrome.recordings.csv_files import load_table

    header, values = load_table(path)
    if header is None:
        return values
    return values[:, without_times(header, values, without_counters(header, values, notes), notes)]


def _frames(
    path: Path, series: str | None, accepted_only: bool, orientation: str | None, notes: list[str]
) -> np.ndarray:
    """The frames of a recording. Where it states no frame rate, any will do, since points have no time."""
    choices: Any = {"series": series, "accepted_only": accepted_only, "orientation": orientation}
    try:
        recording = read(path, **choices)
    except InputError as error:
        try:
            recording = read(path, frame_rate_hz=1.0, **choices)
        except AntidromeError:
            raise error from None
    read_series = recording.attrs.get("series")
    notes.extend([*recording.attrs["notes"], *([f"{read_series} was read."] if read_series and not series else [])])
    return recording.values


def _zarr(path: Path, series: str | None) -> Any:
    from antidrome.recordings.xarray_files import open_zarr
    from antidrome.recordings.xarray_groups import arrays_of

    guard_zarr(path)
    store = open_zarr(path)
    if not hasattr(store, "dtype"):
        numeric = {name: a for name, a in arrays_of(store).items() if a.dtype.kind in "biuf" and a.ndim >= 2}
        store = _chosen(numeric, series, path)
    said = getattr(store.metadata, "dimension_names", None) or store.attrs.get("_ARRAY_DIMENSIONS")
    names = tuple(map(str, said)) if isinstance(said, list | tuple) and all(said) else ()
    encoded = names and _is_encoded(store)
    source = DecodedSource(str(path), store, _encoding(path, store)) if encoded else NamedSource(str(path), store)
    times = [names.index(name) for name in called(names, TIME_NAMES)]
    return np.moveaxis(np.asarray(source), times, [0]) if times and times != [0] else source


def _is_encoded(array: Any) -> bool:
    """Whether an array with named axes holds other numbers than it stands for, as xarray stores them."""
    fill = array.fill_value if array.metadata.zarr_format == 2 else None  # of version 3 it is an attribute
    masks = fill not in (None, 0) and fill == fill  # 0 is Zarr's own default: no value is missing by it
    return bool(masks) or bool(ENCODINGS & set(array.attrs))


def _encoding(path: Path, array: Any) -> dict[str, Any]:
    """Attributes of an array, with its fill value as xarray means it: of version 2 a property, of version 3 coded."""
    from xarray.backends.zarr import FillValueCoder

    attrs = dict(array.attrs)
    if array.metadata.zarr_format == 2 and array.fill_value is not None:
        attrs.setdefault("_FillValue", array.fill_value)
    elif isinstance(attrs.get("_FillValue"), str):
        with damage_named(path):
            attrs["_FillValue"] = FillValueCoder.decode(attrs["_FillValue"], array.dtype)
    return attrs


def _netcdf(path: Path, series: str | None) -> Any:
    import xarray as xr

    with open(path, "rb") as stream:
        classic = stream.read(3) == b"CDF"
    if not classic:
        with open_hdf5(path, max_bytes=DEFAULT_MAX_BYTES):
            pass
    try:
        with xr.open_dataset(path, engine="scipy" if classic else "h5netcdf", decode_timedelta=False) as dataset:
            numeric = {str(k): v for k, v in dataset.data_vars.items() if v.dtype.kind in "biuf" and v.ndim >= 2}
            chosen = _chosen(numeric, series, path)
            return chosen.transpose(*called(chosen.dims, TIME_NAMES), ...).values
    except (OSError, RuntimeError, TypeError, KeyError, AssertionError, IndexError) as error:
        raise FileFormatError(f"{path} cannot be read as NetCDF: {error}.") from error


def _chosen(arrays: dict[str, Any], series: str | None, path: Path) -> Any:
    described = ", ".join(f"{name!r} {tuple(array.shape)}" for name, array in arrays.items())
    if not arrays:
        raise InputError(f"{path} holds no array of numbers with two axes or more.")
    if series is not None and series not in arrays:
        raise InputError(f"{path} has no array {series!r}; it has {described}.")
    if series is None and len(arrays) > 1:
        raise InputError(f"{path} has several arrays: {described}; choose one with series (--series NAME).")
    return arrays[series if series is not None else next(iter(arrays))]
