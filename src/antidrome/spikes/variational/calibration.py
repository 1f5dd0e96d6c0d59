"""Initial values of every cell's parameters, read off its trace alone: decay, noise, amplitude, rate, baseline.

How a variational autoencoder of spikes ends depends above all on where its amplitudes begin: with amplitudes that are
too small it explains noise by spikes, and stays there. The amplitude comes from cumulants. Whitened by its decay and
summed over a short window, the trace is α times the number of spikes in the window plus Gaussian noise, whose third
cumulant is zero; for Poisson spikes α is the third cumulant over the second less the noise's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.errors import InputError
from antidrome.spikes.conditioning import MEDIAN_STEP
from antidrome.spikes.drift import drift_frames, slow_part

SUM_S = 0.15
LONGEST_LAG_S = 1.5
DECAYS_S = (0.03, 5.0)
RATES_HZ = (0.02, 30.0)
SMALLEST_AMPLITUDE = 1.0
FALLBACK_AMPLITUDE = 3.0
FEWEST_FRAMES = 10
"""Observed frames of a cell that is learned from."""


class Calibration(NamedTuple):
    """One value per cell: ΔF/F per spike, seconds, ΔF/F, ΔF/F, spikes/s; and where the amplitude is a guess."""

    amplitude: np.ndarray
    decay_s: np.ndarray
    baseline: np.ndarray
    noise_sd: np.ndarray
    rate_hz: np.ndarray
    guessed: np.ndarray


def rescaled(start: Calibration, factor: float) -> Calibration:
    """Amplitudes times a factor, and rates such that the mean fluorescence stays what it is."""
    return start._replace(amplitude=start.amplitude * factor, rate_hz=np.clip(start.rate_hz / factor, *RATES_HZ))


def autocalibrate(
    traces: np.ndarray, frame_rate_hz: float, cell: np.ndarray | None = None, *, drift: bool = True
) -> Calibration:
    """Initial values from the traces' own statistics.

    Parameters
    ----------
    traces
        (row, time) ΔF/F, NaN where missing.
    cell
        (row,) index of the cell that a row belongs to; every row its own cell when not given.
    drift
        Take out what is slower than 30 s before measuring.

    Raises
    ------
    InputError
        A cell without at least ten observed frames, or without any variation.
    """
    traces, cell = check_rows(traces, cell)
    flat = _flattened(traces, drift_frames(frame_rate_hz)) if drift else traces
    values = [_one_cell(traces[cell == i], flat[cell == i], frame_rate_hz) for i in range(int(cell.max()) + 1)]
    return Calibration(*(np.array(column) for column in zip(*values, strict=True)))


def check_rows(traces: np.ndarray, cell: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Traces as float (row, time) and the cell of each row, or what is wrong with them."""
    traces = np.asarray(traces, float)
    if traces.ndim != 2:
        raise InputError(f"Traces have shape {traces.shape}; expected (row, time).")
    cell = np.arange(len(traces)) if cell is None else np.asarray(cell)
    if cell.shape != (len(traces),) or not np.array_equal(np.unique(cell), np.arange(int(cell.max()) + 1)):
        raise InputError(
            f"cell has shape {cell.shape} for {len(traces)} rows; expected an index for every row, from 0 without gaps."
        )
    for i in range(int(cell.max()) + 1):
        own = traces[cell == i]
        own = own[np.isfinite(own)]
        if len(own) < FEWEST_FRAMES or not own.max() > own.min():
            raise InputError(
                f"Cell {i} has {len(own)} observed frames of {len(np.unique(own))} different values; expected at least"
                f" {FEWEST_FRAMES} that vary. Leave it out of the fit."
            )
    return traces, cell


def _one_cell(rows: np.ndarray, flat: np.ndarray, rate: float) -> tuple[float, ...]:
    decay_s = _decay(flat, rate)
    factor = np.exp(-1 / (rate * decay_s))
    noise = _noise_sd(rows)
    white = flat[:, 1:] - factor * flat[:, :-1]
    width = max(1, round(SUM_S * rate))
    summed = _moving_sum(white, width)
    own = np.convolve([1.0, -factor], np.ones(width))
    summed = summed[np.isfinite(summed)]
    amplitude, rate_hz, guessed = _cumulants(summed, noise**2 * float(own @ own), noise, width / rate)
    baseline = float(np.nanmean(rows)) - amplitude * rate_hz / (rate * (1 - factor))
    lowest = float(np.nanquantile(rows, 0.02)) + noise
    highest = float(np.nanmedian(rows))
    return (
        amplitude,
        decay_s,
        float(np.clip(baseline, min(lowest - 2 * noise, highest), highest)),
        noise,
        rate_hz,
        guessed,
    )


def _cumulants(summed: np.ndarray, noise_variance: float, noise: float, window_s: float) -> tuple[float, float, bool]:
    """Amplitude and rate from the second and third cumulant; a guess where they make no sense."""
    centred = summed - summed.mean() if len(summed) else summed
    second = float(np.mean(centred**2)) - noise_variance if len(summed) else 0.0
    third = float(np.mean(centred**3)) if len(summed) else 0.0
    sensible = second > 0.02 * noise_variance and third > 0
    amplitude = third / second if sensible else FALLBACK_AMPLITUDE * noise
    guessed = not sensible or amplitude < SMALLEST_AMPLITUDE * noise
    amplitude = float(max(amplitude, SMALLEST_AMPLITUDE * noise))
    rate_hz = max(second, 0.0) / (amplitude**2 * window_s)
    return amplitude, float(np.clip(rate_hz, *RATES_HZ)), bool(guessed)


def _decay(rows: np.ndarray, rate: float) -> float:
    """Decay from autocovariances at lag 1 and more, where white noise has none: least squares of each on the last."""
    n_lags = max(4, min(round(LONGEST_LAG_S * rate), rows.shape[1] // 3))
    centred = rows - np.nanmean(rows)
    observed = np.isfinite(centred)
    centred = np.where(observed, centred, 0)
    covariance = np.array(
        [
            (centred[:, lag:] * centred[:, : rows.shape[1] - lag]).sum()
            / max(1, (observed[:, lag:] & observed[:, : rows.shape[1] - lag]).sum())
            for lag in range(1, n_lags + 1)
        ]
    )
    low = np.flatnonzero(covariance < 0.25 * covariance[0])
    used = covariance[: max(3, low[0] if len(low) else n_lags)]
    factor = float(used[1:] @ used[:-1]) / max(float(used[:-1] @ used[:-1]), 1e-300)
    decay = -1 / (rate * np.log(np.clip(factor, 1e-3, 1 - 1e-6)))
    return float(np.clip(decay, max(DECAYS_S[0], 0.7 / rate), DECAYS_S[1]))


def _noise_sd(rows: np.ndarray) -> float:
    difference = np.abs(np.diff(rows, axis=1))
    sd = float(np.nanmedian(difference)) / MEDIAN_STEP
    return max(sd, 1e-3 * float(np.nanmax(rows) - np.nanmin(rows)), 1e-9)


def _moving_sum(rows: np.ndarray, width: int) -> np.ndarray:
    """Sum over `width` neighbours, NaN wherever one is missing."""
    total = np.cumsum(np.pad(np.nan_to_num(rows), ((0, 0), (1, 0))), axis=1)
    missing = np.cumsum(np.pad(~np.isfinite(rows), ((0, 0), (1, 0))), axis=1)
    summed = total[:, width:] - total[:, :-width]
    return np.where(missing[:, width:] == missing[:, :-width], summed, np.nan)


def _flattened(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows less the moving average of what was observed, at their common mean."""
    observed = np.isfinite(rows)
    size = min(width, rows.shape[1])
    share = slow_part(observed.astype(float), size)
    slow = slow_part(np.where(observed, rows, 0.0), size) / np.maximum(share, 1e-6)
    return rows - slow + np.nanmean(rows)
