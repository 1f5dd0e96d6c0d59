"""`SpikeVAE`: calcium fluorescence in, the posterior over spikes out; as it ships, or fitted to a recording."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome import __version__
from antidrome.core.compilation import enable_compilation_cache
from antidrome.core.estimator import Estimator
from antidrome.core.seeds import check_seed
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.recordings import check
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import named_by_number
from antidrome.spikes.adaptation import AdaptationConfig
from antidrome.spikes.fitting import Fitted, fit_estimator
from antidrome.spikes.grid import LONGEST_GAP_S, FrameGrid
from antidrome.spikes.lazy import infer_lazily
from antidrome.spikes.opening import (
    Bound,
    hash_sessions,
    infer_in_blocks,
    open_model,
    open_recording,
    open_sessions,
    over_neurons,
)
from antidrome.spikes.own import OwnInference
from antidrome.spikes.results import label
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import Generative
from antidrome.spikes.storage import Settings, save_fitted, settings_of
from antidrome.spikes.times import expected_of, placed
from antidrome.spikes.variational import FitConfig
from antidrome.spikes.weights import load_network, save_network


class SpikeVAE(Estimator):
    """Amortised spike inference: a recognition network inverts a biophysical model of fluorescence in one pass.

    Without `fit` the network that ships with the package is used: it serves the usual indicators and frame rates from 3
    to 150 Hz (trained at 3 to 64 Hz; faster recordings are averaged in groups of frames). `fit` learns from unlabelled
    recordings, in one of two ways:

    - ``posterior="shared"``: the shipped network takes a few careful steps on simulations of the recording's own cells,
      and stays as it was unless criteria that need no true spike say that it got better.
    - ``posterior="factorised"`` or ``"autoregressive"``: the autoencoder of Speiser et al. (2017). A network of the
      recording's own is learned together with the parameters of a generative model for every cell, spikes may lie on a
      grid finer than the frames, and the samples of the autoregressive posterior are joint.

    Parameters
    ----------
    model
        "default" (trained on simulations and on ground truth), "simulations" (has never seen a real neuron), or the
        path of a file written by `save`. A fit starts from it; None starts from the traces alone (not with "shared").
    posterior
        "shared", "factorised" or "autoregressive".
    generative
        Generative model: "linear" (AR(2)), "ar1", "scdf", "physiological", "neural", or a function from the start of
        the cells (arrays amplitude, decay_s, rise_s, baseline, noise_sd, rate_hz) to an
        `antidrome.spikes.generative.AbstractGenerativeModel`. None: linear, and with "shared" half SCDF.
    superresolution
        Grid steps per frame; 1 with "shared".
    drift_s
        Time over which a drifting baseline is averaged, seconds, 0 for none; "shared" does not use it.
    amplitude_factors
        Starts to try, factors on the initial amplitudes; the highest held-out bound among sound fits is kept. None: 1,
        and where the traces' cumulants tell amplitudes that differ by more than 1.4, the factor between them; not used
        with "shared".
    config
        Settings of the fit: `antidrome.spikes.adaptation.AdaptationConfig` with "shared", else
        `antidrome.spikes.variational.FitConfig`, whose kind of posterior and superresolution are those given here.
        None: the defaults of these, but for a FitConfig windows of 5 s (102 frames at least, 300 at most), counts up to
        3 a step, and a learning rate of 0.002.
    seed
        Seed of the fit and of the posterior samples.

    Attributes
    ----------
    generative_parameters_
        Dataset over `neuron`: what the fit found for every cell, with units.
    report_
        What was tried, by which criteria, and what was kept (JSON-ready).
    notes_
        What the user should know of the fit.
    frame_rate_hz_
        Of the recording that was fitted.
    data_hash_
        Of its contents.

    References
    ----------
    Speiser et al. (2017), Fast amortized inference of neural activity from calcium imaging data with variational
    autoencoders, Advances in Neural Information Processing Systems 30.

    Examples
    --------
    >>> import antidrome as ad
    >>> recording = ad.spikes.simulate(n_neurons=2, duration_s=20, frame_rate_hz=30, seed=1)["dff"]
    >>> result = ad.SpikeVAE().predict(recording, progress=False)
    >>> result["expected_spikes"].dims, result["expected_spikes"].attrs["units"]
    (('time', 'neuron'), 'spikes per frame')
    """

    def __init__(
        self,
        model: str | Path | None = "default",
        *,
        posterior: str = "shared",
        generative: Generative | None = None,
        superresolution: int = 1,
        drift_s: float = 20.0,
        amplitude_factors: tuple[float, ...] | None = None,
        config: AdaptationConfig | FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.posterior = posterior
        self.generative = generative
        self.superresolution = superresolution
        self.drift_s = drift_s
        self.amplitude_factors = amplitude_factors
        self.config = config
        self.seed = seed

    def fit(
        self,
        recording: Any,
        frame_rate_hz: float | None = None,
        *,
        known_spikes: Any = None,
        checkpoint: str | Path | None = None,
        progress: bool = True,
    ) -> SpikeVAE:
        """Learn from a recording, without any labels unless `known_spikes` are given.

        Parameters
        ----------
        recording, frame_rate_hz
            As in `predict`; with "shared" also several, {session: recording}, with different frame rates too; their
            cells are then called "session/neuron". At most 256 neurons of each are learned from: those with known
            spikes, then others drawn at random. With "shared" 8,192 frames (averaged ones above 64 Hz) are: those of
            which most spikes are known, else the first; and the other neurons are described, block by block, with what
            was learned. A dask-backed recording is never loaded whole.
        known_spikes
            True spikes of some neurons or frames: trains as `spikes.metrics.evaluate` takes them, or a DataArray (time,
            neuron) of spikes per frame with NaN where unknown. With several sessions {session: …}.
        checkpoint
            Folder for the state of the fit; after an interruption the same call goes on from it, to the same result.
        progress
            Show progress bars.

        Raises
        ------
        InputError
            A recording or a setting that cannot be used.
        ResumeError
            The checkpoint belongs to another fit.
        TrainingError
            A loss became non-finite.
        """
        sessions, known = open_sessions(recording, frame_rate_hz, known_spikes)
        enable_compilation_cache()
        fitted = fit_estimator(self, sessions, known, Path(checkpoint) if checkpoint else None, progress)
        return self._keep(fitted, hash_sessions(sessions))

    def predict(
        self,
        recording: Any,
        frame_rate_hz: float | None = None,
        *,
        n_samples: int = 0,
        executor: Executor | None = None,
        progress: bool = True,
    ) -> xr.Dataset:
        """Infer spikes at every frame, with delay 0; after `fit` with what was learned, for seen and unseen cells.

        Seen cells are known by their labels; where nobody named the neurons and labels are numbers, by the trace too.

        Parameters
        ----------
        recording
            DataArray (time, neuron) of ΔF/F, or an array of the same shape with `frame_rate_hz`. NaN marks missing
            frames. A dask-backed recording gives a dask-backed result, computed block by block when it is written.
        frame_rate_hz
            Frames per second; needed for plain arrays.
        n_samples
            Posterior samples to draw; joint over frames with an autoregressive posterior.
        executor
            Where blocks of neurons are inferred: a pool of processes, a Dask cluster, any executor (see
            `antidrome.core.executor`). Blocks are read as they are needed, and the result is in memory, the same as
            without.
        progress
            Show a progress bar.

        Returns
        -------
        Dataset with `expected_spikes` (time, neuron; spikes per frame), `rate_hz` (spikes/s), `spike_probability`,
        `expected_spikes_sd`, optionally `samples` (sample, time, neuron), and per neuron `noise_level`, `amplitude`,
        `tau_s` and `baseline`. A neuron without any observed variation has NaN; attributes hold the
        checks' findings (JSON), notes and citations.

        Raises
        ------
        InputError
            No frame rate, raw fluorescence instead of ΔF/F, or an array that is not a recording.
        """
        recording, rate, grid, _ = open_recording(recording, frame_rate_hz)
        n_samples = whole_number("n_samples", n_samples, 0)
        enable_compilation_cache()
        inference, card = self._engine()
        attrs = self._provenance(recording, grid, card)
        infer = Bound(inference, rate, grid, n_samples, check_seed(self.seed), named_by_number(recording))
        if recording.chunks is not None and executor is None:
            attrs["notes"] += infer.notes_before_reading(recording["neuron"].values)
            return label(infer_lazily(infer, recording, n_samples), recording, attrs)
        values = infer_in_blocks(infer, recording, attrs, progress, executor)
        return label(values, recording, attrs)

    def sample(self, recording: Any, frame_rate_hz: float | None = None, *, n_samples: int = 100) -> xr.DataArray:
        """Posterior spike trains, (sample, time, neuron) spikes per frame; see `predict`."""
        n_samples = whole_number("n_samples", n_samples, 1)
        result = self.predict(recording, frame_rate_hz, n_samples=n_samples, progress=False)
        return result["samples"].assign_attrs(citations=self.citations_)

    def spike_times(
        self,
        recording: Any,
        frame_rate_hz: float | None = None,
        *,
        result: xr.Dataset | None = None,
        executor: Executor | None = None,
    ) -> xr.Dataset:
        """Spike times with uncertainty, not bound to frames.

        Parameters
        ----------
        recording, frame_rate_hz, executor
            As in `predict`.
        result
            What `predict` gave for this recording: where it holds all that the times follow from, nothing is inferred
            again.

        Returns
        -------
        Dataset over `spike`, ordered by neuron and time: `neuron`, `time_s`, the 90 % interval `low_s` to `high_s`, and
        `probability` that there is a spike. Attributes: the recording's `frame_rate_hz`, and how many `expected_spikes`
        there are in all, of which those too weak or too uncertain to be placed have no row.

        Raises
        ------
        InputError
            As in `predict`; or a result of another recording.
        """
        opened = open_recording(recording, frame_rate_hz)
        inference, _ = self._engine()
        attrs: dict[str, Any] = {"citations": self.citations_}
        expected = expected_of(result, opened.recording, opened.grid, inference.steps)
        if expected is None:
            expected = over_neurons(inference, "expected", opened, self.seed, executor, attrs)
        found = placed(expected, opened.recording, opened.grid, opened.frame_rate_hz, inference.steps)
        return found.assign_attrs(attrs)

    def reconstruct(self, recording: Any, frame_rate_hz: float | None = None) -> xr.DataArray:
        """ΔF/F that the inferred spikes explain, (time, neuron), with the slow drift of the baseline.

        With "shared" a response is described with those of its recording: an unfitted neuron alone differs a little.
        """
        recording, rate, grid, _ = opened = open_recording(recording, frame_rate_hz)
        inference, _ = self._engine()
        attrs: dict[str, Any] = {"units": "1", "long_name": "ΔF/F explained by the inferred spikes"}
        attrs |= {"frame_rate_hz": rate, "citations": self.citations_}
        rows = over_neurons(inference, "reconstruct", opened, self.seed, attrs=attrs)
        values = np.empty(recording.shape, np.float32)
        for column, row in enumerate(rows):
            values[:, column] = row if row.ndim == 0 else row[grid.places]
        return xr.DataArray(values, dict(recording.coords), ("time", "neuron"), attrs=attrs)

    def score(self, recording: Any, frame_rate_hz: float | None = None) -> float:
        """Mean over neurons of the bound on log p(fluorescence), nats per frame; higher is better.

        Comparable between models of one recording, not between recordings, and with one seed: the bound is estimated
        from draws of each neuron, which other seeds, and other labels, move by about a nat for short recordings. Above
        64 Hz "shared" averages frames.
        """
        opened = open_recording(recording, frame_rate_hz)
        inference, _ = self._engine()
        rows = over_neurons(inference, "bound", opened, self.seed)
        return float(np.nanmean([float(row) for row in rows]))

    def save(self, path: str | Path) -> None:
        """Write the model as one `.safetensors` file: the fit and its settings, or before `fit` that of `model`.

        A generative model of your own is code, which files do not hold; `load` takes it again.
        """
        if hasattr(self, "inference_"):
            factors = self.amplitude_factors
            settings = Settings(
                posterior=self.posterior,
                seed=int(self.seed),
                fitted_from=str(self.model),
                generative=self.generative if isinstance(self.generative, str) else None,
                drift_s=float(self.drift_s),
                amplitude_factors=None if factors is None else tuple(map(float, factors)),
                config=self.config,
            )
            report = {"report": self.report_, "notes": self.notes_, "frame_rate_hz": self.frame_rate_hz_}
            save_fitted(Path(path), self.inference_, settings=settings, data_hash=self.data_hash_, report=report)
            return
        if self._engine()[0].labels:
            type(self).load(str(self.model), generative=self.generative, seed=self.seed).save(path)
            return
        network, header = load_network(str(self.model))
        save_network(Path(path), network, seed=header.seed or 0, card=header.extra.get("card", {}))

    @classmethod
    def load(cls, path: str | Path, *, generative: Generative | None = None, seed: int | None = None) -> SpikeVAE:
        """Open a file written by `save`: the fit with its settings (`model` is the file), or a network.

        Parameters
        ----------
        generative
            The function that built the generative model, where it was your own: files hold numbers, not code.
        seed
            By default that of the fit.

        Raises
        ------
        ModelFileError
            No such file, damaged, or of another class.
        InputError
            The file needs `generative`.
        """
        inference, header = open_model(path, generative)
        if not inference.labels:
            return cls(str(path), generative=generative, seed=0 if seed is None else seed)
        settings = settings_of(header, path)
        model = cls(
            str(path),
            posterior=settings.posterior,
            generative=settings.generative if generative is None else generative,
            superresolution=inference.steps,
            drift_s=settings.drift_s,
            amplitude_factors=settings.amplitude_factors,
            config=settings.config,
            seed=(header.seed or 0) if seed is None else seed,
        )
        return model._keep(Fitted(inference, **header.extra["report"]), header.data_hash)

    @property
    def model_card(self) -> dict[str, Any]:
        """What the network was trained on, how to train it again, and what it reached; of a fit, its report."""
        return self._engine()[1]

    def _engine(self) -> tuple[SharedInference | OwnInference, dict[str, Any]]:
        """What infers, and its card."""
        if hasattr(self, "inference_"):
            return self.inference_, {"fitted": self.report_, "notes": self.notes_}
        if self.model is None:
            raise InputError("model=None has nothing to infer with before fit; fit it, or choose model='default'.")
        inference, header = open_model(self.model, self.generative)
        return inference, header.extra.get("card") or {"fitted": header.extra.get("report", {})}

    @property
    def citations_(self) -> list[str]:
        """The works behind the method."""
        return ["speiser2017"]

    def _keep(self, fitted: Fitted, data_hash: str | None) -> SpikeVAE:
        self.inference_ = fitted.inference
        self.report_ = fitted.report
        self.notes_ = fitted.notes
        self.frame_rate_hz_ = fitted.frame_rate_hz
        self.data_hash_ = data_hash
        self.generative_parameters_ = fitted.parameters()
        return self

    def _provenance(self, recording: xr.DataArray, grid: FrameGrid, card: dict[str, Any]) -> dict[str, Any]:
        notes = [*recording.attrs.get("notes", []), *getattr(self, "notes_", [])]
        if grid.n_missing:
            longer = f", those longer than {LONGEST_GAP_S:g} s as if they were no longer" if grid.n_left_out else ""
            missing = grid.n_missing + grid.n_left_out
            notes.append(f"{counted(missing, 'frame', 'is')} missing in between; inference bridges gaps{longer}.")
        return {
            "frame_rate_hz": float(recording.attrs["frame_rate_hz"]),
            "findings": [dataclasses.asdict(finding) for finding in check(recording)],
            "model": str(self.model),
            "model_card": card,
            "seed": self.seed,
            "citations": self.citations_,
            "antidrome_version": __version__,
            "notes": notes,
        }
