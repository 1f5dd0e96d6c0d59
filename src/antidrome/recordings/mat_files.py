"""Recordings in MATLAB files: one matrix of traces, with the usual names for times and frame rate beside it."""

from pathlib import Path

import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.mat_guard import load_mat, plain_arrays
from antidrome.recordings.numpy_files import from_named_arrays
from antidrome.recordings.options import ReadOptions


def read_mat(path: Path, options: ReadOptions) -> xr.DataArray:
    """Read a matrix from a MATLAB file of version 4 to 7.2 (7.3 is HDF5 and goes through its rules).

    Raises
    ------
    InputError
        If the file has the layout of the public ground truth, which holds many recordings.
    """
    content = load_mat(path, options.max_bytes)
    if "CAttached" in content:
        raise InputError(
            f"{path} is a ground-truth file with one recording a trial: "
            "read it with antidrome.recordings.read_ground_truth_mat"
        )
    return from_named_arrays(plain_arrays(content), path, "mat", options)
