"""Filter, smoother and EM against the joint Gaussian written out."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from antidrome.dynamics.em import EMState, em_iteration, expectation_maximisation
from antidrome.dynamics.inference import infer, observe
from antidrome.dynamics.simulate import simulate
from antidrome.dynamics.system import dynamics_of, innovation_of, stable_system

T, N, P = 6, 2, 3


@pytest.fixture
def system(rng):
    a = np.array([[0.8, 0.3], [-0.3, 0.7]])
    q = np.array([[0.5, 0.1], [0.1, 0.4]])
    v = np.array([[1.2, -0.2], [-0.2, 0.9]])
    return {
        "dynamics": a,
        "innovation": q,
        "initial": v,
        "loadings": rng.standard_normal((P, N)),
        "noise": np.array([0.5, 1.0, 0.3]),
    }


def joint(system, n_frames):
    """Covariance of all latent states of one stretch, (frame · latent)."""
    a, spread = system["dynamics"], system["initial"]
    blocks = [[None] * n_frames for _ in range(n_frames)]
    for t in range(n_frames):
        if t:
            spread = a @ spread @ a.T + system["innovation"]
        moved = spread
        for u in range(t, n_frames):
            blocks[u][t], blocks[t][u] = moved, moved.T
            moved = a @ moved
    return np.block(blocks)


@pytest.mark.parametrize("missing", [False, True])
def test_posterior_and_likelihood_are_exact(system, rng, data_of, missing):
    values = rng.standard_normal((T, P)) * 2
    if missing:
        values[1, 0] = values[3, 1:] = np.nan
    data = data_of(values)
    segment = np.array([0, 0, 0, 0, 1, 1])
    data = data_of(values, segment=segment)
    y = values - data.session.mean
    found = infer(
        data, system["loadings"], system["noise"], system["dynamics"], system["innovation"], system["initial"]
    )
    log_likelihood = 0.0
    for start, stop in ((0, 4), (4, 6)):
        n = stop - start
        prior = joint(system, n)
        c = np.kron(np.eye(n), system["loadings"])
        noise = np.diag(np.tile(system["noise"], n))
        seen = np.isfinite(y[start:stop].ravel())
        c, noise, observed = c[seen], noise[np.ix_(seen, seen)], y[start:stop].ravel()[seen]
        spread = c @ prior @ c.T + noise
        gain = prior @ c.T @ np.linalg.inv(spread)
        mean, posterior = gain @ observed, prior - gain @ c @ prior
        np.testing.assert_allclose(found.mean[start:stop].ravel(), mean, atol=1e-9)
        for t in range(n):
            block = slice(N * t, N * t + N)
            np.testing.assert_allclose(found.covariance[start + t], posterior[block, block], atol=1e-9)
        log_likelihood += multivariate_normal(np.zeros(len(observed)), spread).logpdf(observed)
    finite = np.where(np.isfinite(y), y, 0)
    constant = (np.isfinite(y) * np.log(2 * np.pi * system["noise"])).sum() + (finite**2 / system["noise"]).sum()
    assert found.log_likelihood - 0.5 * constant == pytest.approx(log_likelihood, abs=1e-8)


def test_lagged_sums_are_exact(system, rng, data_of):
    values = rng.standard_normal((4, P))
    data = data_of(values)
    found = infer(
        data, system["loadings"], system["noise"], system["dynamics"], system["innovation"], system["initial"]
    )
    prior, c = joint(system, 4), np.kron(np.eye(4), system["loadings"])
    gain = prior @ c.T @ np.linalg.inv(c @ prior @ c.T + np.diag(np.tile(system["noise"], 4)))
    mean = (gain @ (values - data.session.mean).ravel()).reshape(4, N)
    posterior = prior - gain @ c @ prior
    expected = sum(
        posterior[N * (t + 1) : N * (t + 2), N * t : N * (t + 1)] + np.outer(mean[t + 1], mean[t]) for t in range(3)
    )
    np.testing.assert_allclose(found.lagged, expected, atol=1e-9)
    assert (found.n_initial, found.n_pairs) == (1, 3)


def test_freezing_the_covariance_changes_nothing(rng, data_of, monkeypatch):
    truth = simulate(12, 2, 150, seed=4)
    data = data_of(truth.activity)
    arguments = (data, truth.loadings, truth.noise_variance, truth.dynamics, truth.innovation, truth.stationary)
    frozen = infer(*arguments)
    monkeypatch.setattr("antidrome.dynamics.kalman.FROZEN", -1.0)
    full = infer(*arguments)
    np.testing.assert_allclose(frozen.mean, full.mean, atol=1e-8)
    np.testing.assert_allclose(frozen.covariance, full.covariance, atol=1e-8)
    assert frozen.log_likelihood == pytest.approx(full.log_likelihood, abs=1e-6)


def start_of(p, n, rng):
    return EMState(0.5 * np.eye(n), np.eye(n), np.eye(n), rng.standard_normal((p, n)), np.ones(p), np.eye(n))


@pytest.mark.parametrize("missing", [False, True])
def test_em_never_lowers_the_likelihood(rng, data_of, missing):
    values = simulate(8, 2, 80, seed=2).activity
    if missing:
        values[rng.random(values.shape) < 0.3] = np.nan
    segment = np.repeat([0, 1], [50, 30])
    state = expectation_maximisation([data_of(values, segment=segment)], start_of(8, 2, rng), 12, 0.0)
    assert (np.diff(state.log_likelihoods) > -1e-6).all()


def test_unobserved_frames_and_neurons_carry_no_information(rng, data_of):
    values = simulate(6, 2, 40, seed=5).activity
    state = start_of(6, 2, rng)
    whole = em_iteration([data_of(values[:, :4], rows=np.arange(4))], state)
    hidden = values.copy()
    hidden[:, 4:] = np.nan
    padded = np.vstack([hidden, np.full((7, 6), np.nan)])
    segment = np.repeat([0, -1], [40, 7])
    other = em_iteration([data_of(padded, segment=segment)], state)
    np.testing.assert_allclose(other.loadings[:4], whole.loadings[:4], atol=1e-9)
    assert other.log_likelihoods == pytest.approx(whole.log_likelihoods)


def test_scattered_and_patterned_missing_entries_agree(rng, data_of, monkeypatch):
    values = simulate(5, 2, 30, seed=6).activity
    values[10:20, 1] = np.nan
    data = data_of(values)
    few = observe(data, np.ones((5, 2)), np.ones(5))
    monkeypatch.setattr("antidrome.dynamics.patterns.MOST_PATTERNS", 0)
    many = observe(data, np.ones((5, 2)), np.ones(5))
    np.testing.assert_allclose(few.precisions[few.pattern], many.precisions[many.pattern])


@pytest.mark.parametrize("lags", [(0, 1, 2), (0, 3), (0, 2, 5)])
def test_dynamics_come_back_from_exact_covariances(lags):
    truth = simulate(5, 2, 10, seed=8)
    powers = np.array([np.linalg.matrix_power(truth.dynamics, lag) for lag in lags])
    found = dynamics_of(powers @ truth.stationary, lags, truth.stationary)
    np.testing.assert_allclose(
        np.linalg.matrix_power(found, lags[-1]), np.linalg.matrix_power(truth.dynamics, lags[-1]), atol=1e-4
    )


def test_the_system_is_stable_and_keeps_the_covariance(rng):
    for _ in range(5):
        latent = rng.standard_normal((4, 3, 3))
        latent[0] = latent[0] @ latent[0].T + 0.1 * np.eye(3)
        system = stable_system(rng.standard_normal((6, 3)), latent, (0, 1, 2, 3), np.zeros(6), np.full(6, 9.0))
        assert np.abs(np.linalg.eigvals(system.dynamics)).max() < 1
        assert np.linalg.eigvalsh(system.innovation).min() >= 0
        np.testing.assert_allclose(system.stationary, latent[0], atol=1e-9)
        np.testing.assert_allclose(
            system.dynamics @ system.stationary @ system.dynamics.T + system.innovation, latent[0], atol=1e-5
        )
        assert (system.noise_variance > 0).all()
    np.testing.assert_allclose(innovation_of(np.zeros((2, 2)), np.eye(2)), np.eye(2))
