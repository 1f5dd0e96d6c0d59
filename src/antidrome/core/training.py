"""The training loop: minibatches, AdamW, averaged weights, early stopping, resume.

The loop is a pure function of (loss, parameters, data, configuration): minibatch k depends on the seed and on k alone,
so a run that was killed and resumed ends bit for bit where an uninterrupted one does. What must survive is in
`TrainingState`, what is worth looking at in `TrainingHistory`. Density networks, which train for seconds and many times
over, have a loop that is compiled as a whole instead (`mechanism.training`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from antidrome.core.checkpoint import Checkpoint
from antidrome.core.configuration import to_dict
from antidrome.core.hashing import hash_arrays
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import generator, jax_key
from antidrome.core.whole import whole_number
from antidrome.errors import TrainingError

Loss = Callable[[PyTree, PyTree, PRNGKeyArray], Array]
"""(parameters, batch, key) → scalar loss."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train.

    Parameters
    ----------
    steps
        Gradient steps at most.
    batch
        Samples in a minibatch.
    learning_rate
        Peak, reached after `warmup` steps, then a cosine down to `final_share` of it.
    final_share
        Last learning rate over the peak. 1 keeps it constant: the averaged weights then lie in a wider minimum
        (stochastic weight averaging, Izmailov et al. 2018).
    warmup
        Steps of linear rise.
    clip
        Largest norm of the gradient.
    weight_decay
        Of AdamW.
    averaging
        Decay of the exponential moving average of the weights, which is what is evaluated and returned.
    evaluate_every
        Steps between evaluations on the held-out samples (and between checkpoints).
    patience
        Evaluations without improvement after which training stops; 0 never stops early.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 2e-3
    final_share: float = 0.01
    warmup: int = 50
    clip: float = 1.0
    weight_decay: float = 1e-3
    averaging: float = 0.998
    evaluate_every: int = 200
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "evaluate_every"):
            whole_number(name, getattr(self, name), 1)


class TrainingState(NamedTuple):
    """All that is needed to go on."""

    parameters: PyTree
    average: PyTree
    optimiser: PyTree
    step: Array
    best: PyTree
    best_loss: Array
    waited: Array


@dataclass
class TrainingHistory:
    """What was seen on the way: one row an evaluation."""

    step: list[int] = field(default_factory=list)
    training_loss: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)


class TrainingResult(NamedTuple):
    """Best parameters (moving average, at the lowest held-out loss), its loss, and the history."""

    parameters: PyTree
    held_out_loss: float
    history: TrainingHistory


def train(
    loss: Loss,
    parameters: PyTree,
    data: Sequence[np.ndarray],
    config: TrainingConfig,
    *,
    held_out: Sequence[np.ndarray],
    seed: int,
    weights: np.ndarray | None = None,
    settings: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: bool = True,
    name: str = "training",
) -> TrainingResult:
    """Minimise `loss` over `parameters`.

    Parameters
    ----------
    loss
        Pure function (parameters, batch, key) → scalar; a batch has the structure of `data`. Arrays that it needs
        besides are bound by `equinox.Partial`: they are arguments of what is compiled, so that a training with other
        values finds it in the cache on disk, which it does not where they are constants of a closure.
    parameters
        Pytree of arrays (an Equinox module works; other leaves are kept as they are).
    data, held_out
        Named tuples (or sequences) of arrays with one row a sample.
    weights
        Relative probability of each sample; all equal when not given.
    settings
        What else the loss depends on, ready for JSON: a checkpoint is continued only where it is the same.
    told
        What data, weights and start are made from, ready for JSON: by this a checkpoint is known instead of by their
        bytes, where they are computed, and another processor would differ in the last ones.
    checkpoint
        File to which the state is written at every evaluation and from which the run goes on.

    Raises
    ------
    ResumeError
        The checkpoint belongs to another configuration, another loss or start, or other data.
    TrainingError
        The loss became non-finite; a checkpoint keeps the best state before it.
    """
    arrays, static = eqx.partition(parameters, eqx.is_inexact_array)
    arrays = jax.tree.map(lambda x: x.astype(x.dtype), arrays)  # weak types, which a step makes strong, compile twice
    optimiser = _optimiser(config)
    state = TrainingState(
        arrays, arrays, optimiser.init(arrays), jnp.array(0), arrays, jnp.array(jnp.inf), jnp.array(0)
    )
    history = TrainingHistory()
    store = None
    if checkpoint is not None:
        identity = {"config": to_dict(config), "settings": dict(settings or {}), "seed": seed, "name": name}
        exact = {"data": data, "held-out data": held_out, "start": jax.tree.leaves(arrays)}
        exact["weights"] = [] if weights is None else [weights]
        identity |= {name: _hash(one) for name, one in exact.items()} if told is None else told
        store = Checkpoint(checkpoint, identity)
        state, history = store.restore(state, history)
    update, evaluate = _compile(loss, static, optimiser, config)
    with show_progress(name, config.steps, unit="steps", enabled=progress) as bar:
        bar.advance(int(state.step))
        while int(state.step) < config.steps and not (config.patience and int(state.waited) >= config.patience):
            until = min(config.steps, int(state.step) + config.evaluate_every)
            state, training_loss = _advance(state, update, data, weights, config, seed, until, bar.advance)
            state = _judge(state, evaluate(state.average, held_out), training_loss, history)
            bar.advance(0, figure=f"loss {history.held_out_loss[-1]:.4f}")
            if store is not None:
                store.save(state, history)
    return TrainingResult(eqx.combine(state.best, static), float(state.best_loss), history)


def _advance(
    state: TrainingState,
    update: Callable,
    data: Sequence[np.ndarray],
    weights: np.ndarray | None,
    config: TrainingConfig,
    seed: int,
    until: int,
    tick: Callable[[int], Any],
) -> tuple[TrainingState, float]:
    """Gradient steps up to step `until`; returns the new state and the mean loss over them."""
    chances = None if weights is None else np.cumsum(weights, dtype=float) / np.sum(weights, dtype=float)
    losses = []
    for step in range(int(state.step), until):
        draw = generator(seed, f"minibatch/{step}")
        rows = (
            draw.integers(0, len(data[0]), config.batch)
            if chances is None
            else np.searchsorted(chances, draw.random(config.batch), side="right")
        )
        state, value = update(state, _rows(data, rows), jax_key(seed, f"loss/{step}"))
        losses.append(value)
        tick(1)
    mean = float(np.mean([float(x) for x in losses]))
    if not np.isfinite(mean):
        raise TrainingError(
            f"The training loss became {mean} between steps {until - len(losses)} and {until}. Lower the learning"
            " rate or look for extreme values in the data."
        )
    return state, mean


def _judge(state: TrainingState, held_out_loss: float, training_loss: float, history: TrainingHistory) -> TrainingState:
    """Record an evaluation; keep the averaged weights if they are the best so far."""
    if not np.isfinite(held_out_loss):
        raise TrainingError(
            f"The held-out loss became {held_out_loss} at step {int(state.step)}. Look for extreme values in"
            " the held-out data, or lower the learning rate."
        )
    history.step.append(int(state.step))
    history.training_loss.append(training_loss)
    history.held_out_loss.append(held_out_loss)
    if held_out_loss < float(state.best_loss):
        return state._replace(best=state.average, best_loss=jnp.array(held_out_loss), waited=jnp.array(0))
    return state._replace(waited=state.waited + 1)


def _compile(loss: Loss, static: PyTree, optimiser: optax.GradientTransformation, config: TrainingConfig):
    """The jitted gradient step and the held-out evaluation."""
    bound, form = eqx.partition(loss, eqx.is_array)

    def value_of(arrays: PyTree, batch: PyTree, key: PRNGKeyArray, bound: PyTree) -> Array:
        return eqx.combine(bound, form)(eqx.combine(arrays, static), batch, key)

    @jax.jit
    def step(state: TrainingState, batch: PyTree, key: PRNGKeyArray, bound: PyTree) -> tuple[TrainingState, Array]:
        value, gradient = jax.value_and_grad(value_of)(state.parameters, batch, key, bound)
        change, memory = optimiser.update(gradient, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, change)
        decay = jnp.minimum(config.averaging, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(
            lambda a, p: decay.astype(p.dtype) * a + (1 - decay).astype(p.dtype) * p, state.average, parameters
        )
        return state._replace(parameters=parameters, average=average, optimiser=memory, step=state.step + 1), value

    score = jax.jit(value_of)

    def update(state: TrainingState, batch: PyTree, key: PRNGKeyArray) -> tuple[TrainingState, Array]:
        return step(state, batch, key, bound)

    def evaluate(arrays: PyTree, held_out: Sequence[np.ndarray]) -> float:
        n = max(1, len(held_out[0]) // config.batch)
        size = min(config.batch, len(held_out[0]))
        lots = (_rows(held_out, np.arange(i * size, (i + 1) * size)) for i in range(n))
        return float(np.mean([float(score(arrays, lot, jax.random.key(0), bound)) for lot in lots]))

    return update, evaluate


def _optimiser(config: TrainingConfig) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(
        0.0,
        config.learning_rate,
        min(config.warmup, config.steps // 2),
        config.steps,
        config.learning_rate * config.final_share,
    )
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adamw(schedule, weight_decay=config.weight_decay))


def _rows(data: Any, rows: np.ndarray) -> Any:
    """The given rows of every array, in a named tuple where the data are one."""
    taken = [np.asarray(a[rows]) for a in data]
    return data._make(taken) if hasattr(data, "_make") else tuple(taken)


def _hash(arrays: Sequence[Any]) -> str:
    return hash_arrays({str(i): a for i, a in enumerate(arrays)})
