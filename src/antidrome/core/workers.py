"""Where tasks run: spawned processes that replace lost workers, or a Dask cluster."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from antidrome.core.cores import n_cores
from antidrome.errors import InputError


class SpawnedProcessPool(Executor):
    """A pool of freshly started Python processes that replaces its workers when one is lost.

    Workers are spawned, never forked: a fork of a process that runs JAX can deadlock. Use as a context manager.
    """

    def __init__(self, n_workers: int) -> None:
        if n_workers < 1:
            raise InputError(f"A pool of {n_workers} processes cannot work; it needs at least 1.")
        self.n_workers = n_workers
        self._pool = self._start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run ``fn(*args, **kwargs)`` in a worker; see :meth:`concurrent.futures.Executor.submit`."""
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers; see :meth:`concurrent.futures.Executor.shutdown`."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def restart(self) -> None:
        """Start new workers in place of lost ones; what was submitted and is unfinished is forgotten."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)


def process_pool(n_workers: int | None = None) -> SpawnedProcessPool:
    """Return a pool of ``n_workers`` spawned processes (by default one for each core); use it in a ``with`` block."""
    return SpawnedProcessPool(n_cores() if n_workers is None else n_workers)


@contextlib.contextmanager
def cluster_executor(address: str, *, timeout_s: float = 30.0) -> Iterator[Executor]:
    """Give an executor on the running Dask cluster at ``address``, for example ``"tcp://10.0.0.7:8786"``.

    Raises
    ------
    InputError
        If no scheduler answers there within ``timeout_s`` seconds.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=timeout_s)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address!r} ({error}). Start one with `dask scheduler`, workers with"
            " `dask worker ADDRESS`, and give the address that the scheduler prints."
        ) from error
    with client:
        yield client.get_executor(pure=False)


@contextlib.contextmanager
def open_executor(cluster: str | None = None) -> Iterator[Executor | None]:
    """Give the executor that a command line asks for: the cluster's, or None for this process."""
    if cluster is not None:
        with cluster_executor(cluster) as executor:
            yield executor
    else:
        yield None


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def n_workers_of(executor: Executor) -> int:
    """Return how many tasks an executor runs at once; the number of cores where it does not say."""
    if isinstance(executor, SpawnedProcessPool):
        return executor.n_workers
    client = getattr(executor, "_client", None)
    if client is not None:
        return max(1, sum(client.nthreads().values()))
    return n_cores()
