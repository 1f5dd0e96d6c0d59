"""The first step of every density: a linear regression of the parameters on the features, with full covariance."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.mechanism.densities.bayesian import as_float32


class LinearStep(eqx.Module):
    """z_i = (u_i − x·a_i − Σ_{j<i} u_j l_{ji} − b_i)·e^(−s_i): a Gaussian with linear mean and full covariance."""

    slope: Float[Array, "k D"]
    among: Float[Array, "D D"]
    offset: Float[Array, " D"]
    log_width: Float[Array, " D"]

    def __init__(self, n_features: int, n_dimensions: int) -> None:
        self.slope = as_float32(np.zeros((n_features, n_dimensions)))
        self.among = as_float32(np.zeros((n_dimensions, n_dimensions)))
        self.offset, self.log_width = as_float32(np.zeros(n_dimensions)), as_float32(np.zeros(n_dimensions))

    def mean(self, x: Float[Array, "n k"]) -> Float[Array, "n D"]:
        """Of u, before what the dimensions say of one another."""
        return x @ self.slope + self.offset

    def forward(self, u: Float[Array, "n D"], mean: Float[Array, "n D"]) -> tuple[Array, Array]:
        """z (n, D) and log |det dz/du| (n,)."""
        z = (u - mean - u @ jnp.triu(self.among, 1)) * jnp.exp(-self.log_width)
        return z, jnp.broadcast_to(-jnp.sum(self.log_width), u.shape[:1])

    def backward(self, z: Float[Array, "n D"], mean: Float[Array, "n D"]) -> Float[Array, "n D"]:
        """u of z."""
        triangle = jnp.eye(z.shape[1]) - jnp.triu(self.among, 1)
        right = z * jnp.exp(self.log_width) + mean
        return jax.scipy.linalg.solve_triangular(triangle.T, right.T, lower=True, unit_diagonal=True).T
