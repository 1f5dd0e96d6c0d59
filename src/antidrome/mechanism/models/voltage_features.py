"""Features of a voltage trace: names, units, and their plain computation from a recorded (or simulated) trace.

``online_features.py`` computes the same while simulating. A feature that a trace does not have (the latency of a spike
that never came) is NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError, did_you_mean

SPIKE_THRESHOLD_MV = -10.0
LAGS_MS = tuple(round(0.1 * i, 1) for i in range(1, 11))
LAG_ERROR = 0.01
"""Share of a lag by which whole samples may miss it."""

FEATURE_UNITS: dict[str, str] = {
    "spike_count": "1",
    "rest_mean_mv": "mV",
    "rest_sd_mv": "mV",
    "mean_mv": "mV",
    "sd_mv": "mV",
    "skewness": "1",
    "kurtosis": "1",
    "latency_ms": "ms",
    "first_isi_ms": "ms",
    "mean_isi_ms": "ms",
    "isi_cv": "1",
    "peak_mv": "mV",
    "trough_mv": "mV",
    "width_ms": "ms",
    **{f"autocorrelation_{lag:g}ms": "1" for lag in LAGS_MS},
    **{f"moment_{order}": f"mV^{order}" for order in range(2, 9)},
}
"""Every feature and its unit."""

SEVEN_FEATURES = ("spike_count", "rest_mean_mv", "rest_sd_mv", "mean_mv", "sd_mv", "skewness", "kurtosis")
"""Spikes, rest and moments, as for the in-vitro recordings of Gonçalves et al. (2020), with sd for variance."""

SPIKE_FEATURES = ("latency_ms", "first_isi_ms", "mean_isi_ms", "isi_cv", "peak_mv", "trough_mv", "width_ms")
"""Times and shapes of spikes; missing where there are no, or too few, spikes."""

TWENTY_FEATURES = (
    "spike_count",
    *(f"autocorrelation_{lag:g}ms" for lag in LAGS_MS),
    "rest_mean_mv",
    "mean_mv",
    *(f"moment_{order}" for order in range(2, 9)),
)
"""Those of the 12-parameter model of Lueckmann et al. (2017): count, autocorrelations, means, moments 2 to 8."""


def check_features(features: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple, or InputError naming the first unknown one."""
    for name in features:
        if name not in FEATURE_UNITS:
            raise InputError(f"There is no voltage feature {name!r}.{did_you_mean(name, FEATURE_UNITS)}")
    if not features or len(set(features)) != len(features):
        raise InputError("Give at least one feature, and each once.")
    return tuple(features)


def voltage_features(
    voltage_mv: np.ndarray,
    dt_ms: float,
    stimulus_on_ms: float,
    stimulus_off_ms: float,
    features: Sequence[str] = SEVEN_FEATURES,
) -> dict[str, float]:
    """Features of one trace, in float64.

    Parameters
    ----------
    voltage_mv
        (time,) membrane voltage; sample i is at ``i * dt_ms``.
    stimulus_on_ms, stimulus_off_ms
        The stimulus; rest is what comes before it, ``rest_sd_mv`` is taken of the last tenth of that. Everything else
        is computed between on and off.

    Returns
    -------
    Feature → value; NaN where the trace has no such feature. A spike is a crossing of -10 mV upwards. Moments are
    central (about the mean), skewness and kurtosis standardised (kurtosis 3 for a Gaussian). The autocorrelation at lag
    l is 1 - ½⟨(v(t) - v(t-l))²⟩/variance, NaN where l is not a whole number of samples, to 1 % (`lag_steps`): the lags
    of 0.1, 0.3, … ms of a trace sampled every 0.04 or 0.2 ms. A fit takes these for not recorded.

    Raises
    ------
    InputError
        If the trace is not one row of finite numbers, or too short for its stimulus.
    """
    names = check_features(features)
    v = np.asarray(voltage_mv, np.float64)
    if v.ndim != 1 or not np.isfinite(v).all():
        raise InputError(f"A voltage trace of shape {v.shape} was given; expected (time,) with finite values in mV.")
    time = np.arange(len(v)) * dt_ms
    on = (time > stimulus_on_ms) & (time < stimulus_off_ms)
    rest = (time < stimulus_on_ms) & (time > 0)
    late = rest & (time >= 0.9 * stimulus_on_ms)
    if on.sum() < 2:
        raise InputError(
            f"The trace of {time[-1] if len(v) else 0:g} ms has no part between {stimulus_on_ms:g} and"
            f" {stimulus_off_ms:g} ms, where the stimulus should be."
        )
    found = _moments(v[on]) | _spikes(v, time, on)
    found |= {"rest_mean_mv": _mean(v[rest]), "rest_sd_mv": float(np.std(v[late])) if late.any() else np.nan}
    for lag in LAGS_MS:
        n = lag_steps(lag, dt_ms)
        if n is None:
            found[f"autocorrelation_{lag:g}ms"] = np.nan
            continue
        pairs = on[n:] & on[:-n]
        difference = np.mean((v[n:] - v[:-n])[pairs] ** 2) if pairs.any() else np.nan
        found[f"autocorrelation_{lag:g}ms"] = 1 - 0.5 * difference / found["moment_2"] if found["moment_2"] else np.nan
    return {name: float(found[name]) for name in names}


def lag_steps(lag_ms: float, dt_ms: float) -> int | None:
    """The lag in samples; None where the nearest whole number of them is another lag by more than `LAG_ERROR`."""
    n = max(1, round(lag_ms / dt_ms))
    return n if abs(n * dt_ms - lag_ms) <= LAG_ERROR * lag_ms else None


def _moments(v: np.ndarray) -> dict[str, float]:
    mean = v.mean()
    found = {f"moment_{order}": float(np.mean((v - mean) ** order)) for order in range(2, 9)}
    sd = np.sqrt(found["moment_2"])
    flat = sd == 0
    return found | {
        "mean_mv": float(mean),
        "sd_mv": float(sd),
        "skewness": np.nan if flat else found["moment_3"] / sd**3,
        "kurtosis": np.nan if flat else found["moment_4"] / sd**4,
    }


def _spikes(v: np.ndarray, time: np.ndarray, on: np.ndarray) -> dict[str, float]:
    above = v >= SPIKE_THRESHOLD_MV
    onsets = np.flatnonzero(above[1:] & ~above[:-1] & on[1:]) + 1
    isi = np.diff(time[onsets])
    start = time[on][0] - (time[1] - time[0])
    outside = np.append(np.flatnonzero(~(above & on)), len(v))
    ends = outside[np.searchsorted(outside, onsets)]
    peaks = [v[onset:end].max() for onset, end in zip(onsets, ends, strict=True)]
    troughs = [v[a:b].min() for a, b in itertools.pairwise(onsets)]
    return {
        "spike_count": float(len(onsets)),
        "latency_ms": time[onsets[0]] - start if len(onsets) else np.nan,
        "first_isi_ms": isi[0] if len(isi) else np.nan,
        "mean_isi_ms": _mean(isi),
        "isi_cv": isi.std() / isi.mean() if len(isi) > 1 else np.nan,
        "peak_mv": _mean(peaks),
        "trough_mv": _mean(troughs),
        "width_ms": (above & on).sum() * (time[1] - time[0]) / len(onsets) if len(onsets) else np.nan,
    }


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan
