"""Losses and gradients against sums over entries and finite differences."""

import functools

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from antidrome.dynamics.als import alternate, curvatures, iterate, solve_rows
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.latent_step import shared_latent
from antidrome.dynamics.moments import DenseMoments, dense_moments
from antidrome.dynamics.objective import loss_and_gradient, polish, polish_linear
from antidrome.dynamics.pairwise import PairMoments, PairProblem, pair_iterate, pair_loss_and_gradient, pair_moments
from antidrome.dynamics.powers import linear_gradient, linear_latent
from antidrome.dynamics.problem import Fit, Problem
from antidrome.dynamics.starts import multi_start, random_start

LAGS = LagSet((0, 1, 3), np.array([1.0, 0.5, 2.0]))
ROWS = (np.array([0, 1, 2, 3]), np.array([2, 3, 4, 5, 6]))


@pytest.fixture
def moments(rng, data_of):
    return [
        dense_moments(data_of(rng.standard_normal((30 + k, len(r))).cumsum(0), rows=r), LAGS)
        for k, r in enumerate(ROWS)
    ]


@pytest.fixture
def guess(rng):
    latent = rng.standard_normal((3, 2, 2))
    latent[0] = latent[0] @ latent[0].T
    return rng.standard_normal((7, 2)), latent


def block_loss(moments, loadings, latent, hollow_lags=False):
    """½ Σ_k T_k Σ_s w_s Σ_ij (model − Λ̂)², diagonal of lag 0 or of all left out, less the constant, per frame."""
    total, weight = 0.0, sum(m.weight for m in moments)
    for m in moments:
        for s, w in enumerate(LAGS.weights):
            c = loadings[m.rows]
            model = c @ latent[s] @ c.T
            for i in range(len(c)):
                for j in range(len(c)):
                    if i != j or (s and not hollow_lags):
                        total += (
                            0.5 * m.weight * w * ((model - m.covariance[s])[i, j] ** 2 - m.covariance[s][i, j] ** 2)
                        )
    return total / weight


@pytest.mark.parametrize("hollow", [False, True])
def test_loss_is_the_sum_over_pairs(moments, guess, hollow):
    problem = Problem.of(moments, 7, LAGS.weights, hollow_lags=hollow)
    assert loss_and_gradient(problem, *guess)[0] == pytest.approx(block_loss(moments, *guess, hollow), rel=1e-12)


@pytest.mark.parametrize("hollow", [False, True])
def test_gradients_agree_with_finite_differences(moments, guess, hollow):
    problem = Problem.of(moments, 7, LAGS.weights, hollow_lags=hollow)
    loadings, latent = guess
    _, d_loadings, d_latent = loss_and_gradient(problem, loadings, latent)
    by_c = approx_fprime(loadings.ravel(), lambda c: loss_and_gradient(problem, c.reshape(7, 2), latent)[0], 1e-6)
    by_x = approx_fprime(latent.ravel(), lambda x: loss_and_gradient(problem, loadings, x.reshape(3, 2, 2))[0], 1e-6)
    np.testing.assert_allclose(d_loadings.ravel(), by_c, rtol=1e-4, atol=1e-3 * np.abs(by_c).max())
    # X_0 enters the model's own diagonal through its symmetric part only
    np.testing.assert_allclose(d_latent.ravel(), by_x, rtol=1e-4, atol=1e-4 * np.abs(by_x).max())


def test_linear_gradients_agree_with_finite_differences(rng):
    a, b, target = rng.standard_normal((3, 2, 2))
    lags, weight = (0, 1, 4), rng.standard_normal((3, 2, 2))

    def loss(flat):
        return float(((linear_latent(*flat.reshape(2, 2, 2), lags) - target) * weight).sum())

    found = np.concatenate([g.ravel() for g in linear_gradient(a, b, lags, weight)])
    np.testing.assert_allclose(
        found, approx_fprime(np.concatenate([a.ravel(), b.ravel()]), loss, 1e-7), rtol=1e-4, atol=1e-4
    )


def test_pair_loss_is_the_sum_over_pairs(rng, guess):
    loadings, latent = guess
    moments = PairMoments(rng.standard_normal((3, 7, 7)), rng.integers(0, 9, (3, 7, 7)).astype(float))
    weights = moments.weights("pairs")
    expected = 0.0
    for s, w in enumerate(LAGS.weights):
        for i in range(7):
            for j in range(7):
                if moments.count[s, i, j] > 1 and (s or i != j):
                    expected += 0.5 * w * (loadings[i] @ latent[s] @ loadings[j] - moments.covariance[s, i, j]) ** 2
    evaluate = functools.partial(pair_loss_and_gradient, moments, weights, LAGS.weights)
    loss, d_loadings, d_latent = evaluate(loadings, latent)
    assert loss == pytest.approx(expected)
    by_c = approx_fprime(loadings.ravel(), lambda c: evaluate(c.reshape(7, 2), latent)[0], 1e-6)
    by_x = approx_fprime(latent.ravel(), lambda x: evaluate(loadings, x.reshape(3, 2, 2))[0], 1e-6)
    np.testing.assert_allclose(d_loadings.ravel(), by_c, rtol=1e-4, atol=1e-4 * np.abs(by_c).max())
    np.testing.assert_allclose(d_latent.ravel(), by_x, rtol=1e-4, atol=1e-4 * np.abs(by_x).max())


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("n_sessions", [1, 2, 4])
def test_latent_covariances_solve_the_normal_equations(rng, n, n_sessions):
    """Against the n² × n² system of every lag; the last lag is that of every other session alone."""
    lags = LagSet((0, 1, 2), np.ones(3))
    made, grams, targets = [], [], []
    for k in range(n_sessions):
        available = np.array([True, True, k % 2 == 0])
        made.append(DenseMoments(np.arange(9), 50.0 + k, available, np.ones(9), np.zeros((3, 9, 9))))
        loadings, target = rng.standard_normal((9, n)), rng.standard_normal((3, n, n))
        target[0] += target[0].T
        grams.append(loadings.T @ loadings)
        targets.append(target)
    problem = Problem.of(made, 9, lags.weights)
    found = shared_latent(problem, grams, targets, np.zeros((3, n, n)))
    for s in range(3):
        chosen = [k for k in range(n_sessions) if made[k].available[s]]
        normal = sum(made[k].weight * np.kron(grams[k], grams[k]) for k in chosen)
        right = sum(made[k].weight * targets[k][s] for k in chosen)
        np.testing.assert_allclose(found[s].ravel(), np.linalg.solve(normal, right.ravel()), rtol=1e-6, atol=1e-8)


def test_what_no_session_tells_of_the_latent_covariances_stays(rng):
    """Two sessions of one latent direction each: what joins the directions is in neither."""
    made = [DenseMoments(np.arange(4), 9.0, np.ones(1, bool), np.ones(4), np.zeros((1, 4, 4))) for _ in range(2)]
    grams, before = [np.diag([2.0, 0.0]), np.diag([0.0, 3.0])], np.array([[[1.0, 0.25], [0.25, 1.0]]])
    targets = [np.diag([8.0, 0.0])[None], np.diag([0.0, 27.0])[None]]
    found = shared_latent(Problem.of(made, 4, np.ones(1)), grams, targets, before)
    np.testing.assert_allclose(found, [[[2.0, 0.25], [0.25, 3.0]]], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 3])
def test_pair_steps_are_exact(rng, n, monkeypatch):
    """The gradient of the pairwise loss vanishes in X after its step, and in C at an undamped step's end."""
    weights, target = rng.random((3, 7, 7)), rng.standard_normal((3, 7, 7))
    weights[0], target[0] = weights[0] + weights[0].T, target[0] + target[0].T
    moments, start = PairMoments(target, np.full((3, 7, 7), 9.0)), rng.standard_normal((7, n))
    begun = Fit(start, np.tile(np.eye(n), (1, 3, 1, 1)))
    monkeypatch.setattr("antidrome.dynamics.pairwise.PROXIMAL", 1e-12)
    found = pair_iterate(PairProblem.of(moments, weights, LAGS.weights), begun)
    loadings, _ = normalise(start, begun.latent[0])
    loss, _, d_latent = pair_loss_and_gradient(moments, weights, LAGS.weights, loadings, found.latent[0])
    np.testing.assert_allclose(d_latent, 0, atol=1e-7)
    assert found.loss == pytest.approx(loss)
    # C enters twice; its step takes the other C as it was
    moved = 2 * found.loadings - loadings
    for i in range(7):
        gradient = np.zeros(n)
        for s, w in enumerate(LAGS.weights):
            for j in range(7):
                if s == 0 and i == j:
                    continue
                x, c = found.latent[0, s], loadings[j]
                gradient += w * weights[s, i, j] * (moved[i] @ x @ c - target[s, i, j]) * (x @ c)
                gradient += w * weights[s, j, i] * (c @ x @ moved[i] - target[s, j, i]) * (c @ x)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_rows_of_one_pattern_share_a_factor(moments, guess, rng):
    problem = Problem.of(moments, 7, LAGS.weights)
    loadings, latent = guess
    grams = [loadings[m.rows].T @ loadings[m.rows] for m in moments]
    curvature = curvatures(problem, Fit(loadings, latent[None]), grams)
    rhs = rng.standard_normal((7, 2))
    found = solve_rows(problem, rhs, curvature)
    for i in range(7):
        normal = sum(curvature[k] for k in range(2) if i in ROWS[k])
        np.testing.assert_allclose(found[i], np.linalg.solve(normal, rhs[i]), rtol=1e-6)


def test_many_patterns_and_few_agree(moments, guess, rng, monkeypatch):
    problem = Problem.of(moments, 7, LAGS.weights, shrinkage=0.2)
    curvature, rhs = np.array([np.eye(2), np.diag([2.0, 3.0])]), rng.standard_normal((7, 2))
    few = solve_rows(problem, rhs, curvature)
    monkeypatch.setattr("antidrome.dynamics.als.FEW_PATTERNS", 0)
    np.testing.assert_allclose(solve_rows(problem, rhs, curvature), few, rtol=1e-10)


@pytest.mark.parametrize("coupling", [np.inf, 0.1])
def test_exact_covariances_are_recovered(rng, coupling):
    truth, a = rng.standard_normal((30, 2)), np.array([[0.9, 0.3], [-0.2, 0.8]])
    latent = linear_latent(a, np.diag([1.0, 0.7]), LAGS.lags)
    made = []
    for rows in (np.arange(20), np.arange(10, 30)):
        covariance = truth[rows] @ latent @ truth[rows].T
        variance = np.diagonal(covariance[0]).copy()
        np.fill_diagonal(covariance[0], 0)
        made.append(DenseMoments(rows, 100.0, np.ones(3, bool), variance + 1, covariance))
    problem = Problem.of(made, 30, LAGS.weights, coupling)
    fit, _ = multi_start(problem, 2, rng, n_starts=3, n_iterations=300, tolerance=1e-12)
    found = fit.mean_latent(problem.weights)
    np.testing.assert_allclose(
        fit.loadings[:5] @ found[0] @ fit.loadings[25:].T, truth[:5] @ latent[0] @ truth[25:].T, atol=0.02
    )
    np.testing.assert_allclose(
        fit.loadings[:5] @ found[2] @ fit.loadings[25:].T, truth[:5] @ latent[2] @ truth[25:].T, atol=0.02
    )


def test_solvers_lower_the_loss(moments, rng):
    problem = Problem.of(moments, 7, LAGS.weights)
    start = iterate(problem, random_start(problem, 2, rng))
    fit = alternate(problem, start, 30)
    assert fit.loss < start.loss
    polished = polish(problem, fit, 30)
    assert polished.loss <= fit.loss + 1e-9 * abs(fit.loss)
    evaluate = functools.partial(loss_and_gradient, problem)
    linear, dynamics = polish_linear(evaluate, polished.loadings, polished.latent[0], LAGS.lags, 30)
    assert polished.loss <= linear.loss < 0
    np.testing.assert_allclose(linear.latent[0, 1], dynamics @ linear.latent[0, 0], atol=1e-8)


def test_pair_steps_lower_the_loss(rng, data_of):
    values = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 8)) + rng.standard_normal((60, 8))
    values[rng.random(values.shape) < 0.1] = np.nan
    moments = pair_moments([data_of(values)], LAGS, 8)
    fit = Fit(rng.standard_normal((8, 2)), np.tile(np.eye(2), (1, 3, 1, 1)))
    problem = PairProblem.of(moments, moments.weights("counts"), LAGS.weights)
    for _ in range(25):
        fit = pair_iterate(problem, fit)
    assert fit.losses[-1] < fit.losses[0]
    assert max(np.diff(fit.losses[3:])) <= 1e-2 * fit.losses[3]
