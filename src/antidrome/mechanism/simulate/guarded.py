"""Workers that may hang, crash or eat memory: a failed simulation is known by its row, and the rest goes on.

One simulator process (:mod:`antidrome.mechanism.simulate.worker`) serves one thread of the parent. It is a fresh
interpreter, not a fork, so that it survives JAX, and a script needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.python_call import MAX_TRACEBACK, Call, Reply
from antidrome.mechanism.simulate.worker import AGAIN, read_frame, write_frame

OnReply = Callable[[int, Reply], None]
START_TIMEOUT_S = 300.0
UNUSED_POOLS = 2
"""So many simulators that run elsewhere in turns keep their processes."""
_POOLS: dict[bytes, WorkerPool] = {}
_USERS: Counter[bytes] = Counter()
_POOLS_LOCK = threading.Lock()


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker of a pool is given.

    Parameters
    ----------
    call
        The pickled `Call`.
    timeout_s
        Longest time of one simulation, and of one batched call (whose rows are done one by one if it takes longer),
        seconds; None for no limit.
    memory_bytes
        Most memory of one worker; more is a MemoryError of the simulation.
    """

    call: bytes
    timeout_s: float | None
    memory_bytes: int

    @classmethod
    def of(cls, call: Call, timeout_s: float | None, memory_bytes: int | None, n_workers: int) -> WorkerSettings:
        """Settings for a call; by default the workers together may use 80 % of this machine's memory."""
        share = int(0.8 * _physical_bytes() / max(1, n_workers))
        return cls(pickled(call), timeout_s, max(2**30, share) if memory_bytes is None else memory_bytes)


class WorkerPool:
    """Idle workers, and the watchdog that kills those past their time."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.n_recycled = 0
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watchdog: threading.Thread | None = None

    def run(self, theta: np.ndarray, seeds: np.ndarray, on_reply: OnReply, *, many: bool = False) -> None:
        """Simulate rows; ``on_reply(row, reply)`` after each. With ``many``, one call for all: ``on_reply(0, …)``."""
        row = 0
        while row < (1 if many else len(theta)):
            worker = self._acquire()
            try:
                row = self._serve(worker, theta, seeds, row, on_reply, many)
            except BaseException:
                self._discard(worker)
                raise
            if worker.is_usable:
                self._release(worker)
            else:
                self._discard(worker)

    def close(self) -> None:
        """End all workers."""
        self._closed.set()
        with self._lock:
            workers, self._idle = list(self._all), []
            self._all.clear()
        for worker in workers:
            worker.end()
        if self._watchdog is not None and self._watchdog is not threading.current_thread():
            self._watchdog.join()

    def _serve(
        self, worker: _Worker, theta: np.ndarray, seeds: np.ndarray, row: int, on_reply: OnReply, many: bool
    ) -> int:
        """Rows from ``row`` on one worker, as far as it goes; the next row to do."""
        limit = self.settings.timeout_s
        n = 1 if many else len(theta)
        first = row
        while row < n and worker.is_usable:
            try:
                worker.start_clock(limit)
                if row == first:
                    worker.send((theta[row:], seeds[row:], many))
                reply, grown = worker.receive_reply(limit)
                worker.start_clock(None)
                worker.is_usable = not grown
                self.n_recycled += grown
            except (EOFError, OSError):
                worker.is_usable = False
                if self._closed.is_set():
                    raise InterruptedError("The simulator was closed while it ran.") from None
                reply = worker.obituary(limit)
            on_reply(row, reply)  # outside: an error of whoever keeps the replies is no crash of the simulator
            row += 1
        return row

    def _acquire(self) -> _Worker:
        while (idle := self._taken_from_idle()) is not None:
            if idle.is_running:
                return idle
            self._discard(idle)
        with self._lock:
            if self._watchdog is None and self.settings.timeout_s is not None:
                self._watchdog = threading.Thread(target=self._watch, daemon=True)
                self._watchdog.start()
        worker = _Worker(self.settings)
        with self._lock:
            if not self._closed.is_set():
                self._all.add(worker)
                return worker
        worker.end()
        raise InterruptedError("The simulator was closed while it ran.")

    def _taken_from_idle(self) -> _Worker | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _release(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._idle.append(worker)
                return
        worker.end()

    def _discard(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()

    def _watch(self) -> None:
        while not self._closed.wait(0.05):
            with self._lock:
                workers = list(self._all)
            for worker in workers:
                worker.kill_if_late()


class _Worker:
    """One process and its pipes."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.is_usable = True
        self._late = False
        self._deadline: float | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "antidrome.mechanism.simulate.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment | os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        self._begin(settings)

    def _begin(self, settings: WorkerSettings) -> None:
        clock = threading.Timer(START_TIMEOUT_S, self._kill)
        clock.start()
        try:
            self.send(
                {
                    "parent": os.getpid(),
                    "path": [os.path.abspath(entry) for entry in sys.path],
                    "folder": os.getcwd(),
                    "memory_bytes": settings.memory_bytes,
                    "recycle_bytes": settings.memory_bytes // 2,
                    "call": settings.call,
                }
            )
            answer = self.receive()
        except (EOFError, OSError):
            answer = ("refused", "its process ended while it was loaded", self._last_words())
        finally:
            clock.cancel()
        if answer[0] != "ready":
            self.end()
            raise InputError(
                f"The simulator cannot be loaded in another process: {answer[1]}. Define what it needs inside it, or"
                " pass a function that makes it with factory=True, or run it in this process with n_processes=0.\n"
                f"{answer[2][-MAX_TRACEBACK:]}"
            )

    @property
    def is_running(self) -> bool:
        """Whether the process is there; somebody may have ended it while it had nothing to do."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Send one message."""
        write_frame(self._process.stdin, message)

    def receive(self) -> Any:
        """Wait for the next message."""
        return read_frame(self._process.stdout)

    def receive_reply(self, limit_s: float | None) -> tuple[Reply, bool]:
        """Wait for a simulation, and whether the process has grown; a call that is made again has its time anew."""
        while (message := self.receive()) == AGAIN:
            self.start_clock(limit_s)
        return message

    def start_clock(self, limit_s: float | None) -> None:
        """Allow the simulation that begins now so many seconds."""
        self._deadline = None if limit_s is None else time.monotonic() + limit_s

    def kill_if_late(self) -> None:
        """Kill the process when its simulation has had its time."""
        deadline = self._deadline
        if deadline is not None and time.monotonic() > deadline:
            self._late, self._deadline = True, None
            self._kill()

    def obituary(self, limit_s: float | None) -> Reply:
        """Why the process is gone, as the reply of the simulation that it was at."""
        self.start_clock(None)
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        if self._late:
            return "failed", "timeout", f"stopped after {limit_s:g} s (timeout_s)", ""
        how = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        return "failed", "crash", f"the simulator's process ended with {how}", self._last_words()

    def end(self) -> None:
        """Stop the process and close its pipes."""
        self.is_usable = False
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()

    def _kill(self) -> None:
        """End the process and those that its simulator started: all are in the session that begins with it."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # there is no such thing, or nobody is left
            self._process.kill()

    def _last_words(self) -> str:
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - MAX_TRACEBACK))
        return self._errors.read().decode(errors="replace")


@contextlib.contextmanager
def pool_of_this_process(settings: WorkerSettings) -> Iterator[WorkerPool]:
    """The pool for these settings in a worker of an executor; made at first use.

    It is there for the next block too. A worker of a cluster outlives many simulators: of the pools that nobody uses,
    only those used last are kept.
    """
    key = repr((settings.timeout_s, settings.memory_bytes)).encode() + settings.call
    with _POOLS_LOCK:
        pool = _POOLS[key] = _POOLS.pop(key, None) or WorkerPool(settings)
        _USERS[key] += 1
        unused = [other for other in _POOLS if not _USERS[other]]
        ended = [_POOLS.pop(other) for other in unused[: max(0, len(unused) - UNUSED_POOLS)]]
    for other in ended:
        other.close()
    try:
        yield pool
    finally:
        with _POOLS_LOCK:
            _USERS[key] -= 1
            if not _USERS[key]:
                del _USERS[key]


def pickled(call: Call) -> bytes:
    """The call as bytes that another interpreter can load: functions of modules that it cannot import go by value."""
    modules = []
    for function in (call.function, call.features):
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        if module is not None and module.__name__ != "__main__" and not _is_importable(module.__name__):
            modules.append(module)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(call)
    except Exception as error:  # every library has its own error for what cannot be pickled
        raise InputError(
            f"The simulator cannot be sent to another process ({type(error).__name__}: {error}). Pass a function that"
            " makes it with factory=True, or run it in this process with n_processes=0."
        ) from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _is_importable(name: str) -> bool:
    """Whether a new interpreter finds the module, package by package, on the import path."""
    if name.partition(".")[0] in sys.builtin_module_names:
        return True
    parts, path = name.split("."), None
    for end in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
