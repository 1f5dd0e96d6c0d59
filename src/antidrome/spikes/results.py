"""The labelled result of spike inference: what each variable is, in which unit, and what was masked on the way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.spikes.response import Response

VARIABLES = {
    "expected_spikes": ("time", "spikes per frame", "Posterior mean of the number of spikes in each frame"),
    "rate_hz": ("time", "spikes/s", "expected_spikes times the frame rate"),
    "spike_probability": ("time", "1", "Posterior probability of at least one spike in the frame"),
    "expected_spikes_sd": ("time", "spikes per frame", "Posterior standard deviation of the number of spikes"),
    "samples": ("sample", "spikes per frame", "Posterior samples of the number of spikes in each frame"),
    "noise_level": (
        "neuron",
        "% Hz^-1/2",
        "Median absolute frame-to-frame change of ΔF/F over the root of the frame rate",
    ),
    "amplitude": ("neuron", "ΔF/F per spike", "Slope of the trace on its inferred spikes (AR(1) response)"),
    "tau_s": ("neuron", "s", "Decay time constant that explains the trace best (AR(1) response)"),
    "baseline": ("neuron", "ΔF/F", "ΔF/F without spikes (AR(1) response)"),
}
MOST_HZ, MOST_IN_A_FRAME_HZ, MOST_IN_A_FRAME = 100.0, 1000.0, 5
AS_JSON = ("citations", "findings", "model_card")
DIMENSIONS = {"time": ("time", "neuron"), "sample": ("sample", "time", "neuron"), "neuron": ("neuron",)}


def arrays_of_block(
    expected: np.ndarray, sd: np.ndarray, probability: np.ndarray, response: Response, frame_rate_hz: float
) -> dict[str, np.ndarray]:
    """The arrays of a result by name, (frame, neuron) and (neuron,); the decay of the response is its `tau_s`."""
    return {
        "expected_spikes": expected,
        "rate_hz": expected * np.float32(frame_rate_hz),
        "spike_probability": probability,
        "expected_spikes_sd": sd,
        "amplitude": response.amplitude,
        "tau_s": response.decay_s,
        "baseline": response.baseline,
    }


def label(values: dict[str, Any], recording: xr.DataArray, attrs: dict[str, Any]) -> xr.Dataset:
    """Put names, units, the recording's coordinates and its provenance on the inferred arrays.

    Coordinates with the name of such an array are left out, and this is noted.

    Parameters
    ----------
    values
        Arrays by variable name: (time, neuron), (sample, time, neuron) or (neuron,).
    recording
        The recording they were inferred from.
    attrs
        What to add to the recording's own source, series, session and notes; findings, citations and model card become
        JSON.
    """
    data = {}
    for name, array in values.items():
        kind, units, meaning = VARIABLES[name]
        data[name] = (DIMENSIONS[kind], array, {"units": units, "long_name": meaning})
    origin = ("source", "source_format", "series", "session_id")
    inherited = {key: recording.attrs[key] for key in origin if key in recording.attrs}
    plain = {key: json.dumps(value) if key in AS_JSON else value for key, value in attrs.items()}
    hidden = [
        f"The coordinate {name!r} of the recording gives way to the result's."
        for name in recording.coords
        if name in data
    ]
    if hidden:
        plain["notes"] = [*plain.get("notes", []), *hidden]
    coords = {name: coord.variable for name, coord in recording.coords.items() if name not in data}
    return xr.Dataset(data, coords=coords, attrs={**inherited, **plain})


def opened_result(result: Any) -> xr.Dataset:
    """A result of inference over `neuron`, also where one of its neurons was selected.

    Raises
    ------
    InputError
        Something else than what `label` makes.
    """
    if not isinstance(result, xr.Dataset) or "expected_spikes" not in result:
        raise InputError(
            f"Got a {type(result).__name__}; expected the Dataset that SpikeVAE.predict gives, with expected_spikes."
        )
    one = "neuron" in result.coords and result["neuron"].ndim == 0
    return result.expand_dims("neuron") if one else result


def implausible(rate_hz: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(neuron,) True where no neuron spikes so much: of (time, neuron) rates, NaN where nothing was inferred."""
    highest = np.nan_to_num(rate_hz).max(axis=0)
    busy = np.nan_to_num(rate_hz).mean(axis=0) > MOST_HZ
    return busy | (highest > max(MOST_IN_A_FRAME_HZ, MOST_IN_A_FRAME * frame_rate_hz))


def odd_neurons(result: xr.Dataset) -> tuple[int, int]:
    """Numbers of neurons of which nothing was inferred, and of those with more spikes than a neuron can fire."""
    nothing = result["expected_spikes"].isnull().all("time")
    rate = result["rate_hz"].transpose("time", "neuron").values
    return int(nothing.sum()), int(implausible(rate, result.attrs["frame_rate_hz"]).sum())


def notes_on_neurons(n_unusable: int, n_implausible: int) -> list[str]:
    """What is said of such neurons, if there are any."""
    notes = []
    if n_unusable:
        notes.append(f"{counted(n_unusable, 'neuron', 'is')} dead or missing (no variation): NaN spikes.")
    if n_implausible:
        notes.append(
            f"{counted(n_implausible, 'neuron', 'has')} more spikes than a neuron can fire (over {MOST_HZ:g} Hz, or"
            f" {MOST_IN_A_FRAME_HZ:g} Hz in a frame): look for artefacts, traces cut off at zero, and F0 near zero."
        )
    return notes


def unusable(traces: np.ndarray, fewest_frames: int = 1) -> np.ndarray:
    """(neuron,) True where a trace says nothing about spikes: too few observed frames, or no variation at all."""
    observed = np.isfinite(traces)
    high = np.where(observed, traces, -np.inf).max(axis=1)
    low = np.where(observed, traces, np.inf).min(axis=1)
    return ~(high > low) | (observed.sum(axis=1) < fewest_frames)
