"""SIGKILL in the middle of simulating and of training: the same call goes on to the same numbers."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

SCRIPT = """
import os, pathlib, signal, sys
import numpy as np
from antidrome.mechanism import SNPE, MixtureSettings, TrainingSettings, Uniform
from antidrome.mechanism.simulate import PythonSimulator

folder, output, kill_at = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = 0

def simulator(theta, rng):
    global calls
    calls += 1
    if calls == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return theta + 0.2 * rng.standard_normal(2)

model = SNPE(n_rounds=2, n_simulations=60, density=MixtureSettings(components=1, hidden=(8,)), diagnose=False,
             training=TrainingSettings(epochs=20, batch=20))
here = PythonSimulator(simulator, n_processes=0, batched=False)
model.fit(here, {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}, [0.1, 0.2], checkpoint=folder, progress=False)
np.save(output, model.sample(50).values)
print(calls)
"""


def start(folder: pathlib.Path, output: pathlib.Path, kill_at: int = -1) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(output), str(kill_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_while_simulating_and_while_training(tmp_path: pathlib.Path, happened: Callable[[str], None]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    calls_of_whole = int(start(whole, tmp_path / "a.npy").communicate()[0])
    first = start(killed, tmp_path / "b.npy", kill_at=40)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    second = start(killed, tmp_path / "b.npy")
    while not (killed / "fit.safetensors").exists():  # written when the first round is simulated: training has begun
        assert second.poll() is None
        time.sleep(0.02)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    calls_of_rest = int(start(killed, tmp_path / "b.npy").communicate()[0])
    one, other = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(one, other)
    assert calls_of_rest < calls_of_whole - 50
    happened(f"the same call goes on; samples that differ from those of a fit left alone: {(one != other).sum()}")
