"""Whether a session differs from the one system by more than chance: its null is drawn from the system itself.

Slow latent states visit few independent places in a session, so that even under the one system a short session shows
latent covariances of its own. How far they wander follows from A, Q, the session's frames and interruptions, and its
private noise: sessions like it are drawn, and the gap of the real one is judged among theirs. Each is measured from
the covariances that it would have with frames without end: a real one from the X_s of the fit, to which its neurons'
private autocovariances may belong, a drawn one from the Aˢ Π of the system.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy import linalg

from antidrome.core.names import unique
from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.fitted import FittedSystem
from antidrome.dynamics.lags import LagSet, joined, pair_counts, stretches
from antidrome.dynamics.latent_step import hollow_targets, shared_latent
from antidrome.dynamics.moments import dense_moments, streamed_moments
from antidrome.dynamics.patterns import split_by_pattern
from antidrome.dynamics.population import Population, Session
from antidrome.dynamics.preparation import log_dense, rescaled_for_missing
from antidrome.dynamics.problem import Fit, Problem, own_covariance
from antidrome.dynamics.results import MatchedSession, matched
from antidrome.dynamics.system import LinearSystem, root_of
from antidrome.errors import InputError

LEVEL = 0.01
FEWEST_DRAWS = round(1 / LEVEL) - 1
"""With fewer, even a gap beyond those of all drawn sessions has a p-value above the level."""
WORTHWHILE = 0.1
MOST_FRAMES = 20_000
VALUES_AT_ONCE = 2**22
N_ITERATIONS = 5


@dataclasses.dataclass(frozen=True)
class SessionLatents:
    """The latent covariances that a session shows by itself.

    Parameters
    ----------
    latent
        (lag, latent, latent) X_ks.
    available
        (lag,) whether the session has pairs of frames at a lag.
    gram, noise
        C_kᵀ C_k and C_kᵀ R_k C_k, (latent, latent).
    """

    latent: np.ndarray
    available: np.ndarray
    gram: np.ndarray
    noise: np.ndarray


def stationarity(
    system: FittedSystem, population: Population, n_draws: int, seed: int, hollow_lags: bool
) -> xr.Dataset:
    """Gap of every session, what chance alone makes of it, and how often; see `StitchedLDS.stationarity`.

    Raises
    ------
    InputError
        For so few draws that no session could ever deviate.
    """
    if whole_number("n_draws", n_draws, what="sessions to draw") < FEWEST_DRAWS:
        raise InputError(
            f"n_draws = {n_draws}, but no p-value from fewer than {FEWEST_DRAWS} draws is as small as {LEVEL}, from"
            " where on a session deviates. The default is 199."
        )
    names: list[str] = []
    rows = []
    for session, one in _matched_parts(system, population):
        rng = generator(seed, f"dynamics/stationarity/{session.name}/{names.count(session.name)}")
        own = session_latents(system, one, hollow_lags)
        gap = float(gaps(own.latent[None], system.lagged.latent, own.gram, own.available)[0])
        null = drawn_gaps(system.system, system.lags, own, one.data.session.segment, n_draws, rng)
        names.append(session.name)
        rows.append((gap, float(np.median(null)), (1 + (null >= gap).sum()) / (1 + len(null))))
    gap, expected, p_value = np.array(rows).T
    return xr.Dataset(
        {
            "gap": ("session", gap, {"units": "1", "long_name": "Covariance that the session's own latents change"}),
            "expected_gap": ("session", expected, {"units": "1", "long_name": "Gap of sessions of the one system"}),
            "p_value": ("session", p_value, {"units": "1"}),
            "deviates": ("session", (p_value <= LEVEL) & (gap - expected > WORTHWHILE), {"units": "1"}),
        },
        coords={"session": unique(names, key=str)},
        attrs={"n_draws": n_draws, "citations": ["nonnenmacher2017"], "notes": list(population.notes)},
    )


def _matched_parts(system: FittedSystem, population: Population) -> Iterator[tuple[Session, MatchedSession]]:
    """Sessions, those whose observed neurons change in parts, each in the units of the whole session, as at the fit."""
    for _, one in matched(system, population):
        gain = np.zeros(len(system.population.labels))
        gain[one.rows] = one.data.gain
        for part in split_by_pattern(Population(system.population.labels, (one.data.session,))).sessions:
            yield part, dataclasses.replace(one, data=SessionData(part, gain[part.rows]))


def session_latents(system: FittedSystem, one: MatchedSession, hollow_lags: bool) -> SessionLatents:
    """X_ks of one session under the loadings of the fit, and what its private noise adds."""
    lags = LagSet(system.lags, np.ones(len(system.lags)))
    loadings = system.lagged.loadings[one.rows]
    data = rescaled_for_missing(one.data)
    found = log_dense(dense_moments(data, lags)) if system.of_logs else streamed_moments(data, lags)
    moments = dataclasses.replace(found, rows=np.arange(len(loadings)))
    problem = Problem.of([moments], len(loadings), lags.weights, hollow_lags=hollow_lags)
    product, _ = moments.products(loadings)
    gram = loadings.T @ loadings
    fit = Fit(loadings, system.lagged.latent[None])
    for _ in range(N_ITERATIONS):
        targets = hollow_targets(problem, fit, [loadings], [product])
        fit = Fit(loadings, shared_latent(problem, [gram], targets, fit.latent[0])[None])
    private = np.maximum(moments.variance - own_covariance(loadings, fit.latent[0], 1)[0], 0)
    return SessionLatents(fit.latent[0], moments.available, gram, loadings.T @ (loadings * private[:, None]))


def gaps(latent: np.ndarray, shared: np.ndarray, gram: np.ndarray, available: np.ndarray) -> np.ndarray:
    """Σ_s ‖C (X_ks − X_s) Cᵀ‖² / Σ_s ‖C X_ks Cᵀ‖² for many X_k (draw, lag, latent, latent): (draw,)."""
    root = root_of(gram)
    apart, whole = (((root.T @ one[:, available] @ root) ** 2).sum(axis=(1, 2, 3)) for one in (latent - shared, latent))
    return apart / np.maximum(whole, 1e-300)


def drawn_gaps(
    model: LinearSystem,
    lags: tuple[int, ...],
    own: SessionLatents,
    segment: np.ndarray,
    n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Gaps of sessions drawn from the system, with the frames, the interruptions and the noise of a real one: (draw,).

    What a session shows of its latent states is Z = Y C: n series, however many its neurons. Of a very long session
    20,000 frames are drawn, and their gaps scaled by the share of frames: a gap is a variance, which falls as 1/T.
    """
    shared = model.latent_covariances(lags)
    n_used = int((segment >= 0).sum())
    segment = segment[:MOST_FRAMES] if (segment[:MOST_FRAMES] >= 0).sum() > 1 else segment
    inside = segment >= 0
    scale = inside.sum() / n_used
    n, inverse = len(model.dynamics), linalg.pinvh(own.gram)
    counts = np.maximum(pair_counts(segment, lags) - 1, 1)
    noise = root_of(own.noise)
    size = max(1, VALUES_AT_ONCE // (len(segment) * n))
    found = []
    for start in range(0, n_draws, size):
        n_now = min(size, n_draws - start)
        z = latent_runs(model, segment, n_now, rng) @ own.gram
        z += rng.standard_normal(z.shape) @ noise.T
        z -= z[:, inside].mean(axis=1, keepdims=True)
        latent = np.empty((n_now, len(lags), n, n))
        for s, (lag, count) in enumerate(zip(lags, counts, strict=True)):
            if lag >= len(segment):
                latent[:, s] = 0
                continue
            early = z[:, : z.shape[1] - lag] * joined(segment, lag)[:, None]
            product = z[:, lag:].transpose(0, 2, 1) @ early / count
            latent[:, s] = inverse @ (product - (own.noise if lag == 0 else 0)) @ inverse
        found.append(scale * gaps(latent, shared, own.gram, own.available & (counts > 1)))
    return np.concatenate(found)


def latent_runs(model: LinearSystem, segment: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Runs of the latent states (draw, frame, latent); every stretch starts anew, frames outside all are zero."""
    n = len(model.dynamics)
    runs = rng.standard_normal((n_draws, len(segment), n))
    first, step = root_of(model.stationary), root_of(model.innovation)
    runs[:, segment < 0] = 0
    for start, stop in stretches(segment):
        state = runs[:, start] @ first.T
        moves = runs[:, start + 1 : stop] @ step.T
        runs[:, start] = state
        for t in range(stop - start - 1):
            state = state @ model.dynamics.T + moves[:, t]
            runs[:, start + 1 + t] = state
    return runs
