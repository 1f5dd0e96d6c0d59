"""Claim: the posterior is honest; 90 % intervals of spike counts hold the truth about as often as they say.

Counts in windows of 1 s, 90 % central intervals of 200 posterior samples, share of windows whose true count lies
inside. Simulated: cells of every kind, 7.5 to 60 Hz, read by the network that was trained on simulations. Real: the 25
sets of `spikes_ground_truth`, each read by the fold network that has not seen it; mean over the sets. Many windows hold
no spike and say so with certainty; coverage is therefore also given for the others alone, where the interval or the
truth is not zero.

Joint samples: two networks are fitted, unlabelled and alike but for their kind, to simulated cells that fire in bursts;
both learn from simulations with bursts.
Samples of a posterior ought to hold as many pairs of neighbouring spikes as the truth does. One whose frames are
independent breaks bursts up and doubles single spikes; the autoregressive one draws each spike in sight of those before
it. Pairs are counted in a whole trace (mean distance of samples from the truth, over the truth) and in windows of 2 s
(continuous ranked probability score, which is least for the exact posterior, over the mean truth); the log probability
of the true trains says how good a joint posterior is altogether.

    python -m benchmarks.spikes_calibration [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.signal import lfilter

from antidrome.core.compilation import enable_compilation_cache
from antidrome.core.seeds import generator
from antidrome.spikes import simulate
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.generative import LinearModel
from antidrome.spikes.inference import infer_counts
from antidrome.spikes.metrics import correlation
from antidrome.spikes.metrics.calibration import interval
from antidrome.spikes.variational import Calibration, Fit, FitConfig, PosteriorConfig, fit, infer
from antidrome.spikes.variational.levels import count_log_prob
from antidrome.spikes.variational.problem import network_inputs
from antidrome.spikes.weights import load_network
from benchmarks.ground_truth import cases
from benchmarks.harness import finish, options, require_data, show
from benchmarks.spikes_adaptation import start_of
from benchmarks.spikes_ground_truth import set_paths

LEVEL, WINDOW_S, SAMPLES = 0.9, 1.0, 200
RATES_HZ = (7.5, 15.0, 30.0, 60.0)
BURST_RATE_HZ, BURST_FRAMES, PAIR_WINDOW_S = 30.0, 2, 2.0
BURST_FIT = FitConfig(
    sleep_steps=1500,
    wake_steps=0,
    batch=16,
    window_frames=160,
    buffer_before=50,
    buffer_after=30,
    learning_rate=3e-3,
    evaluate_every=500,
    burst=0.5,
    exposure="instant",
    posterior=PosteriorConfig(filters=(16, 16, 12), widths=(21, 15, 11), units=32, max_count=2),
)


def covered(posterior: CountPosterior, rate: float, counts: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """(window, 3) true count inside the interval, not all zero, and width, for one trace."""
    shape = (SAMPLES, len(counts))
    hit = draw.random(shape) < 1 / (1 + np.exp(-np.asarray(posterior.logit)))
    samples = np.where(hit, 1 + draw.poisson(np.asarray(posterior.extra), shape), 0)
    width = max(1, round(WINDOW_S * rate))
    n = len(counts) // width
    sampled = samples[:, : n * width].reshape(SAMPLES, n, width).sum(axis=2)
    true = counts[: n * width].reshape(n, width).sum(axis=1)
    low, high = interval(sampled, LEVEL)
    return np.column_stack([(true >= low) & (true <= high), (high > 0) | (true > 0), high - low])


def shares(rows: list[np.ndarray]) -> dict[str, float]:
    """Coverage over all windows and over those that are not plainly silent, and the mean width."""
    inside, active, width = np.concatenate(rows).T
    return {
        "coverage": float(inside.mean()),
        "coverage_active": float(inside[active > 0].mean()) if active.any() else float("nan"),
        "width": float(width.mean()),
        "windows": len(inside),
    }


def simulated(quick: bool, seed: int) -> dict[str, dict[str, float]]:
    """Coverage by frame rate, on cells drawn from the widest ranges."""
    network, table = load_network("simulations")[0], {}
    for rate in RATES_HZ[1:3] if quick else RATES_HZ:
        rows = []
        for i, model in enumerate(("linear", "scdf")):
            recording = simulate(8 if quick else 48, 60, rate, seed + i, indicator="any", generative=model)
            posterior = infer_counts(network, recording["dff"].values.T, rate)
            draw = generator(seed, f"calibration/{rate}/{model}")
            for j, counts in enumerate(recording["spike_count"].values.T):
                one = CountPosterior(posterior.logit[j], posterior.extra[j])
                rows.append(covered(one, rate, counts, draw))
        table[f"{rate:g} Hz"] = shares(rows)
    return table


def real(quick: bool, seed: int) -> dict[str, dict[str, float]]:
    """Coverage by set, each read by a network that has not seen it."""
    table = {}
    for path in set_paths(False)[::8] if quick else set_paths(False):
        network, rows = start_of("folds", path.stem), []
        draw = generator(seed, f"calibration/{path.stem}")
        for case in cases(path):
            edges = case.start_s + np.arange(len(case.dff) + 1) / case.frame_rate_hz
            counts = np.histogram(case.spikes_s, edges)[0]
            posterior = infer_counts(network, case.dff[None].astype(np.float32), case.frame_rate_hz)
            one = CountPosterior(posterior.logit[0], posterior.extra[0])
            rows.append(covered(one, case.frame_rate_hz, counts, draw))
        table[path.stem] = shares(rows)
    return table


def bursting(seed: int, n_cells: int, n_frames: int) -> tuple[np.ndarray, np.ndarray, Calibration]:
    """Cells whose events are bursts as often as single spikes: traces and counts (cell, time), true parameters."""
    draw = generator(seed, "calibration/bursts")
    counts = (draw.random((n_cells, n_frames)) < 0.4 / BURST_RATE_HZ).astype(float)
    for cell, frame in zip(*np.nonzero(counts), strict=True):
        if draw.random() < 0.5:
            for later in range(1, int(draw.integers(2, 4))):
                counts[cell, min(frame + later, n_frames - 1)] += 1
    decay_s, amplitude, noise_sd = (np.full(n_cells, x) for x in (0.5, 0.3, 0.12))
    after = (np.arange(60) + 0.5) / BURST_RATE_HZ  # spikes come half way through their frame
    shape = np.exp(-after / 0.5) - np.exp(-after / 0.08)
    traces = 0.3 * lfilter(shape / shape.max(), [1.0], counts, axis=1) + 0.12 * draw.standard_normal(counts.shape)
    rate_hz = counts.sum(axis=1) / n_frames * BURST_RATE_HZ
    truth = Calibration(amplitude, decay_s, np.zeros(n_cells), noise_sd, rate_hz, np.zeros(n_cells, bool))
    return traces.astype(np.float32), counts, truth


def near_pairs(counts: np.ndarray) -> np.ndarray:
    """Pairs of spikes at most two frames apart, summed over the last axis."""
    total = (counts * (counts - 1) / 2).sum(axis=-1)
    for lag in range(1, BURST_FRAMES + 1):
        total = total + (counts[..., lag:] * counts[..., :-lag]).sum(axis=-1)
    return total


def pair_score(sampled: np.ndarray, counts: np.ndarray) -> float:
    """Continuous ranked probability score of the pairs in windows of 2 s, over the mean number of true pairs.

    Parameters
    ----------
    sampled
        (sample, cell, time).
    counts
        (cell, time).
    """
    width = round(PAIR_WINDOW_S * BURST_RATE_HZ)
    n = counts.shape[-1] // width

    def windows(x: np.ndarray) -> np.ndarray:
        return near_pairs(x[..., : n * width].reshape(*x.shape[:-1], n, width))

    drawn, true = windows(sampled), windows(counts)
    k = len(drawn)
    spread = sum(np.abs(drawn - one).sum(axis=0) for one in drawn) / (k * (k - 1))
    return float((np.abs(drawn - true).mean(axis=0) - 0.5 * spread).mean() / true.mean())


def log_prob_of_truth(fitted: Fit, traces: np.ndarray, counts: np.ndarray) -> float:
    """Log q of the true counts given the traces, nats per spike."""
    inputs = network_inputs(fitted.problem, jnp.asarray(traces), jnp.arange(len(traces)))
    true = jnp.asarray(counts.T)
    logits = fitted.learned.posterior.logits_given(inputs, true[:, None])[:, 0]
    return float(jnp.sum(count_log_prob(logits, true)) / counts.sum())


def joint_samples(quick: bool, seed: int) -> dict[str, dict[str, float]]:
    """Both kinds of posterior on bursting cells: pairs in their samples against the truth."""
    n_cells, n_frames = (4, 600) if quick else (8, 2000)
    traces, counts, truth = bursting(seed, n_cells, n_frames)
    config = dataclasses.replace(BURST_FIT, sleep_steps=20, evaluate_every=20) if quick else BURST_FIT
    true_pairs, table = near_pairs(counts), {}

    def model(start: Calibration) -> LinearModel:
        values = (start.amplitude, start.decay_s, np.full_like(start.decay_s, 0.08), start.baseline)
        return LinearModel(*(jnp.asarray(x, jnp.float32) for x in values))

    for kind in ("factorised", "autoregressive"):
        settings = dataclasses.replace(config, posterior=dataclasses.replace(config.posterior, kind=kind))
        fitted = fit(traces, BURST_RATE_HZ, settings, model=model, calibration=truth, seed=seed, progress=False)
        found = infer(fitted, traces, n_samples=50, keep_samples=True, seed=seed)
        sampled = np.asarray(found.samples, float)
        pairs = near_pairs(sampled)
        table[kind] = {
            "pairs_per_true_pair": float(pairs.mean(axis=0).sum() / true_pairs.sum()),
            "pair_error": float(np.abs(pairs - true_pairs).mean() / true_pairs.mean()),
            "pair_score": pair_score(sampled, counts),
            "log_prob_per_spike": log_prob_of_truth(fitted, traces, counts),
            "r_of_pairs": float(np.corrcoef(pairs.mean(axis=0), true_pairs)[0, 1]),
            "r": float(np.nanmean(correlation(found.mean.T, counts.T))),
            "bound": fitted.bound,
        }
    return table


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    chosen = options(__doc__).parse_args(arguments)
    require_data("spikes_calibration")
    enable_compilation_cache()
    started = time.time()
    runs: dict[str, Any] = {
        "simulated": simulated(chosen.quick, chosen.seed),
        "real": real(chosen.quick, chosen.seed),
        "joint_samples": joint_samples(chosen.quick, chosen.seed),
    }
    for name in ("simulated", "real"):
        columns = ["coverage", "coverage_active", "width", "windows"]
        show(
            f"{name.capitalize()}: counts in 1 s, 90 % intervals",
            ["", "all windows", "not silent", "width (spikes)", "windows"],
            [[key, *(row[c] for c in columns)] for key, row in runs[name].items()],
        )
    show(
        "Joint samples of bursting cells",
        [
            "posterior",
            "pairs per true pair",
            "error of pairs",
            "score of pairs in 2 s",
            "log q of the truth per spike",
            "r of pairs over cells",
            "r",
            "bound",
        ],
        [[kind, *row.values()] for kind, row in runs["joint_samples"].items()],
    )
    means = {
        f"{key}_{name}": float(np.mean([row[key] for row in runs[name].values()]))
        for key in ("coverage", "coverage_active")
        for name in ("simulated", "real")
    }
    pairs = {kind: row["pair_error"] for kind, row in runs["joint_samples"].items()}
    headline = (
        f"90 % intervals of counts in 1 s cover {means['coverage_simulated']:.0%} on simulated and"
        f" {means['coverage_real']:.0%} on held-out real data ({means['coverage_active_simulated']:.0%} and"
        f" {means['coverage_active_real']:.0%} without plainly silent windows); error of the number of neighbouring"
        f" spike pairs in samples {pairs['autoregressive']:.2f} autoregressive, {pairs['factorised']:.2f} factorised."
    )
    finish({"headline": headline, **means, "pair_error": pairs, "runs": runs}, started, chosen.json)


if __name__ == "__main__":
    main()
