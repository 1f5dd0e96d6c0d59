"""Checks for samples that are not there."""

from __future__ import annotations

import numpy as np

from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.view import RecordingView

MUCH = 0.2


@register_check(id="empty-neurons", severity="warning")
def neurons_are_empty(view: RecordingView) -> Problem | None:
    """Regions that left the field of view come as traces of NaN; nothing can be inferred for them."""
    empty = ~view.present.any(axis=0)
    if not empty.any():
        return None
    return Problem(
        message=f"{view.share(empty, 'has')} no finite sample.",
        fix="Nothing is inferred for them; drop them, or look why the extraction left them empty.",
        neurons=view.named(empty),
        severity="error" if empty.all() else None,
    )


@register_check(id="missing-samples", severity="info")
def samples_are_missing(view: RecordingView) -> Problem | None:
    """NaN frames (motion, light artefacts, dropped frames) are masked; a user should know how many."""
    missing = np.isnan(view.values)
    some = missing.any(axis=0) & view.present.any(axis=0)
    if not some.any():
        return None
    frames = missing[:, some].all(axis=1).mean()
    share = missing[:, some].mean()
    return Problem(
        message=f"{view.share(some, 'has')} missing samples: {100 * share:.2g} % of their samples; "
        f"{100 * frames:.2g} % of the frames are missing in all of them.",
        fix="They are masked and counted; if that is more than you expect, look at motion or artefact rejection.",
        neurons=() if some.all() else view.named(some),
        severity="warning" if share > MUCH else None,
    )


@register_check(id="infinite-samples", severity="warning")
def samples_are_infinite(view: RecordingView) -> Problem | None:
    """Infinite ΔF/F means a division by a baseline of zero; what is around it is unreliable too."""
    infinite = np.isinf(view.values).any(axis=0)
    if not infinite.any():
        return None
    return Problem(
        message=f"{view.share(infinite, 'has')} infinite samples.",
        fix="Compute ΔF/F again with a guarded baseline (antidrome.recordings.delta_f_over_f).",
        neurons=view.named(infinite),
    )
