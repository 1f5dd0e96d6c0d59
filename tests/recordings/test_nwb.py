"""NWB files made by pynwb."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import h5py
import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import as_recording, delta_f_over_f, read, read_with_neuropil
from antidrome.recordings.nwb import Series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pynwb", "ignore::UserWarning:hdmf")


def test_dff_is_preferred_and_lazy(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"Fluorescence/raw": traces, "DfOverF/dff": traces * 2, "Neuropil/raw": traces}, starting_time=5.0)
    recording, neuropil = read_with_neuropil(path)
    assert isinstance(recording.data, da.Array)
    assert np.array_equal(recording.values, traces * 2)
    assert neuropil is None, "ΔF/F has been corrected already"
    assert (recording.attrs["quantity"], recording.attrs["units"]) == ("dff", "1")
    assert recording.attrs["series"] == "ophys/DfOverF/dff"
    assert recording.attrs["session_id"] == "mouse-7"
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert recording["time"].values[:2] == pytest.approx([5.0, 5.0 + 1 / 30])


def test_fluorescence_comes_with_its_neuropil(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    series = {"Fluorescence/plane0": traces, "Neuropil/plane0": traces * 3, "Deconvolved/plane0": traces}
    recording, neuropil = read_with_neuropil(make_nwb(series))
    assert recording.attrs["quantity"] == "fluorescence"
    assert neuropil is not None
    assert np.array_equal(neuropil.values, traces * 3)
    assert neuropil.name == "neuropil"


@pytest.mark.parametrize(
    "name",
    ["Fluorescence/NeuropilCorrected", "Neuropil/corrected", "Neuropil/F_subtracted", "FminusNeuropil/plane0"],
)
def test_what_was_corrected_for_neuropil_is_no_neuropil(
    make_nwb: Callable[..., Path], traces: np.ndarray, name: str
) -> None:
    series = {"Fluorescence/raw": traces * 100, name: traces * 70}
    _, neuropil = read_with_neuropil(make_nwb(series), series="raw")
    assert neuropil is None
    recording, neuropil = read_with_neuropil(
        make_nwb({**series, "Corrected/Neuropil": traces * 3}, name="b.nwb"), series="raw"
    )
    assert neuropil is not None
    assert np.array_equal(neuropil.values, traces * 3)
    dff = delta_f_over_f(recording, neuropil=neuropil)
    assert "neuropil (ophys/Corrected/Neuropil) subtracted with factor 0.7" in dff.attrs["notes"][-1]


@pytest.mark.parametrize(
    ("name", "corrected"),
    [
        ("Uncorrected", False),
        ("NotCorrected", False),
        ("PreCorrection", False),
        ("F_not_corrected", False),
        ("gain_corrected", False),
        ("HemoCorrected", False),
        ("crosstalk_subtracted", False),
        ("corrected", True),
        ("run_corrected", True),
        ("Chemogenetics_corrected", True),
        ("uncorrected_gain_neuropil_subtracted", True),
    ],
)
def test_only_what_is_corrected_for_neuropil_goes_without(name: str, corrected: bool) -> None:
    series = SimpleNamespace(unit="a.u.")
    assert Series(f"ophys/Fluorescence/{name}", "Fluorescence", series).is_corrected == corrected


def test_uncorrected_traces_come_with_their_neuropil(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"Fluorescence/Uncorrected": traces, "Fluorescence/Neuropil": traces / 2})
    recording, neuropil = read_with_neuropil(path)
    assert recording.attrs["notes"] == []
    assert neuropil is not None
    assert np.array_equal(neuropil.values, traces / 2)


@pytest.mark.parametrize("name", ["Fluorescence/Baseline", "Baseline/plane0", "Fluorescence/F_baseline"])
def test_a_baseline_is_no_trace(make_nwb: Callable[..., Path], traces: np.ndarray, name: str) -> None:
    assert np.array_equal(read(make_nwb({"Fluorescence/raw": traces, name: traces * 2})).values, traces)
    corrected = {"Fluorescence/baseline_corrected": traces, name: traces * 2}
    assert np.array_equal(read(make_nwb(corrected, name="b.nwb")).values, traces)


@pytest.mark.filterwarnings("ignore:.*(transposed|orientation).*")
def test_the_roi_table_decides_the_orientation(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    recording = read(make_nwb({"DfOverF/dff": traces.T}))
    assert np.array_equal(recording.values, traces)
    assert "stored ROI × time" in recording.attrs["notes"][0]


def test_more_rois_than_frames_are_not_turned(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    assert read(make_nwb({"DfOverF/dff": traces[:4]})).shape == (4, 6)


def test_square_data_are_time_first_unless_told(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"DfOverF/dff": traces[:6]})
    assert np.array_equal(read(path).values, traces[:6])
    assert np.array_equal(read(path, orientation="neuron,time").values, traces[:6].T)


def test_timestamps(make_nwb: Callable[..., Path], traces: np.ndarray, rng: np.random.Generator) -> None:
    time = 3.0 + np.cumsum(rng.uniform(0.03, 0.037, len(traces)))
    path = make_nwb({"DfOverF/dff": traces}, timestamps=time)
    recording = read(path)
    assert np.array_equal(recording["time"].values, time)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(1 / np.polyfit(np.arange(len(time)), time, 1)[0])
    with pytest.raises(InputError, match="leave frame_rate_hz out"):
        read(path, frame_rate_hz=20.0)


def test_bad_timestamps(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    time = np.arange(len(traces)) / 30
    repeated = time.copy()
    repeated[50] = repeated[49]
    recording = read(make_nwb({"DfOverF/dff": traces}, timestamps=repeated))
    assert "1 times repeat" in recording.attrs["notes"][0]
    with pytest.raises(InputError, match="strictly increasing"):
        as_recording(recording)
    with pytest.raises(InputError, match=r"dff: time runs backwards .* frame 51"):
        read(make_nwb({"DfOverF/dff": traces}, timestamps=np.r_[time[:51], time[:69]], name="b.nwb"))
    time[7] = np.nan
    with pytest.raises(InputError, match="first: frame 7"):
        read(make_nwb({"DfOverF/dff": traces}, timestamps=time, name="c.nwb"))


def test_roi_metadata_are_kept(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    columns = {"area": ["V1", "V1", "LM", "LM", "AL", "AL"], "depth_um": np.arange(6.0), "red": [True] * 6}
    recording = read(make_nwb({"DfOverF/dff": traces}, columns=columns, ids=[10, 11, 12, 13, 14, 15]))
    assert list(recording["neuron"].values) == ["10", "11", "12", "13", "14", "15"]
    assert list(recording["area"].values) == columns["area"]
    assert list(recording["depth_um"].values) == [0, 1, 2, 3, 4, 5]
    assert recording["red"].dtype == bool
    assert "pixel_mask" not in recording.coords


@pytest.mark.parametrize("name", ["accepted", "Accepted", "iscell"])
def test_accepted_rois(make_nwb: Callable[..., Path], traces: np.ndarray, name: str) -> None:
    flags = [1, 0, 1, 1, 0, 1]
    values = np.c_[flags, np.linspace(0, 1, 6)] if name == "iscell" else flags
    path = make_nwb({"DfOverF/dff": traces}, columns={name: values})
    recording = read(path)
    assert np.array_equal(recording.values, traces[:, [0, 2, 3, 5]])
    assert "2 of 6 ROIs are not accepted" in recording.attrs["notes"][0]
    assert read(path, accepted_only=False)["accepted"].values.tolist() == [bool(f) for f in flags]


def test_a_region_of_some_rois(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    recording = read(make_nwb({"DfOverF/dff": traces[:, :3]}, region=[5, 0, 2]))
    assert list(recording["neuron"].values) == ["5", "0", "2"]


def test_repeated_ids_stay_distinct(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"DfOverF/dff": traces})
    with h5py.File(path, "r+") as file:
        file["processing/ophys/ImageSegmentation/PlaneSegmentation/id"][:] = [0, 0, 1, 1, 2, 2]
    assert list(read(path)["neuron"].values) == ["0#0", "0#1", "1#2", "1#3", "2#4", "2#5"]


def test_several_series_are_listed(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"Fluorescence/plane0": traces, "Fluorescence/plane1": traces * 2})
    with pytest.raises(InputError, match=r"ophys/Fluorescence/plane0' 120 × 6, 'ophys/Fluorescence/plane1'"):
        read(path)
    for name in ("plane1", "Fluorescence/plane1", "ophys/Fluorescence/plane1"):
        assert np.array_equal(read(path, series=name).values, traces * 2)
    with pytest.raises(InputError, match="fits 0 series"):
        read(path, series="lane1")
    with pytest.raises(InputError, match="fits 2 series"):
        read(path, series="Fluorescence")


def test_a_loose_series_and_its_units(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    recording = read(make_nwb({"roi_traces": traces}, conversion=2.0, offset=1.0, unit="lumens"))
    assert recording.attrs["quantity"] == "unknown"
    assert np.allclose(recording.values, traces * 2 + 1)
    assert read(make_nwb({"DfOverF/dff": traces}, unit="percent", name="b.nwb")).attrs["units"] == "percent"
    assert read(make_nwb({"DfOverF/dff": traces}, unit="furlong", name="c.nwb")).attrs["units"] == "unknown"


def test_a_rate_from_the_user_keeps_the_start(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    recording = read(make_nwb({"DfOverF/dff": traces}, starting_time=2.0), frame_rate_hz=15.0)
    assert recording["time"].values[:2] == pytest.approx([2.0, 2.0 + 1 / 15])
    assert "replaces 30 Hz" in recording.attrs["notes"][0]


def test_nan_and_integers(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    traces[4, 2] = np.nan
    assert np.array_equal(read(make_nwb({"DfOverF/dff": traces})).values, traces, equal_nan=True)
    counts = (np.abs(np.nan_to_num(traces)) * 1000).astype(np.uint16)
    recording = read(make_nwb({"Fluorescence/raw": counts}, name="b.nwb"))
    assert recording.dtype == np.float32
    assert np.array_equal(recording.values, counts)


def test_no_axis_fits_the_roi_table(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"DfOverF/dff": traces})
    with h5py.File(path, "r+") as file:
        group = file["processing/ophys/DfOverF/dff"]
        attributes = dict(group["data"].attrs)
        del group["data"]
        group["data"] = traces[:, :5]
        group["data"].attrs.update(attributes)
    with pytest.raises(FileFormatError, match="no axis fits"):
        read(path)


def test_external_links_are_refused_before_pynwb_sees_them(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"DfOverF/dff": traces})
    with h5py.File(path, "r+") as file:
        file["acquisition/movie"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(UnsafeFileError, match="/etc/passwd"):
        read(path)


def test_files_that_are_nwb_in_name_only(tmp_path: Path, make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
    with pytest.raises(FileFormatError, match="cannot be read as NWB"):
        read(tmp_path / "a.nwb")
    with pytest.raises(FileFormatError, match="no RoiResponseSeries"):
        read(make_nwb({}))


def test_a_big_file_is_not_loaded(make_nwb: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((4000, 6), np.float32)
    values[:, 5] = np.arange(4000)
    path = make_nwb({"DfOverF/dff": values})
    monkeypatch.setattr("antidrome.recordings.lazy.BLOCK_BYTES", 2 * 4000 * 4)
    recording = read(path)
    assert recording.chunks == ((4000,), (2, 2, 2)), "whole traces, two neurons a block"
    taken: list[tuple[slice, ...]] = []
    original = h5py.Dataset.__getitem__

    def spy(dataset: h5py.Dataset, key: tuple[slice, ...], *more: object) -> np.ndarray:
        taken.append(key)
        return original(dataset, key, *more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    assert recording[10, 5].compute() == 10
    assert len(taken) == 1, "one block is read for one neuron"


def test_no_roi_at_all(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"DfOverF/dff": traces[:, :0]}, n_rois=0)
    with pytest.raises(FileFormatError, match=r"session\.nwb") as refused:
        read(path)
    assert len(str(refused.value)) < len(str(path)) + 450, "pynwb prints the whole file"


@pytest.mark.parametrize(
    ("name", "unit", "units"),
    [("dff", "n.a.", "1"), ("DfOverF", "a.u.", "1"), ("plane0", "dF/F", "1"), ("plane0", "ΔF/F0", "1"),
     ("plane0", "deltaF_F", "1"), ("plane0", "∆F/F (%)", "percent"), ("plane0", "%", "percent")],
)  # fmt: skip
def test_dff_in_a_fluorescence_container_is_dff_and_noted(
    make_nwb: Callable[..., Path], traces: np.ndarray, name: str, unit: str, units: str
) -> None:
    path = make_nwb({f"Fluorescence/{name}": traces, "Fluorescence/Neuropil": traces}, unit=unit)
    recording, neuropil = read_with_neuropil(path)
    assert (recording.attrs["quantity"], recording.attrs["units"]) == ("dff", units)
    assert "taken for ΔF/F, as the name" in recording.attrs["notes"][0]
    assert neuropil is None
    assert read(path, quantity="fluorescence").attrs["units"] == "a.u."


@pytest.mark.parametrize("unit", ["lumens", "n.a.", "a.u.", "F", "counts"])
def test_units_of_fluorescence_are_arbitrary(make_nwb: Callable[..., Path], traces: np.ndarray, unit: str) -> None:
    attrs = read(make_nwb({"Fluorescence/plane0": traces}, unit=unit)).attrs
    assert (attrs["quantity"], attrs["units"], attrs["notes"]) == ("fluorescence", "a.u.", [])


@pytest.mark.parametrize("name", ["corrected_F_filtered", "demixed ff", "mod_F_F0", "dF_filtered"])
def test_a_name_whose_words_only_meet_in_dff_says_nothing(
    make_nwb: Callable[..., Path], traces: np.ndarray, name: str
) -> None:
    assert read(make_nwb({f"Fluorescence/{name}": traces}, unit="lumens")).attrs["quantity"] == "fluorescence"


def test_units_of_dff_that_nobody_knows_are_noted(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    attrs = read(make_nwb({"DfOverF/plane0": traces}, unit="lumens")).attrs
    assert attrs["units"] == "unknown"
    assert "units 'lumens' are not known" in attrs["notes"][0]


@pytest.mark.parametrize(("conversion", "offset"), [(0.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_a_conversion_that_is_none_is_noted_and_not_applied(
    make_nwb: Callable[..., Path], traces: np.ndarray, conversion: float, offset: float
) -> None:
    recording = read(make_nwb({"DfOverF/dff": traces}, conversion=conversion, offset=offset))
    assert np.array_equal(recording.values, traces)
    assert "are none and are not applied" in recording.attrs["notes"][0]


def test_a_region_that_names_a_row_twice_is_refused(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(FileFormatError, match="names row 2 of its ROI table for several ROIs"):
        read(make_nwb({"DfOverF/dff": traces[:, :3]}, region=[0, 2, 2]))
