"""Bound dye, step by step, in units of what one spike makes it bind: "amplitude" means the same in every model."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

RESPONSE_S = 2.0
UNROLL = 4

Bind = Callable[[Array, Array], tuple[Array, Array]]
"""One step of the grid: (calcium and dye, spikes) → calcium and dye, and the dye. Of a function at the top of a file,
with its parameters bound by `equinox.Partial`, one compiled program serves all models; a closure is compiled anew."""


def dye_per_spike(
    bind: Bind, spikes: Float[Array, "time *samples neuron"], step_s: float
) -> Float[Array, "time *samples neuron"]:
    """Bound dye over the peak that one isolated spike reaches within 2 s."""
    dye = _run(bind, spikes)
    single = jnp.zeros((max(1, int(RESPONSE_S / step_s)), dye.shape[-1]), dye.dtype).at[0].set(1.0)
    return dye / jnp.maximum(jnp.max(_run(bind, single), axis=0), 1e-9)


@eqx.filter_jit
def _run(bind: Bind, spikes: Float[Array, "time *samples neuron"]) -> Float[Array, "time *samples neuron"]:
    rest = jnp.zeros((2, *spikes.shape[1:]), spikes.dtype)
    return jax.lax.scan(lambda state, now: bind(state, now), rest, spikes, unroll=UNROLL)[1]
