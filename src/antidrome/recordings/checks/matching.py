"""What several recordings say together: whether their neurons are matched by names or by mere numbers."""

from collections.abc import Mapping

import xarray as xr

from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import named_by_number
from antidrome.recordings.checks.finding import Finding

MATCHED_BY_NUMBER = "neurons-matched-by-number"
HOW_TO_NAME = (
    "If they are not the same cells in the same order, fit each recording alone, or give every cell one label for all"
    ' of them: an array "neuron" in .npz, .mat and HDF5 files, the coordinate "neuron" in Zarr and NetCDF, the header'
    ' of a .csv, the column "label" of an NWB ROI table.'
)
"""What to do where nobody named the neurons."""
LEAVE_OUT = "To leave the shared dynamics out: --stages spikes dimension."
"""What else to do in a run."""


def matched_by_number(recordings: Mapping[str, xr.DataArray]) -> Finding | None:
    """A warning where neurons of several recordings would be taken for the same for their number alone.

    Parameters
    ----------
    recordings
        By session id, as `antidrome.read` gives them.
    """
    labels = {name: set(map(str, one["neuron"].values)) for name, one in recordings.items()}
    numbered = [name for name, one in recordings.items() if named_by_number(one)]
    shared = {
        label for name in numbered for other in recordings if other != name for label in labels[name] & labels[other]
    }
    if not shared:
        return None
    return Finding(
        id=MATCHED_BY_NUMBER,
        severity="warning",
        message=f"Nobody named the neurons of {', '.join(numbered[:4])}{' …' if numbered[4:] else ''}:"
        f" {counted(len(shared), 'neuron', 'is')} taken for the same cell in several recordings because of the number.",
        fix=HOW_TO_NAME,
    )
