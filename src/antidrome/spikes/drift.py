"""What is slower than any response: the drift of a trace's baseline, taken for its moving average."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

DRIFT_S = 30.0


def drift_frames(frame_rate_hz: float) -> int:
    """Frames of the moving average, 30 s."""
    return max(3, round(DRIFT_S * frame_rate_hz))


def slow_part(x: np.ndarray, width: int) -> np.ndarray:
    """(row, time) centred mean over `width` frames; beyond the ends stands the last value."""
    return uniform_filter1d(x, width, axis=1, mode="nearest")


def without_drift(x: np.ndarray, width: int) -> np.ndarray:
    """(row, time) less its moving average."""
    return x - slow_part(x, width)
