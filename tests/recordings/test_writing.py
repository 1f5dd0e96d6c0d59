"""Results out and back in, in every format; nothing half written."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import lazy, nwb_results, read, read_spikes, write, xarray_writing
from antidrome.recordings.axes import time_in_seconds

NAMES = ("a.nwb", "a.zarr", "a.nc")


@pytest.mark.parametrize("name", NAMES)
def test_everything_comes_back_identical(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    before = result.copy(deep=True)
    assert write(result, tmp_path / name) == tmp_path / name
    xr.testing.assert_identical(result, before)
    xr.testing.assert_identical(read_spikes(tmp_path / name), result)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_irregular_times_and_nan_come_back(
    tmp_path: Path, result: xr.Dataset, name: str, rng: np.random.Generator
) -> None:
    irregular = result.assign_coords(time=np.cumsum(rng.uniform(0.03, 0.04, result.sizes["time"])))
    irregular["expected_spikes"][5, 3] = np.nan
    write(irregular, tmp_path / name)
    xr.testing.assert_identical(read_spikes(tmp_path / name), irregular)


@pytest.mark.parametrize("name", [*NAMES, "s2p"])
@pytest.mark.parametrize("unit", ["ms", "dates"])
def test_times_in_another_unit_are_no_seconds(tmp_path: Path, result: xr.Dataset, name: str, unit: str) -> None:
    seconds = (result["time"].values - float(result["time"][0])).round(3)
    milliseconds = (1000 * seconds).astype(int)
    dates = np.datetime64("2026-01-01", "ns") + milliseconds.astype("timedelta64[ms]")
    times = ("time", dates, {}) if unit == "dates" else ("time", 1000 * seconds, {"units": "ms"})
    path = write(result.assign_coords(time=times), tmp_path / name, format="suite2p" if name == "s2p" else None)
    found = time_in_seconds(read_spikes(path)["time"])
    np.testing.assert_allclose(found - found[0], seconds, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_writing_twice_replaces(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    write(result, tmp_path / name)
    write(result.isel(neuron=[1, 2]), tmp_path / name)
    assert read_spikes(tmp_path / name).sizes["neuron"] == 2


@pytest.mark.parametrize("name", NAMES)
def test_dask_results_are_written_block_by_block(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    largest = 0

    def note(block: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, block.shape[1])
        return block

    spikes = da.from_array(result["expected_spikes"].values, chunks=(120, (1, 3, 2)))
    lazy = result.assign(expected_spikes=(("time", "neuron"), spikes.map_blocks(note, dtype="f4")))
    lazy["expected_spikes"].attrs = result["expected_spikes"].attrs
    write(lazy, tmp_path / name)
    assert largest == 3
    xr.testing.assert_identical(read_spikes(tmp_path / name), result)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of more than 100 values stay on disk."""
    for reader in (xarray_writing, nwb_results):
        monkeypatch.setattr(reader, "IN_MEMORY_VALUES", 100)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("little_memory")
def test_large_results_stay_on_disk(
    tmp_path: Path, result: xr.Dataset, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 1000)
    write(result, tmp_path / name)
    found = read_spikes(tmp_path / name)
    on_disk = {str(key) for key, variable in found.variables.items() if variable.chunks is not None}
    assert on_disk == {str(key) for key, one in result.data_vars.items() if {"time", "neuron"} <= set(one.dims)}
    assert found["expected_spikes"].data.numblocks == (1, 3)
    xr.testing.assert_identical(found.compute(), result)
    write(found, tmp_path / f"again-{name}")
    xr.testing.assert_identical(read_spikes(tmp_path / f"again-{name}").compute(), result)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("little_memory")
def test_large_results_keep_coordinates_of_no_variable(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    result = result.assign_coords(pixel=("pixel", np.arange(3)))
    write(result, tmp_path / name)
    xr.testing.assert_identical(read_spikes(tmp_path / name).compute(), result)


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_leaves_the_old_result(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    write(result, tmp_path / name)

    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("no more")

    spikes = da.from_array(result["expected_spikes"].values, chunks=(120, 2))
    broken = result.assign(
        expected_spikes=(("time", "neuron"), spikes.map_blocks(fail, dtype="f4", meta=np.empty((0, 0), "f4")))
    )
    with pytest.raises(RuntimeError, match="no more"):
        write(broken, tmp_path / name)
    xr.testing.assert_identical(read_spikes(tmp_path / name), result)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_long_attributes_fit(tmp_path: Path, result: xr.Dataset) -> None:
    long = result.assign_attrs(findings="x" * 300_000)
    for name in NAMES:
        write(long, tmp_path / name)
        assert read_spikes(tmp_path / name).attrs["findings"] == long.attrs["findings"]


def test_a_result_holding_the_trace_reads_as_a_recording(tmp_path: Path, result: xr.Dataset) -> None:
    dff = result["expected_spikes"].assign_attrs(quantity="dff", units="1", frame_rate_hz=30.0)
    for name in ("a.zarr", "a.nc"):
        write(result.assign(dff=dff), tmp_path / name)
        recording = read(tmp_path / name)
        assert recording.attrs["quantity"] == "dff"
        assert np.array_equal(recording.values, dff.values)


@pytest.mark.parametrize("name", NAMES)
def test_spikes_that_are_read_as_a_recording_keep_their_units(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    units = {"expected_spikes": "spikes per frame", "rate_hz": "spikes/s"}
    for series, unit in units.items():
        result[series].attrs["units"] = unit
    write(result[[*units]], tmp_path / name)
    for series, unit in units.items():
        recording = read(tmp_path / name, series=series)
        assert recording.attrs["units"] == unit
        np.testing.assert_array_equal(recording.values, result[series].values)


def test_the_format_must_be_known(tmp_path: Path, result: xr.Dataset) -> None:
    with pytest.raises(InputError, match="pass format="):
        write(result, tmp_path / "a.xyz")
    with pytest.raises(InputError, match="format = 'mat', expected one of 'nwb'"):
        write(result, tmp_path / "a.xyz", format="mat")
    with pytest.raises(InputError, match="no coordinate neuron"):
        write(result.drop_vars("neuron"), tmp_path / "a.nc")
    with pytest.raises(InputError, match="attribute 'odd' is a object"):
        write(result.assign_attrs(odd=object()), tmp_path / "a.nc")


@pytest.mark.usefixtures("unchecked_types")
def test_a_plain_array_lacks_what_a_file_keeps(tmp_path: Path, traces: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"got a ndarray, expected a Dataset.*from_array"):
        write(traces, tmp_path / "x.nc")


def test_what_is_no_result(tmp_path: Path, traces: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", traces)
    with pytest.raises(FileFormatError, match="expected a result"):
        read_spikes(tmp_path / "a.npy")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileFormatError, match="not written by Antidrome"):
        read_spikes(tmp_path / "folder")


@pytest.mark.parametrize("name", NAMES)
def test_the_cap_holds_when_reading_back(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    write(result, tmp_path / name)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read_spikes(tmp_path / name, max_bytes=1000)


@pytest.mark.parametrize("name", ["a.nwb", "a.zarr", "a.nc"])
def test_names_that_no_file_takes_are_refused(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    named = result.assign_coords({"ΔF/F": ("neuron", np.zeros(result.sizes["neuron"]))})
    with pytest.raises(InputError, match="'ΔF/F' has one of /"):
        write(named, tmp_path / name)


@pytest.mark.parametrize("name", ["description", "colnames", "namespace"])
def test_names_of_parts_of_nwb_tables_are_refused(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    named = result.assign_coords({name: ("neuron", np.zeros(result.sizes["neuron"]))})
    with pytest.raises(InputError, match="rename it first"):
        write(named, tmp_path / "a.nwb")
    write(named, tmp_path / "a.nc")


def test_words_of_neurons_in_frames_are_refused_in_nwb(tmp_path: Path, result: xr.Dataset) -> None:
    result["state"] = (("time", "neuron"), np.full(result["expected_spikes"].shape, "up"))
    with pytest.raises(InputError, match="'state' holds <U2, and nwb holds only numbers"):
        write(result, tmp_path / "a.nwb")


@pytest.mark.parametrize("format", ["nwb", "suite2p"])
@pytest.mark.parametrize("empty", ["time", "neuron"])
def test_nothing_is_refused_where_it_cannot_be_kept(
    tmp_path: Path, result: xr.Dataset, format: str, empty: str
) -> None:
    with pytest.raises(InputError, match="write Zarr or NetCDF"):
        write(result.isel({empty: slice(0)}), tmp_path / "a", format=format)


@pytest.mark.parametrize("name", ["a.nwb", "a.zarr", "a.nc", "folder"])
def test_reading_a_result_as_a_recording_leads_to_read_spikes(tmp_path: Path, result: xr.Dataset, name: str) -> None:
    spikes = result[["expected_spikes", "rate_hz"]]
    write(spikes, tmp_path / name, format="suite2p" if name == "folder" else None)
    with pytest.raises((InputError, FileFormatError), match=r"antidrome\.recordings\.read_spikes"):
        read(tmp_path / name)
