"""Where the neurons of a result stand in the NWB file that they were recorded in: in which ROI table, in which row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import xarray as xr
from pynwb.ophys import PlaneSegmentation

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.axes import even_times
from antidrome.recordings.nwb import Series, find_series, frame_times, frames_of, pick_planes, series_called
from antidrome.recordings.nwb_planes import plane_names
from antidrome.recordings.nwb_rois import roi_table

_SAME_FRAME = 0.25
"""How far the times of a result may be from those of its recording, in frames: half a frame is another clock."""


@dataclass(frozen=True)
class Place:
    """Where one neuron stands."""

    table: PlaneSegmentation
    row: int


def places_in_source(nwbfile: pynwb.NWBFile, result: xr.Dataset, source: Path) -> list[Place]:
    """The place of each neuron of a result in the file of its recording.

    Parameters
    ----------
    nwbfile
        The recording's file.
    result
        Its attribute ``series`` says of which series it is, or of which planes that were joined. Without it, or where
        the file has no series of that name, the labels and frames decide among all traces.
    source
        The file's path, for messages.

    Raises
    ------
    InputError
        If no ROI table has all neurons of the result, if its frames are not those of the series, or if several ROI
        tables would do.
    """
    choices = _choices(find_series(nwbfile), result.attrs.get("series"), str(source))
    labels = [str(label) for label in result["neuron"].values]
    named = [(planes[0], places) for planes in choices if (places := _places(planes, labels, source)) is not None]
    if not named:
        raise InputError(
            f"{source}: no ROI table has all {len(labels)} neurons of the result (first: {labels[0]!r}): another"
            " recording?"
        )
    fitting = [(series, places) for series, places in named if _has_frames(series, result, source)]
    if not fitting:
        raise InputError(
            f"{source}: the {counted(result.sizes['time'], 'frame')} of the result are not frames of"
            f" {named[0][0].path!r}: another recording?"
        )
    tables = {id(places[0].table): series.path for series, places in fitting}
    if len(tables) > 1:
        first = next(iter(tables.values()))
        raise InputError(
            f"{source}: the ROI tables of {listing(tables.values())} all have the neurons of the result: say of which"
            f" series it is, for instance by result.assign_attrs(series={first!r})"
        )
    return fitting[0][1]


def _choices(found: list[Series], wanted: Any, where: str) -> list[list[Series]]:
    """The planes that the result says it is of; else each trace of the file by itself."""
    whole = str(wanted or "")
    names = [whole] if series_called(found, whole) else [name.strip() for name in whole.split(",")]
    if whole and all(series_called(found, name) for name in names):
        return [pick_planes(found, whole, where)]
    return [[series] for series in found if series.is_trace]


def _places(planes: Sequence[Series], labels: Sequence[str], source: Path) -> list[Place] | None:
    """The place of each label; None if a plane has not all of them. Labels of several planes begin with their names."""
    before = [f"{name}/" for name in plane_names([plane.path for plane in planes])] if len(planes) > 1 else [""]
    place_of: dict[str, Place] = {}
    for plane, name in zip(planes, before, strict=True):
        rois = roi_table(plane.series, f"{source}: {plane.path}")
        rows = zip(rois.labels.tolist(), rois.rows.tolist(), strict=True)
        place_of |= {f"{name}{label}": Place(plane.series.rois.table, row) for label, row in rows}
    return [place_of[label] for label in labels] if place_of.keys() >= set(labels) else None


def _has_frames(chosen: Series, result: xr.Dataset, source: Path) -> bool:
    """Whether a result is of all frames of a series, whatever their times, or of some of them, by their times."""
    series, time = chosen.series, result["time"].values
    n_frames = frames_of(series, len(series.rois.data))
    if time.size >= n_frames:
        return time.size == n_frames
    stored, rate = frame_times(series, n_frames, f"{source}: {chosen.path}")
    if stored is None:
        return True
    if rate is not None:  # times that were made of another rate when the recording was read
        stored = even_times(float(stored[0]), float(result.attrs.get("frame_rate_hz", rate)), n_frames)
    after = np.clip(np.searchsorted(stored, time), 1, n_frames - 1)
    off = np.minimum(np.abs(stored[after] - time), np.abs(time - stored[after - 1]))
    return bool((off <= _SAME_FRAME * np.median(np.diff(stored))).all())
