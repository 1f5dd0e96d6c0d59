"""The sessions as the later stages see them: expected spikes summed over bins.

Only what was recorded counts: the spikes that inference puts into missing frames follow from its prior, and would pass
for activity that all neurons share.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.headings import names_group
from antidrome.recordings.segments import borders

if TYPE_CHECKING:
    import xarray as xr

FEWEST = 0.5
"""Share of a bin's frames that have to be there; its sum is then extrapolated to all of them."""
HALF = 0.01
"""Parts of a frame by which a bin may miss a half and be rounded like it, since rates found from times are inexact."""


def binned_spikes(result: "xr.Dataset", bin_s: float) -> "xr.DataArray":
    """Expected spikes per bin of the neurons that have any.

    Parameters
    ----------
    result
        Spikes of one session, with the trace ``dff`` where frames may be missing; dask-backed stays dask-backed.
    bin_s
        Width of a bin in seconds, rounded to whole frames (halves to even numbers), one at least. A last, incomplete
        bin is left out. No bin holds frames of two trials, or of a trial and none (NaN), where the result has a
        coordinate "trial" along time.

    Returns
    -------
    DataArray (time, neuron) float32, without neurons whose spikes are NaN; their number is in the notes. NaN where a
    neuron misses most frames of a bin; there is no bin where most frames were not recorded at all. Trials are kept.

    Raises
    ------
    InputError
        If the session is shorter than one bin, or no bin has enough frames.
    """
    spikes = _of_frames(result["expected_spikes"])
    rate = float(result.attrs["frame_rate_hz"])
    frames = _whole_frames(bin_s * rate)
    session = result.attrs.get("session_id", "The session")
    if spikes.sizes["time"] < frames:
        raise InputError(
            f"{session} has {counted(spikes.sizes['time'], 'frame')}, fewer than one bin of {bin_s:g} s ({frames}"
            " frames). Choose a smaller --bin-s."
        )
    usable = np.isfinite(spikes.isel(time=0).values)
    kept = np.flatnonzero(usable)
    traces = _of_frames(result["dff"]).isel(neuron=kept) if "dff" in result else None
    total = _sums(spikes.isel(neuron=kept), traces, frames, rate, trials_of(result))
    if not total.sizes["time"]:
        raise InputError(f"{session} has no stretch of {bin_s:g} s without gaps. Choose a smaller --bin-s.")
    notes = [] if usable.all() else [f"{counted((~usable).sum(), 'neuron')} without spikes left out."]
    return total.assign_attrs(
        {name: result.attrs[name] for name in ("neuron_labels",) if name in result.attrs},
        frame_rate_hz=rate / frames,
        session_id=str(result.attrs.get("session_id", "")),
        quantity="spikes",
        units="spikes per bin",
        notes=notes,
    )


def _whole_frames(length: float) -> int:
    """A length in frames as a whole number, one at least, the same for 15 Hz and for times that say 14.9999999 Hz."""
    half = math.floor(length) + 0.5
    return max(1, round(half if abs(length - half) <= HALF else length))


def _of_frames(variable: "xr.DataArray") -> "xr.DataArray":
    """(time, neuron), with these coordinates only."""
    other = [name for name in variable.coords if name not in variable.dims]
    return variable.transpose("time", "neuron").drop_vars(other)


def trials_of(result: "xr.Dataset | xr.DataArray") -> "xr.DataArray | None":
    """(time,) trial of every frame of a result or a recording, where it is told."""
    along = [c for name, c in result.coords.items() if c.dims == ("time",) and names_group(str(name)) == "trial"]
    return along[0].drop_vars("time") if along else None


def _sums(
    spikes: "xr.DataArray", traces: "xr.DataArray | None", frames: int, rate: float, trials: "xr.DataArray | None"
) -> "xr.DataArray":
    """Sums over bins of so many frames, of what was observed; every trial starts a bin."""
    from antidrome.spikes.grid import FrameGrid

    grid = FrameGrid.of(spikes["time"].values, rate)
    if trials is None and not grid.n_missing and (traces is None or not bool(traces.isnull().any())):
        return spikes.coarsen(time=frames, boundary="trim").sum().astype("float32")
    places = grid.places if trials is None else _at_bins(grid.places, trials.values, frames)
    there, frame = np.zeros(places[-1] + 1, bool), np.zeros(places[-1] + 1, int)
    there[places], frame[places] = True, np.arange(len(places))
    values = spikes.isel(time=frame).drop_vars("time")
    recorded_values = values if traces is None else traces.isel(time=frame).drop_vars("time")
    observed = recorded_values.notnull() & there[:, None]
    share = observed.astype("float32").coarsen(time=frames, boundary="trim").mean()
    total = values.where(observed, 0).coarsen(time=frames, boundary="trim").sum() / share.where(share >= FEWEST)
    recorded = there[: len(there) // frames * frames].reshape(-1, frames)
    first = recorded.argmax(axis=1)
    opening = frame[np.arange(len(recorded)) * frames + first]
    start = spikes["time"].values[opening] - first / rate
    total = total.assign_coords(time=start + (frames - 1) / 2 / rate)
    if trials is not None:
        total = total.assign_coords({str(trials.name): ("time", trials.values[opening])})
    return total.isel(time=np.flatnonzero(recorded.mean(axis=1) >= FEWEST)).astype("float32")


def _at_bins(places: np.ndarray, trials: np.ndarray, frames: int) -> np.ndarray:
    """(frame,) grid places, moved so that the first frame of every trial opens a bin of so many frames."""
    first = np.flatnonzero(borders(trials)) + 1
    moved = np.zeros(len(places), np.int64)
    so_far = 0
    for frame in first:
        moved[frame] = -(places[frame] + so_far) % frames
        so_far += moved[frame]
    return places + np.cumsum(moved)
