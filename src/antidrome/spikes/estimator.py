"""`SpikeVAE`: calcium fluorescence in, the posterior over spikes out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator

from antidrome import __version__
from antidrome.core.compilation import enable_compilation_cache
from antidrome.core.progress import progress as show_progress
from antidrome.errors import InputError
from antidrome.recordings import as_recording, check, noise_level
from antidrome.spikes.blocks import infer_block
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.lazy import infer_lazily
from antidrome.spikes.results import label
from antidrome.spikes.weights import load_network, save_network

BLOCK_FRAMES = 2_000_000


class SpikeVAE(BaseEstimator):
    """Amortised spike inference: a recognition network, trained once, inverts the biophysical model in one pass.

    The network that ships with the package serves every indicator and frame rates from 3 to 150 Hz; it is conditioned
    on the frame rate, the noise level and the statistics of each trace. The posterior is factorised over frames: a
    spike count per frame, not only spike or no spike.

    Parameters
    ----------
    model
        "default" (trained on simulations and on ground truth), "simulations" (has never seen a real neuron), or the
        path of a file written by `save`.
    seed
        Seed of the posterior samples.

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

    def __init__(self, model: str | Path = "default", *, seed: int = 0) -> None:
        self.model = model
        self.seed = seed

    def predict(
        self, recording: Any, frame_rate_hz: float | None = None, *, samples: int = 0, progress: bool = True
    ) -> xr.Dataset:
        """Infer spikes at every frame, with delay 0.

        Parameters
        ----------
        recording
            DataArray (time, neuron) of ΔF/F, or an array of the same shape with `frame_rate_hz`. NaN marks missing
            frames. A dask-backed recording gives a dask-backed result, computed block by block when it is written.
        frame_rate_hz
            Frames per second; needed for plain arrays.
        samples
            Posterior samples to draw, independent over frames.
        progress
            Show a progress bar.

        Returns
        -------
        Dataset with `expected_spikes` (time, neuron; spikes per frame), `rate_hz` (spikes/s), `spike_probability`,
        `expected_spikes_sd`, optionally `samples` (sample, time, neuron), and per neuron `noise_level`, `amplitude`,
        `tau_s` and `baseline`. A neuron without any observed variation has NaN and is counted in the notes; attributes
        hold the checks' findings (JSON), notes and citations.

        Raises
        ------
        InputError
            No frame rate, raw fluorescence instead of ΔF/F, or an array that is not a recording.
        """
        recording = as_recording(recording, frame_rate_hz)
        recording = _require_dff(recording)
        if "frame_rate_hz" not in recording.attrs:
            raise InputError("The recording has no frame rate; give frame_rate_hz=… (frames per second).")
        if samples < 0:
            raise InputError(f"samples is {samples}; expected 0 or more.")
        rate = float(recording.attrs["frame_rate_hz"])
        grid = FrameGrid.of(recording["time"].values, rate)
        enable_compilation_cache()
        network, header = load_network(self.model)
        attrs = self._provenance(recording, grid, header.extra.get("card", {}))
        infer = _Inference(network, rate, grid, samples, self.seed)
        if recording.chunks is not None:
            return label(infer_lazily(infer, recording, samples), recording, attrs)
        values, n_unusable = _infer_in_blocks(infer, recording, progress)
        if n_unusable:
            attrs["notes"].append(
                f"{n_unusable} neurons show no variation at all (dead or missing); their spikes are NaN."
            )
        values["noise_level"] = noise_level(recording).values
        return label(values, recording, attrs)

    def save(self, path: str | Path) -> None:
        """Write the network with its model card as one `.safetensors` file."""
        network, header = load_network(self.model)
        save_network(Path(path), network, seed=header.seed or 0, card=header.extra.get("card", {}))

    @classmethod
    def load(cls, path: str | Path, *, seed: int = 0) -> SpikeVAE:
        """Open a file written by `save`.

        Raises
        ------
        ModelFileError
            No such file, damaged, or not a network of this class.
        """
        load_network(path)
        return cls(model=str(path), seed=seed)

    @property
    def model_card(self) -> dict[str, Any]:
        """What the network was trained on, how to train it again, and what it reached."""
        return load_network(self.model)[1].extra.get("card", {})

    def _provenance(self, recording: xr.DataArray, grid: FrameGrid, card: dict[str, Any]) -> dict[str, Any]:
        notes = list(recording.attrs.get("notes", []))
        if grid.n_missing:
            notes.append(f"{grid.n_missing} frames are missing between the recorded ones; inference bridges them.")
        return {
            "frame_rate_hz": float(recording.attrs["frame_rate_hz"]),
            "findings": [dataclasses.asdict(finding) for finding in check(recording)],
            "model": str(self.model),
            "model_card": card,
            "seed": self.seed,
            "citations": ["speiser2017"],
            "antidrome_version": __version__,
            "notes": notes,
        }


@dataclasses.dataclass(frozen=True)
class _Inference:
    """Everything that one block of neurons needs besides its traces."""

    network: Any
    frame_rate_hz: float
    grid: FrameGrid
    samples: int
    seed: int

    def __call__(self, traces: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        return infer_block(self.network, traces, labels, self.frame_rate_hz, self.grid, self.samples, self.seed)


def _require_dff(recording: xr.DataArray) -> xr.DataArray:
    """ΔF/F as a fraction; percent is divided by 100, raw fluorescence refused."""
    if recording.attrs.get("quantity") == "fluorescence":
        raise InputError(
            "The recording holds raw fluorescence, and spikes are inferred from ΔF/F. Use"
            " antidrome.delta_f_over_f(recording, neuropil=…) first."
        )
    if recording.attrs.get("units") != "percent":
        return recording
    with xr.set_options(keep_attrs=True):
        converted = recording / 100
    notes = [*recording.attrs.get("notes", []), "ΔF/F was in percent and was divided by 100."]
    return converted.assign_attrs(units="1", notes=notes)


def _infer_in_blocks(infer: _Inference, recording: xr.DataArray, progress: bool) -> tuple[dict[str, Any], int]:
    """All neurons of a recording in memory, block by block; arrays as in the result, and how many could not be used."""
    traces, labels = recording.values.T, recording["neuron"].values.astype(str)
    size = max(1, BLOCK_FRAMES // max(1, traces.shape[1]))
    parts = []
    with show_progress("Inferring spikes", len(traces), unit="neurons", enabled=progress) as bar:
        for start in range(0, len(traces), size):
            block = slice(start, start + size)
            parts.append(infer(traces[block], labels[block]))
            bar.advance(len(labels[block]))
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    return joined, int(np.isnan(joined["expected_spikes"][0]).sum())
