"""Small problems for the contract tests, and a walk over all that is public."""

import inspect
import types
from functools import cache

import numpy as np
import xarray as xr

import antidrome as ad

RATE_HZ = 30.0


@cache
def fluorescence() -> xr.DataArray:
    return ad.spikes.simulate(3, 20, RATE_HZ, 1)["dff"]


@cache
def activity() -> xr.DataArray:
    truth = ad.dynamics.simulate(n_neurons=12, n_components=2, n_frames=300, seed=3)
    return xr.DataArray(
        np.asarray(truth.activity, float),
        dims=("time", "neuron"),
        coords={"time": (np.arange(300) + 0.5) / RATE_HZ, "neuron": [f"n{i:02d}" for i in range(12)]},
        attrs={"frame_rate_hz": RATE_HZ},
    )


@cache
def points() -> xr.DataArray:
    draw = np.random.default_rng(0)
    points = draw.standard_normal((400, 2)) @ draw.standard_normal((2, 6))
    return xr.DataArray(points, dims=("point", "coordinate"))


def simulator(theta, rng):
    return theta + 0.2 * rng.standard_normal(theta.shape)


def snpe(seed):
    from antidrome.mechanism.densities.network import MixtureSettings
    from antidrome.mechanism.training import TrainingSettings

    training = TrainingSettings(epochs=30, batch=50, learning_rate=5e-3, patience=8, drops=0)
    density = MixtureSettings(components=1, hidden=(8,))
    return ad.SNPE("npe", n_simulations=120, training=training, density=density, diagnose=False, seed=seed)


def fit_snpe(estimator, data):
    from antidrome.mechanism import Uniform

    return estimator.fit(simulator, {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}, data, progress=False)


def public(module):
    """Every public function and method, by its name and that of its class."""
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType):
            yield from public(thing) if hasattr(thing, "__all__") else ()
        elif isinstance(thing, type):
            methods = {key: getattr(thing, key) for key in dir(thing) if not key.startswith("_")}
            yield from ((f"{name}.{key}", one) for key, one in methods.items() if inspect.isroutine(one))
        elif inspect.isroutine(thing):
            yield name, thing
