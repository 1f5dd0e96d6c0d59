"""From a current-clamp recording to a fit: the cell's own stimulus in the model, its features as the observation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.mechanism.models.hodgkin_huxley import HodgkinHuxley, eight_parameter_prior
from antidrome.mechanism.models.stimulus import current_density, resampled_stimulus
from antidrome.mechanism.priors import Prior
from antidrome.recordings.current_clamp import choose_sweep, stimulus_epoch
from antidrome.recordings.current_clamp.sweeps import sampling_of, stimulus_stretches

AFTER_STIMULUS_MS = 5.0
SHORTEST_BASELINE_MS = 1.0
LONGEST_STEP_MS = 0.1
MODEL_ERROR = 0.02
MUCH_ELSEWHERE = 0.1
"""Share of the stimulus for which the current may be away from holding at other times without a note: a test pulse."""


@dataclasses.dataclass(frozen=True)
class RecordedCell:
    """What a fit of one sweep needs.

    Parameters
    ----------
    simulator
        The model, driven by the recorded current.
    prior
        Of its parameters.
    observation
        Features of the recorded voltage (k,), NaN where undefined.
    voltage_mv
        The recorded voltage that they were taken from, (time,), times in ms from its first sample, as in the model.
    notes
        What was done to the recording when it was read, and what was assumed.
    model_error
        For `SNPE(model_error=…)`: point neurons reproduce features of recorded cells to about so much of their spread
        over the prior.
    """

    simulator: HodgkinHuxley
    prior: Prior
    observation: np.ndarray
    voltage_mv: xr.DataArray
    notes: tuple[str, ...] = ()
    model_error: float = MODEL_ERROR


def recorded_cell(
    recording: xr.Dataset,
    sweep: Any = None,
    *,
    area_cm2: float | None = None,
    junction_potential_mv: float | None = None,
    epoch_ms: tuple[float, float] | None = None,
    dt_ms: float = 0.025,
) -> RecordedCell:
    """The eight-parameter Hodgkin–Huxley model of a recorded sweep (Gonçalves et al. 2020, figure 4).

    Parameters
    ----------
    recording
        From `antidrome.recordings.current_clamp.read_current_clamp`.
    sweep
        Label of the sweep; not needed if there is only one.
    area_cm2
        Area of the membrane, cm²; by default the recording's.
    junction_potential_mv
        Liquid-junction potential, added to the voltage; by default the recording's, or 0.
    epoch_ms
        When the stimulus is on, in the times of the recording; by default the longest time for which the current is
        away from its holding value.
    dt_ms
        Time step of the simulation.

    Raises
    ------
    InputError
        The area is not known, there are several sweeps, the stimulus cannot be found, the voltage has gaps, or there
        is no rest before the stimulus.

    Examples
    --------
    >>> import numpy as np
    >>> from antidrome.recordings.current_clamp import current_clamp_from_array
    >>> current = np.where((np.arange(2000) > 500) & (np.arange(2000) < 1500), 100.0, 0.0)
    >>> recording = current_clamp_from_array(-70 + current / 50, current, 20_000.0, area_cm2=1e-4)
    >>> cell = recorded_cell(recording)
    >>> dict(zip(cell.simulator.feature_names, cell.observation.round(1).tolist()))["rest_mean_mv"]
    -70.0
    """
    one = choose_sweep(recording, sweep)
    area = _area_cm2(recording, area_cm2)
    if not 0 < dt_ms <= LONGEST_STEP_MS:
        raise InputError(
            f"dt_ms is {dt_ms}; expected a time step of the simulation, above 0 and at most {LONGEST_STEP_MS} ms."
        )
    junction_mv, notes = _junction_mv(recording, junction_potential_mv)
    start_ms, rate_hz = sampling_of(one)
    sampling_ms = 1000 / rate_hz
    (on_ms, off_ms), found = (epoch_ms, ()) if epoch_ms else _epoch_ms(recording, sweep)
    _check_epoch(on_ms, off_ms, start_ms, one.sizes["time"] * sampling_ms, sampling_ms)
    on_ms, off_ms = on_ms - start_ms, off_ms - start_ms
    kept = min(one.sizes["time"], round((off_ms + AFTER_STIMULUS_MS) / sampling_ms))
    voltage = one["voltage_mv"].values[:kept] + junction_mv
    if not np.isfinite(voltage).all():
        raise InputError(f"{int((~np.isfinite(voltage)).sum())} samples of the voltage are missing in this sweep.")
    density = current_density(one["current_pa"].values[:kept], "pA", area)
    simulator = HodgkinHuxley(resampled_stimulus(density, sampling_ms, on_ms, off_ms, dt_ms=dt_ms))
    trace = xr.DataArray(
        voltage,
        dims=("time",),
        coords={"time": ("time", np.arange(kept) * sampling_ms, {"units": "ms"})},
        attrs={"units": "mV", "long_name": "membrane voltage"},
        name="voltage_mv",
    )
    observation = simulator.features_of(voltage, sampling_ms)
    notes = (*recording.attrs.get("notes", ()), *notes, *found)
    return RecordedCell(simulator, eight_parameter_prior(), observation, trace, notes)


def _area_cm2(recording: xr.Dataset, given: float | None) -> float:
    area = given if given is not None else recording.attrs.get("area_cm2")
    if area is None:
        raise InputError(
            "The recording does not say the membrane's area, which turns its current into a density: give area_cm2"
            " or --area-cm2 (capacitance / (1 µF/cm²) estimates it; 100 pF are 1e-4 cm²)."
        )
    return float(area)


def _junction_mv(recording: xr.Dataset, given: float | None) -> tuple[float, tuple[str, ...]]:
    """The liquid-junction potential, and a note where it is the recording's own."""
    if given is not None:
        return given, ()
    junction = float(recording.attrs.get("junction_potential_mv", 0.0))
    note = f"A liquid-junction potential of {junction:g} mV, as the recording says, was added."
    return junction, (note,) if junction else ()


def _epoch_ms(recording: xr.Dataset, sweep: Any) -> tuple[tuple[float, float], tuple[str, ...]]:
    """When the stimulus is on, and a note where the current is away from its holding value at other times as well."""
    on_ms, off_ms = stimulus_epoch(recording, sweep)
    elsewhere_ms = float(np.diff(stimulus_stretches(recording, sweep)).sum()) - (off_ms - on_ms)
    if elsewhere_ms <= MUCH_ELSEWHERE * (off_ms - on_ms):
        return (on_ms, off_ms), ()
    note = (
        f"The stimulus is taken to be on from {on_ms:g} to {off_ms:g} ms, the longest time for which the current is"
        f" away from its holding value; at other times it is for {elsewhere_ms:g} ms more. What comes before counts as"
        f" rest, what comes later than {AFTER_STIMULUS_MS:g} ms after it is left out. If it is on longer, say when:"
        " epoch_ms=(from, to), or --epoch-ms FROM TO."
    )
    return (on_ms, off_ms), (note,)


def _check_epoch(on_ms: float, off_ms: float, start_ms: float, total_ms: float, sampling_ms: float) -> None:
    if not start_ms <= on_ms < off_ms <= start_ms + total_ms + sampling_ms / 2:
        begins = f" from {start_ms:g} ms on" if start_ms else ""
        raise InputError(
            f"The stimulus is on from {on_ms:g} to {off_ms:g} ms, but the sweep lasts {total_ms:g} ms{begins}."
        )
    if on_ms - start_ms < SHORTEST_BASELINE_MS:
        raise InputError(
            f"The stimulus begins at {on_ms:g} ms: there is no rest before it to take features from. Give epoch_ms, or"
            " a sweep that starts earlier."
        )
