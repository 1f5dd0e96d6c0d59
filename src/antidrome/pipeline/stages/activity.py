"""The sessions as the later stages see them: expected spikes summed over bins."""

from typing import TYPE_CHECKING

import numpy as np

from antidrome.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


def binned_spikes(result: "xr.Dataset", bin_s: float) -> "xr.DataArray":
    """Expected spikes per bin of the neurons that have any.

    Parameters
    ----------
    result
        Spikes of one session; dask-backed stays dask-backed.
    bin_s
        Width of a bin in seconds, rounded to whole frames, one at least. A last, incomplete bin is left out.

    Returns
    -------
    DataArray (time, neuron) float32, without neurons whose spikes are NaN; their number is in the notes.

    Raises
    ------
    InputError
        If the session is shorter than one bin.
    """
    spikes = result["expected_spikes"].transpose("time", "neuron")
    rate = float(result.attrs["frame_rate_hz"])
    frames = max(1, round(bin_s * rate))
    if spikes.sizes["time"] < frames:
        raise InputError(
            f"{result.attrs.get('session_id', 'The session')} has {spikes.sizes['time']} frames, fewer than one bin of"
            f" {bin_s:g} s ({frames} frames). Choose a smaller --bin-s."
        )
    usable = np.isfinite(spikes.isel(time=0).values)
    kept = spikes.isel(neuron=np.flatnonzero(usable))
    coords = [name for name in kept.coords if name not in kept.dims]
    total = kept.drop_vars(coords).coarsen(time=frames, boundary="trim").sum().astype("float32")
    notes = [] if usable.all() else [f"{int((~usable).sum())} neurons without spikes were left out."]
    return total.assign_attrs(
        {name: result.attrs[name] for name in ("neuron_labels",) if name in result.attrs},
        frame_rate_hz=rate / frames,
        session_id=str(result.attrs.get("session_id", "")),
        quantity="spikes",
        units="spikes per bin",
        notes=notes,
    )
