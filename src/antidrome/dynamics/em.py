"""Expectation maximisation for the stitched linear dynamical system (Turaga et al. 2013), with any entries missing.

E step: information-form smoother, O(T (p n + n³)) with the covariance recursion frozen. M step: A and Q from the summed
second moments; every row of C over the frames in which its neuron was observed, one inverse for each observation
pattern; R in closed form. Two products with the data an iteration. The likelihood never falls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from antidrome.dynamics.data import SessionData
from antidrome.dynamics.inference import infer, masks
from antidrome.dynamics.kalman import Smoothed
from antidrome.dynamics.problem import ROWS_AT_ONCE, observation_patterns
from antidrome.dynamics.system import positive_part

NOISE_FLOOR = 1e-4


@dataclasses.dataclass(frozen=True)
class EMState:
    """Parameters in the scaled units of the data, and the log-likelihood along the way.

    Parameters
    ----------
    dynamics, innovation, initial
        A, Q and the covariance of the first state of a stretch, (latent, latent).
    loadings, noise_variance
        C (neuron, latent), R (neuron,).
    second
        Mean smoothed E[x xᵀ], (latent, latent).
    log_likelihoods
        One an iteration, for the parameters before its M step.
    """

    dynamics: np.ndarray
    innovation: np.ndarray
    initial: np.ndarray
    loadings: np.ndarray
    noise_variance: np.ndarray
    second: np.ndarray
    log_likelihoods: tuple[float, ...] = ()


def expectation_maximisation(
    data: Sequence[SessionData],
    state: EMState,
    n_iterations: int = 50,
    tolerance: float = 1e-6,
    on_iteration: Callable[[EMState], Any] | None = None,
) -> EMState:
    """From `state` until the log-likelihood gains less than `tolerance` of its size, or `n_iterations` in all."""
    while len(state.log_likelihoods) < n_iterations and not _is_settled(state.log_likelihoods, tolerance):
        state = em_iteration(data, state)
        if on_iteration is not None:
            on_iteration(state)
    return state


def _is_settled(values: tuple[float, ...], tolerance: float) -> bool:
    return len(values) > 1 and values[-1] - values[-2] < tolerance * max(abs(values[-1]), 1.0)


def em_iteration(data: Sequence[SessionData], state: EMState) -> EMState:
    """One E and one M step."""
    n = state.loadings.shape[1]
    cross = np.zeros_like(state.loadings)
    squares, count = np.zeros(len(cross)), np.zeros(len(cross))
    sums = {name: np.zeros((n, n)) for name in ("second", "lagged", "early", "late", "initial")}
    n_initial = n_pairs = n_used = 0
    log_likelihood = 0.0
    normals: list[np.ndarray] = []
    for one in data:
        rows = one.session.rows
        c, r = state.loadings[rows], state.noise_variance[rows]
        found = infer(one, c, r, state.dynamics, state.innovation, state.initial)
        for name, total in sums.items():
            total += getattr(found, name)
        n_initial, n_pairs, n_used = n_initial + found.n_initial, n_pairs + found.n_pairs, n_used + one.session.n_used
        observed = one.session.n_observed
        energy = one.session.variance * observed * one.gain**2
        constant = observed @ np.log(2 * np.pi * r) + (energy / r).sum()
        log_likelihood += found.log_likelihood - 0.5 * float(constant)
        cross[rows] += one.back_project(found.mean)
        squares[rows] += energy
        count[rows] += observed
        normals.append(_normal(one, found))
    loadings, explained = _solve_loadings(data, normals, cross)
    noise = np.maximum((squares - 2 * (loadings * cross).sum(axis=1) + explained) / np.maximum(count, 1), NOISE_FLOOR)
    dynamics, innovation = _dynamics_step(sums, n_pairs, state)
    return EMState(
        np.ascontiguousarray(dynamics),
        np.ascontiguousarray(innovation),
        positive_part(sums["initial"] / max(n_initial, 1), 1e-9),
        loadings,
        noise,
        sums["second"] / max(n_used, 1),
        (*state.log_likelihoods, log_likelihood),
    )


def _dynamics_step(sums: dict[str, np.ndarray], n_pairs: int, state: EMState) -> tuple[np.ndarray, np.ndarray]:
    if n_pairs == 0:
        return state.dynamics, state.innovation
    dynamics = np.linalg.solve(sums["early"].T, sums["lagged"].T).T
    rest = sums["late"] - dynamics @ sums["lagged"].T
    return dynamics, positive_part((rest + rest.T) / 2 / n_pairs, 1e-9)


def _normal(one: SessionData, found: Smoothed) -> np.ndarray:
    """Σ E[x xᵀ] over the observed frames: (1, n²) for a complete session, (neuron, n²) for others."""
    if one.session.is_complete:
        return found.second.reshape(1, -1)
    flat = (found.covariance + found.mean[:, :, None] * found.mean[:, None, :]).reshape(len(found.mean), -1)
    return sum(seen.T @ flat[frames] for frames, seen in masks(one.session))


def _solve_loadings(
    data: Sequence[SessionData], normals: Sequence[np.ndarray], cross: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of C and Σ E[(C_i x)²] over the observed frames of each neuron."""
    n_neurons, n = cross.shape
    loadings, explained = np.zeros_like(cross), np.zeros(n_neurons)
    if all(len(normal) == 1 for normal in normals):
        patterns, pattern_of = observation_patterns([one.session.rows for one in data], n_neurons)
        of_pattern = patterns @ np.concatenate(normals)
        order = np.argsort(pattern_of, kind="stable")
    else:
        of_pattern, pattern_of = np.zeros((n_neurons, n * n)), np.arange(n_neurons)
        for one, normal in zip(data, normals, strict=True):
            of_pattern[one.session.rows] += normal
        order = pattern_of
    for start in range(0, n_neurons, ROWS_AT_ONCE):
        rows = order[start : start + ROWS_AT_ONCE]
        used, which = np.unique(pattern_of[rows], return_inverse=True)
        matrices = of_pattern[used].reshape(-1, n, n)
        scale = np.maximum(np.trace(matrices, axis1=1, axis2=2), 1e-300)[:, None, None]
        inverse = np.linalg.inv(matrices + 1e-12 * scale * np.eye(n))
        c = np.einsum("ia,iab->ib", cross[rows], inverse[which])
        loadings[rows] = c
        explained[rows] = np.einsum("ia,iab,ib->i", c, matrices[which], c)
    return loadings, explained
