"""The pairwise-weighted loss of the paper: every co-observed pair of neurons with its own weight and its own count.

L = ½ Σ_s w_s Σ_ij W_s,ij ([C X_s Cᵀ + [s = 0] R]_ij − Λ̂_s,ij)², Λ̂_s,ij = Σ_t y_i(t + s) y_j(t) / (T^s_ij − 1), over the
pairs that were observed together at that lag (Nonnenmacher et al. 2017). It knows arbitrary missing entries exactly
and holds (lag, neuron, neuron) arrays: for populations of up to a few thousand neurons.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from antidrome.dynamics.data import SessionData, read_once, read_rows
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import LagSet, lagged_products
from antidrome.dynamics.latent_step import solve_positive
from antidrome.dynamics.population import Session
from antidrome.dynamics.problem import Fit

MOST_VALUES = 3e8
PROXIMAL = 1e-6
"""How strongly latent covariances are held where they were, relative to the mean curvature."""


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
        n_here = len(session.rows)
        products, pairs = np.zeros((2, len(lags), n_here, n_here))

        def seen_in(start: int, stop: int, session: Session = session) -> np.ndarray:
            inside = (session.segment[start:stop] >= 0)[:, None]
            return (np.isfinite(read_rows(session, start, stop)) & inside).astype(np.float64)

        size = one.frames_at_once(lags.largest)
        seen = read_once(seen_in, session.n_frames, size, lags.largest)
        values = read_once(one.read, session.n_frames, size, lags.largest)
        for (low, before, block), (_, _, flags) in zip(values, seen, strict=True):
            segment = session.segment[low : low + len(block)]
            products += lagged_products(block.astype(np.float64, copy=False), segment, lags.lags, before)
            pairs += lagged_products(flags, segment, lags.lags, before)
        place = np.ix_(session.rows, session.rows)
        for i in range(len(lags)):
            total[i][place] += products[i]
            count[i][place] += pairs[i]
    return PairMoments(np.where(count > 1, total / np.maximum(count - 1, 1), 0.0), count)


def without_diagonals(weights: np.ndarray) -> np.ndarray:
    """(lag, neuron, neuron) weights by which no neuron is paired with itself at any lag: private autocovariances."""
    return weights * ~np.eye(weights.shape[1], dtype=bool)


@dataclasses.dataclass(frozen=True)
class PairProblem:
    """The pairwise-weighted loss of one data set and one set of weights.

    Parameters
    ----------
    weights
        (lag, neuron, neuron) W, zero on the diagonal of lag 0, which the private variances fit exactly.
    target
        (lag, neuron, neuron) W Λ̂.
    constant
        (lag,) Σ_ij W Λ̂².
    lag_weights
        (lag,) w_s.
    """

    weights: np.ndarray
    target: np.ndarray
    constant: np.ndarray
    lag_weights: np.ndarray

    @classmethod
    def of(cls, moments: PairMoments, weights: np.ndarray, lag_weights: np.ndarray) -> PairProblem:
        """From moments and the weight of every pair."""
        hollow = weights.copy()
        np.fill_diagonal(hollow[0], 0.0)
        target = hollow * moments.covariance
        return cls(hollow, target, np.einsum("sij,sij->s", target, moments.covariance), lag_weights)


def pair_loss_and_gradient(
    moments: PairMoments, weights: np.ndarray, lag_weights: np.ndarray, loadings: np.ndarray, latent: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss and its gradients in C (neuron, latent) and X (lag, latent, latent).

    ½ Σ_s w_s Σ_ij W (C X_s Cᵀ − Λ̂)², private variances free, so that the diagonal of lag 0 is left out.
    """
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


def pair_iterate(problem: PairProblem, fit: Fit, shrinkage: float = 0.0) -> Fit:
    """One exact X step and one damped C step of the pairwise-weighted loss; `fit.latent` is (1, lag, …)."""
    loadings, latent = normalise(fit.loadings, fit.latent[0])
    latent, loss = latent_step(problem, loadings, latent)
    n_neurons, n = loadings.shape
    normal, rhs = np.zeros((n_neurons, n * (n + 1) // 2)), np.zeros((n_neurons, n))
    for s, weight in enumerate(problem.lag_weights):
        w, x, product = problem.weights[s], latent[s], problem.target[s]
        # both sides are the same at lag 0, where everything is symmetric
        sides = [(2 * weight, w, x, product)] if s == 0 else [(weight, w, x.T, product), (weight, w.T, x, product.T)]
        for factor, side, change, aim in sides if weight else ():
            moved = loadings @ change
            normal += factor * (side @ _squares(moved))
            rhs += factor * (aim @ moved)
    normal = normal.take(_triangle(n)[2], axis=1)
    mean = np.einsum("iaa->", normal) / n / n_neurons
    normal += (shrinkage + 1e-10) * max(mean, 1e-300) * np.eye(n)
    solved = np.linalg.solve(normal, rhs[..., None])[..., 0]
    return Fit(np.ascontiguousarray(0.5 * (loadings + solved)), latent[None], (*fit.losses, loss))


def latent_step(problem: PairProblem, loadings: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float]:
    """X_s that minimise the loss for these loadings, one n² × n² system a lag, and the loss there."""
    n = loadings.shape[1]
    squares, places = _squares(loadings), _triangle(n)[2]
    # Σ_ij W_ij (c_ia c_ic) (c_jb c_jd), symmetric in a, c and in b, d
    expanded = squares.shape[1] * places[:, None, :, None] + places[None, :, None, :]
    expanded = expanded.reshape(n * n, n * n)
    result, loss = np.empty_like(before), 0.0
    for s, weight in enumerate(problem.lag_weights):
        normal = (squares.T @ (problem.weights[s] @ squares)).take(expanded)
        right = (loadings.T @ problem.target[s] @ loadings).ravel()
        pull = PROXIMAL * max(np.trace(normal), 1e-300) / n**2
        normal[np.diag_indices(n * n)] += pull
        x = solve_positive(normal, right + pull * before[s].ravel()).reshape(n, n)
        result[s] = (x + x.T) / 2 if s == 0 else x
        x = result[s].ravel()
        whole = x @ normal @ x - pull * x @ x
        loss += 0.5 * float(weight * (whole - 2 * right @ x + problem.constant[s]))
    return result, loss


def _squares(values: np.ndarray) -> np.ndarray:
    """v_a v_b of every row for a ≤ b, (row, n (n + 1) / 2)."""
    a, b, _ = _triangle(values.shape[1])
    return values.take(a, axis=1) * values.take(b, axis=1)


@functools.lru_cache(maxsize=8)
def _triangle(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b with a ≤ b, and (n, n) the column of `_squares` that holds v_a v_b."""
    a, b = np.triu_indices(n)
    places = np.zeros((n, n), dtype=int)
    places[a, b] = places[b, a] = np.arange(len(a))
    return a, b, places
