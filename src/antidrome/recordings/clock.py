"""What the times of frames say: their rate, how coarsely they were rounded, and which frames follow one another.

Times are often rounded: to milliseconds, to two decimals, to what float32 holds. Steps of a rounded clock take a few
values, and the commonest of them is not the frame period; the straight line through the times is.
"""

from __future__ import annotations

import numpy as np

from antidrome.errors import InputError

GAP_FRAMES = 1.5
"""Two frames are neighbours when their times are at most this many frame periods apart."""

WORTH_SAYING = 1e-3
"""Rounding to less than this part of a frame period is not worth a word."""

_NEARLY = 0.02
"""A frame period this close to a quantum is one: declared rates are allowed to be a little off."""

_ROUNDS = 8
_FEWEST_LONG_STEPS = 5
_MOST_VALUES = 64
_SAME = 16
"""Steps that differ by so many times the spacing of float64 are the same."""


def clock_rate_hz(time: np.ndarray | None) -> float | None:
    """Frames per second of frame times (s), shape (frames,); None if they never increase.

    The slope of the straight line through every uninterrupted stretch: steps that differ from the frame period by less
    than half of it (gaps, late and repeated frames do not enter). Of an exact clock, 1 / the median step.
    """
    if time is None:
        return None
    time = np.asarray(time, dtype=np.float64)
    time = time[np.isfinite(time)]
    steps = np.diff(time)
    rising = steps[steps > 0]
    if not rising.size:
        return None
    median = float(np.median(rising))
    near = rising[rising <= GAP_FRAMES * median]
    if np.ptp(near) <= _SAME * _rounding(time):
        coarse = _coarse_line(time, steps, median)
        return 1.0 / (median if coarse is None or coarse[1] else coarse[0])
    period = _line(time, steps, median)
    return 1.0 / (median if abs(period - median) <= 4 * _rounding(time) else period)


def quantum_s(time: np.ndarray | None) -> float:
    """The step (s) that all times are multiples of, 0 where they are exact: even, or as fine as their float type.

    Of times that went through float32 it is the coarsest spacing of that type among them.
    """
    if time is None:
        return 0.0
    time = np.asarray(time, dtype=np.float64)
    time = time[np.isfinite(time)]
    steps = np.diff(time)
    rising = steps[steps > 0]
    if not rising.size:
        return 0.0
    rounding = _rounding(time)
    near = rising[rising <= 2.5 * float(np.median(rising))]
    if np.ptp(near) <= _SAME * rounding:
        return 0.0
    with np.errstate(over="ignore"):
        single = time.astype(np.float32)
    if np.array_equal(single, time):
        return max(float(np.spacing(np.abs(single).max())), _common_divisor(near, rounding))
    return _common_divisor(near, rounding)


def longest_step_s(time: np.ndarray | None, frame_rate_hz: float) -> float:
    """The longest step (s) between two frames that follow one another, with what rounding adds to a frame period."""
    longest, period, quantum = GAP_FRAMES / frame_rate_hz, 1.0 / frame_rate_hz, quantum_s(time)
    if quantum <= 0.5 * period or not _is_round(quantum):
        return longest
    return max(longest, (np.ceil(period / quantum - _NEARLY) + 0.25) * quantum)


def whole_frames(time: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Frame periods from every frame to the next, shape (frames − 1,), at least one; jitter does not add up."""
    steps = np.diff(time)
    follows = steps <= longest_step_s(time, frame_rate_hz)
    return np.where(follows, 1, np.maximum(np.rint(steps * frame_rate_hz), 1)).astype(np.int64)


def rate_agrees(frame_rate_hz: float, time: np.ndarray) -> bool:
    """Whether a frame rate (Hz) fits times (s): within one per cent, or as well as their rounding lets anyone tell."""
    found = clock_rate_hz(time)
    if found is None or abs(frame_rate_hz - found) <= 0.01 * found:
        return True
    quantum = quantum_s(time)
    if quantum == 0:
        return False
    steps = np.diff(time)
    number = _stretches((steps >= 0) & (steps <= longest_step_s(time, frame_rate_hz)))
    enough = number[-1] + 1 < time.size / 2
    return bool(enough and _widest(time, number, 1.0 / frame_rate_hz) <= 1.1 * quantum)


def require_agreement(frame_rate_hz: float, time: np.ndarray) -> None:
    """Raise InputError if a frame rate contradicts the times (s)."""
    if not rate_agrees(frame_rate_hz, time):
        raise InputError(
            f"frame_rate_hz = {frame_rate_hz:g}, but the times of the recording run at {clock_rate_hz(time):g} Hz: "
            "leave frame_rate_hz out, or correct the times"
        )


def rounding_note(time: np.ndarray, frame_rate_hz: float | None) -> str | None:
    """A sentence where times were rounded by more than a thousandth of a frame period, or None."""
    quantum = quantum_s(time)
    if frame_rate_hz is None or quantum * frame_rate_hz < WORTH_SAYING:
        return None
    steps = np.diff(time)
    near = steps[(steps > 0) & (steps <= longest_step_s(time, frame_rate_hz))]
    rounded = f"the times are rounded to steps of {quantum:.3g} s"
    if near.size and np.ptp(near) > _SAME * _rounding(time):
        part = f"{100 * quantum * frame_rate_hz:.2g} % of a frame period"
        return f"{rounded} ({part}), so that single steps do not tell the frame rate"
    coarse = _coarse_line(time, steps, 1.0 / frame_rate_hz)
    if coarse is None:
        return None
    return f"frames are missing in strict order, or {rounded}: then pass frame_rate_hz={1 / coarse[0]:.4g}"


def _rounding(time: np.ndarray) -> float:
    """Spacing of float64 numbers as large as the times."""
    return float(np.spacing(np.abs(time).max()))


def _line(time: np.ndarray, steps: np.ndarray, period: float) -> float:
    """Frame period (s) from ordinary steps, found anew with every better period."""
    ordinary = None
    for _ in range(_ROUNDS):
        now = np.abs(steps - period) <= 0.5 * period * (1 + 1e-9)
        if not now.any() or (ordinary is not None and np.array_equal(now, ordinary)):
            break
        ordinary, period = now, _slope(time, _stretches(now))
    return period


def _coarse_line(time: np.ndarray, steps: np.ndarray, quantum: float) -> tuple[float, bool] | None:
    """Frame period (s) of a clock that shows one or two of its quanta a frame, and whether they alternate strictly.

    Of an exact clock that lost frames the long steps come at random, or in strict order; those of a rounded clock come
    so that no time is off by more than the quantum. None if this is not such a clock.
    """
    double = np.abs(steps - 2 * quantum) <= 1e-6 * quantum
    distances = np.diff(np.flatnonzero(double))
    if distances.size < _FEWEST_LONG_STEPS or np.ptp(distances) > 2 or not _is_round(quantum):
        return None
    number = _stretches((np.abs(steps - quantum) <= 1e-6 * quantum) | double)
    period = _slope(time, number)
    return (period, bool(np.ptp(distances) == 0)) if _widest(time, number, period) <= 1.1 * quantum else None


def _is_round(step: float) -> bool:
    """Whether a step is one, two or five units of a decimal place, or a power of two."""
    leading = step / 10.0 ** np.floor(np.log10(step) + 1e-9)
    return bool(min(abs(leading - digit) for digit in (1, 2, 5, 10)) < 1e-6 or np.frexp(step)[0] == 0.5)


def _stretches(joined: np.ndarray) -> np.ndarray:
    """Number of the stretch of every frame, from which steps join frames to the one before."""
    return np.r_[0, np.cumsum(~joined)]


def _slope(time: np.ndarray, number: np.ndarray) -> float:
    """Seconds a frame: least squares of one slope through all stretches, each with its own start."""
    frames, seconds = np.arange(time.size, dtype=np.float64), time - time[0]
    length = np.bincount(number)
    frames -= (np.bincount(number, frames) / length)[number]
    seconds -= (np.bincount(number, seconds) / length)[number]
    return float(frames @ seconds / (frames @ frames))


def _widest(time: np.ndarray, number: np.ndarray, period: float) -> float:
    """The widest range (s), over stretches, of what times differ from even ones of this period."""
    off = time - time[0] - period * np.arange(time.size)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return float((np.maximum.reduceat(off, starts) - np.minimum.reduceat(off, starts)).max())


def _common_divisor(steps: np.ndarray, rounding: float) -> float:
    """The largest number (s) that steps are multiples of, 0 if it is not far coarser than the float rounding."""
    if _values(steps[:4096], rounding).size > _MOST_VALUES:
        return 0.0
    values = _values(steps, rounding)
    if not 1 < values.size <= _MOST_VALUES:
        return 0.0
    divisor, error = float(values[0]), 2 * rounding
    for value in values[1:]:
        larger, of_larger = float(value), 2 * rounding
        while divisor > 8 * error:  # Euclid, with the error of every remainder
            times = np.rint(larger / divisor)
            larger, divisor = divisor, abs(larger - divisor * times)
            of_larger, error = error, of_larger + times * error
        divisor, error = larger, of_larger
    return divisor if divisor > 1024 * rounding else 0.0


def _values(steps: np.ndarray, rounding: float) -> np.ndarray:
    """Different values among steps, in order; what rounding alone tells apart is one."""
    steps = np.sort(steps)
    return steps[np.r_[True, np.diff(steps) > _SAME * rounding]]
