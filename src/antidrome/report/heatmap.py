"""The overview: every neuron's rate in coarse cells of time, one row a neuron."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from antidrome.report.decimate import evenly_spread

MAX_COLUMNS = 1200
MAX_ROWS = 1000
MAX_ROWS_TOGETHER = 10_000
"""Rows of all sessions together: 16 MB of text where each has all its columns."""
FEWEST_ROWS = 20


@dataclass
class HeatMap:
    """Rates in cells of time, filled block by block.

    Attributes
    ----------
    rows
        Indices of the neurons that have a row, shape ``(n_rows,)``; all of them up to so many, evenly spread beyond.
    cell
        The cell of time each frame falls into, shape ``(n_frames,)``.
    """

    rows: NDArray[np.int64]
    cell: NDArray[np.int64]
    n_columns: int
    interval_s: float
    start_s: float
    end_s: float
    rate_hz: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, counts: NDArray[np.float64], first_neuron: int) -> None:
        """Add the rows of a block of neurons; `counts` has shape ``(n_neurons, n_frames)``, spikes per frame."""
        here = self.rows[(self.rows >= first_neuron) & (self.rows < first_neuron + len(counts))] - first_neuron
        for row in counts[here]:
            seen = np.isfinite(row)
            spikes = np.bincount(self.cell[seen], weights=row[seen], minlength=self.n_columns)
            seconds = np.bincount(self.cell[seen], minlength=self.n_columns) * self.interval_s
            rate = np.divide(spikes, seconds, out=np.full(self.n_columns, np.nan), where=seconds > 0)
            self.rate_hz.append(rate.astype(np.float32))

    def codes(self) -> tuple[NDArray[np.uint8], float]:
        """Rates as bytes on a square-root scale, and the rate in spikes/s of the brightest colour.

        The scale ends at the 99.5th percentile of the cells, so that one burst does not darken everything else; 255
        means "no data".
        """
        rates = np.stack(self.rate_hz) if self.rate_hz else np.zeros((0, self.n_columns), np.float32)
        finite = rates[np.isfinite(rates)]
        top = float(np.percentile(finite, 99.5)) if finite.size else 0.0
        top = top if top > 0 else 1.0
        scaled = np.sqrt(np.clip(np.nan_to_num(rates), 0, top) / top) * 254
        return np.where(np.isfinite(rates), np.rint(scaled), 255).astype(np.uint8), top


def rows_each(n_sessions: int) -> int:
    """Rows that each of so many sessions may have."""
    return min(MAX_ROWS, max(FEWEST_ROWS, MAX_ROWS_TOGETHER // n_sessions))


def empty_heat_map(time_s: NDArray[np.float64], n_neurons: int, interval_s: float, max_rows: int = MAX_ROWS) -> HeatMap:
    """A heat map without rows yet, its cells evenly spaced in time (gaps in the recording stay empty)."""
    start, end = float(time_s[0] - interval_s / 2), float(time_s[-1] + interval_s / 2)
    n_columns = int(min(MAX_COLUMNS, time_s.size))
    cell = np.clip(((time_s - start) / (end - start) * n_columns).astype(np.int64), 0, n_columns - 1)
    rows = evenly_spread(n_neurons, max_rows)
    return HeatMap(rows, cell, n_columns, interval_s, start, end)
