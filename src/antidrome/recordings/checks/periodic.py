"""A check for lines in the spectrum: breathing, pumps, mains, aliased clocks."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import welch

from antidrome.recordings.arguments import counted
from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.view import RecordingView

LOWEST_HZ, HIGHEST_HZ = 0.25, 5.0
WINDOW_S, SHORTEST_WINDOW_S, MOST_WINDOWS = 32.0, 8.0, 10
ONE_EXCESS, ONE_AMPLITUDE = 3.0, 2.5
ALL_EXCESS, ALL_AMPLITUDE, FEWEST_FOR_ALL = 1.5, 1.5, 5
MAX_NEURONS = 128


@register_check(id="periodic-artefact", severity="warning")
def has_periodic_artefact(view: RecordingView) -> Problem | None:
    """Users found artefacts at 0.3–0.5 Hz taken for spikes: a rhythm that rises and falls like calcium.

    A line is a narrow peak between 0.25 and 5 Hz over the spectrum around it, e³-fold in one neuron or e^1.5-fold in
    the median neuron of five or more, and strong enough to pass for transients: amplitude over 2.5 (1.5) noise SDs
    after averaging over half its period. Slower rhythms (a stimulus every few seconds) and faster ones (heartbeat)
    do not count. At most 128 neurons and the first 320 s without a gap are looked at.
    """
    spectra = _spectra(view)
    if spectra is None:
        return None
    frequency, excess, amplitude, columns = spectra
    common = np.median(excess, axis=1)
    peak = int(common.argmax())
    labels = [view.labels[i] for i in columns]
    if len(labels) >= FEWEST_FOR_ALL and common[peak] > ALL_EXCESS and np.median(amplitude[peak]) > ALL_AMPLITUDE:
        where, hz, who = f"common to {counted(len(labels), 'neuron')} looked at", frequency[peak], ()
    else:
        lines = (excess > ONE_EXCESS) & (amplitude > ONE_AMPLITUDE)
        if not lines.any():
            return None
        who = tuple(label for label, has in zip(labels, lines.any(axis=0), strict=True) if has)
        strongest = np.unravel_index(np.where(lines, excess, -np.inf).argmax(), excess.shape)
        where, hz = f"in {counted(len(who), 'neuron', of=len(labels))} looked at", frequency[strongest[0]]
    return Problem(
        message=f"A periodic artefact at {hz:.2f} Hz, {where}{view.scope}; its waves may be taken for spikes.",
        fix="Look for breathing, pumps, mains or an aliased clock; remove it with a notch filter before inference.",
        neurons=who,
    )


def _spectra(view: RecordingView) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Frequencies, log excess over the surroundings and amplitude in noise SDs (frequency, neuron); columns used."""
    rate = view.frame_rate_hz
    usable = np.flatnonzero(~view.is_flat)
    stretch = _longest_stretch(view.adjacent)
    n_frames = stretch.stop - stretch.start
    if rate is None or 0.45 * rate < LOWEST_HZ or not usable.size or n_frames < 3 * SHORTEST_WINDOW_S * rate:
        return None
    columns = usable[np.linspace(0, usable.size - 1, min(usable.size, MAX_NEURONS)).astype(int)]
    stretch = slice(stretch.start, min(stretch.stop, stretch.start + int(MOST_WINDOWS * WINDOW_S * rate)))
    n_frames = stretch.stop - stretch.start
    traces = _filled(np.ascontiguousarray(view.values[stretch][:, columns].T, dtype=np.float64))
    window = min(n_frames // 3, int(WINDOW_S * rate))
    frequency, power = welch(traces, rate, nperseg=window, detrend="linear", average="median", axis=1)
    frequency, power = frequency[1:], power[:, 1:]
    log_power = np.log(power + np.finfo(float).tiny)
    width = 2 * min(15, max(5, frequency.size // 8)) + 1
    around = median_filter(log_power, size=(1, width), mode="nearest")
    band = np.flatnonzero((frequency >= LOWEST_HZ) & (frequency <= min(HIGHEST_HZ, 0.45 * rate)))
    band = band[(band > 0) & (band < frequency.size - 1)]
    if band.size < 3:
        return None
    above = np.maximum(power - np.exp(around), 0)
    line_power = (above[:, band - 1] + above[:, band] + above[:, band + 1]) * (frequency[1] - frequency[0])
    step = np.median(np.abs(np.diff(traces, axis=1)), axis=1, keepdims=True)
    noise_sd = step / (0.6745 * np.sqrt(2)) + np.finfo(float).tiny
    half_period_frames = np.maximum(rate / (2 * frequency[band]), 1)
    amplitude = np.sqrt(2 * line_power) / noise_sd * np.sqrt(half_period_frames)
    return frequency[band], (log_power - around)[:, band].T, amplitude.T, columns


def _longest_stretch(adjacent: np.ndarray) -> slice:
    """The longest run of frames without a gap."""
    cuts = np.concatenate([[-1], np.flatnonzero(~adjacent), [adjacent.size]])
    longest = int(np.diff(cuts).argmax())
    return slice(int(cuts[longest]) + 1, int(cuts[longest + 1]) + 1)


def _filled(rows: np.ndarray) -> np.ndarray:
    """Missing samples replaced by a straight line between their neighbours, row by row; zero for an empty row."""
    for row in rows:
        missing = ~np.isfinite(row)
        if missing.all():
            row[:] = 0
        elif missing.any():
            row[missing] = np.interp(np.flatnonzero(missing), np.flatnonzero(~missing), row[~missing])
    return rows
