"""Held-out pairs: hidden as if never recorded together, and asked for only where something is left to predict them."""

import numpy as np
import pytest

from antidrome.dynamics import as_population, simulate
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.moments import dense_moments
from antidrome.dynamics.pairwise import pair_moments
from antidrome.dynamics.selection import Candidate, agreement, best_of, make_folds, race
from antidrome.dynamics.solving import BlockSolver, FitSettings, PairSolver

LAGS = LagSet((0, 1), np.ones(2))


@pytest.fixture
def solvers():
    truth = simulate(30, 2, 300, seed=8)
    parts = {"a": range(14), "b": range(9, 22), "c": range(17, 30)}
    population = as_population(
        {
            name: (truth.activity[100 * k : 100 * (k + 1), list(part)], list(part))
            for k, (name, part) in enumerate(parts.items())
        }
    )
    data = [SessionData(one, 1 / np.sqrt(one.variance)).in_memory() for one in population.sessions]
    pooled = pair_moments(data, LAGS, 30)
    block = BlockSolver(tuple(dense_moments(one, LAGS) for one in data), 30, LAGS.weights)
    return block, PairSolver(pooled, pooled.weights("counts"), LAGS.weights)


@pytest.mark.parametrize("index", [0, 1])
def test_hidden_pairs_are_hidden_and_can_be_predicted(solvers, index):
    solver = solvers[index]
    folds = make_folds(solver, np.arange(30), 3, np.random.default_rng(0))
    for fold in folds:
        if index == 0:
            assert not fold.solver.measured(fold.first, fold.second)[1].any()
        else:
            assert not fold.solver.weights[:, fold.first[:, None], fold.second[None, :]].any()
        _, before = solver.measured(fold.first, fold.second)
        still = fold.solver.amount() > 0
        assert (before[fold.known] > 0).all()
        i, j = np.nonzero(fold.known)
        assert still[fold.first[i]].all()
        assert still[fold.second[j]].all()


@pytest.fixture
def with_short_sessions():
    """Two long sessions, and one short one of the neurons of the first or of all."""

    def make(short):
        truth = simulate(30, 2, 1000, seed=8)
        made = {"a": (truth.activity[:490, :20], range(20)), "b": (truth.activity[490:980, 10:], range(10, 30))}
        rows = range(20) if short == "of the first" else range(30)
        made["c"] = (truth.activity[980:985, list(rows)], rows)
        sessions = as_population(made).sessions
        data = [SessionData(one, np.ones(len(one.rows))).in_memory() for one in sessions]
        return BlockSolver(tuple(dense_moments(one, LAGS) for one in data), 30, LAGS.weights)

    return make


@pytest.mark.parametrize("short", ["of the first", "of all"])
def test_no_hidden_pair_is_predicted_or_judged_from_a_short_session_alone(with_short_sessions, short):
    solver = with_short_sessions(short)
    folds = make_folds(solver, np.arange(30), 20, np.random.default_rng(0))
    assert len(folds) > 15  # the long sessions take turns, whatever the short one loses
    for fold in folds:
        _, together = solver.measured(fold.first, fold.second)
        assert together[fold.known].min() >= 490
        i, j = np.nonzero(fold.known)
        kept = fold.solver.amount()
        assert min(kept[fold.first[i]].min(), kept[fold.second[j]].min()) >= 490


def test_a_single_long_session_is_split_whatever_short_ones_are_beside_it():
    truth = simulate(12, 2, 303, seed=8)
    made = {"long": (truth.activity[:300], range(12)), "short": (truth.activity[300:], range(12))}
    data = [SessionData(one, np.ones(12)).in_memory() for one in as_population(made).sessions]
    solver = BlockSolver(tuple(dense_moments(one, LAGS) for one in data), 12, LAGS.weights)
    hidden = solver.without(np.arange(3), np.arange(3, 6), np.random.default_rng(0))
    assert sorted(one.weight for one in hidden.moments) == [3, 150, 150]
    assert (hidden.amount() >= 150).all()


def test_the_race_is_the_same_twice_and_keeps_the_best_predictions(solvers):
    folds = make_folds(solvers[0], np.arange(30), 2, np.random.default_rng(0))
    runs = [
        race(
            folds,
            (1, 2),
            (0.0, 0.3),
            (np.inf, 0.03),
            (False, True),
            (True, False),
            np.random.default_rng(1),
            n_iterations=8,
        )
        for _ in range(2)
    ]
    assert [one.correlations for one in runs[0]] == [one.correlations for one in runs[1]]
    assert len(runs[0]) == 2 * (4 + 3)
    assert {one.settings.hollow_lags for one in runs[0]} == {True, False}
    for zero in (False, True):
        best = best_of(runs[0], zero_lag=zero)
        assert len(best.predictions) == 2
        r = [fold.judge(predicted)[0] for fold, predicted in zip(folds, best.predictions, strict=True)]
        np.testing.assert_allclose(r, best.correlations)


def test_a_smaller_model_that_is_surely_as_good_is_taken():
    def one(n, *correlations):
        return Candidate(FitSettings(n_components=n), correlations, (1.0,) * len(correlations))

    assert best_of([one(1, 0.5, 0.5), one(3, 0.899, 0.9), one(6, 0.9, 0.903)]).settings.n_components == 3
    assert best_of([one(3, 0.84, 0.96), one(6, 0.9, 0.903)]).settings.n_components == 6  # as good, but not surely
    assert best_of([one(3, 0.899), one(6, 0.9)]).settings.n_components == 6  # one fold tells nothing


def test_candidates_survive_as_json():
    import json

    one = Candidate(FitSettings(n_components=3, shrinkage=0.1, hollow_lags=True), (0.5, 0.25), (1.0, 0.5))
    again = Candidate.from_dict(json.loads(json.dumps(one.to_dict())))
    assert (again.correlation, again.slope) == (0.375, 0.75)
    assert (again.settings.coupling, again.settings.hollow_lags) == (np.inf, True)
    assert one.to_dict()["coupling"] == "inf"
    assert (
        Candidate.from_dict({**one.to_dict(), "coupling": None}).settings.coupling == np.inf
    )  # as early files have it


def test_agreement():
    measured = np.array([1.0, 2.0, 4.0])
    assert agreement(2 * measured + 1, measured) == pytest.approx((1.0, 0.5))
    assert agreement(np.ones(3), measured) == (0.0, 0.0)
    assert agreement(np.array([1.0, np.nan, 2.0]), measured) == (0.0, 0.0)
