"""Tables of the benchmarks of mechanism."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables.table import Row, Table, beside, constant, medians, pivoted

SETTINGS = "mechanism_experiments"
"""The module whose constants are the settings of the paper's experiments."""
VARIANTS = ("bernoulli_glm_raw", "slcp_distractors")
"""Tasks that the mean over the seven leaves out."""
NETWORKS = (
    "Both are mixtures of ten Gaussians behind two hidden layers of 50, but not the same network: ours has tanh units,"
    " a linear step from the features to the density, biases spread over the parameters, and starts from a linear"
    " regression; sbi's has ReLU units and none of these. The densities differ for that reason, too."
)
AGREEMENT = {
    "mean error of means, sd": "mean_error_sd",
    "largest error of means, sd": "largest_mean_error_sd",
    "ratio of sds": "sd_ratio",
    "error of correlations": "correlation_error",
}


def paper(result: Mapping[str, Any]) -> list[Table]:
    """The experiments of Lueckmann et al. (2017), each beside its reference."""
    mixture = pivoted(result["mixture"], "rounds", "method")
    glm, missing = result["glm"], result["missing"]
    cell = result["hodgkin_huxley"]["posterior_to_prior_sd"]
    autapse = [
        {"round": number, "with": kept, "without": lost}
        for number, (kept, lost) in enumerate(
            zip(result["autapse"]["with_classifier"], result["autapse"]["without"], strict=True), 1
        )
    ]
    learned = pivoted(result["learned"], "duration_ms", "features")
    fits = [
        glm["ours"] | {"method": "ours", "simulations": glm["simulations"]},
        glm["smc_abc"] | {"method": "SMC-ABC", "simulations": glm["smc_abc_simulations"]},
    ]
    parts = (
        ("40 % missing beside none missing", missing),
        ("40 % missing beside the exact posterior", missing["missing_against_exact"]),
        ("none missing beside the exact posterior", missing["none_missing_against_exact"]),
    )
    division = {"division": "division/divergence"}
    return [
        Table(
            "Mixture: a row is a number of rounds; share of runs that were completed, and divergence from the exact"
            " posterior over those, ours (snpe-b) and with division by the proposal.",
            {
                "rounds": "rounds",
                "ours, completed": "snpe-b/completed",
                "division, completed": "division/completed",
                "ours, divergence": "snpe-b/divergence",
                "division, divergence": "division/divergence",
            },
            mixture,
            [
                beside("Divergence", mixture, "snpe-b/divergence", division, name=_round, more=False),
                f"Both have a density of their own ({_said(constant(SETTINGS, 'MIXTURE'))}), not the default.",
            ],
        ),
        Table(
            "GLM: a row is a method, its posterior beside that of MCMC (errors in posterior standard deviations).",
            {"method": "method", "simulations": "simulations"} | AGREEMENT,
            fits,
            [
                "Ours is snpe-b, the paper's method, not the default, with a density"
                f" ({_said(constant(SETTINGS, 'GLM'))}) and a training ({_said(constant(SETTINGS, 'GLM_TRAINING'))}) of"
                " its own."
            ],
        ),
        Table(
            "Autapse: a row is a round; share of simulations that fail.",
            {"round": "round", "with the classifier": "with", "without": "without"},
            autapse,
            [
                beside("Failures", autapse, "with", {"none": "without"}, name=_round, who="the classifier", more=False),
                "Both are snpe-b with its own settings.",
            ],
        ),
        Table(
            "Hodgkin–Huxley: a row is a parameter; standard deviation of the posterior over that of the prior.",
            {"parameter": "parameter", "posterior over prior": "ratio"},
            [{"parameter": name.replace("_", " "), "ratio": ratio} for name, ratio in cell.items()],
            [f"The method is snpe-b with a density of its own ({_said(constant(SETTINGS, 'CELL'))})."],
        ),
        Table(
            "Missing features: a row is a comparison of two posteriors.",
            {"comparison": "comparison"} | AGREEMENT,
            [values | {"comparison": name} for name, values in parts],
        ),
        Table(
            "Learned features: a row is a duration; mean sd of the posterior (prior: 1) and largest distance of the"
            " truth from its mean, in posterior sds.",
            {
                "duration, ms": "duration_ms",
                "gru, sd": "gru/mean_sd",
                "convolution, sd": "convolution/mean_sd",
                "gru, largest distance": "gru/largest_z",
                "convolution, largest distance": "convolution/largest_z",
            },
            learned,
        ),
    ]


def recordings(result: Mapping[str, Any]) -> list[Table]:
    """Cells of the Allen Institute: what the posterior reproduces."""
    n_traces = constant("mechanism_recordings", "PREDICTIVE")
    return [
        Table(
            f"A row is a cell: errors are those of the median over {n_traces} traces drawn from the posterior, feature"
            " by feature; shares are of those traces, and of as many of the prior. The time is that of the fit without"
            " its diagnosis.",
            {
                "cell": "cell",
                "spikes": "spikes",
                "error of spike count": "spike_count_error",
                "error at rest, mV": "rest_error_mv",
                "error of the mean, mV": "mean_error_mv",
                "share within 2 spikes": "share_of_traces_within_2_spikes",
                "share within 1 mV at rest": "share_of_traces_within_1_mv_of_rest",
                "prior, within 2 spikes": "share_of_prior_within_2_spikes",
                "time, min": "minutes",
            },
            result["cells"],
        )
    ]


def sbibm(result: Mapping[str, Any]) -> list[Table]:
    """C2ST of our methods beside the published ones, task by task."""
    tasks = result["c2st"]
    names = list(next(iter(tasks.values())))
    seven = [row for task, row in tasks.items() if task not in VARIANTS]
    mean = {
        name: fmean(known)
        if len(known := [row[name] for row in seven if row[name] is not None]) == len(seven)
        else None
        for name in names
    }
    rows: list[Row] = [{"task": task.replace("_", " ")} | row for task, row in tasks.items()]
    published = {name: name for name in names if name.startswith("published ")}
    seen = len({row["observation"] for row in result["rows"]})
    headings = {name.replace("published ", "") + (", published" if name in published else ""): name for name in names}
    return [
        Table(
            f"A row is a task at {result['budget']:,} simulations: C2ST (0.5 is perfect, 1 the worst), means over"
            f" {seen} observations (of what was published: over its own); default, snpe-b and npe are ours.",
            {"task": "task"} | headings,
            [*rows, {"task": f"mean of {len(seven)} (without the variants)"} | mean],
            [beside("C2ST", rows, "default", published, name="task", who="the default", more=False), _rounds(result)],
        )
    ]


def speed(result: Mapping[str, Any]) -> list[Table]:
    """Training beside `sbi`: time, loss, and what else takes time."""
    shown = trainings(result["rows"])

    def words(what: str, key: str, more: bool) -> str:
        return beside(what, shown, f"ours_{key}", {"sbi": f"sbi_{key}"}, name="simulations", more=more)

    return [
        Table(
            "A row is a number of simulations of two moons: whole trainings with their wait for improvement, medians"
            " over seeds, one core; held-out log density on 20,000 fresh pairs.",
            {
                "simulations": "simulations",
                "seeds": "n",
                "ours, training, s": "ours_training_s",
                "sbi, training, s": "sbi_training_s",
                "sbi over ours, with first calls": "first_speedup",
                "sbi over ours, once compiled": "speedup",
                "ours, held-out log density": "ours_log_prob",
                "sbi, held-out log density": "sbi_log_prob",
            },
            shown,
            [words("Training time", "training_s", False), words("Held-out log density", "log_prob", True), NETWORKS],
        ),
        *_reaching(shown),
        Table(
            "The same runs, medians over seeds: what a first call costs more (compilation, once), epochs, drawing"
            " 10,000 samples.",
            {
                "simulations": "simulations",
                "seeds": "n",
                "ours, first call, s": "ours_first_call_s",
                "sbi, first call, s": "sbi_first_call_s",
                "ours, epochs": "ours_epochs",
                "sbi, epochs": "sbi_epochs",
                "ours, sampling, s": "ours_sampling_s",
                "sbi, sampling, s": "sbi_sampling_s",
            },
            shown,
            [words("First call", "first_call_s", False), words("Sampling", "sampling_s", False)],
        ),
    ]


def trainings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Medians over the seeds for every number of simulations, with the ratio of first calls and trainings together."""
    measured = ("training_s", "first_call_s", "sampling_s", "epochs", "log_prob", "reached_s")
    with_first = [{**row, "first_speedup": _first(row["sbi"]) / _first(row["ours"])} for row in rows]
    of = [f"{who}/{what}" for who in ("ours", "sbi") for what in measured]
    return medians(with_first, ["simulations"], [*of, "speedup", "first_speedup"])


def _first(costs: Row) -> float:
    return costs["first_call_s"] + costs["training_s"]


def _reaching(shown: Sequence[Row]) -> list[Table]:
    """Both up to the log density at which sbi ends, where both were judged on the same pairs."""
    if all(row["ours_reached_s"] is None for row in shown):
        return []
    return [
        Table(
            "The same runs, compiled before: seconds until the held-out log density at which sbi ends is first reached,"
            " both on the same fresh pairs; medians over seeds.",
            {
                "simulations": "simulations",
                "seeds": "n",
                "ours, s": "ours_reached_s",
                "sbi, s": "sbi_reached_s",
            },
            shown,
            [beside("Time", shown, "ours_reached_s", {"sbi": "sbi_reached_s"}, name="simulations", more=False)],
        )
    ]


def _rounds(result: Mapping[str, Any]) -> str:
    """How the budget is spent, beside what a user has who says nothing."""
    rounds, usual = (constant("mechanism_sbibm", f"USUAL_{what}") for what in ("ROUNDS", "SIMULATIONS"))
    spent = []
    for method, shares in constant("mechanism_sbibm", "SHARES").items():
        sizes = [f"{round(share * result['budget']):,}" for share in shares]
        alike = len(sizes) > 1 and len(set(sizes)) == 1
        spent.append(f"{method} {f'{len(sizes)} rounds of {sizes[0]}' if alike else ' + '.join(sizes)}")
    return (
        f"Simulations by round: {'; '.join(spent)}. That is no default: `SNPE()` has {rounds['default']} rounds of"
        f" {usual:,}, 'snpe-b' {rounds['snpe-b']}."
    )


def _said(settings: Mapping[str, Any]) -> str:
    """Settings in words."""
    return ", ".join(f"{name.replace('_', ' ')} {choice}" for name, choice in settings.items())


def _round(row: Row) -> str:
    return f"round {row['round']}" if "round" in row else f"{row['rounds']} rounds"
