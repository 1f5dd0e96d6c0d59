"""Short sessions of slow systems wander by chance; only a session of another system deviates."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import lfilter

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.dynamics.fitting import PairPredictor
from antidrome.dynamics.lags import lagged_products
from antidrome.dynamics.sessions import as_population
from antidrome.dynamics.stationarity import SessionLatents, _matched_parts, drawn_gaps, gaps, latent_runs, stationarity
from antidrome.dynamics.system import LinearSystem
from antidrome.errors import InputError

SETTINGS = {"shrinkage": 0.0, "coupling": 0.03, "zero_lag": "never", "private_noise": "white"}
SETTINGS |= {"n_starts": 1, "max_iterations": 20, "seed": 0}


def parts(truth, shuffle=None):
    made = {}
    for k, first in enumerate((0, 5, 10)):
        values = truth.activity[300 * k : 300 * (k + 1), first : first + 30]
        made[f"s{k}"] = (values if k != 2 or shuffle is None else values[:, shuffle.permutation(30)], range(30))
        made[f"s{k}"] = (made[f"s{k}"][0], range(first, first + 30))
    return made


def with_lasting_noise(rng, loadings, n_frames=2000):
    """Two fast latent states, and private noise of each neuron that lasts longer and has more variance."""
    gains = np.array([0.9, 0.8] + [0.95] * len(loadings))
    innovations = rng.standard_normal((n_frames + 200, len(gains))) * np.sqrt(1 - gains**2)
    runs = np.stack([lfilter([1], [1, -gain], x) for gain, x in zip(gains, innovations.T, strict=True)], axis=1)[200:]
    white = rng.standard_normal((n_frames, len(loadings)))
    return runs[:, :2] @ loadings.T + 1.5 * runs[:, 2:] + 0.3 * white


@pytest.fixture
def system():
    a = np.array([[0.9, 0.2], [-0.1, 0.8]])
    return LinearSystem(a, np.eye(2) - a @ a.T, np.eye(2), np.zeros((0, 2)), np.zeros(0), np.zeros(0))


def test_slow_latents_in_short_sessions_are_no_deviation():
    made = parts(simulate(40, 3, 900, seed=2, eigenvalue_range=(0.98, 0.99)))
    found = ad.StitchedLDS(3, **SETTINGS).fit(made, progress=False).stationarity(made, n_draws=99)
    assert not found["deviates"].any()
    assert float(found["gap"].max()) > 0.1  # which would look like much without its null
    assert (found["p_value"] > 0.01).all()


def test_missing_entries_are_no_deviation(rng):
    truth = simulate(40, 3, 900, seed=2, eigenvalue_range=(0.8, 0.9))
    made = parts(truth)
    model = ad.StitchedLDS(3, **SETTINGS).fit(made, progress=False)
    holes = {name: (np.where(rng.random(x.shape) < 0.4, np.nan, x), labels) for name, (x, labels) in made.items()}
    assert not model.stationarity(holes, n_draws=99)["deviates"].any()
    turns = truth.activity[:600].copy()
    turns[:300, :15] = turns[300:, 25:] = np.nan
    found = model.stationarity({"turns": (turns, range(40))}, n_draws=99)
    assert found["session"].values.tolist() == ["turns", "turns-2"]
    assert not found["deviates"].any()


def test_parts_of_a_session_are_in_the_units_of_the_whole():
    """Four neurons are lost and the others grow: a gap by itself, as long as the parts are not rescaled to the same."""
    truth = simulate(30, 3, 1200, seed=4, eigenvalue_range=(0.9, 0.95))
    values = truth.activity.copy()
    values[800:1200] *= 3.0
    values[800:1200, :4] = np.nan
    made = {"whole": (values[:400], range(30)), "changing": (values[400:], range(30))}
    fitted = ad.StitchedLDS(3, scaling="session", **SETTINGS).fit(made, progress=False)
    table = {}
    for session, one in _matched_parts(fitted._system(), as_population(made)):
        table.setdefault(session.name, []).append(dict(zip(one.rows.tolist(), one.data.gain, strict=True)))
    first, second = table["changing"]
    assert len(second) == 26
    assert all(first[row] == gain for row, gain in second.items())


def test_parts_without_a_neuron_of_the_fit_are_passed_over():
    activity = simulate(20, 2, 900, seed=3).activity
    model = ad.StitchedLDS(2, **SETTINGS).fit(activity[:500, :10], progress=False)
    turns = activity[500:].copy()
    turns[:200, 10:], turns[200:, :10] = np.nan, np.nan
    assert model.transform(turns).sizes["time"] == 400
    found = model.stationarity(turns, n_draws=99)
    expected = model.stationarity(np.where(np.arange(20) < 10, turns, np.nan), n_draws=99)
    np.testing.assert_allclose(found["gap"], expected["gap"])
    assert found.sizes["session"] == 1


def test_a_session_shorter_than_the_largest_lag_has_no_gap_there():
    truth = simulate(40, 3, 900, seed=2, eigenvalue_range=(0.8, 0.9))
    model = ad.StitchedLDS(4, **SETTINGS).fit(parts(truth), progress=False)
    found = model.stationarity({"brief": (truth.activity[:5], range(40))}, n_draws=99)
    assert np.isfinite(found["gap"]).all()
    assert not found["deviates"].any()


def test_a_remapped_session_deviates():
    made = parts(simulate(40, 3, 900, seed=2, eigenvalue_range=(0.8, 0.9)), np.random.default_rng(0))
    found = ad.StitchedLDS(3, **SETTINGS).fit(made, progress=False).stationarity(made, n_draws=99)
    assert bool(found["deviates"].sel(session="s2"))
    assert float(found["p_value"].sel(session="s2")) == pytest.approx(0.01)


def test_a_session_of_other_loadings_deviates_where_lagged_covariances_hold_lasting_private_noise():
    """X_s has the private autocovariances, Aˢ Π has not: sessions drawn from A and Q are as near to theirs as ever."""
    rng = np.random.default_rng(0)
    loadings, other = 0.7 * rng.standard_normal((2, 7, 2))
    made = {f"s{k}": with_lasting_noise(rng, loadings) for k in range(3)}
    model = ad.StitchedLDS(2, **{**SETTINGS, "private_noise": "auto"}).fit(made, progress=False)
    assert any("dynamics are those of the covariances between neurons" in note for note in model.notes_)
    found = model.stationarity({**made, "other": with_lasting_noise(rng, other)}, n_draws=99)
    assert found["deviates"].values.tolist() == [False, False, False, True]


def test_the_gaps_of_drawn_sessions_do_not_depend_on_how_far_the_fit_is_from_its_system():
    made = parts(simulate(40, 3, 900, seed=2, eigenvalue_range=(0.8, 0.9)))
    fitted = ad.StitchedLDS(3, **SETTINGS).fit(made, progress=False)._system()
    raised = fitted.lagged.latent.copy()
    raised[1:] *= 3
    far = dataclasses.replace(fitted, lagged=PairPredictor(fitted.lagged.loadings, raised))
    population = as_population(made)
    near, shifted = (stationarity(one, population, 99, 0, False) for one in (fitted, far))
    np.testing.assert_array_equal(shifted["expected_gap"], near["expected_gap"])
    assert (shifted["gap"] > near["gap"]).all()


def test_counts_of_strongly_modulated_rates_are_no_deviation():
    """Covariances of counts are e^S − 1, those of the fit and of what is drawn S."""
    truth = simulate(30, 2, 6000, seed=1, eigenvalue_range=(0.85, 0.9), noise_to_signal=(1e-4, 2e-4))
    log_rates = truth.latents @ truth.loadings.T
    log_rates *= 1.2 / log_rates.std()
    counts = np.random.default_rng(0).poisson(np.exp(log_rates - 0.72)).astype(float)
    made = {"first": (counts[:3000], range(30)), "second": (counts[3000:], range(30))}
    model = ad.StitchedLDS(2, observation="poisson", **SETTINGS).fit(made, progress=False)
    found = model.stationarity(made, n_draws=99)
    assert (found["p_value"] > 0.05).all()


def test_the_draws_of_a_session_are_its_own():
    made = parts(simulate(40, 3, 900, seed=2, eigenvalue_range=(0.8, 0.9)))
    model = ad.StitchedLDS(3, **SETTINGS).fit(made, progress=False)
    both = model.stationarity({name: made[name] for name in ("s2", "s0")}, n_draws=99)
    alone = model.stationarity({"s0": made["s0"]}, n_draws=99)
    assert float(both["expected_gap"].sel(session="s0")) == float(alone["expected_gap"].item())


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("n_draws", "message"),
    [(98, "fewer than 99 draws"), (0, "fewer than 99 draws"), (99.5, "expected a whole number of sessions to draw")],
)
def test_too_few_draws_to_ever_flag_a_session_are_refused(n_draws, message):
    made = parts(simulate(40, 3, 900, seed=2))
    model = ad.StitchedLDS(1, **{**SETTINGS, "max_iterations": 2}).fit(made, progress=False)
    with pytest.raises(InputError, match=message):
        model.stationarity(made, n_draws=n_draws)


def test_gaps_are_shares_of_squares_over_pairs(rng):
    loadings, latent, shared = (
        rng.standard_normal((6, 2)),
        rng.standard_normal((3, 2, 2)),
        rng.standard_normal((3, 2, 2)),
    )
    own, one = (np.array([loadings @ x @ loadings.T for x in each]) for each in (latent, shared))
    expected = ((own - one)[[0, 2]] ** 2).sum() / (own[[0, 2]] ** 2).sum()
    found = gaps(latent[None], shared, loadings.T @ loadings, np.array([True, False, True]))
    np.testing.assert_allclose(found, [expected])


def test_runs_have_the_covariances_of_the_system(system, rng):
    segment = np.repeat([0, -1, 1], [40, 5, 35])
    runs = latent_runs(system, segment, 3000, rng)
    assert (runs[:, 40:45] == 0).all()
    np.testing.assert_allclose(runs[:, 20].T @ runs[:, 20] / 3000, np.eye(2), atol=0.1)
    np.testing.assert_allclose(runs[:, 21].T @ runs[:, 20] / 3000, system.dynamics, atol=0.1)
    np.testing.assert_allclose(runs[:, 45].T @ runs[:, 39] / 3000, np.zeros((2, 2)), atol=0.1)


def test_drawn_gaps_are_those_of_whole_sessions(system, rng):
    """Drawing n series in the place of p neurons changes nothing in distribution."""
    loadings, private = rng.standard_normal((12, 2)), rng.uniform(0.5, 1.5, 12)
    segment, lags = np.repeat([0, 1], [50, 40]), (0, 1, 3)
    shared = np.array([np.linalg.matrix_power(system.dynamics, lag) for lag in lags])
    gram, noise = loadings.T @ loadings, loadings.T @ (loadings * private[:, None])
    own = SessionLatents(shared, np.ones(3, bool), gram, noise)
    drawn = drawn_gaps(system, lags, own, segment, 400, rng)
    inverse, by_hand = np.linalg.inv(gram), []
    for x in latent_runs(system, segment, 400, rng):
        y = x @ loadings.T + rng.standard_normal((90, 12)) * np.sqrt(private)
        y -= y.mean(axis=0)
        products = lagged_products(y @ loadings, segment, lags) / np.array([89, 87, 83])[:, None, None]
        products[0] -= noise
        by_hand.append(gaps((inverse @ products @ inverse)[None], shared, gram, own.available)[0])
    assert np.median(drawn) == pytest.approx(np.median(by_hand), rel=0.15)
    assert np.quantile(drawn, 0.95) == pytest.approx(np.quantile(by_hand, 0.95), rel=0.25)
