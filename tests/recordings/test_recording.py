"""The Recording contract: what is accepted, what it becomes, and what is refused with which words."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from antidrome.errors import InputError
from antidrome.pipeline.config import ReadingConfig
from antidrome.pipeline.sessions import as_dff
from antidrome.recordings import as_recording, check, from_array, noise_level
from antidrome.spikes.opening import open_recording


def test_frames_are_dated_by_their_centres() -> None:
    recording = from_array(np.zeros((3, 1)), 10.0)
    assert recording["time"].values == pytest.approx([0.05, 0.15, 0.25])
    assert recording.attrs["frame_rate_hz"] == 10.0


def test_attributes_and_name_follow_the_quantity() -> None:
    recording = from_array(np.zeros((3, 2)), 10.0, quantity="dff")
    assert (recording.name, recording.attrs["units"], recording.attrs["source_format"]) == ("dff", "1", "array")
    assert from_array(np.zeros((3, 2)), 10.0, quantity="fluorescence").attrs["units"] == "a.u."


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int16", "f4"), ("uint8", "f4"), (">i2", "f4"), ("int32", "f8"), ("int64", "f8"), ("float16", "f4"),
     ("float32", "f4"), (">f4", "f4"), (">f8", "f8"), ("float64", "f8"), ("longdouble", "f8")],
)  # fmt: skip
def test_every_real_type_becomes_a_native_float(dtype: str, expected: str) -> None:
    values = np.array([[1, 2], [3, 4], [5, 32000 if dtype != "uint8" else 200]]).astype(dtype)
    recording = from_array(values, 10.0)
    assert recording.dtype == np.dtype(expected)
    assert recording.dtype.isnative
    assert np.array_equal(recording.values, values.astype("f8"))


@pytest.mark.parametrize("dtype", ["complex64", "bool", "U3", "object", "datetime64[s]"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(InputError, match="expected real numbers"):
        from_array(np.zeros((3, 2)).astype(dtype), 10.0)


def test_memory_layout_does_not_matter(traces: np.ndarray) -> None:
    for values in (np.asfortranarray(traces), traces[:, ::-1][:, ::-1], np.repeat(traces, 2, axis=0)[::2]):
        assert np.array_equal(from_array(values, 30.0).values, traces)


def test_orientation_is_obeyed(traces: np.ndarray) -> None:
    assert np.array_equal(from_array(traces.T, 30.0, orientation="neuron,time").values, traces)


def test_one_neuron_and_one_frame_are_recordings() -> None:
    assert from_array(np.zeros(5), 10.0).shape == (5, 1)
    assert from_array(np.zeros((1, 4)), 10.0).shape == (1, 4)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_recordings_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="empty"):
        from_array(np.zeros(shape), 10.0)


def test_three_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="two dimensions"):
        from_array(np.zeros((3, 2, 2)), 10.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(rate: float) -> None:
    with pytest.raises(InputError, match="frame_rate_hz"):
        from_array(np.zeros((3, 2)), rate)


def test_neither_rate_nor_times_is_refused() -> None:
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        from_array(np.zeros((3, 2)))


def test_irregular_times_are_kept_and_give_the_rate_of_the_line_through_them(rng: np.random.Generator) -> None:
    time = np.cumsum(rng.uniform(0.09, 0.11, 101))
    recording = from_array(np.zeros((101, 2)), time=time)
    assert np.array_equal(recording["time"].values, time)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(1 / np.polyfit(np.arange(101), time, 1)[0])


def test_a_rate_against_the_times_is_refused() -> None:
    with pytest.raises(InputError, match="run at 10 Hz"):
        from_array(np.zeros((11, 2)), 20.0, time=np.arange(11) / 10)


@pytest.mark.parametrize(
    ("times", "words"),
    [([0, 1, np.nan, 3], "first: frame 2"), ([0, 2, 1, 3], "backwards 1 times"), ([0, 1, 2], "3 times for 4 frames")],
)
def test_bad_times_are_named(times: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_array(np.zeros((4, 2)), time=times)


def test_repeated_times_are_counted_then_refused_by_computations() -> None:
    recording = from_array(np.zeros((4, 2)), time=[0.0, 1.0, 1.0, 2.0])
    assert "1 times repeat" in recording.attrs["notes"][0]
    with pytest.raises(InputError, match="first: frame 2"):
        as_recording(recording)


def test_labels_must_be_unique_and_fit() -> None:
    with pytest.raises(InputError, match="'a'"):
        from_array(np.zeros((4, 3)), 10.0, neuron=["a", "b", "a"])
    with pytest.raises(InputError, match="orientation='neuron,time'"):
        from_array(np.zeros((4, 3)), 10.0, neuron=list("abcd"))
    assert list(from_array(np.zeros((4, 2)), 10.0, neuron=[7, b"x"])["neuron"].values) == ["7", "x"]


def test_times_of_the_other_axis_hint_at_the_orientation() -> None:
    with pytest.raises(InputError, match="orientation='neuron,time'"):
        from_array(np.zeros((4, 3)), time=[0, 1, 2])


def test_nan_stays_and_infinity_is_counted(traces: np.ndarray) -> None:
    traces[3, 2] = np.nan
    traces[5, 1] = -np.inf
    recording = from_array(traces, 30.0)
    assert np.isnan(recording.values[3, 2])
    assert np.isnan(recording.values[5, 1])
    assert recording.attrs["notes"] == ["1 infinite sample taken as missing (first: frame 5, neuron 1)"]
    assert np.isinf(traces[5, 1]), "the caller's array is not changed"


def test_dask_stays_lazy() -> None:
    def explode(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    lazy = da.ones((100, 4), chunks=(100, 2), dtype="i2").map_blocks(explode, dtype="i2", meta=np.empty((0, 0), "i2"))
    recording = as_recording(from_array(lazy, 10.0))
    assert recording.chunks == ((100,), (2, 2))
    assert recording.dtype == np.float32


def test_as_recording_transposes_and_renames(traces: np.ndarray) -> None:
    frames = np.arange(len(traces))
    array = xr.DataArray(traces.T, dims=("roi", "frame"), coords={"frame": frames, "time": ("frame", frames / 20.0)})
    recording = as_recording(array)
    assert recording.dims == ("time", "neuron")
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
    assert len(recording.attrs["notes"]) == 2
    assert np.array_equal(recording.values, traces)


def test_frame_numbers_are_not_times(traces: np.ndarray) -> None:
    array = xr.DataArray(traces, dims=("frame", "cell"), coords={"frame": np.arange(len(traces))})
    assert as_recording(array, 50.0)["time"].values[0] == pytest.approx(0.01)


def test_as_recording_keeps_everything_of_a_recording(traces: np.ndarray) -> None:
    recording = from_array(
        traces, 30.0, quantity="dff", coords={"plane": np.arange(6)}, attrs={"session_id": "s"}, notes=["n"]
    )
    xr.testing.assert_identical(as_recording(recording), recording)


def test_milliseconds_and_dates_become_seconds(traces: np.ndarray) -> None:
    array = xr.DataArray(traces, dims=("time", "neuron"))
    in_ms = array.assign_coords(time=("time", np.arange(len(traces)) * 100.0, {"units": "ms"}))
    assert as_recording(in_ms).attrs["frame_rate_hz"] == pytest.approx(10.0)
    dates = np.datetime64("2024-01-01", "ns") + np.arange(len(traces)) * np.timedelta64(100, "ms")
    assert as_recording(array.assign_coords(time=dates))["time"].values[10] == pytest.approx(1.0)
    with pytest.raises(InputError, match="'fortnights'"):
        as_recording(array.assign_coords(time=("time", np.arange(len(traces)), {"units": "fortnights"})))


def test_what_is_no_recording_is_refused(traces: np.ndarray) -> None:
    with pytest.raises(InputError, match="pick the trace"):
        as_recording(xr.Dataset({"dff": (("time", "neuron"), traces)}))
    with pytest.raises(InputError, match="expected \\('time', 'neuron'\\)"):
        as_recording(xr.DataArray(traces, dims=("x", "y")), 10.0)
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        as_recording(traces)
    with pytest.raises(InputError, match="quantity = 'volts'"):
        from_array(traces, 10.0, quantity="volts")


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    ),
    st.floats(0.01, 1000),
)
def test_any_array_becomes_a_valid_recording_unchanged(values: np.ndarray, rate: float) -> None:
    recording = from_array(values, rate)
    finite = np.isfinite(values)
    assert np.array_equal(recording.values[finite], values[finite])
    assert np.isnan(recording.values[~finite]).all()
    assert (np.diff(recording["time"].values) > 0).all()
    xr.testing.assert_identical(as_recording(recording), recording)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(("value", "said"), [("a.npz", "got the path 'a.npz'"), ([1, 2], "got a list")])
def test_what_is_no_array_is_refused_in_words(value: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(value)


@pytest.mark.parametrize("units", ["%", "percent", "Percent", " per cent ", "percent dF/F", "ΔF/F (%)"])
def test_percent_is_percent_however_it_is_spelled(traces: np.ndarray, units: str) -> None:
    recording = from_array(traces, 30.0, quantity="dff", units=units)
    assert (recording.attrs["units"], recording.attrs["notes"]) == ("percent", [])
    plain = xr.DataArray(
        traces, dims=("time", "neuron"), attrs={"units": units, "quantity": "dff", "frame_rate_hz": 30.0}
    )
    fraction = plain.copy(data=traces / 100).assign_attrs(units="1")
    np.testing.assert_allclose(noise_level(plain), noise_level(fraction), rtol=1e-5)
    np.testing.assert_allclose(as_dff(plain, None, ReadingConfig()), traces / 100)
    np.testing.assert_allclose(open_recording(plain, None).recording, traces / 100)


def test_units_that_nobody_knows_are_noted(traces: np.ndarray) -> None:
    recording = from_array(traces, 30.0, quantity="dff", units="furlongs")
    assert recording.attrs["units"] == "unknown"
    assert "'furlongs' are not known" in recording.attrs["notes"][0]
    assert from_array(traces, 30.0, quantity="dff", units="n.a.").attrs["units"] == "1"
    assert from_array(traces, 30.0, quantity="fluorescence", units="counts").attrs["units"] == "a.u."


@pytest.mark.parametrize(
    ("units", "per_second"),
    [("s", 1), ("ms", 1e3), ("us", 1e6), ("µs", 1e6), ("Microseconds", 1e6), ("nanoseconds", 1e9), ("minutes", 1 / 60),
     ("h", 1 / 3600), ("days", 1 / 86400)],
)  # fmt: skip
def test_times_in_every_usual_unit(traces: np.ndarray, units: str, per_second: float) -> None:
    time = ("time", np.arange(len(traces)) / 20 * per_second, {"units": units})
    recording = as_recording(xr.DataArray(traces, dims=("time", "neuron"), coords={"time": time}))
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT, np.float32("nan")])
def test_a_missing_label_names_no_neuron(missing) -> None:
    with pytest.raises(InputError, match=r"1 of 2 neuron labels are missing \(first: column 1\)"):
        from_array(np.zeros((60, 2)), 20.0, neuron=np.array(["a", missing], dtype=object))


def test_times_given_as_dates_or_with_a_unit_are_seconds() -> None:
    values, time = np.zeros((60, 1)), np.arange(60) / 20
    durations = (time * 1e9).round().astype("timedelta64[ns]")
    in_ms = xr.DataArray(time * 1e3, dims="time", attrs={"units": "ms"})
    for given_time in (in_ms, durations, np.datetime64("2024-05-01", "ns") + durations):
        recording = from_array(values, time=given_time)
        np.testing.assert_allclose(recording["time"].values, time)
        assert recording.attrs["frame_rate_hz"] == pytest.approx(20)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([[1.0, 2.0], [3.0]], "is a list that cannot be made an array"),
        (scipy.sparse.csr_matrix(np.eye(5)), "sparse matrix, expected a dense array"),
        (xr.DataArray(np.zeros((2, 9, 3)), dims=("trial", "time", "neuron")), "choose one place along every other"),
    ],
)
def test_what_is_no_array_of_frames_and_neurons_is_refused_with_advice(values, match) -> None:
    with pytest.raises(InputError, match=match):
        as_recording(values, 30.0)


def test_one_note_may_be_given_as_a_sentence() -> None:
    assert from_array(np.zeros((3, 1)), 10.0, notes="Cut by hand.").attrs["notes"] == ["Cut by hand."]


def test_trials_and_sessions_of_frames_are_kept():
    session = np.repeat(["monday", "tuesday"], 50)
    given = from_array(np.random.default_rng(0).random((100, 2)), 10.0).assign_coords(session=("time", session))
    for same in (given, given.T.rename(time="frame").assign_coords(time=("frame", given["time"].values))):
        np.testing.assert_array_equal(as_recording(same)["session"], session)
        assert as_recording(same)["session"].dims == ("time",)
    mixed = given.assign_coords(stimulus=("time", np.array([*range(99), "none"], object)))
    assert set(as_recording(mixed).coords) == {"time", "neuron", "session"}, "no file holds text and numbers together"
