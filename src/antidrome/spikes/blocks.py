"""Inference on one block of neurons: from traces to every array of the result; pure, for any executor."""

from __future__ import annotations

import jax
import numpy as np

from antidrome.core.seeds import jax_key
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.inference import SummaryPrior, infer_counts
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.response import Response, fit_response
from antidrome.spikes.results import arrays_of_block, unusable


def infer_block(
    network: RecognitionNetwork,
    traces: np.ndarray,
    labels: np.ndarray,
    frame_rate_hz: float,
    grid: FrameGrid,
    n_samples: int,
    seed: int,
    prior: SummaryPrior | None,
) -> dict[str, np.ndarray]:
    """Arrays of the result for one block, the neuron axis last.

    Parameters
    ----------
    traces
        (neuron, frame) ΔF/F, NaN where missing.
    labels
        (neuron,) names; each neuron's samples depend on the seed and its own name only.
    grid
        Where the frames lie on the regular grid.
    n_samples
        Posterior samples to draw.
    prior
        What is known of the preparation.
    """
    traces = np.asarray(traces, np.float32)
    useless = unusable(traces)
    spread = grid.spread(np.where(useless[:, None], np.float32(0), traces))
    posterior = infer_counts(network, spread, frame_rate_hz, prior)
    mean = np.asarray(posterior.mean)
    response = fit_response(spread, mean, frame_rate_hz)
    response = Response(*(np.where(useless, np.nan, values) for values in response))

    def frames(values: jax.Array | np.ndarray) -> np.ndarray:
        return np.where(useless[:, None], np.nan, grid.gather(np.asarray(values))).astype(np.float32).T

    sd = np.sqrt(posterior.variance)
    out = arrays_of_block(frames(mean), frames(sd), frames(posterior.probability), response, frame_rate_hz)
    if n_samples:
        recorded = CountPosterior(grid.gather(posterior.logit), grid.gather(posterior.extra))
        out["samples"] = _draw(recorded, labels, n_samples, seed)
    return out


def _draw(posterior: CountPosterior, labels: np.ndarray, n_samples: int, seed: int) -> np.ndarray:
    """(sample, frame, neuron) int16 counts; more than it holds, as artefacts give, are the most that it holds."""
    most = np.iinfo(np.int16).max
    drawn = [
        CountPosterior(logit, np.minimum(extra, 2 * most)).sample(jax_key(seed, f"spikes/samples/{name}"), n_samples)
        for logit, extra, name in zip(posterior.logit, posterior.extra, labels, strict=True)
    ]
    return np.stack([np.minimum(np.asarray(d), most).astype(np.int16) for d in drawn], axis=-1)
