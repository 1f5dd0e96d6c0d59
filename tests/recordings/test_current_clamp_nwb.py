"""Current-clamp series of NWB files: stimuli with rates and times of their own, sweeps of several rates."""

import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

from antidrome.cli import main
from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import read
from antidrome.recordings.current_clamp import read_current_clamp, stimulus_epoch

RATE_HZ = 20_000.0
TIME_S = np.arange(4000) / RATE_HZ
CURRENT_A = np.where((TIME_S >= 0.05) & (TIME_S < 0.15), 150e-12, 0.0)
VOLTAGE_V = -0.07 + 1e8 * CURRENT_A
Sweep = tuple[dict[str, Any], dict[str, Any]]


def save(path: Path, *sweeps: Sweep, numbered: bool = True) -> Path:
    """Sweeps as pairs of what is special about response and stimulus; by default they are the constants above."""
    nwbfile, electrode = empty()
    for number, (response, stimulus) in enumerate(sweeps):
        common = {"electrode": electrode, "gain": 1.0, "sweep_number": np.uint32(number) if numbered else None}
        v = common | sampled(response) | {"name": f"v{number}", "data": response.get("data", VOLTAGE_V)}
        i = common | sampled(stimulus) | {"name": f"i{number}", "data": stimulus.get("data", CURRENT_A)}
        nwbfile.add_acquisition(CurrentClampSeries(**v))
        nwbfile.add_stimulus(CurrentClampStimulusSeries(**i))
    return written(nwbfile, path)


def empty() -> tuple[pynwb.NWBFile, Any]:
    nwbfile = pynwb.NWBFile("test", "id", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    device = nwbfile.create_device(name="amplifier")
    return nwbfile, nwbfile.create_icephys_electrode(name="e", description="d", device=device)


def written(nwbfile: pynwb.NWBFile, path: Path) -> Path:
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def sampled(series: dict[str, Any]) -> dict[str, Any]:
    return series if "timestamps" in series else {"rate": RATE_HZ} | series


def assert_as_recorded(recording, sweep: int = 0) -> None:
    assert recording.sizes["time"] == 4000
    assert recording.attrs["sampling_rate_hz"] == pytest.approx(RATE_HZ)
    np.testing.assert_allclose(recording["voltage_mv"][sweep], VOLTAGE_V * 1e3)
    np.testing.assert_allclose(recording["current_pa"][sweep], CURRENT_A * 1e12, atol=1e-9)


@pytest.mark.parametrize(
    ("stimulus", "note"),
    [
        ({"rate": 5_000.0, "data": CURRENT_A[::4]}, "the stimulus has 5000 Hz and the response 20000 Hz: each value"),
        ({"rate": 80_000.0, "data": np.repeat(CURRENT_A, 4)}, "the stimulus has 80000 Hz and the response 20000 Hz"),
        ({"timestamps": TIME_S[::4], "data": CURRENT_A[::4]}, "the stimulus has 5000 Hz and the response 20000 Hz"),
        ({"data": CURRENT_A[1000:], "starting_time": 0.05}, "50 ms before it are filled with 0 pA, no command"),
        ({"data": CURRENT_A[1000:], "timestamps": TIME_S[1000:]}, "50 ms before it are filled with 0 pA, no command"),
        ({"data": CURRENT_A[1000:3000], "starting_time": 0.05}, "50 ms before it and 50 ms after it are filled"),
        ({"data": CURRENT_A[500:3500], "starting_time": 0.025}, "25 ms before it and 25 ms after it are filled"),
        ({"data": np.concatenate([np.zeros(100), CURRENT_A]), "starting_time": -0.005}, None),
        ({"data": CURRENT_A, "timestamps": TIME_S}, None),
    ],
)
def test_a_stimulus_is_brought_to_the_samples_of_its_response(tmp_path: Path, stimulus: dict, note: str | None) -> None:
    recording = read_current_clamp(save(tmp_path / "cell.nwb", ({}, stimulus)))
    assert_as_recorded(recording)
    assert stimulus_epoch(recording) == pytest.approx((50.0, 150.0))
    notes = recording.attrs["notes"]
    assert (note in " ".join(notes)) if note else not notes


def test_a_value_is_held_until_the_next(tmp_path: Path) -> None:
    ramp = np.arange(4000) * 1e-13
    slow = read_current_clamp(save(tmp_path / "slow.nwb", ({}, {"data": ramp[:1000], "rate": 5_000.0})))
    np.testing.assert_allclose(slow["current_pa"][0, :9], np.array([0, 0, 0, 0, 1, 1, 1, 1, 2]) / 10)
    fast = read_current_clamp(save(tmp_path / "fast.nwb", ({"rate": 8_000.0}, {"data": ramp})))
    np.testing.assert_allclose(fast["current_pa"][0, :5], np.array([0, 2, 5, 7, 10]) / 10)


def test_a_sweep_outside_its_command_has_the_holding_current(tmp_path: Path) -> None:
    held = {"data": CURRENT_A[500:3500] - 50e-12, "starting_time": 0.025}
    recording = read_current_clamp(save(tmp_path / "cell.nwb", ({}, held)))
    np.testing.assert_allclose(recording["current_pa"][0], CURRENT_A * 1e12 - 50)
    assert "filled with -50 pA, that it leaves and returns to" in recording.attrs["notes"][0]


def test_absolute_times_of_both_are_aligned(tmp_path: Path) -> None:
    late = {"data": CURRENT_A[1000:]}
    sweeps = [({"starting_time": t}, late | {"starting_time": t + 0.05}) for t in (0.0, 12.3, 5000.1)]
    recording = read_current_clamp(save(tmp_path / "cell.nwb", *sweeps))
    for sweep in range(3):
        assert_as_recorded(recording, sweep)
    assert len(recording.attrs["notes"]) == 1


@pytest.mark.parametrize("numbered", [True, False])
def test_stimuli_that_all_start_at_0_start_with_their_responses(tmp_path: Path, numbered: bool) -> None:
    sweeps = [({"starting_time": t}, {}) for t in (0.1, 12.3, 24.0)]
    recording = read_current_clamp(save(tmp_path / "cell.nwb", *sweeps, numbered=numbered))
    for sweep in range(3):
        assert_as_recorded(recording, sweep)
    assert recording.attrs["notes"] == [
        "the starting times of the stimuli do not say when they were given: each starts with its response"
    ]


def test_one_stimulus_for_several_responses_starts_with_each(tmp_path: Path) -> None:
    nwbfile, electrode = empty()
    common = {"electrode": electrode, "gain": 1.0, "rate": RATE_HZ}
    stimulus = CurrentClampStimulusSeries(name="i", data=CURRENT_A, starting_time=3.0, **common)
    nwbfile.add_stimulus(stimulus)
    for number, start in enumerate((3.0, 4.0)):
        response = CurrentClampSeries(name=f"v{number}", data=VOLTAGE_V, starting_time=start, **common)
        nwbfile.add_acquisition(response)
        nwbfile.add_intracellular_recording(electrode=electrode, stimulus=stimulus, response=response)
    recording = read_current_clamp(written(nwbfile, tmp_path / "cell.nwb"))
    for sweep in range(2):
        assert_as_recorded(recording, sweep)
    assert "do not say when they were given" in recording.attrs["notes"][0]


def test_rows_that_name_parts_of_a_series_are_refused(tmp_path: Path) -> None:
    nwbfile, electrode = empty()
    common = {"electrode": electrode, "gain": 1.0, "rate": RATE_HZ, "starting_time": 0.0}
    stimulus = CurrentClampStimulusSeries(name="i", data=CURRENT_A, **common)
    response = CurrentClampSeries(name="v", data=VOLTAGE_V, **common)
    nwbfile.add_stimulus(stimulus)
    nwbfile.add_acquisition(response)
    part = {"stimulus_start_index": 100, "stimulus_index_count": 50, "response_start_index": 100}
    nwbfile.add_intracellular_recording(
        electrode=electrode, stimulus=stimulus, response=response, response_index_count=50, **part
    )
    with pytest.raises(InputError, match="names samples 100 to 150 of 'v', and sweeps are read whole"):
        read_current_clamp(written(nwbfile, tmp_path / "cell.nwb"))


@pytest.mark.parametrize(
    ("response", "stimulus", "message"),
    [
        ({}, {"starting_time": 10.0}, r"'i0' and 'v0'.*given from 10 to 10.2 s.* from 0 to 0.2 s: they do not overlap"),
        ({"starting_time": 3.0}, {"starting_time": 1.0}, "from 1 to 1.2 s.* from 3 to 3.2 s: they do not overlap"),
        ({}, {"timestamps": TIME_S**2}, "the timestamps of 'i0' are not evenly spaced"),
        ({}, {"data": CURRENT_A[:0]}, "do not overlap"),
    ],
)
def test_a_stimulus_of_another_time_is_refused(tmp_path: Path, response: dict, stimulus: dict, message: str) -> None:
    path = save(tmp_path / "cell.nwb", (response, stimulus))
    with pytest.raises(InputError, match=message):
        read_current_clamp(path)


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "cell.nwb", ({}, {}))
    with h5py.File(path, "r+") as file:
        file["stimulus/presentation/i0/starting_time"].attrs["rate"] = np.nan
    with pytest.raises(FileFormatError, match="'i0' has a sampling rate of nan Hz"):
        read_current_clamp(path)


def test_sweeps_of_several_rates_are_read_by_name(tmp_path: Path, capsys) -> None:
    half = {"rate": RATE_HZ / 2, "data": VOLTAGE_V[::2]}, {"rate": RATE_HZ / 2, "data": CURRENT_A[::2]}
    path = save(tmp_path / "cell.nwb", half, ({}, {}), half)
    message = r"sampled at 10000 Hz \(0, 2\) and at 20000 Hz \(1\); name sweeps of one rate.* sweeps=\[0\] or --sweep 0"
    with pytest.raises(InputError, match=message):
        read_current_clamp(path)
    assert_as_recorded(read_current_clamp(path, sweeps=[1]))
    assert_as_recorded(read_current_clamp(path, sweeps=["1"]))
    slow = read_current_clamp(path, sweeps=[2, 0])
    assert slow["sweep"].values.tolist() == [2, 0]
    assert slow.attrs["sampling_rate_hz"] == RATE_HZ / 2
    with pytest.raises(InputError, match="10000 Hz"):
        read_current_clamp(path, sweeps=[0, 1])
    with pytest.raises(FileFormatError, match="has no sweep 3; it has 0, 1, 2"):
        read_current_clamp(path, sweeps=[3])
    with pytest.raises(InputError, match="sweeps is empty"):
        read_current_clamp(path, sweeps=[])
    command = ["mechanism", "fit", "hodgkin_huxley_8", "--observation", str(path), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert "name sweeps of one rate" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--sweep", "1"]) == 2
    assert "does not say the membrane's area" in " ".join(capsys.readouterr().err.split())


def test_millivolts_without_their_conversion_are_read_when_said(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nwb", ({"data": 1e3 * VOLTAGE_V}, {"data": 1e12 * CURRENT_A}))
    with pytest.raises(InputError, match=r"in another unit; say which with voltage_unit"):
        read_current_clamp(path)
    recording = read_current_clamp(path, voltage_unit="mV", current_unit="pA")
    assert_as_recorded(recording)
    assert recording.attrs["notes"] == ["voltage taken to be in mV, as asked", "current taken to be in pA, as asked"]


def test_sweeps_without_a_stimulus_are_refused(tmp_path: Path) -> None:
    nwbfile, electrode = empty()
    nwbfile.add_acquisition(CurrentClampSeries(name="v", data=VOLTAGE_V, electrode=electrode, gain=1.0, rate=RATE_HZ))
    path = written(nwbfile, tmp_path / "a.nwb")
    with pytest.raises(FileFormatError, match="has no CurrentClampStimulusSeries, and a model needs the current"):
        read_current_clamp(path)
    with pytest.raises(FileFormatError, match=r"sweeps are read with antidrome\.recordings\.read_current_clamp"):
        read(path)
