"""Labelled results of a fitted system: latent states of sessions, imputed activity, forecasts, samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from antidrome.dynamics.data import SessionData
from antidrome.dynamics.fitted import FittedSystem
from antidrome.dynamics.inference import infer
from antidrome.dynamics.kalman import Smoothed
from antidrome.dynamics.limits import notes_on_smoothing
from antidrome.dynamics.population import Population, Session, find_labels
from antidrome.dynamics.preparation import count_noise, require_counts
from antidrome.dynamics.system import root_of
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.units import spelled

OWN_NAMES = ("latent", "latent_covariance", "mean", "sd", "component", "component_2", "neuron", "recorded", "time")
STATES_NOISE_FLOOR = 1e-3
"""Least private variance with which states are inferred; `em` learns with a lower one, and both are in scaled units."""


@dataclasses.dataclass(frozen=True)
class MatchedSession:
    """A session's data on the neurons of the fit, in scaled units; `told` is what was noted when it was opened."""

    data: SessionData
    n_unknown: int
    frame_rate_hz: float | None = None
    converted: str | None = None
    told: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """(neuron,) places in the fit."""
        return self.data.session.rows

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of every result of this session."""
        notes = (
            [f"{counted(self.n_unknown, 'neuron', 'is')} unknown to the fit and not used."] if self.n_unknown else []
        )
        if self.converted:
            theirs, ours = spelled(self.converted), spelled(self.data.session.units)
            notes.append(f"The recording is in {theirs}, the fit in {ours}: results are in {ours}, as the fit.")
        return {"session_id": self.data.session.name, "citations": ["nonnenmacher2017"], "notes": [*notes, *self.told]}


def matched(system: FittedSystem, population: Population) -> Iterator[tuple[Session, MatchedSession]]:
    """Sessions restricted to the neurons of the fit.

    Raises
    ------
    InputError
        If a session has none of them, or runs at another frame rate.
    """
    known, told = set(system.population.labels.tolist()), (*population.notes, *notes_on_smoothing(system.system))
    rates = (population.frame_rate_hz, system.frame_rate_hz)
    if None not in rates and abs(rates[0] - rates[1]) > 0.02 * rates[1]:
        raise InputError(
            f"The recordings run at {rates[0]:g} Hz, the fit at {rates[1]:g} Hz; resample them to the fit's frame rate."
        )
    for session in population.sessions:
        labels = population.labels[session.rows]
        inside = np.array([label in known for label in labels.tolist()])
        if not inside.any():
            raise InputError(
                f"Session {session.name!r} has no neuron of the fit (its first is {str(labels[0])!r}, the fit's first"
                f" is {str(system.population.labels[0])!r})."
            )
        rows = find_labels(system.population.labels, labels[inside])
        part = dataclasses.replace(session.restricted(inside), rows=rows)
        rate = population.frame_rate_hz or system.frame_rate_hz
        part = part.in_units(system.units, rate)
        converted = session.units if part.units != session.units else None
        data, n_unknown = SessionData(part, gain_of(system, part)), int((~inside).sum())
        yield session, MatchedSession(data, n_unknown, rate, converted, told)


def gain_of(system: FittedSystem, session: Session) -> np.ndarray:
    """(neuron,) 1 / unit of a session's neurons, as at the fit: its own mean or variance, or those of the fit.

    Raises
    ------
    InputError
        For counts that are negative.
    """
    if system.observation == "poisson":
        require_counts(session, system.population.labels, "The fit is one of spike counts.")
        return 1 / session.mean
    if system.scaling == "session":
        return 1 / np.sqrt(np.maximum(session.variance, 1e-300))
    return 1 / system.scale[session.rows]


def noise_of(system: FittedSystem, places: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(neuron,) private variance of the scaled data: for counts over their mean, Poisson noise is part of it."""
    noise = np.maximum(system.system.noise_variance[places], STATES_NOISE_FLOOR)
    return noise + count_noise(system.variance[places], mean) if system.observation == "poisson" else noise


def states(system: FittedSystem, one: MatchedSession) -> Smoothed:
    """Smoothed latent states of one session."""
    model, rows = system.system, one.rows
    noise = noise_of(system, rows, one.data.session.mean)
    return infer(one.data, model.loadings[rows], noise, model.dynamics, model.innovation, model.stationary)


def latent_states(system: FittedSystem, one: MatchedSession) -> xr.Dataset:
    """Dataset of `StitchedLDS.transform`; frames outside all segments are NaN."""
    found = states(system, one)
    inside = one.data.session.segment >= 0
    mean = np.where(inside[:, None], found.mean, np.nan)
    spread = np.where(inside[:, None, None], found.covariance, np.nan)
    n = mean.shape[1]
    return xr.Dataset(
        {
            "latent": (("time", "component"), mean, {"units": "latent units"}),
            "latent_covariance": (("time", "component", "component_2"), spread, {"units": "squared latent units"}),
        },
        coords={**_frames(one), "component": np.arange(n), "component_2": np.arange(n)},
        attrs=one.attrs,
    )


def imputed(system: FittedSystem, one: MatchedSession, places: np.ndarray | None) -> xr.Dataset:
    """Dataset of `StitchedLDS.impute`."""
    places = np.arange(len(system.scale)) if places is None else places
    found = states(system, one)
    data = activity(system, one, found.mean, found.covariance, places)
    inside = (one.data.session.segment >= 0)[:, None]
    data = {
        name: (("time", "neuron"), np.where(inside, values, np.nan), _in_units(system)) for name, values in data.items()
    }
    recorded = ("neuron", np.isin(places, one.rows))
    coords = {**_frames(one), "neuron": system.population.labels[places], "recorded": recorded}
    return xr.Dataset(data, coords=coords, attrs=one.attrs)


def activity(
    system: FittedSystem, one: MatchedSession, mean: np.ndarray, spread: np.ndarray, places: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean and standard deviation (private noise included) of neurons given latent states, in recording units.

    Neurons that the session has recorded are in its own units where the fit scaled every session by itself.
    """
    c = system.system.loadings[places]
    all_offsets, all_scales = system.offset.copy(), system.scale.copy()
    all_offsets[one.rows], all_scales[one.rows] = one.data.session.mean, 1 / one.data.gain
    offset, scale = all_offsets[places], all_scales[places]
    outer = (c[:, :, None] * c[:, None, :]).reshape(len(c), -1)
    variance = spread.reshape(len(spread), -1) @ outer.T + noise_of(system, places, offset)
    values = offset + scale * (mean @ c.T)
    if system.observation == "poisson":
        values = np.maximum(values, 0)
    return {"mean": values, "sd": scale * np.sqrt(np.maximum(variance, 0))}


def forecast(system: FittedSystem, one: MatchedSession, n_frames: int) -> xr.Dataset:
    """Dataset of `StitchedLDS.forecast`."""
    found, model = states(system, one), system.system
    inside = np.flatnonzero(one.data.session.segment >= 0)
    x, p = found.mean[inside[-1]], found.covariance[inside[-1]]
    ahead = one.data.session.n_frames - 1 - inside[-1]
    means, spreads = [], []
    for step in range(n_frames + ahead):
        x, p = model.dynamics @ x, model.dynamics @ p @ model.dynamics.T + model.innovation
        if step >= ahead:
            means.append(x)
            spreads.append(p)
    places = np.arange(len(system.scale))
    data = activity(system, one, np.array(means), np.array(spreads), places)
    time = _times(one)
    step_s = 1 / one.frame_rate_hz if one.frame_rate_hz else 1.0
    return xr.Dataset(
        {name: (("time", "neuron"), values, _in_units(system)) for name, values in data.items()}
        | {"latent": (("time", "component"), np.array(means), {"units": "latent units"})},
        coords={
            "time": time[-1] + step_s * np.arange(1, n_frames + 1),
            "neuron": system.population.labels,
            "component": np.arange(len(x)),
        },
        attrs=one.attrs,
    )


def sample(system: FittedSystem, n_frames: int, rng: np.random.Generator) -> xr.Dataset:
    """Dataset of `StitchedLDS.sample`; counts are drawn from Poisson distributions of exp(log rate)."""
    model = system.system
    n, p = len(model.dynamics), len(system.scale)
    x = np.empty((n_frames, n))
    state = root_of(model.stationary) @ rng.standard_normal(n)
    root = root_of(model.innovation)
    for t in range(n_frames):
        x[t] = state
        state = model.dynamics @ state + root @ rng.standard_normal(n)
    noise = np.sqrt(np.maximum(model.noise_variance, 0)) * rng.standard_normal((n_frames, p))
    signal = x @ model.loadings.T
    if system.observation == "poisson":
        own = np.einsum("ia,ia->i", model.loadings @ model.stationary, model.loadings)
        own += np.maximum(model.noise_variance, 0)  # what is drawn, which the refined system may have changed
        log_rate = np.log(system.scale) + signal + noise - own / 2
        values = rng.poisson(np.exp(np.minimum(log_rate, 20.0))).astype(float)
    else:
        values = system.offset + system.scale * (signal + noise)
    rate = system.frame_rate_hz or 1.0
    coords = {"time": (np.arange(n_frames) + 0.5) / rate, "neuron": system.population.labels}
    return xr.Dataset(
        {
            "activity": (("time", "neuron"), values, _in_units(system)),
            "latent": (("time", "component"), x, {"units": "latent units"}),
        },
        coords={**coords, "component": np.arange(n)},
        attrs={"citations": ["nonnenmacher2017"]},
    )


def _in_units(system: FittedSystem) -> dict[str, str]:
    return {"units": system.units or "recording units"}


def _frames(one: MatchedSession) -> dict[str, Any]:
    """Coordinates along time: times, and what the recording tells of its frames."""
    along = {name: ("time", values) for name, values in one.data.session.along.items() if name not in OWN_NAMES}
    return {"time": _times(one), **along}


def _times(one: MatchedSession) -> np.ndarray:
    session = one.data.session
    if session.time_s is not None:
        return session.time_s
    return (np.arange(session.n_frames) + 0.5) / (one.frame_rate_hz or 1.0)
