"""Runs of many simulations: shards, resuming, kills."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from antidrome.errors import InputError, ResumeError
from antidrome.mechanism.simulate import JaxSimulator, PythonSimulator, read_simulations, run_simulations
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.simulate.batch import simulation_seeds as seeds
from antidrome.mechanism.simulate.repeating import N_REPEATED

THETA = np.random.default_rng(0).random((60, 2))


def simulator(**settings) -> PythonSimulator:
    def function(theta, rng):
        if theta[0] < 0.1:
            raise ValueError("below")
        return theta + rng.normal(size=2)

    return PythonSimulator(function, n_processes=0, batched=False, **settings)


def same(a, b) -> None:
    for name in ("theta", "features", "valid", "seed", "index", "round", "log_density"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert [(f.index, f.kind, f.message) for f in a.failures] == [(f.index, f.kind, f.message) for f in b.failures]


def test_with_and_without_a_store(tmp_path: Path) -> None:
    density = np.linspace(-1, 0, 60)
    settings = {"seed": 3, "round_": 2, "log_density": density, "progress": False}
    kept = run_simulations(simulator(), THETA, store=tmp_path, **settings)
    same(kept, run_simulations(simulator(), THETA, **settings))
    same(kept, read_simulations(tmp_path))
    assert len(kept) == 60
    assert kept.failures
    assert np.array_equal(kept.valid, THETA[:, 0] >= 0.1)


def test_labelled_columns_are_taken_by_name_whoever_tells_the_names(unchecked_types) -> None:
    table = pd.DataFrame({"b": [1.0, 2.0], "a": [10.0, 20.0]})
    for names in (None, ("a", "b")):
        with PythonSimulator(lambda a, b: a - b, parameter_names=("a", "b"), n_processes=0) as by_name:
            done = run_simulations(by_name, table, seed=0, parameter_names=names, progress=False)
        assert (done.parameter_names, done.features.ravel().tolist()) == (("a", "b"), [9, 18])
    with PythonSimulator(lambda theta: theta, n_processes=0) as by_place:
        assert run_simulations(by_place, table, seed=0, progress=False).parameter_names == ("b", "a")


def test_a_simulator_with_names_of_its_own_gets_its_parameters_by_these() -> None:
    def difference(a, b):
        return a - b

    named = {"parameter_names": ("a", "b")}
    for simulator in (PythonSimulator(difference, n_processes=0, **named), JaxSimulator(difference, **named)):
        done = run_simulations(simulator, np.array([[1.0, 10.0]]), seed=0, parameter_names=("b", "a"), progress=False)
        assert (done.theta.tolist(), done.features.item()) == ([[1.0, 10.0]], 9.0)
        other = run_simulations(simulator, np.array([[1.0, 10.0]]), seed=0, parameter_names=("p", "q"), progress=False)
        assert other.features.item() == -9.0, "by place, where no name is shared"
        with pytest.raises(InputError, match="'b' is not among a, c"):
            run_simulations(simulator, np.ones((1, 2)), seed=0, parameter_names=("a", "c"), progress=False)


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    whole = run_simulations(simulator(), THETA, seed=1, progress=False)
    for i in (2, 0, 1):
        part = run_simulations(simulator(), THETA, seed=1, store=tmp_path, shard=(i, 3), progress=False)
    assert len(list(tmp_path.iterdir())) == 3
    same(part, whole)
    one = run_simulations(simulator(), THETA, seed=1, shard=(1, 3), progress=False)
    assert one.index.tolist() == list(range(1, 60, 3))
    with pytest.raises(InputError, match="Shard 3 of 3 does not exist"):
        run_simulations(simulator(), THETA, seed=1, shard=(3, 3), progress=False)


def counting() -> tuple[PythonSimulator, list[int]]:
    """A simulator, and a list that grows by one with every call."""
    calls: list[int] = []

    def function(theta, rng):
        calls.append(1)
        return theta + rng.normal(size=2)

    counted = PythonSimulator(function, n_processes=0, batched=False)
    return counted, calls


def test_a_longer_run_takes_over_a_shorter_one(tmp_path: Path) -> None:
    counted, calls = counting()
    run_simulations(counted, THETA[:20], seed=1, store=tmp_path, progress=False)
    before = len(calls)
    longer = run_simulations(counted, THETA, seed=1, store=tmp_path, progress=False)
    assert len(calls) - before == 40 + N_REPEATED
    same(longer, run_simulations(counted, THETA, seed=1, progress=False))


def test_other_seeds_and_parameters_are_refused(tmp_path: Path) -> None:
    run_simulations(simulator(), THETA, seed=1, store=tmp_path, identity={"dt": 1}, progress=False)
    with pytest.raises(ResumeError, match="another seed"):
        run_simulations(simulator(), THETA, seed=2, store=tmp_path, identity={"dt": 1}, progress=False)
    with pytest.raises(ResumeError, match="simulation 0 of round 0 with other parameters"):
        run_simulations(simulator(), THETA + 1, seed=1, store=tmp_path, identity={"dt": 1}, progress=False)
    with pytest.raises(ResumeError, match=r'simulator: ."dt": 1. there, ."dt": 2. here'):
        run_simulations(simulator(), THETA, seed=1, store=tmp_path, identity={"dt": 2}, progress=False)


def test_other_parameters_are_kept_beside_where_that_is_asked_for(tmp_path: Path) -> None:
    """With the seeds of their own round, so that the numbers are those of an empty store; and found again."""
    counted, calls = counting()
    settings = {"seed": 1, "round_": 2, "store": tmp_path, "beside": True, "progress": False}
    for theta in (THETA, THETA + 1, THETA + 2):
        kept = run_simulations(counted, theta, **settings)
        alone = run_simulations(counted, theta, seed=1, round_=2, progress=False)
        np.testing.assert_array_equal(kept.features, alone.features)
    before = len(calls)
    np.testing.assert_array_equal(run_simulations(counted, THETA + 1, **settings).theta, THETA + 1)
    assert len(calls) - before == N_REPEATED
    assert np.bincount(read_simulations(tmp_path).round).tolist() == [0, 0, 60, 60, 60]


def test_parameters_may_differ_by_what_is_tolerated(tmp_path: Path) -> None:
    first = run_simulations(simulator(), THETA, seed=1, store=tmp_path, progress=False)
    near = THETA + np.array([1e-8, -1e-8])
    same(first, run_simulations(simulator(), near, seed=1, store=tmp_path, tolerance=1e-5, progress=False))
    with pytest.raises(ResumeError, match="other parameters"):
        run_simulations(simulator(), near, seed=1, store=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="simulation 7 of round 0 with other parameters"):
        far = near + 1e-3 * (np.arange(60) == 7)[:, None]
        run_simulations(simulator(), far, seed=1, store=tmp_path, tolerance=1e-5, progress=False)


class Interrupted:
    """A plain simulator that is interrupted at its third call."""

    feature_names = ("x",)
    feature_units = ("",)

    def __init__(self, at: int | None) -> None:
        self.at, self.calls = at, 0

    def run(self, theta, seed):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return judge(theta[:, :1] + np.random.default_rng(seed).normal(size=(len(theta), 1)))


def test_interrupted_runs_end_where_uninterrupted_ones_do(tmp_path: Path) -> None:
    theta = np.random.default_rng(1).random((1000, 2))
    whole = run_simulations(Interrupted(None), theta, seed=1, progress=False)
    with pytest.raises(KeyboardInterrupt):
        run_simulations(Interrupted(3), theta, seed=1, store=tmp_path, progress=False)
    resumed = Interrupted(None)
    same(run_simulations(resumed, theta, seed=1, store=tmp_path, progress=False), whole)
    assert resumed.calls == 2
    jax_one = JaxSimulator(lambda theta, key: theta * 2, batch=128, n_threads=1)
    np.testing.assert_allclose(run_simulations(jax_one, theta, seed=1, progress=False).features, theta * 2, rtol=1e-6)


def test_a_plain_simulator_that_raises_is_a_failure() -> None:
    class Raises(Interrupted):
        def run(self, theta, seed):
            if (theta[:, 0] > 0.9).any():
                raise ValueError("large")
            return judge(theta[:, :1])

    done = run_simulations(Raises(None), THETA, seed=0, progress=False)
    assert np.array_equal(done.valid, THETA[:, 0] <= 0.9)
    assert done.failures[0].message == "ValueError: large"


SCRIPT = """
import os, sys, time
import numpy as np
from antidrome.mechanism.simulate import PythonSimulator, run_simulations

log = sys.argv[2]

def function(theta, rng):
    value = theta + rng.normal(size=2)
    if theta[0] > 0.9:
        raise ValueError("large")
    time.sleep(0.03)
    with open(log, "a") as stream:
        stream.write(f"{theta[0]!r}\\n")
    return value

theta = np.random.default_rng(0).random((80, 2))
with PythonSimulator(function, n_processes=2, batched=False) as simulator:
    run_simulations(simulator, theta, seed=5, store=sys.argv[1], progress=False)
"""


@pytest.mark.slow
def test_killed_runs_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """SIGKILL, three times: no simulation that was kept is done again, but for the few by which a start is checked."""
    log, store = tmp_path / "log", tmp_path / "store"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    states: list[tuple[int, set[str]]] = []
    for wanted in (10, 30, 55):
        process = subprocess.Popen([sys.executable, script, store, log])
        while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < wanted):
            time.sleep(0.01)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.8)  # its workers notice
        stored = read_simulations(store).theta[:, 0]
        assert len(stored) >= wanted / 2
        states.append((len(log.read_text().splitlines()), {f"{value!r}" for value in stored}))
    subprocess.run([sys.executable, script, store, log], check=True)
    subprocess.run([sys.executable, script, tmp_path / "whole", tmp_path / "log of the whole"], check=True)
    same(read_simulations(store), read_simulations(tmp_path / "whole"))
    calls = log.read_text().splitlines()
    for n_calls, stored in states:
        kept = stored - {calls[0]}  # at the first, each start tries the form of the simulator
        assert kept & set(calls[:n_calls])
        n_starts_after = len(states) - states.index((n_calls, stored))
        assert len(kept & set(calls[n_calls:])) <= N_REPEATED * n_starts_after


def test_batched_functions_resume_to_the_same_numbers(tmp_path: Path) -> None:
    """A batched call draws one seed for all its rows, so rows are always run in the same groups."""
    theta = np.random.default_rng(1).random((600, 2))

    def function(theta, rng):
        return theta + rng.normal(size=theta.shape)

    def batched() -> PythonSimulator:
        return PythonSimulator(function, n_processes=0, batched=True)

    whole = run_simulations(batched(), theta, seed=1, progress=False)
    run_simulations(batched(), theta, seed=1, store=tmp_path, shard=(1, 3), progress=False)
    run_simulations(batched(), theta, seed=1, store=tmp_path, shard=(0, 2), progress=False)
    same(run_simulations(batched(), theta, seed=1, store=tmp_path, progress=False), whole)


@pytest.mark.slow
def test_on_an_executor_failures_are_found_too() -> None:
    """Blocks on other processes (as on a cluster), each with a guarded worker there."""
    from antidrome.core.executor import process_pool

    def function(theta, rng):
        import os

        if theta[0] > 0.9:
            os._exit(3)
        return theta + rng.normal(size=2)

    with process_pool(1) as pool, PythonSimulator(function, executor=pool, batched=False) as there:
        done = run_simulations(there, THETA, seed=1, progress=False)
    assert np.array_equal(done.valid, THETA[:, 0] <= 0.9)
    assert {failure.kind for failure in done.failures} == {"crash"}

    def harmless(theta, rng):
        return theta + rng.normal(size=2)

    here = run_simulations(PythonSimulator(harmless, n_processes=0, batched=False), THETA, seed=1, progress=False)
    np.testing.assert_array_equal(done.features[done.valid], here.features[done.valid])


def test_seeds_of_a_long_run_are_made_once(tmp_path: Path, monkeypatch) -> None:
    """Every finished row asks for its seed: made anew each time, they took time with the square of the rows."""
    made = []
    monkeypatch.setattr("antidrome.mechanism.simulate.run.simulation_seeds", lambda *a: made.append(a) or seeds(*a))
    run_simulations(simulator(), THETA, seed=0, progress=False, store=tmp_path)
    assert len(made) == 1
