"""Starts: sessions that share few neurons are turned onto one another before the iterations begin."""

import numpy as np
import pytest

from antidrome.dynamics import as_population, simulate
from antidrome.dynamics.data import SessionData, release
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.moments import dense_moments
from antidrome.dynamics.problem import Problem
from antidrome.dynamics.starts import aligned_start

LAGS = LagSet((0, 1, 2), np.ones(3))


def problem_of(truth, parts):
    frames = len(truth.activity) // len(parts)
    made = {
        str(k): (truth.activity[k * frames : (k + 1) * frames, part.start : part.stop], list(part))
        for k, part in enumerate(parts)
    }
    population = as_population(made)
    assert population.labels.tolist() == [str(i) for i in range(population.n_neurons)]
    moments = [dense_moments(SessionData(one, np.ones(len(one.rows))), LAGS) for one in population.sessions]
    return Problem.of(moments, population.n_neurons, LAGS.weights)


def test_few_shared_neurons_tie_sessions_at_the_start():
    truth = simulate(120, 3, 6000, seed=2, eigenvalue_range=(0.8, 0.9))
    problem = problem_of(truth, [range(44), range(38, 82), range(76, 120)])
    fit = aligned_start(problem, 3, np.random.default_rng(0))
    unseen = np.ix_(range(38), range(82, 120))
    # one latent covariance for all: the least squares of the first session's, in its own basis
    c = fit.loadings[:44]
    inner = np.linalg.pinv(c) @ problem.moments[0].covariance[0] @ np.linalg.pinv(c).T
    predicted = fit.loadings @ inner @ fit.loadings.T
    assert np.corrcoef(predicted[unseen].ravel(), truth.covariance[unseen].ravel())[0, 1] > 0.85


@pytest.mark.parametrize("parts", [[range(10), range(10, 20)], [range(2), range(1, 20)], [range(20), range(20)]])
def test_any_overlap_has_a_start(parts):
    problem = problem_of(simulate(20, 3, 200, seed=1), parts)
    fit = aligned_start(problem, 3, np.random.default_rng(0))
    assert np.isfinite(fit.loadings).all()
    assert fit.loadings.any(axis=1).all()


def test_pages_are_given_back_and_changes_are_not_lost(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    for mode in ("r", "r+", "c"):
        mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
        if mode != "r":
            mapped[0, 0] = 7.0
        release(mapped)
        assert mapped[0, 0] == (0.0 if mode == "r" else 7.0)
        assert mapped[2, 1] == 5.0
    release(np.zeros(3))
