"""A recorded sweep in the Hodgkin–Huxley model: stimulus, features, and what is refused."""

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism.models import HodgkinHuxley, recorded_cell, step_stimulus, voltage_features
from antidrome.recordings.current_clamp import current_clamp_from_array

RATE = 20_000.0
TIME_MS = np.arange(3000) / 20
CURRENT_PA = np.where((TIME_MS >= 30) & (TIME_MS < 120), 200.0, 0.0)
VOLTAGE_MV = -70 + CURRENT_PA / 20 + 0.1 * np.sin(TIME_MS)


def recording(**settings):
    return current_clamp_from_array(VOLTAGE_MV, CURRENT_PA, RATE, **({"area_cm2": 1e-4} | settings))


def test_stimulus_and_features() -> None:
    cell = recorded_cell(recording())
    stimulus = cell.simulator.stimulus
    assert (stimulus.on_ms, stimulus.off_ms) == (30.0, 120.0)
    assert stimulus.current_ua_cm2.max() == pytest.approx(2.0)
    assert cell.voltage_mv["time"].values[-1] == pytest.approx(125, abs=0.1)
    kept = TIME_MS < 125
    plain = voltage_features(VOLTAGE_MV[kept], 0.05, 30.0, 120.0, cell.simulator.feature_names)
    np.testing.assert_allclose(cell.observation, [plain[name] for name in cell.simulator.feature_names])
    assert cell.prior.n_parameters == 8
    assert cell.notes == ()


def test_a_part_of_a_sweep_keeps_its_times() -> None:
    """A thinned sweep drove the model at the wrong speed, and times given for one that was cut were counted anew."""
    whole = recorded_cell(recording())
    thinned = recorded_cell(recording().isel(time=slice(None, None, 2)))
    assert thinned.simulator.stimulus.on_ms == pytest.approx(30.0)
    assert thinned.voltage_mv["time"].values[-1] == pytest.approx(125, abs=0.1)
    np.testing.assert_allclose(thinned.observation, whole.observation, rtol=0.01)
    np.testing.assert_allclose(
        thinned.simulator.stimulus.current_ua_cm2, whole.simulator.stimulus.current_ua_cm2, atol=1e-9
    )
    cut = recording().isel(time=slice(200, None))
    stimulus = recorded_cell(cut, epoch_ms=(30.0, 120.0)).simulator.stimulus
    assert (stimulus.on_ms, stimulus.off_ms) == pytest.approx((20.0, 110.0))
    np.testing.assert_allclose(
        recorded_cell(cut, epoch_ms=(30.0, 120.0)).observation, recorded_cell(cut).observation, rtol=1e-6
    )
    with pytest.raises(InputError, match=r"is on from 5 to 120 ms, but the sweep lasts 140 ms from 10 ms on\."):
        recorded_cell(cut, epoch_ms=(5.0, 120.0))


def test_the_junction_potential_is_added_and_said() -> None:
    cell = recorded_cell(recording(junction_potential_mv=-14.0))
    assert cell.voltage_mv.values[0] == pytest.approx(VOLTAGE_MV[0] - 14)
    assert "-14 mV" in cell.notes[0]
    given = recorded_cell(recording(junction_potential_mv=-14.0), junction_potential_mv=0.0)
    assert given.voltage_mv.values[0] == pytest.approx(VOLTAGE_MV[0])
    assert given.notes == ()


def test_what_was_done_in_reading_is_said_too() -> None:
    read = recording(junction_potential_mv=-14.0).assign_attrs(notes=["sweeps are cut to 3000 samples"])
    first, second = recorded_cell(read).notes
    assert first == "sweeps are cut to 3000 samples"
    assert "-14 mV" in second


def test_a_simulated_recording_gives_the_features_of_its_simulation() -> None:
    model = HodgkinHuxley(step_stimulus(2.0, duration_ms=60, on_ms=20, off_ms=50), batch=16)
    theta = model.defaults[None]
    voltage = model.voltage(theta, seed=5).values[0].astype(float)
    current = model.stimulus.current_ua_cm2 * 1e-4 * 1e6
    made = current_clamp_from_array(voltage, current, 40_000.0, area_cm2=1e-4)
    np.testing.assert_allclose(recorded_cell(made).observation, model.features_of(voltage[:2200]), rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({"area_cm2": None}, {}, "give area_cm2"),
        ({}, {"area_cm2": 5.0}, "needs the area"),
        ({}, {"epoch_ms": (30.0, 400.0)}, "the sweep lasts 150 ms"),
        ({}, {"epoch_ms": (0.0, 100.0)}, "no rest before it"),
        ({}, {"sweep": 3}, "There is no sweep 3"),
    ],
)
def test_what_is_refused(settings: dict, given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recorded_cell(recording(**settings), **given)


def test_which_sweep_is_asked_and_gaps_are_refused() -> None:
    two = current_clamp_from_array(np.stack([VOLTAGE_MV] * 2), CURRENT_PA, RATE, area_cm2=1e-4)
    with pytest.raises(InputError, match="Which of the 2 sweeps"):
        recorded_cell(two)
    assert recorded_cell(two, 1).voltage_mv.sizes["time"] == 2500
    gap = VOLTAGE_MV.copy()
    gap[10] = np.nan
    with pytest.raises(InputError, match="1 samples of the voltage are missing"):
        recorded_cell(current_clamp_from_array(gap, CURRENT_PA, RATE, area_cm2=1e-4))


def test_a_stimulus_in_pieces_is_said_to_be_one() -> None:
    pulses = np.where((TIME_MS % 20 >= 10) & (TIME_MS > 30), 200.0, 0.0)
    read = current_clamp_from_array(VOLTAGE_MV, pulses, RATE, area_cm2=1e-4)
    cell = recorded_cell(read)
    assert (cell.simulator.stimulus.on_ms, cell.simulator.stimulus.off_ms) == (50.0, 60.0)
    assert "from 50 to 60 ms" in cell.notes[0]
    assert "for 49.95 ms more" in cell.notes[0]
    assert recorded_cell(read, epoch_ms=(30.05, 150.0)).notes == ()
    test_pulse = CURRENT_PA + np.where((TIME_MS >= 10) & (TIME_MS < 15), -50.0, 0.0)
    assert recorded_cell(current_clamp_from_array(VOLTAGE_MV, test_pulse, RATE, area_cm2=1e-4)).notes == ()


def test_a_stimulus_until_the_end_of_a_sweep_that_ends_within_a_step() -> None:
    current = np.where(np.arange(4999) > 500, 100.0, 0.0)
    read = current_clamp_from_array(-70 + current / 50, current, 50_000.0, area_cm2=1e-4)
    stimulus = recorded_cell(read).simulator.stimulus
    assert (stimulus.on_ms, stimulus.off_ms) == pytest.approx((10.02, 99.98))
    assert len(stimulus.current_ua_cm2) == 4000
    assert stimulus.current_ua_cm2[-1] == stimulus.current_ua_cm2[500] == pytest.approx(1.0)
    shorter = recorded_cell(read, epoch_ms=(10.02, 99.9)).simulator.stimulus
    assert len(shorter.current_ua_cm2) == 3999, "a step that nothing is taken from does not count"
