"""Checks of the table itself: orientation and labels."""

from __future__ import annotations

from collections import Counter

import numpy as np

from antidrome.recordings.arguments import counted
from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.view import RecordingView

FEWEST = 20
SIDE = 2000
CORRELATED = 0.15


@register_check(id="wrong-orientation", severity="warning")
def orientation_is_wrong(view: RecordingView) -> Problem | None:
    """suite2p stores neurons × frames, NWB frames × neurons; transposed tables are a classic of both.

    More neurons than frames is suspicious. It is an error when, too, neighbouring *neurons* are alike as neighbouring
    frames should be, and frames are not.
    """
    across_neurons, across_frames = _neighbour_correlations(view)
    transposed = across_neurons > CORRELATED and abs(across_frames) < across_neurons / 3
    if not transposed and view.n_neurons <= view.n_frames:
        return None
    shape = f"{counted(view.n_frames, 'frame')} × {counted(view.n_neurons, 'neuron')}"
    if transposed:
        message = (
            f"The table looks transposed: read as {shape}, but neighbouring neurons correlate by {across_neurons:.2f} "
            f"and neighbouring frames by {across_frames:.2f}."
        )
    else:
        message = f"There are more neurons than frames: {shape}."
    return Problem(
        message=message,
        fix=_other_orientation(view),
        severity="error" if transposed else None,
    )


def _other_orientation(view: RecordingView) -> str:
    """The advice to read the axes the other way round from how they were read."""
    turned = view.attrs.get("orientation") == "neuron,time"
    other, rows = ("time,neuron", "frames") if turned else ("neuron,time", "neurons")
    return f'Read the file with orientation="{other}" (--orientation), or transpose the array, if its rows are {rows}.'


def _neighbour_correlations(view: RecordingView) -> tuple[float, float]:
    """Typical correlation of neighbours along the neuron axis and along the time axis; 0 for small tables."""
    table = view.values[:SIDE, :SIDE].astype(np.float64)
    table = table[np.isfinite(table).all(axis=1)]
    if min(table.shape) < FEWEST:
        return 0.0, 0.0
    table = table - table.mean(axis=0)
    table = table[:, table.std(axis=0) > 0]
    if table.shape[1] < FEWEST:
        return 0.0, 0.0
    table = table / table.std(axis=0)
    table = table - table.mean(axis=1, keepdims=True)
    along_time = (table[1:] * table[:-1]).mean(axis=0) / table.var(axis=0).clip(1e-12)
    along_neurons = (table[:, 1:] * table[:, :-1]).mean(axis=1) / table.var(axis=1).clip(1e-12)
    return float(np.median(along_neurons)), float(np.median(along_time))


@register_check(id="duplicated-labels", severity="error")
def labels_are_duplicated(view: RecordingView) -> Problem | None:
    """Sessions are matched by neuron label; a label that stands for two neurons mixes them up."""
    repeated = [label for label, count in Counter(view.all_labels).items() if count > 1]
    if not repeated:
        return None
    return Problem(
        message=f"{len(repeated)} neuron label(s) stand for several neurons, first {repeated[0]!r}.",
        fix="Give every neuron its own label.",
        neurons=tuple(repeated),
    )
