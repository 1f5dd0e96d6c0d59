"""Simulations as a network is trained on them: padded to a capacity, weights normalised, some rows held out."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from antidrome.errors import TrainingError
from antidrome.mechanism.weights import effective_sample_size


class TrainingData(NamedTuple):
    """Simulations padded to a capacity, and which rows are for what.

    Parameters
    ----------
    u
        Parameters in unconstrained coordinates, (capacity, D).
    x
        Inputs of the network, (capacity, k), NaN where missing.
    weights
        Importance weight times kernel, (capacity,).
    log_prior
        Log prior density of u, (capacity,); used by the atomic loss.
    training, validation
        Row numbers, (capacity,), of which the first `n_training` and `n_validation` count.
    effective
        Effective number of training simulations, by which the divergence of Bayesian weights is divided.
    failed
        Row numbers, (capacity,), of which the first `n_failed` count: simulations that failed, whose parameters are
        atoms like the others'.
    """

    u: Float[Array, "capacity D"]
    x: Float[Array, "capacity k"]
    weights: Float[Array, " capacity"]
    log_prior: Float[Array, " capacity"]
    training: Int[Array, " capacity"]
    n_training: Int[Array, ""]
    validation: Int[Array, " capacity"]
    n_validation: Int[Array, ""]
    effective: Float[Array, ""]
    failed: Int[Array, " capacity"]
    n_failed: Int[Array, ""]


def padded_capacity(n: int) -> int:
    """The smallest power of two that holds n, at least 256."""
    return max(256, 1 << (int(n) - 1).bit_length())


def training_data(
    u: np.ndarray,
    x: np.ndarray,
    weights: np.ndarray,
    log_prior: np.ndarray,
    *,
    held_out: np.ndarray,
    capacity: int,
    failed: np.ndarray | None = None,
) -> TrainingData:
    """Pad simulations; rows with weight 0 are left out, weights have mean 1 over training and over validation rows.

    Parameters
    ----------
    u, x, weights, log_prior
        As in `TrainingData`, without padding.
    held_out
        (n,) bool, rows for validation.
    failed
        (n,) bool, rows whose simulations failed, for the atomic loss.

    Raises
    ------
    TrainingError
        No simulation has a positive weight.
    """
    used = weights > 0
    lost = np.flatnonzero(np.zeros(len(u), bool) if failed is None else failed)
    training, validation = np.flatnonzero(used & ~held_out), np.flatnonzero(used & held_out)
    if len(training) < 2:
        raise TrainingError(
            f"{len(training)} of {len(u)} simulations can be used for training. Raise the number of simulations, or"
            " look at why they fail (the failures are recorded with the simulations)."
        )
    weights = np.array(weights, float)
    for rows in (training, validation):
        if len(rows):
            weights[rows] /= weights[rows].mean()

    def padded(values: np.ndarray, dtype: Any = np.float32) -> Array:
        full = np.zeros((capacity, *values.shape[1:]), dtype)
        full[: len(values)] = values
        return jnp.asarray(full)

    return TrainingData(
        padded(u),
        padded(x),
        padded(weights),
        padded(log_prior),
        padded(training, np.int32),
        jnp.asarray(len(training), jnp.int32),
        padded(validation, np.int32),
        jnp.asarray(len(validation), jnp.int32),
        jnp.asarray(effective_sample_size(weights[training]), jnp.float32),
        padded(lost, np.int32),
        jnp.asarray(len(lost), jnp.int32),
    )
