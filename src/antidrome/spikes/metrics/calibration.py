"""Whether the stated uncertainty is honest: coverage of credible intervals and probability integral transform."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.errors import InputError


class Coverage(NamedTuple):
    """Per neuron: share of windows whose true count lies in the interval, mean width (spikes); windows in all."""

    share: np.ndarray
    width: np.ndarray
    n_windows: int


def interval(samples: np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Central credible interval over the first axis of posterior samples; counts stay whole numbers."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a probability between 0 and 1.")
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return low, high


def coverage(samples: np.ndarray, true: np.ndarray, window_frames: int, level: float = 0.9) -> Coverage:
    """How often the true count of a window lies in the credible interval of the sampled counts.

    Parameters
    ----------
    samples
        (sample, time, neuron) spikes per frame; windows with NaN, here or in the true ones, are left out.
    true
        (time, neuron) spikes per frame.
    window_frames
        Frames of a window; windows do not overlap, a last partial one is cut.
    level
        Probability of the interval.

    Returns
    -------
    Coverage. Counts are whole numbers, so that an exact posterior covers at least, and often more than, the level.
    """
    sampled, counted = _windows(samples, true, window_frames)
    low, high = interval(sampled, level)
    known = np.isfinite(sampled).all(axis=0) & np.isfinite(counted)
    n_known = known.sum(axis=0)
    inside, width = known & (counted >= low) & (counted <= high), np.where(known, high - low, 0.0)
    share, mean_width = (np.where(n_known, x.sum(axis=0) / np.maximum(n_known, 1), np.nan) for x in (inside, width))
    return Coverage(share, mean_width, len(counted))


def probability_integral_transform(
    samples: np.ndarray, true: np.ndarray, window_frames: int, generator: np.random.Generator
) -> np.ndarray:
    """(window, neuron) place of each true count among the sampled ones, uniform on [0, 1] for an exact posterior.

    Randomised within ties, as counts demand (Czado, Gneiting and Held 2009, Biometrics 65). NaN in windows with NaN.
    """
    sampled, counted = _windows(samples, true, window_frames)
    below = (sampled < counted).sum(axis=0)
    equal = (sampled == counted).sum(axis=0)
    place = (below + generator.random(counted.shape) * (equal + 1)) / (len(sampled) + 1)
    return np.where(np.isfinite(sampled).all(axis=0) & np.isfinite(counted), place, np.nan)


def _windows(samples: np.ndarray, true: np.ndarray, window_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of every window: (sample, window, neuron) and (window, neuron)."""
    samples, true = np.asarray(samples), np.asarray(true)
    if samples.ndim != 3 or samples.shape[1:] != true.shape:
        raise InputError(
            f"Samples have shape {samples.shape} and true counts {true.shape}; expected (sample, time, neuron) and"
            " (time, neuron) with the same frames and neurons."
        )
    n = len(true) // window_frames if window_frames >= 1 else 0
    if n == 0:
        raise InputError(f"{len(true)} frames hold no window of {window_frames} frames.")
    sampled = samples[:, : n * window_frames].reshape(len(samples), n, window_frames, -1).sum(axis=2)
    return sampled, true[: n * window_frames].reshape(n, window_frames, -1).sum(axis=1)
