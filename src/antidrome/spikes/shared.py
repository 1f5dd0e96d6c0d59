"""Inference with the shipped network, as it comes or adapted: what an estimator with ``posterior="shared"`` holds."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from antidrome.spikes.adaptation import (
    Cells,
    describe_cells,
    evidence_bound,
    reconstruct,
    working_rate,
)
from antidrome.spikes.adaptation.cells import places_of
from antidrome.spikes.blocks import infer_block
from antidrome.spikes.drift import drift_frames, slow_part
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.inference import SummaryPrior, group_size, infer_counts
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.same_cells import FittedTraces


@dataclasses.dataclass(frozen=True)
class SharedInference:
    """One network for all cells, and the description of the cells it was fitted to.

    Parameters
    ----------
    network
        Recognition network.
    labels, cells
        Fitted cells and their parameters, noise per frame as recorded; empty where nothing was fitted.
    prior
        What the cells of the fitted preparation share.
    traces
        What tells the fitted cells from others with the same label; None without any, and in older files.
    """

    fewest_frames: ClassVar[int] = 1
    """Observed frames without which nothing is inferred of a neuron."""
    reads_cells: ClassVar[frozenset[str]] = frozenset({"reconstruct", "bound"})
    """Methods to which it matters whether a neuron is a fitted cell."""

    network: RecognitionNetwork
    labels: tuple[str, ...] = ()
    cells: Cells | None = None
    prior: SummaryPrior | None = None
    steps: int = 1
    traces: FittedTraces | None = None

    def infer(
        self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, grid: FrameGrid, n_samples: int, seed: int
    ) -> dict[str, np.ndarray]:
        """Arrays of the result for one block of neurons; see `infer_block`."""
        return infer_block(self.network, traces, labels, frame_rate_hz, grid, n_samples, seed, self.prior)

    def expected(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron, place) expected spikes of traces on a regular grid."""
        return np.asarray(infer_counts(self.network, traces, frame_rate_hz, self.prior).mean)

    def reconstruct(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron, place) ΔF/F that the expected spikes explain, with the slow drift of the baseline."""
        expected = self.expected(traces, labels, frame_rate_hz, seed)
        cells = self.describe(traces, expected, labels, frame_rate_hz)
        frames = reconstruct(cells, expected, frame_rate_hz)
        observed = np.isfinite(traces)
        width = drift_frames(frame_rate_hz)
        left = np.where(observed, traces - frames, 0)
        share = slow_part(observed.astype(float), width)
        return frames + slow_part(left, width) / np.maximum(share, 1e-3)

    def bound(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron,) evidence lower bound, nats per frame; frames averaged above 64 Hz."""
        slower, slow_rate = working_rate(traces, frame_rate_hz)
        posterior = infer_counts(self.network, slower, slow_rate, self.prior)
        cells = self.describe(slower, np.asarray(posterior.mean), labels, slow_rate, group_size(frame_rate_hz))
        return evidence_bound(posterior, slower, cells, slow_rate, seed, labels.tolist())

    def describe(
        self, traces: np.ndarray, expected: np.ndarray, labels: np.ndarray, frame_rate_hz: float, group: int = 1
    ) -> Cells:
        """Parameters of the cells: fitted ones where there are, else read off the trace and its spikes.

        Every frame of the traces is the mean of `group` frames as recorded, and so is the noise of the cells.
        """
        found = describe_cells(traces, expected, frame_rate_hz)
        if self.cells is None:
            return found
        fitted = self.cells._replace(noise_sd=self.cells.noise_sd / group**0.5)
        return fitted.at(places_of(labels, self.labels), found)

    def parameters(self) -> dict[str, tuple[np.ndarray, bool]]:
        """Fitted generative parameters by name, and whether each is shared by all cells."""
        return {} if self.cells is None else {name: (v, False) for name, v in self.cells._asdict().items()}
