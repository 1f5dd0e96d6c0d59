"""Voltage features computed while simulating, block of time by block of time, so that no trace is kept.

Moments are merged exactly (Pébay 2008, SAND2008-6212): central moments of each block, and the shift of its mean, so
that float32 is enough. The definitions are those of ``voltage_features``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.mechanism.models.voltage_features import (
    LAGS_MS,
    SPIKE_FEATURES,
    SPIKE_THRESHOLD_MV,
    lag_steps,
)


class Windows(NamedTuple):
    """For each time step, (steps,) float32: 1 within a window, 0 outside; and the time."""

    on: np.ndarray
    rest: np.ndarray
    late_rest: np.ndarray
    time_ms: np.ndarray


class Moments(NamedTuple):
    """Mean and central moments (orders 2…) of n samples so far."""

    n: Array
    mean: Array
    central: tuple[Array, ...]


class SpikeTimes(NamedTuple):
    """Of the spikes so far: when, how far apart, how high."""

    first: Array
    last: Array
    first_isi: Array
    sum_square_isi: Array
    peak: Array
    sum_peak: Array
    trough: Array
    sum_trough: Array
    n_above: Array


def windows(time_ms: np.ndarray, on_ms: float, off_ms: float) -> Windows:
    """Windows of the stimulus, of rest, and of the last tenth of rest."""
    on = (time_ms > on_ms) & (time_ms < off_ms)
    rest = (time_ms < on_ms) & (time_ms > 0)
    return Windows(*(np.asarray(x, np.float32) for x in (on, rest, rest & (time_ms >= 0.9 * on_ms), time_ms)))


class OnlineFeatures:
    """Accumulates the features asked for.

    Parameters
    ----------
    names
        Features, in the order in which they are given back.
    dt_ms
        Time step.
    """

    def __init__(self, names: Sequence[str], dt_ms: float) -> None:
        self.names, self.dt = tuple(names), dt_ms
        orders = [int(name.removeprefix("moment_")) for name in names if name.startswith("moment_")]
        self.order = max([2, *orders, *(4 for name in names if name in ("skewness", "kurtosis"))])
        asked = [f"autocorrelation_{lag:g}ms" in names for lag in LAGS_MS]
        self.lags = tuple((a and lag_steps(lag, dt_ms)) or 0 for a, lag in zip(asked, LAGS_MS, strict=True))
        self.spike_times = any(name in SPIKE_FEATURES for name in names)

    @property
    def block(self) -> int:
        """Time steps of a block: at least the longest lag."""
        return max(40, *self.lags)

    def start(self, v: Float[Array, " n"]) -> dict:
        """Nothing accumulated yet; ``v`` is the voltage at time 0."""
        zero = jnp.zeros_like(v)
        carry = {
            "on": Moments(jnp.float32(0), zero, (zero,) * (self.order - 1)),
            "rest": Moments(jnp.float32(0), zero, ()),
            "late_rest": Moments(jnp.float32(0), zero, (zero,)),
            "before": jnp.broadcast_to(v, (self.block if any(self.lags) else 1, *v.shape)),
            "on_before": jnp.zeros(self.block if any(self.lags) else 1, jnp.float32),
            "count": zero,
            "squares": tuple(zero for lag in self.lags if lag),
            "pairs": tuple(jnp.float32(0) for lag in self.lags if lag),
        }
        if self.spike_times:
            none, high = zero - 1.0, zero + 1e9
            carry["times"] = SpikeTimes(none, none, none, zero, -high, zero, high, zero, zero)
        return carry

    def update(self, carry: dict, v: Float[Array, "block n"], window: Windows) -> dict:
        """Take in a block of voltages."""
        joined = jnp.concatenate([carry["before"], v])
        on_joined = jnp.concatenate([carry["on_before"], window.on])
        kept = len(carry["before"])
        before = joined[kept - 1 : -1]
        crossing = (v >= SPIKE_THRESHOLD_MV) & (before < SPIKE_THRESHOLD_MV) & (window.on[:, None] > 0)
        squares, pairs = [], []
        for lag, square, pair in zip(filter(None, self.lags), carry["squares"], carry["pairs"], strict=True):
            weight = window.on * on_joined[kept - lag : -lag]
            difference = v - joined[kept - lag : -lag]
            squares.append(square + weight @ (difference * difference))
            pairs.append(pair + weight.sum())
        new = {
            "on": _merge(carry["on"], _block_moments(v, window.on, self.order)),
            "rest": _merge(carry["rest"], _block_moments(v, window.rest, 1)),
            "late_rest": _merge(carry["late_rest"], _block_moments(v, window.late_rest, 2)),
            "before": joined[-kept:],
            "on_before": on_joined[-kept:],
            "count": carry["count"] + crossing.sum(axis=0, dtype=jnp.float32),
            "squares": tuple(squares),
            "pairs": tuple(pairs),
        }
        if self.spike_times:
            new["times"] = _follow_spikes(carry["times"], v, crossing, window)
        return new

    def finish(self, carry: dict, start_ms: float) -> dict[str, Array]:
        """The features by name, each (n,); ``start_ms`` is where the latency is counted from."""
        on, count = carry["on"], carry["count"]
        variance = on.central[0]
        sd = jnp.sqrt(variance)
        found = {f"moment_{order}": moment for order, moment in enumerate(on.central, 2)}
        found |= {
            "spike_count": count,
            "mean_mv": on.mean,
            "sd_mv": sd,
            "rest_mean_mv": _if_any(carry["rest"].mean, carry["rest"].n),
        }
        found["rest_sd_mv"] = _if_any(jnp.sqrt(carry["late_rest"].central[0]), carry["late_rest"].n)
        if self.order >= 4:
            found["skewness"] = _if_any(on.central[1] / sd**3, variance)
            found["kurtosis"] = _if_any(on.central[2] / variance**2, variance)
        found |= {f"autocorrelation_{lag_ms:g}ms": jnp.full_like(count, jnp.nan) for lag_ms in LAGS_MS}
        names = [f"autocorrelation_{lag_ms:g}ms" for lag_ms, lag in zip(LAGS_MS, self.lags, strict=True) if lag]
        for name, square, pair in zip(names, carry["squares"], carry["pairs"], strict=True):
            found[name] = _if_any(1 - 0.5 * square / jnp.maximum(pair, 1) / variance, variance * pair)
        if self.spike_times:
            found |= _spike_features(carry["times"], count, start_ms, self.dt)
        return {name: found[name] for name in self.names}


def _block_moments(v: Array, weight: Array, order: int) -> Moments:
    n = weight.sum()
    share = weight / jnp.maximum(n, 1)
    mean = share @ v
    central, power = [], v - mean
    deviation = power
    for _ in range(order - 1):
        power = power * deviation
        central.append(share @ power)
    return Moments(n, mean, tuple(central))


def _merge(a: Moments, b: Moments) -> Moments:
    """Moments of the samples of both."""
    n = a.n + b.n
    share_a, share_b = a.n / jnp.maximum(n, 1), b.n / jnp.maximum(n, 1)
    delta = b.mean - a.mean
    shift_a, shift_b = -share_b * delta, share_a * delta

    def about_the_new_mean(moments: Moments, shift: Array, order: int) -> Array:
        known = (1.0, 0.0, *moments.central)
        terms = [math.comb(order, k) * shift**k * known[order - k] for k in range(order + 1) if order - k != 1]
        return sum(terms[1:], terms[0])

    central = tuple(
        share_a * about_the_new_mean(a, shift_a, order) + share_b * about_the_new_mean(b, shift_b, order)
        for order in range(2, len(a.central) + 2)
    )
    return Moments(n, share_a * a.mean + share_b * b.mean, central)


def _follow_spikes(times: SpikeTimes, v: Array, crossing: Array, window: Windows) -> SpikeTimes:
    """Step through a block for what depends on the order of spikes."""

    def sample(past: SpikeTimes, now: tuple) -> tuple[SpikeTimes, None]:
        v, crossed, on, time = now
        another = crossed & (past.first >= 0)
        isi = time - past.last
        above = (v >= SPIKE_THRESHOLD_MV) & (on > 0)
        in_spike = above & (crossed | (past.peak > -1e8))
        ended = ~in_spike & (past.peak > -1e8)
        return (
            SpikeTimes(
                first=jnp.where(crossed & (past.first < 0), time, past.first),
                last=jnp.where(crossed, time, past.last),
                first_isi=jnp.where(another & (past.first_isi < 0), isi, past.first_isi),
                sum_square_isi=past.sum_square_isi + jnp.where(another, isi * isi, 0.0),
                peak=jnp.where(in_spike, jnp.maximum(jnp.where(crossed, v, past.peak), v), -1e9),
                sum_peak=past.sum_peak + jnp.where(ended, past.peak, 0.0),
                trough=jnp.where(crossed, v, jnp.minimum(past.trough, v)),
                sum_trough=past.sum_trough + jnp.where(another, past.trough, 0.0),
                n_above=past.n_above + above,
            ),
            None,
        )

    return jax.lax.scan(sample, times, (v, crossing, window.on, window.time_ms))[0]


def _spike_features(times: SpikeTimes, count: Array, start_ms: float, dt: float) -> dict[str, Array]:
    n_isi = count - 1
    mean_isi = (times.last - times.first) / jnp.maximum(n_isi, 1)
    variance = times.sum_square_isi / jnp.maximum(n_isi, 1) - mean_isi**2
    unfinished = jnp.where(times.peak > -1e8, times.peak, 0.0)
    return {
        "latency_ms": _if_any(times.first - start_ms, count),
        "first_isi_ms": _if_any(times.first_isi, n_isi),
        "mean_isi_ms": _if_any(mean_isi, n_isi),
        "isi_cv": _if_any(jnp.sqrt(jnp.maximum(variance, 0)) / mean_isi, n_isi - 1),
        "peak_mv": _if_any((times.sum_peak + unfinished) / count, count),
        "trough_mv": _if_any(times.sum_trough / jnp.maximum(n_isi, 1), n_isi),
        "width_ms": _if_any(times.n_above * dt / count, count),
    }


def _if_any(value: Array, number: Array) -> Array:
    return jnp.where(number > 0, value, jnp.nan)
