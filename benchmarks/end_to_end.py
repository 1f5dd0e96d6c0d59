"""Claim: a run on a Dask cluster that loses a worker gives what a run on one machine gives.

Five worms' recordings with named neurons (one population, matched by name) and three ground-truth imaging sets are
written as the files that a user has, and go through the whole job twice: in one process, and on a cluster of four
processes of which one is killed (SIGKILL) as soon as the first block of neurons is finished. Spikes must be equal to
the bit; dynamics and dimension to 1e-6, in the tables and in the model that is kept. The recordings are small, so that
blocks of these runs are made smaller than those of the package (which moves spikes by the rounding of float32); the
first imaging set also goes through Python and the command line with blocks as they are, which must give the same.

    python -m benchmarks.end_to_end [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors.numpy import load_file

from antidrome.core.executor import cluster_executor
from antidrome.pipeline import RunConfig
from antidrome.pipeline import infer as inference
from antidrome.pipeline import run as run_job
from antidrome.recordings import from_array, write
from benchmarks.dynamics_real import worms
from benchmarks.ground_truth import read_recordings
from benchmarks.harness import data_folder, finish, options, require_data, show
from training.ground_truth import Recording

PACKAGES = ("dask", "distributed")
"""What the cluster is made of, as pip calls it: the result names their versions."""
N_WORMS, N_WORKERS = 5, 4
IMAGING = {"DS09-GCaMP6f-m-V1": ".nwb", "DS30-GCaMP8f-m-V1": ".zarr", "DS19-R-CaMP-m-S1": ".nc"}
BLOCK_VALUES, OWN_BLOCK_VALUES = 20_000, inference.BLOCK_VALUES
N_COMPONENTS = 4


def main() -> None:
    """Write the files, run both ways, compare."""
    arguments, started = options(__doc__).parse_args(), time.time()
    require_data("end_to_end")
    inference.BLOCK_VALUES = BLOCK_VALUES  # small recordings, and still enough blocks for four workers
    with tempfile.TemporaryDirectory() as folder:
        jobs = user_files(Path(folder), quick=arguments.quick)
        config = RunConfig(format="netcdf", n_components=N_COMPONENTS, seed=arguments.seed, force=True)
        rows, total = [], {"local": 0.0, "cluster": 0.0}
        with cluster_of(N_WORKERS) as (executor, pids):
            for name, paths in jobs.items():
                outputs = {way: Path(folder) / f"{name}-{way}" for way in total}
                seconds = {"local": timed(paths, outputs["local"], config, None)}
                with killing(pids.pop(), outputs["cluster"]) as killed:
                    seconds["cluster"] = timed(paths, outputs["cluster"], config, executor)
                found = differences(outputs["local"], outputs["cluster"])
                row = {"job": name, "files": len(paths), **seconds, "killed": killed.is_set(), "differ": found}
                if name == next(iter(IMAGING)):
                    row["command_line"], differing = by_command(paths, Path(folder) / name, config)
                    found += differing
                rows.append(row)
                total = {way: total[way] + seconds[way] for way in total}
    columns = ["job", "files", "local", "cluster", "killed"]
    same = all(not row["differ"] and row["killed"] for row in rows)
    show("Seconds, and whether a worker was killed", columns, [[row[key] for key in columns] for row in rows])
    for row in rows:
        for difference in row["differ"]:
            sys.stdout.write(f"{row['job']}: {difference} differs\n")
    result = {
        "headline": f"A cluster of {N_WORKERS} processes that loses one per job gives"
        f" {'the same results as' if same else 'results that differ from those of'} one process:"
        f" {len(rows)} jobs, {total['cluster']:.0f} s against {total['local']:.0f} s on the same two cores.",
        "same_results": same,
        "seconds_local": total["local"],
        "seconds_cluster": total["cluster"],
        "rows": rows,
    }
    finish(result, started, arguments.json, PACKAGES)


def user_files(folder: Path, *, quick: bool) -> dict[str, list[Path]]:
    """Job to files: worms as NWB, one imaging set in each of three formats."""
    jobs: dict[str, list[Path]] = {"worms": []}
    sessions, _ = worms(data_folder() / "dynamics" / "worm_dag2023_neuropal.npz")
    for name, (values, labels) in list(sessions.items())[: 2 if quick else N_WORMS]:
        recording = from_array(values, 1.0 / 0.6, neuron=labels, quantity="dff", attrs={"session_id": name})
        jobs["worms"].append(write(recording, folder / f"{name}.nwb"))
    for name, suffix in list(IMAGING.items())[: 1 if quick else None]:
        jobs[name] = [write(imaging_set(name), folder / f"{name}{suffix}")]
    return jobs


def imaging_set(name: str) -> Any:
    """The longest recordings of a set's neurons, side by side, cut to the shortest of them."""
    longest: dict[str, Recording] = {}
    for one in read_recordings(data_folder() / "spikes" / "cascade" / f"{name}.npz"):
        if one.neuron not in longest or len(one.dff) > len(longest[one.neuron].dff):
            longest[one.neuron] = one
    rate = float(np.median([one.frame_rate_hz for one in longest.values()]))
    alike = {neuron: one.dff for neuron, one in longest.items() if abs(one.frame_rate_hz / rate - 1) < 0.01}
    n_frames = min(map(len, alike.values()))
    table = np.stack([trace[:n_frames] for trace in alike.values()], axis=1)
    return from_array(table, rate, neuron=list(alike), quantity="dff", attrs={"session_id": name})


def timed(paths: list[Path], output: Path, config: RunConfig, executor: Executor | None) -> float:
    """Seconds of the whole job."""
    begin = time.perf_counter()
    run_job(paths, output, config, executor=executor, progress=False)
    return time.perf_counter() - begin


@contextlib.contextmanager
def cluster_of(n_workers: int) -> Iterator[tuple[Executor, list[int]]]:
    """An executor on a local cluster of processes, and the processes' numbers."""
    from distributed import LocalCluster

    options = {"n_workers": n_workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options) as cluster, cluster_executor(cluster.scheduler_address) as executor:
        yield executor, [worker.process.pid for worker in cluster.workers.values()]


@contextlib.contextmanager
def killing(pid: int, output: Path) -> Iterator[threading.Event]:
    """Kill the process as soon as the run has kept its first block; the event tells whether that happened."""
    killed, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            if any(output.glob(".antidrome/*/block-*.nc")):
                os.kill(pid, signal.SIGKILL)
                killed.set()
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()


def by_command(paths: list[Path], folder: Path, config: RunConfig) -> tuple[float, list[str]]:
    """Seconds of `antidrome run` in a process of its own, and what differs from the same in Python."""
    outputs = [folder.with_name(f"{folder.name}-{way}") for way in ("python", "command")]
    inference.BLOCK_VALUES = OWN_BLOCK_VALUES
    timed(paths, outputs[0], config, None)
    inference.BLOCK_VALUES = BLOCK_VALUES
    command = [sys.executable, "-m", "antidrome", "run", *map(str, paths), "-o", str(outputs[1]), "--force"]
    command += ["--format", config.format, "--components", str(config.n_components), "--seed", str(config.seed)]
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin, differences(*outputs)


def differences(first: Path, second: Path) -> list[str]:
    """Variables of the tables, and arrays of the kept models, that the two results folders do not hold alike."""
    found = [] if _names(first) == _names(second) != [] else ["the names of the files"]
    for path in sorted(first.glob("*.nc")):
        if not (second / path.name).exists():
            continue
        exact = path.name.startswith("spikes")
        ours, theirs = (
            xr.load_dataset(one / path.name, engine="h5netcdf", decode_timedelta=False) for one in (first, second)
        )
        for name in ours.data_vars:
            a, b = ours[name].values, theirs[name].values
            equal = np.array_equal(a, b, equal_nan=True) if exact else np.allclose(a, b, 1e-6, 1e-8, equal_nan=True)
            found += [] if equal else [f"{path.name}: {name}"]
    for path in sorted(first.glob("*.safetensors")):
        if not (second / path.name).exists():
            continue
        ours, theirs = load_file(path), load_file(second / path.name)
        found += [f"{path.name}: {name}" for name in sorted(ours | theirs) if not _close(ours, theirs, name)]
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.name for pattern in ("*.nc", "*.safetensors") for path in folder.glob(pattern))


def _close(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], name: str) -> bool:
    if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
        return False
    return np.allclose(ours[name], theirs[name], 1e-6, 1e-8, equal_nan=True)


if __name__ == "__main__":
    main()
