"""Standard errors in closed form: against the bootstrap, finite differences, and a plain sum over pairs."""

import numpy as np
import pytest
import xarray as xr

from antidrome.dimension import TwoNN, adaptive_dimension, nearest_neighbours, paper_error_bar
from antidrome.dimension.influence import influence
from antidrome.dimension.ratios import ratios
from antidrome.dimension.two_nn import estimate_from
from antidrome.dimension.uncertainty import (
    PRIOR_POINTS,
    bootstrap,
    independent_error,
    neighbour_inflation,
    shared_inflation,
    uncertainty,
    uniform_inflation,
)
from antidrome.errors import InputError


@pytest.mark.parametrize("method", ["fit", "mle", "censored"])
@pytest.mark.parametrize("discard_fraction", [0.05, 0.1, 0.4])
def test_the_closed_form_is_the_limit_of_the_bootstrap(method, discard_fraction, rng) -> None:
    log_mu = rng.exponential(1 / 7, 1500)
    replicates = bootstrap(np.sort(log_mu), method, discard_fraction, 1500, 0)
    error = independent_error(influence(log_mu, method, discard_fraction))
    assert error == pytest.approx(np.std(np.log(replicates), ddof=1), rel=0.1)


@pytest.mark.parametrize("method", ["fit", "mle"])
def test_influence_is_the_change_when_a_ratio_counts_more(method, rng) -> None:
    log_mu = rng.exponential(0.2, 4000)
    effect = influence(log_mu, method, 0.1)
    before = np.log(estimate_from(np.sort(log_mu), method, 0.1))
    for place in (0, 10, 100, 999):
        more = np.sort(np.append(log_mu, np.repeat(log_mu[place], 40)))
        change = (np.log(estimate_from(more, method, 0.1)) - before) * (log_mu.size + 40) / 40
        assert effect[place] == pytest.approx(change, abs=0.1)
    assert abs(effect.mean()) < 1e-12


def test_influence_does_not_ask_for_order_or_scale(rng) -> None:
    log_mu = rng.exponential(0.2, 300)
    turn = rng.permutation(300)
    for method in ("fit", "censored", "mle", "bayes"):
        effect = influence(log_mu, method, 0.1)
        np.testing.assert_allclose(influence(log_mu[turn], method, 0.1), effect[turn], atol=1e-12)
        np.testing.assert_allclose(influence(1e-170 * log_mu, method, 0.1), effect, atol=1e-9)


def test_inflation_is_the_sum_over_neighbouring_pairs(rng) -> None:
    graph = nearest_neighbours(rng.random((200, 3)), 2, progress=False)
    found = ratios(graph)
    deviation = np.zeros(200)
    deviation[found.used] = np.log(found.mu) - np.log(found.mu).mean()
    near = np.zeros((200, 200), bool)
    near[np.arange(200)[:, None], graph["neighbour"].values] = True
    extra = deviation @ ((near | near.T) @ deviation) / (deviation @ deviation)
    assert neighbour_inflation(graph, found) == pytest.approx(1 + extra, rel=1e-10)
    effect = deviation[found.used]
    weight = 200 / (200 + PRIOR_POINTS)
    drawn = uniform_inflation(3.0) + weight * (1 + extra - uniform_inflation(3.0))
    assert shared_inflation(effect, found.used, graph["neighbour"].values, 3.0) == pytest.approx(drawn, rel=1e-10)


def test_neighbours_that_are_not_known_have_the_inflation_of_uniform_points(rng) -> None:
    distances = np.sort(rng.random((100, 2)), axis=1)
    graph = nearest_neighbours((distances, None), 2, progress=False)
    assert isinstance(graph, xr.Dataset)
    assert 1.4 < uncertainty(graph, ratios(graph), "fit", 0.1).inflation <= uniform_inflation(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_the_interval_covers_nine_times_in_ten(d) -> None:
    from scipy.spatial import cKDTree

    hits = []
    for seed in range(400):
        points = np.random.default_rng([d, seed]).random((400, d))
        distance, index = cKDTree(points, boxsize=1.0).query(points, 3)
        graph = nearest_neighbours((distance[:, 1:], index[:, 1:]), 2, progress=False)
        error = uncertainty(graph, ratios(graph), "fit", 0.1)
        hits.append(error.low <= d <= error.high)
    assert 0.85 <= np.mean(hits) <= 0.95


def test_rows_of_a_graph_that_were_sorted_or_selected_keep_their_neighbours(rng) -> None:
    """Neighbours are named by the numbers of their points, not by where these stand now."""
    graph = nearest_neighbours(rng.uniform(size=(200, 3)), 16, progress=False)
    whole, turned = (TwoNN().fit(some, progress=False) for some in (graph, graph.isel(point=rng.permutation(200))))
    assert turned.standard_error_ == pytest.approx(whole.standard_error_)
    assert adaptive_dimension(graph.isel(point=slice(None, None, -1))) == pytest.approx(adaptive_dimension(graph))
    half = graph.isel(point=slice(100, 200))
    alone = TwoNN().fit((half["distance"].values,), progress=False)
    assert TwoNN().fit(half, progress=False).interval_ == pytest.approx(alone.interval_)
    for measure in (adaptive_dimension, paper_error_bar):
        with pytest.raises(InputError, match="or a graph with all its points"):
            measure(half)
