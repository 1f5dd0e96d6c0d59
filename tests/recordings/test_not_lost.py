"""What a file holds is not deleted by what is written into its place."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from antidrome.errors import InputError
from antidrome.recordings import delta_f_over_f, from_array, read, read_spikes, write

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def spikes_of(recording: xr.DataArray) -> xr.Dataset:
    about = {name: value for name, value in recording.attrs.items() if name not in ("quantity", "units")}
    spikes = abs(recording.load().drop_attrs(deep=False)).astype(np.float32)
    return xr.Dataset({"expected_spikes": spikes}, attrs=about)


def test_the_result_of_one_plane_is_not_removed_by_that_of_another(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray
) -> None:
    path = make_nwb({"Fluorescence/a": traces, "Fluorescence/b": traces + 1})
    first, second = (spikes_of(read(path, series=name)) for name in "ab")
    write(first, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"result \('expected_spikes'\) of the series 'ophys/Fluorescence/a', which"):
        write(second, path)
    assert path.read_bytes() == before
    write(second, tmp_path / "b.nwb")
    assert read_spikes(tmp_path / "b.nwb").attrs["series"] == "ophys/Fluorescence/b"
    with pytest.raises(InputError, match="of the series 'ophys/Fluorescence/b', which"):
        write(first, tmp_path / "b.nwb")


def test_spikes_replace_spikes_and_traces_replace_none(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"Fluorescence/a": traces})
    result = spikes_of(read(path))
    write(result, path)
    write(result.assign(rate_hz=result["expected_spikes"] * 30), path)
    with pytest.raises(InputError, match=r"'rate_hz'.*write to another file"):
        write(delta_f_over_f(read(path)), path)
    assert "rate_hz" in read_spikes(path)
    write(result, path)
    assert "rate_hz" not in read_spikes(path)


def test_traces_that_were_written_are_not_removed_by_their_spikes(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray
) -> None:
    path = make_nwb({"Fluorescence/raw": 100 + traces})
    write(delta_f_over_f(read(path)), path)
    recording = read(path, series="DfOverF/dff")
    with pytest.raises(InputError, match=r"\('dff'\) of the series 'ophys/Fluorescence/raw'"):
        write(spikes_of(recording), path)
    np.testing.assert_array_equal(recording.values, read(path, series="DfOverF/dff").values)
    write(spikes_of(recording), tmp_path / "spikes.nwb")
    assert "expected_spikes" in read_spikes(tmp_path / "spikes.nwb")


def test_another_recording_in_nwb_is_not_replaced(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray
) -> None:
    ours, other = (make_nwb({"DfOverF/dff": traces}, name=name) for name in ("ours.nwb", "other.nwb"))
    with h5py.File(other, "r+") as file:
        file["identifier"][()] = "test-2"
    before = other.read_bytes()
    with pytest.raises(InputError, match="would be lost"):
        write(spikes_of(read(ours)), other)
    assert other.read_bytes() == before
    for _ in range(2):
        write(spikes_of(read(ours)), tmp_path / "copy.nwb")


@pytest.mark.parametrize("name", ["own.nc", "own.zarr"])
def test_what_stands_beside_the_traces_is_not_deleted(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    beside = {"masks": (("neuron", "y", "x"), np.ones((6, 4, 4))), "stimulus": ("time", np.arange(120.0))}
    stored = xr.Dataset(
        {"fluorescence": (("time", "neuron"), traces), "frame_rate": ((), 30.0), **beside},
        {
            "time": np.arange(120) / 30,
            "neuron": list("abcdef"),
            "keep": ("neuron", np.ones(6, bool)),
            "x": np.arange(4),
        },
    )
    stored.to_zarr(tmp_path / name, zarr_format=2) if name.endswith("zarr") else stored.to_netcdf(tmp_path / name)
    recording = read(tmp_path / name).load()
    renamed = recording.assign_coords(neuron=[f"day1-{label}" for label in "abcdef"])
    with pytest.raises(InputError, match=r"would lose 'masks' \(6 × 4 × 4\), 'stimulus' \(120\) of what it holds"):
        write(renamed, tmp_path / name)
    write(xr.Dataset({"fluorescence": renamed, **beside}, attrs=renamed.attrs), tmp_path / name)
    with xr.open_dataset(tmp_path / name, engine="zarr" if name.endswith("zarr") else "h5netcdf") as found:
        assert {"masks", "stimulus", "keep"} <= set(found.variables)
        assert found["neuron"].values.tolist() == [f"day1-{label}" for label in "abcdef"]


@pytest.mark.parametrize("name", ["own.nc", "own.zarr"])
def test_a_recording_that_we_wrote_may_be_written_back(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    known = {"good": np.arange(6) % 2 == 0, "area": np.array(list("abcdef"))}
    write(from_array(traces, 30.0, quantity="fluorescence", coords=known), tmp_path / name)
    for _ in range(2):
        recording = read(tmp_path / name).load()
        write(recording.assign_coords(trial=("time", np.arange(120) // 40)), tmp_path / name)
    assert {"good", "area", "trial"} <= set(read(tmp_path / name).coords)


def test_a_store_of_others_is_not_deleted(tmp_path: Path, traces: np.ndarray) -> None:
    result = spikes_of(from_array(traces, 30.0, quantity="dff"))
    movie = xr.Dataset({"movie": (("t", "y", "x"), np.ones((5, 4, 4)))})
    for version in (2, 3):
        movie.to_zarr(tmp_path / f"{version}.zarr", zarr_format=version)
        zarr.save_array(tmp_path / f"plain{version}.zarr", traces, zarr_format=version)
    stores = sorted(tmp_path.glob("*.zarr"))
    assert len(stores) == 4
    for store in stores:
        with pytest.raises(InputError, match="holds arrays that are not in the result and would be deleted"):
            write(result, store)
    np.testing.assert_array_equal(zarr.load(tmp_path / "plain2.zarr"), traces)
    for _ in range(2):
        write(result, tmp_path / "ours.zarr")


@pytest.mark.parametrize("name", ["theirs.nc", "theirs.zarr"])
def test_arrays_of_others_beside_times_and_neurons_are_not_deleted(
    tmp_path: Path, traces: np.ndarray, name: str
) -> None:
    recording = from_array(traces, 30.0, quantity="dff")
    theirs = xr.Dataset({"dff": recording.drop_attrs(), "running": ("time", traces[:, 0])})
    if name.endswith("zarr"):
        theirs.to_zarr(tmp_path / name, zarr_format=2)
    else:
        theirs.to_netcdf(tmp_path / name, engine="h5netcdf")
    with pytest.raises(InputError, match=r"not in the result and would be deleted \('dff', 'running'\)"):
        write(spikes_of(recording), tmp_path / name)
    for kind, ours in {"spikes": spikes_of(recording), "traces": recording}.items():
        for _ in range(2):
            write(ours, tmp_path / f"{kind}-{name}")
