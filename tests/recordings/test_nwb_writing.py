"""Results into NWB: into a copy, in place, or a new file; checked by pynwb and nwbinspector."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import from_array, read, read_spikes, write

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning:nwbinspector")


def critical(path: Path) -> list[str]:
    """Critical findings of nwbinspector."""
    from nwbinspector import Importance, inspect_nwbfile

    findings = inspect_nwbfile(nwbfile_path=str(path))
    return [str(f) for f in findings if f.importance.value >= Importance.CRITICAL.value]


def contents(path: Path, keep: Callable[[str], bool] = lambda name: True) -> dict[str, str]:
    """A digest of every dataset of an HDF5 file."""
    found: dict[str, str] = {}

    def visit(name: str, member: object) -> None:
        if isinstance(member, h5py.Dataset) and keep(name) and member.dtype.kind not in "O":
            found[name] = hashlib.sha256(np.asarray(member[()]).tobytes()).hexdigest()

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def test_a_new_file_is_sound(tmp_path: Path, result: xr.Dataset) -> None:
    write(result, tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    found = pynwb.validate(path=str(tmp_path / "a.nwb"))
    assert not (found[0] if isinstance(found, tuple) else found)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        series = io.read().processing["ophys"]["expected_spikes"]
        assert isinstance(series, pynwb.ophys.RoiResponseSeries)
        assert series.unit == "spikes per frame"
        assert "not a probability" in series.description
        assert series.rate == 30.0
        assert list(series.rois.table["label"][:]) == list(result["neuron"].values)
        assert np.array_equal(series.data[:], result["expected_spikes"].values)


def test_a_copy_keeps_the_source_and_its_roi_table(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces}, ids=[10, 11, 12, 13, 14, 15])
    before = source.read_bytes()
    part = result.isel(neuron=[4, 1]).assign_coords(neuron=["14", "11"])
    write(part, tmp_path / "out.nwb", source=source)
    assert source.read_bytes() == before
    old, new = contents(source), contents(tmp_path / "out.nwb")
    assert old.items() <= new.items()
    assert critical(tmp_path / "out.nwb") == []
    with pynwb.NWBHDF5IO(str(tmp_path / "out.nwb"), "r") as io:
        nwbfile = io.read()
        series = nwbfile.processing["ophys"]["rate_hz"]
        assert series.rois.table is nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        assert list(series.rois.data[:]) == [4, 1]
        assert series.unit == "spikes/s"
    xr.testing.assert_identical(read_spikes(tmp_path / "out.nwb"), part)


def test_the_recording_is_still_the_recording(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces})
    write(result, tmp_path / "out.nwb", source=source)
    assert np.array_equal(read(tmp_path / "out.nwb").values, traces)


@pytest.mark.parametrize("times", [1, 2])
def test_in_place_harms_nothing(
    make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset, times: int
) -> None:
    source = make_nwb({"DfOverF/dff": traces, "Fluorescence/raw": traces * 2})
    old = contents(source)
    for _ in range(times):
        write(result, source, source=source)
    assert old.items() <= contents(source).items()
    assert critical(source) == []
    xr.testing.assert_identical(read_spikes(source), result)
    assert [p.name for p in source.parent.iterdir()] == [source.name]


def test_the_source_attribute_is_used(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces})
    write(result.assign_attrs(source=str(source)), tmp_path / "out.nwb")
    assert read(tmp_path / "out.nwb").attrs["session_id"] == "mouse-7"


def test_the_right_table_is_found_among_planes(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"Fluorescence/a": traces, "Fluorescence/b": traces})
    write(result.assign_attrs(series="ophys/Fluorescence/b"), tmp_path / "out.nwb", source=source)
    assert read_spikes(tmp_path / "out.nwb").sizes["neuron"] == 6


def test_another_recording_is_refused_and_nothing_changes(
    make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces})
    before = source.read_bytes()
    with pytest.raises(InputError, match="another recording"):
        write(result.assign_coords(neuron=list("abcdef")), source, source=source)
    assert source.read_bytes() == before
    assert [p.name for p in source.parent.iterdir()] == [source.name]


def test_frames_of_another_recording_are_refused_and_some_of_its_own_are_taken(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces})
    for other in (result.isel(time=slice(50)), result.isel(time=np.arange(150) % 120)):
        with pytest.raises(InputError, match=r"the \d+ frames of the result are not frames of 'ophys/DfOverF/dff'"):
            write(other, tmp_path / "out.nwb", source=source)
    for rate in (30.0, 15.0):
        times = read(source, frame_rate_hz=rate)["time"]
        some = result.assign_coords(time=times).assign_attrs(frame_rate_hz=rate).isel(time=slice(20, 70))
        write(some, tmp_path / "out.nwb", source=source)
        np.testing.assert_allclose(read_spikes(tmp_path / "out.nwb")["time"], some["time"])


def test_a_recording_is_not_replaced_by_a_result_that_does_not_know_it(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces})
    before = source.read_bytes()
    with pytest.raises(InputError, match="give it as source="):
        write(result, source)
    assert source.read_bytes() == before
    copy = write(result, tmp_path / "copy.nwb", source=source)
    with pytest.raises(InputError, match="give it as source="):
        write(result, copy)
    (tmp_path / "empty.nwb").write_bytes(b"")
    write(result, write(result, tmp_path / "empty.nwb"))


def test_a_name_that_is_taken_is_refused(
    tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    source = make_nwb({"DfOverF/dff": traces, "rate_hz": traces})
    with pytest.raises(InputError, match="'rate_hz' of its own"):
        write(result, tmp_path / "out.nwb", source=source)
    assert not (tmp_path / "out.nwb").exists()


def test_irregular_frames_get_timestamps(tmp_path: Path, result: xr.Dataset, rng: np.random.Generator) -> None:
    time = np.cumsum(rng.uniform(0.03, 0.04, result.sizes["time"]))
    write(result.assign_coords(time=time), tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    with h5py.File(tmp_path / "a.nwb") as file:
        assert np.array_equal(file["processing/ophys/expected_spikes/timestamps"][:], time)


def test_a_recording_comes_back_as_a_recording(tmp_path: Path, traces: np.ndarray) -> None:
    recording = from_array(traces, 30.0, neuron=list("abcdeé"), quantity="dff", attrs={"session_id": "monday"})
    write(recording, tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    back = read(tmp_path / "a.nwb")
    assert np.array_equal(back.values, traces)
    assert list(back["neuron"].values) == list("abcdeé")
    assert np.array_equal(back["time"].values, recording["time"].values)
    for name in ("quantity", "units", "frame_rate_hz", "session_id"):
        assert back.attrs[name] == recording.attrs[name]
    write(recording.assign_attrs(session_id=""), tmp_path / "tuesday.nwb")
    assert read(tmp_path / "tuesday.nwb").attrs["session_id"] == "tuesday"


def test_what_is_known_of_the_neurons_comes_back_with_the_recording(tmp_path: Path, traces: np.ndarray) -> None:
    """Areas, depths and the like are in the ROI table of a new file, where every reader of NWB looks."""
    areas, lengths = np.array(["V1", "V1", "", "AL", "µ", "V1"]), np.arange(6)
    known = {"area": areas, "depth": np.linspace(0, 1, 6), "accepted": np.ones(6, bool), "pixel_mask": lengths}
    recording = from_array(traces, 30.0, quantity="dff", neuron=list("abcdef"), coords=known)
    recording = recording.assign_coords(roi_row=("neuron", lengths + 7), late=("neuron", da.arange(6, chunks=2)))
    write(recording, tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    back = read(tmp_path / "a.nwb")
    for name in ("neuron", "area", "depth", "accepted", "late"):
        assert np.array_equal(back[name].values, recording[name].values), name
    again = read(write(back.isel(neuron=[4, 1]), tmp_path / "b.nwb"))
    assert list(again["area"].values) == ["µ", "V1"]
    assert np.array_equal(again.values, traces[:, [4, 1]])


@pytest.mark.parametrize("own", ["DfOverF/own", "Fluorescence/own"])
def test_the_trace_that_was_used_goes_in_too(
    make_nwb: Callable[..., Path], traces: np.ndarray, result: xr.Dataset, own: str
) -> None:
    source = make_nwb({own: traces})
    dff = result["expected_spikes"].assign_attrs(quantity="dff", units="1")
    for _ in range(2):
        write(result.assign(dff=dff), source, source=source)
        assert critical(source) == []
        xr.testing.assert_identical(read_spikes(source), result.assign(dff=dff))
    assert np.array_equal(read(source).values, traces), "the file's own trace, not ours"


def test_a_recording_that_we_wrote_takes_results_in_a_file_of_their_own(tmp_path):
    """All its traces are ours, and would be removed from a copy as an earlier result."""
    from antidrome.recordings import from_array, read, read_spikes, write

    values = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    recording = from_array(values, 30.0, neuron=["a", "b", "c"], quantity="dff")
    source = write(recording, tmp_path / "made.nwb")
    opened = read(source)
    result = opened.to_dataset(name="expected_spikes").assign_attrs(opened.attrs)
    written = write(result, tmp_path / "spikes.nwb", source=source)
    np.testing.assert_array_equal(read_spikes(written)["expected_spikes"], values)
    np.testing.assert_array_equal(read(source), values)


def test_blocks_that_make_several_arrays_are_computed_once(tmp_path: Path) -> None:
    blocks = []

    def infer(first: int) -> dict[str, np.ndarray]:
        blocks.append(first)
        values = np.arange(first, first + 3) + np.arange(20.0)[:, None]
        return {"a": values, "b": -values, "samples": np.stack([values, values]), "tau_s": values[0]}

    shapes = {"a": (20, 3), "b": (20, 3), "samples": (2, 20, 3), "tau_s": (3,)}
    parts = [dask.delayed(infer, pure=False)(first) for first in (0, 3, 6)]
    arrays = {
        name: da.concatenate([da.from_delayed(part[name], shape, float) for part in parts], axis=-1)
        for name, shape in shapes.items()
    }
    dims = {2: ("time", "neuron"), 3: ("sample", "time", "neuron"), 1: ("neuron",)}
    result = xr.Dataset(
        {name: (dims[array.ndim], array) for name, array in arrays.items()},
        {"time": np.arange(20) / 10.0, "neuron": [f"n{i}" for i in range(9)]},
    )
    write(result, tmp_path / "a.nwb")
    assert sorted(blocks) == [0, 3, 6]
    xr.testing.assert_identical(read_spikes(tmp_path / "a.nwb"), result.load())


@pytest.mark.parametrize("in_memory", [10**9, 0])
def test_what_has_other_dimensions_comes_back(
    tmp_path: Path, result: xr.Dataset, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr("antidrome.recordings.nwb_results.IN_MEMORY_VALUES", in_memory)
    n_frames, n_neurons = result.sizes["time"], result.sizes["neuron"]
    result = result.assign_coords(
        stimulus=("time", np.where(np.arange(n_frames) % 2, "on", "öff")), plane=3, other=["a", "b"]
    ).assign(speed=("time", np.arange(n_frames), {"units": "cm/s"}))
    result["loadings"] = (("neuron", "other"), np.arange(2.0 * n_neurons, dtype=np.float32).reshape(-1, 2))
    write(result, tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    xr.testing.assert_identical(read_spikes(tmp_path / "a.nwb").load(), result)


@pytest.mark.parametrize("chunks", [None, {"neuron": 2}, {"time": 50}])
@pytest.mark.parametrize("in_memory", [10**9, 0])
def test_truth_values_and_tables_of_text_come_back(
    tmp_path: Path,
    result: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
    in_memory: int,
    chunks: dict[str, int] | None,
) -> None:
    monkeypatch.setattr("antidrome.recordings.nwb_results.IN_MEMORY_VALUES", in_memory)
    result["is_usable"] = result["expected_spikes"] > 0.1
    result["seen"] = ("time", np.arange(result.sizes["time"]) % 2 == 0)
    result["shown"] = (("time", "side"), np.full((result.sizes["time"], 2), ["left", "right"]))
    write(result if chunks is None else result.chunk(chunks), tmp_path / "a.nwb")
    assert critical(tmp_path / "a.nwb") == []
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    xr.testing.assert_identical(read_spikes(tmp_path / "a.nwb").load(), result)


def test_times_of_day_become_text(tmp_path: Path, result: xr.Dataset) -> None:
    day = np.full(result.sizes["neuron"], np.datetime64("2024-05-01", "ns"))
    write(result.assign_coords(imaged=("neuron", day)), tmp_path / "a.nwb")
    assert all(text.startswith("2024-05-01") for text in read_spikes(tmp_path / "a.nwb")["imaged"].values)


@pytest.mark.parametrize("start_s", [0.0, 1000 / 30, 153.02])
def test_times_come_back_equal(tmp_path: Path, start_s: float) -> None:
    """Else arithmetic with the recording keeps few frames, as xarray joins equal times only."""
    values = np.random.default_rng(0).random((5000, 2)).astype("f4")
    for recording in (
        from_array(values, 30.0, quantity="dff").isel(time=slice(1000, None)),
        from_array(values, time=start_s + np.arange(5000) / 30, quantity="dff"),
    ):
        spikes = xr.Dataset({"expected_spikes": recording.drop_attrs()}, attrs=recording.attrs)
        found = read_spikes(write(spikes, tmp_path / "a.nwb"))
        np.testing.assert_array_equal(found["time"], recording["time"])
