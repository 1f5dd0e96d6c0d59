"""Calibration levels are uniform for the right posterior, and show bias and overconfidence where there is some."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from antidrome.mechanism.diagnostics.calibration import (
    Pairs,
    coverage_levels,
    empirical_curve,
    rank_levels,
    tarp_levels,
    uniformity,
)
from antidrome.mechanism.diagnostics.diagnose import _objections, _of_predictive
from antidrome.mechanism.diagnostics.local_c2st import local_c2st
from antidrome.mechanism.diagnostics.predictive import predictive_check
from antidrome.mechanism.posterior import Posterior

N, DRAWS = 400, 200


def pairs(rng, *, shift: float = 0.0, width: float = 1.0) -> Pairs:
    """θ ~ N(0, I₂), x = θ + N(0, I): the posterior is N(x/2, I/2); the samples' is shifted and scaled."""
    u = rng.standard_normal((N, 2))
    x = u + rng.standard_normal((N, 2))
    spread = width * np.sqrt(0.5)
    samples = x[:, None] / 2 + shift + spread * rng.standard_normal((N, DRAWS, 2))
    return Pairs(u, x, np.ones(N), samples)


def density(width: float = 1.0):
    """The density that the samples come from."""
    spread = width * np.sqrt(0.5)

    def log_prob(u: np.ndarray, x: np.ndarray) -> np.ndarray:
        return stats.norm(np.repeat(x, len(u) // len(x), axis=0) / 2, spread).logpdf(u).sum(axis=1)

    return SimpleNamespace(log_prob=log_prob)


def test_the_right_posterior_passes(rng, unchecked_types) -> None:
    found = pairs(rng)
    for levels in (*rank_levels(found).T, coverage_levels(found, density()), tarp_levels(found, seed=1)):
        assert uniformity(levels, found.weights)[1] > 0.01


def test_bias_shows_in_ranks_and_width_in_coverage(rng, unchecked_types) -> None:
    shifted = pairs(rng, shift=0.4)
    deviation, p = uniformity(rank_levels(shifted)[:, 0], shifted.weights)
    assert p < 1e-6
    assert deviation > 0.2
    narrow = pairs(rng, width=0.5)
    deviation, p = uniformity(coverage_levels(narrow, density(0.5)), narrow.weights)
    assert p < 1e-6
    assert deviation < -0.2
    assert uniformity(tarp_levels(narrow, seed=0), narrow.weights)[1] < 1e-3


def test_weights_correct_for_where_pairs_came_from(rng, unchecked_types) -> None:
    """Truths from N(½, 1) instead of the prior look biased; weighted by prior over proposal they do not."""
    u = 0.5 + rng.standard_normal((4000, 1))
    x = u + rng.standard_normal((4000, 1))
    samples = x[:, None] / 2 + np.sqrt(0.5) * rng.standard_normal((4000, DRAWS, 1))
    weights = np.exp(-0.5 * u[:, 0] ** 2 + 0.5 * (u[:, 0] - 0.5) ** 2)
    levels = rank_levels(Pairs(u, x, weights, samples))[:, 0]
    assert uniformity(levels, np.ones(4000))[1] < 1e-6
    assert uniformity(levels, weights)[1] > 0.01


def test_uniformity_is_kolmogorov_smirnov(rng) -> None:
    levels = rng.beta(1.3, 1, 200)
    expected = stats.kstest(levels, "uniform")
    deviation, p = uniformity(levels, np.ones(200))
    assert abs(deviation) == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, rel=0.1)
    curve = empirical_curve(levels, np.ones(200), np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(curve, [0, np.mean(levels <= 0.5), 1])


@pytest.mark.parametrize(("shift", "suspicious"), [(0.0, False), (0.8, True)])
def test_a_classifier_tells_a_wrong_posterior_at_the_observation(rng, shift: float, suspicious: bool) -> None:
    found = pairs(rng, shift=shift)
    here = shift + np.sqrt(0.5) * rng.standard_normal((300, 2))
    outcome = local_c2st(found, found.features, np.zeros(2), here, n_permutations=12, seed=0)
    assert (outcome.statistic > 2 * np.median(outcome.null)) == suspicious
    assert (outcome.p < 0.1) == suspicious


@pytest.mark.parametrize("width", [1.0, 1.3])
def test_the_classifier_seldom_suspects_the_right_posterior(rng, unchecked_types, width: float) -> None:
    """Also where simulations have unequal weights: parameters come from a prior that is too wide."""
    suspicions = 0
    for seed in range(100):
        u = width * rng.standard_normal((80, 2))
        x = u + rng.standard_normal(u.shape)
        samples = x[:, None] / 2 + np.sqrt(0.5) * rng.standard_normal((80, 50, 2))
        weights = np.exp((u**2).sum(axis=1) / 2 * (1 / width**2 - 1))
        there = 0.4 + np.sqrt(0.5) * rng.standard_normal((500, 2))
        found = local_c2st(Pairs(u, x, weights, samples), x, np.full(2, 0.8), there, seed=seed)
        suspicions += found.p < 0.04
    assert suspicions <= 7


def test_many_parameters_do_not_make_a_good_posterior_suspicious(rng, unchecked_types) -> None:
    """Of 30 uniform ranks one in three times some p is below 0.01; the verdict allows for their number."""
    quiet = {"coverage_deviation": 0.0, "coverage_p": 0.5, "tarp_deviation": 0.0, "tarp_p": 0.5}
    local = SimpleNamespace(p=0.5, statistic=0.0, null=np.zeros(1))
    posterior = SimpleNamespace(reports=(), notes=())
    suspicions = 0
    for _ in range(100):
        p = rng.random(30)
        table = xr.Dataset({"rank_p": ("parameter", p)}, {"parameter": [f"p{i}" for i in range(30)]}, quiet)
        suspicions += bool(_objections(table, local, None, posterior, 300.0))
    assert suspicions < 6
    table["rank_p"][3] = 1e-5
    assert "Ranks of p3 are not uniform" in _objections(table, local, None, posterior, 300.0)[0]


def test_predictive_check_counts_tails_and_gaps(rng) -> None:
    simulated = rng.standard_normal((1000, 3))
    simulated[:250, 1] = np.nan
    valid = np.arange(1000) % 10 != 0
    found = predictive_check(np.array([0.0, 5.0, np.nan]), simulated, valid, ("a", "b", "c"), ("mV", "", "s"))
    assert found["median"]["unit"].values.tolist() == ["mV", "", "s"]
    assert found["tail_probability"].attrs["units"] == found["missing"].attrs["units"] == "1"
    assert found["tail_probability"].values[0] > 0.8
    assert found["tail_probability"].values[1] < 0.01
    assert np.isnan(found["tail_probability"].values[2])
    assert found["missing"].values[1] == pytest.approx(0.25, abs=0.02)
    assert found.attrs == {"simulations": 900, "failed": 100}
    nothing = predictive_check(np.zeros(3), simulated, np.zeros(1000, bool), ("a", "b", "c"))
    assert nothing.attrs["simulations"] == 0


def test_gaps_where_the_observation_has_a_feature_or_the_other_way_speak_against_a_posterior(
    rng, unchecked_types
) -> None:
    simulated, valid, names = rng.standard_normal((200, 3)), np.ones(200, bool), ("a", "b", "c")
    simulated[:, 1] = np.nan
    found = predictive_check(np.array([0.0, 0.0, np.nan]), simulated, valid, names)
    posterior = cast(Posterior, SimpleNamespace(unrecorded=None))
    assert _of_predictive(found, posterior)[0] == "Simulations at the posterior do not give the observed b."
    assert "what the observation lacks (c)" in _of_predictive(found, posterior)[1]
    hidden = cast(Posterior, SimpleNamespace(unrecorded=np.array([False, False, True])))
    assert len(_of_predictive(found, hidden)) == 1
    simulated[:10] = [0.0, 0.0, np.nan]
    assert not _of_predictive(predictive_check(np.array([0.0, 0.0, np.nan]), simulated, valid, names), posterior)
