"""Densities over named parameters, in the parameters' own units."""

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism import LogUniform, Prior, Uniform
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.views import ParameterDensity

PRIOR = Prior({"a": Uniform(-3, 3), "b": LogUniform(0.1, 10)})


@pytest.fixture
def joint() -> ParameterDensity:
    mixture = GaussianMixture.from_covariances(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 0.6], [0.6, 1.0]]]))
    return ParameterDensity(PRIOR.coordinates, mixture)


def test_a_conditional_is_a_slice_of_the_joint_density(joint: ParameterDensity) -> None:
    b = np.geomspace(0.1, 10, 4001)[1:-1]
    slice_ = np.exp(joint.log_prob(np.column_stack([np.full(len(b), 1.5), b])))
    found = np.exp(joint.conditional({"a": 1.5}).log_prob(b[:, None]))
    np.testing.assert_allclose(found, slice_ / np.trapezoid(slice_, b), rtol=1e-3)


@pytest.mark.parametrize(("name", "bound"), [("a", 3.0), ("a", -3.0), ("b", 10.0)])
def test_no_conditional_is_taken_at_the_very_bound_of_a_prior(joint: ParameterDensity, name: str, bound: float) -> None:
    """There the other parameter was driven to its own bound, whatever was learned."""
    with pytest.raises(InputError, match=f"{name} = {bound:g} lies at the very bound of its prior"):
        joint.conditional({name: bound})


def test_parameter_sets_of_a_posterior_are_by_name_and_whole(joint: ParameterDensity) -> None:
    """A missing value gave −∞, as if it lay outside the prior."""
    np.testing.assert_array_equal(joint.log_prob({"b": 2.0, "a": -1.0}), joint.log_prob([[-1.0, 2.0]]))
    with pytest.raises(InputError, match="Parameter 'a' of row 0 is missing"):
        joint.log_prob([[np.nan, 2.0]])
