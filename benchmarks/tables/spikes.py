"""Tables of the benchmarks of spikes."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.table import Row, Table, beside, constant, ranked

OURS = "antidrome"
"""How every entry of ours to the challenge begins."""
SPIKEFINDER = (
    "Ours are the mean of {} networks ('antidrome'), of which some have seen the training parts of these sets, and the"
    " one network that has not ('unseen'). The frame rate of every recording is guessed from its spectrum, the trace"
    " brought back to it, and read on {} grids within a frame. Test scores were in view while variants were compared."
)
PLAIN = "Beside these: that network on one grid, as users have it, and on the published trace at 100 Hz."
LEVEL = 0.9


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
                "ex1 starts from the traces' own statistics; ex2 from the initial values of the paper's model, and its"
                f" rate of {constant('spikes_unsupervised', 'PAPER_RATE_HZ')} Hz. Schedules and sizes of the networks"
                " are the benchmark's, not the defaults.",
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


def _size(row: Row) -> str:
    return f"{row['neurons']} neurons"
