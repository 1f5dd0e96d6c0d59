"""Tables of the benchmarks of spikes on the real sets, where CASCADE and OASIS stand beside."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.tables.table import Row, Table, beside, ranked

CORRELATIONS = {"r, lag 0": "r_lag0", "r, learnt lag": "r_learnt_lag", "r, smoothed": "r_smooth"}
MEASURES = CORRELATIONS | {"count ratio": "count_ratio"}
STARTS = {"folds": "fold networks", "simulations": "simulation network"}
INTERNEURONS = ("-PV-", "-SST-", "-VIP-")
"""What the names of sets of interneurons hold."""
OVER = {"mean_r": "Mean", "r_lag0": "Median"}
"""Over the neurons of a set, measure → its name."""
PEERS = (
    "The peers' figures are not published ones: they were measured in-house, by this protocol on the same neurons."
    " CASCADE: its published weights `Global_EXC_30Hz_smoothing25ms`, run by inference code of our own and not by its"
    " `predict()`; every prediction is moved one frame later, since by that function's index it stands one frame"
    " early. These weights, of excitatory cells at 30 Hz, also read interneurons, GCaMP8 and recordings slower than 30"
    " Hz; the library has models for other frame rates and for GCaMP8, which were not used. On GCaMP8 (DS30, DS32) the"
    " latter is better at lag 0, on sets that it was trained on. CASCADE was trained on DS03–DS20, which are among"
    " these sets. OASIS: `oasis-deconv` 0.3.2, AR(1), with an L1 penalty and its parameters estimated from each trace."
    " OASIS, no sparsity penalty, τ given: the same package behind the baseline of suite2p (which itself was not run),"
    " with a decay time that was guessed for each indicator, not fitted."
)
"""Where the figures of the peers come from, and under which settings."""


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
                PEERS,
            ],
        ),
        *(_before_and_after(start, rows) for start in runs),
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
                PEERS,
            ],
        ),
        *(_by_set(result, sets, heading, key) for heading, key in CORRELATIONS.items()),
        Table(
            f"A row is a frame rate, ours: means over the {len(sets)} sets.",
            {"frame rate": "rate"} | MEASURES,
            [{"rate": name} | row for name, row in result["frame_rates"].items()],
        ),
    ]


def _by_set(result: Mapping[str, Any], sets: list[dict[str, Any]], heading: str, key: str) -> Table:
    """One correlation set by set, beside the peers; with the first also our count ratio."""
    rows = [row | {"peers": result["peers_by_set"][row["set"]]} for row in sets]
    peers = {peer: f"peers/{peer}/{key}" for peer in result["peers"]}
    first = key == next(iter(CORRELATIONS.values()))
    return Table(
        f"{heading}: a row is a set; medians over its neurons{', count ratio: expected over true spikes' * first}.",
        {"set": "set", "neurons": "neurons", "ours": key}
        | peers
        | ({"ours, count ratio": "count_ratio"} if first else {}),
        rows,
        [beside(heading, rows, key, peers, name=_number, most=len(rows))],
    )


def _after(means: list[dict[str, Any]], start: str) -> dict[str, Any]:
    """The row of a start after adaptation."""
    return next(row for row in means if row["method"] == f"{STARTS[start]}, after")


def _before_and_after(start: str, rows: list[Row]) -> Table:
    """Set by set, what adaptation changes from one start, by means and by medians over neurons."""
    columns = {
        "mean r before": "before/mean_r",
        "mean r after": "after/mean_r",
        "median r before": "before/r_lag0",
        "median r after": "after/r_lag0",
        "count ratio after": "after/count_ratio",
    }
    return Table(
        f"{STARTS[start].capitalize()}: a row is a set; mean and median of r at lag 0 over its neurons.",
        {"set": "set"} | {heading: f"{start}/{key}" for heading, key in columns.items()},
        rows,
        [_changes(start, rows, key, what) for key, what in OVER.items()],
    )


def _changes(start: str, rows: list[Row], key: str, what: str) -> str:
    """Where adaptation is ahead of what it started from, and how much interneurons and the others change."""
    before = {"before": f"{start}/before/{key}"}
    sentence = beside(f"{what} r", rows, f"{start}/after/{key}", before, name=_number, who="after", most=len(rows))
    changes = {row["set"]: row[start]["after"][key] - row[start]["before"][key] for row in rows}
    inter = [change for name, change in changes.items() if is_interneurons(name)]
    others = [change for name, change in changes.items() if not is_interneurons(name)]
    if not (inter and others):
        return sentence
    return (
        f"{sentence} On average it changes by {fmean(inter):+.3f} in {len(inter)} sets of interneurons and by"
        f" {fmean(others):+.3f} in the {len(others)} others."
    )


def gains(sets: Mapping[str, Any], key: str) -> str:
    """Change of a measure of the neurons' r: its average over the sets, and the worst set."""
    changes = {name: row["after"][key] - row["before"][key] for name, row in sets.items()}
    worst = min(changes, key=changes.__getitem__)
    return f"{fmean(changes.values()):+z.3f} on average, worst set {changes[worst]:+z.3f} ({short(worst)})"


def is_interneurons(name: str) -> bool:
    """Whether a set's name says that its cells are interneurons."""
    return any(kind in name for kind in INTERNEURONS)


def short(name: str) -> str:
    """The number of a set."""
    return name.split("-")[0]


def _number(row: Row) -> str:
    return short(row["set"])
