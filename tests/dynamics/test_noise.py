"""Units and private noise: sessions scaled by themselves, spike counts, neurons whose noise remembers."""

import numpy as np
import pytest
from scipy.signal import lfilter

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.errors import InputError

QUICK = {"shrinkage": 0.0, "coupling": 0.03, "zero_lag": "never", "private_noise": "white"}
QUICK |= {"n_starts": 2, "max_iterations": 40, "seed": 1}


def test_spike_counts(rng, unseen_correlation):
    system = simulate(30, 2, 3000, seed=4)
    signal = system.latents @ system.loadings.T
    counts = rng.poisson(np.exp(0.5 * signal + 0.5))
    parts = {"a": (counts[:1500, :20], range(20)), "b": (counts[1500:, 10:], range(10, 30))}
    found = ad.StitchedLDS(2, observation="poisson", **QUICK).fit(parts, progress=False)
    assert unseen_correlation(found, system) > 0.8
    log_covariance = 0.25 * system.covariance
    i, j = np.triu_indices(20, 1)
    predicted = found.result_.lagged.loadings @ found.result_.lagged.latent[0] @ found.result_.lagged.loadings.T
    slope = np.polyfit(log_covariance[i, j], predicted[i, j], 1)[0]
    assert 0.6 < slope < 1.4
    assert (found.sample(20)["activity"].values >= 0).all()
    with pytest.raises(InputError, match="spike counts"):
        ad.StitchedLDS(2, observation="poisson").fit(parts["a"][0] - 10.0, progress=False)


def test_what_cannot_be_counts_is_refused_and_what_is_hardly_is_noted(rng):
    counts = rng.poisson(3.0, (200, 6)).astype(float)
    model = ad.StitchedLDS(1, observation="poisson", **QUICK).fit(counts, progress=False)
    assert not any("whole numbers" in note for note in model.notes_)
    negative = counts.copy()
    negative[::3, 2] = -1
    refused = r"Session '0': neuron '2' has the value -1; spike counts are not negative"
    with pytest.raises(InputError, match=refused):
        ad.StitchedLDS(1, observation="poisson").fit(negative, progress=False)
    with pytest.raises(InputError, match=refused):
        model.transform(negative)
    parts = {"a": (counts, range(6)), "b": (counts + 0.1, range(6))}
    noted = ad.StitchedLDS(1, observation="poisson", **QUICK).fit(parts, progress=False).notes_
    assert any("The values of 'b' are not all whole numbers" in note for note in noted)


def test_drawn_counts_have_the_mean_of_the_recording(rng):
    """Also where the refined system has another variance of the log rate than the counts."""
    latents = simulate(12, 2, 1500, seed=2).latents
    counts = rng.poisson(0.5 * np.exp(0.6 * latents @ rng.normal(size=(2, 12)) - 0.3)).astype(float)
    model = ad.StitchedLDS(2, observation="poisson", refine="em", em_iterations=8, **QUICK)
    model.fit(counts, progress=False)
    system = model._system()
    own = np.einsum("ia,ab,ib->i", system.loadings, system.system.stationary, system.loadings)
    own += system.system.noise_variance
    assert np.exp(np.abs(own - system.variance) / 2).max() > 1.2
    drawn = model.sample(20_000, seed=1)["activity"].values.mean(axis=0)
    np.testing.assert_allclose(drawn / counts.mean(axis=0), 1, atol=0.12)


def test_counts_of_unlike_rates_have_one_variance_of_the_log_rate(rng):
    system = simulate(8, 2, 6000, seed=2, eigenvalue_range=(0.9, 0.92))
    loadings = rng.normal(size=(2, 8))
    loadings *= 0.6 / np.linalg.norm(loadings, axis=0)
    log_rate = system.latents @ loadings - 0.18
    slow, fast = rng.poisson(0.4 * np.exp(log_rate[:3000])), rng.poisson(4.0 * np.exp(log_rate[3000:]))
    made = {"slow": (slow.astype(float), range(8)), "fast": (fast.astype(float), range(8))}
    model = ad.StitchedLDS(2, observation="poisson", **QUICK).fit(made, progress=False)
    assert model.result_.variance.mean() == pytest.approx(0.36, abs=0.08)


def test_sessions_scaled_by_themselves_keep_their_units():
    """A session that is three times as bright has the same latent states, and is imputed in its own units."""
    truth = simulate(40, 2, 600, seed=11)
    sessions = {"mon": (truth.activity[:300, :26], range(26)), "tue": (truth.activity[300:, 14:], range(14, 40))}
    bright = {**sessions, "tue": (3 * sessions["tue"][0], range(14, 40))}
    settings = {**QUICK, "max_iterations": 10, "scaling": "session"}
    plain, other = (ad.StitchedLDS(2, **settings).fit(made, progress=False) for made in (sessions, bright))
    found, expected = other.transform(bright)["tue"]["latent"], plain.transform(sessions)["tue"]["latent"]
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    found, expected = (one.impute(made, neurons=["20"])["tue"] for one, made in ((other, bright), (plain, sessions)))
    for name in ("mean", "sd"):
        np.testing.assert_allclose(found[name], 3 * expected[name], rtol=1e-6)


def test_latents_of_counts_know_their_poisson_noise(rng):
    """Standardised errors of imputed counts have unit variance, for rare and for frequent spikes."""
    system = simulate(24, 2, 3000, seed=4, eigenvalue_range=(0.9, 0.95), noise_to_signal=(0.05, 0.1))
    for mean in (0.2, 3.0):
        counts = rng.poisson(mean * np.exp(0.4 * (system.latents @ system.loadings.T))).astype(float)
        model = ad.StitchedLDS(2, observation="poisson", **QUICK).fit(counts[:, :20], progress=False)
        with_all = model.impute(counts[:, :20])
        z = (counts[:, :20] - with_all["mean"].values) / with_all["sd"].values
        assert 0.7 < z.std() < 1.3
        refined = ad.StitchedLDS(2, observation="poisson", refine="em", em_iterations=3, **QUICK)
        refined.fit(counts[:, :20], progress=False)
        ratio = refined.sample(3000)["activity"].var() / counts[:, :20].var()
        assert 0.6 < float(ratio) < 1.7


def test_a_private_memory_is_no_shared_dynamics(rng, unseen_correlation):
    """Neurons whose noise remembers: at lag 1 their variance is not latent, and the loadings must not see it."""
    truth = simulate(60, 2, 12_000, seed=3, eigenvalue_range=(0.6, 0.7), noise_to_signal=(0.0, 0.0))
    noise = lfilter([np.sqrt(1 - 0.81)], [1, -0.9], rng.standard_normal((12_000, 60)), axis=0)
    activity = truth.activity + 3 * noise
    made = {"a": (activity[:6000, :40], range(40)), "b": (activity[6000:, 20:], range(20, 60))}
    settings, r = {**QUICK, "lags": range(1, 6), "max_iterations": 60}, {}
    for kind in ("white", "autocorrelated"):
        model = ad.StitchedLDS(2, **{**settings, "private_noise": kind}).fit(made, progress=False)
        r[kind] = unseen_correlation(model, truth)
    assert r["autocorrelated"] > r["white"] + 0.1
    chosen = ad.StitchedLDS(2, **{**settings, "private_noise": "auto", "n_folds": 2}).fit(made, progress=False)
    assert chosen.result_.settings.hollow_lags


def test_private_autocovariances_are_not_predicted():
    """A fit that leaves them out knows no covariance of a neuron with itself but its variance."""
    truth = simulate(12, 2, 400, seed=3)
    made = {"a": (truth.activity[:200, :9], range(9)), "b": (truth.activity[200:, 3:], range(3, 12))}
    names, itself = [str(i) for i in range(12)], np.eye(12, dtype=bool)
    for kind, unknown in (("autocorrelated", itself), ("white", itself & False)):
        model = ad.StitchedLDS(2, **{**QUICK, "private_noise": kind}).fit(made, progress=False)
        for predict in (model.predict_covariance, model.predict_correlation):
            for of in ("recordings", "process"):
                assert np.isfinite(predict(names, of=of).values).all()
                for lag in (1, -1, 40):
                    np.testing.assert_array_equal(np.isnan(predict(names, lag=lag, of=of).values), unknown)
        assert np.isnan(model.predict_correlation("3", ["5", "3"], lag=1).values).tolist() == [[False, unknown[0, 0]]]
        assert np.isfinite(model.compare_pairs(made, pairs="all")).all()
