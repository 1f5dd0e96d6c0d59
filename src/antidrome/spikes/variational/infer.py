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
from antidrome.spikes.variational.posterior import AbstractPosterior, Draw, FactorisedPosterior
from antidrome.spikes.variational.problem import Problem, network_inputs

MOST_ROWS, MOST_DRAWN = 8, 2**23
"""Rows of a call, and steps times samples drawn in it, about 130 bytes each; a row that needs more is a call alone."""
SHORTEST = 256
FEWEST_SAMPLES = 16
"""That an autoregressive posterior is averaged over."""


class Inferred(NamedTuple):
    """Posterior of every step, (row, step): mean and SD of the count, probability of at least one spike.

    Samples (sample, row, step) if asked for; SD and probability of whole frames, (row, frame), whose steps depend on
    each other in an autoregressive posterior.
    """

    mean: np.ndarray
    sd: np.ndarray
    samples: np.ndarray | None
    probability: np.ndarray
    frame_sd: np.ndarray
    frame_probability: np.ndarray


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
        Samples to keep. The autoregressive posterior averages over as many, but over no fewer than
        `FEWEST_SAMPLES`; the factorised needs none for its mean.
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
    steps, n_drawn = config.superresolution, n_samples if exact else max(n_samples, FEWEST_SAMPLES)
    independent = exact or steps == 1

    @jax.jit
    def some_rows(
        posterior: AbstractPosterior, problem: Problem, trace: jax.Array, which: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, ...]:
        inputs = network_inputs(problem, trace, which)
        if exact and not keep_samples:
            logits = posterior.logits(inputs)
            return count_mean(logits), count_variance(logits), jax.nn.sigmoid(logits[..., 0])
        draw = posterior.draw(inputs, n_drawn, key=key)
        means = count_mean(draw.logits)
        variance = jnp.mean(count_variance(draw.logits), 1) + jnp.var(means, 1)
        some = jnp.mean(jax.nn.sigmoid(draw.logits[..., 0]), 1)
        of_frames = () if independent else _dependent(draw, steps)
        return jnp.mean(means, 1), variance, some, *of_frames, *([draw.spikes[:, :n_samples]] if keep_samples else [])

    keys = keys_of(seed, "spikes/infer", range(len(traces)) if names is None else names)
    of_a_row = length * steps * (1 if exact and not keep_samples else n_drawn)
    n_rows = max(1, min(MOST_ROWS, len(traces), MOST_DRAWN // max(1, of_a_row)))
    parts = []
    for i in range(0, len(traces), n_rows):
        rows = np.minimum(np.arange(i, i + n_rows), len(traces) - 1)
        out = some_rows(posterior, fitted.problem, padded[rows], cell[rows].astype(np.int32), keys[rows])
        parts.append([np.asarray(x)[..., : len(traces) - i] for x in out])
    joined = [np.concatenate(one, axis=-1) for one in zip(*parts, strict=True)]
    mean, variance, some = (one[: n_frames * steps].T for one in joined[:3])
    sd = np.sqrt(np.maximum(variance, 0))
    frame_sd, frame_some = np.sqrt(_frames(sd**2, steps).sum(axis=2)), 1 - (1 - _frames(some, steps)).prod(axis=2)
    if not independent:
        frame_variance, frame_some = (one[:n_frames].T for one in joined[3:5])
        frame_sd = np.sqrt(np.maximum(frame_variance, 0))
    samples = None
    if keep_samples:
        samples = np.moveaxis(joined[-1][: n_frames * steps], (0, 1, 2), (2, 0, 1)).astype(np.int16)
    return Inferred(mean, sd, samples, some, frame_sd, frame_some)


def _frames(x: np.ndarray, steps: int) -> np.ndarray:
    return x.reshape(len(x), -1, steps)


def _dependent(draw: Draw, steps: int) -> tuple[jax.Array, jax.Array]:
    """(frame, row) variance of the count and probability of a spike, where steps depend on the spikes before them.

    The variance of a frame's count is that of independent steps and that of their means, and what they covary with the
    counts before them in the frame. Means are taken about their own mean: counts less what was expected of them have
    mean 0, so that this takes nothing away but chance. The probability follows from the steps' hazards, each over the
    samples that are silent before (of the step before where none is any more); a count with this probability of a spike
    varies by p (1 − p) at least.
    """
    logits, counts = (x.reshape(-1, steps, *x.shape[1:]) for x in (draw.logits, draw.spikes))
    means = count_mean(logits)
    before, expected = (jnp.cumsum(x, 1) - x for x in (counts, means))
    centred = means - means.mean(2, keepdims=True)
    covariance = jnp.mean(jnp.sum(centred * (before - expected), 1), 1)
    spread = jnp.mean(jnp.sum(count_variance(logits), 1), 1) + jnp.var(jnp.sum(means, 1), 1)
    some, silent = jax.nn.sigmoid(logits[..., 0]), before == 0
    n_silent = jnp.sum(silent, 2)
    hazards = jnp.sum(some * silent, 2) / jnp.maximum(n_silent, 1)
    none, hazard = jnp.ones_like(hazards[:, 0]), hazards[:, 0]
    for step in range(steps):
        hazard = jnp.where(n_silent[:, step] > 0, hazards[:, step], hazard)
        none = none * (1 - hazard)
    probability = 1 - none
    return jnp.maximum(spread + 2 * covariance, probability * (1 - probability)), probability
