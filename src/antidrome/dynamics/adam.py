"""The paper's stochastic gradient, for streams: Adam on contiguous windows, which serve all lags at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from antidrome.dynamics.data import SessionData
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.moments import DenseMoments, SessionMoments, StreamedMoments, streamed_moments
from antidrome.dynamics.objective import loss_and_gradient
from antidrome.dynamics.population import Session
from antidrome.dynamics.problem import Fit, Problem


def stochastic_gradient(
    data: Sequence[SessionData],
    lags: LagSet,
    n_neurons: int,
    start: Fit,
    rng: np.random.Generator,
    *,
    n_steps: int = 2000,
    window_frames: int = 256,
    learning_rate: float = 0.02,
    beta1: float = 0.9,
    beta2: float = 0.99,
    epsilon: float = 1e-8,
    on_iteration: Callable[[Fit], Any] | None = None,
) -> Fit:
    """Minimise the session-block loss by Adam; each step reads one window of frames of one session.

    Parameters
    ----------
    data, lags, n_neurons, start
        Sessions, lags, size of the population, first guess.
    n_steps, window_frames
        Steps, and frames of each window (with the largest lag as halo within it).
    learning_rate, beta1, beta2, epsilon
        Of Adam; the rate falls to a hundredth along half a cosine.

    Notes
    -----
    A window's lagged products are unbiased for those of its session, and no covariance is formed: the step costs two
    products with the window. Sessions are drawn in proportion to their frames, so that the loss is the block loss.
    """
    loadings, latent = normalise(start.loadings, start.latent.mean(axis=0))
    moving = [np.zeros_like(loadings), np.zeros_like(latent)]
    squares = [np.zeros_like(loadings), np.zeros_like(latent)]
    frames = np.array([one.session.n_used for one in data], dtype=float)
    losses: list[float] = []
    for step in range(1, n_steps + 1):
        one = data[rng.choice(len(data), p=frames / frames.sum())]
        window = _window(one, lags, window_frames, rng)
        problem = Problem.of([window], n_neurons, lags.weights)
        loss, *gradients = loss_and_gradient(problem, loadings, latent)
        rate = learning_rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / n_steps)))
        for value, gradient, m, v in zip((loadings, latent), gradients, moving, squares, strict=True):
            m += (1 - beta1) * (gradient - m)
            v += (1 - beta2) * (gradient**2 - v)
            value -= rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
        losses.append(loss)
        if on_iteration is not None:
            on_iteration(Fit(loadings, latent[None], tuple(losses[-1:])))
    return Fit(loadings, latent[None], tuple(losses))


def _window(
    one: SessionData, lags: LagSet, n_frames: int, rng: np.random.Generator
) -> StreamedMoments | DenseMoments | SessionMoments:
    """The moments of a random stretch of frames, centred and scaled as the session is."""
    session = one.session
    length = min(n_frames + lags.largest, session.n_frames)
    begin = int(rng.integers(session.n_frames - length + 1))
    values = one.read(begin, begin + length)
    rows, zeros = np.arange(values.shape[1]), np.zeros(values.shape[1])
    segment = session.segment[begin : begin + length]
    count = np.full(values.shape[1], float((segment >= 0).sum()))
    part = Session(
        session.name, values, rows, session.rows, segment, zeros, (values**2).sum(axis=0) / np.maximum(count, 1), count
    )
    return streamed_moments(SessionData(part, np.ones(len(rows)), kept=values), lags)
