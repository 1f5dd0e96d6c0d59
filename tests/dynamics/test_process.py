"""The covariance of a process from some frames of it."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.dynamics.process import process_covariance, sampling_variance, stretch_lengths
from antidrome.errors import InputError


def test_the_sampling_variance_is_that_of_many_samples(rng):
    a = np.array([[0.9, 0.2], [-0.2, 0.85]])
    innovation = np.eye(2) - a @ a.T
    root = np.linalg.cholesky(innovation)
    runs = np.empty((4000, 60, 2))
    runs[:, 0] = rng.standard_normal((4000, 2))
    for t in range(1, 60):
        runs[:, t] = runs[:, t - 1] @ a.T + rng.standard_normal((4000, 2)) @ root.T
    samples = np.einsum("rta,rtb->rab", runs, runs) / 60
    expected = samples.var(axis=0).sum()
    assert sampling_variance(np.eye(2), a, [60]) == pytest.approx(expected, rel=0.1)
    assert sampling_variance(np.eye(2), a, [60, 60]) == pytest.approx(expected / 2, rel=0.1)


def test_white_states_have_the_textbook_variance():
    covariance = np.diag([2.0, 1.0])
    found = sampling_variance(covariance, np.zeros((2, 2)), [50])
    assert found == pytest.approx((np.trace(covariance) ** 2 + (covariance**2).sum()) / 50)


def test_long_recordings_are_believed_and_short_ones_shrunk(rng):
    loadings, covariance = rng.standard_normal((30, 2)), np.diag([3.0, 0.5])
    long, little = process_covariance(loadings, covariance, 0.5 * np.eye(2), [100_000])
    np.testing.assert_allclose(long, covariance, rtol=0.01, atol=0.01)
    _, much = process_covariance(loadings, covariance, 0.99 * np.eye(2), [200])
    assert little < 0.01 < 0.3 < much <= 1


def test_the_basis_does_not_matter(rng):
    loadings, change = rng.standard_normal((20, 3)), rng.standard_normal((3, 3)) + 2 * np.eye(3)
    covariance, a = np.diag([3.0, 1.0, 0.2]), np.diag([0.95, 0.9, 0.5])
    one, share = process_covariance(loadings, covariance, a, [300])
    inverse = np.linalg.inv(change)
    two, other = process_covariance(loadings @ inverse, change @ covariance @ change.T, change @ a @ inverse, [300])
    assert other == pytest.approx(share)
    np.testing.assert_allclose(
        loadings @ inverse @ two @ inverse.T @ loadings.T, loadings @ one @ loadings.T, rtol=1e-6
    )


def test_predictions_of_the_process_are_nearer_to_it():
    better = []
    for seed in range(4):
        truth = simulate(40, 3, 400, seed=seed)
        model = ad.StitchedLDS(3, seed=0, zero_lag="never", n_starts=2).fit(truth.activity, progress=False)
        off = np.triu_indices(40, 1)
        shown, process = (
            model.predict_covariance(np.arange(40), of=of).values[off] for of in ("recordings", "process")
        )
        true = truth.covariance[off]
        better.append(np.corrcoef(process, true)[0, 1] - np.corrcoef(shown, true)[0, 1])
        correlation = model.predict_correlation(np.arange(40), of="process").values
        np.testing.assert_allclose(np.diag(correlation), 1)
    assert np.mean(better) > 0
    with pytest.raises(InputError, match="expected one of 'recordings', 'process'"):
        model.predict_covariance(0, 1, of="both")


def test_stretches_are_those_of_the_sessions(rng):
    values = rng.standard_normal((20, 3))
    population = ad.dynamics.as_population({"a": values, "b": values}, segments={"b": [(0, 8), (10, 15)]})
    assert stretch_lengths(population) == [20, 8, 5]


def test_dimensions_too_many_do_not_spoil_the_dynamics():
    """Fitted with twice as many dimensions as it has, a population keeps its time constants and can be forecast."""
    truth = simulate(60, 3, 2000, seed=1, eigenvalue_range=(0.95, 0.98))
    settings = {"shrinkage": 0.0, "zero_lag": "never", "private_noise": "white", "n_starts": 1, "max_iterations": 30}
    model = ad.StitchedLDS(6, seed=1, **settings).fit(truth.activity[:1500], progress=False)
    slowest = float(model.dynamics_table()["time_constant_frames"].max())
    assert 0.5 < slowest / (-1 / np.log(0.98)) < 2
    error = energy = 0.0
    for stop in range(1500, 1980, 40):
        guess = model.forecast(truth.activity[stop - 300 : stop], 3)["mean"].values[2] - truth.offset
        signal = truth.latents[stop + 2] @ truth.loadings.T
        error, energy = error + ((guess - signal) ** 2).sum(), energy + (signal**2).sum()
    assert 1 - error / energy > 0.5
