"""A few careful steps of the shipped network on simulations of the user's own cells, kept only where they help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d

from antidrome.core.seeds import fold_in, generator
from antidrome.core.training import TrainingConfig, TrainingHistory, train
from antidrome.errors import InputError
from antidrome.spikes.adaptation.bound import evidence_bound
from antidrome.spikes.adaptation.cells import Cells, describe_cells, reconstruct
from antidrome.spikes.adaptation.matched import Examples, MakeModel, cut_examples, join, matched_traces, wide_traces
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.inference import group_size, infer_counts
from antidrome.spikes.metrics import correlation
from antidrome.spikes.objective import supervised_loss
from antidrome.spikes.recognition import RecognitionNetwork

LONGEST_FRAMES = 8192
JUDGED_S = 0.02
COUNT_RANGE = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class AdaptationConfig:
    """How far the network may move, and by what it is led.

    Parameters
    ----------
    steps, batch, learning_rate
        Of the gradient steps; AdamW with averaged weights.
    matched, wide, real
        Shares of a batch: simulations of the described cells, simulations over wide ranges, real windows.
    consistency
        Weight of what the start said about real windows.
    supervised
        Weight in sampling of real windows with known spikes, against the other real ones.
    simulated_cells
        Simulated cells to learn from.
    mixtures
        How far to go from the start to the adapted weights; the best by the criteria is kept.
    gain
        Least improvement of the correlation on matched simulations.
    patience
        Evaluations without improvement that end the steps (0: never).
    """

    steps: int = 120
    batch: int = 24
    learning_rate: float = 5e-4
    matched: float = 0.5
    wide: float = 0.2
    real: float = 0.3
    consistency: float = 1.0
    supervised: float = 4.0
    simulated_cells: int = 192
    mixtures: tuple[float, ...] = (1.0, 0.5)
    gain: float = 0.002
    patience: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.simulated_cells) < 1 or self.learning_rate <= 0:
            raise InputError("steps, batch and simulated_cells need to be 1 or more, and learning_rate above 0.")
        if min(self.matched, self.wide, self.real) < 0 or self.matched + self.wide + self.real <= 0:
            raise InputError("The shares matched, wide and real need to be 0 or more, and one of them above 0.")


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
    """

    network: RecognitionNetwork
    mixture: float
    report: list[dict[str, float]]
    history: TrainingHistory


def working_rate(traces: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, float]:
    """Traces at a rate that the network reads directly: groups of frames averaged above 64 Hz."""
    group = group_size(frame_rate_hz)
    return sum_groups(traces, group) / group, frame_rate_hz / group


def sum_groups(x: np.ndarray, group: int) -> np.ndarray:
    """(row, time) sums over groups of frames; a last partial group is cut; NaN where one is missing."""
    n = x.shape[1] // group
    return x[:, : n * group].reshape(len(x), n, group).sum(axis=2)


def adapt(
    network: RecognitionNetwork,
    traces: np.ndarray,
    frame_rate_hz: float,
    config: AdaptationConfig,
    *,
    known: np.ndarray | None = None,
    make: MakeModel | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Adaptation:
    """Adapt the network to unlabelled traces; never to the worse by criteria that need no true spike.

    A candidate replaces the start only if, on simulations of the described cells that were not learned from, the
    correlation with their spikes rises, the evidence bound of the real traces does not fall, wide simulations are read
    as well as before, and the number of spikes stays within a factor of two.

    Parameters
    ----------
    traces
        (neuron, time) ΔF/F at up to 64 frames per second (`working_rate`), NaN where missing.
    known
        (neuron, time) true spikes per frame where they are known, NaN elsewhere.
    make
        Generative model of the simulations, from the description of the cells.
    checkpoint
        Folder of the state; the same call goes on from it.

    Raises
    ------
    InputError
        No cell with any response to its inferred spikes.
    """
    traces = np.asarray(traces[:, :LONGEST_FRAMES], np.float32)
    known = np.full(traces.shape, np.nan) if known is None else known[:, :LONGEST_FRAMES]
    start = np.asarray(infer_counts(network, traces, frame_rate_hz).mean)
    cells = describe_cells(traces, np.where(np.isfinite(known), known, start), frame_rate_hz)
    if not cells.known.any():
        raise InputError(
            f"None of the {len(traces)} neurons shows a response to its inferred spikes, so there is nothing to adapt"
            " to. Leave fit out and use predict."
        )
    residuals = traces - reconstruct(cells._replace(baseline=np.zeros(len(traces))), start, frame_rate_hz)
    lots = _Lots(network, cells, residuals, frame_rate_hz, config, make, seed)
    learn, judge, weights = _examples(lots, traces, known)
    result = train(
        lambda net, batch, key: adaptation_loss(net, batch, config.consistency),
        network,
        learn,
        TrainingConfig(
            steps=config.steps,
            batch=config.batch,
            learning_rate=config.learning_rate,
            weight_decay=0.0,
            warmup=10,
            averaging=0.97,
            evaluate_every=min(40, config.steps),
            patience=config.patience,
        ),
        held_out=judge,
        seed=seed,
        weights=weights,
        checkpoint=checkpoint and checkpoint / "adaptation.safetensors",
        progress=progress,
        name="Adapting to the recording",
    )
    return _choose(network, result.parameters, result.history, lots, traces, cells)


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


class _Lots(NamedTuple):
    """What every lot of examples is made from."""

    network: RecognitionNetwork
    cells: Cells
    residuals: np.ndarray
    frame_rate_hz: float
    config: AdaptationConfig
    make: MakeModel | None
    seed: int

    def answers(self, traces: np.ndarray) -> CountPosterior:
        return infer_counts(self.network, traces, self.frame_rate_hz)

    def matched(self, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        draw = generator(self.seed, f"spikes/adaptation/{name}")
        return matched_traces(draw, self.cells, self.residuals, self.frame_rate_hz, n, self.make)

    def wide(self, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        seed = fold_in(self.seed, f"spikes/adaptation/{name}") % 2**31
        return wide_traces(seed, self.frame_rate_hz, n, self.residuals.shape[1])

    def examples(self, traces: np.ndarray, counts: np.ndarray, *, real: bool = False) -> Examples:
        known = np.isfinite(counts) & np.isfinite(traces) if real else np.isfinite(counts)
        cut = cut_examples(traces, np.nan_to_num(counts), known, self.frame_rate_hz, self.answers)
        return cut if real else cut._replace(observed=np.zeros_like(cut.observed))


def _examples(lots: _Lots, traces: np.ndarray, known: np.ndarray) -> tuple[Examples, Examples, np.ndarray]:
    """Windows to learn from with their chances, and windows that decide when to stop."""
    config, n = lots.config, lots.config.simulated_cells
    parts = [
        lots.examples(*lots.matched("matched", n)),
        lots.examples(*lots.wide("wide", max(8, n // 3))),
        lots.examples(traces, known, real=True),
    ]
    chances = []
    for part, share in zip(parts, (config.matched, config.wide, config.real), strict=True):
        own = np.ones(len(part.channels))
        if part is parts[2]:
            own = np.where(part.inside.any(axis=1), config.supervised, 1.0) * part.observed.any(axis=1)
        chances.append(share * own / max(own.sum(), 1e-12))
    held = lots.examples(*lots.matched("held-out", max(8, n // 4)))
    return join(parts), held, np.concatenate(chances)


def _choose(
    start: RecognitionNetwork,
    adapted: RecognitionNetwork,
    history: TrainingHistory,
    lots: _Lots,
    traces: np.ndarray,
    cells: Cells,
) -> Adaptation:
    """The mixture of start and adapted weights that the criteria prefer."""
    n = max(16, lots.config.simulated_cells // 3)
    judged = lots.matched("judge", n), lots.wide("judge-wide", n)
    networks = {0.0: start} | {m: mix(start, adapted, m) for m in lots.config.mixtures}
    report = []
    for mixture, network in networks.items():
        posterior = infer_counts(network, traces, lots.frame_rate_hz)
        bound = evidence_bound(posterior, traces, cells, lots.frame_rate_hz, lots.seed)
        report.append(
            {
                "mixture": mixture,
                "matched_r": _agreement(network, *judged[0], lots.frame_rate_hz),
                "wide_r": _agreement(network, *judged[1], lots.frame_rate_hz),
                "bound": float(np.nanmedian(bound)),
                "spikes": float(np.asarray(posterior.mean)[np.isfinite(traces)].sum()),
            }
        )
    best = max(report, key=lambda row: row["matched_r"] if acceptable(row, report[0], lots.config.gain) else -np.inf)
    best = best if acceptable(best, report[0], lots.config.gain) else report[0]
    return Adaptation(networks[best["mixture"]], best["mixture"], report, history)


def acceptable(row: dict[str, float], start: dict[str, float], gain: float) -> bool:
    """Whether a candidate may replace the start."""
    ratio = (row["spikes"] + 1) / (start["spikes"] + 1)
    return (
        row["matched_r"] >= start["matched_r"] + gain
        and row["bound"] >= start["bound"] - 0.002 * abs(start["bound"])
        and row["wide_r"] >= start["wide_r"] - 0.01
        and COUNT_RANGE[0] <= ratio <= COUNT_RANGE[1]
    )


def mix(start: RecognitionNetwork, adapted: RecognitionNetwork, share: float) -> RecognitionNetwork:
    """Weights `share` of the way from the start to the adapted network."""
    first, static = eqx.partition(start, eqx.is_inexact_array)
    second = eqx.filter(adapted, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda a, b: (1 - share) * a + share * b, first, second), static)


def _agreement(network: RecognitionNetwork, traces: np.ndarray, counts: np.ndarray, rate: float) -> float:
    """Mean correlation of expected and true spikes, both smoothed a little, over cells that fired."""
    expected = np.asarray(infer_counts(network, traces, rate).mean)
    width = JUDGED_S * rate
    a, b = (gaussian_filter1d(np.asarray(x, float), width, axis=1) for x in (expected, counts))
    r = np.asarray(correlation(a.T, b.T))
    return float(np.nanmean(np.where(counts.sum(axis=1) >= 3, r, np.nan)))
