"""Inference with a network of the recording's own: what an estimator with another ``posterior`` holds."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.errors import InputError
from antidrome.spikes.adaptation import Cells
from antidrome.spikes.adaptation.cells import SHAPES, places_of
from antidrome.spikes.generative import Observation, map_parameters, named_parameters, take_cells
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.response import Response, fit_response
from antidrome.spikes.results import arrays_of_block, unusable
from antidrome.spikes.same_cells import FittedTraces
from antidrome.spikes.starts import Generative, calibration_of, make_model, start_cells, started
from antidrome.spikes.variational import Fit, infer
from antidrome.spikes.variational.calibration import FEWEST_FRAMES, rescaled
from antidrome.spikes.variational.fit import bounds_of_windows
from antidrome.spikes.variational.infer import Inferred, for_new_cells
from antidrome.spikes.variational.problem import Problem, in_frames
from antidrome.spikes.variational.windows import cut_windows

SAMPLES = 16


@dataclasses.dataclass(frozen=True)
class OwnInference:
    """A variational autoencoder fitted to a recording, and what other cells need to be read by it.

    Parameters
    ----------
    fitted
        Network, generative parameters, settings.
    labels, cells
        Fitted cells and what they started from.
    generative
        Builds the generative model of unseen cells from their start.
    network
        The network that describes unseen cells; None where the fit started cold.
    frame_rate_hz
        Frame rate of the fit; recordings at another rate are refused.
    traces
        What tells the fitted cells from others with the same label; None in older files.
    population
        (shape,) what the fitted cells say of the shape of a response, so that an unseen cell is described the same
        whichever others are read with it; None without a network, and in older files, where it is described alone.
    amplitude_factor
        What amplitudes of the fitted cells were multiplied with at their start, and those of unseen cells are.
    """

    fewest_frames: ClassVar[int] = FEWEST_FRAMES
    """Observed frames without which nothing is inferred of a neuron."""
    reads_cells: ClassVar[frozenset[str]] = frozenset({"infer", "expected", "reconstruct", "bound"})
    """Methods to which it matters whether a neuron is a fitted cell."""

    fitted: Fit
    labels: tuple[str, ...]
    cells: Cells
    generative: Generative
    network: RecognitionNetwork | None
    frame_rate_hz: float
    traces: FittedTraces | None = None
    population: np.ndarray | None = None
    amplitude_factor: float = 1.0

    @property
    def steps(self) -> int:
        """Steps per frame."""
        return self.fitted.config.posterior.superresolution

    def infer(
        self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, grid: FrameGrid, n_samples: int, seed: int
    ) -> dict[str, np.ndarray]:
        """Arrays of the result for one block of neurons, the neuron axis last."""
        traces = np.asarray(traces, np.float32)
        useless = unusable(traces, self.fewest_frames)
        spread = grid.spread(traces)
        n_places = spread.shape[1]
        mean, sd, probability = np.full((3, *spread.shape), np.nan, np.float32)
        drawn = np.zeros((n_samples, *spread.shape), np.int16)
        response = np.full((3, len(traces)), np.nan)
        if not useless.all():
            kept = np.flatnonzero(~useless)
            found = self._infer(spread[kept], labels[kept], frame_rate_hz, seed, n_samples)
            mean[kept] = _per_frame(found.mean, self.steps)
            sd[kept], probability[kept] = found.frame_sd, found.frame_probability
            response[:, kept] = fit_response(spread[kept], mean[kept], frame_rate_hz)
            if n_samples:
                drawn[:, kept] = found.samples.reshape(n_samples, len(kept), n_places, self.steps).sum(axis=3)
        posterior = (grid.gather(values).T for values in (mean, sd, probability))
        out = arrays_of_block(*posterior, Response(*response), frame_rate_hz)
        if n_samples:
            kept_frames = drawn if grid.n_missing == 0 else drawn[:, :, grid.places]
            out["samples"] = np.moveaxis(kept_frames, 1, 2)
        return out

    def expected(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron, step) expected spikes of traces on a regular grid."""
        return self._infer(traces, labels, frame_rate_hz, seed, 0).mean

    def reconstruct(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron, place) ΔF/F that posterior samples explain on average, with the drift of the baseline."""
        samples = self._infer(traces, labels, frame_rate_hz, seed, SAMPLES).samples
        observation = self.observation(traces, labels, frame_rate_hz)
        spikes = jnp.asarray(np.moveaxis(samples, 1, 2).swapaxes(0, 1), jnp.float32)
        frames = observation.frames(spikes, frame_rate_hz)
        observed = jnp.isfinite(jnp.asarray(traces.T))
        drift = observation.baseline(jnp.asarray(traces.T, jnp.float32), frames, observed, frame_rate_hz)
        return np.asarray(jnp.mean(frames + drift, axis=1)).T

    def bound(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int) -> np.ndarray:
        """(neuron,) importance-weighted bound, nats per frame."""
        start, config = self._start(traces, labels, frame_rate_hz), self.fitted.config
        own = self.observation(traces, labels, frame_rate_hz, start)
        place = places_of(labels, self.labels)
        rate_hz = np.where(place >= 0, self.fitted.rate_hz[place], start.rate_hz)
        problem = Problem.of(own, calibration_of(start._replace(rate_hz=rate_hz)), frame_rate_hz, config, 1)
        learned = self.fitted.learned
        learned = eqx.tree_at(
            lambda x: (x.offset, x.log_rate), learned, (_zeros(problem.start), jnp.zeros(len(traces), jnp.float32))
        )
        windows = cut_windows(traces, config)
        values = bounds_of_windows(learned, windows, problem, config, seed, labels.tolist())
        counted = np.maximum(np.bincount(windows.cell, minlength=len(traces)), 1e-9)
        sums = np.bincount(windows.cell, values, minlength=len(traces))
        return np.where(counted >= 1, sums / counted, np.nan)

    def observation(
        self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, start: Cells | None = None
    ) -> Observation:
        """Generative parameters of these cells: fitted where there are, else their start."""
        place = places_of(labels, self.labels)
        if (place >= 0).all():
            return take_cells(self.fitted.observation, jnp.asarray(place))
        start = start or self._start(traces, labels, frame_rate_hz)
        model, fitted = make_model(self.generative, start), self.fitted.observation
        return _with_fitted(in_frames(model, start.noise_sd, self.fitted.config, fitted.drift_s), fitted, place)

    def parameters(self) -> dict[str, tuple[np.ndarray, bool]]:
        """Fitted generative parameters by name, and whether each is shared by all cells."""
        return named_parameters(self.fitted.observation)

    def _infer(
        self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float, seed: int, n_samples: int
    ) -> Inferred:
        fitted = for_new_cells(self.fitted, calibration_of(self._start(traces, labels, frame_rate_hz)))
        return infer(
            fitted,
            traces,
            n_samples=n_samples,
            keep_samples=n_samples > 0,
            seed=seed,
            names=labels.astype(str).tolist(),
        )

    def _start(self, traces: np.ndarray, labels: np.ndarray, frame_rate_hz: float) -> Cells:
        """What the fitted cells started from, and a description of the others."""
        self.require_rate(frame_rate_hz)
        place = places_of(labels, self.labels)
        if (place >= 0).all():
            return Cells(*(values[place] for values in self.cells))
        population = np.zeros(len(SHAPES)) if self.population is None else self.population
        found = start_cells(self.network, traces, frame_rate_hz, population).cells
        return self.cells.at(place, started(found, rescaled(calibration_of(found), self.amplitude_factor)))

    def require_rate(self, frame_rate_hz: float) -> None:
        """InputError unless recordings at this rate (frames per second) can be read."""
        if abs(frame_rate_hz / self.frame_rate_hz - 1) > 0.05:
            raise InputError(
                f"The recording has {frame_rate_hz:g} frames per second, and this model was fitted at"
                f" {self.frame_rate_hz:g}; its network knows no other rate. Fit it anew, or use posterior='shared',"
                " which serves all rates."
            )


def _per_frame(x: np.ndarray, steps: int) -> np.ndarray:
    return x.reshape(len(x), -1, steps).sum(axis=2)


def _zeros(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)


def _with_fitted(new: Observation, fitted: Observation, place: np.ndarray) -> Observation:
    """Fitted values where a cell was fitted, and wherever they are shared."""
    chosen = take_cells(fitted, jnp.asarray(np.maximum(place, 0)))
    shared = map_parameters(chosen, lambda x, field: jnp.full(x.shape, bool(field.get("shared"))))
    seen = jnp.asarray(place >= 0)
    return jax.tree.map(
        lambda a, b, common: jnp.where(common | seen, a, b) if not common.all() else a, chosen, new, shared
    )
