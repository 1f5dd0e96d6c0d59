"""The pairwise-weighted loss of the paper: every co-observed pair of neurons with its own weight and its own count.

L = ½ Σ_s w_s Σ_ij W_s,ij ([C X_s Cᵀ + [s = 0] R]_ij − Λ̂_s,ij)², Λ̂_s,ij = Σ_t y_i(t + s) y_j(t) / (T^s_ij − 1), over the
pairs that were observed together at that lag (Nonnenmacher et al. 2017). It knows arbitrary missing entries exactly
and holds (lag, neuron, neuron) arrays: for populations of up to a few thousand neurons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from antidrome.dynamics.data import SessionData, read_rows
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import LagSet, joined
from antidrome.dynamics.problem import Fit

MOST_VALUES = 3e8


@dataclasses.dataclass(frozen=True)
class PairMoments:
    """Pooled lagged covariances.

    Parameters
    ----------
    covariance, count
        (lag, neuron, neuron) Λ̂_s and the number of pairs of frames behind each entry.
    """

    covariance: np.ndarray
    count: np.ndarray

    def weights(self, kind: str) -> np.ndarray:
        """(lag, neuron, neuron): 1 for every pair seen ("pairs"), or its count over the largest ("counts")."""
        seen = self.count > 1
        if kind == "pairs":
            return seen.astype(float)
        return self.count * seen / max(self.count.max(), 1)


def pair_moments(data: Sequence[SessionData], lags: LagSet, n_neurons: int) -> PairMoments:
    """Pool the sessions, entry by entry; missing entries count for nothing."""
    total = np.zeros((len(lags), n_neurons, n_neurons))
    count = np.zeros_like(total)
    for one in data:
        session = one.session
        values = one.read(0, session.n_frames).astype(np.float64, copy=False)
        seen = np.isfinite(read_rows(session, 0, session.n_frames)) & (session.segment >= 0)[:, None]
        seen = seen.astype(np.float64)
        place = np.ix_(session.rows, session.rows)
        for i, lag in enumerate(lags.lags):
            if lag >= session.n_frames:
                continue
            same = joined(session.segment, lag)[:, None]
            n = session.n_frames - lag
            total[i][place] += values[lag:].T @ (values[:n] * same)
            count[i][place] += seen[lag:].T @ (seen[:n] * same)
    return PairMoments(np.where(count > 1, total / np.maximum(count - 1, 1), 0.0), count)


def without_diagonals(weights: np.ndarray) -> np.ndarray:
    """(lag, neuron, neuron) weights by which no neuron is paired with itself at any lag: private autocovariances."""
    return weights * ~np.eye(weights.shape[1], dtype=bool)


def pair_loss(
    moments: PairMoments, weights: np.ndarray, lag_weights: np.ndarray, loadings: np.ndarray, latent: np.ndarray
) -> float:
    """½ Σ_s w_s Σ_ij W (C X_s Cᵀ − Λ̂)², private variances free, so that the diagonal of lag 0 is left out."""
    total = 0.0
    for s, weight in enumerate(lag_weights):
        residual = weights[s] * (loadings @ latent[s] @ loadings.T - moments.covariance[s]) ** 2
        total += 0.5 * weight * (residual.sum() - (np.trace(residual) if s == 0 else 0.0))
    return float(total)


def pair_loss_and_gradient(
    moments: PairMoments, weights: np.ndarray, lag_weights: np.ndarray, loadings: np.ndarray, latent: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """`pair_loss` and its gradients in C (neuron, latent) and X (lag, latent, latent)."""
    d_loadings, d_latent = np.zeros_like(loadings), np.zeros_like(latent)
    total = 0.0
    for s, (weight, x) in enumerate(zip(lag_weights, latent, strict=True)):
        difference = loadings @ x @ loadings.T - moments.covariance[s]
        residual = weight * weights[s] * difference
        if s == 0:
            np.fill_diagonal(residual, 0.0)
        total += 0.5 * float((residual * difference).sum())
        d_loadings += residual @ loadings @ x.T + residual.T @ loadings @ x
        d_latent[s] = loadings.T @ residual @ loadings
    return total, d_loadings, d_latent


def pair_iterate(
    moments: PairMoments,
    weights: np.ndarray,
    lag_weights: np.ndarray,
    fit: Fit,
    shrinkage: float = 0.0,
    proximal: float = 1e-6,
) -> Fit:
    """One exact X step and one damped C step of the pairwise-weighted loss; `fit.latent` is (1, lag, …)."""
    loadings, latent = normalise(fit.loadings, fit.latent[0])
    hollow = weights.copy()
    np.fill_diagonal(hollow[0], 0.0)
    target = hollow * moments.covariance
    latent = _pair_latent(hollow, target, loadings, latent, proximal)
    loss = pair_loss(moments, weights, lag_weights, loadings, latent)
    n_neurons, n = loadings.shape
    normal, rhs = np.zeros((n_neurons, n, n)), np.zeros((n_neurons, n))
    for s, weight in enumerate(lag_weights):
        if weight == 0:
            continue
        for w, x, product in ((hollow[s], latent[s].T, target[s]), (hollow[s].T, latent[s], target[s].T)):
            moved = loadings @ x
            outer = (moved[:, :, None] * moved[:, None, :]).reshape(n_neurons, -1)
            normal += weight * (w @ outer).reshape(n_neurons, n, n)
            rhs += weight * (product @ moved)
    mean = np.einsum("iaa->", normal) / n / n_neurons
    normal += (shrinkage + 1e-10) * max(mean, 1e-300) * np.eye(n)
    solved = np.linalg.solve(normal, rhs[..., None])[..., 0]
    return Fit(np.ascontiguousarray(0.5 * (loadings + solved)), latent[None], (*fit.losses, loss))


def _pair_latent(
    hollow: np.ndarray, target: np.ndarray, loadings: np.ndarray, before: np.ndarray, proximal: float
) -> np.ndarray:
    """X_s that minimise the loss for these loadings; one n² × n² system for each distinct weight matrix."""
    n_neurons, n = loadings.shape
    outer = (loadings[:, :, None] * loadings[:, None, :]).reshape(n_neurons, -1)
    result = np.empty_like(before)
    for s in range(len(hollow)):
        normal = (outer.T @ (hollow[s] @ outer)).reshape(n, n, n, n).transpose(0, 2, 1, 3).reshape(n * n, n * n)
        pull = proximal * max(np.trace(normal), 1e-300) / n**2
        normal[np.diag_indices(n * n)] += pull
        right = (loadings.T @ target[s] @ loadings).ravel() + pull * before[s].ravel()
        result[s] = np.linalg.solve(normal, right).reshape(n, n)
    result[0] = (result[0] + result[0].T) / 2
    return result
