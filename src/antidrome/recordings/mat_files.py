"""Recordings in MATLAB files: one matrix of traces, with the usual names for times and frame rate beside it."""

from dataclasses import replace
from pathlib import Path

import xarray as xr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.choice import numeric
from antidrome.recordings.mat_fall import is_fall, read_fall
from antidrome.recordings.mat_guard import load_mat
from antidrome.recordings.mat_variables import choose_matrix, containers, plain_arrays
from antidrome.recordings.numpy_files import from_named_arrays
from antidrome.recordings.options import ReadOptions


def read_mat(path: Path, options: ReadOptions) -> xr.DataArray | tuple[xr.DataArray, xr.DataArray | None]:
    """Read a matrix from a MATLAB file of version 4 to 7.2 (7.3 is HDF5 and goes through its rules).

    A matrix in a struct is called "struct/field"; without ``series`` it is read if there is none outside. The
    ``Fall.mat`` of suite2p is read as its folder is, with the neuropil.

    Raises
    ------
    InputError
        If the file has the layout of the public ground truth, which holds many recordings; or if ``series`` names a
        cell array, an array of structs or a sparse matrix.
    FileFormatError
        If there is no matrix, or only in one of those.
    """
    content = load_mat(path, options.max_memory_bytes)
    if "CAttached" in content:
        raise InputError(
            f"{path} is a ground-truth file with one recording a trial: "
            "read it with antidrome.recordings.read_ground_truth_mat"
        )
    arrays, held = plain_arrays(content), containers(content)
    if options.series in held:
        raise InputError(f"{path}: {held[options.series]}")
    if is_fall(arrays, options.series):
        return read_fall(arrays, path, options)
    try:
        if options.series is None:
            shapes = {name: array.shape for name, array in numeric(arrays, str(path)).items()}
            options = replace(options, series=choose_matrix(shapes, str(path)))
        return from_named_arrays(arrays, path, "mat", options)
    except FileFormatError as error:
        if not held:
            raise
        raise FileFormatError(f"{error}; {next(iter(held.values()))}") from error
