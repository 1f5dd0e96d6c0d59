"""Each of the four methods on a Dask cluster of processes, one of which is killed in the middle: nothing changes."""

import contextlib
import os
import signal
import threading
import time

import numpy as np
import pytest

import antidrome as ad
from antidrome.core.executor import cluster_executor

N_WORKERS = 3


@pytest.fixture(scope="module")
def cluster():
    """A scheduler in this process and workers in processes of their own, replaced when they die."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=N_WORKERS, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


def spikes(executor, folder):
    """Spikes of one recording, block by block."""
    from antidrome.core.progress import progress
    from antidrome.pipeline import RunConfig, infer
    from antidrome.pipeline.cache import SessionCache
    from antidrome.pipeline.model import load_model, origin_of
    from antidrome.pipeline.sessions import session_from_recording

    config, traces = RunConfig(seed=1), ad.spikes.simulate(6, 20, 30, 1)["dff"]
    session = session_from_recording("s", "simulated", traces, config)
    model = load_model(config)
    cache = SessionCache(folder, "s", origin_of(session, config, model))
    cache.prepare()
    with pytest.MonkeyPatch.context() as patch, progress("", 6, unit="neurons", enabled=False) as bar:
        patch.setattr(infer, "BLOCK_VALUES", 600)
        result, _ = infer.infer_session(model, session, cache, 0, bar, executor)
    return {name: result[name].values for name in ("expected_spikes", "expected_spikes_sd", "rate_hz")}


def dynamics(executor, folder):
    """One system of eight sessions, whose sketches are made anywhere."""
    truth = ad.dynamics.simulate(n_neurons=40, n_components=2, n_frames=8000, seed=3)
    sessions = {
        str(i): (truth.activity[1000 * i : 1000 * (i + 1), 3 * i : 3 * i + 18], range(3 * i, 3 * i + 18))
        for i in range(8)
    }
    model = ad.StitchedLDS(2, n_starts=1, solver="sketch").fit(sessions, executor=executor, progress=False)
    labels = [str(label) for label in model.neurons_]
    return {"covariance": model.predict_covariance(labels, labels, lag=1).values}


def dimension(executor, folder):
    """Neighbours of points, a block of rows at a time."""
    points = np.random.default_rng(0).standard_normal((6000, 3)) @ np.random.default_rng(1).standard_normal((3, 30))
    model = ad.TwoNN().fit(points, executor=executor, progress=False)
    return {"dimension": np.array(model.dimension_), "error": np.array(model.standard_error_)}


def simulate(theta, rng):
    """A simulator that takes its time."""
    time.sleep(0.02)
    return theta + 0.2 * rng.standard_normal(theta.shape)


def mechanism(executor, folder):
    """A posterior from simulations that run anywhere."""
    from antidrome.mechanism import MixtureSettings, TrainingSettings
    from antidrome.mechanism.simulate import PythonSimulator

    settings = {
        "density": MixtureSettings(components=1, hidden=(8,)), "training": TrainingSettings(epochs=5, batch=20),
        "n_networks": 1, "diagnose": False, "n_predictive": 0,
    }  # fmt: skip
    with PythonSimulator(simulate, parameter_names=("a", "b"), executor=executor, batched=False) as simulator:
        model = ad.SNPE("npe", n_simulations=120, **settings)
        model.fit(simulator, {"a": (-1.0, 1.0), "b": (-1.0, 1.0)}, [0.3, -0.2], progress=False)
    return {"samples": model.sample(20).values}


@contextlib.contextmanager
def killing_one(cluster):
    """Kill the first worker that is found at work; the event tells whether there was one."""
    killed, over = threading.Event(), threading.Event()

    def watch():
        while not over.is_set() and not killed.is_set():
            busy = [address for address, state in list(cluster.scheduler.workers.items()) if state.processing]
            for nanny in list(cluster.workers.values()):
                if nanny.worker_address in busy[:1]:
                    os.kill(nanny.process.pid, signal.SIGKILL)
                    killed.set()
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize("method", [spikes, dynamics, dimension, mechanism], ids=lambda method: method.__name__)
def test_a_lost_worker_changes_nothing(cluster, tmp_path, method, happened):
    with cluster_executor(cluster.scheduler_address) as executor:
        calm = method(executor, tmp_path / "calm")
        with killing_one(cluster) as killed:
            found = method(executor, tmp_path / "killed")
    assert killed.is_set(), "nothing ran on the cluster"
    for name, values in calm.items():
        np.testing.assert_array_equal(found[name], values, err_msg=f"{method.__name__}: {name}")
    differ = sum(int(np.sum(found[name] != values)) for name, values in calm.items())
    happened(f"{method.__name__}: values that differ from those of workers left alone: {differ}")
