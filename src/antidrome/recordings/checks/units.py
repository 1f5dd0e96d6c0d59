"""Checks of what the numbers mean: ΔF/F as a fraction, percent, or raw counts."""

from __future__ import annotations

import numpy as np

from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.timing import IN_MILLISECONDS_HZ
from antidrome.recordings.checks.view import RecordingView
from antidrome.recordings.units import is_percent

PERCENT_NOISE = 15.0
PERCENT_PEAK = 30.0
LEAST_PERCENT_PEAK = 2.0
"""Noise of 1 % Hz^-1/2 alone reaches this at one frame per second; with less, the values are no percent."""
RAW_LEVEL, RAW_LEVEL_OF_RANGE = 0.7, 0.25
RAW_LEVEL_WHEN_SHORT, SHORT_S = 20.0, 20.0


def seems_raw(view: RecordingView) -> bool:
    """Whether most traces float far above zero: 5th percentile over 0.7 and over a quarter of the range above it.

    In less than 20 s the whole trace may lie on one transient, so there the 5th percentile must exceed 20.
    """
    p1, p5, p99 = view.quantiles((1.0, 5.0, 99.0))
    short = view.frame_rate_hz is not None and view.n_frames < SHORT_S * view.frame_rate_hz
    raw = (p1 > 0) & (p5 > (RAW_LEVEL_WHEN_SHORT if short else RAW_LEVEL)) & (p5 > RAW_LEVEL_OF_RANGE * (p99 - p5))
    return _most(raw, view)


def seems_percent(view: RecordingView) -> bool:
    """Whether most traces, taken as fractions, have an impossible noise level or transients over 3000 %.

    In slow recordings frames differ by what the neurons do, which passes for noise; so small values are no percent.
    """
    if view.is_fluorescence or is_percent(view.attrs) or seems_raw(view):
        return False
    p99 = view.quantiles((99.0,))[0]
    clock_wrong = view.frame_rate_hz is not None and view.frame_rate_hz <= IN_MILLISECONDS_HZ
    noisy = (view.noise_level > PERCENT_NOISE) & (p99 > LEAST_PERCENT_PEAK)
    noisy &= not clock_wrong  # a noise level is one by the clock
    return _most(noisy | (p99 > PERCENT_PEAK), view)


def _most(mask: np.ndarray, view: RecordingView) -> bool:
    usable = ~view.is_flat
    return bool(usable.any()) and bool(mask[usable].mean() > 0.5)


@register_check(id="looks-percent", severity="error")
def looks_percent(view: RecordingView) -> Problem | None:
    """ΔF/F in percent read as a fraction is a hundred times too large.

    Users of other tools meet it often ("values up to a couple thousand … %?"). In real ground truth as a fraction
    the noise level of whole sets stays under 5 % Hz^-1/2 and the 99th percentile of ΔF/F under 10.
    """
    if not seems_percent(view):
        return None
    peak = np.nanmedian(view.quantiles((99.0,))[0])
    return Problem(
        message=f"The values look like percent, not a fraction: the 99th percentile of a typical neuron is {peak:.3g}"
        f"{view.scope}.",
        fix="Divide by 100 or declare units percent; if they are raw counts with neuropil subtracted, make ΔF/F first.",
    )


@register_check(id="not-dff", severity="error")
def is_not_dff(view: RecordingView) -> Problem | None:
    """Raw fluorescence (or F/F0) fed as ΔF/F: "is F a dF/F?" is among the commonest questions.

    ΔF/F of a quiet neuron lies around 0; raw counts and F/F0 lie far above, with no sample near 0.
    """
    if view.is_fluorescence or not seems_raw(view):
        return None
    level = np.nanmedian(view.quantiles((5.0,))[0])
    kind = "F/F0 (ΔF/F plus one)" if level < 1.5 else "raw fluorescence"
    return Problem(
        message=f"The values look like {kind}, not ΔF/F: a typical neuron stays above about {level:.3g}{view.scope}.",
        fix='Read the file with quantity="fluorescence" so that ΔF/F is made from it (subtract 1 from F/F0).',
    )


@register_check(id="raw-fluorescence", severity="info")
def is_raw_fluorescence(view: RecordingView) -> Problem | None:
    """Raw fluorescence is welcome, but a user should know that ΔF/F will be made from it, and how."""
    if not view.is_fluorescence:
        return None
    return Problem(
        message="The recording is raw fluorescence; ΔF/F is made from it before anything is inferred.",
        fix="Neuropil is subtracted where the file has it (Fneu.npy of suite2p) or it is given with the traces; check"
        " this and the baseline in the notes of the result.",
    )


@register_check(id="unit-missing", severity="warning")
def unit_is_missing(view: RecordingView) -> Problem | None:
    """Without a declared quantity and unit a file can only be guessed at; the guess is checked but may be wrong."""
    quantity, units = view.attrs.get("quantity", "unknown"), view.attrs.get("units", "unknown")
    if quantity in ("dff", "fluorescence") and units not in ("unknown", "", None):
        return None
    return Problem(
        message=f"What the values are is not declared (quantity {quantity!r}, units {units!r}).",
        fix='Say so when reading: quantity="dff" (a fraction) or "fluorescence".',
    )
