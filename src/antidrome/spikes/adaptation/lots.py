"""What is learned from: the user's recordings, their cells as described, and simulations of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.spikes.adaptation.cells import Cells, describe_cells, reconstruct
from antidrome.spikes.adaptation.config import AdaptationConfig
from antidrome.spikes.adaptation.matched import Examples, MakeModel, cut_examples, join, matched_traces, wide_traces
from antidrome.spikes.conditioning import condition
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.inference import SummaryPrior, group_size, infer_counts
from antidrome.spikes.recognition import RecognitionNetwork

RECORDED_FRAMES = 8192
"""Of a recording at most (see `known_stretch`); what is simulated is shorter (`matched.SIMULATED_FRAMES`)."""
LARGEST_LAG = 8
FEWEST_CELLS = 4
CHUNK = 32
"""Cells that are simulated at once: always as many, so that little is compiled."""


def working_rate(traces: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, float]:
    """Traces at a rate that the network reads directly: groups of frames averaged above 64 Hz."""
    group = group_size(frame_rate_hz)
    return sum_groups(traces, group) / group, frame_rate_hz / group


def sum_groups(x: np.ndarray, group: int) -> np.ndarray:
    """(row, time) sums over groups of frames; a last partial group is cut; NaN where one is missing."""
    n = x.shape[1] // group
    return x[:, : n * group].reshape(len(x), n, group).sum(axis=2)


def known_stretch(known: np.ndarray | None) -> slice:
    """The `RECORDED_FRAMES` frames that are learned from: those with the most known ones, else the first.

    Parameters
    ----------
    known
        (neuron, time) true spikes per frame, NaN where unknown.
    """
    if known is None or known.shape[1] <= RECORDED_FRAMES:
        return slice(RECORDED_FRAMES)
    total = np.r_[0, np.cumsum(np.isfinite(known).sum(axis=0))]
    first = int(np.argmax(total[RECORDED_FRAMES:] - total[:-RECORDED_FRAMES]))
    return slice(first, first + RECORDED_FRAMES)


class Recorded(NamedTuple):
    """One recording to learn from: (neuron, time) ΔF/F at up to 64 frames per second, NaN where missing.

    `known` holds true spikes per frame where they are known, NaN elsewhere; or None.
    """

    traces: np.ndarray
    frame_rate_hz: float
    known: np.ndarray | None = None


class Lot(NamedTuple):
    """One recording with everything that examples are made from.

    Parameters
    ----------
    traces, known
        (neuron, time) ΔF/F, and true spikes per frame (NaN where unknown).
    cells, residuals
        The description of the cells, and what it leaves of their traces, (neuron, time).
    network
        The start, whose answers are to be kept.
    make
        Generative model of the simulations; None for the built-in ones.
    delay_s
        How late the cells answer, such that the network at the start finds simulated spikes in their place on average.
        No trace tells when the spikes were, only when they showed; what the network has learned of that is kept.
    """

    traces: np.ndarray
    known: np.ndarray
    frame_rate_hz: float
    cells: Cells
    residuals: np.ndarray
    network: RecognitionNetwork
    make: MakeModel | None
    delay_s: float = 0.0

    @classmethod
    def of(
        cls, network: RecognitionNetwork, recorded: Recorded, make: MakeModel | None, draw: np.random.Generator
    ) -> Lot:
        """Describe the cells of a recording with the network as it is."""
        rate = recorded.frame_rate_hz
        stretch = known_stretch(recorded.known)
        traces = np.asarray(recorded.traces[:, stretch], np.float32)
        known = np.full(traces.shape, np.nan) if recorded.known is None else recorded.known[:, stretch]
        expected = np.asarray(infer_counts(network, traces, rate).mean)
        spikes = np.where(np.isfinite(known), known, expected)
        cells = describe_cells(traces, spikes, rate)
        residuals = traces - reconstruct(cells._replace(baseline=np.zeros(len(traces))), spikes, rate)
        lot = cls(traces, known, rate, cells, residuals, network, make)
        if not cells.responding.any():
            return lot
        simulated, counts = lot.matched(draw, CHUNK)
        found = np.asarray(infer_counts(network, simulated, rate).mean)
        return lot._replace(delay_s=-mean_lag(found, counts) / rate)

    def shift_of(self, posterior: CountPosterior) -> float:
        """By how many frames real spikes come later than at the start, on average."""
        before, after = (np.where(np.isfinite(self.traces), np.asarray(p.mean), 0) for p in (self.answer(), posterior))
        return mean_lag(after, before)

    def in_step(self, network: RecognitionNetwork) -> Lot:
        """The lot whose simulations undo what an adapted network has shifted in time."""
        shift = self.shift_of(infer_counts(network, self.traces, self.frame_rate_hz))
        return self._replace(delay_s=self.delay_s + shift / self.frame_rate_hz)

    def answer(self) -> CountPosterior:
        """What the start says of the real traces."""
        return infer_counts(self.network, self.traces, self.frame_rate_hz)

    def matched(self, draw: np.random.Generator, n: float) -> tuple[np.ndarray, np.ndarray]:
        """About `n` simulated cells like these: traces and true counts."""
        parts = [
            matched_traces(draw, self.cells, self.residuals, self.frame_rate_hz, CHUNK, self.make, self.delay_s)
            for _ in range(max(1, round(n / CHUNK)))
        ]
        return _join(parts)

    def wide(self, draw: np.random.Generator, n: float) -> tuple[np.ndarray, np.ndarray]:
        """About `n` simulated cells of any kind."""
        n_frames = self.residuals.shape[1]
        parts = [
            wide_traces(int(draw.integers(2**31)), self.frame_rate_hz, CHUNK, n_frames)
            for _ in range(max(1, round(n / CHUNK)))
        ]
        return _join(parts)

    def examples(self, traces: np.ndarray, counts: np.ndarray, *, real: bool = False) -> Examples:
        """Windows of simulated traces, or of the real ones."""
        known = np.isfinite(counts) & np.isfinite(traces) if real else np.isfinite(counts)
        answer = self.answer() if real else None
        return cut_examples(traces, np.nan_to_num(counts), known, self.frame_rate_hz, answer)


def shared_summary(lots: list[Lot], share: float) -> SummaryPrior | None:
    """The mean summary of all cells with a response; None for fewer than four."""
    summaries = [condition(lot.traces[lot.cells.responding], lot.frame_rate_hz)[1] for lot in lots]
    joined = np.concatenate(summaries)
    return SummaryPrior(joined.mean(axis=0), share) if len(joined) >= FEWEST_CELLS and share else None


def mean_lag(found: np.ndarray, counts: np.ndarray) -> float:
    """By how many frames expected spikes come late on average: the top of the pooled cross-correlation, to a fraction.

    Parameters
    ----------
    found, counts
        (row, time) expected and true spikes per frame.
    """
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (found, counts))
    lags = np.arange(-LARGEST_LAG, LARGEST_LAG + 1)
    n = a.shape[1]
    inner = slice(LARGEST_LAG, n - LARGEST_LAG)
    value = np.array([np.sum(np.roll(a, -lag, axis=1)[:, inner] * b[:, inner]) for lag in lags])
    top = int(np.argmax(value))
    if not 0 < top < len(lags) - 1 or value[top] <= 0:
        return 0.0
    left, middle, right = value[top - 1 : top + 2]
    return float(lags[top] + 0.5 * (left - right) / (left - 2 * middle + right))


def _join(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    traces, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return traces, counts


def gather(
    lots: list[Lot], config: AdaptationConfig, draw: np.random.Generator
) -> tuple[Examples, Examples, np.ndarray]:
    """Windows to learn from with their chances, and windows that decide when to stop."""
    n = config.simulated_cells / len(lots)
    parts = [
        join([lot.examples(*lot.matched(draw, n)) for lot in lots]),
        join([lot.examples(*lot.wide(draw, n / 3)) for lot in lots]),
        join([lot.examples(lot.traces, lot.known, real=True) for lot in lots]),
    ]
    chances = []
    for part, share in zip(parts, (config.matched, config.wide, config.real), strict=True):
        own = np.ones(len(part.channels))
        if part is parts[2]:
            own = np.where(part.inside.any(axis=1), config.supervised, 1.0) * part.observed.any(axis=1)
        chances.append(share * own / max(own.sum(), 1e-12))
    held = join([lot.examples(*lot.matched(draw, n / 4)) for lot in lots])
    return join(parts), held, np.concatenate(chances)
