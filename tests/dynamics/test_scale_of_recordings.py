"""Recordings of any length and any unit: read in blocks, and the same answer."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.dynamics import as_population, simulate
from antidrome.dynamics.inference import masks
from antidrome.dynamics.memory import estimate
from antidrome.errors import InputError
from antidrome.recordings import lazy


class Streamed:
    """A recording on disk, and the longest run of frames that was read of it at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.longest = values, values.shape, values.dtype, 0

    def __getitem__(self, frames):
        found = self.values[frames]
        self.longest = max(self.longest, len(found))
        return found


@pytest.mark.parametrize("share_missing", [0.0, 0.1])
def test_no_use_of_a_long_recording_reads_it_whole(share_missing, monkeypatch):
    activity = simulate(12, 2, 1000, seed=3).activity
    activity[np.random.default_rng(0).random(activity.shape) < share_missing] = np.nan
    settings = {"lags": [0, 1, 2], "max_iterations": 5, "n_folds": 1, "refine": "em", "em_iterations": 2, "seed": 0}

    def run(recording):
        model = ad.StitchedLDS(2, **settings).fit(recording, progress=False)
        latent = model.transform(recording)["latent"].values
        return model, latent, model.compare_pairs(recording, pairs="all")[1], model.co_smoothing(recording).values

    whole, *expected = run(activity)
    monkeypatch.setattr("antidrome.dynamics.data.BLOCK_VALUES", 12 * 100)
    monkeypatch.setattr("antidrome.dynamics.preparation.KEPT_VALUES", 0)
    recording = Streamed(activity)
    model, *found = run(recording)
    assert recording.longest <= 100 + 2 * 2
    assert model.result_.form == whole.result_.form == ("pairs" if share_missing else "dense")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_small_blocks_of_frames_read_a_file_no_more_often(tmp_path, monkeypatch):
    activity = simulate(12, 2, 1000, seed=3).activity
    activity[np.random.default_rng(0).random(activity.shape) < 0.1] = np.nan
    np.save(tmp_path / "a.npy", activity)
    monkeypatch.setattr(lazy, "LAZY_BYTES", 0)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 4 * 8 * 1000)
    monkeypatch.setattr("antidrome.dynamics.preparation.KEPT_VALUES", 0)
    read, get = [], lazy.NpySource.__getitem__
    monkeypatch.setattr(lazy.NpySource, "__getitem__", lambda *source: (read.append((x := get(*source)).size), x)[1])
    n_read, found = [], []
    for frames in (1000, 100):
        for limit in ("BLOCK_VALUES", "CHUNK_VALUES"):
            monkeypatch.setattr(f"antidrome.dynamics.data.{limit}", 12 * frames)
        recording = ad.read(tmp_path / "a.npy", frame_rate_hz=30.0)
        settings = {"max_iterations": 5, "n_folds": 1, "refine": "em", "em_iterations": 2, "seed": 0}
        model = ad.StitchedLDS(2, lags=[0, 1, 2], **settings).fit(recording, progress=False)
        found.append([model.transform(recording)["latent"].values, model.co_smoothing(recording).values])
        n_read.append(sum(read))
        read.clear()
    assert n_read[1] < 1.1 * n_read[0]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_larger_blocks_of_dask_arrays_are_counted_before_a_fit(monkeypatch):
    values = np.random.default_rng(0).random((2000, 10))
    for module in ("data", "memory"):
        monkeypatch.setattr(f"antidrome.dynamics.{module}.BLOCK_VALUES", 100)
    monkeypatch.setattr("antidrome.dynamics.data.FEWEST_FRAMES", 1)
    for most, at_once in ((10**9, 20_000), (5000, 5000)):
        monkeypatch.setattr("antidrome.dynamics.data.CHUNK_VALUES", most)
        for array, expected in ((values, 100), (da.from_array(values, chunks=(2000, 3)), at_once)):
            assert estimate(as_population(array), "dense", 2, 3, 10).blocks == 3 * 8 * expected


def test_masks_of_missing_entries_are_made_block_by_block(monkeypatch):
    monkeypatch.setattr("antidrome.dynamics.data.BLOCK_VALUES", 40)
    monkeypatch.setattr("antidrome.dynamics.data.FEWEST_FRAMES", 1)
    values = np.where(np.random.default_rng(0).random((100, 4)) < 0.2, np.nan, np.arange(4.0))
    values[:50] += 1
    session = as_population(values).sessions[0]
    read = []
    monkeypatch.setattr(
        "antidrome.dynamics.inference.read_rows", lambda _session, a, b: (read.append(a), values[a:b])[1]
    )
    _, first = next(iter(masks(session)))
    assert read == [0]
    np.testing.assert_array_equal(first, np.isfinite(values[:10]))


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 0.05, 300.0, 1e6])
@pytest.mark.parametrize("refine", [None, "em"])
def test_without_scaling_the_unit_of_the_recording_changes_nothing(unit, refine):
    activity = simulate(12, 2, 500, seed=3).activity

    def run(factor):
        settings = {"scaling": "none", "refine": refine, "seed": 0} | ({"em_iterations": 3} if refine else {})
        model = ad.StitchedLDS(2, **settings).fit(activity * factor, progress=False)
        imputed = model.impute(activity * factor)
        correlation = model.predict_correlation(np.arange(12)).values
        loadings = model.loadings_.values @ model.result_.system.stationary @ model.loadings_.values.T / factor**2
        return correlation, imputed["mean"].values / factor, imputed["sd"].values / factor, loadings

    for found, expected in zip(run(unit), run(1.0), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


@pytest.fixture(scope="module")
def days():
    truth = ad.dynamics.simulate(n_neurons=14, n_components=2, n_frames=400, seed=4)
    parts = {"monday": slice(0, 10), "tuesday": slice(4, 14)}
    return {
        name: xr.DataArray(
            truth.activity[200 * k : 200 * (k + 1), neurons],
            dims=("time", "neuron"),
            coords={"neuron": [f"n{i:02d}" for i in range(14)[neurons]]},
            attrs={"frame_rate_hz": 10.0, "units": "1"},
        )
        for k, (name, neurons) in enumerate(parts.items())
    }


def in_percent(recording):
    return (100 * recording).assign_attrs({**recording.attrs, "units": "percent"})


def fit_of(days):
    settings = {"shrinkage": 0.0, "private_noise": "white", "zero_lag": "never", "coupling": np.inf, "n_starts": 1}
    return ad.StitchedLDS(2, **settings).fit(days, progress=False)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_session_in_percent_beside_fractions_is_a_fraction(days, chunked):
    model, tuesday = fit_of(days), in_percent(days["tuesday"])
    mixed = fit_of({**days, "tuesday": tuesday.chunk({"time": 70}) if chunked else tuesday})
    expected = model.predict_covariance(model.neurons_).values
    np.testing.assert_allclose(mixed.predict_covariance(model.neurons_).values, expected, rtol=1e-6, atol=1e-9)
    assert "Taken in the units of the other sessions (fractions): 'tuesday'." in mixed.notes_
    assert not any("units" in note for note in model.notes_)


def test_recordings_in_percent_alone_stay_in_percent(days):
    model = fit_of({name: in_percent(day) for name, day in days.items()})
    np.testing.assert_allclose(model.offset_, 100 * fit_of(days).offset_, rtol=1e-6)
    assert not any("percent" in note for note in model.notes_)


def test_a_fit_of_fractions_takes_recordings_in_percent(days, tmp_path):
    model, monday = fit_of(days), days["monday"]
    model.save(tmp_path / "fit.safetensors")
    for one in (model, ad.StitchedLDS.load(tmp_path / "fit.safetensors")):
        found, expected = one.transform(in_percent(monday)), one.transform(monday)
        np.testing.assert_allclose(found["latent"].values, expected["latent"].values, rtol=1e-6, atol=1e-9)
        assert "in percent, the fit in fractions" in found.attrs["notes"][0]
        assert not expected.attrs["notes"]
        np.testing.assert_allclose(one.impute(in_percent(monday))["mean"], one.impute(monday)["mean"], rtol=1e-6)
    percent = fit_of({name: in_percent(day) for name, day in days.items()})
    np.testing.assert_allclose(percent.impute(monday)["mean"], 100 * model.impute(monday)["mean"], rtol=1e-4)


def test_what_is_left_out_of_a_recording_is_told_with_the_results(days):
    model, other = fit_of(days), days["monday"].copy()
    other[:, 0], other[5:8, 1] = 0.0, np.inf
    given = {"other": other, "silent": xr.zeros_like(other)}
    expected = [
        "Session 'other': 3 infinite entries taken as missing.",
        "Session 'other': 1 neuron is left out, without variation: 'n00'.",
        "Session 'silent' has no varying neuron and is left out.",
    ]
    for found in (model.transform(given), model.impute(given), model.forecast(given, 2)):
        assert list(found) == ["other"]
        assert set(expected) <= set(found["other"].attrs["notes"])
    for found in (model.stationarity(given, n_draws=99), model.co_smoothing(given)):
        assert set(expected) <= set(found.attrs["notes"])


def test_rates_beside_expected_spikes_are_counts_of_frames(days):
    counts = {name: day.assign_attrs(units="spikes per frame") for name, day in days.items()}
    rates = {name: (10 * day).assign_attrs(day.attrs, units="spikes/s") for name, day in days.items()}
    model = fit_of(counts)
    mixed = fit_of({**counts, "tuesday": rates["tuesday"]})
    assert (model.units_, mixed.units_, fit_of(rates).units_) == ("spikes per frame", "spikes per frame", "spikes/s")
    np.testing.assert_allclose(mixed.offset_, model.offset_, rtol=1e-6)
    found, expected = (model.transform(one["monday"])["latent"].values for one in (rates, counts))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("units", ["a.u.", "Hz"])
def test_units_that_do_not_become_those_of_the_others_are_refused(days, units):
    other = days["tuesday"].assign_attrs(units=units)
    with pytest.raises(InputError, match=r"'tuesday' is in .*, the others .* in fractions"):
        fit_of({**days, "tuesday": other})
    with pytest.raises(InputError, match=r"is in .*, the others .* in fractions"):
        fit_of(days).transform(other)


def test_rates_are_no_counts(days):
    rates = {name: abs(day).assign_attrs(day.attrs, units="spikes/s") for name, day in days.items()}
    with pytest.raises(InputError, match="is in spikes/s, expected spikes of each frame"):
        ad.StitchedLDS(2, observation="poisson").fit(rates, progress=False)


def test_what_is_known_of_the_frames_stays_with_the_results(days):
    model, told = fit_of(days), {"trial": ("time", np.repeat([1, 2], 100)), "mean": ("time", np.zeros(200))}
    monday = days["monday"].assign_coords(told)
    for found in (model.transform(monday), model.impute(monday)):
        assert found["trial"].values.tolist() == [1] * 100 + [2] * 100
    assert model.impute(monday)["mean"].dims == ("time", "neuron")
    assert model.impute(monday)["mean"].attrs["units"] == "1"


def test_trials_are_found_however_they_are_spelled(days):
    monday = days["monday"]
    spelled = [
        monday.assign_coords({name: ("time", np.repeat([1, 2], 100))}) for name in ("trial", "Trial", "trial_id")
    ]
    expected, *others = [as_population(one).sessions[0].segment for one in spelled]
    assert len(set(expected.tolist())) == 2
    for segment in others:
        np.testing.assert_array_equal(segment, expected)


def test_of_two_coordinates_of_trials_the_first_holds(days):
    first, second = np.repeat([1, 2], 100), np.arange(200) // 20
    told = days["monday"].assign_coords(trial=("time", first)).assign_coords(trial_id=("time", second))
    assert len(set(as_population(told).sessions[0].segment.tolist())) == 2


def test_results_are_on_the_clock_of_what_is_given_where_the_fit_knows_none(days):
    silent = {name: day.drop_attrs() for name, day in days.items()}
    model, given, times = fit_of(silent), silent["monday"], (np.arange(200) + 0.5) / 10
    assert model.frame_rate_hz_ is None
    for found in (model.transform(given, frame_rate_hz=10), model.impute(given, frame_rate_hz=10)):
        np.testing.assert_allclose(found["time"], times)
    timed = given.assign_coords(time=times)
    for found in (model.forecast(given, 2, frame_rate_hz=10), model.forecast(timed, 2)):
        np.testing.assert_allclose(found["time"], times[-1] + np.array([0.1, 0.2]))
