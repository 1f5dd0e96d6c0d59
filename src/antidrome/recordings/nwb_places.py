"""Where the neurons of a result stand in the NWB file that they were recorded in: in which ROI table, in which row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pynwb
import xarray as xr
from pynwb.ophys import PlaneSegmentation

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.axes import even_times
from antidrome.recordings.clock import clock_rate_hz
from antidrome.recordings.nwb import Series, find_series, frame_times, frames_of, pick_planes, series_called
from antidrome.recordings.nwb_planes import plane_names
from antidrome.recordings.nwb_rois import roi_table

_SAME_FRAME = 0.25
"""How far the times of a result may be from those of its recording, in frames: half a frame is another clock."""
_SAME_RATE = 0.01
"""Two frame rates that differ by less than this part are the same."""
_OWN_FILE = "Without source= and its attribute 'source' (drop_attrs), the result is written into a file of its own."


@dataclass(frozen=True)
class Place:
    """Where one neuron stands."""

    table: PlaneSegmentation
    row: int


@dataclass(frozen=True)
class _Clock:
    """Frames of a series: how many, their times (s), frames per second, and whether these were said and made those."""

    n_frames: int
    time: np.ndarray | None
    frame_rate_hz: float | None
    is_even: bool


def places_in_source(nwbfile: pynwb.NWBFile, result: xr.Dataset, source: Path) -> list[Place]:
    """The place of each neuron of a result in the file of its recording.

    Parameters
    ----------
    nwbfile
        The recording's file.
    result
        Its attribute ``series`` says of which series it is, or of which planes that were joined. Without it, or where
        the file has no series of that name, the labels and frames decide among all traces. Frames that were binned
        or resampled lie within those of the recording.
    source
        The file's path, for messages.

    Raises
    ------
    InputError
        If no ROI table has all neurons of the result, if its frames are not those of the series, or if several ROI
        tables would do.
    """
    found, wanted = find_series(nwbfile), str(result.attrs.get("series") or "")
    is_named = _names_planes(found, wanted)
    traces = [[series] for series in found if series.is_trace]
    choices = [pick_planes(found, wanted, str(source))] if is_named else traces
    labels = [str(label) for label in result["neuron"].values]
    named = [(planes[0], places) for planes in choices if (places := _places(planes, labels, source)) is not None]
    if not named:
        raise InputError(
            f"{source}: no ROI table has all {len(labels)} neurons of the result (first: {labels[0]!r}): another"
            f" recording? {_OWN_FILE}"
        )
    fitting = [pair for pair in named if _has_frames(pair[0], result, source)]
    fitting = fitting or [pair for pair in named if _lies_within(pair[0], result, source, is_named=is_named)]
    if not fitting:
        raise InputError(
            f"{source}: the {counted(result.sizes['time'], 'frame')} of the result are not frames of"
            f" {named[0][0].path!r}: another recording? {_OWN_FILE}"
        )
    tables = {id(places[0].table): series.path for series, places in fitting}
    if len(tables) > 1:
        first = next(iter(tables.values()))
        raise InputError(
            f"{source}: the ROI tables of {listing(tables.values())} all have the neurons of the result: say of which"
            f" series it is, for instance by result.assign_attrs(series={first!r})"
        )
    return fitting[0][1]


def _names_planes(found: list[Series], wanted: str) -> bool:
    """Whether the file has the series that a result says it is of, or all of several."""
    names = [wanted] if series_called(found, wanted) else [name.strip() for name in wanted.split(",")]
    return bool(wanted) and all(series_called(found, name) for name in names)


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
    time = result["time"].values
    clock = _clock(chosen, source)
    if time.size >= clock.n_frames:
        return time.size == clock.n_frames
    if clock.time is None:
        return True
    stored = clock.time
    if clock.is_even:  # times that were made of another rate when the recording was read
        rate = float(result.attrs.get("frame_rate_hz", clock.frame_rate_hz))
        stored = even_times(float(stored[0]), rate, clock.n_frames)
    after = np.clip(np.searchsorted(stored, time), 1, clock.n_frames - 1)
    off = np.minimum(np.abs(stored[after] - time), np.abs(time - stored[after - 1]))
    return bool((off <= _SAME_FRAME * np.median(np.diff(stored))).all())


def _lies_within(chosen: Series, result: xr.Dataset, source: Path, *, is_named: bool) -> bool:
    """Whether a result was binned or resampled: its times lie within those of its series, but for a frame.

    Where the result does not name the series, its frame rate must be another one: else its frames would be the same.
    """
    time, clock = result["time"].values, _clock(chosen, source)
    if clock.time is None or clock.frame_rate_hz is None:
        return False
    rate = clock_rate_hz(time) or clock.frame_rate_hz
    if not is_named and abs(rate - clock.frame_rate_hz) <= _SAME_RATE * clock.frame_rate_hz:
        return False
    frame = 1.0 / min(rate, clock.frame_rate_hz)
    return bool(clock.time.min() - frame <= time.min() and time.max() <= clock.time.max() + frame)


def _clock(chosen: Series, source: Path) -> _Clock:
    n_frames = frames_of(chosen.series, len(chosen.series.rois.data))
    time, rate = frame_times(chosen.series, n_frames, f"{source}: {chosen.path}")
    return _Clock(n_frames, time, clock_rate_hz(time) if rate is None else rate, rate is not None)
