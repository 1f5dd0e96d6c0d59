"""What users have, in every form, becomes the same population; what cannot be matched is said in a sentence."""

import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.sparse
import xarray as xr
import zarr

from antidrome.dynamics import as_population, overlap_report
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.overlap import share_never_together
from antidrome.dynamics.patterns import split_by_pattern
from antidrome.errors import InputError


@pytest.fixture
def values(rng):
    return rng.standard_normal((20, 4))


def recording(values, labels, rate=10.0, times=None):
    times = (np.arange(len(values)) + 0.5) / rate if times is None else times
    return xr.DataArray(values, dims=("time", "neuron"), coords={"time": times, "neuron": labels})


def test_sessions_are_matched_by_label(values):
    found = as_population({"mon": recording(values, list("abcd")), "tue": recording(values[:, :3], list("dxa"))})
    assert found.labels.tolist() == ["a", "b", "c", "d", "x"]
    assert found.sessions[1].rows.tolist() == [3, 4, 0]
    assert found.frame_rate_hz == pytest.approx(10.0)
    np.testing.assert_allclose(found.mean[1], values[:, 1].mean())
    np.testing.assert_allclose(found.variance[1], values[:, 1].var())
    assert found.find(["x", "a"]).tolist() == [4, 0]
    with pytest.raises(InputError, match="No neuron is called 'q'"):
        found.find("q")


@pytest.mark.parametrize("kind", ["memmap", "hdf5", "zarr", "dask", "dask by neuron", "sparse", "float32", "fortran"])
def test_every_storage_gives_the_same_blocks(values, kind, tmp_path):
    values = np.where(np.abs(values) > 0.5, values, 0.0)
    if kind == "memmap":
        np.save(tmp_path / "a.npy", values)
        stored = np.load(tmp_path / "a.npy", mmap_mode="r")
    elif kind == "hdf5":
        file = h5py.File(tmp_path / "a.h5", "w")
        stored = file.create_dataset("a", data=values)
    elif kind == "zarr":
        stored = zarr.create_array(str(tmp_path / "a.zarr"), data=values)
    elif kind.startswith("dask"):
        stored = da.from_array(values, chunks=(20, 2) if "neuron" in kind else (7, 3))
    elif kind == "sparse":
        stored = scipy.sparse.csr_array(values)
    else:
        stored = values.astype(np.float32) if kind == "float32" else np.asfortranarray(values)
    session = as_population({"a": stored}).sessions[0]
    data, loadings = SessionData(session, np.full(4, 2.0)), np.arange(8.0).reshape(4, 2)
    expected = 2 * (values - values.mean(axis=0))
    np.testing.assert_allclose(session.variance, values.var(axis=0), rtol=1e-5)
    np.testing.assert_allclose(data.project(loadings), expected @ loadings, atol=1e-5)
    np.testing.assert_allclose(data.back_project(expected[:, :2]), expected.T @ expected[:, :2], atol=1e-4)


def test_one_matrix_with_session_ids(values):
    matrix = np.full((20, 6), np.nan)
    matrix[:12, :4], matrix[12:, 2:] = values[:12], values[12:]
    found = as_population(matrix, sessions=np.repeat(["u", "v"], [12, 8]))
    assert [(s.name, s.rows.tolist(), s.is_complete) for s in found.sessions] == [
        ("u", [0, 1, 2, 3], True),
        ("v", [2, 3, 4, 5], True),
    ]
    back = as_population(values, sessions=np.repeat([1, 2, 1], [5, 5, 10]))
    assert back.sessions[0].segment.tolist() == [0] * 5 + [1] * 10


@pytest.mark.parametrize("unit", ["D", "us", "ns"])
def test_session_ids_may_be_days(values, unit):
    days = np.repeat(np.array(["2024-05-01", "2024-05-02"], dtype=f"M8[{unit}]"), [12, 8])
    found = as_population(values, sessions=days)
    assert [(s.name[:10], s.n_frames) for s in found.sessions] == [("2024-05-01", 12), ("2024-05-02", 8)]
    if unit == "ns":
        apart = as_population(values, sessions=days + np.repeat([1, 2], [12, 8]).astype("m8[ns]"))
        assert [(s.name[-9:], s.n_frames) for s in apart.sessions] == [("000000001", 12), ("000000002", 8)]


def test_session_ids_that_are_none_or_equal_as_text_are_refused(values):
    with pytest.raises(InputError, match=r"no id for frame 12 \(8 of 20 frames"):
        as_population(values, sessions=np.repeat(np.array(["a", None], dtype=object), [12, 8]))
    with pytest.raises(InputError, match="must differ as text"):
        as_population(values, sessions=np.repeat(np.array([1, "1"], dtype=object), [12, 8]))


@pytest.mark.parametrize("ends_s", [0.3, 0.6, 1.3, -4.0])
def test_steps_between_trials_say_nothing_of_the_frame_rate(ends_s):
    """Bins of 1 s of which the last of a trial is cut short, pauses of any length, clocks that start again."""
    number = np.repeat(np.arange(30), [3, 2, 1] * 10)
    time = np.cumsum(np.r_[0.5, np.where(np.diff(number), ends_s, 1.0)])
    values = np.random.default_rng(0).normal(size=(60, 4))
    stated = xr.DataArray(values, {"time": time, "trial": ("time", number)}, ("time", "neuron"))
    for recording in (stated, stated.assign_attrs(frame_rate_hz=1.0)):
        population = as_population(recording)
        assert population.frame_rate_hz == pytest.approx(1.0)
        assert population.sessions[0].segment.tolist() == number.tolist()
    with pytest.raises(InputError, match=r"states 1\.1 Hz, but its times run at 1 Hz"):
        as_population(stated.assign_attrs(frame_rate_hz=1.1))


def test_gaps_trials_and_segments_interrupt(values):
    times = np.arange(20) / 10.0
    times[8:] += 5.0
    assert np.bincount(as_population(recording(values, list("abcd"), times=times)).sessions[0].segment).tolist() == [
        8,
        12,
    ]
    trials = recording(values, list("abcd")).assign_coords(trial=("time", np.repeat([1, 2], 10)))
    assert np.bincount(as_population(trials).sessions[0].segment).tolist() == [10, 10]
    for told in ([1.0, np.nan, 2.0], np.array(["a", None, "b"], dtype=object)):
        between = trials.assign_coords(trial=("time", np.repeat(told, [8, 7, 5])))
        assert np.bincount(as_population(between).sessions[0].segment).tolist() == [8, 7, 5]
    given = as_population({"s": values}, segments={"s": [(0, 5), (10, 20)]}).sessions[0]
    assert given.segment.tolist() == [0] * 5 + [-1] * 5 + [1] * 10
    np.testing.assert_allclose(given.mean, values[[*range(5), *range(10, 20)]].mean(axis=0))
    with pytest.raises(InputError, match="overlaps"):
        as_population({"s": values}, segments={"s": [(0, 5), (4, 9)]})
    with pytest.raises(InputError, match="names the session 'q'"):
        as_population({"s": values}, segments={"q": [(0, 5)]})


def test_missing_constant_and_infinite_entries_are_counted(values):
    values[3, 0] = np.inf
    values[:, 1] = 7.0
    values[:, 2] = np.nan
    found = as_population({"s": values})
    assert found.labels.tolist() == ["0", "3"]
    assert any("1 infinite" in note for note in found.notes)
    assert any("1 neuron is left out, without variation" in note for note in found.notes)
    assert not found.sessions[0].is_complete


@pytest.mark.parametrize("container", [np.asarray, lambda x: da.from_array(x, (300, 2)), scipy.sparse.csr_array])
def test_a_constant_neuron_is_known_by_its_values(rng, container):
    """The mean of a number that is not round is not quite it, so that a variance about it is not quite 0."""
    values = rng.standard_normal((1000, 4))
    values[:, 1], values[:, 2], values[5:, 3] = 0.1, 1e5 / 3, 0.1
    values[:5, 3] = 0.1 + 1e-7
    found = as_population({"s": container(values)})
    assert found.labels.tolist() == ["0", "3"]
    assert found.notes == ("Session 's': 2 neurons are left out, without variation: '1', '2'.",)


def test_several_events_of_one_place_are_their_sum(rng):
    counts = rng.poisson(0.8, (300, 4))
    neuron = np.repeat(np.argwhere(counts)[:, 1], counts[counts > 0])
    begins = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    spikes = scipy.sparse.csr_array((np.ones(len(neuron)), neuron, begins), shape=counts.shape)
    found = as_population(spikes).sessions[0]
    np.testing.assert_allclose(found.variance, counts.var(axis=0))
    assert found.values.nnz == np.count_nonzero(counts)
    assert spikes.nnz == counts.sum()


def test_patterns_of_missing_neurons_become_parts(values):
    values[:10, 0] = np.nan
    values[10:, 3] = np.nan
    values[4] = np.nan
    parts = split_by_pattern(as_population({"s": values})).sessions
    assert [part.rows.tolist() for part in parts] == [[0, 1, 2], [1, 2, 3]] or [p.rows.tolist() for p in parts] == [
        [1, 2, 3],
        [0, 1, 2],
    ]
    assert sum(part.n_used for part in parts) == 19
    assert all(part.is_complete for part in parts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "No recording"),
        ({"a": np.zeros((5, 2)), "b": np.zeros((5, 3))}, "no neuron labels"),
        ({"a": np.zeros((5, 0))}, "none of them 0"),
        ({"a": np.array([["x", "y"]])}, "real numbers"),
        ({"a": np.zeros((5, 2))}, "No session has two"),
        ({"a": (np.zeros((5, 2)), ["n", "n"])}, "must be unique"),
        ({"a": (np.zeros((5, 2)), ["n"])}, "1 neuron label"),
    ],
)
def test_what_cannot_be_used_is_said(given, message):
    with pytest.raises(InputError, match=message):
        as_population(given)


def test_frames_without_a_session_and_neurons_out_of_range(values):
    with pytest.raises(InputError, match=r"no id for frame 3 \(2 of 20 frames"):
        as_population(values, sessions=np.where(np.isin(np.arange(20), (3, 7)), np.nan, 1.0))
    n_neurons = values.shape[1]
    with pytest.raises(InputError, match=f"Neuron {n_neurons} is out of range"):
        as_population(values).find([-n_neurons, n_neurons])


def test_sessions_of_other_frame_rates_are_refused(values):
    with pytest.raises(InputError, match="10 to 20 Hz"):
        as_population({"a": recording(values, list("abcd")), "b": recording(values, list("abcd"), rate=20.0)})


def test_overlap_report_warns_where_only_dynamics_link(rng):
    a, b, c = (rng.standard_normal((9, 5)) for _ in range(3))
    report = overlap_report({"a": (a, range(5)), "b": (b, range(2, 7)), "c": (c, range(6, 11))}, n_components=3)
    assert report.shared.tolist() == [[5, 3, 0], [3, 5, 1], [0, 1, 5]]
    assert report.component.tolist() == [0, 0, 1]
    assert "c and b share 1 neuron, fewer than the 3" in report.warnings[0]
    observed = np.zeros((3, 11), bool)
    for k in range(3):
        observed[k, [range(5), range(2, 7), range(6, 11)][k]] = True
    never = ~(observed.T.astype(int) @ observed.astype(int) > 0)
    expected = never[np.triu_indices(11, 1)].mean()
    assert report.share_never_together == pytest.approx(expected)
    assert share_never_together(observed) == pytest.approx(expected)
    assert report.to_dict()["shared"][1] == [3, 5, 1]
