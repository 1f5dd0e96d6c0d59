"""What a posterior over a model's parameters contributes to each section of the page."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from antidrome.recordings.arguments import counted
from antidrome.report.charts import panels
from antidrome.report.citations import citations_part
from antidrome.report.encode import float_text
from antidrome.report.mechanism_charts import calibration_charts, result_charts
from antidrome.report.mechanism_view import MechanismView, Traces, mechanism_view
from antidrome.report.page import Part, RunInfo, page_html, render, write_html
from antidrome.report.statement import Statement
from antidrome.report.table import figures, shown

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.mechanism.rounds import RoundReport

UNITS = "Parameters are in the units that stand behind their names; intervals are central 95 % of the posterior."
FILES = (
    {"name": "posterior.safetensors", "what": "the posterior: antidrome.mechanism.Posterior.load opens it"},
    {"name": "samples.csv", "what": "posterior samples"},
    {"name": "summary.json", "what": "intervals, rounds, diagnosis"},
)
MOST_PARAMETERS = 12
"""Parameters in the pair plot; the table has all."""


def mechanism_part(view: MechanismView, run: RunInfo) -> Part:
    """The posterior's share of the page.

    Parameters
    ----------
    view
        From `mechanism_view`.
    run
        What was run.
    """
    results, figures = panels(result_charts(view))
    calibration, more = panels(calibration_charts(view))
    names, units = _labels(view)
    drawn = min(len(names), MOST_PARAMETERS)
    data = {
        "names": names[:drawn],
        "units": units[:drawn],
        "best": [float(value) if math.isfinite(value) else None for value in view.best[:drawn]],
        "samples": "mechanism-samples",
        "prior": "mechanism-prior",
    }
    return Part(
        sections={
            "run": render("mechanism_run", cards=_cards(view), run=run),
            "results": render(
                "mechanism_results", names=names[:drawn], units=units, left_out=len(names) - drawn,
                samples=len(view.samples), charts=results,
            ),
            "trust": render(
                "mechanism_trust", statements=_statements(view), charts=calibration, predictive=_predictive(view)
            ),
            "tables": render(
                "mechanism_tables", rows=_rows(view), rounds=[_round(r) for r in view.posterior.reports],
                files=run.files,
            ),
        },
        figures={**figures, **more},
        data={"mechanism": data},
        blocks=[
            ("mechanism-samples", float_text(view.samples[:, :drawn].ravel())),
            ("mechanism-prior", float_text(view.prior_samples[:, :drawn].ravel())),
        ],
    )  # fmt: skip


def mechanism_report(
    fitted: Any,
    run: RunInfo | None = None,
    *,
    traces: Traces | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> str:
    """The self-contained HTML page of a fitted posterior.

    Parameters
    ----------
    fitted
        A fitted `SNPE`, or a `Posterior` (without training curves and diagnosis).
    run
        What was run; by default what the posterior knows.
    traces
        Measured and predicted traces, from `antidrome.report.mechanism_view.predicted_traces`.
    notes
        What was done to the measurement before, one sentence each.
    seed
        Of the summary in the table, as in `Posterior.summary`.

    Returns
    -------
    str
        HTML. It asks no network for anything and forbids itself to.

    Raises
    ------
    InputError
        What was given is no fitted posterior.
    """
    view = mechanism_view(fitted, traces=traces, notes=notes, seed=seed)
    run = run or posterior_run(view)
    cited = citations_part(["antidrome", *view.posterior.citations])
    return page_html(run, [mechanism_part(view, run), cited], units=UNITS)


def write_mechanism_report(
    path: str | os.PathLike[str],
    fitted: Any,
    *,
    traces: Traces | None = None,
    notes: Sequence[str] = (),
    model: str = "",
    observed: str = "",
    command: str = "",
    seed: int = 0,
) -> None:
    """Write the page of `mechanism_report` to a file, atomically.

    Parameters
    ----------
    model, observed, command
        Name of the model, file of the observation, and the command line, for "What was run".
    seed
        Of the summary in the table, as in `Posterior.summary`.
    """
    view = mechanism_view(fitted, traces=traces)
    run = posterior_run(view, model, observed, command)
    write_html(path, mechanism_report(fitted, run, traces=traces, notes=notes, seed=seed))


def posterior_run(view: MechanismView, model: str = "", observed: str = "", command: str = "") -> RunInfo:
    """What the page says of the run, from the posterior itself."""
    posterior = view.posterior
    return RunInfo.of(
        f"Posterior of {model}" if model else "Posterior of a mechanistic model",
        f"{counted(len(posterior.names), 'parameter')}, inferred from"
        f" {counted(np.isfinite(posterior.observation).sum(), 'feature')}.",
        command=command,
        model=model,
        seed=posterior.seed,
        config={
            "observation": observed or "in memory",
            "method": posterior.method,
            "rounds": len(posterior.reports),
            "simulations": sum(report.simulations for report in posterior.reports),
        },
        files=FILES if command else (),
    )


def _labels(view: MechanismView) -> tuple[list[str], list[str]]:
    return list(view.posterior.names), [unit or "" for unit in view.posterior.prior.units]


def _cards(view: MechanismView) -> list[dict[str, str]]:
    reports = view.posterior.reports
    simulations, failed = sum(r.simulations for r in reports), sum(r.failed for r in reports)
    seconds = sum(r.simulating_s + r.training_s for r in reports)
    last = reports[-1] if reports else None
    return [
        {"number": f"{len(view.posterior.names)}", "label": "parameters"},
        {"number": f"{simulations:,}", "label": f"simulations in {counted(len(reports), 'round')}"},
        {"number": f"{failed:,}", "label": "simulations failed"},
        {"number": shown(last.effective if last else math.nan, 0), "label": "effective in the last round"},
        {"number": shown(seconds / 60, 1), "label": "minutes"},
    ]


def _statements(view: MechanismView) -> list[Statement]:
    """The conclusions, then notes."""
    if view.diagnosis is None:
        found = [Statement("care", "This posterior was not judged: nothing is known of its calibration.")]
    else:
        level = "good" if view.diagnosis.trustworthy else "care"
        found = [
            Statement("fact" if text.startswith("Judged by") else level, text) for text in view.diagnosis.conclusions
        ]
    said = {one.text for one in found}
    return found + [Statement("fact", note) for note in (*view.notes, *view.posterior.notes) if note not in said]


def _predictive(view: MechanismView) -> list[dict[str, str]]:
    """Observed features beside those simulated at the posterior."""
    table = None if view.diagnosis is None else view.diagnosis.predictive
    if table is None:
        return []
    units = view.posterior.feature_units or ("",) * table.sizes["feature"]
    rows = []
    for i, name in enumerate(table["feature"].values.tolist()):
        value = _figures(table, i, "observed", "median", "low_95", "high_95")
        (tail,) = figures(float(table["tail_probability"][i]))
        rows.append({**value, "name": str(name), "unit": units[i], "tail": tail})
    return rows[:200]


def _rows(view: MechanismView) -> list[dict[str, str]]:
    names, units = _labels(view)
    summary = view.summary.assign(best=("parameter", view.best))
    return [
        {"name": name, "unit": units[i]}
        | _figures(summary, i, "best", "mean", "median", "low_95", "high_95")
        | _figures(summary, i, "prior_low_95", "prior_high_95")
        | _figures(summary, i, "sd")
        for i, name in enumerate(names)
    ]


def _round(report: RoundReport) -> dict[str, str]:
    return {
        "round": str(report.round),
        "simulations": f"{report.simulations:,}",
        "failed": f"{report.failed:,}",
        "trained_on": f"{report.trained_on:,}",
        "effective": shown(report.effective, 0),
        "largest": shown(100 * report.largest_weight, 2),
        "epochs": shown(report.epochs, 0),
        "loss": shown(report.loss, 3),
        "seconds": shown(report.simulating_s + report.training_s, 1),
    }


def _figures(table: xr.Dataset, i: int, *keys: str) -> dict[str, str]:
    """Numbers of one scale, of the `i`-th row, as the page prints them."""
    return dict(zip(keys, figures(*(float(table[key][i]) for key in keys)), strict=True))
