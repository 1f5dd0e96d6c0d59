"""The one seam for scale-out: the standard ``concurrent.futures.Executor``.

``map_tasks(function, tasks)`` runs in this process; with ``executor=`` it runs wherever that executor does: a pool of
spawned processes (:func:`process_pool`), a Dask cluster (:func:`cluster_executor`), or any other. Results come in the
order of the tasks, whatever the order in which they finish. A worker that is lost (killed, out of memory, unplugged)
loses no finished result: only what was running on it is done again, one task at a time, so that a task that kills its
worker is found out and named instead of taking others with it.
"""

import collections
import concurrent.futures
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

from antidrome.core.workers import SpawnedProcessPool, cluster_executor, n_workers_of, open_executor, process_pool
from antidrome.errors import LostWorkerError

TASKS_PER_WORKER = 4
"""Submitted, or finished but not yet yielded, at most."""
MAX_ATTEMPTS = 3
"""How often a task that loses its worker is tried in all."""

Task = TypeVar("Task")
Result = TypeVar("Result")

__all__ = ["SpawnedProcessPool", "cluster_executor", "map_tasks", "open_executor", "process_pool"]


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    executor: Executor | None = None,
    on_result: Callable[[int, Result], None] | None = None,
) -> Iterator[Result]:
    """Yield ``function(task)`` for each task, in the order of the tasks.

    Parameters
    ----------
    function
        A function of one argument; for other processes it must be importable (defined at the top of a module).
    tasks
        Read as they are needed, four for every worker in advance: memory does not grow with their number.
    executor
        Where to run: None for this process, :func:`process_pool`, :func:`cluster_executor`, or any executor.
    on_result
        Called with the task's index and result as soon as it is finished, in the order of finishing: the place to
        write a result to disk and to tick a progress bar.

    Raises
    ------
    LostWorkerError
        If a task loses its worker three times, or the executor cannot replace its workers.
    Exception
        What ``function`` raised, unchanged, with a note that names the task.
    """
    if executor is None:
        return _map_here(function, tasks, on_result or _ignore)
    return _Run(function, executor, on_result or _ignore).results(iter(tasks))


@dataclasses.dataclass
class _Job:
    """One task on its way."""

    index: int
    task: Any
    n_lost: int = 0


class _Run:
    """The state of one ``map_tasks`` call on an executor.

    ``running`` maps futures to jobs, ``finished`` holds results that wait for earlier ones, ``suspects`` are the jobs
    that ran while a worker was lost; while there are any, they run alone.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        executor: Executor,
        on_result: Callable[[int, Any], None],
    ) -> None:
        self.function, self.executor, self.on_result = function, executor, on_result
        self.window = TASKS_PER_WORKER * n_workers_of(executor)
        self.running: dict[Future, _Job] = {}
        self.finished: dict[int, Any] = {}
        self.suspects: collections.deque[_Job] = collections.deque()
        self.n_taken = self.n_yielded = 0

    def results(self, tasks: Iterator[Any]) -> Iterator[Any]:
        try:
            while self._fill(tasks):
                self._collect()
                while self.n_yielded in self.finished:
                    result = self.finished.pop(self.n_yielded)
                    self.n_yielded += 1
                    yield result
        finally:
            for future in self.running:
                future.cancel()

    def _fill(self, tasks: Iterator[Any]) -> bool:
        """Submit as much as may run now; False when nothing is left to wait for."""
        if self.suspects:
            if not self.running:
                self._submit(self.suspects.popleft())
            return True
        while self.n_taken - self.n_yielded < self.window:
            task = next(tasks, _END)
            if task is _END:
                break
            self.n_taken += 1
            if not self._submit(_Job(self.n_taken - 1, task)):
                break
        return bool(self.running or self.suspects)

    def _submit(self, job: _Job) -> bool:
        try:
            self.running[self.executor.submit(self.function, job.task)] = job
        except BrokenExecutor:
            self._replace_workers([job])
            return False
        return True

    def _collect(self) -> None:
        """Wait until something is finished, and sort it: results, lost workers, errors of the function."""
        if not self.running:
            return
        done, _ = concurrent.futures.wait(self.running, return_when=concurrent.futures.FIRST_COMPLETED)
        lost: list[_Job] = []
        failed: list[tuple[_Job, BaseException]] = []
        for future in done:
            job = self.running.pop(future)
            if future.cancelled():
                raise LostWorkerError(
                    f"Task {job.index} was cancelled by its executor: was the pool or cluster closed?"
                )
            error = future.exception()
            if error is None:
                self.finished[job.index] = future.result()
                self.on_result(job.index, self.finished[job.index])
            elif _is_lost_worker(error):
                lost.append(job)
            else:
                failed.append((job, error))
        if failed:
            job, error = min(failed, key=lambda pair: pair[0].index)
            error.add_note(f"This happened in task {job.index} (counted from 0).")
            raise error
        if lost:
            self._blame(lost)

    def _blame(self, lost: list[_Job]) -> None:
        """Note who ran while a worker was lost; a job that ran alone is the cause."""
        pool_is_broken = isinstance(self.executor, ProcessPoolExecutor | SpawnedProcessPool)
        alone = len(lost) == 1 and not self.running
        for job in lost:
            job.n_lost += 1
        if alone and lost[0].n_lost >= MAX_ATTEMPTS:
            raise LostWorkerError(
                f"Task {lost[0].index} lost its worker {lost[0].n_lost} times, the last time running alone: it was"
                " killed, probably for want of memory, or crashed. Results finished before are kept. Use smaller"
                " blocks or fewer workers."
            )
        if pool_is_broken:
            self._replace_workers(lost)
        else:
            self.suspects.extend(sorted(lost, key=lambda job: job.index))

    def _replace_workers(self, lost: list[_Job]) -> None:
        unfinished = [*lost]
        for future, job in self.running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self.finished[job.index] = future.result()
                self.on_result(job.index, self.finished[job.index])
            else:
                unfinished.append(job)
        self.running.clear()
        if not isinstance(self.executor, SpawnedProcessPool):
            raise LostWorkerError(
                f"A worker of this {type(self.executor).__name__} was lost, and it cannot start another;"
                f" {self.n_yielded + len(self.finished)} tasks were finished. Use"
                " antidrome.core.executor.process_pool(), which replaces lost workers."
            )
        self.executor.restart()
        self.suspects.extend(sorted(unfinished, key=lambda job: job.index))


_END = object()


def _map_here(
    function: Callable[[Task], Result], tasks: Iterable[Task], on_result: Callable[[int, Result], None]
) -> Iterator[Result]:
    for index, task in enumerate(tasks):
        try:
            result = function(task)
        except Exception as error:
            error.add_note(f"This happened in task {index} (counted from 0).")
            raise
        on_result(index, result)
        yield result


def _ignore(index: int, result: Any) -> None:
    """Do nothing with a result."""


def _is_lost_worker(error: BaseException) -> bool:
    """Whether an error means that the worker went away, and not that the function failed."""
    if isinstance(error, BrokenExecutor):
        return True
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)
