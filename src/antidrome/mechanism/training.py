"""Training of a density network: the whole loop, epochs and early stopping, in one compiled call.

Arrays are padded to a capacity that is fixed for all rounds and the number of simulations is an ordinary argument, so
that what was compiled in the first round serves the others. Minibatches are drawn on the device.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from antidrome.errors import InputError, TrainingError
from antidrome.mechanism.densities.bayesian import divergence_between, divergence_from_ridge, linear_layers
from antidrome.mechanism.densities.network import DensityNetwork
from antidrome.mechanism.training_data import TrainingData

Loss = Literal["direct", "atomic"]
MOST_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a density network is trained.

    Parameters
    ----------
    epochs
        Passes over the simulations, at most.
    batch
        Simulations in a minibatch; more where there are very many (`for_simulations`).
    learning_rate
        Of Adam.
    clip
        Largest norm of a gradient.
    validation
        Share of the simulations that decide when to stop; 0 trains for all epochs, the learning rate falling to 0
        along a cosine.
    patience
        Epochs without improvement before the learning rate drops, and at last training stops.
    drops
        How often the learning rate drops (to 30 %), each time from the best weights so far.
    atoms
        Parameter sets that each simulation is told from, in the atomic loss.
    """

    epochs: int = 500
    batch: int = 100
    learning_rate: float = 2e-3
    clip: float = 5.0
    validation: float = 0.1
    patience: int = 15
    drops: int = 1
    atoms: int = 10

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.patience) < 1 or self.atoms < 2 or self.drops < 0:
            raise InputError(f"{self}: epochs, batch and patience need to be positive, atoms at least 2.")
        if not (self.learning_rate > 0 and self.clip > 0 and 0 <= self.validation < 0.9):
            raise InputError(f"{self}: learning_rate and clip need to be positive, validation in [0, 0.9).")

    def for_simulations(self, n: int) -> TrainingSettings:
        """With minibatches that are doubled until an epoch has no more than about `MOST_STEPS` steps."""
        doublings = max(0, round(math.log2(max(n, 1) / (MOST_STEPS * self.batch))))
        return dataclasses.replace(self, batch=self.batch * 2**doublings)


class TrainingResult(NamedTuple):
    """The trained network, its best validation loss (the last training loss without validation), and the curves."""

    network: DensityNetwork
    loss: float
    training_curve: np.ndarray
    validation_curve: np.ndarray


class _Carry(NamedTuple):
    """The state of training; all weights in one row, so that every update is one operation."""

    arrays: Float[Array, " P"]
    optimiser: PyTree
    best: Float[Array, " P"]
    best_loss: Array
    waited: Array
    drops: Array
    epoch: Array
    training_curve: Array
    validation_curve: Array


class _Hold(NamedTuple):
    """What Bayesian weights are held to: those of the round before, where there was one, else N(0, 1/λ)."""

    before: PyTree
    there_is_one: Array
    factor: Array
    prior_precision: Array


def train_density(
    network: DensityNetwork,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    key: PRNGKeyArray,
    loss: Loss = "direct",
    before: DensityNetwork | None = None,
    divergence: float = 1.0,
    prior_precision: float = 0.01,
    brief: bool = False,
) -> TrainingResult:
    """Minimise the weighted negative log density (SNPE-B, eq. 5 of Lueckmann et al. 2017), or the atomic loss.

    Parameters
    ----------
    network
        Where to start; Bayesian weights are sampled and their divergence is part of the loss.
    before
        The network of the round before, to which the divergence is measured; without it, to N(0, 1/λ).
    divergence
        Factor on the divergence (tempering).
    prior_precision
        λ.
    brief
        Wait half as long for improvement, and stop at the first drop of the learning rate: for rounds whose only
        use is the next proposal.

    Raises
    ------
    TrainingError
        No epoch had a finite loss.
    """
    arrays, static = eqx.partition(network, eqx.is_inexact_array)
    hold = _Hold(
        arrays if before is None else eqx.filter(before, eqx.is_inexact_array),
        jnp.asarray(before is not None),
        jnp.asarray(divergence, jnp.float32),
        jnp.asarray(prior_precision, jnp.float32),
    )
    best, carry = _train(
        arrays,
        hold,
        data,
        key,
        jnp.asarray(max(3, settings.patience // 2) if brief else settings.patience, jnp.int32),
        jnp.asarray(0 if brief else settings.drops, jnp.int32),
        static,
        settings,
        loss,
    )
    epochs = int(carry.epoch)
    result = TrainingResult(
        eqx.combine(best, static),
        float(carry.best_loss),
        np.asarray(carry.training_curve)[:epochs],
        np.asarray(carry.validation_curve)[:epochs],
    )
    if not np.isfinite(result.loss):
        raise TrainingError(
            f"The loss was not finite in any of {epochs} epochs. Lower the learning rate, or look for extreme values in"
            " the simulated features."
        )
    return result


@eqx.filter_jit
def _train(
    arrays: PyTree,
    hold: _Hold,
    data: TrainingData,
    key: PRNGKeyArray,
    patience: Array,
    most_drops: Array,
    static: PyTree,
    settings: TrainingSettings,
    loss: Loss,
) -> tuple[PyTree, _Carry]:
    flat, restored = ravel_pytree(arrays)
    optimiser = optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(settings.learning_rate))
    bayesian = bool(linear_layers(eqx.combine(arrays, static)))
    batch_loss = functools.partial(_LOSSES[loss], static=static, settings=settings)

    def objective(parameters: PyTree, rows: Array, counted: Array, key: PRNGKeyArray) -> Array:
        value = batch_loss(parameters, _batch(data, rows, counted), key, sampled=bayesian) / settings.batch
        return value + _divergence(parameters, static, hold) / data.effective if bayesian else value

    def epoch(carry: _Carry) -> _Carry:
        epoch_key = jax.random.fold_in(key, carry.epoch)
        order = shuffled(data.training, data.n_training, jax.random.fold_in(epoch_key, 0))
        rate = 0.3**carry.drops
        if settings.validation == 0:
            rate = rate * 0.5 * (1 + jnp.cos(jnp.pi * carry.epoch / settings.epochs))
        n_batches = -(-data.n_training // settings.batch)

        def step(i: Array | int, state: tuple) -> tuple:
            parameters, memory, total = state
            positions = i * settings.batch + jnp.arange(settings.batch)
            rows = order[positions % data.n_training]
            counted = (positions < data.n_training).astype(jnp.float32)
            step_key = jax.random.fold_in(epoch_key, i + 1)
            value, gradient = jax.value_and_grad(objective)(restored(parameters), rows, counted, step_key)
            change, memory = optimiser.update(ravel_pytree(gradient)[0], memory)
            return parameters + rate * change, memory, total + value

        start = (carry.arrays, carry.optimiser, jnp.zeros(()))
        parameters, memory, total = jax.lax.fori_loop(0, n_batches, step, start)
        training_loss = total * settings.batch / data.n_training
        judged = _evaluate(restored(parameters), data, batch_loss, settings, key)
        judged = jnp.where(data.n_validation > 0, judged, training_loss)
        return _judge(carry, parameters, memory, training_loss, judged, patience, data.n_validation > 0)

    def unfinished(carry: _Carry) -> Array:
        alive = jnp.where(data.n_validation > 0, carry.drops <= most_drops, True)
        return (carry.epoch < settings.epochs) & alive

    empty = jnp.full(settings.epochs, jnp.nan)
    zero = jnp.zeros((), jnp.int32)
    start = _Carry(flat, optimiser.init(flat), flat, jnp.asarray(jnp.inf), zero, zero, zero, empty, empty)
    carry = jax.lax.while_loop(unfinished, epoch, start)
    return restored(carry.best), carry


def _divergence(parameters: PyTree, static: PyTree, hold: _Hold) -> Array:
    """Of Bayesian weights from what they are held to."""
    network, before = eqx.combine(parameters, static), eqx.combine(hold.before, static)
    ridge = divergence_from_ridge(network, hold.prior_precision)
    return jnp.where(hold.there_is_one, hold.factor * divergence_between(network, before), ridge)


class _Batch(NamedTuple):
    u: Array
    x: Array
    weights: Array
    log_prior: Array
    data: TrainingData


def _batch(data: TrainingData, rows: Array, counted: Array) -> _Batch:
    """Rows of the simulations, of which those that are counted (1, else 0) enter the loss."""
    return _Batch(data.u[rows], data.x[rows], data.weights[rows] * counted, data.log_prior[rows], data)


def _direct_loss(
    parameters: PyTree, batch: _Batch, key: PRNGKeyArray, *, static: PyTree, settings: TrainingSettings, sampled: bool
) -> Array:
    """Σ w (−log q(u|x))."""
    network = eqx.combine(parameters, static)
    context = network.condition(batch.x, key if sampled else None)
    return -jnp.sum(batch.weights * network.log_prob(batch.u, context))


def _atomic_loss(
    parameters: PyTree, batch: _Batch, key: PRNGKeyArray, *, static: PyTree, settings: TrainingSettings, sampled: bool
) -> Array:
    """Σ w (−log of the share that the true parameters have among atoms) (Greenberg, Nonnenmacher & Macke 2019).

    Atoms are the parameters of all simulations, those that failed in their share: were they of those alone that
    succeeded, the chance to succeed would cancel, although it is part of the likelihood of what was observed.
    """
    network = eqx.combine(parameters, static)
    shift_key, weight_key = jax.random.split(key)
    context = network.condition(batch.x, weight_key if sampled else None)
    n = batch.u.shape[0]
    shifts = jax.random.permutation(shift_key, jnp.arange(1, n))[: settings.atoms - 1]
    shifts = jnp.concatenate([jnp.zeros(1, shifts.dtype), shifts])

    def ratio(shift: Array) -> Array:
        u, log_prior = jnp.roll(batch.u, shift, axis=0), jnp.roll(batch.log_prior, shift)
        row, failed = _failed_atoms(batch.data, n, jax.random.fold_in(shift_key, shift))
        failed = failed & (shift > 0)
        u = jnp.where(failed[:, None], batch.data.u[row], u)
        return network.log_prob(u, context) - jnp.where(failed, batch.data.log_prior[row], log_prior)

    ratios = jax.lax.map(ratio, shifts)
    return -jnp.sum(batch.weights * (ratios[0] - jax.scipy.special.logsumexp(ratios, axis=0)))


def _failed_atoms(data: TrainingData, n: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Rows (n,) of simulations that failed, and which of `n` atoms they are, as often as simulations fail."""
    which, whether = jax.random.split(key)
    row = data.failed[jax.random.randint(which, (n,), 0, jnp.maximum(data.n_failed, 1))]
    share = data.n_failed / (data.n_failed + data.n_training + data.n_validation)
    return row, jax.random.uniform(whether, (n,)) < share


_LOSSES = {"direct": _direct_loss, "atomic": _atomic_loss}


def _evaluate(parameters: PyTree, data: TrainingData, batch_loss: Any, settings: TrainingSettings, key: Array) -> Array:
    """Weighted mean loss over the validation rows, with mean weights."""
    size = max(settings.batch, 256)

    def block(i: Array | int, total: Array) -> Array:
        positions = i * size + jnp.arange(size)
        rows = data.validation[positions % jnp.maximum(data.n_validation, 1)]
        counted = (positions < data.n_validation).astype(jnp.float32)
        return total + batch_loss(parameters, _batch(data, rows, counted), jax.random.fold_in(key, i), sampled=False)

    total = jax.lax.fori_loop(0, -(-data.n_validation // size), block, jnp.zeros(()))
    return total / jnp.maximum(data.n_validation, 1)


def _judge(
    carry: _Carry,
    parameters: Float[Array, " P"],
    memory: PyTree,
    training_loss: Array,
    judged: Array,
    patience: Array,
    stopping: Array,
) -> _Carry:
    """Keep the weights if they are the best (the last, without validation); drop the rate after too long a wait."""
    finite = jnp.isfinite(judged) & jnp.isfinite(training_loss)
    better = finite & jnp.where(stopping, judged < carry.best_loss, True)
    best = jnp.where(better, parameters, carry.best)
    waited = jnp.where(better, 0, carry.waited + 1)
    drop = (stopping & (waited >= patience)) | ~finite
    return _Carry(
        jnp.where(drop, best, parameters),
        jax.tree.map(lambda new, old: jnp.where(finite, new, old), memory, carry.optimiser),
        best,
        jnp.where(better, judged, carry.best_loss),
        jnp.where(drop, 0, waited),
        carry.drops + drop,
        carry.epoch + 1,
        carry.training_curve.at[carry.epoch].set(training_loss),
        carry.validation_curve.at[carry.epoch].set(judged),
    )


def shuffled(rows: Array, n: Array, key: PRNGKeyArray) -> Array:
    """The first n entries of `rows` in random order; the padding stays behind them.

    Positions are the lower bits of random numbers: plain numbers are sorted several times as fast as pairs.
    """
    position = jnp.arange(rows.shape[0], dtype=jnp.uint32)
    lower = jnp.uint32((1 << (rows.shape[0] - 1).bit_length()) - 1)
    upper = jnp.where(position < n, jax.random.bits(key, rows.shape), ~jnp.uint32(0)) & ~lower
    return rows[jax.lax.sort(upper | position, is_stable=False) & lower]
