"""The classifier of failing simulations: g(θ), the probability that a simulation at θ fails (Lueckmann et al. 2017).

It thins the proposal: a parameter set is kept with probability 1 − g(θ), so fewer simulations are wasted; the thinned
density enters the importance weights. The paper's submission used a logistic regression; a boundary such as that of
the autapse (two quadrants) needs a network.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from antidrome.core.seeds import jax_key

HIDDEN = 32
STEPS = 600
SMALLEST_KEEP = 0.02
"""However certain the classifier, this share is simulated, so that no weight explodes and it can be proved wrong."""
SMALLEST_COUNT = 5
"""Failures and successes that are needed before anything can be learned from them."""


@dataclasses.dataclass(frozen=True)
class FailureClassifier:
    """Two tanh layers and a logistic output, on unconstrained coordinates; evaluated in double precision.

    Parameters
    ----------
    arrays
        Weights and biases by name.
    """

    arrays: dict[str, np.ndarray]

    def log_keep(self, u: np.ndarray) -> np.ndarray:
        """log of the probability (n,) that a proposed point (n, D) is kept: 1 − g, at least SMALLEST_KEEP."""
        hidden = np.tanh(np.asarray(u, float) @ self.arrays["w0"] + self.arrays["b0"])
        hidden = np.tanh(hidden @ self.arrays["w1"] + self.arrays["b1"])
        logit = (hidden @ self.arrays["w2"] + self.arrays["b2"])[:, 0]
        return np.log(np.maximum(1 / (1 + np.exp(np.clip(logit, -60, 60))), SMALLEST_KEEP))


def train_failure_classifier(
    u: np.ndarray, failed: np.ndarray, *, seed: int, capacity: int
) -> FailureClassifier | None:
    """Learn g from all simulations so far; None when there are too few failures or successes to learn from.

    Parameters
    ----------
    u
        Unconstrained coordinates, (n, D).
    failed
        (n,) bool.
    capacity
        Rows to pad to, so that all rounds share one compilation.
    """
    if min(failed.sum(), (~failed).sum()) < SMALLEST_COUNT:
        return None
    d = u.shape[1]
    points, labels, counted = np.zeros((capacity, d), np.float32), np.zeros(capacity, np.float32), np.zeros(capacity)
    points[: len(u)], labels[: len(u)], counted[: len(u)] = u, failed, 1 / len(u)
    keys = jax.random.split(jax_key(seed, "mechanism/failures"), 3)
    sizes = [(d, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]
    start = {}
    for i, (key, (a, b)) in enumerate(zip(keys, sizes, strict=True)):
        start[f"w{i}"] = jax.random.normal(key, (a, b)) / jnp.sqrt(a)
        start[f"b{i}"] = jnp.zeros(b)
    arrays = _fit(start, points, labels, counted.astype(np.float32))
    return FailureClassifier({name: np.asarray(value, float) for name, value in arrays.items()})


@functools.partial(jax.jit)
def _fit(start: dict, points: jax.Array, labels: jax.Array, counted: jax.Array) -> dict:
    optimiser = optax.adam(optax.cosine_decay_schedule(0.02, STEPS))

    def loss(arrays: dict) -> jax.Array:
        hidden = jnp.tanh(jnp.tanh(points @ arrays["w0"] + arrays["b0"]) @ arrays["w1"] + arrays["b1"])
        logit = (hidden @ arrays["w2"] + arrays["b2"])[:, 0]
        ridge = sum(jnp.sum(jnp.square(arrays[name])) for name in ("w0", "w1", "w2"))
        return jnp.sum(counted * optax.sigmoid_binary_cross_entropy(logit, labels)) + 1e-4 * ridge

    def step(_: jax.Array | int, state: tuple) -> tuple:
        arrays, memory = state
        change, memory = optimiser.update(jax.grad(loss)(arrays), memory, arrays)
        return optax.apply_updates(arrays, change), memory

    return jax.lax.fori_loop(0, STEPS, step, (start, optimiser.init(start)))[0]
