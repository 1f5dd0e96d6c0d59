"""The paper's stochastic gradient, for streams: Adam on contiguous windows, which serve all lags at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from antidrome.core.seeds import generator
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.moments import StreamedMoments, streamed_moments
from antidrome.dynamics.objective import loss_and_gradient
from antidrome.dynamics.problem import Fit, Problem

CLEARLY = 2.0
"""Standard errors by which a loss that still falls is told from chance."""


@dataclasses.dataclass(frozen=True)
class AdamState:
    """Where the descent is.

    Parameters
    ----------
    loadings, latent
        C (neuron, latent) and X_s (lag, latent, latent).
    loadings_mean, latent_mean, loadings_square, latent_square
        Moving averages of the gradients and of their squares.
    losses
        One a step, each of its own window.
    """

    loadings: np.ndarray
    latent: np.ndarray
    loadings_mean: np.ndarray
    latent_mean: np.ndarray
    loadings_square: np.ndarray
    latent_square: np.ndarray
    losses: tuple[float, ...] = ()

    @classmethod
    def at(cls, fit: Fit) -> AdamState:
        """From a first guess, in the basis CᵀC = p I."""
        loadings, latent = normalise(fit.loadings, fit.latent.mean(axis=0))
        zeros = [np.zeros(loadings.shape), np.zeros(latent.shape)]
        return cls(np.ascontiguousarray(loadings), np.ascontiguousarray(latent), *zeros, *zeros)

    @property
    def fit(self) -> Fit:
        """As a fit."""
        return Fit(self.loadings, self.latent[None], self.losses)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """Of the descent.

    Parameters
    ----------
    n_steps, window_frames
        Steps, and frames of each window (with the largest lag as halo within it).
    learning_rate, beta1, beta2, epsilon
        Of Adam; the rate falls to a hundredth along half a cosine.
    seed
        Of the windows; that of step t depends on the seed and t alone.
    """

    n_steps: int = 2000
    window_frames: int = 256
    learning_rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    seed: int = 0


def stochastic_gradient(
    data: Sequence[SessionData],
    lags: LagSet,
    n_neurons: int,
    state: AdamState,
    settings: AdamSettings,
    on_iteration: Callable[[AdamState], Any] | None = None,
    hollow_lags: bool = False,
) -> AdamState:
    """Minimise the session-block loss by Adam; each step reads one window of frames of one session.

    A window's lagged products are unbiased for those of its session, and no covariance is formed: the step costs two
    products with the window. Sessions are drawn in proportion to their frames, so that the loss is the block loss.
    """
    frames = np.array([one.session.n_used for one in data], dtype=float)
    shares = frames / frames.sum()
    lengths = [min(settings.window_frames + lags.largest, one.session.n_frames) for one in data]
    chances = [_chances(one.session.segment, length) for one, length in zip(data, lengths, strict=True)]
    while len(state.losses) < settings.n_steps:
        step = len(state.losses) + 1
        rng = generator(settings.seed, f"dynamics/adam-{step}")
        drawn = int(rng.choice(len(data), p=shares))
        begin = _begin(chances[drawn], data[drawn].session.n_frames - lengths[drawn] + 1, rng)
        window = _window(data[drawn], lags, begin, lengths[drawn])
        problem = Problem.of([window], n_neurons, lags.weights, hollow_lags=hollow_lags)
        state = _step(state, settings, step, *loss_and_gradient(problem, state.loadings, state.latent))
        if on_iteration is not None:
            on_iteration(state)
    return state


def notes_on_descent(losses: Sequence[float]) -> list[str]:
    """What to know where the loss was still falling at the end: in the last fifth below that of the two fifths before.

    The losses are those of windows that were drawn independently, so that their spread tells how sure this is.
    """
    n = len(losses) // 5
    if n < 2:
        return []
    before, last = np.asarray(losses[-3 * n : -n]), np.asarray(losses[-n:])
    fall = float(before.mean() - last.mean())
    if fall <= CLEARLY * float(np.sqrt(before.var(ddof=1) / len(before) + last.var(ddof=1) / len(last))):
        return []
    return [
        "The stochastic gradients have not settled: their loss was still falling at the end, and a latent direction may"
        " be missing. Give more max_iterations."
    ]


def _step(
    state: AdamState, settings: AdamSettings, step: int, loss: float, d_loadings: np.ndarray, d_latent: np.ndarray
) -> AdamState:
    """One step of Adam (Kingma & Ba 2015)."""
    moved = []
    rate = settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / settings.n_steps)))
    for value, mean, square, gradient in (
        (state.loadings, state.loadings_mean, state.loadings_square, d_loadings),
        (state.latent, state.latent_mean, state.latent_square, d_latent),
    ):
        mean = mean + (1 - settings.beta1) * (gradient - mean)
        square = square + (1 - settings.beta2) * (gradient**2 - square)
        unbiased = mean / (1 - settings.beta1**step)
        spread = np.sqrt(square / (1 - settings.beta2**step)) + settings.epsilon
        moved.append((value - rate * unbiased / spread, mean, square))
    (c, c_mean, c_square), (x, x_mean, x_square) = moved
    return AdamState(c, x, c_mean, x_mean, c_square, x_square, (*state.losses, loss))


def _chances(segment: np.ndarray, length: int) -> np.ndarray | None:
    """(begin,) frames of segments in all windows up to each one; None where windows are alike, as all frames are."""
    if (segment >= 0).all():
        return None
    before = np.concatenate([[0], np.cumsum(segment >= 0)])
    return np.cumsum(before[length:] - before[:-length])


def _begin(chances: np.ndarray | None, n_windows: int, rng: np.random.Generator) -> int:
    """First frame of a window, drawn in proportion to the frames of segments in it, so that all frames count alike."""
    if chances is None:
        return int(rng.integers(n_windows))
    return int(np.searchsorted(chances, rng.integers(chances[-1]), side="right"))


def _window(one: SessionData, lags: LagSet, begin: int, length: int) -> StreamedMoments:
    """The moments of a stretch of frames, centred and scaled as the session is."""
    session = one.session
    values = one.read(begin, begin + length)
    rows, zeros = np.arange(values.shape[1]), np.zeros(values.shape[1])
    segment = session.segment[begin : begin + length]
    count = np.full(values.shape[1], float((segment >= 0).sum()))
    variance = (values**2).sum(axis=0) / np.maximum(count, 1)
    part = dataclasses.replace(
        session, values=values, columns=rows, segment=segment, mean=zeros, variance=variance, n_observed=count
    )
    return streamed_moments(SessionData(part, np.ones(len(rows)), kept=values), lags)
