"""Random-walk Metropolis for models with a likelihood, many chains at once, with adaptation during burn-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import fold_in, generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.priors import Prior

LogLikelihood = Callable[[np.ndarray], np.ndarray]


class McmcResult(NamedTuple):
    """Samples (chain, sample, parameter), the share of accepted proposals, and R̂ (split, rank-free) per parameter."""

    theta: np.ndarray
    acceptance: float
    r_hat: np.ndarray

    @property
    def pooled(self) -> np.ndarray:
        """Samples of all chains, (n, d)."""
        return self.theta.reshape(-1, self.theta.shape[-1])


def random_walk_metropolis(
    log_likelihood: LogLikelihood,
    prior: Prior,
    *,
    n_chains: int = 20,
    n_samples: int = 1000,
    thin: int = 10,
    burn_in: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> McmcResult:
    """Sample a posterior in the prior's unconstrained coordinates.

    Steps are Gaussian with the covariance of all chains (learned during burn-in), scaled by 2.38²/d and then towards
    an acceptance of 0.3.

    Parameters
    ----------
    log_likelihood
        Of (n, d) parameters, (n,).
    n_chains, n_samples
        Chains, and samples kept of each.
    thin, burn_in
        Steps for each sample kept, and before the first.

    Raises
    ------
    InputError
        If the likelihood is zero wherever a chain could start, or is not one value for each parameter set, or a number
        of chains, samples or steps is none.
    """
    n_chains, n_samples = whole_number("n_chains", n_chains, 1), whole_number("n_samples", n_samples, 1)
    thin, burn_in = whole_number("thin", thin, 1), whole_number("burn_in", burn_in, 0)
    draw = generator(seed, "mechanism/metropolis")
    d = prior.n_parameters

    def log_target(u: np.ndarray) -> np.ndarray:
        likelihood = np.asarray(log_likelihood(prior.from_unconstrained(u)))
        if likelihood.shape != (len(u),):
            raise InputError(
                f"log_likelihood returned an array of shape {likelihood.shape} for {len(u)} parameter sets; expected"
                f" ({len(u)},), one value for each."
            )
        value = likelihood + prior.log_prob_unconstrained(u)
        return np.where(np.isnan(value), -np.inf, value)

    u, at = _start(log_target, prior, n_chains, seed)
    factor, scale = np.eye(d), 2.38 / np.sqrt(d)
    kept = np.empty((n_chains, n_samples, d))
    n_moved = 0
    recent: list[np.ndarray] = []
    with show_progress("Metropolis", n_samples, unit="samples", enabled=progress) as bar:
        for step in range(-burn_in, n_samples * thin):
            proposed = u + scale * draw.standard_normal((n_chains, d)) @ factor.T
            there = log_target(proposed)
            moved = np.log(draw.random(n_chains)) < there - at
            u, at = np.where(moved[:, None], proposed, u), np.where(moved, there, at)
            if step < 0:
                recent.append(u)
                scale *= np.exp((moved.mean() - 0.3) / np.sqrt(len(recent) + 10))
                if len(recent) % 100 == 0:
                    half = np.concatenate(recent[len(recent) // 2 :])
                    factor = np.linalg.cholesky(np.atleast_2d(np.cov(half.T)) + 1e-9 * np.eye(d))
                continue
            n_moved += int(moved.sum())
            if (step + 1) % thin == 0:
                kept[:, step // thin] = u
                bar.advance(1)
    theta = prior.from_unconstrained(kept.reshape(-1, d)).reshape(kept.shape)
    return McmcResult(theta, n_moved / (n_samples * thin * n_chains), split_r_hat(kept))


def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """Potential scale reduction (Gelman et al. 2013, BDA3 §11.4) of (chain, sample, parameter), each chain halved.

    NaN where chains of fewer than four samples tell nothing of it.
    """
    n = chains.shape[1] // 2
    if n < 2:
        return np.full(chains.shape[2], np.nan)
    halves = np.concatenate([chains[:, :n], chains[:, n : 2 * n]])
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((n - 1) / n + between / np.maximum(within, 1e-300))


def _start(
    log_target: Callable[[np.ndarray], np.ndarray], prior: Prior, n_chains: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starting points: draws of the prior, resampled by their likelihood."""
    u = prior.sample_unconstrained(100 * n_chains, seed=fold_in(seed, "mechanism/metropolis/start"))
    at = log_target(u)
    if not np.isfinite(at).any():
        raise InputError(f"The likelihood is zero at all of {len(u)} parameter sets drawn from the prior.")
    best = np.argsort(-at)[:n_chains]
    best = best[np.isfinite(at[best])]
    rows = np.resize(best, n_chains)
    return u[rows], at[rows]
