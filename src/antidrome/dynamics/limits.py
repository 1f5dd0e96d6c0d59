"""Modes of a system whose time constants are limits of the method, not measured, and private noise that made them so.

Private autocovariances that are taken for latent ones enter X_s at lags s > 0 but not Π = X_0, as the diagonal of lag 0
is left out. Where they are large beside the latent variance, the lagged covariances are more than Π allows.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from antidrome.dynamics.solving import Solver
from antidrome.dynamics.system import LARGEST_GAIN, LinearSystem
from antidrome.recordings.arguments import counted

ROUNDING = 1e-8
SLOW = 1e-3
"""Modes that lose less from frame to frame, and lie in directions that were held back, are as slow as the limit."""
LASTING = 0.1
"""Correlation of private noise from frame to frame that is not white."""


def directions_at_limit(system: LinearSystem) -> tuple[np.ndarray, np.ndarray]:
    """Directions of whitened latent states that were held at the largest gain, and those left out of the fit of A.

    Returns
    -------
    (latent, direction) each, orthonormal, in the axes of Π with the largest variance first.
    """
    whitened, _ = _whitened(system)
    beside = whitened - np.diag(np.diagonal(whitened))
    alone = (np.abs(beside).max(axis=0) < ROUNDING) & (np.abs(beside).max(axis=1) < ROUNDING)
    alone[0] = False
    alone &= np.abs(np.diagonal(whitened)) > ROUNDING
    _, gains, right = linalg.svd(whitened)
    return right[gains > LARGEST_GAIN - ROUNDING].T, np.eye(len(whitened))[:, alone]


def number_at_limit(system: LinearSystem) -> int:
    """Directions at a limit of either kind."""
    return sum(found.shape[1] for found in directions_at_limit(system))


def is_freer(first: LinearSystem, second: LinearSystem) -> bool:
    """Whether fewer directions of the first are at a limit than of the second, and no more are left out."""
    left = [directions_at_limit(one)[1].shape[1] for one in (first, second)]
    return number_at_limit(first) < number_at_limit(second) and left[0] <= left[1]


def modes_at_limit(system: LinearSystem, values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mode,) True for modes that are as slow as the limit, and for modes left out of the fit of A.

    Parameters
    ----------
    system
        As fitted.
    values, vectors
        Eigenvalues (mode,) and eigenvectors (latent, mode) of A.
    """
    _, whitening = _whitened(system)
    inside = whitening @ vectors
    inside = inside / np.maximum(linalg.norm(inside, axis=0), 1e-300)
    held, left = (linalg.norm(basis.T @ inside, axis=0) ** 2 > 0.5 for basis in directions_at_limit(system))
    return held & ~left & (np.abs(values) > 1 - SLOW), left


def notes_on_limits(system: LinearSystem, hollow: bool) -> list[str]:
    """What to know of modes whose time constants are not measured; `hollow`: own autocovariances have no part."""
    advice = "fewer n_components, or more frames"
    advice = advice if hollow else f"private_noise='autocorrelated', {advice}"
    n_held, n_left = _number_of_modes(system)
    n, notes = len(system.dynamics), []
    if n_held:
        notes.append(
            f"{counted(n_held, 'mode', 'is', of=n)} as slow as the method allows, because lagged covariances are more"
            " than the covariance at lag 0 allows: time constants there are limits, not measured, and latent states are"
            f" smoothed too much. Try {advice}."
        )
    if n_left:
        notes.append(
            f"{counted(n_left, 'mode', 'has', of=n)} next to no variance beside lagged covariances: time constants"
            " there are not measured. Fewer n_components do without."
        )
    return notes


def notes_on_smoothing(system: LinearSystem) -> list[str]:
    """What to know of latent states that were inferred with such a system."""
    n_held, _ = _number_of_modes(system)
    if not n_held:
        return []
    return [
        f"{counted(n_held, 'mode', 'is', of=len(system.dynamics))} as slow as the method allows, which is no"
        " measurement: states are smoothed too much."
    ]


def private_noise_lasts(solver: Solver, system: LinearSystem, latent: np.ndarray) -> bool:
    """Whether what the latent states leave of the neurons' own autocovariances is too much for white noise.

    Parameters
    ----------
    solver
        With the measured covariances.
    system, latent
        A fit to all of them: the system, and X_s (lag, latent, latent).
    """
    later = np.flatnonzero(solver.available[1:])
    if later.size == 0:
        return False
    lag, c = 1 + int(later[0]), system.loadings
    left = solver.own(lag) - np.einsum("ia,ia->i", c @ latent[lag], c)
    return float(np.nansum(left)) > LASTING * float(system.noise_variance.sum())


def _number_of_modes(system: LinearSystem) -> tuple[int, int]:
    held, left = modes_at_limit(system, *np.linalg.eig(system.dynamics))
    return int(held.sum()), int(left.sum())


def _whitened(system: LinearSystem) -> tuple[np.ndarray, np.ndarray]:
    """A where Π is the identity, and what brings latent states there, by the axes of Π in descending order."""
    values, vectors = linalg.eigh(system.stationary)
    values, vectors = values[::-1], vectors[:, ::-1]
    whitening = (vectors / np.sqrt(values)).T
    return whitening @ system.dynamics @ (vectors * np.sqrt(values)), whitening
