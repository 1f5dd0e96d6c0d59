"""The sentence that says what a benchmark found, made from the figures of its result; the command that repeats it."""

from collections.abc import Callable, Mapping
from statistics import fmean, median
from typing import Any

from benchmarks.tables.dimension import answers, of_the_fastest, stopped_after
from benchmarks.tables.dynamics import given_settings, is_default
from benchmarks.tables.mechanism_headlines import (
    mechanism_paper,
    mechanism_recordings,
    mechanism_sbibm,
    mechanism_speed,
)
from benchmarks.tables.real_sets import gains
from benchmarks.tables.spikes import best_entry
from benchmarks.tables.table import cell, constant

Result = Mapping[str, Any]


def dimension_exactness(result: Result) -> str:
    """How often each package is right, wrong, without a number, or refuses."""
    counts = answers(result["hostile"])
    ours, kinds = counts.pop("ours"), len(result["hostile"])
    others = "; ".join(
        f"{name} {found['wrong']} wrong, {found['NaN']} NaN, {found['refused']} refused"
        for name, found in counts.items()
        if not found["absent"]
    )
    quick = "Quick version: " if result.get("quick") else ""
    return (
        f"{quick}TwoNN on {kinds} kinds of hostile points: {ours['right']} right (largest difference from float64"
        f" {result['max_abs_difference']:.1e}), {ours['wrong']} silently wrong, {ours['NaN']} NaN, {ours['refused']}"
        f" refused with a sentence ({others or 'no peer ran'}); the 90 % interval covers {result['coverage_90']:.1%}."
    )


def dimension_speed(result: Result) -> str:
    """Ours beside the fastest peer of every size."""
    found = [factor for row in [*result["rows"], result["blocks"]] if (factor := of_the_fastest(row)) is not None]
    sizes = [factor for row in result["rows"] if (factor := of_the_fastest(row)) is not None]
    limit, ratio = stopped_after(result), result["ratio_to_matmul"]
    stopped = f" (peers were stopped after {limit:.0f} s, and count with that)" if limit else ""
    speed = (
        f"{median(map(float, sizes)):.1f} times as fast as the fastest peer of each size in the median over sizes,"
        f" {min(map(float, found)):.1f} times at worst{stopped}"
        if sizes
        else "no peer ran"
    )
    product = f" at most {ratio:.2f} of the bare float32 product from 512 columns on;" if ratio is not None else ""
    return f"TwoNN, certified exact: {speed};{product} peak {result['peak_rss_gb']:.2f} GB."


def dynamics_real(result: Result) -> str:
    """Gains over factor analysis; what expectation maximisation makes of the solution."""
    rows = result["rows"]
    kinds = {
        name: [row for row in rows if row["kind"] == kind] for kind, name in (("worm", "worms"), ("mouse", "mice"))
    }
    parts = ", ".join(
        f"{name} r = {fmean(row['r'] for row in chosen):.3f} (FA {fmean(row['r_fa'] for row in chosen):.3f})"
        for name, chosen in kinds.items()
        if chosen
    )
    refined = [row for row in rows if row["r_em"] is not None]
    worse = (
        f"; EM from there changes r by {min(changes := [row['r_em'] - row['r'] for row in refined]):+.3f} to"
        f" {max(changes):+.3f} in {len(refined)} masks"
        if refined
        else ""
    )
    return (
        f"Pairs never recorded together: {parts}; gain over zero-lag FA {result['mean_gain_over_fa']:+.3f} on average,"
        f" {result['worst_gain_over_fa']:+.3f} at worst, median slope {result['slope']:.2f}; over FA with the same"
        f" shrinkage {result['mean_gain_over_shrunken_fa']:+.3f}{worse}."
    )


def dynamics_reference(result: Result) -> str:
    """The demonstration problem, and how EM from random starts does on it."""
    stitched = [row for row in result["rows"] if row["data"] == "stitched"]
    r = {
        method: {row["seed"]: row["unseen_r"] for row in stitched if row["method"] == method}
        for method in ("StitchedLDS", "EM from random")
    }
    chance = r["EM from random"]
    ahead = [seed for seed, value in chance.items() if value > r["StitchedLDS"][seed]]
    random = (
        f", of EM from one random start {median(chance.values()):.3f}, which is ahead in {len(ahead)} of"
        f" {len(chance)} seeds"
        if chance
        else ""
    )
    largest = constant("dynamics_reference", "LARGEST_ANGLE")
    return (
        f"p = 100, n = 4, T = 1000: fully observed in {result['full_seconds']:.2f} s, all angles within {largest} of"
        f" π/2 in {result['full_seeds_ok']} of {result['full_seeds']} seeds; stitched, pairs never recorded together"
        f" r = {result['stitched_unseen_r']:.3f}, {result['stitched_unseen_r_em']:.3f} after EM (knowing the loadings"
        f" and every latent state: {result['stitched_unseen_r_ceiling']:.3f}{random}); against the covariance that"
        f" these frames realised {result['stitched_unseen_r_realised']:.3f},"
        f" {result['stitched_unseen_r_em_realised']:.3f} after EM."
    )


def dynamics_scale(result: Result) -> str:
    """The largest size, with the settings that no user has by default."""
    rows = result["rows"]
    big = next((row for row in rows if row["disk"]), max(rows, key=lambda row: row["p"]))
    pairs = [(one, row) for row in rows if is_default(row) for one in rows if _alike(one, row)]
    slower = (
        "; default settings take "
        + ", ".join(f"{row['seconds'] / one['seconds']:.1f} times as long at {row['p']:,}" for one, row in pairs)
        if pairs
        else ""
    )
    return (
        f"{big['p']:,} neurons ({big['gigabytes_read']:.2g} GB{' from disk' if big['disk'] else ''}) in"
        f" {big['seconds']:.0f} s with {big['peak_gb']:.1f} GB, pairs never recorded together r ="
        f" {big['unseen_r']:.3f}; {given_settings()}{slower}."
    )


def load(result: Result) -> str:
    """The largest size through all stages, with the growth of memory from the smallest."""
    rows, n_stages = result["rows"], len(constant("load", "STAGES"))
    last, smallest = rows[-1], max(row["peak_gb"] for row in rows[1 : 1 + n_stages])
    several = len(rows) > 1 + n_stages
    grown = f" ({smallest:.1f} GB at {rows[0]['neurons']:,} × {rows[0]['frames']:,})" if several else ""
    given = result.get("components", constant("load", "N_FACTORS"))
    how = f"the {given} latent dimensions of the simulation given" if given else "latent dimensions chosen"
    return (
        f"{last['neurons']:,} neurons × {last['frames']:,} frames through all stages, {how}, in"
        f" {result['seconds_total'] / 60:.1f} min with at most {result['peak_gb']:.1f} GB{grown}; in passes over the"
        f" data spikes take {result['passes_spikes']:.0f}, dynamics {result['passes_dynamics']:.0f}, dimension"
        f" {result['passes_dimension']:.0f}."
    )


def spikes_adaptation(result: Result) -> str:
    """Change by means and by medians over neurons, and what is reached without ground truth, beside OASIS."""
    runs, oasis, parts = result["runs"], result["peers"]["OASIS"], []
    if "folds" in runs:
        sets = runs["folds"]["sets"]
        parts.append(
            "unlabelled adaptation of networks that have not seen the set: r at lag 0 by medians over neurons"
            f" {gains(sets, 'r_lag0')}, by means {gains(sets, 'mean_r')}; median count ratio"
            f" {runs['folds']['median_count_ratio']:.2f} (goals +0.020, -0.010, 0.7–1.4)"
        )
    if "simulations" in runs:
        after, sets = runs["simulations"]["after"], runs["simulations"]["sets"]
        parts.append(
            f"without ground truth anywhere, by medians: r {after['r_learnt_lag']:.3f} at the learnt lag (OASIS"
            f" {oasis['r_learnt_lag']:.3f}), {after['r_smooth']:.3f} smoothed ({oasis['r_smooth']:.3f}), adaptation"
            f" changes r at lag 0 by {gains(sets, 'r_lag0')}"
        )
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def spikes_ground_truth(result: Result) -> str:
    """Unseen sets, beside every peer."""
    peers = result["peers"]
    lag0, smooth = (
        "; ".join(f"{name} {row[key]:.3f}" for name, row in peers.items()) for key in ("r_lag0", "r_smooth")
    )
    return (
        f"Mean over {len(result['sets'])} unseen sets: r {result['mean_r_lag0']:.3f} at lag 0 ({lag0}),"
        f" {result['mean_r_smooth']:.3f} smoothed ({smooth}); median count ratio {result['median_count_ratio']:.2f};"
        " CASCADE was trained on DS03–DS20."
    )


def spikes_spikefinder(result: Result) -> str:
    """Ours and the best entry on every set."""
    n_networks, n_grids = len(result["networks_trained_on"]), constant("spikes_spikefinder", "GRIDS")
    parts = []
    for name, row in result["sets"].items():
        found, best = row["mean_r"], best_entry(row["mean_r"])
        notes = [f"{found['antidrome, unseen']:.3f} by the one network that has not seen set 5"]
        notes += [f"{found[key]:.3f} by it on one grid" for key in ("antidrome, unseen, one grid",) if key in found]
        notes += [f"best entry {best} {found[best]:.3f}"] if best else []
        notes = notes if "antidrome, unseen" in found else notes[1:]
        parts.append(f"{name}: r {found['antidrome']:.3f} ({'; '.join(notes)})")
    return (
        f"Spikefinder, mean of {n_networks} networks that read each trace on {n_grids} grids, at a recorded rate that"
        f" is guessed from its spectrum; no test neuron seen, test scores in view while variants were compared;"
        f" {'; '.join(parts)}."
    )


def spikes_unsupervised(result: Result) -> str:
    """Both simulated data sets, beside the paper's figures, and what the fits start from."""
    runs = result["runs"]
    start = {"ex2": ", from the paper's initial values and rate,"}
    parts = [
        f"{name}{start.get(name, '')} r {runs[name]['r']:.3f} in {runs[name]['minutes']:.0f} min (paper {r:.3f} in"
        f" {minutes:.0f} min on a GPU, best state by true spikes)"
        for name, (r, minutes) in constant("spikes_unsupervised", "PAPER").items()
        if name in runs
    ]
    return f"Unsupervised: {'; '.join(parts)}."


HEADLINES: dict[str, Callable[[Result], str]] = {
    "dimension_exactness": dimension_exactness,
    "dimension_speed": dimension_speed,
    "dynamics_real": dynamics_real,
    "dynamics_reference": dynamics_reference,
    "dynamics_scale": dynamics_scale,
    "load": load,
    "mechanism_paper": mechanism_paper,
    "mechanism_recordings": mechanism_recordings,
    "mechanism_sbibm": mechanism_sbibm,
    "mechanism_speed": mechanism_speed,
    "spikes_adaptation": spikes_adaptation,
    "spikes_ground_truth": spikes_ground_truth,
    "spikes_spikefinder": spikes_spikefinder,
    "spikes_unsupervised": spikes_unsupervised,
}


def headline_of(benchmark: str, result: Result) -> str:
    """What a benchmark found, in a sentence."""
    return HEADLINES[benchmark](result) if benchmark in HEADLINES else result["headline"]


def command_of(benchmark: str, result: Result) -> str:
    """The command that repeats a benchmark as its result was measured."""
    options = ""
    if benchmark == "dimension_speed" and (limit := stopped_after(result)):
        options = f" --limit {cell(float(limit))}"
    if benchmark == "dynamics_scale" and any(row["disk"] for row in result["rows"]):
        options = " --disk FOLDER"
    return f"python -m benchmarks.{benchmark}{options}"


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    same = all(one[key] == other[key] for key in ("p", "overlap", "disk", "n_frames"))
    return same and not is_default(one)
