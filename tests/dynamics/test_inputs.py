"""Odd inputs: a right answer, or one clear sentence."""

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
import zarr

import antidrome as ad
from antidrome.dynamics import as_population, simulate
from antidrome.errors import InputError

QUICK = {"shrinkage": 0.0, "coupling": np.inf, "zero_lag": "never", "private_noise": "white"}
QUICK |= {"n_starts": 1, "max_iterations": 15, "seed": 0}


@pytest.fixture(scope="module")
def truth():
    return simulate(16, 2, 160, seed=6)


@pytest.fixture(scope="module")
def parts(truth):
    return {"a": (truth.activity[:80, :10], range(10)), "b": (truth.activity[80:, 6:], range(6, 16))}


def fit(recordings, n=2, **given):
    settings = {key: value for key, value in given.items() if key in ad.StitchedLDS().get_params()}
    rest = {key: value for key, value in given.items() if key not in settings}
    return ad.StitchedLDS(n, **{**QUICK, **settings}).fit(recordings, progress=False, **rest)


def test_sessions_without_shared_neurons_are_warned_of(truth):
    apart = {"a": (truth.activity[:80, :8], range(8)), "b": (truth.activity[80:, 8:], range(8, 16))}
    model = fit(apart)
    assert model.overlap_.n_groups == 2
    assert any("share 0 neurons" in note for note in model.notes_)
    assert np.isfinite(model.predict_correlation(np.arange(16)).values).all()


def test_a_constant_neuron_is_left_out_and_named(parts):
    values, labels = parts["a"]
    constant = values.copy()
    constant[:, 3] = 7.0
    model = fit({**parts, "a": (constant, labels)})
    assert any("1 neuron is left out, without variation" in note and "3" in note for note in model.notes_)
    assert "3" not in model.neurons_


def test_a_column_of_nan_is_a_neuron_that_was_not_seen(parts):
    values, labels = parts["a"]
    holes = values.copy()
    holes[:, 7] = np.nan
    model, without = (
        fit({**parts, "a": (holes, labels)}),
        fit({**parts, "a": (np.delete(values, 7, axis=1), np.delete(labels, 7))}),
    )
    names = [str(i) for i in range(16)]
    found, expected = (one.predict_covariance(names).values for one in (model, without))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_infinite_entries_are_counted(parts):
    values, labels = parts["a"]
    infinite = values.copy()
    infinite[4, 2] = np.inf
    model = fit({**parts, "a": (infinite, labels)})
    assert any("1 infinite" in note for note in model.notes_)


@pytest.mark.parametrize("kind", ["int", "uint8", "float16", "big endian", "bool", "readonly", "fortran"])
def test_number_types(kind, truth):
    scaled = np.round(20 * truth.activity[:, :10] + 100)
    made = {
        "int": scaled.astype(np.int64),
        "uint8": np.clip(scaled, 0, 255).astype(np.uint8),
        "float16": truth.activity[:, :10].astype(np.float16),
        "big endian": truth.activity[:, :10].astype(">f4"),
        "bool": truth.activity[:, :10] > truth.activity[:, :10].mean(axis=0),
        "readonly": truth.activity[:, :10].copy(),
        "fortran": np.asfortranarray(truth.activity[:, :10]),
    }[kind]
    made.setflags(write=kind != "readonly")
    found = fit(made).predict_correlation(np.arange(10)).values
    expected = fit(made.astype(np.float64)).predict_correlation(np.arange(10)).values
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_other_containers_hold_the_same_data(truth, parts, tmp_path):
    expected = fit(parts).predict_covariance(np.arange(16)).values

    def hdf5(values):
        file = h5py.File(tmp_path / f"{values[0, 0]}.h5", "w")
        return file.create_dataset("x", data=values)

    def on_zarr(values):
        return zarr.create_array(str(tmp_path / f"{values[0, 0]}.zarr"), data=values, chunks=(20, 4))

    def lazily(values):
        return xr.DataArray(da.from_array(values, (33, 3)), dims=("time", "neuron"))

    for make in (hdf5, on_zarr, lambda x: da.from_array(x, (17, 4)), scipy.sparse.csr_array, lazily):
        made = {}
        for name, (values, labels) in parts.items():
            stored = make(values)
            if isinstance(stored, xr.DataArray):
                made[name] = stored.assign_coords(neuron=[str(i) for i in labels])
            else:
                made[name] = (stored, labels)
        np.testing.assert_allclose(fit(made).predict_covariance(np.arange(16)).values, expected, rtol=1e-6, atol=1e-9)


def test_data_frames_carry_their_labels(truth, parts):
    frames = {name: pd.DataFrame(values, columns=list(labels)) for name, (values, labels) in parts.items()}
    expected = fit(parts).predict_covariance(np.arange(16)).values
    np.testing.assert_allclose(fit(frames).predict_covariance(np.arange(16)).values, expected)


def test_times_and_trials_of_data_frames_are_heeded(truth):
    time = np.arange(160) / 20 + np.where(np.arange(160) >= 100, 3.0, 0.0)
    frame = pd.DataFrame(truth.activity, index=time)
    dates = pd.Timestamp("2024-05-01", tz="Europe/Berlin") + pd.to_timedelta(time, unit="s")
    trials = pd.MultiIndex.from_arrays([np.arange(160) // 40, np.arange(160) % 40 / 20], names=("trial", "time"))
    for index, n_stretches in ((time, 2), (pd.to_timedelta(time, unit="s"), 2), (dates, 2), (trials, 4)):
        population = as_population(frame.set_axis(index))
        assert population.frame_rate_hz == pytest.approx(20)
        assert population.sessions[0].segment.max() + 1 == n_stretches
    sessions = pd.MultiIndex.from_arrays([np.repeat(["b", "a"], 80), np.arange(160)], names=("session", "frame"))
    assert [session.name for session in as_population(frame.set_axis(sessions)).sessions] == ["b", "a"]
    halves = {"a": frame.iloc[:80, :10], "b": frame.iloc[80:, 6:]}
    assert as_population(halves).labels.tolist() == [str(i) for i in range(16)], "parts keep their numbers"
    assert as_population(frame, neuron=[f"n{i}" for i in range(16)]).labels[0] == "n0"
    assert "Nobody named the neurons" in " ".join(as_population({"a": frame[:80], "b": frame[80:]}).notes)


def test_times_in_a_named_unit_and_a_level(truth):
    levels = [np.arange(160) // 40, np.arange(160) % 40 * 50]
    frame = pd.DataFrame(truth.activity, index=pd.MultiIndex.from_arrays(levels, names=("trial", "time_ms")))
    assert as_population(frame).frame_rate_hz == pytest.approx(20)


def timed(truth, time, **attrs):
    return xr.DataArray(truth.activity, dims=("time", "neuron"), coords={"time": time}, attrs=attrs)


def test_frames_out_of_order_are_refused_and_clocks_that_start_again_are_not(truth, rng):
    time = np.arange(160) / 20
    for order in (np.arange(160)[::-1], rng.permutation(160)):
        with pytest.raises(InputError, match=r"time runs backwards in \d+ of 159 steps .*: sort the frames"):
            as_population({"a": timed(truth, time)[order]})
    assert as_population(timed(truth, np.tile(time[:40], 4))).sessions[0].segment.max() == 3
    trials = timed(truth, np.tile(time[:2], 80)).assign_coords(trial=("time", np.arange(160) // 2))
    assert as_population(trials).sessions[0].segment.max() == 79


def test_rates_that_contradict_the_times_are_refused(truth):
    time = np.arange(160) / 20
    with pytest.raises(InputError, match=r"Session 'a' states 20 Hz, but its times run at 0\.02 Hz"):
        as_population({"a": timed(truth, 1e3 * time, frame_rate_hz=20.0)})
    with pytest.raises(InputError, match=r"The sessions run at 10 to 20 Hz"):
        as_population({"a": timed(truth, time, frame_rate_hz=20.0), "b": timed(truth, 2 * time)})


def test_an_index_or_a_column_of_trials_is_not_overlooked(truth):
    frame, number = pd.DataFrame(truth.activity).add_prefix("n"), np.arange(160) // 40
    for trial in (number, number.astype(float), number.astype(str)):
        population = as_population(frame.set_axis(pd.Index(trial, name="trial")))
        assert population.sessions[0].segment.max() + 1 == 4
    assert len(as_population(frame.set_axis(pd.Index(number, name="session"))).sessions) == 4
    for name, n_sessions in (("trial", 1), ("session", 4), ("Session", 4), ("trial_id", 1)):
        with pytest.raises(InputError, match=rf"set_index\('{name}', append=True\)"):
            as_population(frame.assign(**{name: number}))
        advised = as_population(frame.assign(**{name: number}).set_index(name, append=True))
        assert (len(advised.sessions), n_sessions * (advised.sessions[0].segment.max() + 1)) == (n_sessions, 4)
    with pytest.raises(InputError, match="MultiIndex of 'block', 'step'"):
        as_population(frame.set_axis(pd.MultiIndex.from_product([range(4), range(40)], names=["block", "step"])))


def test_levels_of_an_index_that_nobody_understands_are_told(truth):
    timed = pd.DataFrame(truth.activity, index=pd.Index(np.arange(160) / 20, name="time"))
    days = {"mon": timed[:80], "tue": timed[80:]}
    assert "is not heeded (one without a name)" in " ".join(as_population(pd.concat(days)).notes)
    assert "is not heeded ('mouse')" in " ".join(as_population(pd.concat(days, names=["mouse"])).notes)
    assert "not heeded" not in " ".join(as_population(pd.concat(days, names=["session"])).notes)
    advised = timed.reset_index().set_index("time", append=True)
    assert "not heeded" not in " ".join(as_population(advised).notes)


def test_frames_whose_times_stand_still_are_no_neighbours(truth):
    still = pd.DataFrame(truth.activity, index=np.zeros(160))
    with pytest.raises(InputError, match="No session has two neighbouring frames"):
        as_population(still)
    notes = " ".join(as_population({"a": truth.activity, "b": still}).notes)
    assert "Session 'b' has no two neighbouring frames and is left out" in notes


def test_stacked_trials(truth):
    trials = xr.DataArray(truth.activity.reshape(4, 40, 16), dims=("trial", "time", "neuron"))
    trials = trials.assign_coords(trial=np.arange(4), time=np.arange(40) / 20)
    by_frame, by_time = trials.stack(frame=("trial", "time")), trials.rename(time="t").stack(time=("trial", "t"))
    for given in (by_frame, by_frame.reset_index("frame"), by_time, by_time.reset_index("time")):
        population = as_population(given)
        assert population.sessions[0].segment.max() + 1 == 4
        assert population.frame_rate_hz in (None, pytest.approx(20))
    assert as_population(by_time).frame_rate_hz == pytest.approx(20)
    assert as_population(trials.rename(time="t").stack(frame=("trial", "t"))).sessions[0].segment.max() + 1 == 4
    with pytest.raises(InputError, match="is a MultiIndex of 'trial', 't'"):
        ad.recordings.as_recording(by_time, 20.0)


def test_paths_are_read(parts, tmp_path):
    made = {}
    for name, (values, labels) in parts.items():
        array = xr.DataArray(
            values,
            dims=("time", "neuron"),
            coords={"time": (np.arange(80) + 0.5) / 10, "neuron": [str(i) for i in labels]},
            name="dff",
            attrs={"frame_rate_hz": 10.0},
        )
        ad.write(array, tmp_path / f"{name}.zarr", format="zarr")
        made[name] = tmp_path / f"{name}.zarr"
    expected = fit(parts, frame_rate_hz=10.0).predict_covariance(np.arange(16)).values
    np.testing.assert_allclose(fit(made).predict_covariance(np.arange(16)).values, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x[:, :1], "1 neuron; correlations need"),
        (lambda x: x[:1], "No session has two neighbouring frames"),
        (lambda x: xr.Dataset({"dff": (("time", "neuron"), x)}), "is a Dataset with variables 'dff': pick one"),
        (lambda x: x[:, 0], r"shape \(160,\)"),
        (lambda x: np.full((50, 4), np.nan), "No session has two neighbouring frames"),
        (lambda x: x.astype(complex), "real numbers"),
        (lambda x: x.astype(str), "real numbers"),
        (lambda x: {"a": (x, ["n"] * 16)}, "must be unique"),
        (lambda x: {"a": x[:, :3], "b": x[:, :4]}, "no neuron labels"),
        (lambda x: None, "expected"),
        (lambda x: [], "No recording"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_a_sentence(truth, make, message):
    with pytest.raises(InputError, match=message):
        fit(make(truth.activity))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": None}, "n_components = None, expected 'auto' or a finite number of at least 1"),
        ({"shrinkage": None}, "shrinkage = None"),
        ({"shrinkage": np.inf}, "shrinkage = inf, expected 'auto' or a finite number"),
        ({"coupling": None}, "coupling = None"),
        ({"lags": 4}, r"lags = 4, expected several whole numbers of frames, for example lags=range\(6\)"),
        ({"lags": "abc"}, "lags = 'abc'"),
        ({"lags": [0, 1.5]}, "lags = "),
        ({"lags": [0, np.nan]}, "lags = "),
        ({"lags": [0, 1], "lag_weights": ["x", 1]}, "lag_weights = "),
        ({"n": "auto", "orders": 3}, "orders = 3, expected different whole numbers"),
        ({"n": "auto", "orders": "abc"}, "orders = 'abc'"),
        ({"sketch_rank": "x"}, "sketch_rank = 'x', expected a whole number of columns"),
        ({"tolerance": "x"}, "tolerance = 'x', expected a number"),
        ({"tolerance": -1.0}, "tolerance = -1.0"),
        ({"segments": [(0, 70)]}, "segments is of type list, expected session id"),
        ({"segments": {"a": (0, 70)}}, r"segments of session 'a' are \(0, 70\), expected session id"),
        ({"segments": {"a": 70}}, "segments of session 'a' are 70"),
        ({"segments": {"a": [(0, 70.5)]}}, "segments of session 'a' are"),
    ],
)
def test_settings_of_a_wrong_kind_are_said_in_a_sentence(parts, settings, message):
    with pytest.raises(InputError, match=message):
        fit(parts, **settings)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda model, x: model.forecast(x, 1.5), "n_frames = 1.5, expected a whole number of frames, at least 1"),
        (lambda model, x: model.forecast(x, "x"), "n_frames = 'x'"),
        (lambda model, x: model.sample(1.5), "n_frames = 1.5"),
        (lambda model, x: model.sample(0), "n_frames = 0"),
        (lambda model, x: model.impute(x, neurons=[]), "neurons names no neuron"),
        (lambda model, x: model.align(3), "got 3, expected a fitted StitchedLDS"),
        (lambda model, x: model.co_smoothing(x, n_folds=0), "n_folds = 0, expected a whole number, at least 2"),
        (lambda model, x: model.transform(x["a"][0][:1]), "the least that a fit, or a use of one, can work on"),
    ],
)
def test_uses_of_a_wrong_kind_are_said_in_a_sentence(parts, use, message):
    model = fit(parts, max_iterations=2)
    with pytest.raises(InputError, match=message):
        use(model, parts)


@pytest.mark.parametrize("n_neurons", [1, 2, 3])
def test_few_neurons(truth, n_neurons):
    values = truth.activity[:, :n_neurons]
    if n_neurons == 1:
        with pytest.raises(InputError, match="1 neuron"):
            ad.StitchedLDS("auto").fit(values, progress=False)
        return
    model = ad.StitchedLDS(1, seed=0).fit(values, progress=False)
    assert np.isfinite(model.predict_correlation(np.arange(n_neurons)).values).all()
    assert np.isfinite(model.transform(values)["latent"]).all()


def test_sessions_of_very_different_length(truth):
    made = {"long": (truth.activity[:150, :10], range(10)), "short": (truth.activity[150:153, 6:], range(6, 16))}
    model = fit(made)
    assert np.isfinite(model.predict_covariance(np.arange(16)).values).all()
    assert np.isfinite(model.transform(made)["short"]["latent"]).all()


def test_labels_that_a_table_with_gaps_made_floats_are_the_same_neurons(truth):
    made = {"a": (truth.activity[:80, :10], np.arange(10)), "b": (truth.activity[80:, 6:], np.arange(6.0, 16.0))}
    model = fit(made)
    assert model.neurons_.tolist() == [str(i) for i in range(16)]


@pytest.mark.usefixtures("unchecked_types")
def test_numbers_of_numpy_are_numbers(parts, tmp_path):
    settings = {**QUICK, "orders": np.array([1, 2]), "shrinkage": np.float32(0), "seed": np.int64(3)}
    model = ad.StitchedLDS(np.int64(2), **settings).fit(parts, progress=False, checkpoint=tmp_path / "kept")
    model.save(tmp_path / "fit.safetensors")
    assert ad.StitchedLDS.load(tmp_path / "fit.safetensors").n_components_ == 2


def test_trials_shorter_than_the_default_lags(truth):
    trials = {"0": [(k, k + 4) for k in range(0, 160, 4)]}
    model = fit(truth.activity, segments=trials)
    assert model.lags_ == (0, 1, 2, 3)
    with pytest.raises(InputError, match=r"The largest lag is 4 frames.*the largest that they have is 3"):
        fit(truth.activity, lags=[0, 4], segments=trials)


def test_a_lag_that_no_part_of_a_session_has_follows_the_dynamics():
    """Subpopulations that take turns of 5 frames have no lag of 7, although the session has."""
    truth = simulate(24, 2, 1500, seed=6, eigenvalue_range=(0.8, 0.9))
    matrix, turn = truth.activity.copy(), (np.arange(1500) // 5) % 2
    matrix[turn == 0, 16:] = np.nan
    matrix[turn == 1, :8] = np.nan
    model = fit(matrix, lags=[0, 1, 7], solver="sketch")
    assert any("recorded 7 frames apart" in note for note in model.notes_)
    without = fit(matrix, lags=[0, 1], solver="sketch")
    np.testing.assert_allclose(
        model.dynamics_table()["modulus"], without.dynamics_table()["modulus"], atol=0.02
    )  # zeros at lag 7 would have pulled them down
    assert np.abs(model.predict_covariance(np.arange(24), lag=7)).max() > 0


def test_many_neurons_in_few_frames(rng):
    """More neurons than frames than columns of the sketch: the sketch holds what there is."""
    latents = rng.standard_normal((24, 2)).cumsum(axis=0)
    activity = (latents @ rng.standard_normal((2, 20_500))).astype(np.float32)
    model = fit(activity + rng.standard_normal(activity.shape).astype(np.float32), solver="sketch", lags=[0, 1])
    assert np.isfinite(model.predict_correlation(np.arange(50)).values).all()


def test_what_was_not_chosen_or_not_used_is_noted(truth, rng):
    few = fit(truth.activity[:, :6], n="auto", orders=(2, 3))
    assert few.n_components_ == 2
    assert any("6 neurons are too few to hold pairs out" in note for note in few.notes_)
    larger = fit(truth.activity[:, :5], n="auto", orders=(10, 20))
    assert larger.n_components_ == 1
    assert any("No session tells more than 4 dimensions" in note for note in larger.notes_)
    holes = np.where(rng.random(truth.activity.shape) < 0.1, np.nan, truth.activity)
    assert any("coupling = 0.5 was not used" in note for note in fit(holes, coupling=0.5).notes_)


def test_neurons_of_hardly_any_frames_are_noted(truth):
    brief = "Observed in fewer than 20 frames, too few for a covariance to mean anything"
    assert any(f"{brief}: '0', '1', '2', '3'" in note for note in fit(truth.activity[:2]).notes_)
    made = {"a": (truth.activity[:150, :10], range(10)), "b": (truth.activity[150:153, 9:11], range(9, 11))}
    assert any(f"{brief}: '10' (1 of 11 neurons)" in note for note in fit(made).notes_)
    assert not any(brief in note for note in fit(truth.activity).notes_)


def test_neurons_matched_by_number_alone_are_noted(truth, tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", dff=truth.activity[:80, :10], fs=20.0)
        np.savez(tmp_path / f"{name}-named.npz", dff=truth.activity[:80, :10], fs=20.0, neuron=np.arange(10))
    noted = fit({name: ad.read(tmp_path / f"{name}.npz") for name in ("a", "b")}).notes_
    assert any("Nobody named the neurons of 'a', 'b'" in note for note in noted)
    named = fit({name: ad.read(tmp_path / f"{name}-named.npz") for name in ("a", "b")}).notes_
    assert not any("Nobody named" in note for note in named)


@pytest.mark.parametrize(("name", "value"), [("n_neurons", 2.5), ("n_components", 0), ("n_frames", -1)])
def test_sizes_of_simulations_are_whole_numbers(unchecked_types, name, value):
    with pytest.raises(InputError, match=f"{name} = {value}, expected a whole number, at least 1"):
        simulate(**{name: value})
