"""``read``: one call for every format, told apart by content; the reader of a format is loaded when one is met."""

import importlib
import os
from pathlib import Path
from typing import Any, get_args

import xarray as xr

from antidrome.errors import AntidromeError, FileFormatError, InputError, UnsafeFileError
from antidrome.recordings.arguments import one_of
from antidrome.recordings.axes import Orientation
from antidrome.recordings.options import ReadOptions
from antidrome.recordings.safety import require_file

_READERS = {
    "nwb": ("nwb", "read_nwb"),
    "suite2p": ("suite2p", "read_suite2p"),
    "caiman": ("caiman", "read_caiman"),
    "npy": ("numpy_files", "read_npy"),
    "npz": ("numpy_files", "read_npz"),
    "csv": ("csv_files", "read_csv"),
    "mat": ("mat_files", "read_mat"),
    "mat73": ("hdf5_files", "read_mat73"),
    "hdf5": ("hdf5_files", "read_hdf5"),
    "zarr": ("xarray_files", "read_zarr"),
    "netcdf": ("xarray_files", "read_netcdf"),
}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_KNOWN = "NWB, suite2p folder, CaImAn HDF5, .npy, .npz, .csv, .mat, HDF5, Zarr, NetCDF"


def read(
    path: str | os.PathLike[str],
    *,
    frame_rate_hz: float | None = None,
    quantity: str | None = None,
    orientation: str | None = None,
    series: str | None = None,
    accepted_only: bool = True,
    session_id: str | None = None,
    allow_external: bool = False,
    max_bytes: int | None = None,
) -> xr.DataArray:
    """Read a recording from a file or folder of any supported format.

    Parameters
    ----------
    path
        NWB, suite2p folder, CaImAn HDF5, ``.npy``, ``.npz``, ``.csv``, ``.mat``, HDF5, Zarr or NetCDF; told by content.
    frame_rate_hz
        Frames per second, for files that do not say it or say it wrong. Where a file has a time for every frame, it
        must agree with them within one per cent, or as well as rounded times let anyone tell.
    quantity
        "dff", "fluorescence" or "unknown", where the file does not say it.
    orientation
        "time,neuron" or "neuron,time" for plain arrays; default: the longer axis is time, and ``notes`` says so.
    series
        Which object, where a file has several: an NWB series (several planes of one clock, parted by commas, are
        joined), an array of an ``.npz``, ``.mat``, HDF5 or Zarr file, a NetCDF variable ("group/name" in a group).
    accepted_only
        Leave out ROIs that the file marks as no cells (suite2p, CaImAn, NWB); their number goes into ``notes``.
    session_id
        Name of the session; default: what the file says, else its name.
    allow_external
        Allow HDF5 files to read from other files (external links and storage, virtual datasets).
    max_bytes
        Cap on what one array may declare; larger ones are refused before anything is read. By default 64 GiB for
        what is read into memory (``.npz``, ``.csv``, ``.mat``), and for what is read block by block as much as
        compression can make of the bytes that the file holds.

    Returns
    -------
    xr.DataArray
        A recording, dims ("time", "neuron"); dask-backed for NWB, HDF5, CaImAn, Zarr, NetCDF, and
        for ``.npy`` files and suite2p folders of more than 256 MiB.

    Raises
    ------
    InputError
        If something must be chosen or is missing, for instance the frame rate.
    FileFormatError
        If the file is damaged or of no known format.
    UnsafeFileError
        If it asks for other files, code, or memory beyond the cap.
    """
    options = ReadOptions(
        frame_rate_hz=frame_rate_hz,
        quantity=quantity,
        orientation=orientation,
        series=series,
        accepted_only=accepted_only,
        session_id=session_id,
        allow_external=allow_external,
        max_bytes=max_bytes,
    )
    return _read(path, options)[0]


def read_with_neuropil(path: str | os.PathLike[str], **choices: Any) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Read a recording together with the neuropil around its ROIs.

    Parameters
    ----------
    path
        As for :func:`read`.
    **choices
        The keyword arguments of :func:`read`.

    Returns
    -------
    recording, neuropil
        The neuropil has the same dims and labels; None if the file has none (all formats but suite2p and NWB) or the
        recording is ΔF/F already.
    """
    return _read(path, ReadOptions(**choices))


def detect_format(path: str | os.PathLike[str]) -> str:
    """Format of a file or folder by its content: one of the readers' names.

    Raises
    ------
    FileFormatError
        If it is none of them.
    """
    path = require_file(path)
    return _folder_format(path) if path.is_dir() else _file_format(path)


def is_format(path: str | os.PathLike[str], format: str) -> bool:
    """Whether a file or folder is of a format; False of what is damaged or of no known one."""
    try:
        return detect_format(path) == format
    except AntidromeError:
        return False


def _read(path: str | os.PathLike[str], options: ReadOptions) -> tuple[xr.DataArray, xr.DataArray | None]:
    path = require_file(path)
    if options.orientation is not None:  # files that name their axes do not use it, and would take any word
        one_of("orientation", options.orientation, get_args(Orientation))
    file_format = detect_format(path)
    if options.series is not None and file_format in ("csv", "npy"):
        raise InputError(f"{path} is a {file_format} file and holds one table: leave out series= (--series).")
    module, function = _READERS[file_format]
    reader = getattr(importlib.import_module(f"antidrome.recordings.{module}"), function)
    try:
        result = reader(path, options)
    except AntidromeError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    return result if isinstance(result, tuple) else (result, None)


def _folder_format(path: Path) -> str:
    from antidrome.recordings.suite2p import find_planes

    if any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup")):
        return "zarr"
    if find_planes(path):
        return "suite2p"
    if (path / "spks.npy").is_file() or any(path.glob("plane*/spks.npy")):
        raise FileFormatError(
            f"{path} is a folder of deconvolved traces without fluorescence (no F.npy), which is no recording; what"
            " antidrome.write made is read by antidrome.recordings.read_spikes"
        )
    raise FileFormatError(f"{path} is a folder, but neither of suite2p (no F.npy) nor a Zarr store; known: {_KNOWN}")


def _file_format(path: Path) -> str:
    with open(path, "rb") as stream:
        head = stream.read(2048)
    if not head:
        raise FileFormatError(f"{path} is empty")
    for magic, name in ((b"\x93NUMPY", "npy"), (b"PK\x03\x04", "npz"), (b"PK\x05\x06", "npz"), (b"CDF", "netcdf")):
        if head.startswith(magic):
            return name
    if _HDF5_MAGIC in (head[:8], head[512:520], head[1024:1032]):
        return _hdf5_format(path)
    if head.startswith(b"MATLAB") or path.suffix.lower() == ".mat":
        return "mat"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise UnsafeFileError(f"{path} is a Python pickle, which can run code when read; save plain arrays instead")
    packed = head.startswith(b"\x1f\x8b")
    if (Path(path.stem) if packed else path).suffix.lower() in _TEXT_SUFFIXES:
        return "csv"
    if packed:
        raise FileFormatError(f"{path} is packed by gzip, which is read of text tables only (.csv.gz): unpack it first")
    if path.suffix == ".safetensors":
        raise FileFormatError(f"{path} holds a model, no recording: open it with load of its class, as SpikeVAE.load")
    advice = "" if b"\0" in head else "; a text table needs a name that ends in .csv, .tsv or .txt"
    raise FileFormatError(f"{path} is of no known format; known: {_KNOWN}{advice}")


def _hdf5_format(path: Path) -> str:
    from antidrome.recordings.caiman import is_caiman
    from antidrome.recordings.hdf5_files import is_mat73
    from antidrome.recordings.safety import damage_named, open_unguarded

    if is_mat73(path):
        return "mat73"
    with damage_named(path), open_unguarded(path) as file:
        if "nwb_version" in file.attrs:
            return "nwb"
        if is_caiman(file):
            return "caiman"
        if "_NCProperties" in file.attrs or path.suffix.lower() in (".nc", ".nc4", ".cdf", ".netcdf"):
            return "netcdf"
    return "hdf5"
