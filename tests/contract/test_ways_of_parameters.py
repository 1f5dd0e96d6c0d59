"""What a posterior says does not depend on how parameters and observations are given, nor on their order."""

from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import antidrome as ad
from antidrome.mechanism import Posterior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.simulate import external_simulations
from antidrome.mechanism.training import TrainingSettings

NAMES = ("current", "decay")
OBSERVED = {"rate": 0.3, "width": -0.4, "peak": 0.1}
THETA = np.random.default_rng(3).uniform(-0.9, 0.9, (7, 2))


def simulator(theta, rng):
    current, decay = theta + 0.2 * rng.standard_normal(2)
    return {"rate": current, "width": decay, "peak": current * decay}


@cache
def fitted():
    training = TrainingSettings(epochs=30, batch=50, learning_rate=5e-3, patience=8, drops=0)
    settings = {"training": training, "density": MixtureSettings(components=1, hidden=(8,)), "diagnose": False}
    prior = {name: Uniform(-1, 1) for name in NAMES}
    return ad.SNPE("npe", n_simulations=200, **settings).fit(simulator, prior, OBSERVED, progress=False)


@cache
def loaded():
    with TemporaryDirectory() as folder:
        fitted().posterior_.save(f"{folder}/posterior.safetensors")
        return Posterior.load(f"{folder}/posterior.safetensors")


def array_of(theta):
    return xr.DataArray(theta, {"parameter": list(NAMES)}, ("sample", "parameter"))


OF_PARAMETERS = {
    "list": lambda theta: theta.tolist(),
    "DataFrame": lambda theta: pd.DataFrame(theta, columns=NAMES),
    "DataFrame in another order": lambda theta: pd.DataFrame(theta, columns=NAMES)[list(NAMES[::-1])],
    "DataArray": array_of,
    "DataArray in another order": lambda theta: array_of(theta).isel(parameter=[1, 0]),
    "DataArray transposed": lambda theta: array_of(theta).T,
    "in single precision": lambda theta: theta.astype(np.float32),
}
OF_OBSERVATIONS = {
    "array": lambda observed: np.array(list(observed.values())),
    "in another order": lambda observed: dict(reversed(observed.items())),
    "Series": pd.Series,
    "Series in another order": lambda observed: pd.Series(observed)[["peak", "rate", "width"]],
    "row of a DataFrame": lambda observed: pd.DataFrame([observed])[["width", "peak", "rate"]],
    "Dataset": xr.Dataset,
    "DataArray": lambda observed: xr.DataArray(list(observed.values()), {"feature": list(observed)}, ("feature",)),
    "DataArray in another order": lambda observed: xr.DataArray(
        list(observed.values())[::-1], {"feature": list(observed)[::-1]}, ("feature",)
    ),
}


@pytest.mark.parametrize("make", [lambda: fitted().posterior_, loaded], ids=["fitted", "loaded"])
@pytest.mark.parametrize("way", list(OF_PARAMETERS))
def test_densities_of_parameters_however_they_are_given(way, make):
    expected = fitted().posterior_.log_prob(THETA)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(make().log_prob(OF_PARAMETERS[way](THETA)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", list(OF_OBSERVATIONS))
def test_posteriors_of_observations_however_they_are_given(way):
    posterior, other = fitted().posterior_, {**OBSERVED, "rate": -0.5}
    expected = posterior.log_prob(THETA, observation=other)
    found = posterior.log_prob(THETA, observation=OF_OBSERVATIONS[way](other))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not np.allclose(expected, posterior.log_prob(THETA))


@pytest.mark.parametrize("way", list(OF_PARAMETERS)[1:])
def test_simulations_of_elsewhere_however_they_are_given(way):
    theta, features = pd.DataFrame(THETA, columns=NAMES), pd.DataFrame({"rate": THETA[:, 0], "width": THETA[:, 1]})
    expected = external_simulations(theta, features, parameter_names=NAMES)
    found = external_simulations(
        OF_PARAMETERS[way](THETA), features[["width", "rate"]], parameter_names=NAMES, feature_names=("rate", "width")
    )
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-6)
    np.testing.assert_array_equal(found.features, expected.features)
    assert found.feature_names == expected.feature_names
