"""Trained densities: ensembles of networks with their feature scaling, and what they say at one observation."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from antidrome.core.seeds import fold_in, generator, jax_key
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.densities.mixture_network import MixtureNetwork, before_linear_step, factors_of
from antidrome.mechanism.densities.network import DensityNetwork
from antidrome.mechanism.features import FeatureScaling

CHUNK = 1024


@runtime_checkable
class Density(Protocol):
    """A density over unconstrained coordinates."""

    @property
    def n_dimensions(self) -> int:
        """D."""

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log density, (n,), at (n, D)."""


@dataclasses.dataclass(frozen=True)
class TrainedDensity:
    """q(u | x): the average of the networks' densities.

    Parameters
    ----------
    networks
        Members of the ensemble, of one shape.
    scaling
        From features as simulated to the networks' inputs.
    """

    networks: tuple[DensityNetwork, ...]
    scaling: FeatureScaling

    @property
    def is_mixture(self) -> bool:
        """Whether everything about it has a closed form."""
        return isinstance(self.networks[0].body, MixtureNetwork)

    @property
    def is_bayesian(self) -> bool:
        """Whether its weights have a spread."""
        body = self.networks[0].body
        return isinstance(body, MixtureNetwork) and body.logits.weight_log_sd is not None

    def at(self, observation: np.ndarray, *, n_weight_samples: int = 0, seed: int = 0) -> Density:
        """The density at one observation (k,), with gaps allowed.

        Parameters
        ----------
        n_weight_samples
            Average over this many draws of Bayesian weights; with 0 their means are used (as in the paper).
        """
        x = self.scaling.inputs(np.asarray(observation, float)[None])
        if not self.is_mixture:
            return FlowDensity(self.networks, x)
        return _mixture_at(self.networks, x, n_weight_samples if self.is_bayesian else 0, seed)

    def log_prob(self, u: np.ndarray, features: np.ndarray) -> np.ndarray:
        """log q(uᵢ | xᵢ), (n,), of pairs (n, D) and (n, k).

        Where there are fewer features, (m, k), each of them goes with the next n/m parameter sets.
        """
        return _log_prob(self.networks, u, self.scaling.inputs(features))

    def sample(self, features: np.ndarray, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw `n_samples` for each row of features (m, k): (m, n, D)."""
        if self.is_mixture:
            return np.stack(
                [self.at(row).sample(n_samples, seed=fold_in(seed, f"row/{i}")) for i, row in enumerate(features)]
            )
        x, rows = self.scaling.inputs(features), np.repeat(np.arange(len(features)), n_samples)
        return _sample_rows(self.networks, x, rows, seed).reshape(len(features), n_samples, -1)


@dataclasses.dataclass(frozen=True)
class FlowDensity:
    """An ensemble of flows at one observation, x (1, k) as the networks are given it."""

    networks: tuple[DensityNetwork, ...]
    x: np.ndarray

    @property
    def n_dimensions(self) -> int:
        """D."""
        return self.networks[0].n_dimensions

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""
        return _sample_rows(self.networks, self.x, np.zeros(n_samples, int), seed)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log density, (n,), at (n, D)."""
        return _log_prob(self.networks, x, self.x)


def _log_prob(networks: tuple[DensityNetwork, ...], u: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log of the networks' average density at u (n, D), given x (m, k); each row serves n/m successive ones."""
    rows = np.repeat(np.arange(len(x)), len(u) // max(1, len(x)))
    parts = [_in_chunks(lambda a, b, net=net: _log_prob_of_pairs(net, a, b), u, x, rows) for net in networks]
    return logsumexp(parts, axis=0) - np.log(len(parts))


def _sample_rows(networks: tuple[DensityNetwork, ...], x: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """One sample for each of n rows of x (m, k), each from a member drawn at random."""
    draw = generator(seed, "mechanism/flow")
    d = networks[0].n_dimensions
    noise = draw.standard_normal((len(rows), d))
    member = draw.integers(0, len(networks), len(rows))
    samples = np.empty((len(rows), d))
    for i, net in enumerate(networks):
        of = member == i
        if of.any():
            samples[of] = _in_chunks(lambda a, b, net=net: _transform_noise(net, a, b), noise[of], x, rows[of])
    return samples


def _mixture_at(
    networks: tuple[DensityNetwork, ...], x: np.ndarray, n_weight_samples: int, seed: int
) -> GaussianMixture:
    log_weights, means, factors = [], [], []
    for i, net in enumerate(networks):
        assert isinstance(net.body, MixtureNetwork)
        rows = jnp.asarray(np.repeat(x, max(n_weight_samples, 1), axis=0))
        key = jax_key(seed, f"mechanism/weights/{i}") if n_weight_samples else None
        context = _condition(net, rows, key)
        k, d = context.log_weights.shape[1], net.n_dimensions
        log_weights.append(np.asarray(context.log_weights, float).ravel() - np.log(len(rows)))
        of_z = factors_of(np.asarray(context.triangles, float).reshape(len(rows) * k, -1), d)
        linear = np.repeat(np.asarray(context.linear, float), k, axis=0)
        of_u = before_linear_step(net.body.linear, linear, np.asarray(context.means, float).reshape(-1, d), of_z)
        means.append(of_u[0])
        factors.append(of_u[1])
    joined = np.concatenate(log_weights)
    joined -= logsumexp(joined)
    used = joined > -50.0
    kept = joined[used]
    return GaussianMixture(kept - logsumexp(kept), np.concatenate(means)[used], np.concatenate(factors)[used])


def log_weights_at(network: DensityNetwork, x: np.ndarray) -> np.ndarray:
    """Log weights (K,) of a mixture network's components at one input (1, k)."""
    return np.asarray(_condition(network, jnp.asarray(x), None).log_weights[0], float)


def _in_chunks(function: Any, values: np.ndarray, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Apply a compiled function to values (n, D) and these n rows of x (m, k), in blocks of one shape, so that it is
    compiled once and wide features are never repeated as a whole; float64 out."""
    n, parts = len(values), []
    for start in range(0, n, CHUNK):
        of = slice(start, start + CHUNK)
        block = [np.asarray(a, np.float32) for a in (values[of], x[rows[of]])]
        short = CHUNK - len(block[0])
        block = [np.concatenate([b, np.repeat(b[-1:], short, axis=0)]) if short else b for b in block]
        parts.append(np.asarray(function(*block), float)[: CHUNK - short])
    if parts:
        return np.concatenate(parts)
    return np.zeros((0, *np.shape(function(*(np.zeros((CHUNK, a.shape[1]), np.float32) for a in (values, x))))[1:]))


@eqx.filter_jit
def _log_prob_of_pairs(network: DensityNetwork, u: jax.Array, x: jax.Array) -> jax.Array:
    return network.log_prob(u, network.condition(x))


@eqx.filter_jit
def _transform_noise(network: DensityNetwork, noise: jax.Array, x: jax.Array) -> jax.Array:
    return network.body.sample(noise, network.condition(x))  # type: ignore[union-attr]


@eqx.filter_jit
def _condition(network: DensityNetwork, x: jax.Array, key: jax.Array | None) -> Any:
    return network.condition(x, key)
