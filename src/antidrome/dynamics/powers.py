"""X_s = Aˢ B Bᵀ: latent covariances that follow from the dynamics, and the gradients through them."""

from __future__ import annotations

import numpy as np


def powers(dynamics: np.ndarray, lags: tuple[int, ...]) -> np.ndarray:
    """Aˢ for ascending lags, (lag, latent, latent)."""
    result, current, at = [], np.eye(len(dynamics)), 0
    for lag in lags:
        current = np.linalg.matrix_power(dynamics, lag - at) @ current
        at = lag
        result.append(current)
    return np.array(result)


def linear_latent(dynamics: np.ndarray, factor: np.ndarray, lags: tuple[int, ...]) -> np.ndarray:
    """X_s = Aˢ B Bᵀ, (lag, latent, latent)."""
    return powers(dynamics, lags) @ (factor @ factor.T)


def linear_gradient(
    dynamics: np.ndarray, factor: np.ndarray, lags: tuple[int, ...], d_latent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients in A and B from those in X_s = Aˢ B Bᵀ."""
    stationary = factor @ factor.T
    d_dynamics, d_stationary = np.zeros_like(dynamics), np.zeros_like(dynamics)
    ladder = powers(dynamics, tuple(range(max(lags) + 1)))
    for lag, gradient in zip(lags, d_latent, strict=True):
        d_stationary += ladder[lag].T @ gradient
        inner = gradient @ stationary
        for q in range(lag):
            d_dynamics += ladder[q].T @ inner @ ladder[lag - 1 - q].T
    return d_dynamics, (d_stationary + d_stationary.T) @ factor
