"""The executor seam: order, laziness, bounded memory, and workers that are killed in the middle."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from antidrome.core import executor as core_executor
from antidrome.core.executor import cluster_executor, map_tasks, open_executor, process_pool
from antidrome.errors import InputError, LostWorkerError

# Tasks of other processes come from the standard library, so that the workers need not import this file.
SQUARES = [float(i * i) for i in range(40)]


@pytest.fixture(scope="module")
def pool() -> Iterator[object]:
    with process_pool(2) as pool:
        yield pool


def test_here_it_is_lazy_and_in_order() -> None:
    seen: list[int] = []

    def tasks() -> Iterator[int]:
        for i in range(3):
            seen.append(i)
            yield i

    results = map_tasks(lambda task: task + 1, tasks())
    assert seen == []
    assert next(results) == 1
    assert seen == [0]
    assert list(results) == [2, 3]


def test_order_is_that_of_the_tasks() -> None:
    finished: list[int] = []
    with ThreadPoolExecutor(4) as executor:
        results = list(
            map_tasks(
                lambda seconds: (time.sleep(seconds), seconds)[1],
                [0.2, 0.0, 0.1, 0.0],
                executor=executor,
                on_result=lambda index, _: finished.append(index),
            )
        )
    assert results == [0.2, 0.0, 0.1, 0.0]
    assert sorted(finished) == [0, 1, 2, 3]
    assert finished[-1] == 0, "on_result comes in the order of finishing"


def test_what_is_in_flight_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_executor, "n_workers_of", lambda executor: 1)
    n_taken = 0

    def tasks() -> Iterator[int]:
        nonlocal n_taken
        for n_taken in range(1, 101):  # noqa: UP028 - counts what is taken
            yield n_taken

    release = threading.Event()
    with ThreadPoolExecutor(8) as executor:
        taken: list[int] = []
        threading.Timer(0.2, lambda: (taken.append(n_taken), release.set())).start()
        wait_for_first = lambda task: task if task > 1 else (release.wait(10), 1)[1]  # noqa: E731
        results = map_tasks(wait_for_first, tasks(), executor=executor)
        assert list(results) == list(range(1, 101))
    assert taken == [core_executor.TASKS_PER_WORKER], "the first task holds up the window, not the memory"


def test_an_error_of_the_function_names_the_task() -> None:
    with ThreadPoolExecutor(2) as executor:
        for where in (None, executor):
            with pytest.raises(ZeroDivisionError) as caught:
                list(map_tasks(lambda task: 1 / task, [2, 1, 0, 3], executor=where))
            assert caught.value.__notes__ == ["This happened in task 2 (counted from 0)."]


def test_a_pool_of_processes(pool: object) -> None:
    assert list(map_tasks(abs, [-1, 2, -3], executor=pool)) == [1, 2, 3]


def test_workers_killed_from_outside_lose_nothing(pool: object, happened: Callable[[str], None]) -> None:
    """A worker is killed after some tasks have finished; each result arrives once, in order."""
    finished: list[int] = []
    killed: list[int] = []

    def kill_one(index: int, _: object) -> None:
        finished.append(index)
        workers = [worker for worker in (pool._pool._processes or {}).values() if worker.is_alive()]
        if index in (5, 20) and workers:  # after the first loss a pool may have none for a moment
            workers[0].kill()
            killed.append(index)

    results = list(map_tasks(abs, [-value for value in SQUARES], executor=pool, on_result=kill_one))
    assert results == SQUARES
    assert 5 in killed
    assert sorted(finished) == list(range(40)), "no task is reported twice or forgotten"
    right = sum(one == wanted for one, wanted in zip(results, SQUARES, strict=True))
    happened(f"its tasks are done again: {right} of {len(SQUARES)} results are there, in order, each once")


def test_a_task_that_kills_its_worker_is_named(pool: object, happened: Callable[[str], None]) -> None:
    """``raise_signal(SIGKILL)`` kills its worker each time: task 3 is blamed, no other."""
    finished: list[int] = []
    tasks = [0, 0, 0, signal.SIGKILL, 0, 0]
    with pytest.raises(LostWorkerError, match=r"Task 3 lost its worker \d times, the last time running alone") as error:
        list(
            map_tasks(
                signal.raise_signal,
                tasks,
                executor=pool,
                on_result=lambda index, _: finished.append(index),
            )
        )
    assert {0, 1, 2} <= set(finished)
    happened(f"refused: {re.sub(r'[0-9] times', 'several times', str(error.value))}")


def test_a_pool_that_cannot_replace_workers_says_so() -> None:
    import multiprocessing

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        with pytest.raises(LostWorkerError, match=r"cannot start another; 0 tasks were finished\. Use .*process_pool"):
            list(map_tasks(os._exit, [1], executor=executor))


def test_an_empty_pool_is_an_error() -> None:
    with pytest.raises(InputError, match="pool of -1 processes cannot work"):
        process_pool(-1)
    with pytest.raises(InputError, match="pool of 0 processes"):
        process_pool(0)


def test_open_executor_gives_what_was_asked_for() -> None:
    with open_executor() as executor:
        assert executor is None


def test_no_scheduler_is_an_error_with_advice() -> None:
    with pytest.raises(InputError, match=r"No Dask scheduler answers at 'tcp://127\.0\.0\.1:9'.*dask scheduler"):
        with cluster_executor("tcp://127.0.0.1:9", timeout_s=1.0):
            pass


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker() -> None:
    """A real cluster of processes; one worker is killed in the middle: same results, in order."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with cluster_executor(cluster.scheduler_address) as executor:
            pids = [worker.process.pid for worker in cluster.workers.values()]

            def kill_one(index: int, _: object) -> None:
                if index == 5:
                    os.kill(pids[0], signal.SIGKILL)

            results = list(map_tasks(abs, [-value for value in SQUARES], executor=executor, on_result=kill_one))
    assert results == SQUARES
