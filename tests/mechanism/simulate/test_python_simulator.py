"""Python functions as simulators: forms of functions here, failures in processes of their own."""

import os
import pathlib
import random
import time

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.mechanism.simulate import PythonSimulator, as_simulator
from antidrome.mechanism.simulate.detection import find_form

THETA = np.random.default_rng(0).random((12, 2))


def here(function, **settings) -> PythonSimulator:
    return PythonSimulator(function, n_processes=0, **settings)


@pytest.mark.parametrize("names", [None, ("isi[0]", "count", "isi[1]")])
def test_the_first_simulation_does_not_decide_which_features_there_are(names) -> None:
    def simulator(rate, rng):
        return {"count": rate, "isi": [1 / rate, 2 / rate]} if rate else {"count": rate}

    theta = np.array([[0.0], [0.0], [4.0], [0.0]])
    done = here(simulator, parameter_names=("rate",), feature_names=names).run(theta, seed=0)
    assert done.valid.all()
    silent, active = [np.nan, 0.0, np.nan], [0.25, 4.0, 0.5]
    found = done.features if names else done.features[:, [1, 0, 2]]
    np.testing.assert_array_equal(found, [silent, silent, active, silent])
    with pytest.raises(InputError, match="2 feature names were given for 1 feature"):
        here(lambda theta: theta, feature_names=("x", "y")).run(theta, seed=0)


def test_a_feature_that_nobody_named_fails_where_it_turns_up_and_makes_no_further_trials() -> None:
    calls = []

    def simulator(a):
        calls.append(a)
        return {"x": a, "y": a, "z": a} if a == 2 else {"x": a, "y": a}

    theta = np.array([[0.0], [1.0], [2.0], [3.0]])
    simulated = here(simulator, parameter_names=("a",), feature_names=("x", "y"), batched=False)
    simulated.prepare(theta)
    tried = len(calls)
    done = simulated.run(theta, seed=0)
    assert list(done.valid) == [True, True, False, True]
    assert 2.0 not in calls[:tried]
    assert calls[tried:] == [0.0, 1.0, 2.0, 3.0]


def test_own_seeds_whatever_the_generator() -> None:
    for draw in (
        lambda theta, rng: rng.normal(),
        lambda theta, seed: seed / 2**31,
        lambda theta, random_state: random_state.normal(),
        lambda theta: np.random.normal(),  # noqa: NPY002
        lambda theta: random.random(),
    ):
        first, second = here(draw).run(THETA, 5), here(draw).run(THETA, 5)
        assert np.array_equal(first.features, second.features)
        assert len(np.unique(first.features)) == len(THETA)
        assert not np.array_equal(first.features, here(draw).run(THETA, 6).features)


def test_global_generators_are_left_alone() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    here(lambda theta: np.random.normal()).run(THETA, 0)  # noqa: NPY002
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_calls_by_name() -> None:
    simulator = here(lambda b, a: {"difference": a - b}, parameter_names=("a", "b"))
    np.testing.assert_allclose(simulator.run(THETA, 0).features[:, 0], THETA[:, 0] - THETA[:, 1])
    assert simulator.feature_names == ("difference",)


@pytest.mark.parametrize(
    ("function", "batched"),
    [
        (lambda theta: theta**2, True),
        (lambda theta, rng: theta + rng.normal(size=theta.shape), True),
        (lambda theta, rng: theta + rng.normal(size=2), False),  # would share its noise
        (lambda theta: [theta[0] * 2, theta[1]], False),
        (lambda theta: {"a": float(theta[0])}, False),
        (lambda theta: {"a": theta[:, 0]}, True),
        (lambda theta: np.sort(theta), True),
        (lambda theta, rng: {"count": rng.poisson(20 * theta[..., 0])}, True),
        (lambda theta: theta - theta.mean(), False),  # mixes rows
        (lambda theta, rng: theta / theta.max() + rng.normal(size=theta.shape), False),
        (lambda theta, rng: np.exp(theta) / np.exp(theta).sum() + rng.normal(size=theta.shape), False),
        (lambda theta, rng: (theta if theta.max() < 0.9 else 0 * theta) + rng.normal(size=theta.shape), False),
        (lambda theta, rng: theta / len(theta) + rng.normal(size=theta.shape), False),  # counts rows
        (lambda theta, rng: np.eye(2) @ theta + rng.normal(size=2), False),
        (lambda theta, rng: [rng.normal(theta[0]) for _ in range(11)], False),  # features for rows
    ],
)
def test_batches_are_found_out(function, batched: bool) -> None:
    simulator = here(function)
    batch = simulator.run(THETA, 0)
    expected = here(function, batched=batched).run(THETA[:1], 0)
    np.testing.assert_array_equal(batch.features[:1], expected.features)
    assert simulator._found.batched is batched
    assert batch.valid.all()
    assert batch.features.shape[0] == len(THETA)


def test_a_batch_that_fails_is_done_row_by_row() -> None:
    def simulator(theta):
        if (theta[:, 0] > 0.9).any():
            raise ValueError("too large")
        return theta

    theta = THETA.copy()
    theta[[3, 7], 0] = 0.95
    batch = here(simulator, batched=True).run(theta, 0)
    expected = theta[:, 0] <= 0.9
    assert np.array_equal(batch.valid, expected)
    assert not expected[[3, 7]].any()
    np.testing.assert_allclose(batch.features[expected], theta[expected])
    assert "raise ValueError" in batch.failures[0].traceback


def test_features_that_change_their_form_are_failures() -> None:
    small = THETA[:, 0] < 0.5
    batch = here(lambda theta: {"a": [1.0] * (1 + (theta[0] < 0.5))}, batched=False).run(THETA, 0)
    assert {f.kind for f in batch.failures} == {"shape"}
    assert np.array_equal(batch.valid, ~small)
    batch = here(lambda theta: {"a": 1.0, "b": 2.0} if theta[0] > 0.5 else {"b": 3.0}, batched=False).run(THETA, 0)
    assert batch.valid.all()
    np.testing.assert_array_equal(batch.features, np.where(small[:, None], [np.nan, 3.0], [1.0, 2.0]))


def test_a_simulator_that_always_fails_is_an_error_with_its_traceback() -> None:
    with pytest.raises(InputError, match=r"failed at each of the first 12 parameter sets.*ZeroDivisionError"):
        here(lambda theta: 1 / 0).run(THETA, 0)
    batch = here(lambda theta: 1 / 0, feature_names=("a",)).run(THETA, 0)
    assert batch.n_failed == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"feature_names": ("a", "b", "c")}, "3 feature names were given for 1"),
        ({"missing": "failures"}, "missing is 'failures'; expected one of 'feature', 'failure'"),
        ({"memory_bytes": 0}, "memory_bytes = 0"),
        ({"memory_bytes": -5.0}, "memory_bytes = -5"),
        ({"memory_bytes": 1.5e9 + 0.5}, "memory_bytes = 1500000000.5"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str, unchecked_types) -> None:
    with pytest.raises(InputError, match=message):
        here(lambda theta: theta.sum(), batched=False, **settings).run(THETA, 0)
    assert here(lambda theta: theta.sum(), memory_bytes=2e9).memory_bytes == 2_000_000_000


def misbehaving():
    """A simulator defined inside a function travels by value; the workers cannot import this module."""

    def misbehaves(theta, rng):
        kind = int(theta[0])
        if kind == 1:
            raise ValueError("no solution")
        if kind == 2:
            os._exit(7)
        if kind == 3:
            time.sleep(600)
        if kind == 4:
            import ctypes

            ctypes.string_at(0)
        if kind == 5:
            return [np.nan, np.nan]
        if kind == 6:
            np.ones(2**37)
        return [theta[1], rng.normal()]

    return misbehaves


def test_every_way_to_fail_is_recorded_and_the_rest_goes_on() -> None:
    """An exception, an exit, a hang, a segmentation fault, NaN and too much memory, among good simulations."""
    theta = np.array([[0, 1.0], [1, 0], [2, 0], [0, 2.0], [3, 0], [4, 0], [5, 0], [6, 0], [0, 3.0]])
    with PythonSimulator(misbehaving(), n_processes=1, timeout_s=5.0) as simulator:
        batch = simulator.run(theta, seed=0)
    good = theta[:, 0] == 0
    assert np.array_equal(batch.valid, good)
    np.testing.assert_allclose(batch.features[good, 0], [1.0, 2.0, 3.0])
    assert [f.kind for f in batch.failures] == ["exception", "crash", "timeout", "crash", "non-finite", "memory"]
    assert "ValueError: no solution" in batch.failures[0].traceback
    assert batch.failures[1].message.endswith("exit code 7")
    assert batch.failures[3].message.endswith("SIGSEGV")
    assert "string_at" in batch.failures[3].traceback, "faulthandler's traceback of the crash"
    expected = here(lambda theta, rng: [theta[1], rng.normal()], batched=False).run(theta, seed=0)
    np.testing.assert_array_equal(batch.features[good], expected.features[good])


def test_an_error_of_whoever_keeps_the_results_is_no_crash_of_the_simulator() -> None:
    with PythonSimulator(lambda theta: theta.sum(), n_processes=1, batched=False) as simulator:
        simulator.prepare(THETA)
        kept = []

        def keep(row, reply) -> None:
            kept.append(row)
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            simulator._place.pool.run(THETA, np.arange(12, dtype=np.uint64), keep)
    assert kept == [0]


def test_a_leaking_simulator_gets_a_new_process() -> None:
    def leaks(theta, kept=[]):  # noqa: B006
        kept.append(np.ones(15 * 2**20))  # 120 MB each time
        return len(kept)

    with PythonSimulator(leaks, n_processes=1, memory_bytes=2**30, batched=False) as simulator:
        batch = simulator.run(np.zeros((10, 1)), 0)
    assert batch.valid.all()
    assert simulator.n_recycled >= 1 or batch.features.max() < 10


def test_what_cannot_be_sent_is_said_and_can_be_made_there() -> None:
    lock = __import__("threading").Lock()
    with pytest.raises(InputError, match=r"cannot be sent to another process.*factory=True"):
        PythonSimulator(lambda theta: lock.locked(), n_processes=1).run(THETA, 0)

    def make():
        import threading

        lock = threading.Lock()
        return lambda theta: float(lock.locked()) + theta.sum()

    with PythonSimulator(make, factory=True, n_processes=1, batched=False) as simulator:
        assert simulator.run(THETA, 0).valid.all()


def test_a_simulation_that_is_stopped_takes_its_own_processes_along(tmp_path) -> None:
    def starts_another(theta):
        import subprocess

        with open(tmp_path / "pid", "w") as stream:
            child = subprocess.Popen(["sleep", "600"])
            stream.write(str(child.pid))
        child.wait()

    with PythonSimulator(
        starts_another, feature_names=("x",), n_processes=1, batched=False, timeout_s=1.0
    ) as simulator:
        batch = simulator.run(np.zeros((1, 1)), 0)
    assert batch.failures[0].kind == "timeout"
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        state = pathlib.Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the process that the simulator started is still there")


def test_a_batch_has_the_time_of_one_simulation_and_is_then_done_row_by_row() -> None:
    def hangs(theta):
        if (theta[:, 0] > 10).any():
            time.sleep(60)
        return theta

    theta = np.array([[1.0], [11.0], [2.0]])
    with PythonSimulator(hangs, feature_names=("x",), n_processes=1, batched=True, timeout_s=1.0) as simulator:
        started = time.perf_counter()
        batch = simulator.run(theta, 0)
    assert batch.valid.tolist() == [True, False, True]
    assert batch.failures[0].kind == "timeout"
    assert time.perf_counter() - started < 30


def test_a_busy_moment_does_not_decide_whether_batches_are_tried(monkeypatch) -> None:
    """The first call also starts a process, which takes long on a busy machine."""
    monkeypatch.setattr("antidrome.mechanism.simulate.detection.SLOW_S", 0.05)
    calls = []

    def replies(theta: np.ndarray, seeds: np.ndarray, many: bool) -> list[tuple]:
        calls.append(len(theta))
        if len(calls) == 1:
            time.sleep(0.1)
        values = theta + np.random.default_rng(int(seeds[0])).standard_normal(theta.shape)
        return [("values", ("x", "y"), ("", ""), values if many else values[0])]

    found = find_form(replies, np.random.default_rng(0).random((40, 2)), None)
    assert found.batched
    assert found.seconds < 0.05


def test_names_order_the_features_that_a_simulator_names_itself() -> None:
    """As they do those of simulations that were made elsewhere; other names are new names."""

    def rates(theta, rng):
        return {"rate": xr.DataArray(theta[0], attrs={"units": "Hz"}), "cv": theta[1]}

    def traced(theta, key):
        return {"rate": theta[0], "cv": theta[1]}

    theta = np.array([[1.0, 2.0], [3.0, 4.0]])
    for function in (rates, traced):
        for names, columns in ((("cv", "rate"), [1, 0]), (("rate", "cv"), [0, 1]), (("a", "b"), [0, 1])):
            settings = {} if function is traced else {"n_processes": 0}
            simulator = as_simulator(function, feature_names=names, **settings)
            np.testing.assert_array_equal(simulator.run(theta, 0).features, theta[:, columns])
            assert simulator.feature_names == names
            with pytest.raises(InputError, match=r"feature_names are cv, isi, but the simulator gives rate, cv\."):
                as_simulator(function, feature_names=("cv", "isi"), **settings).run(theta, 0)
            partly = as_simulator(function, feature_names=("mean", "cv"), **settings)
            np.testing.assert_array_equal(partly.run(theta, 0).features, theta)
            assert partly.feature_names == ("mean", "cv"), "cv stands where the simulator has it"
    turned = PythonSimulator(rates, feature_names=("cv", "rate"), n_processes=0)
    turned.prepare(theta)
    assert turned.feature_units == ("", "Hz")
