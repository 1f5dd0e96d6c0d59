"""Random numbers from one key, or from one for each row, so that a row's draws depend on nothing but its own key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from antidrome.core.seeds import jax_keys

OneOrEach = Key[Array, "*one_or_each"]


def keys_of(seed: int, name: str, rows: Sequence[object]) -> Key[Array, " row"]:
    """One key for each of the rows, after its own name."""
    return jax_keys(seed, [f"{name}/{row}" for row in rows])


def split_in(key: OneOrEach, n: int) -> tuple[OneOrEach, ...]:
    """So many keys from one; from one for each row, so many for each row."""
    parts = (
        jax.random.split(key, n) if not key.ndim else jax.vmap(lambda own: jax.random.split(own, n), out_axes=1)(key)
    )
    return tuple(parts)


def draw_rows(
    sampler: Callable[..., Array], key: OneOrEach, shape: tuple[int, ...], dtype: jnp.dtype, *, axis: int
) -> Float[Array, "..."]:
    """Numbers of a sampler of `jax.random`; with one key for each row, along the axis of the rows."""
    if not key.ndim:
        return sampler(key, shape, dtype)
    of_one = shape[:axis] + shape[axis + 1 :]
    return jax.vmap(lambda own: sampler(own, of_one, dtype), out_axes=axis)(key)
