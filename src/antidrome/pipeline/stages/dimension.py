"""The intrinsic dimension of each session's population, with its controls."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.errors import FileFormatError, InputError
from antidrome.pipeline.stages.stage import Stage, Workplace, file_of

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.pipeline.config import RunConfig
    from antidrome.report.page import Part

MAX_POINTS = 2000
"""Bins that are compared with one another, spread evenly over the session."""
SKIPPED = "skipped"
"""Attribute of the file of a session that could not be measured: the reason."""


def _name(session_id: str, session_ids: Sequence[str]) -> str:
    return file_of("dimension", session_id, session_ids)


def _files(session_ids: Sequence[str]) -> dict[str, str]:
    return {_name(one, session_ids): "intrinsic dimension of the population, NetCDF" for one in session_ids}


def _settings(config: "RunConfig") -> dict[str, Any]:
    return {"bin_s": config.bin_s, "max_points": MAX_POINTS, "seed": config.seed}


def _compute(activity: "Mapping[str, xr.DataArray]", config: "RunConfig", place: Workplace) -> None:
    from antidrome.recordings.xarray_writing import write_netcdf

    found = {name: _measured(recording, config, place) for name, recording in activity.items()}
    measured, reasons = _told_apart(found)
    if not measured:
        raise InputError(" ".join(reasons.values() if len(reasons) == 1 else _named(reasons)))
    for session_id, one in found.items():
        write_netcdf(one, place.output / _name(session_id, list(activity)))


def _measured(recording: "xr.DataArray", config: "RunConfig", place: Workplace) -> "xr.Dataset":
    """What was found of one session; where it is too small, nothing but the reason."""
    import xarray as xr

    from antidrome.dimension import population

    try:
        found = population(recording, max_points=MAX_POINTS, seed=config.seed, progress=place.show_progress)
    except FileFormatError:  # a block of ours is damaged: the data are not to blame
        raise
    except InputError as error:
        return xr.Dataset(attrs={SKIPPED: str(error)})
    found.attrs["notes"] = [*recording.attrs.get("notes", []), *found.attrs["notes"]]
    return found


def _told_apart(found: "Mapping[str, xr.Dataset]") -> "tuple[dict[str, xr.Dataset], dict[str, str]]":
    """What was found of the sessions that were measured, and why the others were not."""
    reasons = {name: str(one.attrs[SKIPPED]) for name, one in found.items() if SKIPPED in one.attrs}
    return {name: one for name, one in found.items() if name not in reasons}, reasons


def _named(reasons: Mapping[str, str]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in reasons.items()]


def _summarise(output: Path, session_ids: Sequence[str]) -> dict[str, Any]:
    measured, reasons = _told_apart(_open(output, session_ids))
    return {
        "sessions": [
            {
                "session_id": session_id,
                "dimension": float(f"{float(one['dimension']):.6g}"),
                "standard_error": float(f"{float(one['standard_error']):.6g}"),
                "verdict": one.attrs["verdict"],
                "conclusions": one.attrs["conclusions"],
                "notes": [str(note) for note in one.attrs["notes"]],
            }
            for session_id, one in measured.items()
        ],
        "notes": _named(reasons),
        "citations": sorted({str(key) for one in measured.values() for key in one.attrs["citations"]}),
    }


def _part(output: Path, session_ids: Sequence[str]) -> "Part":
    from antidrome.report.dimension_part import population_part

    measured, reasons = _told_apart(_open(output, session_ids))
    return population_part(measured, unmeasured=reasons)


def _open(output: Path, session_ids: Sequence[str]) -> "dict[str, xr.Dataset]":
    from antidrome.recordings.xarray_writing import read_xarray_result

    found = {one: read_xarray_result(output / _name(one, session_ids)) for one in session_ids}
    for one in found.values():
        if "reliability" in one.attrs:  # early files call the conclusions a verdict, and the verdict reliability
            one.attrs |= {"conclusions": one.attrs["verdict"], "verdict": one.attrs.pop("reliability")}
    return found


DIMENSION = Stage("dimension", _files, _settings, _compute, _summarise, _part)
