"""Laws that hold for any overlap graph and any set of lags."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from antidrome.dynamics import as_population, overlap_report, simulate
from antidrome.dynamics.als import alternate, iterate, loss_of
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.gauge import canonical, normalise
from antidrome.dynamics.lags import joined, lag_set, lagged_products
from antidrome.dynamics.moments import dense_moments
from antidrome.dynamics.objective import loss_and_gradient
from antidrome.dynamics.problem import Fit, Problem
from antidrome.dynamics.starts import representatives

N = 8


@st.composite
def graphs(draw):
    """Sessions that see any neurons, at least three each; lags with any gaps and weights; a seed."""
    n_sessions = draw(st.integers(1, 4))
    rows = [sorted(draw(st.sets(st.integers(0, N - 1), min_size=3))) for _ in range(n_sessions)]
    lags = sorted(draw(st.sets(st.integers(0, 7), min_size=1, max_size=4)))
    weights = [draw(st.floats(0.1, 3.0)) for _ in lags]
    coupling = draw(st.sampled_from([np.inf, 0.03, 1.0]))
    return [np.array(one) for one in rows], (lags, weights), coupling, draw(st.integers(0, 2**16)), draw(st.booleans())


def problem_of(rows, lags, coupling, seed, hollow_lags):
    rng, lags = np.random.default_rng(seed), lag_set(*lags, 2)
    recordings = {}
    for k, one in enumerate(rows):
        latents = rng.standard_normal((20 + 3 * k, 2)).cumsum(0)
        values = latents @ rng.standard_normal((2, len(one))) + rng.standard_normal((len(latents), len(one)))
        recordings[str(k)] = (values, [str(row) for row in one])
    population = as_population(recordings)
    places = population.labels.astype(int)
    moments = []
    for session in population.sessions:
        made = dense_moments(SessionData(session, np.ones(len(session.rows))), lags)
        moments.append(dataclasses.replace(made, rows=places[session.rows]))
    return Problem.of(moments, N, lags.weights, coupling, hollow_lags=hollow_lags)


def guess_of(problem, seed):
    rng = np.random.default_rng([seed, 1])
    latent = rng.standard_normal((1 if problem.is_shared else len(problem.moments), len(problem.lag_weights), 2, 2))
    latent[:, 0] = latent[:, 0] @ latent[:, 0].transpose(0, 2, 1)
    return Fit(rng.standard_normal((N, 2)), latent)


def loss(problem, fit):
    grams = [fit.loadings[m.rows].T @ fit.loadings[m.rows] for m in problem.moments]
    return loss_of(problem, fit, grams, [m.products(fit.loadings[m.rows])[0] for m in problem.moments])


def seen(problem):
    return np.unique(np.concatenate([m.rows for m in problem.moments]))


@given(graphs())
def test_covariances_and_loss_do_not_depend_on_the_gauge(graph):
    problem = problem_of(*graph[:2], np.inf, *graph[3:])
    fit = guess_of(problem, graph[3])
    expected = fit.loadings @ fit.latent[0] @ fit.loadings.T
    change = np.random.default_rng(graph[3]).standard_normal((2, 2)) + 2 * np.eye(2)
    inverse = np.linalg.inv(change)
    turned = Fit(fit.loadings @ inverse, change @ fit.latent @ change.T)
    scale = max(abs(loss(problem, fit)), 1.0)
    assert loss(problem, turned) == pytest.approx(loss(problem, fit), abs=1e-8 * scale)
    for loadings, latent in (
        normalise(turned.loadings, turned.latent[0]),
        canonical(turned.loadings, turned.latent[0])[:2],
    ):
        np.testing.assert_allclose(loadings @ latent @ loadings.T, expected, atol=1e-7 * np.abs(expected).max())


@given(graphs())
def test_permuted_neurons_permute_every_step(graph):
    problem = problem_of(*graph)
    fit, order = guess_of(problem, graph[3]), np.random.default_rng(graph[3]).permutation(N)
    place = np.argsort(order)
    moments = [dataclasses.replace(m, rows=place[m.rows]) for m in problem.moments]
    other = Problem.of(moments, N, problem.lag_weights, graph[2], hollow_lags=graph[4])
    one = iterate(problem, fit)
    two = iterate(other, dataclasses.replace(fit, loadings=fit.loadings[order]))
    a, b = (
        one.loadings @ one.latent[:, 0].mean(0) @ one.loadings.T,
        two.loadings @ two.latent[:, 0].mean(0) @ two.loadings.T,
    )
    assert two.loss == pytest.approx(one.loss, rel=1e-6, abs=1e-8)
    used = np.ix_(seen(problem), seen(problem))
    np.testing.assert_allclose(b[np.ix_(place, place)][used], a[used], atol=1e-6 * np.abs(a[used]).max())


@given(graphs())
def test_permuted_and_doubled_sessions_change_nothing(graph):
    problem = problem_of(*graph)
    fit, n = guess_of(problem, graph[3]), len(problem.moments)
    one = iterate(problem, fit)
    if n == 1:  # a single session is coupled to itself alone, its double to the first
        problem = dataclasses.replace(problem, coupling=np.inf)
    for order in (list(range(n))[::-1], [*range(n), *range(n)]):
        moments = [problem.moments[k] for k in order]
        latent = fit.latent if problem.is_shared else fit.latent[order]
        other = Problem.of(moments, N, problem.lag_weights, problem.coupling, hollow_lags=graph[4])
        two = iterate(other, dataclasses.replace(fit, latent=latent))
        assert two.loss == pytest.approx(one.loss, rel=1e-6, abs=1e-8)
        used = seen(problem)
        scale = np.abs(one.loadings[used]).max()
        np.testing.assert_allclose(two.loadings[used], one.loadings[used], atol=1e-6 * scale)


@given(graphs())
def test_the_gradient_agrees_with_a_difference_along_any_direction(graph):
    problem = problem_of(graph[0], graph[1], np.inf, *graph[3:])
    fit, rng = guess_of(problem, graph[3]), np.random.default_rng([graph[3], 2])
    dc, dx = rng.standard_normal(fit.loadings.shape), rng.standard_normal(fit.latent[0].shape)
    dx[0] = dx[0] + dx[0].T
    _, gc, gx = loss_and_gradient(problem, fit.loadings, fit.latent[0])
    step = 1e-5
    high, low = (loss_and_gradient(problem, fit.loadings + h * dc, fit.latent[0] + h * dx)[0] for h in (step, -step))
    along = float((gc * dc).sum() + (gx * dx).sum())
    assert (high - low) / (2 * step) == pytest.approx(along, rel=1e-4, abs=1e-4 * max(abs(low), 1.0))


@settings(max_examples=20)
@given(graphs())
def test_any_graph_lowers_its_loss(graph):
    problem = problem_of(*graph)
    fit = alternate(problem, guess_of(problem, graph[3]), 25)
    assert np.isfinite(fit.loadings[seen(problem)]).all()
    assert fit.losses[-1] <= fit.losses[0] + 1e-9 * abs(fit.losses[0])


@given(st.lists(st.integers(-1, 3), min_size=2, max_size=14), st.integers(0, 9), st.integers(0, 99))
def test_lags_never_cross_a_gap(segment, lag, seed):
    segment = np.array(segment)
    z = np.random.default_rng(seed).standard_normal((len(segment), 2))
    expected = np.zeros((2, 2))
    for t in range(len(segment) - lag):
        if segment[t] >= 0 and segment[t + lag] == segment[t]:
            expected += np.outer(z[t + lag], z[t])
    np.testing.assert_allclose(lagged_products(z, segment, [lag])[0], expected, atol=1e-12)
    assert joined(segment, lag).sum() == sum(
        segment[t] >= 0 and segment[t + lag] == segment[t] for t in range(len(segment) - lag)
    )


@given(graphs(), st.integers(1, 4))
def test_overlap_is_counted_right(graph, n_components):
    rng = np.random.default_rng(graph[3])
    rows = graph[0]
    recordings = {str(k): (rng.standard_normal((4, len(one))), one.astype(str)) for k, one in enumerate(rows)}
    report = overlap_report(recordings, n_components)
    sets = [set(one.tolist()) for one in rows]
    groups = list(range(len(sets)))
    for _ in sets:
        for a in range(len(sets)):
            for b in range(len(sets)):
                if len(sets[a] & sets[b]) >= n_components:
                    groups[a] = groups[b] = min(groups[a], groups[b])
    assert report.n_groups == len(set(groups))
    assert [[len(a & b) for b in sets] for a in sets] == report.shared.tolist()
    assert len(report.warnings) == report.n_groups - 1
    everything = sorted(set().union(*sets))
    pairs = [(i, j) for i in everything for j in everything if i < j]
    never = np.mean([not any(i in one and j in one for one in sets) for i, j in pairs])
    assert report.share_never_together == pytest.approx(never, abs=1e-12)


@given(st.integers(0, 999), st.booleans())
def test_sparse_events_are_centred_implicitly(seed, with_gaps):
    rng = np.random.default_rng(seed)
    events = rng.poisson(0.15, (30, 6)).astype(float)
    events[0] = 1.0
    spans = {"s": [(0, 12), (15, 30)]} if with_gaps else None
    dense, sparse = (
        as_population({"s": x}, segments=spans).sessions[0] for x in (events, scipy.sparse.csr_array(events))
    )
    for name in ("mean", "variance", "n_observed"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), atol=1e-12)
    gain = 1 / np.sqrt(dense.variance)
    a, b = SessionData(dense, gain), SessionData(sparse, gain)
    loadings, mixture = rng.standard_normal((len(gain), 2)), rng.standard_normal((30, 2))
    np.testing.assert_allclose(b.project(loadings), a.project(loadings), atol=1e-10)
    np.testing.assert_allclose(b.back_project(mixture), a.back_project(mixture), atol=1e-10)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(1, 50), st.integers(1, 9))
def test_every_pattern_is_represented(pattern_of, n_some, at_least):
    pattern_of = np.unique(pattern_of, return_inverse=True)[1]
    chosen = representatives(pattern_of, n_some, at_least, np.random.default_rng(0))
    assert (np.diff(chosen) > 0).all()
    for pattern in np.unique(pattern_of):
        size = (pattern_of == pattern).sum()
        assert (pattern_of[chosen] == pattern).sum() >= min(size, at_least)


def test_a_large_population_is_known_from_a_part_of_it(monkeypatch):
    """The path for tens of thousands of neurons, on a small population."""
    import antidrome as ad

    truth = simulate(120, 2, 600, seed=5)
    made = {"a": (truth.activity[:300, :70], range(70)), "b": (truth.activity[300:, 50:], range(50, 120))}
    given = {
        "solver": "sketch",
        "shrinkage": 0.0,
        "coupling": 0.03,
        "zero_lag": "never",
        "seed": 1,
        "private_noise": "white",
    }
    whole = ad.StitchedLDS(2, **given).fit(made, progress=False)
    monkeypatch.setattr("antidrome.dynamics.solving.MANY_NEURONS", 50)
    monkeypatch.setattr("antidrome.dynamics.starts.SOME_NEURONS", 60)
    part = ad.StitchedLDS(2, **given).fit(made, progress=False)
    a, b = (one.predict_covariance(np.arange(50), np.arange(70, 120)).values.ravel() for one in (whole, part))
    assert np.corrcoef(a, b)[0, 1] > 0.98
    assert len(part.losses_) <= 20
