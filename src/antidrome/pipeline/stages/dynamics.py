"""The shared linear dynamical system of all sessions, the latent states of each, and whether each fits in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.errors import InputError
from antidrome.pipeline.stages.stage import Stage, Workplace, file_of

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.dynamics import StitchedLDS
    from antidrome.pipeline.config import RunConfig
    from antidrome.report.page import Part

MODEL = "dynamics.safetensors"
STATIONARITY = "stationarity.nc"
SAME = 1.02
"""Lengths of bins that differ by no more than this are taken as one."""


def _files(session_ids: Sequence[str]) -> dict[str, str]:
    latents = {_latents(one, session_ids): "smoothed latent states, NetCDF" for one in session_ids}
    return {
        MODEL: "the fitted linear dynamical system",
        STATIONARITY: "whether a session differs from the one system, NetCDF",
        **latents,
    }


def _latents(session_id: str, session_ids: Sequence[str]) -> str:
    return file_of("latents", session_id, session_ids)


def _settings(config: "RunConfig") -> dict[str, Any]:
    return {"bin_s": config.bin_s, "n_components": config.n_components, "seed": config.seed}


def _compute(activity: "Mapping[str, xr.DataArray]", config: "RunConfig", place: Workplace) -> None:
    from antidrome.dynamics import StitchedLDS
    from antidrome.recordings.xarray_writing import write_netcdf

    _refuse_unequal_bins(activity, config.bin_s)
    model = StitchedLDS(config.n_components or "auto", seed=config.seed)
    model.fit(dict(activity), executor=place.executor, progress=place.show_progress, checkpoint=place.scratch)
    if left_out := [one for one in activity if one not in model.sessions_]:
        raise InputError(f"No neuron of {left_out[0]} varies from bin to bin. Leave that session out.")
    model.save(place.output / MODEL)
    for session_id, latents in model.transform(dict(activity)).items():
        write_netcdf(latents, place.output / _latents(str(session_id), list(activity)))
    write_netcdf(model.stationarity(dict(activity), seed=config.seed), place.output / STATIONARITY)


def _refuse_unequal_bins(activity: "Mapping[str, xr.DataArray]", bin_s: float) -> None:
    """Bins hold whole frames; sessions of unlike frame rates may have bins of unlike length."""
    lengths = {session: 1 / float(one.attrs["frame_rate_hz"]) for session, one in activity.items()}
    shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    if lengths[longest] > SAME * lengths[shortest]:
        raise InputError(
            f"Bins hold whole frames, so those of {bin_s:g} s last {lengths[shortest]:.4g} s in {shortest} and"
            f" {lengths[longest]:.4g} s in {longest}, whose frame rates differ; one system needs bins of one length."
            " Choose a --bin-s that is a whole number of frames in all of them."
        )


def _summarise(output: Path, session_ids: Sequence[str]) -> dict[str, Any]:
    model, tested = _open(output), _stationarity(output)
    table = model.dynamics_table()
    constants = next(table[name] for name in ("time_constant_s", "time_constant_frames") if name in table)
    return {
        "n_components": int(model.n_components_),
        "n_neurons": len(model.neurons_),
        str(constants.name): [float(f"{value:.6g}") for value in constants.values if value < float("inf")],
        "deviating_sessions": []
        if tested is None
        else list(map(str, tested["session"].values[tested["deviates"].values])),
        "notes": [str(note) for note in model.notes_],
        "citations": list(model.citations_),
    }


def _part(output: Path, session_ids: Sequence[str]) -> "Part":
    from antidrome.recordings.xarray_writing import read_xarray_result
    from antidrome.report.dynamics_part import dynamics_part

    latents = {one: read_xarray_result(output / _latents(one, session_ids)) for one in session_ids}
    return dynamics_part(_open(output), latents, stationarity=_stationarity(output))


def _stationarity(output: Path) -> "xr.Dataset | None":
    """The check of each session; results folders of earlier versions have none."""
    from antidrome.recordings.xarray_writing import read_xarray_result

    return read_xarray_result(output / STATIONARITY) if (output / STATIONARITY).exists() else None


def _open(output: Path) -> "StitchedLDS":
    from antidrome.dynamics import StitchedLDS

    return StitchedLDS.load(output / MODEL)


DYNAMICS = Stage("dynamics", _files, _settings, _compute, _summarise, _part)
