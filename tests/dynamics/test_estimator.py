"""`StitchedLDS`: stitching of a known system, the laws of an estimator, and everything that users do with a fit."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.errors import InputError, ModelFileError, ResumeError

PARTS = {"mon": (0, 300, range(26)), "tue": (300, 600, range(14, 40))}
QUICK = {"shrinkage": 0.0, "coupling": 0.03, "zero_lag": "never", "private_noise": "white"}
QUICK |= {"n_starts": 2, "max_iterations": 40}


@pytest.fixture(scope="module")
def truth():
    return simulate(40, 2, 600, seed=11)


@pytest.fixture(scope="module")
def sessions(truth):
    rate = 10.0
    made = {}
    for name, (start, stop, neurons) in PARTS.items():
        made[name] = xr.DataArray(
            truth.activity[start:stop, list(neurons)],
            dims=("time", "neuron"),
            coords={"time": np.arange(start, stop) / rate, "neuron": [str(i) for i in neurons]},
            attrs={"frame_rate_hz": rate},
        )
    return made


@pytest.fixture(scope="module")
def model(sessions):
    return ad.StitchedLDS(2, seed=1, **QUICK).fit(sessions, progress=False)


def test_pairs_never_recorded_together_are_predicted(model, truth, unseen_correlation):
    assert unseen_correlation(model, truth) > 0.9
    assert model.overlap_.share_never_together == pytest.approx(2 * 14 * 14 / (40 * 39))


def test_a_short_session_more_changes_nothing_much(truth, sessions):
    settings = {**QUICK, "n_components": 2, "seed": 1, "shrinkage": "auto", "zero_lag": "race"}
    short = (truth.activity[:5, :26], [str(i) for i in range(26)])
    plain, more = (ad.StitchedLDS(**settings).fit(one, progress=False) for one in (sessions, {**sessions, "x": short}))
    unseen = np.arange(14), np.arange(26, 40)
    covariances = [one.predict_covariance(*(place.astype(str) for place in unseen)).values for one in (plain, more)]
    assert (covariances[1] * covariances[0]).sum() / (covariances[0] ** 2).sum() == pytest.approx(1, abs=0.1)
    assert more.result_.calibration == pytest.approx(plain.result_.calibration, abs=0.1)


def test_lagged_covariances_follow_the_dynamics(model, truth):
    forward = model.predict_covariance(["3", "30"], ["20"], lag=2)
    np.testing.assert_allclose(forward.values.T, model.predict_covariance(["20"], ["3", "30"], lag=-2).values)
    beyond = [model.predict_covariance("3", "5", lag=lag).item() for lag in (3, 4, 400)]
    assert abs(beyond[2]) < abs(beyond[0]) + 1e-12
    variance = model.predict_covariance("3").item()
    assert variance == pytest.approx(truth.activity[:300, 3].var(), rel=1e-6)
    assert model.predict_correlation("3").item() == pytest.approx(1)


def test_latents_imputation_and_forecast(model, sessions, truth):
    latents = model.transform(sessions)
    assert latents["mon"]["latent"].dims == ("time", "component")
    np.testing.assert_allclose(latents["tue"]["time"], sessions["tue"]["time"])
    assert (np.linalg.eigvalsh(latents["mon"]["latent_covariance"].values) > 0).all()
    hidden = model.impute(sessions["mon"], neurons=[str(i) for i in range(30, 40)])
    signal = truth.latents[:300] @ truth.loadings[30:].T
    r = [np.corrcoef(hidden["mean"][:, k], signal[:, k])[0, 1] for k in range(10)]
    assert np.median(r) > 0.8
    assert not hidden["recorded"].any()
    z = (
        truth.activity[:300, 30:]
        - truth.activity[:300, 30:].mean(0)
        - (hidden["mean"] - hidden["mean"].mean("time")).values
    )
    assert 0.7 < float((z / hidden["sd"].values).std()) < 1.4
    ahead = model.forecast(sessions, 5)
    assert ahead["tue"]["mean"].shape == (5, 40)
    assert ahead["tue"]["time"][0] == pytest.approx(60.0)
    assert float(model.forecast(sessions["tue"], 400)["latent"][-1].sum()) == pytest.approx(0, abs=0.5)


def test_scores_and_reports(model, sessions, truth):
    full = {"all": truth.activity}
    assert model.score(full) > 0.7
    assert model.score(full, pairs="seen") > 0.7
    turned = {name: one.isel(neuron=slice(None, None, -1)) for name, one in sessions.items()}
    assert model.score(turned, pairs="seen") == pytest.approx(model.score(sessions, pairs="seen"))
    with pytest.raises(InputError, match="no unseen pair"):
        model.score(sessions)
    assert float(model.co_smoothing(sessions).median()) > 0.2
    table = model.dynamics_table()
    assert (table["modulus"] < 1).all()
    np.testing.assert_allclose(table["time_constant_s"], table["time_constant_frames"] / 10)
    assert set(model.stationarity(sessions)["session"].values) == {"mon", "tue"}
    run = model.sample(50, seed=3)
    assert run["activity"].shape == (50, 40)
    xr.testing.assert_identical(run, model.sample(50, seed=3))


def test_two_fits_are_aligned(model, sessions):
    other = ad.StitchedLDS(2, seed=7, **QUICK).fit(sessions, progress=False)
    found = model.align(other)
    assert float(found["residual"]) < 1e-3
    moved = other.transform(sessions)["mon"]["latent"].values @ found["change"].values.T
    mine = model.transform(sessions)["mon"]["latent"].values
    assert np.corrcoef(moved[:, 0], mine[:, 0])[0, 1] > 0.99


def test_saved_fits_answer_as_before(model, sessions, tmp_path):
    model.save(tmp_path / "fit.safetensors")
    loaded = ad.StitchedLDS.load(tmp_path / "fit.safetensors")
    xr.testing.assert_identical(loaded.predict_covariance(np.arange(40)), model.predict_covariance(np.arange(40)))
    xr.testing.assert_identical(loaded.transform(sessions)["tue"], model.transform(sessions)["tue"])
    assert loaded.get_params() == model.get_params()
    assert loaded.notes_ == model.notes_
    with pytest.raises(ModelFileError):
        ad.StitchedLDS.load(tmp_path / "none.safetensors")


def test_estimator_laws(model, sessions):
    again = clone(model)
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        again.predict_covariance("1", "2")
    again.fit(sessions, progress=False)
    xr.testing.assert_identical(again.predict_covariance(np.arange(40)), model.predict_covariance(np.arange(40)))
    assert ad.cite(model).keys == ("antidrome", "nonnenmacher2017")


def test_the_gauge_is_fixed(model):
    scaled = model.result_.lagged.loadings
    np.testing.assert_allclose(scaled.T @ scaled, np.eye(2), atol=1e-10)
    x0 = model.result_.lagged.latent[0]
    np.testing.assert_allclose(x0, np.diag(np.diag(x0)), atol=1e-8 * x0.max())
    assert (np.diff(np.diag(x0)) <= 0).all()
    assert ((scaled**3).sum(axis=0) >= 0).all()


def test_permuted_neurons_and_sessions_permute_the_result(model, sessions, rng):
    shuffled = {name: sessions[name].isel(neuron=rng.permutation(26)) for name in ("tue", "mon")}
    other = ad.StitchedLDS(2, seed=5, **{**QUICK, "max_iterations": 150}).fit(shuffled, progress=False)
    names = [str(i) for i in range(0, 40, 3)]
    expected = model.predict_correlation(names).values
    np.testing.assert_allclose(other.predict_correlation(names).values, expected, atol=0.03)


def test_duplicated_sessions_change_nothing(model, sessions):
    double = {**sessions, **{name + " again": one for name, one in sessions.items()}}
    other = ad.StitchedLDS(2, seed=1, **QUICK).fit(double, progress=False)
    names = [str(i) for i in range(0, 40, 3)]
    np.testing.assert_allclose(
        other.predict_correlation(names).values, model.predict_correlation(names).values, atol=0.03
    )


def test_offsets_and_units_do_not_matter(model, sessions):
    factor = xr.DataArray(np.linspace(0.5, 3, 26), dims="neuron")
    moved = {"mon": sessions["mon"] * factor.values + 7, "tue": sessions["tue"]}
    other = ad.StitchedLDS(2, seed=1, scaling="session", **QUICK).fit(moved, progress=False)
    plain = ad.StitchedLDS(2, seed=1, scaling="session", **QUICK).fit(sessions, progress=False)
    names = [str(i) for i in range(0, 40, 3)]
    np.testing.assert_allclose(other.result_.lagged.loadings, plain.result_.lagged.loadings, atol=1e-6)
    assert other.predict_correlation(names).shape == (14, 14)


def test_empty_neurons_and_frames_carry_no_information(model, sessions):
    padded = {name: one.values for name, one in sessions.items()}
    padded = {
        name: (
            np.pad(values, ((0, 5), (0, 1)), constant_values=np.nan),
            [*map(str, PARTS[name][2]), "never"],
        )
        for name, values in padded.items()
    }
    spans = {"mon": [(0, 300)], "tue": [(0, 300)]}
    other = ad.StitchedLDS(2, seed=1, **QUICK).fit(padded, segments=spans, progress=False)
    names = [str(i) for i in range(40)]
    np.testing.assert_allclose(
        other.predict_covariance(names).values, model.predict_covariance(names).values, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sketch"},
        {"solver": "lbfgs"},
        {"solver": "adam", "n_starts": 4},
        {"weights": "pairs"},
        {"parametrization": "linear"},
        {"parametrization": "linear", "weights": "pairs"},
        {"private_noise": "autocorrelated"},
        {"private_noise": "autocorrelated", "solver": "lbfgs"},
        {"private_noise": "autocorrelated", "solver": "sketch"},
        {"private_noise": "autocorrelated", "weights": "pairs"},
        {"lags": [1, 2, 5]},
        {"lags": [0, 3], "lag_weights": [2.0, 1.0]},
        {"zero_lag": "always", "lags": [0]},
        {"scaling": "none"},
    ],
    ids=str,
)
def test_every_solver_stitches(sessions, truth, options, unseen_correlation):
    settings = {**QUICK, "coupling": np.inf, **options}
    found = ad.StitchedLDS(2, seed=1, **settings).fit(sessions, progress=False)
    assert unseen_correlation(found, truth) > 0.85


def test_scattered_missing_entries(sessions, truth, rng, unseen_correlation):
    holes = {name: one.where(rng.random(one.shape) > 0.2) for name, one in sessions.items()}
    for solver in ("auto", "sketch"):
        found = ad.StitchedLDS(2, seed=1, solver=solver, **QUICK).fit(holes, progress=False)
        assert unseen_correlation(found, truth) > 0.85, solver
    refined = ad.StitchedLDS(2, seed=1, refine="em", em_iterations=4, **QUICK).fit(holes, progress=False)
    assert (np.diff(refined.result_.log_likelihoods) > 0).all()
    assert unseen_correlation(refined, truth) > 0.9


@pytest.mark.parametrize("seed", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_one_missing_entry_changes_next_to_nothing(seed):
    """Pairs are pooled one by one then: another solver, another way to hide pairs, the same answer."""
    truth, predicted = simulate(30, 2, 1500, seed=seed), []
    spread = np.sqrt(np.diag(truth.covariance) + truth.noise_variance)
    expected = (truth.covariance / spread[:, None] / spread)[:10, 20:]
    for holes in (0, 1):
        activity = truth.activity.copy()
        activity[100, 3 : 3 + holes] = np.nan
        made = {"mon": (activity[:800, :20], range(20)), "tue": (activity[800:, 10:], range(10, 30))}
        found = ad.StitchedLDS(2, seed=0).fit(made, progress=False)
        predicted.append(found.predict_correlation(np.arange(10).astype(str), np.arange(20, 30).astype(str)).values)
    errors = [np.sqrt(np.mean((one - expected) ** 2)) for one in predicted]
    assert errors[1] < errors[0] + 0.01
    assert np.sqrt(np.mean((predicted[1] - predicted[0]) ** 2)) < 0.06


def test_stochastic_gradients_allow_for_missing_entries(truth, rng):
    holes = np.where(rng.random(truth.activity.shape) < 0.5, np.nan, truth.activity)
    covariances = []
    for values, solver in ((holes, "adam"), (truth.activity, "als")):
        settings = {**QUICK, "coupling": np.inf, "n_starts": 4}
        found = ad.StitchedLDS(2, seed=1, solver=solver, **settings).fit(values, progress=False)
        covariances.append(found.predict_covariance(np.arange(40)).values[~np.eye(40, dtype=bool)])
    assert np.polyfit(covariances[1], covariances[0], 1)[0] == pytest.approx(1, abs=0.25)


def test_subpopulations_that_take_turns(truth):
    matrix = truth.activity.copy()
    turn = (np.arange(600) // 20) % 2
    matrix[turn == 0, 26:] = np.nan
    matrix[turn == 1, :14] = np.nan
    found = ad.StitchedLDS(2, seed=1, refine="em", em_iterations=5, **QUICK).fit(matrix, progress=False)
    pairs = np.zeros((40, 40), bool)
    pairs[:14, 26:] = True
    predicted = found.predict_covariance(np.arange(40)).values
    assert np.corrcoef(predicted[pairs], truth.covariance[pairs])[0, 1] > 0.95
    # a sketch takes the subpopulations as parts; EM goes on through their turns all the same
    sketched = ad.StitchedLDS(2, seed=1, solver="sketch", refine="em", em_iterations=5, **QUICK)
    sketched.fit(matrix, progress=False)
    assert any("2 parts" in note for note in sketched.notes_)
    likelihoods = (sketched.result_.log_likelihoods[-1], found.result_.log_likelihoods[-1])
    assert likelihoods[0] == pytest.approx(likelihoods[1], rel=5e-3)


@pytest.mark.slow
def test_held_out_pairs_choose(sessions):
    estimator = ad.StitchedLDS(2, seed=1, n_folds=2, max_iterations=20, orders=(1, 2, 5))
    curve = estimator.select_order(sessions, progress=False)
    assert curve["order"].values.tolist() == [1, 2, 5]
    assert curve.attrs["best"] == 2
    assert float(curve["correlation"].sel(order=2)) > float(curve["correlation"].sel(order=1))
    chosen = ad.StitchedLDS(2, seed=1, n_folds=2, max_iterations=20).fit(sessions, progress=False)
    assert any("Held-out pairs: r =" in note for note in chosen.notes_)
    assert {one.settings.zero_lag for one in chosen.result_.candidates} == {True, False}


def test_dask_and_resumed_fits_agree(sessions, tmp_path, monkeypatch):
    lazy = {name: one.chunk(time=70, neuron=9) for name, one in sessions.items()}
    settings = {**QUICK, "solver": "sketch", "seed": 1}
    expected = ad.StitchedLDS(2, **settings).fit(sessions, progress=False)
    found = ad.StitchedLDS(2, **settings).fit(lazy, checkpoint=tmp_path / "kept", progress=False)
    np.testing.assert_allclose(
        found.predict_covariance(np.arange(40)).values, expected.predict_covariance(np.arange(40)).values, rtol=1e-5
    )

    def never(*_):
        raise AssertionError("the sketch was made before")

    monkeypatch.setattr("antidrome.dynamics.preparation.sketch", never)
    again = ad.StitchedLDS(2, **settings).fit(lazy, checkpoint=tmp_path / "kept", progress=False)
    xr.testing.assert_identical(again.predict_covariance(np.arange(40)), found.predict_covariance(np.arange(40)))
    with pytest.raises(ResumeError, match="settings differ"):
        ad.StitchedLDS(3, **settings).fit(lazy, checkpoint=tmp_path / "kept", progress=False)


def test_a_fit_beyond_memory_is_refused_before_it_starts(sessions):
    with pytest.raises(InputError, match="would take about"):
        ad.StitchedLDS(2).fit(sessions, memory_limit_bytes=1000, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components = 0, expected 'auto' or a finite number of at least 1"),
        ({"n_components": 40}, "more neurons than"),
        ({"solver": "magic"}, "solver = 'magic'"),
        ({"shrinkage": -1.0}, "shrinkage"),
        ({"lags": [0, 299]}, "largest lag"),
        ({"n_starts": 0}, "n_starts = 0"),
        ({"max_iterations": 0}, "max_iterations = 0"),
        ({"sketch_rank": 1}, "sketch_rank = 1"),
        ({"n_components": "auto", "orders": (0, 2)}, "orders"),
        ({"weights": "pairs", "solver": "adam"}, "solver='als'"),
        ({"lags": [0], "parametrization": "linear"}, "positive lag"),
        ({"lags": [0], "private_noise": "autocorrelated"}, "private_noise='autocorrelated' needs a positive lag"),
        ({"solver": "lbfgs", "shrinkage": 0.3}, "no ridge, but shrinkage = 0.3"),
        ({"parametrization": "linear", "coupling": 0.03}, "one X_s for all sessions"),
        ({"solver": "adam", "shrinkage": 0.3}, "shrinkage = 0.3 would change nothing beside solver='adam'"),
        ({"solver": "adam", "coupling": 0.03}, "Leave coupling at 'auto', or choose another solver"),
        ({"solver": "adam", "zero_lag": "always"}, "zero_lag = 'always' would change nothing"),
        ({"zero_lag": "always", "parametrization": "linear"}, "parametrization = 'linear' would change nothing"),
        ({"zero_lag": "always", "private_noise": "autocorrelated"}, "beside zero_lag='always'"),
    ],
)
def test_wrong_settings_are_named(sessions, options, message):
    with pytest.raises(InputError, match=message):
        ad.StitchedLDS(**{"n_components": 2, **options}).fit(sessions, progress=False)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("lag", [1.5, float("nan"), "1"])
def test_a_lag_is_a_whole_number_of_frames(model, lag):
    for predict in (model.predict_correlation, model.predict_covariance):
        with pytest.raises(InputError, match=r"lag = .*, expected a whole number of frames"):
            predict(model.neurons_[:2], lag=lag)


def test_other_neurons_and_rates_are_refused(model, sessions):
    with pytest.raises(InputError, match="no neuron of the fit"):
        model.transform({"x": sessions["mon"].assign_coords(neuron=[f"q{i}" for i in range(26)])})
    with pytest.raises(InputError, match="20 Hz"):
        fast = sessions["mon"].assign_coords(time=np.arange(300) / 20).assign_attrs(frame_rate_hz=20.0)
        model.transform({"x": fast})


@pytest.mark.slow
@settings(max_examples=8)
@given(st.data())
def test_any_overlap_graph_and_lag_set_gives_finite_answers(data):
    n_sessions = data.draw(st.integers(1, 4))
    lags = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    made = {}
    for k in range(n_sessions):
        size = data.draw(st.integers(3, 10))
        neurons = rng.choice(12, size, replace=False)
        made[str(k)] = (rng.standard_normal((data.draw(st.integers(10, 25)), size)), neurons)
    found = ad.StitchedLDS(2, lags=lags, max_iterations=6, n_folds=1, n_starts=1).fit(made, progress=False)
    p = len(found.neurons_)
    assert np.isfinite(found.predict_covariance(np.arange(p)).values).all()
    assert np.abs(np.linalg.eigvals(found.result_.system.dynamics)).max() < 1
    latents = found.transform(made)
    assert all(np.isfinite(one["latent"]).all() for one in latents.values())


def test_dask_statistics_match_numpy(rng):
    values = rng.standard_normal((30, 5))
    values[3, 2] = np.nan
    values[:, 3:] = np.round(values[:, 3:])
    lazy, plain = (ad.dynamics.as_population({"a": x}).sessions[0] for x in (da.from_array(values, (7, 2)), values))
    sparse = ad.dynamics.as_population({"a": scipy.sparse.csr_array(np.nan_to_num(values))}).sessions[0]
    np.testing.assert_allclose(lazy.variance, plain.variance)
    np.testing.assert_allclose(lazy.n_observed, plain.n_observed)
    for one in (lazy, plain, sparse):
        np.testing.assert_allclose(one.least, np.nanmin(values, axis=0))
        assert one.whole.tolist() == [False, False, False, True, True]


def test_sessions_with_fewer_neurons_than_dimensions():
    """Each of three sessions sees 6 neurons, the population has 12: 8 dimensions are more than any session can tell."""
    truth = simulate(n_neurons=12, n_components=2, n_frames=450, seed=5)
    sessions = {
        f"s{k}": (truth.activity[150 * k : 150 * (k + 1), 3 * k : 3 * k + 6], range(3 * k, 3 * k + 6)) for k in range(3)
    }
    model = ad.StitchedLDS(8, zero_lag="never", seed=0).fit(sessions, progress=False)
    assert np.isfinite(model.predict_covariance("0", "11").values).all()
