"""Proposals: where the next round simulates. Each knows its density relative to the prior, exactly or by counting.

All work in unconstrained coordinates, where a posterior has no mass outside the prior's support, so their densities
need no correction for leakage.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

from antidrome.core.seeds import fold_in, generator
from antidrome.errors import TrainingError
from antidrome.mechanism.densities.trained import Density
from antidrome.mechanism.failures import FailureClassifier
from antidrome.mechanism.priors import Prior

OUTLINING = 5_000
"""Posterior samples that outline a region."""
BEYOND = 1e-4
"""Share of posterior samples below the lowest density of a region."""
COUNTING = 10_000
"""Draws from which the mass of a region is counted."""
MOST_TRIES = 30_000
TAIL, MARGIN = 5e-4, 0.1
"""Share of posterior samples beyond each side of a box, and what is added there, relative to its width."""
ENOUGH = 300
"""Points inside a region after which its mass is known well enough (to 6 %)."""
FURTHEST = 8.0
"""Edge of the largest box, in standard deviations of the prior: beyond lies less than 10⁻¹⁴ of it."""
OUTSIDE = -1e6
"""log p̃ − log p where a truncated proposal has no mass (finite, so that sums stay finite)."""


@runtime_checkable
class Proposal(Protocol):
    """Where to simulate."""

    @property
    def covers_prior(self) -> bool:
        """Whether enough is drawn from all of the prior for weights p/p̃ to make up for the rest."""

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D) in unconstrained coordinates."""

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """log p̃(u) − log p(u), (n,)."""


@dataclasses.dataclass(frozen=True)
class FromPrior:
    """The prior itself."""

    prior: Prior

    @property
    def covers_prior(self) -> bool:
        """It does."""
        return True

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""
        return self.prior.sample_unconstrained(n_samples, seed=seed)

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """Zeros."""
        return np.zeros(len(u))


@dataclasses.dataclass(frozen=True)
class FromDensity:
    """A posterior of an earlier round."""

    density: Density
    prior: Prior

    @property
    def covers_prior(self) -> bool:
        """Not with a finite number of draws."""
        return False

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""
        return self.density.sample(n_samples, seed=seed)

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """log q(u) − log p(u)."""
        return self.density.log_prob(u) - self.prior.log_prob_unconstrained(u)


@dataclasses.dataclass(frozen=True)
class Truncated:
    """The prior, restricted to where a posterior has its mass: weights are constant there.

    The region is {log q ≥ threshold} within the box that holds the posterior's samples (Deistler, Gonçalves & Macke
    2022, truncate by the threshold alone; the box, along the posterior's principal axes, makes sampling cheap). Where
    the threshold leaves too little of the box to find by trying, the region is the whole box.

    Parameters
    ----------
    threshold
        Lowest log density; −∞ for the whole box.
    axes
        Principal axes of the posterior in whitened coordinates, (D, D); the prior is N(0, I) along them as well.
    low, high
        Corners of the box along the axes, (D,).
    log_mass
        Log prior probability of the region, counted.
    """

    density: Density
    prior: Prior
    threshold: float
    axes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    log_mass: float

    @property
    def covers_prior(self) -> bool:
        """Only its region."""
        return False

    @classmethod
    def of(cls, density: Density, prior: Prior, *, seed: int) -> Truncated:
        """The region that holds all but `BEYOND` of the posterior.

        Raises
        ------
        TrainingError
            The posterior gives no finite samples.
        """
        samples = density.sample(OUTLINING, seed=fold_in(seed, "region"))
        samples = samples[np.isfinite(samples).all(axis=1)]
        if len(samples) < OUTLINING // 2:
            raise TrainingError(
                "The posterior of a round has no finite samples at the observation, which is probably far from all that"
                " the simulator gives. Compare it with simulations from the prior."
            )
        threshold = float(np.quantile(density.log_prob(samples), BEYOND))
        white = prior.whiten(samples)
        axes = np.linalg.eigh(np.atleast_2d(np.cov(white.T)))[1]
        along = white @ axes
        low, high = np.quantile(along, [TAIL, 1 - TAIL], axis=0)
        margin = MARGIN * (high - low)
        low = np.clip(low - margin, -FURTHEST, FURTHEST - 1)
        high = np.clip(high + margin, 1 - FURTHEST, FURTHEST)
        region = cls(density, prior, threshold, axes, low, high, 0.0)
        inside = tried = 0
        while inside < ENOUGH and tried < MOST_TRIES:
            inside += int(region._within(region._candidates(fold_in(seed, f"count/{tried}"), COUNTING)).sum())
            tried += COUNTING
        if inside < ENOUGH:
            return dataclasses.replace(region, threshold=-math.inf, log_mass=region._log_box_mass())
        return dataclasses.replace(region, log_mass=region._log_box_mass() + math.log(inside / tried))

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D), by rejection."""
        parts = [np.zeros((0, self.prior.n_parameters))]
        found = attempt = 0
        while found < n_samples:
            u = self._candidates(fold_in(seed, f"try/{attempt}"), COUNTING)
            parts.append(u[self._within(u)])
            found, attempt = found + len(parts[-1]), attempt + 1
        return np.concatenate(parts)[:n_samples]

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """−log mass inside, OUTSIDE elsewhere."""
        return np.where(self._within(u), -self.log_mass, OUTSIDE)

    def _within(self, u: np.ndarray) -> np.ndarray:
        along = self.prior.whiten(u) @ self.axes
        inside = ((along >= self.low) & (along <= self.high)).all(axis=1)
        if inside.any() and math.isfinite(self.threshold):
            inside[inside] = self.density.log_prob(u[inside]) >= self.threshold
        return inside

    def _candidates(self, seed: int, n: int) -> np.ndarray:
        """Draws of the prior in the box: truncated standard normals along the axes, each tail from its own side."""
        share = generator(seed, "mechanism/box").random((n, len(self.low)))
        low, high, upper = self._tails()
        along = ndtri(ndtr(low) + (ndtr(high) - ndtr(low)) * share)
        along = np.clip(np.where(upper, -along, along), self.low, self.high)
        return self.prior.colour(along @ self.axes.T)

    def _log_box_mass(self) -> float:
        low, high, _ = self._tails()
        return float(np.log(ndtr(high) - ndtr(low)).sum())

    def _tails(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The box with the axes that lie in the upper tail mirrored, and which those are."""
        upper = self.low > 0
        return np.where(upper, -self.high, self.low), np.where(upper, -self.low, self.high), upper


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A mixture of proposals with fixed shares (defensive mixing, Hesterberg 1995)."""

    parts: Sequence[Proposal]
    shares: Sequence[float]

    @property
    def covers_prior(self) -> bool:
        """Where one of its parts does."""
        return any(part.covers_prior for part in self.parts)

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D), in random order."""
        draw = generator(seed, "mechanism/mixed")
        which = draw.choice(len(self.parts), size=n_samples, p=np.asarray(self.shares) / np.sum(self.shares))
        drawn = [
            part.sample(int((which == i).sum()), seed=fold_in(seed, f"part/{i}")) for i, part in enumerate(self.parts)
        ]
        return np.concatenate(drawn)[np.argsort(np.argsort(which, kind="stable"), kind="stable")]

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """log Σ shareᵢ p̃ᵢ(u) − log p(u)."""
        shares = np.log(np.asarray(self.shares) / np.sum(self.shares))
        return logsumexp([part.log_ratio(u) + s for part, s in zip(self.parts, shares, strict=True)], axis=0)


@dataclasses.dataclass(frozen=True)
class Thinned:
    """A proposal from which a point is kept with the probability that its simulation succeeds."""

    proposal: Proposal
    classifier: FailureClassifier
    log_kept: float

    @property
    def covers_prior(self) -> bool:
        """Where what is thinned does: some of what fails is kept."""
        return self.proposal.covers_prior

    @classmethod
    def of(cls, proposal: Proposal, classifier: FailureClassifier, *, seed: int) -> Thinned:
        """The thinned proposal; the share that is kept is the mean over draws."""
        u = proposal.sample(COUNTING, seed=fold_in(seed, "kept"))
        return cls(proposal, classifier, float(logsumexp(classifier.log_keep(u)) - math.log(COUNTING)))

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""
        parts = [self.proposal.sample(0, seed=seed)]
        found = attempt = 0
        while found < n_samples:
            size = max(64, int(1.2 * (n_samples - found) / math.exp(self.log_kept)))
            u = self.proposal.sample(size, seed=fold_in(seed, f"thin/{attempt}"))
            chance = generator(seed, f"keep/{attempt}").random(size)
            parts.append(u[np.log(chance) < self.classifier.log_keep(u)])
            found, attempt = found + len(parts[-1]), attempt + 1
        return np.concatenate(parts)[:n_samples]

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """That of the proposal, times the probability of being kept, normalised."""
        return self.proposal.log_ratio(u) + self.classifier.log_keep(u) - self.log_kept
