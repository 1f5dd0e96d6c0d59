"""Claim: one network, without training on any of its sets, beside every entry of the 2016–17 spikefinder challenge.

The challenge published traces resampled to 100 Hz, scaled per neuron. Before inference every trace is brought back to
the frame rate at which it was recorded, which its power spectrum shows: Fourier resampling leaves nothing above half
that rate. Expected spikes are then spread over the 100 Hz samples, half a frame later (the resampling stamped frames at
their start) and smoothed by 30 ms; both were chosen on the challenge's training sets. Scores are the challenge's own:
Pearson correlation in bins of 40 ms, per neuron, on the test sets whose traces and predictions are in the reference
data; entries are scored by the same function, which reproduces the published table. The network is the one of
`spikes_ground_truth` that has not seen DS16, the training part of the challenge's set 5.

    python -m benchmarks.spikes_spikefinder [--quick] [--json FILE] [--network FILE] [--part train|test]

`--part train` scores us on the challenge's training sets; settings were chosen there.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample, welch

from antidrome.spikes.inference import infer_counts
from antidrome.spikes.metrics import bin_frames, correlation, count_ratio
from antidrome.spikes.weights import load_network
from benchmarks.harness import data_folder, finish, options, show

UNSEEN = Path(__file__).parent / "weights" / "fold-2.safetensors"
SAMPLE_RATE_HZ = 100.0
FRAMES_PER_BIN = 4
QUICK_NEURONS = 2
SHARPEST_HZ = 1.5
STAMP = 0.5
SMOOTHING_S = 0.03
Predict = Callable[[np.ndarray], np.ndarray]


def recorded_rate_hz(trace: np.ndarray, sample_rate_hz: float = SAMPLE_RATE_HZ) -> float:
    """Frame rate before resampling: twice the frequency at which the spectrum falls hundredfold within 1.5 Hz.

    A trace without such a fall was not resampled, or not by Fourier; its rate is the sample rate.
    """
    frequency, power = welch(trace - trace.mean(), sample_rate_hz, nperseg=min(512, len(trace)))
    ahead = max(1, round(SHARPEST_HZ / frequency[1]))
    fall = np.log10(power[:-ahead] + 1e-30) - np.log10(power[ahead:] + 1e-30)
    cliff = int(np.argmax(fall))
    if fall[cliff] < 2:
        return sample_rate_hz
    below = np.median(np.log10(power[max(0, cliff - ahead) : cliff + 1] + 1e-30))
    edge = cliff + int(np.argmax(np.log10(power[cliff:] + 1e-30) < below - 1))
    return float(np.clip(2 * frequency[max(1, edge - 1)], 2.0, sample_rate_hz))


def predict_samples(network: Any, trace: np.ndarray) -> np.ndarray:
    """Expected spikes per 100 Hz sample: inferred at the recorded rate, spread over each frame, half a frame later."""
    rate = recorded_rate_hz(trace)
    n_frames = max(8, round(len(trace) * rate / SAMPLE_RATE_HZ))
    mirrored = np.r_[trace, trace[::-1]]
    frames = resample(mirrored, 2 * n_frames)[:n_frames].astype(np.float32)
    exact_hz = n_frames * SAMPLE_RATE_HZ / len(trace)
    expected = np.asarray(infer_counts(network, frames[None], exact_hz).mean, float)[0]
    centres = np.arange(n_frames + 1) - 0.5
    samples = (np.arange(len(trace) + 1) - 0.5) * n_frames / len(trace) - STAMP
    spread = np.diff(np.interp(samples, centres, np.r_[0.0, np.cumsum(expected)]))
    return gaussian_filter1d(spread, SMOOTHING_S * SAMPLE_RATE_HZ)


def neurons(name: str) -> list[dict[str, np.ndarray]]:
    """Calcium, spikes and teams' predictions of every neuron of one file, 100 samples per second."""
    with np.load(data_folder() / "spikes" / "spikefinder" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    offsets = arrays["offsets"]
    wanted = [key for key in arrays if key in ("calcium", "spikes") or key.startswith("pred_")]
    return [{key: arrays[key][a:b].astype(float) for key in wanted} for a, b in itertools.pairwise(offsets)]


def scores_of(cells: list[dict[str, np.ndarray]], predict: Predict) -> tuple[dict[str, list[float]], list[float]]:
    """Correlation of every neuron for us and each team, and our count ratios."""
    found: dict[str, list[float]] = {}
    counts = []
    for cell in cells:
        ours = predict(cell["calcium"])
        true = bin_frames(cell["spikes"], FRAMES_PER_BIN)
        entries = {"antidrome": ours} | {key[5:]: cell[key] for key in cell if key.startswith("pred_")}
        for team, values in entries.items():
            found.setdefault(team, []).append(float(correlation(bin_frames(values, FRAMES_PER_BIN), true)))
        counts.append(float(count_ratio(ours, cell["spikes"])))
    return found, counts


def compare(names: list[str], network: Any, limit: int | None) -> dict[str, dict[str, Any]]:
    """Per set: mean correlation of every entry, ours among them; per-neuron values; our median count ratio."""
    table = {}
    for name in names:
        cells = neurons(name)[:limit]
        found, counts = scores_of(cells, lambda trace: predict_samples(network, trace))
        mean = {team: float(np.nanmean(values)) for team, values in found.items()}
        table[name] = {
            "neurons": len(cells),
            "recorded_rate_hz": float(np.median([recorded_rate_hz(cell["calcium"]) for cell in cells])),
            "mean_r": dict(sorted(mean.items(), key=lambda item: -item[1])),
            "per_neuron_r": found,
            "count_ratio": float(np.median(counts)),
        }
    return table


def headline(table: dict[str, dict[str, Any]]) -> str:
    """One sentence: ours and the best entry on every set."""
    parts = []
    for name, row in table.items():
        others = {team: r for team, r in row["mean_r"].items() if team != "antidrome"}
        ours = row["mean_r"]["antidrome"]
        best = max(others, key=others.__getitem__) if others else None
        parts.append(f"{name}: r {ours:.3f}" + (f" (best entry {best} {others[best]:.3f})" if best else ""))
    return "Spikefinder, no training on its sets; " + "; ".join(parts) + "."


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--network", default=UNSEEN, help="a model file, 'default' or 'simulations'")
    parser.add_argument("--part", choices=("test", "train"), default="test")
    chosen = parser.parse_args(arguments)
    started = time.time()
    names = sorted(p.stem for p in (data_folder() / "spikes" / "spikefinder").glob(f"sf*.{chosen.part}.npz"))
    network, header = load_network(chosen.network)
    table = compare(names, network, QUICK_NEURONS if chosen.quick else None)
    teams = list(dict.fromkeys(team for row in table.values() for team in row["mean_r"]))
    teams.sort(key=lambda team: -np.mean([row["mean_r"].get(team, np.nan) for row in table.values()]))
    show(
        "Mean correlation at 25 Hz",
        ["entry", *table],
        [[team, *(row["mean_r"].get(team, float("nan")) for row in table.values())] for team in teams],
    )
    result = {
        "headline": headline(table),
        "sets": table,
        "part": chosen.part,
        "network_trained_on": header.extra.get("card", {}).get("trained_on", []),
    }
    finish(result, started, chosen.json)


if __name__ == "__main__":
    main()
