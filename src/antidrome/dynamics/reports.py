"""How far to trust a fit: the race of the orders, predicted and measured pairs, co-smoothing, alignment, spectrum."""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr

from antidrome.dynamics.choosing import Choice
from antidrome.dynamics.data import SessionData, frames_at_once, read_rows, release
from antidrome.dynamics.fitted import FittedSystem, correlation
from antidrome.dynamics.fitting import Result
from antidrome.dynamics.gauge import principal_angles
from antidrome.dynamics.limits import modes_at_limit
from antidrome.dynamics.population import Population
from antidrome.dynamics.results import MatchedSession, activity, matched, states
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, one_of

MOST_IN_BLOCK = 1000


def compare_pairs(
    system: FittedSystem, population: Population, pairs: str, max_pairs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured correlations; see `StitchedLDS.compare_pairs`.

    Measured: the mean of the sessions' own correlations, for a random thousand of neurons where there are more.

    Raises
    ------
    InputError
        If `pairs` is none of the words, or there is no such pair.
    """
    one_of("pairs", pairs, ("unseen", "seen", "all"))
    n = len(system.scale)
    chosen = np.arange(n) if n <= MOST_IN_BLOCK else np.sort(rng.choice(n, MOST_IN_BLOCK, replace=False))
    total, count = np.zeros((len(chosen), len(chosen))), np.zeros((len(chosen), len(chosen)))
    for _, one in matched(system, population):
        place = np.full(n, -1)
        place[one.rows] = np.arange(len(one.rows))
        here = np.flatnonzero(place[chosen] >= 0)
        if here.size < 2:
            continue
        block = np.ix_(here, here)
        measured, known = session_correlation(one, place[chosen[here]])
        total[block] += np.where(known, measured, 0.0)
        count[block] += known
    together = system.recorded_together(chosen, chosen)
    upper = np.triu(np.ones_like(together), 1) & (count > 0)
    wanted = upper & {"unseen": ~together, "seen": together, "all": np.ones_like(together)}[pairs]
    i, j = np.nonzero(wanted)
    if i.size == 0:
        raise InputError(f"The recordings hold no {'' if pairs == 'all' else pairs + ' '}pair of neurons of the fit.")
    if i.size > max_pairs:
        keep = np.sort(rng.choice(i.size, max_pairs, replace=False))
        i, j = i[keep], j[keep]
    predicted = correlation(system, chosen, chosen, 0)[i, j]
    return predicted, (total / np.maximum(count, 1))[i, j]


def session_correlation(one: MatchedSession, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlations between some columns of one session over jointly observed frames, and where there are any."""
    session = one.data.session
    part = dataclasses.replace(session, columns=session.columns[columns], rows=session.rows[columns])
    n, products, squares = np.zeros((3, len(columns), len(columns)))
    size = frames_at_once(session)
    for start in range(0, session.n_frames, size):
        stop = min(start + size, session.n_frames)
        values = read_rows(part, start, stop).astype(np.float64)
        release(session.values)
        seen = np.isfinite(values) & (session.segment[start:stop] >= 0)[:, None]
        centred = np.where(seen, values - session.mean[columns], 0.0)
        flags = seen.astype(np.float64)
        n += flags.T @ flags
        products += centred.T @ centred
        squares += (centred**2).T @ flags
    spread = np.sqrt(squares * squares.T)
    return products / np.maximum(spread, 1e-300), (n > 2) & (spread > 0)


def co_smoothing(system: FittedSystem, population: Population, n_folds: int, rng: np.random.Generator) -> xr.DataArray:
    """R² of every neuron predicted from the others of its session; see `StitchedLDS.co_smoothing`."""
    n = len(system.scale)
    error, energy = np.zeros(n), np.zeros(n)
    for _, one in matched(system, population):
        session = one.data.session
        fold = rng.permutation(len(session.rows)) % max(2, min(n_folds, len(session.rows)))
        for index in np.unique(fold):
            kept, left = np.flatnonzero(fold != index), np.flatnonzero(fold == index)
            found = states(system, MatchedSession(_columns(one.data, kept), 0))
            held = _columns(one.data, left)
            places = session.rows[left]
            for frames, _, block in held.blocks():
                x, p = found.mean[frames], found.covariance[frames]
                predicted = activity(system, MatchedSession(held, 0), x, p, places)["mean"]
                scaled = (predicted - held.session.mean) * held.gain
                seen = (block != 0) | (held.session.is_complete & (session.segment[frames] >= 0)[:, None])
                error[places] += (((block - scaled) ** 2) * seen).sum(axis=0)
                energy[places] += ((block**2) * seen).sum(axis=0)
    share = np.where(energy > 0, 1 - error / np.maximum(energy, 1e-300), np.nan)
    attrs = {"units": "1", "long_name": "Co-smoothing R²", "notes": list(population.notes)}
    return xr.DataArray(share, dims="neuron", coords={"neuron": system.population.labels}, attrs=attrs)


def align(system: FittedSystem, other: FittedSystem) -> xr.Dataset:
    """Least-squares match of two latent bases on shared neurons; see `StitchedLDS.align`.

    Raises
    ------
    InputError
        If the fits share fewer neurons than either has dimensions.
    """
    shared, here, there = np.intersect1d(system.population.labels, other.population.labels, return_indices=True)
    n, m = system.loadings.shape[1], other.loadings.shape[1]
    if len(shared) < max(n, m):
        raise InputError(
            f"The two fits share {counted(len(shared), 'neuron')}, fewer than their {counted(max(n, m), 'dimension')}."
        )
    mine = system.loadings[here] * system.scale[here, None]
    theirs = other.loadings[there] * other.scale[there, None]
    # C₁ x₁ = C₂ x₂ on the shared neurons, hence x₁ = C₁⁺ C₂ x₂
    change, *_ = np.linalg.lstsq(mine, theirs, rcond=None)
    residual = float(((mine @ change - theirs) ** 2).sum() / max((theirs**2).sum(), 1e-300))
    angles = principal_angles(mine, theirs)
    return xr.Dataset(
        {
            "change": (("component", "component_2"), change, {"units": "1"}),
            "principal_angles": ("angle", angles, {"units": "π/2"}),
            "residual": ((), residual, {"units": "1"}),
        },
        coords={"component": np.arange(n), "component_2": np.arange(m)},
        attrs={"n_shared_neurons": len(shared)},
    )


def dynamics_table(system: FittedSystem) -> xr.Dataset:
    """Eigenvalues, slowest first, with their time constants and frequencies; see `StitchedLDS.dynamics_table`."""
    values, vectors = (found.astype(complex) for found in np.linalg.eig(system.system.dynamics))
    order = np.lexsort((-values.imag, -np.abs(values)))
    values, vectors = values[order], vectors[:, order]
    modulus = np.abs(values)
    measured = ~np.any(modes_at_limit(system.system, values, vectors), axis=0)
    with np.errstate(divide="ignore"):
        frames = np.where((modulus > 0) & (modulus < 1), -1 / np.log(np.where(modulus > 0, modulus, 0.5)), np.inf)
    frames = np.where(measured, np.where(modulus > 0, frames, 0.0), np.nan)
    rate = system.frame_rate_hz
    data = {
        "real": ("mode", values.real, {"units": "1"}),
        "imag": ("mode", values.imag, {"units": "1"}),
        "modulus": ("mode", modulus, {"units": "1"}),
        "measured": ("mode", measured, {"units": "1"}),
        "time_constant_frames": ("mode", frames, {"units": "frames"}),
        "cycles_per_frame": ("mode", np.abs(np.angle(values)) / (2 * np.pi), {"units": "1/frame"}),
    }
    if rate:
        data["time_constant_s"] = ("mode", frames / rate, {"units": "s"})
        data["frequency_hz"] = ("mode", np.abs(np.angle(values)) * rate / (2 * np.pi), {"units": "Hz"})
    return xr.Dataset(data, coords={"mode": np.arange(len(values))})


def _columns(data: SessionData, keep: np.ndarray) -> SessionData:
    kept = None if data.kept is None else data.kept[:, keep]
    return SessionData(data.session.restricted(keep), data.gain[keep], kept)


def order_curve(found: Result | Choice) -> xr.Dataset:
    """The curve of `StitchedLDS.select_order` from the candidates of a fit or of a choice."""
    orders = sorted({one.settings.n_components for one in found.candidates}) or [found.settings.n_components]
    rows = []
    for order in orders:
        of_order = [one for one in found.candidates if one.settings.n_components == order]
        lagged = [one for one in of_order if not one.settings.zero_lag] or of_order
        zero = [one.correlation for one in of_order if one.settings.zero_lag]
        if not lagged:
            rows.append((np.nan,) * 4)
            continue
        best = max(lagged, key=lambda one: one.correlation)
        rows.append((best.correlation, max(zero, default=np.nan), best.slope, best.settings.shrinkage))
    columns = np.array(rows).T
    names = ("correlation", "correlation_zero_lag", "slope", "shrinkage")
    data = {name: ("order", column, {"units": "1"}) for name, column in zip(names, columns, strict=True)}
    return xr.Dataset(data, coords={"order": orders}, attrs={"best": found.settings.n_components})


def notes_on_race(found: Result) -> list[str]:
    """What the race against the zero-lag model said."""
    zero = [one for one in found.candidates if one.settings.zero_lag]
    lagged = [one for one in found.candidates if not one.settings.zero_lag]
    if not zero or not lagged:
        return []
    r_zero, r_lagged = (max(one.correlation for one in kind) for kind in (zero, lagged))
    who = {1.0: "lags alone", 0.5: "the average of both", 0.0: "the zero-lag model"}[found.share_of_lags]
    return [
        f"Held-out pairs: r = {r_lagged:.3f} with time lags, {r_zero:.3f} with lag 0 alone (factor analysis), of"
        f" covariances, averaged over the folds; pairs are predicted by {who}."
    ]
