"""How far to trust it: plain sentences that repeat what was measured on this recording, or for the model's card."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from antidrome.recordings.arguments import counted
from antidrome.report.session import SessionView
from antidrome.report.statement import Statement


def session_statements(view: SessionView, card: Mapping[str, Any]) -> list[Statement]:
    """What this recording's own numbers and findings say.

    Parameters
    ----------
    view
        The session.
    card
        The model card's metadata, as stored in the model file; keys that it lacks give no sentence.
    """
    faster = str(card.get("faster_recordings", ""))
    statements = [
        _findings(view),
        _noise(view, _range(card, "noise_level_range")),
        _frame_rate(view, _range(card, "frame_rate_hz_range"), faster),
        _missing(view),
        _precision(view),
        _simulation(view),
    ]
    return [statement for statement in statements if statement is not None]


def model_statements(card: Mapping[str, Any]) -> list[Statement]:
    """What the model was measured to reach, from its card, and what no card can promise."""
    statements = []
    trained_on = card.get("trained_on")
    if trained_on:
        statements.append(Statement("fact", f"The model was trained on {_trained_on(trained_on)}."))
    reached = card.get("reached")
    if isinstance(reached, Mapping) and reached:
        statements.append(Statement("fact", _reached(reached)))
    else:
        statements.append(Statement("care", "The model's card states no measured accuracy, so none is stated here."))
    return [
        *statements,
        Statement(
            "fact",
            "Times and relative changes of the rate are safer than absolute counts: a count depends on the height of a "
            "single spike, which differs between neurons and was estimated from the trace alone.",
        ),
        Statement(
            "fact",
            "The bands are posterior standard deviations under the model, frame by frame. They do not cover what the "
            "model does not know: motion, neuropil, overlapping cells.",
        ),
    ]


def _trained_on(sets: object) -> str:
    if not isinstance(sets, list | tuple):
        return str(sets).rstrip(".")
    names = ", ".join(str(name) for name in sets[:3])
    return names if len(sets) <= 3 else f"{len(sets)} sets of recordings ({names}, …)"


def _reached(reached: Mapping[str, Any]) -> str:
    parts = []
    if "mean_r_lag0" in reached:
        parts.append(f"correlation with the true spikes {reached['mean_r_lag0']:.2f} frame by frame")
    if "mean_r_smooth" in reached:
        parts.append(f"{reached['mean_r_smooth']:.2f} after smoothing both by 0.2 s")
    if "median_count_ratio" in reached:
        parts.append(f"predicted over true number of spikes {reached['median_count_ratio']:.2f} (median)")
    known = ("mean_r_lag0", "mean_r_smooth", "median_count_ratio", "n_sets", "protocol")
    parts += [f"{key} {value:.3g}" for key, value in reached.items() if key not in known and isinstance(value, float)]
    sets = f" on {reached['n_sets']} recordings with known spikes" if "n_sets" in reached else ""
    protocol = f" ({str(reached['protocol']).rstrip('.')})" if "protocol" in reached else ""
    return f"Measured{sets}{protocol}: {'; '.join(parts)}."


def _findings(view: SessionView) -> Statement:
    count = {level: sum(f.get("severity") == level for f in view.findings) for level in ("error", "warning")}
    if count["error"]:
        text = f"{counted(count['error'], 'check')} found an error in the input (see Checks)"
        return Statement("bad", f"{text}: do not rely on these spikes before it is resolved.")
    if count["warning"]:
        return Statement(
            "care", f"{counted(count['warning'], 'check')} warned about the input; see Checks for what to do."
        )
    return Statement("good", "No check objected to the input.")


def _noise(view: SessionView, known: tuple[float, float] | None) -> Statement | None:
    noise = view.table["noise_level"]
    noise = noise[np.isfinite(noise)]
    if noise.size == 0:
        return None
    low, middle, high = np.percentile(noise, (5, 50, 95))
    text = f"Noise level: median {middle:.2f} % Hz⁻¹ᐟ², nine in ten neurons between {low:.2f} and {high:.2f}."
    if known is None:
        return Statement("fact", text)
    outside = int(((noise < known[0]) | (noise > known[1])).sum())
    span = f"the {known[0]:g}–{known[1]:g} that the model was trained on"
    if outside == 0:
        return Statement("good", f"{text} All lie within {span}.")
    return Statement(
        "care", f"{text} {counted(outside, 'neuron')} of {noise.size:,} outside {span}: read these with doubt."
    )


def _frame_rate(view: SessionView, known: tuple[float, float] | None, faster: str) -> Statement:
    text = f"Frame rate {view.frame_rate_hz:.4g} Hz: one frame lasts {1000 / view.frame_rate_hz:.0f} ms."
    if known is None:
        return Statement("fact", text)
    if known[0] <= view.frame_rate_hz <= known[1]:
        return Statement("good", f"{text} The model was trained on {known[0]:g}–{known[1]:g} Hz.")
    if view.frame_rate_hz > known[1] and faster:
        return Statement(
            "fact", f"{text} The model was trained on {known[0]:g}–{known[1]:g} Hz; faster ones are {faster}."
        )
    return Statement("care", f"{text} The model was trained on {known[0]:g}–{known[1]:g} Hz only.")


def _missing(view: SessionView) -> Statement | None:
    missing = view.table["missing_frames"]
    share = float(np.nansum(missing)) / max(1, view.n_frames * len(view.neurons))
    if share == 0:
        return None
    affected = int((missing > 0).sum())
    text = f"{share:.2%} of the samples are missing, in {counted(affected, 'neuron')}; spikes there are guesses."
    return Statement("care" if share > 0.01 else "fact", text)


def _precision(view: SessionView) -> Statement | None:
    total, sd = np.nansum(view.table["expected_spikes"]), view.table["expected_spikes_sd"]
    if not np.isfinite(sd).any() or total <= 0:
        return None
    each = view.table["expected_spikes_sd"] / np.maximum(view.table["expected_spikes"], 1e-9)
    return Statement(
        "fact",
        f"{total:,.0f} spikes expected in all; for the median neuron the posterior SD of its total is "
        f"{np.nanmedian(each):.0%} of the total.",
    )


def _simulation(view: SessionView) -> Statement | None:
    if not view.agreement:
        return None
    return Statement(
        "fact",
        "This recording is simulated and its spikes are known: correlation with them, frame by frame at lag 0, is"
        f" {view.agreement['mean_r_lag0']:.2f} (mean of {counted(int(view.agreement['n_neurons']), 'neuron')}).",
    )


def _range(card: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    value = card.get(key)
    return (float(value[0]), float(value[1])) if isinstance(value, list | tuple) and len(value) == 2 else None
