"""Claim: fitted to recordings without any label, the network is on average about as accurate as before.

The 25 real sets and the protocol are those of `spikes_ground_truth`: up to 8 or 10 neurons of each set, 60 s each. For
every set a network that has not seen it (the fold network of `training/folds.py`) is adapted to the set's traces, and
scored with the true spikes before and after; nothing else sees them. A second run starts from the network that was
trained on simulations alone, so that no ground truth is used anywhere. The settings of the adaptation were chosen on
the six sets of `CHOSEN_ON`; all sets are reported, and the others by themselves too.

    python -m benchmarks.spikes_adaptation [--quick] [--json FILE] [--start folds|simulations|both] [--checkpoint DIR]
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.compilation import enable_compilation_cache
from antidrome.spikes.adaptation import Adaptation, AdaptationConfig, Recorded, adapt
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.weights import load_network
from benchmarks.ground_truth import Case, cases, per_neuron, score, summarise
from benchmarks.harness import finish, options, require_data, show
from benchmarks.spikes_ground_truth import PEERS, WEIGHTS, medians_of_peers, peers_table, set_paths
from benchmarks.tables.headlines import headline_of
from training.folds import fold_of

CHOSEN_ON = ("DS06", "DS09", "DS11", "DS30", "DS32", "DS40")
SAME_RATE = 1.02
QUICK = AdaptationConfig(steps=4, batch=4, simulated_cells=8)
MEASURES = ("mean_r", "r_lag0", "r_learnt_lag", "r_smooth", "count_ratio")


def recordings_of(stretches: list[Case]) -> list[Recorded]:
    """The traces of a set, those of one frame rate together."""
    groups: list[list[Case]] = []
    for case in sorted(stretches, key=lambda c: c.frame_rate_hz):
        if groups and case.frame_rate_hz <= SAME_RATE * groups[-1][0].frame_rate_hz:
            groups[-1].append(case)
        else:
            groups.append([case])
    found = []
    for group in groups:
        traces = np.full((len(group), max(len(case.dff) for case in group)), np.nan, np.float32)
        for row, case in zip(traces, group, strict=True):
            row[: len(case.dff)] = case.dff
        found.append(Recorded(traces, float(np.median([case.frame_rate_hz for case in group]))))
    return found


def scores_of(adapted: Adaptation, stretches: list[Case]) -> dict[str, float]:
    """The protocol's medians over the neurons of a set, and the mean of the correlation at lag 0."""
    scored = []
    for case in stretches:
        expected = np.asarray(adapted.infer(case.dff[None].astype(np.float32), case.frame_rate_hz).mean)[0]
        scored.append((case, score(expected, case)))
    name = stretches[0].dataset
    neurons = per_neuron(scored)
    row = summarise({name: scored})[0][name]
    return {"mean_r": float(np.mean([one.r_lag0 for one in neurons.values()])), **row}


def adapt_to(path: Path, start: RecognitionNetwork, config: AdaptationConfig, seed: int) -> dict[str, Any]:
    """One set: before, after, and what the fit said of itself."""
    stretches = list(cases(path))
    started = time.time()
    found: Adaptation = adapt(start, recordings_of(stretches), config, seed=seed, progress=False)
    seconds = time.time() - started
    return {
        "before": scores_of(found._replace(network=start, prior=None), stretches),
        "after": scores_of(found, stretches),
        "mixture": found.mixture,
        "criteria": found.report,
        "seconds": round(seconds, 1),
    }


def start_of(kind: str, name: str) -> RecognitionNetwork:
    """A network that has not seen the set; the shipped simulation network has seen no recording at all."""
    if kind == "simulations":
        return load_network("simulations")[0]
    network, header = load_network(WEIGHTS / f"{fold_of(name)}.safetensors")
    if name in header.extra["card"]["trained_on"]:
        raise SystemExit(f"The network of {fold_of(name)} was trained on {name}; it cannot be tested on it.")
    return network


def summary(sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over the sets, and gains of the sets' means."""
    gains = {name: row["after"]["mean_r"] - row["before"]["mean_r"] for name, row in sets.items()}
    unchosen = [gain for name, gain in gains.items() if name.split("-")[0] not in CHOSEN_ON]
    means = {
        when: {m: float(np.mean([row[when][m] for row in sets.values()])) for m in MEASURES}
        for when in ("before", "after")
    }
    return {
        **means,
        "mean_gain": float(np.mean(list(gains.values()))),
        "worst_gain": float(min(gains.values())),
        "mean_gain_other_sets": float(np.mean(unchosen)) if unchosen else None,
        "kept_start": [name for name, row in sets.items() if row["mixture"] == 0],
        "median_count_ratio": float(np.median([row["after"]["count_ratio"] for row in sets.values()])),
    }


def peers_of(names: list[str]) -> dict[str, dict[str, float]]:
    """Mean over the sets of the peers' medians."""
    neurons = {name: [neuron for ds, _, neuron in peers_table() if ds == name] for name in names}
    by_set = medians_of_peers({name: dict.fromkeys(found) for name, found in neurons.items()})
    return {
        peer: {key: float(np.mean([found[peer][key] for found in by_set.values()])) for key in MEASURES[1:-1]}
        for peer in PEERS
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--start", choices=("folds", "simulations", "both"), default="both")
    parser.add_argument("--checkpoint", type=Path, help="folder for finished sets; an interrupted run goes on from it")
    chosen = parser.parse_args(arguments)
    require_data("spikes_adaptation")
    enable_compilation_cache()
    started = time.time()
    paths = set_paths(False)[5:9:3] if chosen.quick else set_paths(False)
    config = QUICK if chosen.quick else AdaptationConfig()
    kinds = ("folds", "simulations") if chosen.start == "both" else (chosen.start,)
    runs = {}
    for kind in kinds:
        sets = {}
        for path in paths:
            kept = chosen.checkpoint and chosen.checkpoint / f"{kind}-{path.stem}.json"
            if not (kept and kept.exists()):
                sets[path.stem] = adapt_to(path, start_of(kind, path.stem), config, chosen.seed)
                if kept:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(sets[path.stem]))
            else:
                sets[path.stem] = json.loads(kept.read_text())
        runs[kind] = {**summary(sets), "sets": sets}
    report(runs, peers_of([path.stem for path in paths]), started, chosen.json)


def report(
    runs: dict[str, dict[str, Any]], peers: dict[str, dict[str, float]], started: float, path: Path | None
) -> None:
    """Tables, headline, JSON."""
    for kind, run in runs.items():
        rows = [
            [name, row["before"]["mean_r"], row["after"]["mean_r"], row["after"]["r_learnt_lag"],
             row["before"]["r_smooth"], row["after"]["r_smooth"], row["after"]["count_ratio"], row["mixture"]]
            for name, row in run["sets"].items()
        ]  # fmt: skip
        show(
            f"Start: {kind}",
            ["set", "r before", "r after", "at learnt lag", "smoothed before", "after", "count ratio", "mixture"],
            rows,
        )
    show(
        "Mean over the sets of the medians",
        ["method", "r_lag0", "r_learnt_lag", "r_smooth"],
        [
            [f"{kind}, {when}", *(run[when][m] for m in ("r_lag0", "r_learnt_lag", "r_smooth"))]
            for kind, run in runs.items()
            for when in ("before", "after")
        ]
        + [[label, *row.values()] for label, row in peers.items()],
    )
    result: dict[str, Any] = {"runs": runs, "peers": peers, "settings_chosen_on": CHOSEN_ON}
    if "folds" in runs:
        result |= {key: runs["folds"][key] for key in ("mean_gain", "worst_gain", "median_count_ratio")}
    if "simulations" in runs:
        after = runs["simulations"]["after"]
        result |= {"simulation_only_r_lag": after["r_learnt_lag"], "simulation_only_r_smooth": after["r_smooth"]}
    finish({"headline": headline_of("spikes_adaptation", result), **result}, started, path)


if __name__ == "__main__":
    main()
