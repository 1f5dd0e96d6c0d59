"""JAX functions as simulators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism.simulate import JaxSimulator, PythonSimulator, as_simulator

THETA = np.arange(14.0).reshape(7, 2)


def noisy(theta, key):
    return {"z": theta + jax.random.normal(key, theta.shape), "a": theta.sum()}


def test_results_do_not_depend_on_the_batch_and_names_keep_their_order() -> None:
    small, large = JaxSimulator(noisy, batch=3), JaxSimulator(noisy, batch=16)
    first, second = small.run(THETA, seed=1), large.run(THETA, seed=1)
    assert small.feature_names == ("z[0]", "z[1]", "a")
    np.testing.assert_allclose(first.features, second.features, rtol=1e-6)
    np.testing.assert_allclose(first.features[:, 2], THETA.sum(axis=1))
    noise = first.features[:, :2] - THETA
    assert len(np.unique(noise)) == 14, "every simulation has its own key"
    assert not np.array_equal(first.features, small.run(THETA, seed=2).features)


def test_batched_functions_and_functions_without_noise() -> None:
    def batched(theta, keys):
        return theta + jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)

    one = JaxSimulator(lambda theta, key: theta + jax.random.normal(key, (2,)), batch=4)
    many = JaxSimulator(batched, batched=True, batch=4)
    np.testing.assert_allclose(many.run(THETA, 0).features, one.run(THETA, 0).features, rtol=1e-6)
    plain = JaxSimulator(lambda theta: jnp.square(theta), batch=4)
    np.testing.assert_allclose(plain.run(THETA, 0).features, THETA**2)


def test_failures_and_missing_features() -> None:
    simulator = JaxSimulator(lambda theta: jnp.log(theta - 1.5), batch=8)
    batch = simulator.run(THETA, 0)
    assert batch.valid.tolist() == [False] + [True] * 6
    assert batch.failures[0].kind == "non-finite"


def test_a_meaning_of_nan_that_there_is_not_is_refused(unchecked_types) -> None:
    with pytest.raises(InputError, match="missing is 'failures'"):
        JaxSimulator(lambda theta: theta, missing="failures")


def test_as_simulator_tells_jax_by_its_key() -> None:
    assert isinstance(as_simulator(noisy), JaxSimulator)
    assert isinstance(as_simulator(jax.jit(lambda theta: theta)), JaxSimulator)
    assert isinstance(as_simulator(lambda theta: theta), PythonSimulator)
    summed = as_simulator(noisy, features=lambda output: output["z"].sum())
    assert summed.run(THETA, 0).features.shape == (7, 1)
    with pytest.raises(InputError, match="expected a function"):
        as_simulator(3)
    with pytest.raises(InputError, match="batch: settings of a simulator that is already made"):
        as_simulator(summed, batch=3)


def test_what_jax_cannot_run_is_said() -> None:
    simulator = JaxSimulator(lambda theta, key: np.sin(float(theta[0])))
    with pytest.raises(InputError, match="JAX cannot run this function with theta of shape"):
        simulator.run(THETA, 0)
    with pytest.raises(InputError, match="3 feature names were given for 1 feature"):
        JaxSimulator(lambda theta: theta.sum(), feature_names=("a", "b", "c")).run(THETA, 0)


def test_what_a_simulation_raises_is_its_failure() -> None:
    def small_only(theta):
        def check(theta):
            if theta[0] > 5:
                raise ValueError(f"no solution for {theta[0]:.0f}")
            return theta

        return jax.pure_callback(check, jax.ShapeDtypeStruct((2,), np.float32), theta, vmap_method="sequential")

    batch = JaxSimulator(small_only, batch=4).run(THETA, 0)
    assert batch.valid.tolist() == [True] * 3 + [False] * 4
    np.testing.assert_allclose(batch.features[:3], THETA[:3])
    assert [failure.index for failure in batch.failures] == [3, 4, 5, 6]
    assert batch.failures[0].kind == "exception"
    assert batch.failures[0].message == "ValueError: no solution for 6"


def test_keys_and_parameters_by_name() -> None:
    def keyword(theta, *, key):
        return theta + jax.random.normal(key, (2,))

    def named(b, a, key):
        return {"difference": a - b + 0 * jax.random.normal(key)}

    assert len(np.unique(as_simulator(keyword).run(THETA, 0).features - THETA)) == 14
    batch = as_simulator(named, parameter_names=("a", "b")).run(THETA, 0)
    np.testing.assert_allclose(batch.features[:, 0], THETA[:, 0] - THETA[:, 1])
    with pytest.raises(InputError, match="no setting 'timeout_s' for a JaxSimulator"):
        as_simulator(keyword, timeout_s=3)
