"""Claim: one network, no tuning, is more accurate on recordings that it has never seen than CASCADE and OASIS.

The protocol is `benchmarks.ground_truth`: up to 8 or 10 neurons of each of 25 real sets, 60 s each, at 30 Hz or the
native rate where that is slower, correlation in 40 ms bins. Each set is predicted by the fold network that has seen
neither that set nor its neurons (`training/folds.py`); peers' figures are per neuron from `peers_per_neuron.csv`,
measured in-house by this protocol (CASCADE was trained on DS03–DS20; OASIS, with its parameters estimated, and without
a penalty at a decay time that is given, needs no training).

    python -m benchmarks.spikes_ground_truth [--quick] [--json FILE] [--weights DIR] [--network FILE]
"""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.spikes.inference import infer_counts
from antidrome.spikes.weights import load_network
from benchmarks.ground_truth import Case, Scored, at_most, cases, per_neuron, score, summarise
from benchmarks.harness import data_folder, finish, options, require_data, show
from benchmarks.tables.headlines import headline_of
from training.folds import fold_of

Predict = Callable[[np.ndarray, float], np.ndarray]
WEIGHTS = Path(__file__).parent / "weights"
RATES_HZ = (7.5, 15.0, 60.0)
PEERS = {"CASCADE": "cascade", "OASIS": "oasis_auto", "OASIS, no sparsity penalty, τ given": "oasis_s2p"}
COLUMNS = ["r_lag0", "r_learnt_lag", "r_smooth", "count_ratio"]


def set_paths(quick: bool) -> list[Path]:
    """The 25 real sets; a fifth of them with --quick."""
    paths = sorted((data_folder() / "spikes" / "cascade").glob("DS*.npz"))
    paths = [p for p in paths if "rawneuropil" not in p.name]
    return paths[::5] if quick else paths


def predictors(weights: Path, network: Path | None) -> Callable[[str], Predict]:
    """Set name → function that predicts with the network that has not seen the set."""
    loaded: dict[str, Any] = {}

    def predictor(name: str) -> Predict:
        path = network or weights / f"{fold_of(name)}.safetensors"
        if str(path) not in loaded:
            loaded[str(path)], header = load_network(path)
            seen = header.extra["card"]["trained_on"]
            if network is None and name in seen:
                raise SystemExit(f"{path} was trained on {name}; it cannot be tested on it.")
        return lambda dff, rate: np.asarray(infer_counts(loaded[str(path)], dff[None], rate).mean)[0]

    return predictor


def at_rate(case: Case, rate_hz: float | None) -> Case:
    """The same stretch at another frame rate (None: as recorded); slower recordings stay as they are."""
    dff, dff_hz = at_most(case.native_dff, case.native_rate_hz, rate_hz or case.native_rate_hz)
    return dataclasses.replace(case, dff=dff, frame_rate_hz=dff_hz)


def scored(
    paths: list[Path], predictor: Callable[[str], Predict], prepare: Callable[[Case], Case]
) -> Iterator[tuple[str, Scored]]:
    """(set name, [(case, scores)]) for every set."""
    for path in paths:
        predict = predictor(path.stem)
        prepared = [prepare(case) for case in cases(path)]
        yield path.stem, [(case, score(predict(case.dff, case.frame_rate_hz), case)) for case in prepared]


def peers_table() -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """(set, peer, neuron) → (r at lag 0, r at the learnt lag, smoothed r)."""
    with open(data_folder() / "spikes" / "peers_per_neuron.csv", newline="") as file:
        return {
            (row["ds"], row["alg"], row["neuron"]): (float(row["c0"]), float(row["cl"]), float(row["s"]))
            for row in csv.DictReader(file)
        }


def medians_of_peers(neurons: Mapping[str, Iterable[str]]) -> dict[str, dict[str, dict[str, float]]]:
    """Medians of each peer over the neurons of each set: {set: {peer: {measure: r}}}."""
    peers, out = peers_table(), {}
    for name, chosen in neurons.items():
        out[name] = {}
        for label, algorithm in PEERS.items():
            theirs = [peers[name, algorithm, n] for n in chosen if (name, algorithm, n) in peers]
            found = np.nanmedian(np.array(theirs), axis=0).tolist()
            out[name][label] = dict(zip(COLUMNS[:-1], found, strict=True))
    return out


def beside_peers(sets: dict[str, Scored]) -> dict[str, dict[str, float]]:
    """For each peer: mean over the sets of its medians, and the share of neurons on which we are better."""
    peers, out = peers_table(), {}
    by_set = medians_of_peers({name: per_neuron(rows) for name, rows in sets.items()})
    for label, algorithm in PEERS.items():
        wins = []
        for name, rows in sets.items():
            ours = per_neuron(rows)
            theirs = {n: peers[name, algorithm, n] for n in ours if (name, algorithm, n) in peers}
            wins += [
                (ours[n].r_lag0 > v[0], ours[n].r_smooth > v[2]) for n, v in theirs.items() if np.isfinite(v).all()
            ]
        out[label] = {
            **{key: float(np.mean([found[label][key] for found in by_set.values()])) for key in COLUMNS[:-1]},
            "share_better_lag0": float(np.mean([w[0] for w in wins])),
            "share_better_smooth": float(np.mean([w[1] for w in wins])),
            "neurons": len(wins),
        }
    return out


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder with the fold networks")
    parser.add_argument("--network", type=Path, help="one network for all sets (then no longer leave-datasets-out)")
    arguments_ = parser.parse_args(arguments)
    require_data("spikes_ground_truth")
    started = time.time()
    paths, predictor = set_paths(arguments_.quick), predictors(arguments_.weights, arguments_.network)
    sets = dict(scored(paths, predictor, lambda case: case))
    table, mean = summarise(sets)
    peers = beside_peers(sets)
    rates = {}
    for rate in (*RATES_HZ, None):
        label = "native" if rate is None else f"{rate:g} Hz"
        resampled = dict(scored(paths, predictor, lambda case, rate=rate: at_rate(case, rate)))
        rates[label] = summarise(resampled)[1]
    show(
        "Sets not seen in training, 30 Hz or native",
        ["set", "neurons", *COLUMNS],
        [[name, row["neurons"], *(row[c] for c in COLUMNS)] for name, row in table.items()]
        + [["mean", "", *(mean[c] for c in COLUMNS)]],
    )
    show(
        "Mean over the sets at other frame rates",
        ["frame rate", *COLUMNS],
        [[k, *(v[c] for c in COLUMNS)] for k, v in rates.items()],
    )
    show(
        "Peers on the same neurons",
        ["peer", "r_lag0", "r_learnt_lag", "r_smooth", "we are better, lag 0", "we are better, smoothed"],
        [
            [k, v["r_lag0"], v["r_learnt_lag"], v["r_smooth"], v["share_better_lag0"], v["share_better_smooth"]]
            for k, v in peers.items()
        ],
    )
    ratio = float(np.median([row["count_ratio"] for row in table.values()]))
    result = {
        "mean_r_lag0": mean["r_lag0"],
        "mean_r_best_lag": mean["r_learnt_lag"],
        "mean_r_smooth": mean["r_smooth"],
        "median_count_ratio": ratio,
        "sets": table,
        "frame_rates": rates,
        "peers": peers,
        "peers_by_set": medians_of_peers({name: per_neuron(rows) for name, rows in sets.items()}),
    }
    finish({"headline": headline_of("spikes_ground_truth", result), **result}, started, arguments_.json)


if __name__ == "__main__":
    main()
