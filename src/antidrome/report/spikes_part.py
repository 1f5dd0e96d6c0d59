"""What the spikes contribute to each section of the page."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from antidrome.report.encode import float_text, text
from antidrome.report.figures import browser, overview, small_histogram
from antidrome.report.page import Part, RunInfo, render
from antidrome.report.session import HISTOGRAMS, SessionView
from antidrome.report.table import COLUMNS, rounded, shown
from antidrome.report.trust import model_statements, session_statements

if TYPE_CHECKING:
    from bokeh.model import Model

UNITS = "Spikes are expected spikes per frame; rates in spikes/s."
MAX_ROWS = 1000
"""Rows of a table in the page; the CSV has all."""

SEVERITY = {"info": "Note", "warning": "Warning", "error": "Error"}
HISTOGRAM_TITLES = {
    "noise-histogram": ("Noise level", "noise level (% Hz⁻¹ᐟ²)"),
    "rate-histogram": ("Mean rate", "mean rate (spikes/s)"),
    "amplitude-histogram": ("Amplitude", "amplitude (ΔF/F per spike)"),
}
CHIPS = ("mean_rate_hz", "expected_spikes", "noise_level", "amplitude", "tau_s")


def spikes_part(views: Sequence[SessionView], run: RunInfo, card: Mapping[str, Any]) -> Part:
    """The spikes' share of the page.

    Parameters
    ----------
    views
        One a session, at least one.
    run
        What was run.
    card
        The model card's metadata; may be empty.
    """
    many = len(views) > 1
    has = _what_there_is(views)
    sessions = [_session_context(view, run) for view in views]
    with_trust = [
        {**context, "statements": session_statements(view, card)} for context, view in zip(sessions, views, strict=True)
    ]
    common = {"sessions": sessions, "many": many}
    data, blocks = _data(views)
    return Part(
        sections={
            "run": render("spikes_run", **common, run=run, cards=_cards(views)),
            "checks": render("spikes_checks", **common),
            "results": render("spikes_results", **common, has=has, histograms=_histogram_titles()),
            "trust": render("spikes_trust", sessions=with_trust, many=many, general=model_statements(card)),
            "tables": render(
                "spikes_tables",
                sessions=[{**c, **_table_rows(v)} for c, v in zip(sessions, views, strict=True)],
                many=many, columns=COLUMNS, files=run.files,
            ),
        },
        figures=_figures(has),
        data=data,
        blocks=blocks,
    )  # fmt: skip


def _what_there_is(views: Sequence[SessionView]) -> dict[str, bool]:
    """What any of the sessions has to be drawn."""
    channels = {name for view in views for name in view.channels}
    has = {
        "trace": "first" in channels,
        "sd": "sd" in channels,
        "probability": "probability" in channels and "first" in channels,
        "truth": "truth" in channels,
        "baseline": "baseline" in channels or any(np.isfinite(view.table["baseline"]).any() for view in views),
    }
    has["baseline"] = has["baseline"] and has["trace"]
    return has


def _figures(has: Mapping[str, bool]) -> dict[str, "Model"]:
    rows = browser(trace=has["trace"], band=has["sd"])
    figures = {"figure-overview": overview(rows.select_one({"name": "time"})), "figure-browser": rows}
    for name, (_, label) in HISTOGRAM_TITLES.items():
        figures[f"figure-{name}"] = small_histogram(name, label)
    return figures


def _data(views: Sequence[SessionView]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    blocks: list[tuple[str, str]] = []
    sessions = []
    for index, view in enumerate(views):
        blocks += [(f"s{index}-{name}", channel.text()) for name, channel in view.channels.items()]
        codes, top = view.heat_map.codes()
        blocks.append((f"s{index}-overview", text(codes.tobytes())))
        sessions.append(_session_data(view, index, top))
    columns = [
        {"key": c.key, "title": c.title, "unit": c.unit, "digits": c.digits, "chip": c.key in CHIPS} for c in COLUMNS
    ]
    return {"columns": columns, "sessions": sessions}, blocks


def _session_data(view: SessionView, index: int, top: float) -> dict[str, Any]:
    heat = view.heat_map
    return {
        "id": view.session_id,
        "neurons": view.neurons,
        "shown": view.shown.tolist(),
        "factor": view.factor,
        "interval": heat.interval_s,
        "caption": _browser_caption(view),
        "time": float_text(view.time_s),
        "bin": float_text(view.bin_s),
        "channels": {
            name: {**channel.header(), "island": f"s{index}-{name}"} for name, channel in view.channels.items()
        },
        "table": [[rounded(value) for value in view.table[column.key]] for column in COLUMNS],
        "overview": {
            "island": f"s{index}-overview",
            "rows": heat.rows.tolist(),
            "columns": heat.n_columns,
            "start": heat.start_s,
            "end": heat.end_s,
            "top": top,
            "caption": _overview_caption(view),
        },
        "histograms": {
            name: {**_histogram_data(view, name), "column": HISTOGRAMS[name]} for name in view.histograms
        },
    }  # fmt: skip


def _histogram_data(view: SessionView, name: str) -> dict[str, Any]:
    histogram = view.histograms[name]
    unit = next(column for column in COLUMNS if column.key == HISTOGRAMS[name]).unit
    caption = "No values." if histogram.median is None else f"Median {histogram.median:.3g} {unit}."
    if histogram.left_out and histogram.median is not None:
        caption += f" {histogram.left_out:,} without a value."
    return {"edges": histogram.edges, "counts": histogram.counts, "caption": caption}


def _browser_caption(view: SessionView) -> str:
    if view.factor == 1:
        text = "Every frame is drawn."
    else:
        milliseconds = 1000 * float(view.bin_s.max())
        text = (
            f"Drawn in bins of {view.factor} frames ({milliseconds:,.0f} ms): smallest and largest ΔF/F, "
            "summed spikes. The files hold every frame."
        )
    if view.shown.size < len(view.neurons):
        text += f" {view.shown.size:,} of {len(view.neurons):,} neurons, evenly spread; the files hold all."
    return text


def _overview_caption(view: SessionView) -> str:
    heat = view.heat_map
    seconds = (heat.end_s - heat.start_s) / heat.n_columns
    text = f"Mean rate in cells of {seconds:,.2g} s, square-root colour scale up to the 99.5th percentile."
    text += " Higher rates are drawn, and stand in the CSV, as that one."
    if heat.rows.size < len(view.neurons):
        text += f" {heat.rows.size:,} of {len(view.neurons):,} neurons, evenly spread."
    return text


def _session_context(view: SessionView, run: RunInfo) -> dict[str, Any]:
    source = run.inputs.get(view.session_id, {})
    return {
        "id": view.session_id,
        "source": _within_here(str(source.get("path") or view.attrs.get("source") or "")) or "in memory",
        "hash": source.get("hash", ""),
        "format": source.get("format") or view.attrs.get("source_format", "–"),
        "n_neurons": len(view.neurons),
        "n_frames": view.n_frames,
        "duration": _length(view),
        "frame_rate": f"{view.frame_rate_hz:.4g} Hz",
        "notes": view.notes,
        "findings": [_finding(finding) for finding in sorted(view.findings, key=_worst_first)],
    }  # fmt: skip


def _within_here(path: str) -> str:
    """A path without the folders above the working folder, which nobody need know who gets the page."""
    return path.removeprefix(f"{os.getcwd()}{os.sep}")


def _length(view: SessionView) -> str:
    """What was recorded, and the time from the first to the last frame where pauses or lost frames make it longer."""
    recorded, span = duration(view.recorded_s), duration(view.duration_s)
    return recorded if view.duration_s <= 1.01 * view.recorded_s or span == recorded else f"{recorded} within {span}"


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    word = SEVERITY.get(str(finding.get("severity")), "Note")
    return {"fix": "", "message": "", "id": "", "neurons": [], **finding, "word": word}


def _worst_first(finding: Mapping[str, Any]) -> int:
    order = ("error", "warning", "info")
    severity = finding.get("severity")
    return order.index(severity) if severity in order else len(order)


def _cards(views: Sequence[SessionView]) -> list[dict[str, str]]:
    def median(key: str) -> float:
        values = np.concatenate([view.table[key] for view in views])
        return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else math.nan

    neurons = sum(len(view.neurons) for view in views)
    findings = sum(f.get("severity") in ("warning", "error") for view in views for f in view.findings)
    rates = sorted({round(view.frame_rate_hz, 2) for view in views})
    rate = f"{rates[0]:g} Hz" if len(rates) == 1 else f"{rates[0]:g}–{rates[-1]:g} Hz"
    of_sessions = f"neurons in {len(views)} sessions" if len(views) > 1 else "neurons"
    return [
        {"number": f"{neurons:,}", "label": of_sessions},
        {"number": duration(sum(view.recorded_s for view in views)), "label": f"recorded at {rate}"},
        {"number": shown(median("mean_rate_hz"), 2), "label": "spikes/s, median neuron"},
        {"number": shown(median("noise_level"), 2), "label": "% Hz⁻¹ᐟ² noise, median neuron"},
        {"number": str(findings), "label": f"warning{'' if findings == 1 else 's'} from the checks of recordings"},
    ]


def _histogram_titles() -> list[dict[str, str]]:
    return [{"name": name, "title": title} for name, (title, _) in HISTOGRAM_TITLES.items()]


def _table_rows(view: SessionView) -> dict[str, Any]:
    place_of = {int(neuron): place for place, neuron in enumerate(view.shown)}
    rows = [
        {
            "neuron": view.neurons[at],
            "place": place_of.get(at),
            "cells": [shown(float(view.table[column.key][at]), column.digits) for column in COLUMNS],
        }
        for at in range(min(MAX_ROWS, len(view.neurons)))
    ]
    return {"rows": rows, "rows_left_out": len(view.neurons) > len(rows)}


def duration(seconds: float) -> str:
    """A duration as people say it: ``"2 min 30 s"``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
