"""Evidence lower bound of a posterior over counts, for cells as they are described; needs no true spike."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.spikes.adaptation.cells import Cells, respond
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.draws import keys_of, split_in
from antidrome.spikes.drift import drift_frames, without_drift
from antidrome.spikes.variational.priors import poisson_log_prob

SAMPLES = 8


def evidence_bound(
    posterior: CountPosterior,
    traces: np.ndarray,
    cells: Cells,
    frame_rate_hz: float,
    seed: int,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """(neuron,) nats per observed frame; NaN where a cell's response is not known.

    log p(fluorescence | spikes) is Gaussian around the cell's response, free of drifts slower than 30 s; the prior on
    spikes is Poisson at the cell's rate. Eight samples of the posterior stand for its expectation.

    Parameters
    ----------
    posterior
        (neuron, time).
    traces
        (neuron, time) ΔF/F, NaN where missing.
    names
        Of the neurons: what is drawn for one depends on the seed and on its name alone.
    """
    observed = np.isfinite(traces)
    n_observed = np.maximum(observed.sum(axis=1), 1)
    width = drift_frames(frame_rate_hz)
    posterior = CountPosterior(jnp.asarray(posterior.logit), jnp.asarray(posterior.extra))
    expected = jnp.asarray(np.maximum(cells.rate_hz / frame_rate_hz, 1e-6), jnp.float32)[:, None]
    total = np.zeros(len(traces))
    keys = keys_of(seed, "spikes/adaptation-bound", range(SAMPLES))
    if names is not None:
        keys = split_in(keys_of(seed, "spikes/adaptation-bound", names), SAMPLES)
    for key in keys:
        spikes = _draw(posterior, key)
        ratio = np.where(observed, poisson_log_prob(spikes, expected) - posterior.log_prob(spikes), 0).sum(axis=1)
        calcium = respond(np.asarray(spikes, float), cells.decay_s, cells.rise_s, frame_rate_hz)
        residual = np.where(observed, traces - cells.amplitude[:, None] * calcium - cells.baseline[:, None], 0)
        square = np.where(observed, residual * without_drift(residual, width), 0).sum(axis=1) / cells.noise_sd**2
        total += ratio - 0.5 * square
    return total / SAMPLES / n_observed - np.log(cells.noise_sd) - 0.5 * np.log(2 * np.pi)


def _draw(posterior: CountPosterior, key: jax.Array) -> jax.Array:
    if not key.ndim:
        return posterior.sample(key, 1)[0]
    return jax.vmap(lambda logit, extra, own: CountPosterior(logit, extra).sample(own, 1)[0])(*posterior, key)
