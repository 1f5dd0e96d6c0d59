"""Seeds of simulations, the verdict on features, and what an output becomes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.mechanism.simulate import (
    JaxSimulator,
    PythonSimulator,
    Simulator,
    as_observation,
    external_simulations,
    run_simulations,
    simulation_seeds,
)
from antidrome.mechanism.simulate.batch import check_theta, judge
from antidrome.mechanism.simulate.outputs import in_order, to_rows, to_vector


def test_seeds_do_not_depend_on_the_batches() -> None:
    whole = simulation_seeds(3, 1000)
    parts = np.concatenate([simulation_seeds(3, 300), simulation_seeds(3, 700, start=300)])
    assert np.array_equal(whole, parts)
    assert len(set(whole.tolist())) == 1000
    assert not set(whole.tolist()) & set(simulation_seeds(4, 1000).tolist())
    bits = np.unpackbits(whole.view(np.uint8)).reshape(1000, 64)
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 5 * 0.5 / np.sqrt(1000)), "every bit is fair"


def test_nan_is_a_missing_feature_or_a_failure() -> None:
    features = np.array([[1.0, 2.0], [1.0, np.nan], [np.nan, np.nan], [np.inf, 1.0]])
    batch = judge(features)
    assert batch.valid.tolist() == [True, True, False, False]
    assert [f.message for f in batch.failures] == ["every feature is NaN", "an infinite feature"]
    assert np.isnan(batch.features[3]).all()
    assert features[3, 0] == np.inf, "the argument is not changed"
    strict = judge(features, missing="failure")
    assert strict.valid.tolist() == [True, False, False, False]
    assert strict.n_failed == 3


@pytest.mark.parametrize("theta", [np.zeros(3), np.array([["a"]])])
def test_theta_needs_rows_of_numbers(theta: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected numbers of shape \(simulations, parameters\)"):
        check_theta(theta)


@pytest.mark.usefixtures("unchecked_types")
def test_theta_with_names_is_taken_by_name() -> None:
    """Posterior samples in another order were simulated by position."""
    theta = np.array([[1.0, 2.0], [3.0, 4.0]])
    table = xr.DataArray(theta, dims=("sample", "parameter"), coords={"parameter": ["a", "b"]}).sel(
        parameter=["b", "a"]
    )
    simulator = PythonSimulator(lambda a, b: [a, b], parameter_names=("a", "b"), n_processes=0)
    jitted = JaxSimulator(lambda theta: theta, parameter_names=("a", "b"), feature_names=("x", "y"))
    for labelled in (table, table.T, table.to_pandas()):
        for one in (simulator, jitted):
            np.testing.assert_array_equal(one.run(labelled, 0).features, theta)
        done = run_simulations(simulator, labelled, seed=0, parameter_names=("a", "b"), progress=False)
        np.testing.assert_array_equal(done.theta, theta)
        for names in (("a", "b"), None):
            read = external_simulations(labelled, theta, parameter_names=names)
            column = read.theta[:, read.parameter_names.index("a")]
            np.testing.assert_array_equal(column, theta[:, 0])
    renamed = external_simulations(table.to_pandas(), theta, parameter_names=("p", "q"))
    np.testing.assert_array_equal(renamed.theta, table.values)
    features = pd.DataFrame(theta, columns=["x", "y"])
    turned = external_simulations(theta, features, feature_names=("y", "x"))
    np.testing.assert_array_equal(turned.features, theta[:, ::-1])
    with pytest.raises(InputError, match="columns are b, a; expected those of the parameters a, c"):
        check_theta(table, ("a", "c"))


def test_theta_is_finite() -> None:
    with pytest.raises(InputError, match="simulation 1 are not finite"):
        check_theta(np.array([[0.0], [np.nan]]))


def test_outputs_of_every_kind() -> None:
    assert to_vector(3)[0] == ("x",)
    assert to_vector([1, None])[2].tolist()[0] == 1
    assert np.isnan(to_vector([1, None])[2][1])
    assert to_vector(np.zeros((2, 2)))[0] == ("x[0,0]", "x[0,1]", "x[1,0]", "x[1,1]")
    labelled = xr.DataArray([1.0, 2.0], dims="cell", coords={"cell": ["a", "b"]}, attrs={"units": "Hz"})
    assert to_vector(labelled)[:2] == (("a", "b"), ("Hz", "Hz"))
    dataset = xr.Dataset({"rate": labelled, "n": 3})
    assert to_vector(dataset)[0] == ("rate[a]", "rate[b]", "n")


def test_batched_outputs() -> None:
    names, _, values = to_rows({"a": np.arange(3), "b": np.ones((3, 2))}, 3)
    assert names == ("a", "b[0]", "b[1]")
    assert values[:, 0].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"shape \(2,\) for 3 simulations"):
        to_rows(np.ones(2), 3)


@pytest.mark.parametrize("output", ["text", {"a": object()}, [1j]])
def test_what_is_no_number_is_refused(output: object) -> None:
    with pytest.raises(InputError, match="no array of real numbers"):
        to_vector(output)


def test_observation_by_name_or_position() -> None:
    names = ("rate", "isi")
    assert as_observation([1.0, 2.0], names).tolist() == [1.0, 2.0]
    partial = as_observation({"isi": 2.0}, names)
    assert np.isnan(partial[0])
    assert partial[1] == 2.0
    with pytest.raises(InputError, match="'rates' that the simulator does not give"):
        as_observation({"rates": 1.0}, names)
    with pytest.raises(InputError, match="3 values, the simulator gives 2"):
        as_observation([1, 2, 3], names)
    with pytest.raises(InputError, match="Every feature"):
        as_observation([np.nan, np.nan], names)
    with pytest.raises(InputError, match="'isi' of the observation is infinite"):
        as_observation([1, np.inf], names)


def test_names_win_over_positions() -> None:
    pandas = pytest.importorskip("pandas")
    assert as_observation(pandas.Series({"y": 2.0, "x": 1.0}), ("x", "y")).tolist() == [1.0, 2.0]
    assert as_observation(pandas.Series([1.0, 2.0]), ("x", "y")).tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(as_observation({"x": 0.5}, ("x", "y")), [0.5, np.nan])
    with pytest.raises(InputError, match="a feature 'x' that the simulator does not give"):
        as_observation({"x": 0.5}, ("r",))
    with pytest.raises(InputError, match="in the observation is no array"):
        as_observation({"x": "many"}, ("x",))


def test_what_pandas_returns_is_known_by_its_labels() -> None:
    pandas = pytest.importorskip("pandas")
    expected = ("rate", "cv")
    for returned in (pandas.Series({"cv": 0.5, "rate": 3}), pandas.DataFrame({"cv": [0.5], "rate": [3]})):
        names, _, values = to_vector(returned)
        assert names == ("cv", "rate")
        assert in_order(names, values, expected).tolist() == [3, 0.5]
        assert as_observation(returned, expected).tolist() == [3, 0.5]
    cells = pandas.DataFrame({"cv": [0.5, 0.6], "rate": [3, 4]})
    names, _, values = to_vector(cells[["rate", "cv"]])
    assert names == ("x[0,rate]", "x[0,cv]", "x[1,rate]", "x[1,cv]")
    assert as_observation(cells, names).tolist() == values.tolist()
    assert to_rows(cells, 2)[0] == ("cv", "rate")
    assert to_rows({"psth": cells}, 2)[0] == ("psth[cv]", "psth[rate]")
    assert to_vector({"psth": pandas.Series({"a": 1, "b": 2})})[0] == ("psth[a]", "psth[b]")
    lacking = to_vector(pandas.Series({"a": 1, "b": None}, dtype="Float64"))[2]
    np.testing.assert_array_equal(lacking, [1, np.nan])


def test_a_name_that_stands_twice_is_not_matched() -> None:
    twice = xr.DataArray([1.0, 2.0, 3.0], dims="cell", coords={"cell": ["a", "b", "b"]})
    with pytest.raises(InputError, match="feature 'b' twice"):
        as_observation(twice, ("a", "b"))
    assert in_order(("b", "a", "a"), np.arange(3.0), ("a", "a", "b")) is None


def test_masks_are_gaps() -> None:
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    np.testing.assert_array_equal(to_vector({"x": masked})[2], [1.0, np.nan])


def test_tensors_are_arrays() -> None:
    class Tensor:
        """As much of a tensor as is asked for."""

        def detach(self):
            return self

        def cpu(self):
            return np.array([1.0, 2.0])

        def values(self):
            raise RuntimeError("this is a method of sparse tensors")

    assert to_vector({"x": Tensor()})[2].tolist() == [1.0, 2.0]


def test_the_protocol_is_structural() -> None:
    class Mine:
        feature_names = ("x",)
        feature_units = ("",)

        def run(self, theta, seed):
            return judge(theta)

    assert isinstance(Mine(), Simulator)
    assert not isinstance(lambda theta: theta, Simulator)
