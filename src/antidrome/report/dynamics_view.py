"""What the page shows of a fitted `StitchedLDS`: plain arrays, small whatever the size of the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from antidrome.recordings.clock import clock_rate_hz, longest_step_s
from antidrome.report.decimate import evenly_spread

if TYPE_CHECKING:
    from antidrome.dynamics import StitchedLDS

MAX_RUNS = 4000
MAX_POINTS = 12_000
MAX_SHOWN_SESSIONS = 12


@dataclass(frozen=True)
class Trajectory:
    """Smoothed latent states of one session, thinned.

    Attributes
    ----------
    session_id
        The session.
    time_s, states
        (point,) and (point, component), with a row of NaN states wherever time is interrupted.
    step
        Of so many time steps of a stretch one is here.
    n_shown, n_stretches
        Stretches without a pause that are here, of all that there are.
    """

    session_id: str
    time_s: NDArray[np.float64]
    states: NDArray[np.float64]
    step: int
    n_shown: int
    n_stretches: int


@dataclass(frozen=True, kw_only=True)
class DynamicsView:
    """What is shown.

    Attributes
    ----------
    sessions
        Names, in the order of the fit.
    n_neurons, n_components, frame_rate_hz
        Of the fit; the rate may be unknown.
    n_observed, shared, component
        (session,), (session, session) and (session,) of the overlap report.
    share_never_together
        Share of pairs of neurons never recorded together.
    runs
        (run, 3) session, first and last + 1 place of neurons that it has recorded, neurons sorted by who saw them.
    losses, log_likelihoods
        Of the solver and of EM, one an iteration.
    modes
        Dataset of `StitchedLDS.dynamics_table`.
    seen, held_out
        (2, pair) predicted and measured correlations: all that the fit keeps, a sample that is small.
    curve
        Dataset of held-out correlation over `order`.
    trajectories
        One a session; empty where no latent states were given.
    stationarity
        Dataset of `StitchedLDS.stationarity`, or None.
    warnings, notes
        Sentences.
    citations
        Keys of works.
    settings
        What was chosen.
    """

    sessions: Sequence[str]
    n_neurons: int
    n_components: int
    frame_rate_hz: float | None
    n_observed: NDArray[np.int64]
    shared: NDArray[np.int64]
    component: NDArray[np.int64]
    share_never_together: float
    runs: NDArray[np.int64]
    losses: NDArray[np.float64]
    log_likelihoods: NDArray[np.float64]
    modes: xr.Dataset
    seen: NDArray[np.float64]
    held_out: NDArray[np.float64]
    curve: xr.Dataset
    trajectories: Sequence[Trajectory]
    stationarity: xr.Dataset | None
    warnings: Sequence[str]
    notes: Sequence[str]
    citations: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


def dynamics_view(
    model: "StitchedLDS",
    latents: Mapping[str, xr.Dataset] | xr.Dataset | None = None,
    *,
    stationarity: xr.Dataset | None = None,
) -> DynamicsView:
    """Gather what the page shows.

    Parameters
    ----------
    model
        A fitted `StitchedLDS`.
    latents
        What its ``transform`` gave: session id to dataset, or one dataset; None: no trajectories.
    stationarity
        What its ``stationarity`` gave, or None.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    from antidrome.dynamics.reports import order_curve

    found, overlap = model._fitted(), model.overlap_
    return DynamicsView(
        sessions=list(model.sessions_),
        n_neurons=len(model.neurons_),
        n_components=int(model.n_components_),
        frame_rate_hz=model.frame_rate_hz_,
        n_observed=np.asarray(overlap.n_observed, dtype=np.int64),
        shared=np.asarray(overlap.shared, dtype=np.int64),
        component=np.asarray(overlap.component, dtype=np.int64),
        share_never_together=overlap.share_never_together,
        runs=_runs(model.observed_),
        losses=np.asarray(found.losses, dtype=float),
        log_likelihoods=np.asarray(found.log_likelihoods, dtype=float),
        modes=model.dynamics_table(),
        seen=found.pairs.seen,
        held_out=found.pairs.held_out,
        curve=order_curve(found),
        trajectories=_trajectories(latents),
        stationarity=stationarity,
        warnings=list(overlap.warnings),
        notes=[note for note in model.notes_ if note not in overlap.warnings],
        citations=list(model.citations_),
        settings=_settings(model),
    )


def _settings(model: "StitchedLDS") -> dict[str, Any]:
    found = model._fitted()
    chosen = found.settings
    return {
        "lags": ", ".join(map(str, model.lags_)),
        "solver": f"{model.solver} ({found.form})",
        "shrinkage": f"{chosen.shrinkage:g}",
        "coupling of sessions": "one set of covariances" if np.isinf(chosen.coupling) else f"{chosen.coupling:g}",
        "private noise": "autocorrelated" if chosen.hollow_lags else "white",
        "prediction of pairs": {1.0: "time lags", 0.0: "lag 0 alone"}.get(found.share_of_lags, "average of both"),
        "calibration of unseen pairs": f"{found.calibration:.3g}",
        "refinement": model.refine or "none",
        "observation": model.observation,
        "seed": str(model.seed),
    }


def _runs(observed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Stretches of neurons that a session has recorded, once the neurons are sorted by the sessions that saw them."""
    table = observed[:, np.lexsort(observed[::-1])[::-1]].astype(np.int8)
    runs = []
    for session, row in enumerate(table):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        runs += [(session, start, stop) for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]
    longest = sorted(runs, key=lambda run: run[1] - run[2])[:MAX_RUNS]
    return np.array(sorted(longest), dtype=np.int64).reshape(-1, 3)


def _trajectories(latents: Mapping[str, xr.Dataset] | xr.Dataset | None) -> list[Trajectory]:
    if latents is None:
        return []
    named = {str(latents.attrs.get("session_id", "session")): latents} if isinstance(latents, xr.Dataset) else latents
    chosen = list(named.items())[:MAX_SHOWN_SESSIONS]
    return [_trajectory(str(name), one, MAX_POINTS // len(chosen)) for name, one in chosen]


def _trajectory(name: str, latents: xr.Dataset, most: int) -> Trajectory:
    """About so many points at most: every so-and-so-many-th, or of short trials some as a whole, evenly spread."""
    states = latents["latent"].transpose("time", "component").values.astype(np.float64)
    time = latents["time"].values.astype(np.float64)
    stretches = _stretches(time)
    lengths = [stop - start for start, stop in stretches]
    shown, step = stretches, _step(lengths, most)
    if step > 1 and np.median(lengths) < 2 * step:
        n_shown = int(most / (np.mean(lengths) + 1))
        shown = [stretches[i] for i in evenly_spread(len(stretches), max(1, n_shown))]
        step = _step([stop - start for start, stop in shown], most)
    places = [np.arange(start, stop, step) for start, stop in shown]
    keep, pauses = np.concatenate(places), np.cumsum([len(one) for one in places])[:-1]
    return Trajectory(
        name,
        np.insert(time[keep], pauses, time[keep[pauses - 1]]),
        np.insert(states[keep], pauses, np.nan, axis=0),
        step,
        len(shown),
        len(stretches),
    )


def _step(lengths: Sequence[int], most: int) -> int:
    """One of how many time steps leaves room for a row between stretches."""
    return max(1, -(-sum(lengths) // max(1, most - len(lengths) + 1)))


def _stretches(time: NDArray[np.float64]) -> list[tuple[int, int]]:
    """First and last + 1 place of every stretch of time steps without a pause."""
    rate = clock_rate_hz(time)
    starts = np.flatnonzero(np.diff(time) > longest_step_s(time, rate)) + 1 if rate else np.zeros(0, int)
    return list(zip([0, *starts.tolist()], [*starts.tolist(), len(time)], strict=True))
