"""Claim: the experiments of Lueckmann et al. (2017) come out as published.

1. Mixture of Gaussians: every run is completed over the rounds, where dividing by the proposal fails.
2. GLM: mean and covariance agree with Pólya–Gamma MCMC, with a fraction of the simulations of SMC-ABC.
3. Autapse: the share of failing simulations falls with a classifier of failures, and less without.
4. Hodgkin–Huxley, 12 parameters: the truth is in the 95 % region, predicted features are those observed.
5. Missing features: 40 % missing leave the posterior about as it is with none missing.
6. Learned features: the posterior narrows as the trace grows from 60 to 240 ms.

Experiments that FILE (or a file of --merge) already holds are kept and not repeated, so all can be done in pieces.

    python -m benchmarks.mechanism_paper [--experiments mixture glm …] [--merge FILE …] [--figures FILE.html] [--quick]
                                         [--json FILE] [--seed N]
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from benchmarks import mechanism_experiments as experiments
from benchmarks.harness import finish, options, show
from benchmarks.tables.headlines import headline_of
from benchmarks.tables.mechanism_headlines import by_kind

FULL = {
    "mixture": lambda seed: experiments.mixture_rounds(20, 5, 1000),
    "glm": lambda seed: experiments.glm_against_gibbs(5, 5000, 1_000_000, 10_000, seed),
    "autapse": lambda seed: experiments.autapse_failures(10, 2000, seed),
    "hodgkin_huxley": lambda seed: experiments.hodgkin_huxley(5, 5000, seed),
    "missing": lambda seed: experiments.missing_features(20_000, 4000, seed),
    "learned": lambda seed: experiments.learned_features(10_000, (60.0, 120.0, 240.0), seed),
}
QUICK = {
    "mixture": lambda seed: experiments.mixture_rounds(2, 2, 300),
    "glm": lambda seed: experiments.glm_against_gibbs(2, 1000, 20_000, 1000, seed),
    "autapse": lambda seed: experiments.autapse_failures(3, 500, seed),
    "hodgkin_huxley": lambda seed: experiments.hodgkin_huxley(2, 500, seed),
    "missing": lambda seed: experiments.missing_features(1000, 500, seed),
    "learned": lambda seed: experiments.learned_features(200, (60.0,), seed),
}
QUICK_DEFAULT = ("autapse", "missing")


def tables(found: dict[str, Any]) -> None:
    """Print what has rows."""
    if rows := found.get("mixture"):
        show(
            "Mixture of Gaussians",
            ["rounds", "method", "completed", "divergence"],
            [list(row.values()) for row in rows],
        )
    if glm := found.get("glm"):
        columns = list(glm["ours"])
        rows = [[name, *(glm[name][column] for column in columns)] for name in ("ours", "smc_abc")]
        show("GLM against Pólya–Gamma Gibbs", ["method", *columns], rows)
    if autapse := found.get("autapse"):
        rows = [[i + 1, a, b] for i, (a, b) in enumerate(zip(*autapse.values(), strict=True))]
        show("Autapse: share of failing simulations", ["round", *autapse], rows)
    if missing := found.get("missing"):
        columns = list(missing["missing_against_exact"])
        names = ("missing_against_exact", "none_missing_against_exact")
        show(
            "GLM with 40 % of features missing in simulations, against Pólya–Gamma Gibbs",
            ["posterior", *columns],
            [[name, *(missing[name][column] for column in columns)] for name in names],
        )
    if cell := found.get("hodgkin_huxley"):
        rounds = cell["marginals_by_round"]
        rows = [
            [name, *(row[key][name] for row in (rounds[0], rounds[-1]) for key in ("low_95", "median", "high_95"))]
            for name in rounds[0]["median"]
        ]
        columns = [
            f"{key}, round {row['round']}" for row in (rounds[0], rounds[-1]) for key in ("low", "median", "high")
        ]
        show("Hodgkin–Huxley: marginals in units of the true values", ["parameter", *columns], rows)
    if learned := found.get("learned"):
        show("Learned features", list(learned[0]), [list(row.values()) for row in learned])


def write_figures(found: dict[str, Any], path: Path) -> None:
    """One page with a figure for each experiment that has curves."""
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    from antidrome.core.files import atomic_write

    figures = []

    def draw(title: str, x: str, y: str, curves: dict[str, tuple[list, list]]) -> None:
        plot = figure(title=title, x_axis_label=x, y_axis_label=y, width=640, height=320)
        for (name, (xs, ys)), colour in zip(curves.items(), ("#1f6f8b", "#d1495b", "#8d6a9f"), strict=False):
            plot.line(xs, ys, legend_label=name, color=colour, line_width=2)
            plot.scatter(xs, ys, color=colour, size=7)
        figures.append(plot)

    if rows := found.get("mixture"):
        for column_name, label in (("completed", "share of runs"), ("divergence", "KL(truth ‖ posterior), nats")):
            curves = {
                method: tuple([row[key] for row in rows if row["method"] == method] for key in ("rounds", column_name))
                for method in ("snpe-b", "division")
            }
            draw(f"Mixture: {column_name}", "rounds", label, curves)
    if autapse := found.get("autapse"):
        curves = {name: (list(range(1, len(y) + 1)), y) for name, y in autapse.items()}
        draw("Autapse: failing simulations", "round", "share", curves)
    if glm := found.get("glm"):
        number = list(range(len(glm["names"])))
        curves = {"Pólya–Gamma": (number, glm["gibbs_mean"]), "ours": (number, glm["ours_mean"])}
        draw("GLM: posterior means", "parameter (b₀, h₁ … h₉)", "mean", curves)
    if cell := found.get("hodgkin_huxley"):
        rounds = cell["marginals_by_round"]
        width = {name: [row["high_95"][name] - row["low_95"][name] for row in rounds] for name in rounds[0]["median"]}
        narrowest = sorted(width, key=lambda name: width[name][-1])[:3]
        curves = {name: ([row["round"] for row in rounds], width[name]) for name in narrowest}
        draw("Hodgkin–Huxley: the three best known parameters", "round", "95 % interval / true value", curves)
    if learned := found.get("learned"):
        curves = {
            kind: tuple([row[key] for row in rows] for key in ("duration_ms", "mean_sd"))
            for kind, rows in by_kind(learned).items()
        }
        draw("Learned features: width of the posterior", "trace (ms)", "sd (prior: 1)", curves)
    with atomic_write(path) as temporary:
        page = file_html(column(*figures), INLINE, "The experiments of Lueckmann et al. (2017)")
        Path(temporary).write_text(page, encoding="utf-8")


def earlier(paths: list[Path], seed: int) -> dict[str, Any]:
    """The experiments in full that files of results hold already, each with its seconds."""
    found: dict[str, Any] = {"minutes": {}}
    for path in paths:
        if not path.is_file():
            continue
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("seed") != seed or kept.get("quick"):
            continue
        found |= {name: kept[name] for name in FULL if kept.get(name)}
        found["minutes"] |= kept["minutes"]
    return found


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--merge", nargs="+", type=Path, default=[], help="results of pieces that were run before")
    parser.add_argument("--experiments", nargs="+", choices=list(FULL), default=None)
    parser.add_argument("--figures", type=Path, help="page with the figures")
    arguments = parser.parse_args()
    started = time.time()
    names = arguments.experiments or list(QUICK_DEFAULT if arguments.quick else FULL)
    chosen = QUICK if arguments.quick else FULL
    files = [*arguments.merge, *([arguments.json] if arguments.json else [])]
    found = {"minutes": {}} if arguments.quick else earlier(files, arguments.seed)
    for name in names:
        if name in found:
            continue
        begun = time.perf_counter()
        found[name] = chosen[name](arguments.seed)
        found["minutes"][name] = (time.perf_counter() - begun) / 60
        print(f"{name}: {found['minutes'][name]:.1f} minutes", flush=True)
    tables(found)
    if arguments.figures:
        write_figures(found, arguments.figures)
    about = {"seed": arguments.seed, "quick": arguments.quick}
    finish({"headline": headline_of("mechanism_paper", found), **about, **found}, started, arguments.json)


if __name__ == "__main__":
    main()
