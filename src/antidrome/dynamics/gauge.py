"""The freedom of a latent basis, and how it is fixed.

C → C M⁻¹, X_s → M X_s Mᵀ leaves every covariance C X_s Cᵀ as it was. Solvers hold CᵀC = p I; what is reported has
orthonormal loadings, a diagonal X_0 with descending entries, and for each column a positive sum of cubes.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg


def normalise(loadings: np.ndarray, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change the basis so that CᵀC = p I, with p the number of rows that are not zero.

    Parameters
    ----------
    loadings
        (neuron, latent).
    latent
        (…, latent, latent) X_s.
    """
    n = loadings.shape[1]
    rows = max(int(loadings.any(axis=1).sum()), 1)
    gram = loadings.T @ loadings / rows
    gram += 1e-14 * np.trace(gram) / n * np.eye(n)
    try:
        root = np.linalg.cholesky(gram)
        changed = linalg.lapack.dtrtrs(root, loadings.T, lower=1)[0].T
    except linalg.LinAlgError:
        values, vectors = linalg.eigh(gram)
        spread = np.sqrt(np.maximum(values, 1e-14 * max(values[-1], 1e-300)))
        root, changed = vectors * spread, loadings @ (vectors / spread)
    return changed, root.T @ latent @ root


def canonical(loadings: np.ndarray, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reported basis: orthonormal columns, X_0 diagonal and descending, sums of cubes positive.

    Returns
    -------
    loadings, latent, change
        `change` (latent, latent) maps the old latent states to the new ones.
    """
    q, r = linalg.qr(loadings, mode="economic")
    turned = r @ latent @ r.T
    values, vectors = linalg.eigh((turned[0] + turned[0].T) / 2)
    vectors = vectors[:, np.argsort(-values, kind="stable")]
    columns = q @ vectors
    signs = np.where((columns**3).sum(axis=0) < 0, -1.0, 1.0)
    vectors = vectors * signs
    return columns * signs, vectors.T @ turned @ vectors, vectors.T @ r


def principal_angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles between two column spaces in units of π/2, ascending: 0 the same direction, 1 orthogonal."""
    return np.sort(linalg.subspace_angles(first, second)) / (np.pi / 2)
