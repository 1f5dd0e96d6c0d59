"""Checks for traces that cannot be real: constant, clipped, wrapped around, or there twice."""

from __future__ import annotations

import numpy as np

from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.view import RecordingView

DEAD_SHARE = 0.99
CEILING_SHARE, CEILING_SAMPLES, CEILING_PILE = 0.001, 10, 4.0
FLOOR_SHARE, FLOOR_GAP = 0.05, 0.1
WRAPS = (2.0**16, 2.0**8)


@register_check(id="constant-traces", severity="warning")
def traces_are_constant(view: RecordingView) -> Problem | None:
    """Dead regions give constant traces; there is nothing to infer, and their noise level is zero."""
    still = (np.diff(view.values, axis=0) == 0).sum(axis=0)
    steps = (view.present[1:] & view.present[:-1]).sum(axis=0)
    constant = (view.is_flat | (still > DEAD_SHARE * np.maximum(steps, 1))) & view.present.any(axis=0)
    if not constant.any() or view.values.shape[0] < 2:
        return None
    return Problem(
        message=f"{view.share(constant, 'is')} constant in more than 99 % of the frames.",
        fix="Drop them: they are dead regions, empty channels, or not fluorescence.",
        neurons=view.named(constant),
        severity="error" if constant.all() else None,
    )


@register_check(id="clipped-traces", severity="warning")
def traces_are_clipped(view: RecordingView) -> Problem | None:
    """Saturated detectors and integer ceilings cut transients off: many samples sit exactly on the highest value."""
    high = view.range[1]
    at_top = (view.values == high).sum(axis=0)
    with np.errstate(invalid="ignore"):
        below = np.max(view.values, axis=0, where=view.present & (view.values < high), initial=-np.inf)
    at_next = (view.values == below).sum(axis=0)
    enough = np.maximum(CEILING_SAMPLES, CEILING_SHARE * view.present.sum(axis=0))
    clipped = (at_top >= enough) & (at_top > CEILING_PILE * at_next) & ~view.is_flat & (high != 0)
    if not clipped.any():
        return None
    worst = int(np.where(clipped, at_top, 0).argmax())
    return Problem(
        message=f"{view.share(clipped, 'is')} clipped: neuron {view.labels[worst]} has {int(at_top[worst])} samples "
        f"exactly at its highest value {high[worst]:g}.",
        fix="Amplitudes are cut off there; lower the detector gain, or store values in a wider type.",
        neurons=view.named(clipped),
    )


@register_check(id="rectified-traces", severity="warning")
def traces_are_rectified(view: RecordingView) -> Problem | None:
    """Negative values set to zero hide half of the noise; the rest passes for a clean trace of very many spikes."""
    if view.is_fluorescence:
        return None
    low, high = view.range
    at_bottom = (view.values == low).sum(axis=0)
    with np.errstate(invalid="ignore"):
        above = np.min(view.values, axis=0, where=view.present & (view.values > low), initial=np.inf)
    at_next = (view.values == above).sum(axis=0)
    enough = np.maximum(CEILING_SAMPLES, FLOOR_SHARE * view.present.sum(axis=0))
    cut = (at_bottom >= enough) & (at_bottom > CEILING_PILE * at_next) & ~view.is_flat
    cut &= above - low < FLOOR_GAP * (high - low)  # else they are counts, or frames that were blanked
    if not cut.any():
        return None
    worst = int(np.where(cut, at_bottom, 0).argmax())
    share = 100 * at_bottom[worst] / view.present[:, worst].sum()
    return Problem(
        message=f"{view.share(cut, 'is')} cut off below: {share:.2g} % of the samples of neuron {view.labels[worst]} "
        f"sit exactly on its lowest value ({low[worst]:.3g}). Far too many spikes may be found.",
        fix="Use the traces before negative values were set to zero, and not another method's spikes.",
        neurons=view.named(cut),
    )


@register_check(id="integer-overflow", severity="error")
def integers_overflowed(view: RecordingView) -> Problem | None:
    """Counts stored in too small an integer wrap around: transients end as jumps of the type's whole range."""
    low, high = view.range
    wrapped = np.zeros(len(view.labels), dtype=bool)
    for span in WRAPS if view.is_fluorescence or view.stored_dtype.kind in "iu" else ():
        fits = (high - low < span) & (high - low > 0.9 * span) & _whole(view)
        if fits.any():
            jumps = (np.abs(np.diff(view.values[:, fits], axis=0)) > 0.8 * span).sum(axis=0)
            wrapped[np.flatnonzero(fits)[jumps >= 2]] = True
    if not wrapped.any():
        return None
    return Problem(
        message=f"{view.share(wrapped, 'jumps')} by nearly the whole range of an 8- or 16-bit integer: counts "
        "overflowed.",
        fix="Extract the traces again in a wider type (float32), or unwrap them.",
        neurons=view.named(wrapped),
    )


def _whole(view: RecordingView) -> np.ndarray:
    """Neurons whose samples are whole numbers, judged by about 1,000 frames."""
    few = view.values[:: max(1, view.values.shape[0] // 1000)]
    with np.errstate(invalid="ignore"):
        return ((few == np.rint(few)) | ~np.isfinite(few)).all(axis=0)


@register_check(id="identical-traces", severity="warning")
def traces_are_identical(view: RecordingView) -> Problem | None:
    """The same region listed twice counts twice in every population statistic."""
    few = np.ascontiguousarray(np.nan_to_num(view.values[:: max(1, view.values.shape[0] // 64)]).T)
    alike: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(~view.is_flat):
        alike.setdefault(few[i].tobytes(), []).append(int(i))
    groups: dict[bytes, list[int]] = {}
    for i in (i for group in alike.values() if len(group) > 1 for i in group):
        groups.setdefault(np.nan_to_num(view.values[:, i]).tobytes(), []).append(i)
    twice = np.zeros(len(view.labels), dtype=bool)
    twice[[i for group in groups.values() if len(group) > 1 for i in group]] = True
    if not twice.any():
        return None
    surplus = int(twice.sum()) - sum(len(group) > 1 for group in groups.values())
    return Problem(
        message=f"{view.share(twice, 'has')} a trace that another neuron has too; {surplus} are surplus.",
        fix="Keep one of each; look for regions listed twice or planes read twice.",
        neurons=view.named(twice),
    )
