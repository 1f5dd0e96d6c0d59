"""Simulated populations whose dynamics are known, for tests, tutorials and benchmarks."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import linalg

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError


@dataclasses.dataclass(frozen=True)
class SimulatedPopulation:
    """A stationary linear dynamical system and one run of it.

    Parameters
    ----------
    dynamics, innovation, stationary
        (latent, latent) A, Q and Π = A Π Aᵀ + Q = 1.
    loadings, offset, noise_variance
        C (neuron, latent), d and R (neuron,).
    latents, activity
        x (frame, latent) and y (frame, neuron).
    """

    dynamics: np.ndarray
    innovation: np.ndarray
    stationary: np.ndarray
    loadings: np.ndarray
    offset: np.ndarray
    noise_variance: np.ndarray
    latents: np.ndarray
    activity: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """True C Π Cᵀ, (neuron, neuron)."""
        return self.loadings @ self.stationary @ self.loadings.T


def simulate(
    n_neurons: int = 100,
    n_components: int = 4,
    n_frames: int = 1000,
    seed: int = 0,
    *,
    eigenvalue_range: tuple[float, float] = (0.98, 0.99),
    noise_to_signal: tuple[float, float] = (0.75, 1.25),
) -> SimulatedPopulation:
    """Draw a random stable system with slow rotations and run it: the recipe of Nonnenmacher et al. (2017).

    Eigenvalues come in complex pairs with moduli evenly spread over `eigenvalue_range` and small angles (von Mises,
    κ = 1000, times 2π), eigenvectors are random, Q is Wishart; the latent basis is the one where Π is the identity.

    Parameters
    ----------
    n_neurons, n_components, n_frames, seed
        Size and seed.
    eigenvalue_range
        Moduli of the eigenvalues of A.
    noise_to_signal
        Range of each neuron's noise variance over its signal variance.

    Raises
    ------
    InputError
        If a size is not positive or the system would not be stable.

    Examples
    --------
    >>> population = simulate(n_neurons=5, n_components=2, n_frames=50, seed=1)
    >>> population.activity.shape, bool(abs(np.linalg.eigvals(population.dynamics)).max() < 1)
    ((50, 5), True)
    """
    for name, value in (("n_neurons", n_neurons), ("n_components", n_components), ("n_frames", n_frames)):
        whole_number(name, value, 1)
    if not 0 <= eigenvalue_range[0] <= eigenvalue_range[1] < 1:
        raise InputError(f"eigenvalue_range is {eigenvalue_range}; a stable system needs 0 ≤ low ≤ high < 1.")
    rng = generator(seed, "dynamics/simulate")
    a = _dynamics(n_components, eigenvalue_range, rng)
    root = rng.standard_normal((n_components, 5 * n_components)) / np.sqrt(n_components)
    lower = linalg.cholesky(linalg.solve_discrete_lyapunov(a, root @ root.T), lower=True)
    a = linalg.solve_triangular(lower, a @ lower, lower=True)
    stationary = np.eye(n_components)
    innovation = stationary - a @ a.T
    loadings = rng.standard_normal((n_neurons, n_components)) / np.sqrt(n_components)
    noise = (loadings**2).sum(axis=1) * rng.uniform(*noise_to_signal, n_neurons)
    values, vectors = linalg.eigh((innovation + innovation.T) / 2)
    steps = rng.standard_normal((n_frames, n_components)) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    x = np.empty((n_frames, n_components))
    x[0] = rng.standard_normal(n_components)
    for t in range(1, n_frames):
        x[t] = a @ x[t - 1] + steps[t]
    offset = rng.standard_normal(n_neurons)
    activity = x @ loadings.T + offset + np.sqrt(noise) * rng.standard_normal((n_frames, n_neurons))
    return SimulatedPopulation(a, innovation, stationary, loadings, offset, noise, x, activity)


def _dynamics(n: int, eigenvalue_range: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A random real matrix with the wanted eigenvalues: complex pairs, and a real one where n is odd."""
    moduli = np.linspace(*eigenvalue_range, max(n // 2, 1))
    blocks = []
    for modulus in moduli[: n // 2]:
        angle = 2 * np.pi * rng.vonmises(0.0, 1000.0)
        blocks.append(modulus * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
    if n % 2:
        blocks.append(np.array([[eigenvalue_range[1]]]))
    basis = rng.standard_normal((n, n))
    basis /= np.linalg.norm(basis, axis=0)
    return basis @ linalg.block_diag(*blocks) @ linalg.inv(basis)
