"""Priors: densities against scipy, maps against their inverses and finite differences, bad input in one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from antidrome.errors import InputError
from antidrome.mechanism.priors import (
    LogNormal,
    LogUniform,
    MultivariateNormal,
    Normal,
    Prior,
    TruncatedNormal,
    Uniform,
    as_prior,
)

COVARIANCE = np.array([[1.0, 0.6], [0.6, 2.0]])
CASES = {
    "uniform": (Uniform(-2, 5), stats.uniform(-2, 7)),
    "log-uniform": (LogUniform(0.1, 50), stats.loguniform(0.1, 50)),
    "normal": (Normal(3, 2), stats.norm(3, 2)),
    "log-normal": (LogNormal(-0.1, 0.5), stats.lognorm(0.5, scale=np.exp(-0.1))),
    "truncated": (TruncatedNormal(1, 2, 0, 4), stats.truncnorm(-0.5, 1.5, 1, 2)),
    "scipy": (stats.gamma(2, scale=3), stats.gamma(2, scale=3)),
}


@pytest.mark.parametrize("case", CASES)
def test_density_and_samples_are_those_of_scipy(case: str) -> None:
    ours, theirs = CASES[case]
    prior = Prior({"a": ours})
    theta = prior.sample(seed=3, n_samples=4000)
    np.testing.assert_allclose(prior.log_prob(theta), theirs.logpdf(theta[:, 0]), rtol=1e-9)
    assert stats.kstest(theta[:, 0], theirs.cdf).pvalue > 0.01
    assert prior.inside(theta).all()


@pytest.mark.parametrize("case", CASES)
def test_map_is_invertible_and_its_jacobian_is_the_derivative(case: str) -> None:
    prior = Prior({"a": CASES[case][0]})
    u = np.linspace(-4, 4, 41)[:, None]
    np.testing.assert_allclose(prior.to_unconstrained(prior.from_unconstrained(u)), u, atol=1e-6)
    step = 1e-5
    slope = (prior.from_unconstrained(u + step) - prior.from_unconstrained(u - step))[:, 0] / (2 * step)
    np.testing.assert_allclose(prior.log_abs_det_jacobian(u), np.log(slope), atol=1e-4)
    np.testing.assert_allclose(
        prior.log_prob(prior.from_unconstrained(u)) + prior.log_abs_det_jacobian(u),
        prior.log_prob_unconstrained(u),
        atol=1e-8,
    )


def test_circular_distributions_end_after_one_turn() -> None:
    """SciPy says that they are everywhere, repeats their density, and draws from one turn."""
    prior = Prior({"angle": stats.vonmises(2.0, loc=1.0)})
    np.testing.assert_allclose(prior.bounds[0], [1 - np.pi, 1 + np.pi])
    inside, outside = prior.log_prob([[1.0 + 3.0], [1.0 + 3.3]])
    assert inside == pytest.approx(stats.vonmises(2.0).logpdf(3.0))
    assert outside == -np.inf
    assert prior.inside(prior.sample(1000, seed=0)).all()


def test_gaussian_block_keeps_its_correlations() -> None:
    prior = Prior({"x": Uniform(0, 1), ("a", "b"): MultivariateNormal([1, -1], COVARIANCE), "y": Normal(0, 1)})
    theta = prior.sample(seed=0, n_samples=20_000)
    np.testing.assert_allclose(np.cov(theta[:, 1:3].T), COVARIANCE, atol=0.08)
    expected = stats.multivariate_normal([1, -1], COVARIANCE).logpdf(theta[:, 1:3]) + stats.norm.logpdf(theta[:, 3])
    np.testing.assert_allclose(prior.log_prob(theta), expected, atol=1e-10)
    u = prior.to_unconstrained(theta)
    np.testing.assert_allclose(
        prior.log_prob(theta) + prior.log_abs_det_jacobian(u), prior.log_prob_unconstrained(u), atol=1e-9
    )
    assert Prior.from_dict(prior.to_dict()) == prior


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.lists(st.floats(-36, 36), min_size=1, max_size=5))
def test_no_coordinate_leaves_the_bounds(low: float, width: float, coordinates: list[float]) -> None:
    prior = Prior({"a": Uniform(low, low + width)})
    u = np.array(coordinates)[:, None]
    theta = prior.from_unconstrained(u)
    assert prior.inside(theta).all()
    assert np.isfinite(prior.log_prob(theta)).all()


@pytest.mark.parametrize("case", CASES)
def test_a_value_on_the_bound_has_a_finite_coordinate(case: str) -> None:
    prior = Prior({"a": CASES[case][0]})
    finite = prior.bounds[np.isfinite(prior.bounds)]
    if finite.size:
        assert np.isfinite(prior.to_unconstrained(finite[:, None])).all()


def test_seed_decides() -> None:
    prior = Prior({"a": Uniform(0, 1)})
    assert np.array_equal(prior.sample(seed=5, n_samples=9), prior.sample(seed=5, n_samples=9))
    assert not np.array_equal(prior.sample(seed=5, n_samples=9), prior.sample(seed=6, n_samples=9))


def test_written_and_read_back() -> None:
    prior = Prior({name: case[0] for name, case in CASES.items()}, units={"uniform": "mS/cm²"})
    again = Prior.from_dict(prior.to_dict())
    theta = prior.sample(seed=1, n_samples=50)
    assert again == prior
    assert again.units[0] == "mS/cm²"
    np.testing.assert_array_equal(again.log_prob(theta), prior.log_prob(theta))
    with pytest.raises(InputError, match="not the description"):
        Prior.from_dict({"names": ["a"]})


def test_infinite_bounds_survive_json() -> None:
    prior = Prior({"a": TruncatedNormal(1, 2, 0)})
    again = Prior.from_dict(json.loads(json.dumps(prior.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.log_prob([[0.5], [-0.1]]), prior.log_prob([[0.5], [-0.1]]))


def test_sequences_and_joint_gaussians_are_priors() -> None:
    assert as_prior([stats.norm(), (0, 1)]).names == ("theta_0", "theta_1")
    assert as_prior(stats.multivariate_normal([0, 1], COVARIANCE)).n_parameters == 2
    assert as_prior(stats.norm(0, 1)).names == ("theta_0",)


def test_numpyro_distributions_are_priors() -> None:
    dist = pytest.importorskip("numpyro.distributions")
    prior = as_prior(
        {
            "a": dist.Uniform(0.0, 2.0),
            "b": dist.Gamma(2.0, 0.5),
            "c": dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=2.0),
            ("d", "e"): dist.MultivariateNormal(np.zeros(2), COVARIANCE),
        }
    )
    theta = prior.sample(seed=0, n_samples=100)
    expected = stats.uniform(0, 2).logpdf(theta[:, 0]) + stats.gamma(2, scale=2).logpdf(theta[:, 1])
    expected += stats.truncnorm(-1, 2).logpdf(theta[:, 2])
    expected += stats.multivariate_normal([0, 0], COVARIANCE).logpdf(theta[:, 3:])
    np.testing.assert_allclose(prior.log_prob(theta), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="Dirichlet has no translation"):
        as_prior({"a": dist.Dirichlet(np.ones(3))})


class Squared(stats.rv_continuous):
    """A family of one's own, under the name of one of SciPy's."""

    def _pdf(self, x):
        return 3 * x**2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1, 1), "lower below the upper"),
        (lambda: LogUniform(0, 1), "positive"),
        (lambda: Normal(0, -1), "positive"),
        (lambda: Prior({}), "no parameter"),
        (lambda: Prior({"a": "uniform"}), "expected a distribution"),
        (lambda: Prior({"a": stats.poisson(3)}), "not a frozen continuous"),
        (lambda: Prior({"a": Squared(a=0, b=1, name="uniform")()}), "distribution of your own"),
        (lambda: Prior({"a": type(stats.beta)(a=0, b=0.5, name="beta")(2, 3)}), "distribution of your own"),
        (lambda: Prior({"a": (0, 1)}, units={"A": "mV"}), "no parameter"),
        (lambda: Prior({("a", "b"): MultivariateNormal([0, 0], -np.eye(2))}), "positive definite"),
        (lambda: Prior({("a", "b"): MultivariateNormal([0, 0, 0], np.eye(3))}), r"expected \(2,\)"),
        (lambda: Prior({"a": (0, 1), ("a", "b"): MultivariateNormal([0, 0], np.eye(2))}), "twice"),
        (lambda: Prior({"a": (0, 1)}).log_prob(np.zeros((3, 2))), r"shape \(n, 1\)"),
        (lambda: Prior({"a": (0, 1)}).to_unconstrained([[0.5], [2.0]]), "'a' of row 1 is 2"),
        (lambda: Prior({"tau": (0, 1)}).coordinates.index("taw"), "Did you mean 'tau'"),
    ],
)
def test_what_cannot_be_used_is_named(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_tiny_matrix_that_is_not_symmetric_is_no_covariance() -> None:
    with pytest.raises(InputError, match="symmetric"):
        Prior({("c", "g"): MultivariateNormal([0, 0], [[1e-24, 9e-25], [-9e-25, 1e-24]])})


def test_a_joint_prior_is_the_same_after_reading_it_back() -> None:
    root = np.random.default_rng(0).standard_normal((20, 3, 5)) * np.array([1e-12, 1.0, 1e6])[:, None]
    for covariance in root @ root.transpose(0, 2, 1):
        prior = Prior({("c", "v", "r"): MultivariateNormal([0, 0, 0], covariance)})
        again = Prior.from_dict(json.loads(json.dumps(prior.to_dict())))
        assert again == prior
        assert np.array_equal(again.sample(5), prior.sample(5))


def test_bounds_at_the_ends_of_the_numbers() -> None:
    wide = LogUniform(1e-200, 1e200)
    assert wide.log_prob(np.array([1.0])) == pytest.approx(-np.log(400 * np.log(10)))
    prior = Prior({"a": wide})
    u = prior.to_unconstrained([[1.0], [1e100]])
    assert np.allclose(prior.log_abs_det_jacobian(u) + prior.log_prob([[1.0], [1e100]]), stats.norm.logpdf(u)[:, 0])
    with pytest.raises(InputError, match="too far apart"):
        Uniform(-1e308, 1e308)


def test_labelled_parameter_sets_are_taken_by_name() -> None:
    """Samples with their columns in another order were read by position, and their densities were wrong."""
    prior = Prior({"a": Normal(0, 1), "b": Normal(5, 2)})
    theta = prior.sample(4, seed=1)
    table = xr.DataArray(theta, dims=("sample", "parameter"), coords={"parameter": list(prior.names)})
    expected = prior.log_prob(theta)
    for labelled in (
        table,
        table.sel(parameter=["b", "a"]),
        table.T,
        pd.DataFrame({"b": theta[:, 1], "a": theta[:, 0]}),
        pd.DataFrame(theta),
    ):
        np.testing.assert_array_equal(prior.log_prob(labelled), expected)
    with pytest.raises(InputError, match="columns are b, c; expected those of the parameters a, b"):
        prior.log_prob(pd.DataFrame({"b": theta[:, 1], "c": theta[:, 0]}))


@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_table_of_parameter_sets_is_one_sentence() -> None:
    prior = Prior({"a": Normal(0, 1), "b": Normal(5, 2)})
    summary = xr.Dataset({"mean": ("parameter", [0.0, 5.0])}, {"parameter": ["a", "b"]})
    for no_table in (summary, {"a": [0.0]}, {"a": [0.0], "c": [5.0]}, [["x", "y"]], [[0.0], [1.0, 2.0]]):
        with pytest.raises(InputError, match=r"no numbers of shape \(n, 2\) for a, b"):
            prior.log_prob(no_table)


def test_parameter_sets_are_taken_from_a_mapping_of_names() -> None:
    """An observation may be one, but a parameter set was refused."""
    prior = Prior({"a": Normal(0, 1), "b": Normal(5, 2)})
    theta = prior.sample(4, seed=1)
    expected = prior.log_prob(theta)
    np.testing.assert_array_equal(prior.log_prob({"b": theta[:, 1], "a": theta[:, 0]}), expected)
    np.testing.assert_array_equal(prior.log_prob({"b": theta[0, 1], "a": theta[0, 0]}), expected[:1])
    with pytest.raises(InputError, match="lack b; give a value for each of a, b"):
        prior.log_prob({"a": 0.0})
    with pytest.raises(InputError, match="There is no parameter 'c'"):
        prior.log_prob({"a": 0.0, "b": 1.0, "c": 2.0})


def test_a_parameter_set_that_lacks_a_value_has_no_density() -> None:
    """NaN counted as outside the support."""
    with pytest.raises(InputError, match=r"Parameter 'b' of row 1 is missing \(NaN\)"):
        Prior({"a": Normal(0, 1), "b": (0, 1)}).log_prob([[0.0, 0.5], [0.0, np.nan]])
