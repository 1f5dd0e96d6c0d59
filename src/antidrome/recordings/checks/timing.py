"""Checks of the clock: frame rate, timestamps, duration."""

from __future__ import annotations

import numpy as np

from antidrome.recordings.arguments import counted
from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.view import RecordingView
from antidrome.recordings.clock import GAP_FRAMES, clock_rate_hz, longest_step_s, rate_agrees

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 3.0, 150.0
"""The network that ships is trained at 3 to 64 Hz; faster recordings are averaged in groups of frames."""
IN_MILLISECONDS_HZ = HIGHEST_RATE_HZ / 1000
"""At most this rate comes out when times in milliseconds are taken for seconds."""
JITTER_FRAMES = 0.25
SHORTEST_S, SHORTEST_FRAMES = 20.0, 100


@register_check(id="frame-rate-missing", severity="error")
def frame_rate_is_missing(view: RecordingView) -> Problem | None:
    """Plain arrays carry no frame rate, and nothing that follows means anything without one.

    Times that count frames (steps of exactly one) are taken for frame numbers, not seconds.
    """
    if view.attrs.get("frame_rate_hz") is not None and view.frame_rate_hz:
        return None
    time = view.all_time_s
    counts_frames = time is not None and time.size > 1 and bool((np.diff(time) == 1.0).all())
    if view.frame_rate_hz and not counts_frames and view.attrs.get("frame_rate_hz") is None:
        return None
    declared = view.attrs.get("frame_rate_hz")
    seen = f"the declared frame rate is {declared!r}" if declared is not None else "the recording carries none"
    return Problem(
        message=f"The frame rate is unknown: {seen}{' and its times count frames' if counts_frames else ''}.",
        fix="Give the frame rate in frames per second: --frame-rate-hz, or frame_rate_hz= when reading.",
    )


@register_check(id="frame-rate-outside-range", severity="warning")
def frame_rate_is_outside_range(view: RecordingView) -> Problem | None:
    """The network that ships serves 3 to 150 Hz; a period given as a rate, or kHz, is a common slip."""
    rate = view.frame_rate_hz
    if rate is None or LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ:
        return None
    guess = f"; {rate:g} looks like a frame period in seconds ({1 / rate:.4g} Hz)" if 1 / 150 <= rate < 1 else ""
    if guess and rate <= IN_MILLISECONDS_HZ:
        guess += f", or its times like milliseconds ({1000 * rate:.4g} Hz)"
    return Problem(
        message=f"The frame rate is {rate:g} Hz, outside {LOWEST_RATE_HZ:g}–{HIGHEST_RATE_HZ:g} Hz{guess}.",
        fix="Check its unit. Above 150 Hz average neighbouring frames; below 3 Hz the network that ships was never "
        "trained: read its spikes as rough, below 1 Hz they cannot be told in time.",
    )


@register_check(id="frame-rate-disagrees", severity="error")
def frame_rate_disagrees(view: RecordingView) -> Problem | None:
    """A frame rate that contradicts the timestamps shifts every spike; one of the two is wrong."""
    from_times = clock_rate_hz(view.all_time_s)
    declared = view.attrs.get("frame_rate_hz")
    if declared is None or from_times is None or not view.frame_rate_hz:
        return None
    if abs(np.log(from_times / view.frame_rate_hz)) < 0.05 or rate_agrees(view.frame_rate_hz, view.all_time_s):
        return None
    return Problem(
        message=f"The frame rate is declared as {view.frame_rate_hz:g} Hz but timestamps advance at {from_times:g} Hz.",
        fix="Correct one of them; with several imaging planes, the rate per plane is the one that counts.",
    )


@register_check(id="timestamps-not-finite", severity="error")
def timestamps_are_not_finite(view: RecordingView) -> Problem | None:
    """NaN times come from acquisition logs cut short; such frames have no place in time."""
    if view.all_time_s is None:
        return None
    wrong = np.flatnonzero(~np.isfinite(view.all_time_s))
    if not wrong.size:
        return None
    many = counted(wrong.size, "timestamp", "is", of=view.n_frames)
    return Problem(
        message=f"{many} NaN or infinite, first at frame {wrong[0]}.",
        fix="Drop these frames, or rebuild the times from the frame rate.",
    )


@register_check(id="timestamps-duplicated", severity="error")
def timestamps_are_duplicated(view: RecordingView) -> Problem | None:
    """Two frames at one time come from files joined twice or clocks of low resolution."""
    return _steps_problem(view, lambda steps: steps == 0, "repeats", "the time of the frame before")


@register_check(id="timestamps-decreasing", severity="error")
def timestamps_decrease(view: RecordingView) -> Problem | None:
    """Time that runs backwards means trials joined with clocks that restart, or rows out of order."""
    return _steps_problem(view, lambda steps: steps < 0, "is", "earlier than the frame before")


def _steps_problem(view: RecordingView, is_wrong, verb: str, what: str) -> Problem | None:
    if view.all_time_s is None:
        return None
    wrong = np.flatnonzero(is_wrong(np.diff(view.all_time_s)))
    if not wrong.size:
        return None
    frame = int(wrong[0]) + 1
    first = f"first frame {frame} ({view.all_time_s[frame]:g} s)"
    return Problem(
        message=f"{counted(wrong.size, 'frame', verb, of=view.n_frames)} {what}, {first}.",
        fix="Drop or sort these frames; keep trials as separate recordings, or give them one running clock.",
    )


@register_check(id="dropped-frames", severity="info")
def frames_were_dropped(view: RecordingView) -> Problem | None:
    """Missed frames are allowed and are handled, but a user should know how many and how long the gaps are."""
    steps = _steps_in_frames(view)
    if steps is None or not (gaps := steps > _longest_step(view)).any():
        return None
    lost = int(np.rint(steps[gaps] - 1).sum())
    longest = steps[gaps].max() / view.frame_rate_hz
    severe = lost > 0.05 * (view.n_frames + lost) and gaps.sum() > 0.01 * view.n_frames
    return Problem(
        message=f"The timestamps have {int(gaps.sum())} gap(s) with about {lost} missing frame(s), the longest "
        f"{longest:.3g} s.",
        fix="Nothing to do when trials or pauses explain them; otherwise look for dropped frames in the acquisition.",
        severity="warning" if severe else None,
    )


@register_check(id="irregular-timestamps", severity="warning")
def timestamps_are_irregular(view: RecordingView) -> Problem | None:
    """Jittered frame times blur spike times and the noise level; usually they stem from software clocks."""
    steps = _steps_in_frames(view)
    if steps is None:
        return None
    short = (steps > 0) & (steps <= _longest_step(view))
    jitter = short & (np.abs(steps - 1) > JITTER_FRAMES)
    if jitter.sum() <= 0.01 * steps.size:
        return None
    return Problem(
        message=f"{100 * jitter.sum() / steps.size:.1f} % of the frame steps differ from the frame period "
        f"({1000 / view.frame_rate_hz:.4g} ms) by more than {100 * JITTER_FRAMES:g} %.",
        fix="Use hardware frame times if there are any; otherwise resample to a regular clock.",
    )


def _steps_in_frames(view: RecordingView) -> np.ndarray | None:
    """Steps between timestamps in frame periods of their clock, or None where times or rate are missing."""
    rate = clock_rate_hz(view.all_time_s)
    if rate is None or view.frame_rate_hz is None:
        return None
    return np.nan_to_num(np.diff(view.all_time_s) * rate)


def _longest_step(view: RecordingView) -> float:
    """The longest step between frames that follow one another, in frame periods."""
    rate = clock_rate_hz(view.all_time_s)
    return GAP_FRAMES if rate is None else longest_step_s(view.all_time_s, rate) * rate


@register_check(id="too-short", severity="warning")
def recording_is_too_short(view: RecordingView) -> Problem | None:
    """Baseline, noise and amplitude of a neuron cannot be told from a few seconds."""
    seconds = view.n_frames / view.frame_rate_hz if view.frame_rate_hz else np.inf
    if seconds >= SHORTEST_S and view.n_frames >= SHORTEST_FRAMES:
        return None
    length = counted(view.n_frames, "frame") + (f" ({seconds:.3g} s)" if np.isfinite(seconds) else "")
    return Problem(
        message=f"The recording has only {length}; expected at least {SHORTEST_FRAMES} frames and {SHORTEST_S:g} s.",
        fix="Use a longer recording, or read results as rough: amplitude and noise are poorly known.",
    )
