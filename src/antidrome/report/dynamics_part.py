"""What a linear dynamical system stitched from several sessions contributes to each section of the page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from antidrome.recordings.arguments import counted
from antidrome.report.charts import Chart, panels
from antidrome.report.dynamics_charts import (
    agreement,
    curve_chart,
    likelihood_chart,
    loss_chart,
    overlap_chart,
    pairs_chart,
    shared_chart,
    spectrum_chart,
    trajectory_charts,
)
from antidrome.report.dynamics_view import DynamicsView, dynamics_view
from antidrome.report.page import Part, render
from antidrome.report.statement import Statement

if TYPE_CHECKING:
    from bokeh.model import Model

    from antidrome.dynamics import StitchedLDS

UNITS = "Latent states are in units of the fit; correlations are at the lag named, in time steps of the fit."
FAIR, GOOD = 0.3, 0.7
MOST_MODES = 12


def dynamics_part(
    model: "StitchedLDS",
    latents: Mapping[str, xr.Dataset] | xr.Dataset | None = None,
    *,
    stationarity: xr.Dataset | None = None,
) -> Part:
    """The share of a fitted `StitchedLDS` in the page.

    Parameters
    ----------
    model
        Fitted, or loaded from its file.
    latents
        What its ``transform`` gave, for the trajectories.
    stationarity
        What its ``stationarity`` gave, for the check of each session.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    view = dynamics_view(model, latents, stationarity=stationarity)
    figures: dict[str, Model] = {}

    def laid_out(*charts: Chart | None) -> Any:
        html, found = panels([chart for chart in charts if chart is not None])
        figures.update(found)
        return html

    results = render(
        "dynamics_results",
        overlap=laid_out(overlap_chart(view), shared_chart(view)),
        pairs=laid_out(pairs_chart(view), curve_chart(view)),
        fit=laid_out(
            spectrum_chart(view), loss_chart(view), likelihood_chart(view) if view.log_likelihoods.size else None
        ),
        modes=_mode_rows(view),
        unit=_unit(view),
        trajectories=laid_out(*trajectory_charts(view)),
        n_left_out=max(0, len(view.sessions) - len(view.trajectories)) if view.trajectories else 0,
        curve_missing=curve_chart(view) is None,
        n_components=view.n_components,
    )
    return Part(
        sections={
            "run": render("dynamics_run", cards=_cards(view), settings=view.settings, sessions=_session_rows(view)),
            "checks": render(
                "dynamics_checks",
                warnings=view.warnings,
                deviating=_deviating(view),
                tested=view.stationarity is not None,
                n_sessions=len(view.sessions),
                notes=view.notes,
            ),
            "results": results,
            "trust": render("dynamics_trust", statements=statements(view)),
        },
        figures=figures,
        citations=list(view.citations),
    )


def statements(view: DynamicsView) -> list[Statement]:
    """How far the predictions of the fit can be trusted, from its own held-out pairs."""
    found = [_held_out(view)]
    if view.share_never_together > 0:
        share = 100 * view.share_never_together
        text = f"{share:.1f} % of the pairs were never recorded together; they rest on the model alone."
        found.append(Statement("fact", text))
    found += [Statement("care", sentence) for sentence in view.warnings]
    measured = view.modes["modulus"].values[view.modes["measured"].values]
    slowest = float(measured.max(initial=0.0))
    if slowest > 0.995:
        text = (
            f"The slowest mode keeps {100 * slowest:.2f} % of itself from step to step: sessions that are short"
            " beside its time constant say little about its variance."
        )
        found.append(Statement("care", text))
    if view.stationarity is not None and not _deviating(view):
        found.append(_same_system(view))
    text = (
        "The model is linear, Gaussian and the same in every session: what changes between sessions, or is not linear,"
        " is averaged."
    )
    return [*found, Statement("fact", text)]


def _same_system(view: DynamicsView) -> Statement:
    if view.modes["measured"].values.all():
        return Statement("good", "No session differs from the one system by more than chance.")
    text = (
        "No session was found to differ from the one system; but with a mode whose time constant is not measured, a"
        " session that does differ is easily missed."
    )
    return Statement("care", text)


def _held_out(view: DynamicsView) -> Statement:
    if view.held_out.shape[1] < 3:
        return Statement("fact", "No pairs were held out: nothing here tells how well unrecorded pairs are predicted.")
    r, slope = agreement(*view.held_out)
    level = "good" if r >= GOOD else "care" if r >= FAIR else "bad"
    text = (
        f"Correlations of pairs that were hidden from the fit were predicted with r = {r:.2f}, slope {slope:.2f};"
        " expect about as much for pairs that were never recorded together."
    )
    return Statement(level, text)


def _cards(view: DynamicsView) -> list[dict[str, str]]:
    unit = _unit(view)
    slowest = _constant(float(view.modes[f"time_constant_{unit}"].max()))  # leaves out modes that are not measured
    cards = [
        {"number": f"{view.n_components}", "label": "latent dimensions"},
        {"number": f"{view.n_neurons:,}", "label": f"neurons in {counted(len(view.sessions), 'session')}"},
        {"number": f"{100 * view.share_never_together:.1f} %", "label": "of pairs never recorded together"},
        {"number": f"{slowest} {unit}" if slowest[0].isdigit() else slowest, "label": "slowest time constant"},
    ]
    if view.held_out.shape[1] >= 3:
        cards.append({"number": f"{agreement(*view.held_out)[0]:.2f}", "label": "r of held-out correlations"})
    return cards


def _unit(view: DynamicsView) -> str:
    return "s" if "time_constant_s" in view.modes else "frames"


def _constant(value: float) -> str:
    """A time constant; a dash where it was not measured."""
    if np.isnan(value):
        return "–"
    return f"{value:.3g}" if np.isfinite(value) else "∞"


def _mode_rows(view: DynamicsView) -> list[dict[str, str]]:
    unit, rows = _unit(view), []
    for k in range(min(view.modes.sizes["mode"], MOST_MODES)):
        mode = view.modes.isel(mode=k)
        constant = float(mode[f"time_constant_{unit}"])
        frequency = float(mode["frequency_hz"] if unit == "s" else mode["cycles_per_frame"])
        imag = float(mode["imag"])
        turning = f" {'−' if imag < 0 else '+'} {abs(imag):.4f} i" if imag else ""
        rows.append(
            {
                "value": f"{float(mode['real']):.4f}{turning}",
                "modulus": f"{float(mode['modulus']):.4f}",
                "constant": _constant(constant),
                "frequency": f"{frequency:.3g}" if frequency > 0 else "–",
            }
        )
    return rows


def _session_rows(view: DynamicsView) -> list[dict[str, Any]]:
    return [
        {
            "number": k + 1,
            "id": name,
            "n_neurons": int(view.n_observed[k]),
            "most_shared": int(np.delete(view.shared[k], k).max(initial=0)),
            "group": int(view.component[k]) + 1,
        }
        for k, name in enumerate(view.sessions)
    ]


def _deviating(view: DynamicsView) -> list[dict[str, Any]]:
    if view.stationarity is None:
        return []
    table = view.stationarity
    percent = {name: [f"{100 * float(value):.0f}" for value in table[name].values] for name in ("gap", "expected_gap")}
    rows = zip(table["session"].values, percent["gap"], percent["expected_gap"], table["deviates"].values, strict=True)
    return [{"id": str(name), "gap": gap, "expected": chance} for name, gap, chance, deviates in rows if bool(deviates)]
