"""Inference on dask-backed recordings: a lazy result with the same chunks of neurons, never whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

CHUNK_FRAMES = 1_000_000
SAMPLES_PER_BLOCK = 100
"""Posterior samples of a block of full size; with more of them, a block has fewer values."""
PER_NEURON = ("amplitude", "tau_s", "baseline", "noise_level")


def infer_lazily(
    infer: Callable[..., dict[str, np.ndarray]], recording: xr.DataArray, n_samples: int
) -> dict[str, Any]:
    """Dask arrays of every result variable; a block of neurons is read and inferred once for all of them.

    Parameters
    ----------
    infer
        (traces (neuron, time), labels) → arrays of the result with the neuron axis last.
    recording
        Dask-backed (time, neuron).
    n_samples
        Number of posterior samples.
    """
    import dask
    import dask.array as da

    n_frames = recording.sizes["time"]
    size = max(1, values_with_samples(CHUNK_FRAMES, n_samples) // max(1, n_frames))
    labels = recording["neuron"].values.astype(str)
    # what all blocks share is bound once: dask would walk through and hash it for each of them
    shared = partial(infer_with_noise, infer, recording.attrs, recording["time"].values)
    one_block = dask.delayed(shared, pure=False)
    columns: dict[str, list[Any]] = {}
    for start in range(0, recording.sizes["neuron"], size):
        block = slice(start, min(start + size, recording.sizes["neuron"]))
        n = block.stop - block.start
        part = one_block(recording.data[:, block], labels[block])
        for name, shape, dtype in _shapes(n_frames, n, n_samples):
            columns.setdefault(name, []).append(da.from_delayed(part[name], shape, dtype))
    return {name: da.concatenate(parts, axis=-1) for name, parts in columns.items()}


def values_with_samples(n_values: int, n_samples: int) -> int:
    """Frames × neurons of a block of `n_values` without samples; more than `SAMPLES_PER_BLOCK` make it smaller."""
    return max(1, n_values // max(1, -(-n_samples // SAMPLES_PER_BLOCK)))


def infer_with_noise(
    infer: Callable[..., dict[str, np.ndarray]], attrs: dict, time_s: np.ndarray, values: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """One block (time, neuron) of a recording with these attributes and times: the result and the noise level."""
    from antidrome.recordings import noise_level

    values = np.asarray(values)
    block = xr.DataArray(values, dims=("time", "neuron"), coords={"time": time_s, "neuron": labels}, attrs=attrs)
    return {**infer(values.T, labels), "noise_level": noise_level(block).values}


def _shapes(n_frames: int, n_neurons: int, n_samples: int) -> list[tuple[str, tuple[int, ...], type]]:
    frames = ("expected_spikes", "rate_hz", "spike_probability", "expected_spikes_sd")
    shapes: list[tuple[str, tuple[int, ...], type]] = [(name, (n_frames, n_neurons), np.float32) for name in frames]
    shapes += [(name, (n_neurons,), np.float64) for name in PER_NEURON]
    if n_samples:
        shapes.append(("samples", (n_samples, n_frames, n_neurons), np.int16))
    return shapes
