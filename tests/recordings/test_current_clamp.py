"""Current-clamp recordings: units, formats, damage."""

import datetime
from pathlib import Path

import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings.current_clamp import (
    choose_sweep,
    current_clamp_from_array,
    holds_voltage,
    read_current_clamp,
    stimulus_epoch,
)

TIME_MS = np.arange(1000) * 0.1
CURRENT_PA = np.where((TIME_MS >= 20) & (TIME_MS < 80), 150.0, 0.0)
VOLTAGE_MV = -70 + 10 * (CURRENT_PA > 0) + np.sin(TIME_MS)


def check(recording, n_sweeps: int = 1) -> None:
    """The recording of the constants above, whatever it was read from."""
    assert recording["voltage_mv"].shape == (n_sweeps, 1000)
    np.testing.assert_allclose(recording["voltage_mv"][0], VOLTAGE_MV, atol=1e-3)
    np.testing.assert_allclose(recording["current_pa"][0], CURRENT_PA, atol=1e-2)
    assert recording.attrs["sampling_rate_hz"] == pytest.approx(10_000)
    assert recording["time"].values[-1] == pytest.approx(0.0999)
    sweep = recording["sweep"].values[0]
    assert stimulus_epoch(recording, sweep) == pytest.approx((20.0, 80.0))


@pytest.mark.parametrize(
    ("voltage_unit", "v_factor", "current_unit", "i_factor"),
    [("mV", 1, "pA", 1), ("V", 1e-3, "nA", 1e-3), ("µV", 1e3, "A", 1e-12), ("mV", 1, "uA", 1e-6)],
)
def test_units(voltage_unit: str, v_factor: float, current_unit: str, i_factor: float) -> None:
    check(
        current_clamp_from_array(
            VOLTAGE_MV * v_factor,
            CURRENT_PA * i_factor,
            10_000,
            voltage_unit=voltage_unit,
            current_unit=current_unit,
        )
    )


def test_densities_need_an_area() -> None:
    check(current_clamp_from_array(VOLTAGE_MV, CURRENT_PA * 1e-6 / 1e-4, 10_000, current_unit="µA/cm²", area_cm2=1e-4))
    with pytest.raises(InputError, match="needs area_cm2"):
        current_clamp_from_array(VOLTAGE_MV, CURRENT_PA, 10_000, current_unit="µA/cm²")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current_unit": "nA"}, r"current reaches 1.5e\+05 pA if it is in nA"),
        ({"sampling_rate_hz": 20.0}, "sampling_rate_hz is 20; spikes are recorded with thousands"),
        ({"voltage_unit": "V"}, r"voltage reaches 7.1e\+04 mV if it is in V, which no cell does"),
        ({"current_unit": "µA"}, r"current reaches 1.5e\+08 pA if it is in µA.*say which with current_unit"),
        ({"current_unit": "mho"}, "'mho' is no unit of current known here"),
        ({"current": CURRENT_PA[:5]}, r"Voltage of shape \(1, 1000\) and current of shape \(1, 5\)"),
        ({"current": np.full(1000, np.nan)}, "a model needs all of it"),
        ({"sampling_rate_hz": 0}, "sampling_rate_hz is 0; expected a positive number"),
        ({"voltage": np.zeros((2, 2, 2))}, r"expected \(time,\) or \(sweep, time\)"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, message: str) -> None:
    arguments = {"voltage": VOLTAGE_MV, "current": CURRENT_PA, "sampling_rate_hz": 10_000} | changes
    with pytest.raises(InputError, match=message):
        current_clamp_from_array(**arguments)


def test_a_time_step_that_is_none_is_refused(tmp_path: Path) -> None:
    for step in (0.0, "fast"):
        np.savez(tmp_path / "cell.npz", voltage_mV=VOLTAGE_MV, current_pA=CURRENT_PA, dt_ms=step)
        with pytest.raises(FileFormatError, match=r"dt_ms is .*expected one positive number"):
            read_current_clamp(tmp_path / "cell.npz")


def test_an_epoch_is_in_the_times_of_the_recording() -> None:
    whole = current_clamp_from_array(np.stack([VOLTAGE_MV] * 2), CURRENT_PA, 10_000, sweep=[3, 12])
    for part in (whole.isel(time=slice(None, None, 2)), whole.isel(time=slice(50, None)), whole.drop_attrs()):
        assert stimulus_epoch(part, 12) == pytest.approx((20.0, 80.0))
    with pytest.raises(InputError, match="not evenly spaced"):
        stimulus_epoch(whole.isel(time=np.r_[0:100, 200:1000]), 12)


def test_a_current_that_never_changes_has_no_epoch() -> None:
    with pytest.raises(InputError, match="never changes"):
        stimulus_epoch(current_clamp_from_array(VOLTAGE_MV, np.zeros(1000), 10_000))


@pytest.mark.parametrize(
    "names",
    [
        {"voltage_mV": VOLTAGE_MV, "current_pA": CURRENT_PA, "dt_ms": 0.1},
        {"voltage_μV": VOLTAGE_MV * 1e3, "current_μA": CURRENT_PA / 1e6, "time_us": TIME_MS * 1e3},
        {"voltage_µV": VOLTAGE_MV * 1e3, "current_µA": CURRENT_PA / 1e6, "dt_μs": 100},
        {"Vm_V": VOLTAGE_MV / 1e3, "command_nA": CURRENT_PA / 1e3, "time_s": TIME_MS / 1e3},
        {"voltage_mV": np.stack([VOLTAGE_MV] * 2), "current_uA": CURRENT_PA / 1e6, "sampling_rate_khz": 10},
    ],
)
def test_archives(tmp_path: Path, names: dict) -> None:
    path = tmp_path / "cell.npz"
    np.savez(path, **names, A_soma_cm2=1e-4, junction_potential_mV=-14)
    recording = read_current_clamp(path)
    check(recording, np.atleast_2d(next(iter(names.values()))).shape[0])
    assert recording.attrs["area_cm2"] == 1e-4
    assert recording.attrs["junction_potential_mv"] == -14


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    rows = np.column_stack([TIME_MS, VOLTAGE_MV, VOLTAGE_MV + 1, CURRENT_PA])
    np.savetxt(path, rows, delimiter=",", header="time_ms,voltage_mV_1,voltage_mV_2,current_pA", comments="")
    check(read_current_clamp(path), 2)
    (tmp_path / "bare.csv").write_text("time_ms,voltage,current\n0,-70,0\n0.1,-70,100\n")
    with pytest.raises(InputError, match="does not say in which unit its voltage is; give voltage_unit"):
        read_current_clamp(tmp_path / "bare.csv")
    told = read_current_clamp(tmp_path / "bare.csv", voltage_unit="mV", current_unit="pA")
    assert told["current_pa"].values.tolist() == [[0.0, 100.0]]
    with pytest.raises(InputError, match=r"voltage reaches 0.07 mV if it is in µV"):  # not: unknown unit
        read_current_clamp(tmp_path / "bare.csv", voltage_unit="μV", current_unit="μA")
    with pytest.raises(InputError, match=r"bare\.csv is sampled at 10000 Hz by its own account, not at 5000"):
        read_current_clamp(tmp_path / "bare.csv", voltage_unit="mV", current_unit="pA", sampling_rate_hz=5000)


def save_columns(path: Path, names: str, *columns: np.ndarray) -> Path:
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=names, comments="")
    return path


def test_columns_are_matched_and_labelled_by_their_numbers(tmp_path: Path) -> None:
    names = "time_ms,current_pA_7,voltage_mV_2,voltage_mV_7,current_pA_2"
    shifted = VOLTAGE_MV + 1
    path = save_columns(tmp_path / "cell.csv", names, TIME_MS, 2 * CURRENT_PA, VOLTAGE_MV, shifted, CURRENT_PA)
    recording = read_current_clamp(path)
    check(recording, 2)
    assert recording["sweep"].values.tolist() == [2, 7]
    seventh = choose_sweep(recording, 7)
    np.testing.assert_allclose(seventh["voltage_mv"], shifted)
    np.testing.assert_allclose(seventh["current_pa"], 2 * CURRENT_PA)
    assert read_current_clamp(path, sweeps=[7])["sweep"].values.tolist() == [7]
    both = {"voltage_mV_3": np.stack([VOLTAGE_MV, shifted]), "current_pA": CURRENT_PA}
    np.savez(tmp_path / "cell.npz", **both, dt_ms=0.1)
    assert read_current_clamp(tmp_path / "cell.npz")["sweep"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "voltage_mV_1,voltage_mV_2,current_pA_2,current_pA_3",
            "voltage_mV_1, current_pA_3 have no partner of the same",
        ),
        ("voltage_mV_1,voltage_mV_2,voltage_mV_3,current_pA_2", "voltage_mV_1, voltage_mV_3 have no partner"),
        ("voltage_mV_1,current_pA_1,current_pA_2,current_pA_3", "current_pA_2, current_pA_3 have no partner"),
        ("voltage_mV,voltage_mV_1,current_pA_1,current_pA_2", "voltage_mV, current_pA_2 have no partner"),
        (
            "voltage_mV_1,Vm_mV_1,current_pA_1,current_pA_2",
            "gives one voltage twice: voltage_mV_1 and Vm_mV_1; keep one",
        ),
        ("voltage_mV_1,voltage_mV_2,current_pA,command_pA", "gives one current twice: current_pA and command_pA"),
        (f"voltage_mV_{'9' * 5000},x,current_pA_1,y", "has no voltage"),
        ("voltage_mV_1,voltage_mV_1,current_pA_1,current_pA_2", "has several columns named 'voltage_mV_1'"),
    ],
)
def test_columns_that_do_not_pair_are_refused(tmp_path: Path, names: str, message: str) -> None:
    path = save_columns(tmp_path / "cell.csv", f"time_ms,{names}", TIME_MS, *[VOLTAGE_MV] * 4)
    with pytest.raises(InputError, match=rf"cell\.csv.*{message}"):
        read_current_clamp(path)


def test_arrays_with_sweeps_in_columns_are_refused(tmp_path: Path) -> None:
    columns = {"voltage_mV": np.stack([VOLTAGE_MV] * 3, axis=1), "current_pA": np.stack([CURRENT_PA] * 3, axis=1)}
    np.savez(tmp_path / "turned.npz", dt_ms=0.1, **columns)
    with pytest.raises(InputError, match=r"1000 sweeps of 3 samples; expected \(sweep, time\)"):
        read_current_clamp(tmp_path / "turned.npz")
    np.savez(tmp_path / "timed.npz", time_ms=TIME_MS, **{name: array[:50] for name, array in columns.items()})
    with pytest.raises(InputError, match="'time_ms' has 1000 times for a voltage of shape"):
        read_current_clamp(tmp_path / "timed.npz")


def test_a_rate_that_is_said_twice_is_the_same_twice(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    recorded = {"voltage_mV": VOLTAGE_MV, "current_pA": CURRENT_PA}
    np.savez(path, **recorded, fs_khz=10.0, dt_ms=0.10005, time_s=TIME_MS / 1e3)
    check(read_current_clamp(path))
    np.savez(path, **recorded, fs_khz=20.0, dt_ms=0.1)
    for asked in (None, 10_000):
        with pytest.raises(InputError, match=r"twice and differently.*: 20000 Hz by fs_khz, 10000 Hz by dt_ms; keep"):
            read_current_clamp(path, sampling_rate_hz=asked)
    rates = np.full(1000, 20_000.0)
    table = save_columns(tmp_path / "a.csv", "rate_hz,time_ms,v_mV,i_pA", rates, TIME_MS, VOLTAGE_MV, CURRENT_PA)
    with pytest.raises(InputError, match="20000 Hz by rate_hz, 10000 Hz by time_ms"):
        read_current_clamp(table)


def test_a_sweep_may_be_named_by_its_text_or_taken_out_before() -> None:
    whole = current_clamp_from_array(np.stack([VOLTAGE_MV, VOLTAGE_MV + 5]), CURRENT_PA, 10_000, sweep=[3, 12])
    for one in (choose_sweep(whole, "12"), choose_sweep(whole.sel(sweep=12)), choose_sweep(whole.isel(sweep=1), 12)):
        np.testing.assert_array_equal(one["voltage_mv"], VOLTAGE_MV + 5)
    with pytest.raises(InputError, match="There is no sweep 3; the recording has 12"):
        choose_sweep(whole.sel(sweep=12), 3)


def test_one_sweep_may_be_asked_for_without_a_list(tmp_path: Path) -> None:
    columns = {
        f"{name}_{i}": array
        for name, array in (("voltage_mV", VOLTAGE_MV), ("current_pA", CURRENT_PA))
        for i in (1, 2, 12)
    }
    np.savez(tmp_path / "sweeps.npz", dt_ms=0.1, **columns)
    for one in (12, "12", np.int64(12), ["12"]):
        assert read_current_clamp(tmp_path / "sweeps.npz", sweeps=one)["sweep"].values.tolist() == [12]


def test_nwb(tmp_path: Path) -> None:
    import pynwb
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

    nwbfile = pynwb.NWBFile("test", "id", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    electrode = nwbfile.create_icephys_electrode(
        name="e", description="d", device=nwbfile.create_device(name="amplifier")
    )
    for sweep in (4, 3):
        common = {"electrode": electrode, "gain": 1.0, "rate": 10_000.0, "sweep_number": np.uint32(sweep)}
        shift = sweep - 3
        nwbfile.add_acquisition(
            CurrentClampSeries(name=f"v{sweep}", data=VOLTAGE_MV + shift, conversion=1e-3, unit="volts", **common)
        )
        nwbfile.add_stimulus(
            CurrentClampStimulusSeries(
                name=f"i{sweep}", data=CURRENT_PA / 1e3, conversion=1e-9, unit="amperes", **common
            )
        )
    path = tmp_path / "cell.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    recording = read_current_clamp(path, area_cm2=1e-4)
    check(recording, 2)
    assert recording["sweep"].values.tolist() == [3, 4]
    np.testing.assert_allclose(recording["voltage_mv"][1], VOLTAGE_MV + 1, atol=1e-3)
    assert read_current_clamp(path, sweeps=[4]).sizes["sweep"] == 1
    with pytest.raises(FileFormatError, match="has no sweep 9; it has 3, 4"):
        read_current_clamp(path, sweeps=[9])


class StandIn:
    """As pyabf shows a file with a voltage, and a recorded current or an epoch's command."""

    dataRate, protocol, sweepList = 10_000, "steps", (0, 1)

    def __init__(self, *_: object) -> None:
        self.adcUnits = self.units

    def setSweep(self, sweep: int, channel: int) -> None:
        self.sweepY = [VOLTAGE_MV + sweep, CURRENT_PA / 1e3][channel]
        self.sweepC, self.sweepUnitsC = CURRENT_PA, "pA"


@pytest.mark.parametrize(("units", "note"), [(["mV"], "the command"), (["mV", "nA"], "the one that was recorded")])
def test_abf_with_a_command_or_a_recorded_current(tmp_path: Path, monkeypatch, units: list[str], note: str) -> None:
    pyabf = pytest.importorskip("pyabf")
    monkeypatch.setattr(pyabf, "ABF", type("Shown", (StandIn,), {"units": units}))
    path = tmp_path / "cell.abf"
    path.write_bytes(b"ABF2" + b"\0" * 1000)
    recording = read_current_clamp(path)
    check(recording, 2)
    assert note in recording.attrs["notes"][0]
    with pytest.raises(InputError, match=r"is sampled at 10000 Hz, not at 500"):
        read_current_clamp(path, sampling_rate_hz=500)


def test_abf_files(tmp_path: Path) -> None:
    writer = pytest.importorskip("pyabf.abfWriter")
    path = tmp_path / "cell.abf"
    writer.writeABF1(np.stack([VOLTAGE_MV] * 2), str(path), 10_000, units="mV")
    with pytest.raises(InputError, match="neither a recorded current nor the command"):
        read_current_clamp(path)
    content = path.read_bytes()
    for n in (20, 600, 3000, len(content) - 500):
        path.write_bytes(content[:n])
        with pytest.raises(FileFormatError, match=r"cut short|cannot be read as ABF"):
            read_current_clamp(path)


def test_hostile_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    np.savez(path, voltage_mV=np.array([{"code": 1}], dtype=object), current_pA=CURRENT_PA, dt_ms=0.1)
    with pytest.raises(UnsafeFileError, match="Python objects"):
        read_current_clamp(path)
    np.savez(path, voltage_mV=VOLTAGE_MV, dt_ms=0.1)
    with pytest.raises(FileFormatError, match="has no current; it has voltage_mV, dt_ms"):
        read_current_clamp(path)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read_current_clamp(path, max_bytes=1000)
    (tmp_path / "x.bin").write_bytes(b"\x00" * 100)
    for other in (tmp_path / "x.bin", tmp_path):
        with pytest.raises(FileFormatError, match="expected"):
            read_current_clamp(other)
    (tmp_path / "cell.nwb").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\x00" * 100)
    with pytest.raises(FileFormatError):
        read_current_clamp(tmp_path / "cell.nwb")


@pytest.mark.data
def test_real_recordings(data_folder: Path) -> None:
    folder = data_folder / "mechanism"
    for path in (folder / "allen_cell_types").glob("*.npz"):
        recording = read_current_clamp(path)
        assert recording.attrs["junction_potential_mv"] == -14
        on, off = stimulus_epoch(recording)
        assert (on, off) == pytest.approx((205.0, 1205.0), abs=0.5)
        assert 50 < recording["current_pa"].values.max() < 300
    for path in (folder / "pyabf_current_clamp").glob("*.npz"):
        assert read_current_clamp(path).sizes["sweep"] >= 16


def test_recordings_are_told_from_features(tmp_path: Path) -> None:
    np.savez(tmp_path / "cell.npz", voltage_mV=VOLTAGE_MV, current_pA=CURRENT_PA, dt_ms=0.1)
    np.savez(tmp_path / "features.npz", spike_count=3.0)
    (tmp_path / "cell.csv").write_text("time_ms,voltage_mV,current_pA\n0,-70,0\n")
    (tmp_path / "features.csv").write_text("spike_count,rest_mv\n3,-70\n")
    (tmp_path / "features.json").write_text("{}")
    found = {path.name for path in tmp_path.iterdir() if holds_voltage(path)}
    assert found == {"cell.npz", "cell.csv"}
    with pytest.raises(InputError, match="no such file"):
        holds_voltage(tmp_path / "nothing.npz")


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1.0), ("s", 1e-3)])
def test_times_of_a_table_are_kept(tmp_path: Path, unit: str, factor: float) -> None:
    """A window of a trace: what its file calls 120 ms is 120 ms, also where it does not begin at 0."""
    table = np.column_stack([(TIME_MS + 100) * factor, VOLTAGE_MV, CURRENT_PA])
    np.savetxt(tmp_path / "window.csv", table, delimiter=",", header=f"time_{unit},voltage_mV,current_pA", comments="")
    recording = read_current_clamp(tmp_path / "window.csv")
    assert recording["time"].values[[0, -1]] == pytest.approx([0.1, 0.1999])
    assert recording["time"].attrs["units"] == "s"
    assert stimulus_epoch(recording) == pytest.approx((120.0, 180.0))


def test_labels_of_sweeps_that_are_not_read_are_noted(tmp_path: Path) -> None:
    """A file that said sweep 39 was read as sweep 0 without a word."""
    arrays = {"voltage_mV": VOLTAGE_MV, "current_pA": CURRENT_PA, "dt_ms": 0.1}
    for sweep, noted in ((39, True), (np.array([39]), True), (0, False)):
        np.savez(tmp_path / "cell.npz", **arrays, sweep=sweep)
        recording = read_current_clamp(tmp_path / "cell.npz")
        assert recording["sweep"].values.tolist() == [0]
        notes = recording.attrs["notes"]
        assert len(notes) == noted
        assert not noted or notes[0].startswith("'sweep' in the file ([39]) is not read: the sweeps are labelled 0. ")
    np.savez(tmp_path / "cell.npz", voltage_mV_39=VOLTAGE_MV, current_pA_39=CURRENT_PA, dt_ms=0.1, sweep=39)
    recording = read_current_clamp(tmp_path / "cell.npz")
    assert (recording["sweep"].values.tolist(), recording.attrs["notes"]) == ([39], [])
