"""The two-sample test of the simulation-based inference benchmark, its five folds trained at once.

The benchmark's classifier is scikit-learn's `MLPClassifier` with two layers of 10·d rectified units and its defaults:
Adam (10⁻³), minibatches of 200, a ridge of 10⁻⁴, Glorot's initialisation, and an end when the loss has not fallen by
10⁻⁴ in ten epochs. This is the same, compiled; `scikit_learn` is the original, to compare with.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

FOLDS, BATCH, RATE, RIDGE, TOLERANCE, PATIENCE, MOST_EPOCHS = 5, 200, 1e-3, 1e-4, 1e-4, 10, 1000


def pooled(reference: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets (n, d), z-scored by the reference, and their labels (2n,)."""
    n = min(len(reference), len(samples))
    both = np.concatenate([reference[:n], samples[:n]])
    both = (both - reference.mean(axis=0)) / reference.std(axis=0)
    return both.astype(np.float32), np.repeat([0, 1], n)


def scikit_learn(reference: np.ndarray, samples: np.ndarray, seed: int) -> float:
    """Cross-validated accuracy of the original classifier."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    both, labels = pooled(reference, samples)
    d = both.shape[1]
    classifier = MLPClassifier((10 * d, 10 * d), max_iter=MOST_EPOCHS, random_state=seed + 1)
    folds = KFold(FOLDS, shuffle=True, random_state=seed + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(cross_val_score(classifier, both, labels, cv=folds, scoring="accuracy").mean())


def c2st(reference: np.ndarray, samples: np.ndarray, seed: int) -> float:
    """Cross-validated accuracy of telling `samples` from `reference` (both (n, d)): 0.5 if they are alike."""
    import jax
    import jax.numpy as jnp
    from sklearn.model_selection import KFold

    both, labels = pooled(reference, samples)
    splits = list(KFold(FOLDS, shuffle=True, random_state=seed + 1).split(both))
    shortest = min(len(train) for train, _ in splits)
    train = jnp.asarray(np.stack([train[:shortest] for train, _ in splits]))
    keys = jax.random.split(jax.random.key(seed), FOLDS)
    weights = _trainer()(jnp.asarray(both), jnp.asarray(labels, jnp.float32), train, keys)
    accuracies = []
    for fold, (_, test) in enumerate(splits):
        logit = _logit([(np.asarray(w[fold]), np.asarray(b[fold])) for w, b in weights], both[test])
        accuracies.append(np.mean((logit > 0) == labels[test]))
    return float(np.mean(accuracies))


def _logit(weights: Any, x: Any) -> Any:
    for w, b in weights[:-1]:
        x = (x @ w + b).clip(0)
    return (x @ weights[-1][0] + weights[-1][1])[:, 0]


@functools.cache
def _trainer() -> Any:
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = optax.adam(RATE)

    def start(d: int, key: Any) -> list[Any]:
        weights = []
        for n_in, n_out in ((d, 10 * d), (10 * d, 10 * d), (10 * d, 1)):
            key, first, second = jax.random.split(key, 3)
            bound = np.sqrt(6 / (n_in + n_out))
            w = jax.random.uniform(first, (n_in, n_out), minval=-bound, maxval=bound)
            weights.append((w, jax.random.uniform(second, (n_out,), minval=-bound, maxval=bound)))
        return weights

    def loss(weights: Any, x: Any, y: Any) -> Any:
        ridge = sum(jnp.sum(jnp.square(w)) for w, _ in weights)
        return jnp.mean(optax.sigmoid_binary_cross_entropy(_logit(weights, x), y)) + 0.5 * RIDGE * ridge / BATCH

    def one_fold(both: Any, labels: Any, rows: Any, key: Any) -> Any:
        steps = len(rows) // BATCH
        weights = start(both.shape[1], key)

        def epoch(carry: Any) -> Any:
            weights, memory, best, waited, number = carry
            order = jax.random.permutation(jax.random.fold_in(key, number), rows)

            def step(i: Any, state: Any) -> Any:
                weights, memory, total = state
                chosen = jax.lax.dynamic_slice_in_dim(order, i * BATCH, BATCH)
                value, gradient = jax.value_and_grad(loss)(weights, both[chosen], labels[chosen])
                change, memory = optimiser.update(gradient, memory)
                return optax.apply_updates(weights, change), memory, total + value / steps

            weights, memory, total = jax.lax.fori_loop(0, steps, step, (weights, memory, 0.0))
            waited = jnp.where(total > best - TOLERANCE, waited + 1, 0)
            return weights, memory, jnp.minimum(best, total), waited, number + 1

        def unfinished(carry: Any) -> Any:
            return (carry[3] <= PATIENCE) & (carry[4] < MOST_EPOCHS)

        first = (weights, optimiser.init(weights), jnp.inf, 0, 0)
        return jax.lax.while_loop(unfinished, epoch, first)[0]

    return jax.jit(jax.vmap(one_fold, in_axes=(None, None, 0, 0)))
