"""Several planes of one NWB file as one recording, as the planes of a suite2p folder are."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import BY_NUMBER
from antidrome.recordings.recording import from_array

_SAME_RATE = 1e-6


def join_planes(planes: Sequence[xr.DataArray], paths: Sequence[str], where: str) -> xr.DataArray:
    """Join recordings of one clock along the neurons; a single one stays as it is.

    Parameters
    ----------
    planes
        Recordings, dims ("time", "neuron").
    paths
        Path of the series of each inside the file; the shortest ends that tell them apart go before the labels.
    where
        The file, for messages.

    Returns
    -------
    xr.DataArray
        Times are those of the first plane; the coordinate ``series`` names the plane of each neuron.

    Raises
    ------
    InputError
        If the planes differ in frames, frame rate, quantity or units, or start more than a frame apart.
    """
    first = planes[0]
    if len(planes) == 1:
        return first
    names = plane_names(paths)
    for name, plane in zip(names, planes, strict=True):
        _require_same(first, plane, f"{where}: {names[0]!r} and {name!r}")
    notes = [f"{name}: {note}" for name, plane in zip(names, planes, strict=True) for note in plane.attrs["notes"]]
    apart = max(float(np.abs(plane["time"].values - first["time"].values).max()) for plane in planes)
    if apart > 0:
        notes.append(f"the planes are up to {apart:.3g} s apart; the times are those of {names[0]!r}")
    common = set.intersection(*({str(name) for name in plane.coords} for plane in planes)) - {"time", "neuron"}
    coords: dict[str, Any] = {name: np.concatenate([plane[name].values for plane in planes]) for name in sorted(common)}
    coords["series"] = np.repeat(names, [plane.sizes["neuron"] for plane in planes])
    named = any(plane.attrs.get("neuron_labels") != BY_NUMBER["neuron_labels"] for plane in planes)
    kept = {name: first.attrs[name] for name in ("source", "source_format", "session_id")}
    joined = from_array(
        da.concatenate([da.asarray(plane.data) for plane in planes], axis=1),
        first.attrs["frame_rate_hz"],
        neuron=[
            f"{name}/{label}" for name, plane in zip(names, planes, strict=True) for label in plane["neuron"].values
        ],
        time=first["time"].values,
        quantity=first.attrs["quantity"],
        units=first.attrs["units"],
        coords=coords,
        attrs=kept | {"series": ",".join(paths)} | ({} if named else BY_NUMBER),
        notes=notes,
    )
    return joined.rename(first.name)


def plane_names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of paths that are all different."""
    parts = [path.split("/") for path in paths]
    for n in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-n:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return list(paths)


def _require_same(first: xr.DataArray, plane: xr.DataArray, which: str) -> None:
    advice = "they cannot be joined: read each by itself"
    if first.sizes["time"] != plane.sizes["time"]:
        raise InputError(f"{which} have {first.sizes['time']} and {plane.sizes['time']} frames; {advice}")
    for name in ("quantity", "units"):
        if first.attrs[name] != plane.attrs[name]:
            raise InputError(f"{which} differ in {name} ({first.attrs[name]!r}, {plane.attrs[name]!r}); {advice}")
    rates = first.attrs["frame_rate_hz"], plane.attrs["frame_rate_hz"]
    if abs(rates[0] - rates[1]) > _SAME_RATE * rates[0]:
        raise InputError(f"{which} run at {rates[0]:g} and {rates[1]:g} Hz; {advice}")
    apart = float(np.abs(plane["time"].values - first["time"].values).max())
    if apart > 1 / rates[0]:
        raise InputError(f"{which} are up to {apart:.3g} s apart, more than a frame; {advice}")
