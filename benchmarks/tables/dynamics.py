"""Tables of the benchmarks of dynamics."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.table import Row, Table, beside, cell, constant, medians, pivoted

NO_PEERS = ("StitchedLDS", "StitchedLDS + EM", "ceiling", "EM from the truth")
"""Ours, and methods that are given what the others have to find."""
HOW = (
    "EM is ours, 40 iterations, and dynamax's, 60, from one start each; DynamicFactorMQ is stopped after 15; dynamax"
    " and DynamicFactorMQ run on the first seed only."
)


def real(result: Mapping[str, Any]) -> list[Table]:
    """Pairs never recorded together, beside factor analysis and EM."""
    rows, n_iterations = result["rows"], constant("dynamics_real", "EM_ITERATIONS")

    def name(row: Row) -> str:
        return f"{row['set']} {row['seed']}"

    peers = {
        "FA": "r_fa",
        "FA with our shrinkage": "r_fa_shrunken",
        "EM from our solution": "r_em",
        "EM from random loadings": "r_em_random",
    }
    return [
        Table(
            "A row is one recording and one mask (seed): r of predicted and measured correlations of pairs never"
            " recorded together, and slope of measured on predicted (1 is right); EM"
            f" ({n_iterations} iterations) was run on the first mask of the worms and of one mouse.",
            {
                "recording": "set",
                "seed": "seed",
                "ours, r": "r",
                "FA, r": "r_fa",
                "FA, our shrinkage, r": "r_fa_shrunken",
                "EM from ours, r": "r_em",
                "EM from random, r": "r_em_random",
                "ours, slope": "slope",
                "FA, slope": "slope_fa",
            },
            rows,
            [beside("r", rows, "r", peers, name=name)],
        ),
        Table(
            "A row is a kind of recording: medians over recordings and masks.",
            {
                "recordings": "kind",
                "rows": "n",
                "pairs": "pairs",
                "ours, r": "r",
                "FA, r": "r_fa",
                "FA, our shrinkage, r": "r_fa_shrunken",
                "gain over FA, r": "gain_over_fa",
                "ours, slope": "slope",
                "time of ours, s": "seconds",
            },
            medians(rows, ["kind"], ["pairs", "r", "r_fa", "r_fa_shrunken", "gain_over_fa", "slope", "seconds"]),
        ),
    ]


def reference(result: Mapping[str, Any]) -> list[Table]:
    """The demonstration problem: every method, medians over the seeds."""
    measured = ["seconds", "compilation_s", "largest_angle", "unseen_r", "unseen_r_realised"]
    shared = {"method": "method", "seeds": "n", "time, s": "seconds", "largest principal angle, π/2": "largest_angle"}
    unseen = {"unseen pairs, r": "unseen_r", "against the realised covariance, r": "unseen_r_realised"}
    tables = []
    for data, what in (("full", "fully observed"), ("stitched", "three subpopulations recorded in turn")):
        rows = medians([row for row in result["rows"] if row["data"] == data], ["method"], measured)
        seeds = pivoted([row for row in result["rows"] if row["data"] == data], "seed", "method")
        timed = dict(shared)
        if any(row["compilation_s"] is not None for row in rows):
            timed["compilation, s, apart"] = "compilation_s"
        peers = [row["method"] for row in rows if row["method"] not in NO_PEERS]
        measures = [("Largest angle", "largest_angle", False), ("Time", "seconds", False)]
        measures += [("r of unseen pairs", "unseen_r", True)]
        words = [
            beside(
                f"{measure} by seed",
                seeds,
                f"StitchedLDS/{key}",
                {peer: f"{peer}/{key}" for peer in peers},
                name=lambda row: f"seed {row['seed']}",
                who="StitchedLDS",
                more=more,
            )
            for measure, key, more in measures
        ]
        tables.append(
            Table(
                f"{what.capitalize()}: a row is a method, medians over its seeds."
                + (" Pairs that the stitched data never hold together are judged here too." if data == "full" else ""),
                timed | unseen,
                rows,
                [HOW, *words, *_where_it_ran(seeds, peers)],
            )
        )
    return tables


def _where_it_ran(seeds: list[dict[str, Any]], peers: list[str]) -> list[str]:
    """For each peer that ran on one of several seeds, its figures beside ours on that seed."""
    found = []
    for peer in peers:
        ran = [row for row in seeds if peer in row]
        if len(ran) != 1 or len(seeds) == 1:
            continue
        ours, theirs = ran[0]["StitchedLDS"], ran[0][peer]
        figures = ", ".join(
            f"{what} {cell(ours[key])} against {cell(theirs[key])}"
            for what, key in (("time, s,", "seconds"), ("largest angle", "largest_angle"), ("unseen r", "unseen_r"))
        )
        found.append(f"On seed {ran[0]['seed']} alone, StitchedLDS against {peer}: {figures}.")
    return found


def is_default(row: Row) -> bool:
    """Whether a fit of the scale was made with the settings that a user has who says nothing but the dimensions."""
    return row.get("settings") == "defaults"


def given_settings() -> str:
    """What the fits of the scale are given, in words."""
    given = constant("dynamics_scale", "SETTINGS") | {"lags": "up to 5 bins"}
    n_components = constant("dynamics_scale", "N_COMPONENTS")
    words = ", ".join(f"{name.replace('_', ' ')} {choice}" for name, choice in given.items())
    return (
        f"given are the {n_components} latent dimensions, and settings that are otherwise chosen on the data ({words})"
    )


def scale(result: Mapping[str, Any]) -> list[Table]:
    """Cost by number of neurons and overlap."""
    rows = [row | {"settings": row.get("settings", "given")} for row in result["rows"]]
    some = {"settings": "settings"} if any(map(is_default, rows)) else {}
    return [
        Table(
            f"A row is one fit; {given_settings()}.",
            {
                "neurons": "p",
                "overlap of sessions": "overlap",
                "from disk": "disk",
                "frames": "n_frames",
                **(some or {"iterations": "iterations"}),
                "read, GB": "gigabytes_read",
                "time, s": "seconds",
                "peak memory, GB": "peak_gb",
                "unseen pairs, r": "unseen_r",
            },
            rows,
        )
    ]
