"""What a simulator finds in a process of its own, and which processes there are."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from antidrome.mechanism.simulate import PythonSimulator, guarded
from antidrome.mechanism.simulate.python_call import Call

THETA = np.arange(6.0).reshape(3, 2)
TORCH = """
import random
own = random.Random()
manual_seed, get_rng_state, set_rng_state, rand = own.seed, own.getstate, own.setstate, own.random
"""


def test_there_is_nothing_to_read_for_programs_that_a_simulator_starts() -> None:
    """They read the jobs of the simulator's process, or waited for more of them."""

    def program(theta):
        import subprocess

        waiting = subprocess.Popen(["cat"], stdout=subprocess.DEVNULL)
        told = subprocess.run(f"cat; echo {theta[0]}", shell=True, capture_output=True, text=True)
        return [float(told.stdout), waiting.wait()]

    with PythonSimulator(program, feature_names=("x", "code"), n_processes=1, batched=False, timeout_s=10) as simulator:
        batch = simulator.run(THETA, 0)
    np.testing.assert_array_equal(batch.features, [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])


def test_a_process_that_was_ended_while_it_was_idle_costs_no_simulation() -> None:
    with PythonSimulator(lambda theta: theta.sum(), n_processes=1, batched=False) as simulator:
        before = simulator.run(THETA, 0)
        idle = simulator._place.pool._idle[0]._process
        idle.kill()
        idle.wait()
        after = simulator.run(THETA, 0)
    assert after.valid.all()
    np.testing.assert_array_equal(before.features, after.features)


def test_a_simulator_that_imports_torch_itself_has_its_seed_from_the_first_call_on(tmp_path, monkeypatch) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    del sys.modules["torch"]

    def draws(theta):
        import torch

        return torch.rand()

    first, again = Call(draws).single(THETA[0], 5), Call(draws).single(THETA[0], 5)
    assert first[0] == "values"
    assert first[3] == again[3] != Call(draws).single(THETA[0], 6)[3]
    state = sys.modules["torch"].get_rng_state()
    Call(draws).single(THETA[0], 7)
    assert sys.modules["torch"].get_rng_state() == state, "it is left as it was"


def test_the_call_that_imports_torch_and_is_made_again_has_its_time_twice(tmp_path, monkeypatch) -> None:
    """Both calls had one time limit: every process ended at its first simulation, and all simulations failed."""
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(tmp_path)

    def slow(theta):
        import time

        import torch

        time.sleep(0.6)
        return torch.rand()

    with PythonSimulator(slow, feature_names=("x",), n_processes=1, batched=False, timeout_s=1.1) as simulator:
        first, again = simulator.run(THETA[:1], 0), simulator.run(THETA[:1], 0)
    assert first.valid.all(), first.failures
    np.testing.assert_array_equal(first.features, again.features)


def test_a_worker_of_a_cluster_does_not_keep_the_processes_of_every_simulator_of_before() -> None:
    with ThreadPoolExecutor(1) as executor:
        for gain in (1.0, 2.0, 3.0, 4.0):
            simulator = PythonSimulator(
                lambda theta, gain=gain: gain * theta.sum(), executor=executor, feature_names=("x",), batched=False
            )
            assert simulator.run(THETA, 0).features[1, 0] == 5 * gain
    assert len(guarded._POOLS) == guarded.UNUSED_POOLS + 1
    assert not guarded._USERS
