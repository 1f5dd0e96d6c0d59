"""From latent covariances X_s to a stable linear dynamical system that keeps them: A, Q, Π.

In the coordinates where Π = X_0 is the identity, A is a contraction exactly when Q = Π − A Π Aᵀ is a covariance.
Clipping singular values there makes A stable, keeps Π to the last digit, and so does not touch the covariance
prediction; the textbook way (clip eigenvalues of A, project Q, solve the Lyapunov equation) changes Π, by much near
unit roots.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import linalg, optimize

from antidrome.dynamics.powers import linear_gradient, powers
from antidrome.errors import InputError

LARGEST_GAIN = 1 - 1e-6
LARGEST_NORM = 1.3
MAX_ITERATIONS = 200


@dataclasses.dataclass(frozen=True)
class LinearSystem:
    """x(t + 1) = A x(t) + η, η ~ N(0, Q); y = C x + d + ε, ε ~ N(0, diag(R)).

    Parameters
    ----------
    dynamics, innovation, stationary
        A, Q and Π = A Π Aᵀ + Q, (latent, latent).
    loadings, offset, noise_variance
        C (neuron, latent), d and R (neuron,), in the units of the recording.
    """

    dynamics: np.ndarray
    innovation: np.ndarray
    stationary: np.ndarray
    loadings: np.ndarray
    offset: np.ndarray
    noise_variance: np.ndarray

    def latent_covariances(self, lags: tuple[int, ...]) -> np.ndarray:
        """Aˢ Π for ascending lags, (lag, latent, latent)."""
        return powers(self.dynamics, lags) @ self.stationary


def positive_part(covariance: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    """Nearest covariance with eigenvalues of at least `floor` of the largest."""
    values, vectors = linalg.eigh((covariance + covariance.T) / 2)
    top = values[-1] if values[-1] > 0 else 1.0
    return (vectors * np.maximum(values, floor * top)) @ vectors.T


def root_of(covariance: np.ndarray) -> np.ndarray:
    """L with L Lᵀ = the positive part of a covariance."""
    values, vectors = linalg.eigh((covariance + covariance.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))


def dynamics_of(latent: np.ndarray, lags: tuple[int, ...], stationary: np.ndarray) -> np.ndarray:
    """A that fits X_s ≈ Aˢ Π over all lags, with ‖Π^−½ A Π^½‖ < 1, whatever the gaps between the lags.

    Directions whose lagged covariances are more than Π allows are noise (dimensions beyond those of the population have
    next to no variance, and any covariance is large beside it). They are left out of the fit, where they would spoil
    the others, and move by themselves.

    Parameters
    ----------
    latent, lags
        X_s (lag, latent, latent) and their lags.
    stationary
        Π, positive definite.

    Raises
    ------
    InputError
        If there is no positive lag.
    """
    positive = tuple(lag for lag in lags if lag > 0)
    if not positive:
        raise InputError("Dynamics need at least one positive lag; the lags are only (0,).")
    values, vectors = linalg.eigh(stationary)
    values, vectors = values[::-1], vectors[:, ::-1]
    root, inverse = vectors * np.sqrt(values), vectors / np.sqrt(values)
    whitened = np.array([inverse.T @ x @ inverse for lag, x in zip(lags, latent, strict=True) if lag > 0])
    kept = _supported(whitened)
    result = np.diag(_alone(np.diagonal(whitened[0]), positive[0]))
    result[np.ix_(kept, kept)] = _contracting(whitened[:, kept[:, None], kept], positive)
    return root @ result @ inverse.T


def _supported(whitened: np.ndarray) -> np.ndarray:
    """Directions, from the strongest on, among which all whitened covariances keep near the norm of a contraction."""
    kept = [0]
    for a in range(1, whitened.shape[-1]):
        trial = [*kept, a]
        if linalg.norm(whitened[:, trial][:, :, trial], 2, axis=(1, 2)).max() <= LARGEST_NORM:
            kept = trial
    return np.array(kept)


def _alone(correlation: np.ndarray, lag: int) -> np.ndarray:
    """Autoregression of single directions, from their correlations at a lag; none lasts for more than ten frames."""
    return np.clip(np.sign(correlation) * np.abs(correlation) ** (1 / lag), -0.9, 0.9)


def _contracting(whitened: np.ndarray, positive: tuple[int, ...]) -> np.ndarray:
    """The contraction whose powers fit whitened covariances (lag, latent, latent) best."""
    start = _first_guess(whitened, positive)
    identity = np.eye(whitened.shape[-1])

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        a = flat.reshape(identity.shape)
        residual = powers(a, positive) - whitened
        gradient, _ = linear_gradient(a, identity, positive, residual)
        return 0.5 * float((residual**2).sum()), gradient.ravel()

    best = _contraction(start)
    for _ in range(3):
        found = optimize.minimize(
            function, best.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
        )
        candidate = _contraction(found.x.reshape(identity.shape))
        if not function(candidate.ravel())[0] < function(best.ravel())[0] - 1e-12:
            break
        best = candidate
    return best


def innovation_of(dynamics: np.ndarray, stationary: np.ndarray) -> np.ndarray:
    """Q = Π − A Π Aᵀ, symmetric; its rounding errors below zero are removed."""
    q = stationary - dynamics @ stationary @ dynamics.T
    values, vectors = linalg.eigh((q + q.T) / 2)
    return (vectors * np.maximum(values, 1e-12 * max(np.trace(stationary), 1e-300))) @ vectors.T


def stable_system(
    loadings: np.ndarray, latent: np.ndarray, lags: tuple[int, ...], offset: np.ndarray, variance: np.ndarray
) -> LinearSystem:
    """The system of a fit.

    Parameters
    ----------
    loadings, latent, lags
        C (neuron, latent), X_s (lag, latent, latent) with lag 0 first, their lags.
    offset, variance
        Mean and total variance of each neuron; R is what C Π Cᵀ leaves of it, at least a thousandth.
    """
    stationary = positive_part(latent[0])
    if len(lags) > 1:
        dynamics = dynamics_of(latent, lags, stationary)
    else:
        dynamics = np.zeros_like(stationary)
    own = np.einsum("ia,ia->i", loadings @ stationary, loadings)
    noise = np.maximum(variance - own, 1e-3 * np.maximum(variance, 1e-300))
    return LinearSystem(dynamics, innovation_of(dynamics, stationary), stationary, loadings, offset, noise)


def stationary_of(dynamics: np.ndarray, innovation: np.ndarray) -> np.ndarray:
    """Π = A Π Aᵀ + Q for a stable A."""
    result = linalg.solve_discrete_lyapunov(dynamics, innovation)
    return (result + result.T) / 2


def _first_guess(whitened: np.ndarray, lags: tuple[int, ...]) -> np.ndarray:
    """Least squares over lags that follow one another (0 → 1 included), or a root of the smallest lag."""
    n = whitened.shape[-1]
    table = {0: np.eye(n), **dict(zip(lags, whitened, strict=True))}
    pairs = [(table[lag - 1], table[lag]) for lag in lags if lag - 1 in table]
    if pairs:
        before, after = np.hstack([b for b, _ in pairs]), np.hstack([a for _, a in pairs])
        gram = before @ before.T
        return np.linalg.solve(gram + 1e-10 * np.trace(gram) / n * np.eye(n), before @ after.T).T
    values, vectors = np.linalg.eig(whitened[0])
    values = values.astype(complex) ** (1 / lags[0])
    guess = np.real(vectors @ np.diag(values) @ np.linalg.pinv(vectors))
    return guess if np.isfinite(guess).all() else 0.9 * np.eye(n)


def _contraction(dynamics: np.ndarray) -> np.ndarray:
    u, values, v = linalg.svd(dynamics)
    return (u * np.minimum(values, LARGEST_GAIN)) @ v
