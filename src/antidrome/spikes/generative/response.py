"""The response to one spike, so that "amplitude" means the same in every model."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

RESPONSE_S = 2.0


def scale_to_one_spike(
    respond: Callable[[Array, float], Array], values: Float[Array, "time *samples neuron"], step_s: float
) -> Float[Array, "time *samples neuron"]:
    """`values` over the peak that one isolated spike reaches within 2 s.

    Parameters
    ----------
    respond
        (spikes (time, neuron), step_s) → unscaled response of the same shape.
    """
    n_steps = max(1, int(RESPONSE_S / step_s))
    single = jnp.zeros((n_steps, values.shape[-1]), values.dtype).at[0].set(1.0)
    return values / jnp.maximum(jnp.max(respond(single, step_s), axis=0), 1e-9)
