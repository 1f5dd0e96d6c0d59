"""Latent states of sessions under a linear dynamical system, with any entries missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from antidrome.dynamics.data import SessionData, frames_at_once, read_rows, release
from antidrome.dynamics.kalman import Smoothed, smooth
from antidrome.dynamics.patterns import row_patterns
from antidrome.dynamics.population import Session


@dataclasses.dataclass(frozen=True)
class Observation:
    """What a session tells about the latent states.

    Parameters
    ----------
    information
        h (frame, latent) = C_tᵀ R⁻¹ y.
    precisions, pattern
        J = C_tᵀ R⁻¹ C_t of every pattern of observed neurons (pattern, latent, latent), and (frame,) which one.
    """

    information: np.ndarray
    precisions: np.ndarray
    pattern: np.ndarray


def observe(data: SessionData, loadings: np.ndarray, noise_variance: np.ndarray) -> Observation:
    """h and J of one session; `loadings` (neuron, latent) and `noise_variance` of its own neurons, in its units."""
    session = data.session
    weighted = loadings / noise_variance[:, None]
    information = data.project(weighted)
    if session.is_complete:
        used = np.zeros(session.n_frames, dtype=int)
        return Observation(information, (loadings.T @ weighted)[None], used)
    n = loadings.shape[1]
    outer = (loadings[:, :, None] * weighted[:, None, :]).reshape(len(loadings), -1)
    found = row_patterns(session)
    if found is not None:
        patterns, of_frame = found
        return Observation(information, (patterns @ outer).reshape(-1, n, n), np.maximum(of_frame, 0))
    precisions = np.empty((session.n_frames, n * n))
    for frames, seen in masks(session):
        precisions[frames] = seen @ outer
    return Observation(information, precisions.reshape(-1, n, n), np.arange(session.n_frames))


def infer(
    data: SessionData,
    loadings: np.ndarray,
    noise_variance: np.ndarray,
    dynamics: np.ndarray,
    innovation: np.ndarray,
    initial: np.ndarray,
) -> Smoothed:
    """Smoothed latent states of one session; parameters as for `observe` and `kalman.smooth`."""
    seen = observe(data, loadings, noise_variance)
    return smooth(seen.information, seen.precisions, seen.pattern, data.session.segment, dynamics, innovation, initial)


def masks(session: Session) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of (frames, 1.0 where an entry was observed) of an incomplete session."""
    size = frames_at_once(session)
    for start in range(0, session.n_frames, size):
        stop = min(start + size, session.n_frames)
        seen = np.isfinite(read_rows(session, start, stop)) & (session.segment[start:stop] >= 0)[:, None]
        release(session.values)
        yield slice(start, stop), seen.astype(np.float64)
