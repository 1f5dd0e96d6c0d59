"""Tables of the benchmarks of spikes."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.table import Row, Table, beside, constant, ranked

CORRELATIONS = {"r, lag 0": "r_lag0", "r, learnt lag": "r_learnt_lag", "r, smoothed": "r_smooth"}
MEASURES = CORRELATIONS | {"count ratio": "count_ratio"}
STARTS = {"folds": "fold networks", "simulations": "simulation network"}
OURS = "antidrome"
"""How every entry of ours to the challenge begins."""
CASCADE = "CASCADE was trained on DS03–DS20, which are among these sets."
SPIKEFINDER = (
    "Ours are the mean of {} networks ('antidrome'), of which some have seen the training parts of these sets, and the"
    " one network that has not ('unseen'). The frame rate of every recording is guessed from its spectrum, the trace"
    " brought back to it, and read on {} grids within a frame. Test scores were in view while variants were compared."
)
PLAIN = "Beside these: that network on one grid, as users have it, and on the published trace at 100 Hz."
LEVEL = 0.9


def adaptation(result: Mapping[str, Any]) -> list[Table]:
    """Before and after the unlabelled adaptation, and the peers."""
    runs, peers = result["runs"], result["peers"]
    means = [
        {"method": f"{STARTS[start]}, {when}"} | run[when]
        for start, run in runs.items()
        for when in ("before", "after")
    ]
    others = [{"method": name} | row for name, row in peers.items()]
    names = list(next(iter(runs.values()))["sets"])
    rows: list[Row] = [{"set": name} | {start: run["sets"][name] for start, run in runs.items()} for name in names]
    headings = {
        f"{STARTS[start]}, {heading}": f"{start}/{key}"
        for start in runs
        for heading, key in (
            ("r before", "before/mean_r"),
            ("r after", "after/mean_r"),
            ("count ratio after", "after/count_ratio"),
        )
    }
    return [
        Table(
            f"A row is a method: means over {len(names)} sets of the medians over neurons.",
            {"method": "method"} | MEASURES,
            [*means, *others],
            [
                *(
                    ranked(
                        heading,
                        {row["method"]: row[key] for row in [_after(means, start), *others]},
                        _after(means, start)["method"],
                    )
                    for start in runs
                    for heading, key in CORRELATIONS.items()
                ),
                CASCADE,
            ],
        ),
        Table(
            "A row is a set: mean r at lag 0 over its neurons, before and after.",
            {"set": "set"} | headings,
            rows,
            [
                beside(
                    f"r of the {STARTS[start]}",
                    rows,
                    f"{start}/after/mean_r",
                    {"before": f"{start}/before/mean_r"},
                    name="set",
                    who="after",
                )
                for start in runs
            ],
        ),
    ]


def calibration(result: Mapping[str, Any]) -> list[Table]:
    """Coverage of 90 % intervals, simulated and real; pairs in joint samples."""
    runs = result["runs"]
    columns = {
        "coverage, all windows": "coverage",
        "coverage, not silent": "coverage_active",
        "mean width, spikes": "width",
        "windows": "windows",
    }

    def words(rows: list[dict[str, Any]]) -> str:
        below = [row for row in rows if row["coverage"] < LEVEL]
        least = min(rows, key=lambda row: row["coverage"])
        return (
            f"Below {LEVEL:.0%} in {len(below)} of {len(rows)}; least in {least['what']} ({least['coverage']:.0%},"
            f" without silent windows {least['coverage_active']:.0%})."
        )

    simulated, real = ([{"what": key} | row for key, row in runs[name].items()] for name in ("simulated", "real"))
    return [
        Table(
            "Simulated cells: a row is a frame rate; share of 90 % intervals of the count in 1 s that hold the truth.",
            {"frame rate": "what"} | columns,
            simulated,
            [words(simulated)],
        ),
        Table(
            "Real sets, each read by a network that has not seen it: a row is a set.",
            {"set": "what"} | columns,
            real,
            [words(real)],
        ),
        Table(
            "Joint samples of bursting cells: a row is a kind of posterior; pairs are spikes at most two frames apart.",
            {
                "posterior": "what",
                "pairs per true pair": "pairs_per_true_pair",
                "error of pairs": "pair_error",
                "CRPS of pairs in 2 s": "pair_score",
                "log q of the truth per spike": "log_prob_per_spike",
                "r of pairs over cells": "r_of_pairs",
                "r of spikes": "r",
                "bound": "bound",
            },
            [{"what": key} | row for key, row in runs["joint_samples"].items()],
        ),
    ]


def ground_truth(result: Mapping[str, Any]) -> list[Table]:
    """Unseen sets, beside CASCADE and OASIS on the same neurons."""
    keys = {"r_lag0": "mean_r_lag0", "r_learnt_lag": "mean_r_best_lag", "r_smooth": "mean_r_smooth"}
    ours = {"method": "ours"} | {key: result[name] for key, name in keys.items()}
    peers = [{"method": name} | row for name, row in result["peers"].items()]
    sets = [{"set": name} | row for name, row in result["sets"].items()]
    return [
        Table(
            f"A row is a method: means over {len(sets)} sets of the medians over neurons; shares of single neurons on"
            " which ours is better.",
            {"method": "method"}
            | CORRELATIONS
            | {
                "ours better, lag 0": "share_better_lag0",
                "ours better, smoothed": "share_better_smooth",
                "neurons": "neurons",
            },
            [ours, *peers],
            [
                *(
                    ranked(heading, {row["method"]: row[key] for row in [ours, *peers]}, "ours")
                    for heading, key in CORRELATIONS.items()
                ),
                CASCADE,
            ],
        ),
        Table(
            "A row is a set, read by ours: medians over its neurons; count ratio: expected over true spikes.",
            {"set": "set", "neurons": "neurons"} | MEASURES,
            sets,
        ),
        Table(
            f"A row is a frame rate, ours: means over the {len(sets)} sets.",
            {"frame rate": "rate"} | MEASURES,
            [{"rate": name} | row for name, row in result["frame_rates"].items()],
        ),
    ]


def speed(result: Mapping[str, Any]) -> list[Table]:
    """Time per frame beside OASIS, and memory."""
    rows = result["rows"]
    return [
        Table(
            "A row is a size, on one core.",
            {
                "neurons": "neurons",
                "frames": "frames",
                "ours, µs a frame": "us_per_frame",
                "OASIS, µs a frame": "peer_us_per_frame",
                "ours over OASIS": "ratio",
                "ours, compilation, s": "compile_s",
            },
            rows,
            [beside("Time", rows, "us_per_frame", {"OASIS": "peer_us_per_frame"}, name=_size, more=False)],
        ),
        Table(
            "The largest recording, from Zarr.",
            {"peak memory, GB": "peak_rss_gb", "time, s": "seconds"},
            [result["memory"]],
        ),
    ]


def spikefinder(result: Mapping[str, Any]) -> list[Table]:
    """Every entry of the challenge, ours among them."""
    sets = result["sets"]
    entries = dict.fromkeys(name for row in sets.values() for name in row["mean_r"])
    rows = [{"entry": name} | {key: row["mean_r"].get(name) for key, row in sets.items()} for name in entries]
    about = [{"set": key} | row for key, row in sets.items()]
    words = [SPIKEFINDER.format(len(result["networks_trained_on"]), constant("spikes_spikefinder", "GRIDS"))]
    words += [PLAIN] if f"{OURS}, unseen, one grid" in entries else []
    for key, row in sets.items():
        for ours in filter(_is_ours, row["mean_r"]):
            others = {name: r for name, r in row["mean_r"].items() if name == ours or not _is_ours(name)}
            words.append(ranked(key, others, ours))
    return [
        Table(
            f"A row is an entry: mean r over the neurons of the {result['part']} sets, in bins of 40 ms.",
            {"entry": "entry"} | {key: key for key in sets},
            rows,
            words,
        ),
        Table(
            "A row is a set; count ratio: our expected over true spikes, median over neurons.",
            {
                "set": "set",
                "neurons": "neurons",
                "recorded at, Hz": "recorded_rate_hz",
                "ours, count ratio": "count_ratio",
            },
            about,
        ),
    ]


def training(result: Mapping[str, Any]) -> list[Table]:
    """Gradient steps beside eager PyTorch."""
    rows = [{"size": name} | row for name, row in result["sizes"].items()]
    peer = {"PyTorch": "torch_steps_per_second"}
    return [
        Table(
            "A row is an experiment of the paper, at its size.",
            {
                "experiment": "size",
                "ours, steps/s": "steps_per_second",
                "PyTorch, steps/s": "torch_steps_per_second",
                "ours over PyTorch": "ratio",
                "ours, first step, s": "first_step_s",
            },
            rows,
            [beside("Steps per second", rows, "steps_per_second", peer, name="size")],
        )
    ]


def unsupervised(result: Mapping[str, Any]) -> list[Table]:
    """Fits without a label, beside the paper's figures."""
    published = constant("spikes_unsupervised", "PAPER")
    rows: list[Row] = []
    for name, run in result["runs"].items():
        r, minutes = published.get(name, (None, None))
        rows.append({"run": name, "paper_r": r, "paper_minutes": minutes} | run)
    recovered = [
        {"run": name, "parameter": key.replace("_", " ")} | found
        for name, run in result["runs"].items()
        for key, found in run["recovered"].items()
    ]
    return [
        Table(
            "A row is a simulated experiment of the paper: r in bins of 1/60 s; the paper's time is on a GPU, its state"
            " the best by true spikes.",
            {
                "experiment": "run",
                "ours, r": "r",
                "paper, r": "paper_r",
                "ours, r, unseen cells": "unseen/r",
                "ours, time, min": "minutes",
                "paper, time, min": "paper_minutes",
                "count ratio": "count_ratio",
                "share of suspect cells": "share_suspect",
            },
            rows,
            [
                beside("r", rows, "r", {"the paper": "paper_r"}, name="run"),
                beside("r of unseen cells", rows, "unseen/r", {"the paper": "paper_r"}, name="run"),
            ],
        ),
        Table(
            "A row is a generative parameter: fitted beside true, over the cells.",
            {
                "experiment": "run",
                "parameter": "parameter",
                "r of the logarithms": "r",
                "median ratio to the truth": "ratio",
            },
            recovered,
        ),
    ]


def best_entry(mean_r: Mapping[str, float]) -> str | None:
    """The best of the others."""
    return max((name for name in mean_r if not _is_ours(name)), key=mean_r.__getitem__, default=None)


def _is_ours(entry: str) -> bool:
    return entry.startswith(OURS)


def _after(means: list[dict[str, Any]], start: str) -> dict[str, Any]:
    """The row of a start after adaptation."""
    return next(row for row in means if row["method"] == f"{STARTS[start]}, after")


def _size(row: Row) -> str:
    return f"{row['neurons']} neurons"
