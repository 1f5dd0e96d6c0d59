"""The sentences that say what the benchmarks of mechanism found, made from the figures of their results."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables.mechanism import VARIANTS, trainings
from benchmarks.tables.table import constant, pivoted

Result = Mapping[str, Any]


def mechanism_paper(result: Result) -> str:
    """One part for each experiment that was run."""
    said = [sentence(result[name]) for name, sentence in EXPERIMENTS.items() if result.get(name)]
    return "; ".join(said) + "."


def _mixture(rows: Sequence[Mapping[str, Any]]) -> str:
    by_rounds = pivoted(rows, "rounds", "method")
    ours, other = by_rounds[-1]["snpe-b"], by_rounds[-1]["division"]
    behind = [row for row in by_rounds if row["snpe-b"]["divergence"] > row["division"]["divergence"]]
    figures = ", ".join(
        f"{row['snpe-b']['divergence']:.2f} against {row['division']['divergence']:.2f} at {row['rounds']}"
        for row in behind
    )
    return (
        f"mixture: {ours['completed']:.0%} of runs completed in {ours['rounds']} rounds (division:"
        f" {other['completed']:.0%}), KL divergence of those {ours['divergence']:.2f} ({other['divergence']:.2f})"
        + (f", behind division with fewer rounds ({figures})" if behind and by_rounds[-1] not in behind else "")
    )


def _glm(glm: Mapping[str, Any]) -> str:
    ours, other = glm["ours"], glm["smc_abc"]
    return (
        "GLM (snpe-b, with a density and a training of its own): means off those of MCMC by"
        f" {ours['mean_error_sd']:.2f} sd on average, {ours['largest_mean_error_sd']:.2f} at most, with"
        f" {glm['simulations']:,} simulations (SMC-ABC {other['mean_error_sd']:.2f} and"
        f" {other['largest_mean_error_sd']:.2f} with {glm['smc_abc_simulations']:,})"
    )


def _autapse(autapse: Mapping[str, Any]) -> str:
    return (
        f"autapse: {autapse['with_classifier'][-1]:.0%} fail in the last round, {autapse['without'][-1]:.0%} without"
        " the classifier"
    )


def _hodgkin_huxley(found: Mapping[str, Any]) -> str:
    inside = "in" if found["truth_in_95_region"] else "outside"
    return f"Hodgkin–Huxley: truth {inside} the 95 % region, {found['marginals_with_truth']} of 12 marginals"


def _missing(found: Mapping[str, Any]) -> str:
    return f"40 % missing: means move by {found['mean_error_sd']:.2f} sd on average, widths × {found['sd_ratio']:.2f}"


def _learned(rows: Sequence[Mapping[str, Any]]) -> str:
    kinds = by_kind(rows)
    widths = [f"{kind} " + ", ".join(f"{row['mean_sd']:.2f}" for row in of) for kind, of in kinds.items()]
    durations = ", ".join(f"{row['duration_ms']:.0f}" for row in next(iter(kinds.values())))
    return f"learned features, widths over the prior's for {durations} ms: {'; '.join(widths)}"


def by_kind(learned: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of the learned features, for each network that learns them."""
    kinds = dict.fromkeys(row["features"] for row in learned)
    return {kind: [row for row in learned if row["features"] == kind] for kind in kinds}


EXPERIMENTS: dict[str, Callable[[Any], str]] = {
    "mixture": _mixture,
    "glm": _glm,
    "autapse": _autapse,
    "hodgkin_huxley": _hodgkin_huxley,
    "missing": _missing,
    "learned": _learned,
}


def mechanism_recordings(result: Result) -> str:
    """How many cells the posterior reproduces in the median trace."""
    cells, n_traces = result["cells"], constant("mechanism_recordings", "PREDICTIVE")
    good = sum(row["spike_count_error"] <= 2 and row["rest_error_mv"] <= 1 for row in cells)
    return (
        f"{good} of {len(cells)} cells are reproduced (medians over {n_traces} traces of the posterior: spike count"
        f" within 2, rest within 1 mV) with {result['budget']:,} simulations;"
        f" {max(row['minutes'] for row in cells):.1f} minutes for the slowest, without the diagnosis."
    )


def mechanism_sbibm(result: Result) -> str:
    """Mean over the tasks of every method of ours, with its rounds."""
    parts = []
    for method, shares in constant("mechanism_sbibm", "SHARES").items():
        found = [row[method] for task, row in result["c2st"].items() if task not in VARIANTS and row.get(method)]
        seen = {row["observation"] for row in result["rows"] if row["method"] == method}
        rounds = f"{len(shares)} round{'s' * (len(shares) > 1)}"
        if found:
            parts.append(f"{method} in {rounds} {fmean(found):.3f} ({len(found)} tasks, {len(seen)} observations)")
    return f"Mean C2ST at {result['budget']:,} simulations: {', '.join(parts)}."


def mechanism_speed(result: Result) -> str:
    """Whole trainings beside those of sbi, with and without first calls."""
    rows = trainings(result["rows"])
    parts = " and ".join(
        f"{row['first_speedup']:.1f} times as fast as sbi's at {row['simulations']:,} simulations"
        f" ({row['speedup']:.0f} times once compiled)"
        for row in rows
    )
    density = ", ".join(f"{row['ours_log_prob']:.2f} against {row['sbi_log_prob']:.2f}" for row in rows)
    return (
        f"Whole trainings on one core, first call and waiting for improvement included: {parts}; held-out log density"
        f" {density}; both are mixture-density networks of one size, but not the same network; five rounds of two moons"
        f" take {result['five_rounds_seconds']:.0f} s all in; {result['hh_sims_per_s_core']:.0f} Hodgkin–Huxley"
        " simulations a second and core."
    )
