"""A few careful steps of the shipped network on simulations of the user's own cells, kept only where they help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d

from antidrome.core.configuration import to_dict
from antidrome.core.hashing import hash_arrays
from antidrome.core.seeds import generator
from antidrome.core.training import TrainingConfig, TrainingHistory, train
from antidrome.errors import InputError
from antidrome.spikes.adaptation.bound import evidence_bound
from antidrome.spikes.adaptation.cells import Cells
from antidrome.spikes.adaptation.config import AdaptationConfig
from antidrome.spikes.adaptation.lots import Lot, Recorded, gather, shared_summary
from antidrome.spikes.adaptation.matched import Examples, MakeModel
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.generative.describing import describe_model
from antidrome.spikes.inference import SummaryPrior, infer_counts
from antidrome.spikes.metrics import correlation
from antidrome.spikes.objective import supervised_loss
from antidrome.spikes.recognition import RecognitionNetwork

JUDGED_S = 0.02
COUNT_RANGE = (0.5, 2.0)
STAGES = 2
LARGEST_SHIFT_S = 0.005


class Adaptation(NamedTuple):
    """What came of it.

    Parameters
    ----------
    network
        The adapted network, or the start where nothing better was found.
    mixture
        How far it went: 0 is the start.
    report
        The criteria of every candidate, the start first.
    history
        Losses on the way.
    prior
        What the cells share, where there are enough of them.
    """

    network: RecognitionNetwork
    mixture: float
    report: list[dict[str, float]]
    history: TrainingHistory
    prior: SummaryPrior | None = None

    def infer(self, traces: np.ndarray, frame_rate_hz: float) -> CountPosterior:
        """Posterior counts of (neuron, time) traces of the same preparation."""
        return infer_counts(self.network, traces, frame_rate_hz, self.prior)


def adapt(
    network: RecognitionNetwork,
    recordings: Sequence[Recorded],
    config: AdaptationConfig,
    *,
    make: MakeModel | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Adaptation:
    """Adapt the network to unlabelled recordings; never to the worse by criteria that need no true spike.

    A candidate replaces the start only if, on simulations of the described cells that were not learned from, the
    correlation with their spikes rises, the evidence bound of the real traces does not fall, wide simulations are read
    as well as before, and real spikes stay where they were (5 ms on average) and as many (a factor of two).

    Parameters
    ----------
    recordings
        Of the same preparation; their frame rates may differ.
    make
        Generative model of the simulations, from the description of the cells.
    checkpoint
        Folder of the state; the same call goes on from it.

    Raises
    ------
    InputError
        No cell with any response to its inferred spikes.
    """
    describe = generator(seed, "spikes/adaptation/describe")
    lots = [Lot.of(network, recorded, make, describe) for recorded in recordings]
    lots = [lot for lot in lots if lot.cells.responding.any()]
    if not lots:
        raise InputError(
            f"None of the {sum(len(r.traces) for r in recordings)} neurons shows a response to its inferred spikes, so"
            " there is nothing to adapt to. Leave fit out and use predict."
        )
    told = None if checkpoint is None else _made_from(network, recordings, make)
    adapted, history = network, TrainingHistory()
    for stage in range(STAGES):
        adapted, losses = _train(adapted, lots, config, stage, seed, told, checkpoint, progress)
        for name in vars(history):
            getattr(history, name).extend(getattr(losses, name))
        lots = [lot.in_step(adapted) for lot in lots]
    chosen = _choose(network, adapted, history, lots, config, seed)
    return chosen._replace(prior=shared_summary(lots, config.pooling))


def _train(
    network: RecognitionNetwork,
    lots: list[Lot],
    config: AdaptationConfig,
    stage: int,
    seed: int,
    told: dict[str, Any] | None,
    checkpoint: Path | None,
    progress: bool,
) -> tuple[RecognitionNetwork, TrainingHistory]:
    """A share of the steps, on simulations of its own."""
    learn, judge, weights = gather(lots, config, generator(seed, f"spikes/adaptation/{stage}"))
    steps = max(1, config.steps // STAGES)
    result = train(
        lambda net, batch, key: adaptation_loss(net, batch, config.consistency),
        network,
        learn,
        TrainingConfig(
            steps=steps,
            batch=config.batch,
            learning_rate=config.learning_rate,
            weight_decay=0.0,
            warmup=min(10, steps // 2),
            averaging=0.95,
            evaluate_every=min(40, steps),
            patience=config.patience,
        ),
        held_out=judge,
        seed=seed,
        weights=weights,
        settings=to_dict(config),
        told=told,
        checkpoint=checkpoint and checkpoint / f"adaptation-{stage}.safetensors",
        progress=progress,
        name=f"Adapting to the recording, stage {stage + 1} of {STAGES}",
    )
    return result.parameters, result.history


def _made_from(network: RecognitionNetwork, recordings: Sequence[Recorded], make: MakeModel | None) -> dict[str, Any]:
    """All that simulations and the start's answers follow from, none of it computed by the network.

    A generative model is told by what it makes of some cells, which are always the same.
    """
    cells = _some_cells()
    made = None if make is None else make(cells)
    return {
        "recordings": [_hash([one.traces]) for one in recordings],
        "frame rates": [float(one.frame_rate_hz) for one in recordings],
        "known spikes": [None if one.known is None else _hash([one.known]) for one in recordings],
        "network": _hash(jax.tree.leaves(eqx.filter(network, eqx.is_array))),
        "generative model": None if made is None else describe_model(made, len(cells.noise_sd)),
    }


def _some_cells(n: int = 8) -> Cells:
    """Of all kinds that there are."""
    steps = np.linspace(0, 1, n)
    return Cells(0.05 + steps, 0.1 + 2 * steps, 0.1 * steps, 0.2 - 0.3 * steps, 0.02 + 0.2 * steps, 0.05 + 3 * steps)


def _hash(arrays: Sequence[Any]) -> str:
    return hash_arrays({str(i): one for i, one in enumerate(arrays)})


def adaptation_loss(network: RecognitionNetwork, batch: Examples, consistency: float) -> jax.Array:
    """Supervised loss where counts are known, cross-entropy with the start's answer on real windows."""
    posterior = network(batch.channels, batch.summary)
    loss = supervised_loss(posterior, batch.counts, batch.inside, batch.frame_rate_hz)
    return loss + consistency * _cross_entropy(posterior, batch)


def _cross_entropy(posterior: CountPosterior, batch: Examples) -> jax.Array:
    """Minus the expected log probability of counts drawn from the start, per expected spike; least at the start."""
    p = jax.nn.sigmoid(batch.logit)
    some = -jax.nn.softplus(-posterior.logit) + batch.extra * jnp.log(posterior.extra) - posterior.extra
    value = (p * some - (1 - p) * jax.nn.softplus(posterior.logit)) * batch.observed
    spikes = jnp.sum(p * (1 + batch.extra) * batch.observed, axis=1)
    real = jnp.any(batch.observed > 0, axis=1)
    return -jnp.mean(jnp.where(real, jnp.sum(value, axis=1) / (spikes + 4.0), 0.0))


def _choose(
    start: RecognitionNetwork,
    adapted: RecognitionNetwork,
    history: TrainingHistory,
    lots: list[Lot],
    config: AdaptationConfig,
    seed: int,
) -> Adaptation:
    """The mixture of start and adapted weights that the criteria prefer."""
    per_lot = config.simulated_cells / (3 * len(lots))
    draw = generator(seed, "spikes/adaptation/judge")
    matched = [lot.matched(draw, per_lot) for lot in lots]
    wide = [lot.wide(draw, per_lot) for lot in lots]
    networks = {0.0: start} | {m: mix(start, adapted, m) for m in config.mixtures}
    report = [
        {
            "mixture": mixture,
            "matched_r": _agreement(network, matched, lots),
            "wide_r": _agreement(network, wide, lots),
            **_on_real_traces(network, lots, seed),
        }
        for mixture, network in networks.items()
    ]
    fit = [row for row in report[1:] if acceptable(row, report[0], config.gain)]
    best = max(fit, key=lambda row: row["matched_r"]) if fit else report[0]
    return Adaptation(networks[best["mixture"]], best["mixture"], report, history)


def _on_real_traces(network: RecognitionNetwork, lots: list[Lot], seed: int) -> dict[str, float]:
    """The criteria that need no simulation: median bound, how far spikes moved in time, how many there are."""
    bounds, shifts, spikes = [], [], 0.0
    for lot in lots:
        posterior = infer_counts(network, lot.traces, lot.frame_rate_hz)
        bounds.append(evidence_bound(posterior, lot.traces, lot.cells, lot.frame_rate_hz, seed))
        shifts.append(abs(lot.shift_of(posterior)) / lot.frame_rate_hz)
        spikes += float(np.asarray(posterior.mean)[np.isfinite(lot.traces)].sum())
    return {"bound": float(np.nanmedian(np.concatenate(bounds))), "shift_s": float(max(shifts)), "spikes": spikes}


def acceptable(row: dict[str, float], start: dict[str, float], gain: float) -> bool:
    """Whether a candidate may replace the start."""
    ratio = (row["spikes"] + 1) / (start["spikes"] + 1)
    return (
        row["matched_r"] >= start["matched_r"] + gain
        and row["bound"] >= start["bound"] - 0.002 * abs(start["bound"])
        and row["wide_r"] >= start["wide_r"] - 0.01
        and row["shift_s"] <= LARGEST_SHIFT_S
        and COUNT_RANGE[0] <= ratio <= COUNT_RANGE[1]
    )


def mix(start: RecognitionNetwork, adapted: RecognitionNetwork, share: float) -> RecognitionNetwork:
    """Weights `share` of the way from the start to the adapted network."""
    first, static = eqx.partition(start, eqx.is_inexact_array)
    second = eqx.filter(adapted, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda a, b: (1 - share) * a + share * b, first, second), static)


def _agreement(network: RecognitionNetwork, simulated: list[tuple[np.ndarray, np.ndarray]], lots: list[Lot]) -> float:
    """Mean correlation of expected and true spikes, both smoothed a little, over cells that fired."""
    found = []
    for (traces, counts), lot in zip(simulated, lots, strict=True):
        expected = np.asarray(infer_counts(network, traces, lot.frame_rate_hz).mean)
        width = JUDGED_S * lot.frame_rate_hz
        a, b = (gaussian_filter1d(np.asarray(x, float), width, axis=1) for x in (expected, counts))
        r = np.atleast_1d(correlation(a.T, b.T))
        found.append(np.where(counts.sum(axis=1) >= 3, r, np.nan))
    return float(np.nanmean(np.concatenate(found)))
