"""Linear layers whose weights are Gaussian: local reparameterisation, and the divergence between rounds.

Every weight and bias is N(m, e²ˢ), independent (Lueckmann et al. 2017, eq. 6; Kingma, Salimans & Welling 2015). Given
noise, pre-activations are sampled, one draw a sample and unit; without it, the mean weights are used.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

INITIAL_LOG_SD = -5.0


class Linear(eqx.Module):
    """x W + b; with standard deviations when `bayesian`, otherwise plain.

    Parameters
    ----------
    n_in, n_out
        Sizes.
    bayesian
        Whether the weights have a spread.
    gain
        Factor on the initial weights, which are He-normal.
    spread
        Standard deviation of the initial biases: with 1, units that see standardised inputs bend at different places
        of them; with 0 all bend at their mean, and what is even about it has to be learned first.
    draw
        Where they come from: NumPy's generator, so that nothing is compiled before training.
    """

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"]
    weight_log_sd: Float[Array, "n_in n_out"] | None
    bias_log_sd: Float[Array, " n_out"] | None

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        bayesian: bool = False,
        gain: float = 1.0,
        spread: float = 0.0,
        draw: np.random.Generator,
    ) -> None:
        self.weight = as_float32(gain * np.sqrt(2.0 / max(n_in, 1)) * draw.standard_normal((n_in, n_out)))
        self.bias = as_float32(spread * draw.standard_normal(n_out))
        self.weight_log_sd = as_float32(np.full((n_in, n_out), INITIAL_LOG_SD)) if bayesian else None
        self.bias_log_sd = as_float32(np.full(n_out, INITIAL_LOG_SD)) if bayesian else None

    @property
    def n_out(self) -> int:
        """Units."""
        return self.bias.shape[0]

    def __call__(
        self, x: Float[Array, "n n_in"], noise: Float[Array, "n n_out"] | None = None
    ) -> Float[Array, "n n_out"]:
        """Pre-activations: with standard normal noise and Bayesian weights sampled, otherwise those of the means."""
        mean = x @ self.weight + self.bias
        if noise is None or self.weight_log_sd is None or self.bias_log_sd is None:
            return mean
        variance = jnp.square(x) @ jnp.exp(2 * self.weight_log_sd) + jnp.exp(2 * self.bias_log_sd)
        return mean + jnp.sqrt(variance) * noise


def as_float32(values: np.ndarray) -> Array:
    """An array on the device."""
    return jnp.asarray(values, jnp.float32)


def side_by_side(layers: Sequence[Linear]) -> Linear:
    """One layer in place of several with the same inputs: their units next to one another."""
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays, axis=-1), *layers)


def linear_layers(tree: eqx.Module) -> list[Linear]:
    """The Bayesian linear layers of a network."""
    leaves = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Linear))
    return [leaf for leaf in leaves if isinstance(leaf, Linear) and leaf.weight_log_sd is not None]


def divergence_from_ridge(network: eqx.Module, precision: float | Float[Array, ""]) -> Float[Array, ""]:
    """KL(π(w) ‖ N(0, 1/λ)) over all weights: λ/2 Σ(m² + e²ˢ) − Σs − P/2 (1 + log λ)."""
    total = jnp.zeros(())
    for layer in linear_layers(network):
        for mean, log_sd in _parameters(layer):
            total += 0.5 * precision * jnp.sum(jnp.square(mean) + jnp.exp(2 * log_sd))
            total -= jnp.sum(log_sd) + 0.5 * mean.size * (1 + jnp.log(precision))
    return total


def divergence_between(network: eqx.Module, before: eqx.Module) -> Float[Array, ""]:
    """KL(π(w) ‖ π₀(w)) of two networks of the same shape: ½[Σ2(s₀−s) − P + Σe²⁽ˢ⁻ˢ⁰⁾ + Σ(m−m₀)²/e²ˢ⁰]."""
    total = jnp.zeros(())
    for layer, old in zip(linear_layers(network), linear_layers(before), strict=True):
        for (mean, log_sd), (mean0, log_sd0) in zip(_parameters(layer), _parameters(old), strict=True):
            total += jnp.sum(log_sd0 - log_sd) - 0.5 * mean.size
            total += 0.5 * jnp.sum(jnp.exp(2 * (log_sd - log_sd0)))
            total += 0.5 * jnp.sum(jnp.square(mean - mean0) * jnp.exp(-2 * log_sd0))
    return total


def _parameters(layer: Linear) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    assert layer.weight_log_sd is not None
    assert layer.bias_log_sd is not None
    return (layer.weight, layer.weight_log_sd), (layer.bias, layer.bias_log_sd)
