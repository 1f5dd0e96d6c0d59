"""Spikes of whole recordings from a fitted autoencoder, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.spikes.draws import keys_of
from antidrome.spikes.variational.calibration import Calibration, check_rows
from antidrome.spikes.variational.fit import Fit
from antidrome.spikes.variational.levels import count_mean, count_variance
from antidrome.spikes.variational.posterior import AbstractPosterior, FactorisedPosterior
from antidrome.spikes.variational.problem import Problem, network_inputs

ROWS_PER_CALL = 8
SHORTEST = 256


class Inferred(NamedTuple):
    """Posterior of every step, (row, step): mean and SD of the count, probability of at least one spike.

    Samples (sample, row, step) if asked for.
    """

    mean: np.ndarray
    sd: np.ndarray
    samples: np.ndarray | None
    probability: np.ndarray


def for_new_cells(fitted: Fit, calibration: Calibration) -> Fit:
    """The same network for other cells: it needs no more than their calibration; nothing is fitted.

    Generative parameters, rates and checks stay those of the fitted cells.
    """
    fields = ("amplitude", "decay_s", "baseline", "noise_sd")
    values = [jnp.asarray(getattr(calibration, name), jnp.float32) for name in fields]
    problem = eqx.tree_at(lambda p: [getattr(p, name) for name in fields], fitted.problem, values)
    return fitted._replace(problem=problem)


def infer(
    fitted: Fit,
    traces: np.ndarray,
    cell: np.ndarray | None = None,
    *,
    n_samples: int = 16,
    keep_samples: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Inferred:
    """Expected spikes of every step of every row.

    Parameters
    ----------
    traces
        (row, time) ΔF/F, NaN where missing.
    cell
        (row,) cell of each row in the fit.
    n_samples
        Samples that the autoregressive posterior averages over (the factorised needs none for its mean).
    keep_samples
        Return the samples too; those of the autoregressive posterior are joint over the whole row.
    names
        Of the rows: what is drawn for a row depends on the seed and on its name alone. By default their numbers.
    """
    traces, cell = check_rows(traces, cell)
    config, posterior = fitted.config.posterior, fitted.learned.posterior
    n_frames = traces.shape[1]
    length = max(SHORTEST, 1 << (n_frames - 1).bit_length())
    padded = np.pad(traces.astype(np.float32), ((0, 0), (0, length - n_frames)), constant_values=np.nan)
    exact = isinstance(posterior, FactorisedPosterior)

    @jax.jit
    def some_rows(
        posterior: AbstractPosterior, problem: Problem, trace: jax.Array, which: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, ...]:
        inputs = network_inputs(problem, trace, which)
        if exact and not keep_samples:
            logits = posterior.logits(inputs)
            return count_mean(logits), count_variance(logits), jax.nn.sigmoid(logits[..., 0]), jnp.zeros((0,))
        draw = posterior.draw(inputs, n_samples, key=key)
        means = count_mean(draw.logits)
        spread = jnp.mean(count_variance(draw.logits), 1) + jnp.var(means, 1)
        some = jnp.mean(jax.nn.sigmoid(draw.logits[..., 0]), 1)
        return jnp.mean(means, 1), spread, some, draw.spikes if keep_samples else jnp.zeros((0,))

    keys = keys_of(seed, "spikes/infer", range(len(traces)) if names is None else names)
    parts = []
    for i in range(0, len(traces), ROWS_PER_CALL):
        rows = np.minimum(np.arange(i, i + ROWS_PER_CALL), len(traces) - 1)
        out = some_rows(posterior, fitted.problem, padded[rows], cell[rows].astype(np.int32), keys[rows])
        parts.append([np.asarray(x)[..., : len(traces) - i] for x in out])
    kept = slice(0, n_frames * config.superresolution)
    mean, variance, some = (np.concatenate([part[j] for part in parts], axis=-1)[kept].T for j in (0, 1, 2))
    samples = None
    if keep_samples:
        joined = np.concatenate([part[3] for part in parts], axis=-1)[kept]
        samples = np.moveaxis(joined, (0, 1, 2), (2, 0, 1)).astype(np.int16)
    return Inferred(mean, np.sqrt(np.maximum(variance, 0)), samples, some)
