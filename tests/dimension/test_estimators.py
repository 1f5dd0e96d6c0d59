"""Estimators against closed forms, brute force, and points whose dimension is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.stats import special_ortho_group

from antidrome.dimension import (
    TwoNN,
    adaptive_dimension,
    estimate,
    gride,
    levina_bickel,
    local_dimension,
    nearest_neighbours,
    paper_error_bar,
)
from antidrome.dimension.likelihoods import gride_likelihood
from antidrome.dimension.ratios import ratios
from antidrome.dimension.two_nn import (
    bayes,
    estimate_from,
    goodness_of_fit,
    line_fit,
    maximum_likelihood,
)
from antidrome.dimension.uncertainty import uncertainty
from antidrome.errors import InputError


def graph_of(points, k=2, **options):
    return nearest_neighbours(points, k, progress=False, **options)


def torus(rng, n, d):
    """Points on a flat torus, which has no border and no curvature."""
    angle = 2 * np.pi * rng.random((n, d))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def pareto(rng, n, d):
    return np.exp(rng.exponential(1 / d, n))


def test_the_fit_is_the_line_through_the_origin(rng) -> None:
    mu = pareto(rng, 500, 7)
    x = np.log(np.sort(mu))[:450]
    y = -np.log(1 - np.arange(1, 451) / 500)
    fit = line_fit(mu)
    assert fit.dimension == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0], rel=1e-12)
    assert fit.pearson_r == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-12)
    assert np.isfinite(line_fit(mu, 0.0).dimension)
    assert line_fit(mu, 0.0).log_mu.size == 499


def test_likelihoods_are_their_closed_forms(rng) -> None:
    log_mu = np.sort(np.log(pareto(rng, 200, 4)))
    mu = np.exp(log_mu)
    assert maximum_likelihood(mu) == pytest.approx(199 / log_mu.sum())
    total = log_mu[:180].sum() + 20 * log_mu[179]
    assert estimate_from(log_mu, "censored", 0.1) == pytest.approx(179 / total)
    assert estimate_from(log_mu, "censored", 0.0) == pytest.approx(maximum_likelihood(mu))
    posterior = bayes(mu)
    assert posterior.mean == pytest.approx((1e-3 + 200) / (1e-3 + log_mu.sum()), rel=1e-12)
    low, high = posterior.interval(0.9)
    assert low < posterior.mean < high
    assert gride_likelihood(log_mu, 1, 2) == pytest.approx(200 / log_mu.sum())


def test_gride_is_at_the_maximum_of_its_likelihood(rng) -> None:
    log_mu = np.log(1 + rng.random(300))
    n1, n2 = 4, 8

    def log_likelihood(d):
        return np.sum(np.log(d) + (n2 - n1 - 1) * np.log(np.expm1(d * log_mu)) - ((n2 - 1) * d + 1) * log_mu)

    d = gride_likelihood(log_mu, n1, n2)
    assert log_likelihood(d) > max(log_likelihood(d * 1.001), log_likelihood(d / 1.001))


@pytest.mark.parametrize("method", ["fit", "mle", "censored", "bayes"])
def test_unbiased_on_pareto_ratios(method, rng) -> None:
    values = [estimate_from(np.sort(np.log(pareto(rng, 500, 10))), method, 0.1) for _ in range(200)]
    assert np.mean(values) == pytest.approx(10, abs=0.12)


def test_goodness_of_fit_tells(rng) -> None:
    assert goodness_of_fit(pareto(rng, 2000, 5), 5.0) < 0.04
    assert goodness_of_fit(1 + rng.random(2000), 2.0) > 0.1


@pytest.mark.parametrize("d", [2, 5])
def test_every_estimator_finds_a_torus(d, rng) -> None:
    graph = graph_of(torus(rng, 2000, d), 40)
    assert line_fit(ratios(graph).mu).dimension == pytest.approx(d, rel=0.12)
    np.testing.assert_allclose(gride(graph, (1, 2, 4))["dimension"], d, rtol=0.12)
    assert levina_bickel(graph, 10)[0] == pytest.approx(d, rel=0.1)
    assert adaptive_dimension(graph).dimension == pytest.approx(d, rel=0.15)  # its scale is that of 40 neighbours
    assert float(local_dimension(graph, 20)["dimension"].median()) == pytest.approx(d, rel=0.12)


def test_adaptive_neighbourhoods_end_where_density_changes(rng) -> None:
    even = adaptive_dimension(graph_of(torus(rng, 1500, 2), 64))
    uneven = np.vstack([rng.standard_normal((1100, 3)), 30 * rng.standard_normal((400, 3))])
    assert even.converged
    assert even.share_at_limit == 1.0
    adapted = adaptive_dimension(graph_of(uneven, 64))
    assert adapted.n_neighbours < 0.9 * even.n_neighbours
    assert adapted.dimension == pytest.approx(3, rel=0.1)


def test_two_scales_show_in_gride(rng) -> None:
    curve = np.concatenate([torus(rng, 2000, 1), np.zeros((2000, 8))], axis=1)
    noisy = curve + 0.01 * rng.standard_normal(curve.shape)
    dimension = gride(graph_of(noisy, 256))["dimension"].values
    assert dimension[0] > 2.5
    assert dimension[-1] < 1.3


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_rotation_scale_order_and_embedding_do_not_matter(seed, scale) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((60, 4))
    rotation = special_ortho_group.rvs(4, random_state=seed % 2**31)
    embedding = np.linalg.qr(rng.standard_normal((30, 4)))[0]
    value = line_fit(ratios(graph_of(points)).mu).dimension
    for moved in (points @ rotation, points * scale, points[rng.permutation(60)], points @ embedding.T + 5.0):
        assert line_fit(ratios(graph_of(moved)).mu).dimension == pytest.approx(value, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "method"), [(1, "mle"), (3, "fit"), (8, "fit")])
def test_the_interval_covers(d, method) -> None:
    covered = []
    for seed in range(120):
        points = np.random.default_rng(seed).random((300, d))
        distance, index = cKDTree(points, boxsize=1.0).query(points, 3)  # neither border nor curvature
        graph = graph_of((distance[:, 1:], index[:, 1:]))
        found = ratios(graph)
        error = uncertainty(graph, found, method, 0.1, level=0.9, seed=seed)
        covered.append(error.low <= d <= error.high)
    assert 0.82 <= np.mean(covered) <= 0.96


def test_the_papers_bar_is_smaller_than_the_error(rng) -> None:
    graph = graph_of(rng.standard_normal((500, 5)), 14)
    mean, bar = paper_error_bar(graph, seed=1)
    found = ratios(graph)
    error = uncertainty(graph, found, "fit", 0.1)
    assert mean == pytest.approx(line_fit(found.mu).dimension, rel=0.1)
    assert 1.2 < error.standard_error / bar < 3.5
    with pytest.raises(InputError, match="too few to find two"):
        paper_error_bar(graph_of(rng.standard_normal((500, 5))))


def test_the_papers_bar_is_that_of_searches_in_subsamples(rng) -> None:
    points = rng.standard_normal((150, 3))
    from antidrome.core.seeds import generator

    draw, values = generator(4, "dimension/paper-error-bar"), []
    for _ in range(5):
        inside = np.sort(draw.permutation(150)[:135])
        values.append(line_fit(ratios(graph_of(points[inside])).mu).dimension)
    mean, bar = paper_error_bar(graph_of(points, 20), n_repeats=5, seed=4)
    assert mean == pytest.approx(np.mean(values), rel=1e-12)
    assert bar == pytest.approx(np.std(values), rel=1e-9)


def test_copies_are_dropped_merged_or_refused(rng) -> None:
    points = rng.standard_normal((1000, 6))
    twice = np.vstack([points, points[:60]])
    clean = line_fit(ratios(graph_of(points)).mu).dimension
    dropped = ratios(graph_of(twice))
    assert dropped.n_zero == 120
    assert "120 of 1,060 points have an exact copy" in dropped.notes[0]
    assert line_fit(dropped.mu).dimension == pytest.approx(clean, rel=0.05)
    merged = graph_of(twice, duplicates="merge")
    assert line_fit(ratios(merged).mu).dimension == pytest.approx(clean, rel=1e-12)
    assert uncertainty(merged, ratios(merged), "fit", 0.1).standard_error > 0


def test_what_is_odd_is_said(rng) -> None:
    close = rng.standard_normal((300, 5))
    close = np.vstack([close, close[:20] + 1e-9])
    assert ratios(graph_of(close)).n_near_duplicates == 40
    assert any("near-duplicate" in note for note in ratios(graph_of(close)).notes)
    counts = rng.poisson(2.0, (500, 12))
    notes = " ".join(ratios(graph_of(counts)).notes)
    assert "whole numbers" in notes
    assert "equally far" in notes
    with pytest.raises(InputError, match=r"Only \d of 12 points have a usable ratio"):
        ratios(graph_of(np.vstack([rng.random((2, 3)), np.repeat(rng.random((5, 3)), 2, 0)])))


def test_local_dimension_differs_between_parts(rng) -> None:
    line = np.hstack([rng.random((600, 1)), np.zeros((600, 5))])
    cloud = rng.random((600, 6)) + 10
    local = local_dimension(graph_of(np.vstack([line, cloud]), 20))["dimension"].values
    assert np.median(local[:600]) == pytest.approx(1, abs=0.2)
    assert np.median(local[600:]) > 4
    copied = local_dimension(graph_of(np.vstack([line, line[:1]]), 20))
    assert np.isnan(copied["dimension"].values[[0, -1]]).all()
    assert "2 points" in copied.attrs["notes"][0]


def test_all_at_once(rng) -> None:
    points = torus(rng, 600, 2)
    result = estimate(points, n_neighbours=20, progress=False)
    assert set(result["estimator"].values) == {"two_nn", "mle", "censored", "bayes", "levina_bickel", "abide"}
    np.testing.assert_allclose(result["dimension"], 2, rtol=0.2)
    assert (result["low"] < result["dimension"]).all()
    assert result.attrs["verdict"] == "reliable"
    assert result["pca_dimension"] == result["pca_dimension_standardised"] == 4
    unequal = estimate(points * [100, 1, 1, 1], n_neighbours=20, progress=False)
    assert (unequal["pca_dimension"], unequal["pca_dimension_standardised"]) == (1, 4)
    neighbours = graph_of(points, 20)
    given_ = estimate((neighbours["distance"].values, neighbours["neighbour"].values))
    np.testing.assert_allclose(given_["dimension"], result["dimension"], rtol=1e-9)
    assert "block_dimension" not in given_
    again = estimate(points, n_neighbours=20, progress=False)
    assert again.identical(result)
    wide = estimate(points, n_neighbours=20, level=0.99, blocks=None, linear=False, progress=False)
    assert (wide["low"] < result["low"]).all()
    assert (wide["high"] > result["high"]).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["copies", "counts", "line", "wide", "scales", "constant"]))
def test_never_a_silent_nan_or_zero(seed, kind) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 60))
    points = {
        "copies": lambda: np.repeat(rng.random((n, 3)), rng.integers(1, 4, n), axis=0),
        "counts": lambda: rng.poisson(1.0, (n, 4)),
        "line": lambda: np.arange(n)[:, None] * np.ones((1, 3)),
        "wide": lambda: rng.standard_normal((n, 500)),
        "scales": lambda: rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-200, 100, (n, 1)),
        "constant": lambda: np.hstack([rng.random((n, 1)), np.full((n, 3), 2.0)]),
    }[kind]()
    try:
        result = estimate(points, n_neighbours=12, blocks=None, linear=False, progress=False)
    except InputError as error:
        assert len(str(error)) > 30
        return
    assert np.isfinite(result["dimension"]).all()
    assert (result["dimension"] > 0).all()
    assert np.isfinite(result["standard_error"]).all()


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda points, graph: gride(graph, 2), "ranks is 2; expected several positive whole numbers"),
        (lambda points, graph: gride(graph, (1.5,)), r"ranks is \(1.5,\)"),
        (lambda points, graph: gride(graph, (0, 1)), "ranks is"),
        (lambda points, graph: gride(graph, (1, 8)), "needs 16 neighbours; there are 8"),
        (lambda points, graph: gride(points), "type ndarray is no neighbour graph"),
        (lambda points, graph: levina_bickel(points, 10), r"make one of points by nearest_neighbours\(points, 10\)"),
        (lambda points, graph: levina_bickel(graph, 1), "n_neighbours = 1, expected a whole number, at least 2"),
        (lambda points, graph: local_dimension(points), "no neighbour graph"),
        (lambda points, graph: adaptive_dimension(points), r"nearest_neighbours\(points, 64\)"),
        (lambda points, graph: paper_error_bar(points), r"nearest_neighbours\(points, 12\)"),
        (lambda points, graph: TwoNN(level="90%").fit(points, progress=False), "level is '90%'"),
        (lambda points, graph: TwoNN(n_bootstrap=20.5).fit(points, progress=False), "n_bootstrap = 20.5, expected a"),
        (lambda points, graph: estimate(points, blocks=3, progress=False), "blocks is 3; expected several"),
    ],
)
def test_arguments_of_a_wrong_kind_are_said_in_a_sentence(rng, use, message) -> None:
    points = rng.standard_normal((120, 3))
    with pytest.raises(InputError, match=message):
        use(points, graph_of(points, 8))


def test_the_bayes_row_has_the_error_of_the_estimator(rng) -> None:
    points = rng.random((300, 2))
    row = estimate(points, blocks=None, linear=False, progress=False).sel(estimator="bayes")
    alone = TwoNN("bayes").fit(points, progress=False)
    expected = [alone.dimension_, alone.standard_error_, alone.low_, alone.high_]
    assert [float(row[name]) for name in ("dimension", "standard_error", "low", "high")] == pytest.approx(expected)


def test_few_points_are_measured_without_the_papers_bar(rng) -> None:
    points = rng.normal(size=(13, 3))
    found = estimate(np.concatenate([points, points[:1]]), progress=False)
    assert np.isfinite(found["dimension"].sel(estimator="two_nn"))
    assert "paper_sd" not in found
    assert any(note.startswith("No error bar as of the paper: ") for note in found.attrs["notes"])
