"""Windows of traces: what one gradient step sees. Buffers at both ends give context and are never counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.errors import InputError
from antidrome.spikes.variational.calibration import check_rows
from antidrome.spikes.variational.config import FitConfig

SMALLEST_OBSERVED = 0.5
"""Of the frames of a window's centre, over the share that was observed of the whole trace."""


class Windows(NamedTuple):
    """Arrays with one row a window."""

    trace: np.ndarray  # (window, frame) float32 ΔF/F, NaN where missing
    cell: np.ndarray  # (window,) int32
    known: np.ndarray  # (window, step) float32 true spikes, NaN where unknown

    def take(self, rows: np.ndarray) -> Windows:
        """The windows at `rows`."""
        return Windows(*(a[rows] for a in self))


def cut_windows(
    traces: np.ndarray, config: FitConfig, cell: np.ndarray | None = None, known: np.ndarray | None = None
) -> Windows:
    """Cut traces so that every frame lies in the centre of one window; missing frames pad the ends.

    Windows of whose centre less than half as much was observed as of their trace are left out.

    Parameters
    ----------
    traces
        (row, time) ΔF/F, NaN where missing.
    cell
        (row,) cell of each row.
    known
        (row, time · superresolution) true spikes per step, NaN where unknown.
    """
    traces, cell = check_rows(traces, cell)
    steps = config.posterior.superresolution
    centre = config.window_frames - config.buffer_before - config.buffer_after
    n_rows, n_frames = traces.shape
    per_row = -(-n_frames // centre)
    if known is None:
        known = np.full((n_rows, n_frames * steps), np.nan, np.float32)
    if known.shape != (n_rows, n_frames * steps):
        raise InputError(
            f"Known spikes have shape {known.shape}; expected {(n_rows, n_frames * steps)}: one row a trace,"
            f" {steps} steps a frame, NaN where spikes are not known."
        )

    def cut(x: np.ndarray, scale: int) -> np.ndarray:
        after = per_row * centre - n_frames + config.buffer_after
        padded = np.pad(
            x.astype(np.float32), ((0, 0), (config.buffer_before * scale, after * scale)), constant_values=np.nan
        )
        views = np.lib.stride_tricks.sliding_window_view(padded, config.window_frames * scale, axis=1)
        return views[:, :: centre * scale].reshape(n_rows * per_row, -1)

    trace = cut(traces, 1)
    inside = np.isfinite(trace[:, config.buffer_before : config.window_frames - config.buffer_after])
    usual = np.repeat(np.isfinite(traces).mean(axis=1), per_row)
    kept = inside.mean(axis=1) >= SMALLEST_OBSERVED * usual
    windows = Windows(trace, np.repeat(cell, per_row).astype(np.int32), cut(known, steps))
    return windows.take(np.flatnonzero(kept))


def batches(n_windows: int, size: int) -> list[np.ndarray]:
    """Rows of batches of one size that hold every window; the last overlaps where the size does not fit."""
    size = max(1, min(size, n_windows))
    starts = [*range(0, n_windows - size + 1, size)]
    if n_windows % size:
        starts.append(n_windows - size)
    return [np.arange(start, start + size) for start in starts]


def split_windows(windows: Windows, share: float, generator: np.random.Generator) -> tuple[Windows, Windows]:
    """Windows to learn from and windows to judge by, every cell with at least one of each where it has two."""
    if not len(windows.cell):
        raise InputError("No trace fills half of a window; use shorter windows or longer traces.")
    held = np.zeros(len(windows.cell), bool)
    for cell in np.unique(windows.cell):
        own = np.flatnonzero(windows.cell == cell)
        n = min(len(own) - 1, max(1, round(share * len(own))))
        held[generator.choice(own, max(n, 0), replace=False)] = True
    if not held.any():
        raise InputError(
            "Every cell has only one window, and none can be held out; use shorter windows or longer traces."
        )
    return windows.take(np.flatnonzero(~held)), windows.take(np.flatnonzero(held))
