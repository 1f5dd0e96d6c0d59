"""Recordings as populations: of what Antidrome wrote the inferred spikes, as the later stages of a run see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.errors import AntidromeError, InputError

if TYPE_CHECKING:
    import xarray as xr

SAME_RATE = 0.01


def read_population(path: Path, choices: dict[str, Any]) -> tuple[xr.DataArray, str]:
    """A recording, and a sentence on what was read of a file that holds several; "" of others.

    Parameters
    ----------
    path
        Of a recording, or of spikes that Antidrome wrote.
    choices
        As keywords of `antidrome.read`; with a series, that is read.

    Raises
    ------
    AntidromeError
        As `antidrome.read` does.
    """
    from antidrome.recordings import read

    if "series" not in choices and (spikes := inferred_spikes(path, choices.get("frame_rate_hz"))) is not None:
        return spikes, "expected_spikes was read, frame by frame (--series NAME reads another series)."
    recording = read(path, **choices)
    series = recording.attrs.get("series")
    return recording, f"{series} was read (--series NAME reads another series)." if series else ""


def inferred_spikes(path: Path, frame_rate_hz: float | None = None) -> xr.DataArray | None:
    """Expected spikes of each recorded frame, (time, neuron); None where the file holds none that Antidrome wrote.

    Frames and neurons without spikes are left out as in the bins of a run, whose bins are of one frame here.

    Raises
    ------
    InputError
        If another frame rate was given.
    """
    from antidrome.pipeline.stages.activity import binned_spikes
    from antidrome.recordings import read_spikes
    from antidrome.recordings.reading import detect_format

    try:
        result, kind = read_spikes(path), detect_format(path) if path.is_file() else ""
    except (AntidromeError, OSError):  # no result: whoever reads it as a recording says what is wrong
        return None
    if "expected_spikes" not in result or "frame_rate_hz" not in result.attrs:
        return None
    rate = float(result.attrs["frame_rate_hz"])
    if frame_rate_hz is not None and abs(frame_rate_hz - rate) > SAME_RATE * rate:
        raise InputError(
            f"{path}: its spikes are of {rate:g} frames per second, not {frame_rate_hz:g}. Leave out --frame-rate-hz."
        )
    spikes = binned_spikes(result, 1 / rate)
    return spikes.assign_attrs(units="spikes per frame", source=str(path), source_format=kind, series="expected_spikes")
