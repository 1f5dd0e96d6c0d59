"""NWB files that CaImAn wrote (``estimates.save_NWB``): the denoised ``C`` as fluorescence, its residual beside it."""

from typing import Any

import numpy as np
import pynwb
from pynwb.ophys import DfOverF, RoiResponseSeries

from antidrome.errors import FileFormatError

_TABLE, _TRACES, _RESIDUALS = "CNMF_ROIs", "RoiResponseSeries", "residuals"
"""The description of CaImAn's ROI table, and the names that it gives to ``C`` and to what is left of the traces."""


def is_denoised(series: RoiResponseSeries) -> bool:
    """Whether a series is the denoised ``C`` of CaImAn."""
    is_of_caiman = series.rois.table.description == _TABLE and not isinstance(series.parent, DfOverF)
    return is_of_caiman and series.name == _TRACES


def residuals(series: RoiResponseSeries, where: str) -> Any:
    """The series of what CaImAn's denoised traces leave of the measured ones.

    Raises
    ------
    FileFormatError
        If it is not there, or not of the same shape: spikes inferred from ``C`` would be inferred twice.
    """
    holder = series
    while holder is not None and not isinstance(holder, pynwb.ProcessingModule):
        holder = holder.parent
    found = None if holder is None else holder.data_interfaces.get(_RESIDUALS)
    if not isinstance(found, pynwb.TimeSeries):
        raise FileFormatError(
            f"{where} is the denoised trace C of CaImAn, without its residual (a TimeSeries {_RESIDUALS!r} in the same"
            " module): spikes cannot be inferred from it. Save the estimates anew, or read CaImAn's HDF5 file"
        )
    shape, expected = np.shape(found.data), np.shape(series.data)
    if shape != expected:
        raise FileFormatError(f"{where}: {_RESIDUALS} is {shape}, C is {expected}; save the estimates again")
    return found
