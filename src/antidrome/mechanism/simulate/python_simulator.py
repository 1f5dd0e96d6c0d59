"""Any Python function as a simulator, in processes of its own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from antidrome.core.cores import n_cores
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import Missing, SimulationBatch, check_theta, judge
from antidrome.mechanism.simulate.detection import Found, find_form
from antidrome.mechanism.simulate.guarded import WorkerSettings
from antidrome.mechanism.simulate.python_call import Call, argument_names
from antidrome.mechanism.simulate.runners import MAX_ROWS_A_BLOCK, Collector, Elsewhere, Here, OnRow, Place, Processes
from antidrome.mechanism.simulate.seeded import SeededSimulator


class PythonSimulator(SeededSimulator):
    """A Python function as a simulator: each simulation with its own seed, in a process that may fail.

    An exception, a time-out, a crash of the process or too much memory is a failed simulation with its traceback; the
    others go on.

    Parameters
    ----------
    function
        ``function(theta)`` with theta (d,), or, batched, (n, d); returns a number, an array, a dict, xarray or pandas.
        Where its arguments have the parameters' names, it is called with them. Further arguments ``seed`` (int),
        ``rng`` (numpy Generator), ``random_state`` or, batched, ``seeds`` receive the seed; the global generators of
        numpy, random and torch are seeded too.
    parameter_names
        Names of the columns of theta, for functions that are called by name; in a fit, several that are named like the
        prior's parameters need not be given.
    batched
        Whether it takes many simulations at once; None: tried out at first use.
    features
        Applied to what the function returns, in the same process.
    feature_names, feature_units
        By default from the keys and attributes of what is returned, or x[0], x[1], …; the same keys in another order
        put the features in that. Keys may be left out where a feature is missing: those of the first 20 simulations
        count, or of as many as 10 s allow. If all of these may lack one, give the names.
    n_processes
        Processes; by default one for each core; 0: in this process, without protection.
    timeout_s
        Longest time of one simulation, seconds, in a process of its own; None or infinity for no limit.
    memory_bytes
        Most memory of one process; by default all of them together 80 % of the machine's. A process that has grown to
        half of it (a leak) is replaced after its simulation.
    missing
        What a NaN among numbers means: a missing "feature", or a "failure" of the simulation.
    factory
        ``function`` takes nothing and returns the simulator; it is called once in each process (NEURON, open files).
    executor
        Where blocks of simulations run, instead of this machine: a Dask cluster's executor, for example.

    Examples
    --------
    >>> def simulator(rate, duration, rng):
    ...     return {"count": rng.poisson(rate * duration)}
    >>> with PythonSimulator(simulator, parameter_names=("rate", "duration"), n_processes=0) as simulate:
    ...     batch = simulate.run(np.array([[2.0, 10.0], [-1.0, 10.0]]), seed=0)
    >>> batch.valid.tolist(), batch.failures[0].message.split(":")[0]
    ([True, False], 'ValueError')
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        parameter_names: Sequence[str] = (),
        batched: bool | None = None,
        features: Callable[[Any], Any] | None = None,
        feature_names: Sequence[str] | None = None,
        feature_units: Sequence[str] | None = None,
        n_processes: int | None = None,
        timeout_s: float | None = 300.0,
        memory_bytes: int | None = None,
        missing: Missing = "feature",
        factory: bool = False,
        executor: Executor | None = None,
    ) -> None:
        if not callable(function):
            raise InputError(f"The simulator is a {type(function).__name__}; expected a function.")
        if timeout_s is not None and not timeout_s > 0:
            raise InputError(f"timeout_s is {timeout_s}; expected a number of seconds above 0.")
        self._given = {name: value for name, value in locals().items() if name not in ("self", "function", "__class__")}
        super().__init__(feature_names, feature_units, missing)
        self.function = function
        self.call = Call(function, features, tuple(parameter_names), factory)
        self._parameter_names = self.call.parameter_names
        self.batched, self.executor = batched, executor
        self.n_processes = n_cores() if n_processes is None else whole_number("n_processes", n_processes, 0)
        self.timeout_s, self.memory_bytes = timeout_s, _whole_bytes(memory_bytes)
        self._found: Found | None = None
        self._place: Place | None = None
        self._finalizer: Callable[[], Any] | None = None
        self._lock = threading.Lock()

    def changed(
        self, *, timeout_s: float | None = None, n_processes: int | None = None, executor: Executor | None = None
    ) -> PythonSimulator:
        """The same simulator with another time limit, number of processes, or place; None leaves each as it is.

        ``timeout_s=float("inf")`` lifts the limit.
        """
        wanted = {"timeout_s": timeout_s, "n_processes": n_processes, "executor": executor}
        given = {name: value for name, value in wanted.items() if value is not None}
        return PythonSimulator(self.function, **(self._given | given)) if given else self

    def for_parameters(self, names: Sequence[str]) -> PythonSimulator:
        """The same simulator, called with these names, where it was given none and takes several arguments of them."""
        if self.call.parameter_names or self.call.factory or len(names) < 2:
            return self
        if not set(names) <= set(argument_names(self.function)):
            return self
        return PythonSimulator(self.function, **(self._given | {"parameter_names": tuple(names)}))

    @property
    def called_by_name(self) -> bool:
        """Whether the function is called with the parameters' names; one that is yet to be made does not tell it."""
        return not self.call.factory and self.call.is_by_name

    @property
    def is_batched(self) -> bool | None:
        """Whether the function is called with many parameter sets at once; None where that is yet to be tried."""
        return self.batched if self._found is None else self._found.batched

    @property
    def n_recycled(self) -> int:
        """How many processes were replaced because they had grown (a leak in the simulator)."""
        pool = getattr(self._place, "pool", None)
        return 0 if pool is None else pool.n_recycled

    @property
    def aligned_rows(self) -> int:
        """Simulations that are always computed together (those of one batched call)."""
        return MAX_ROWS_A_BLOCK if self.shares_seeds else 1

    @property
    def shares_seeds(self) -> bool:
        """Whether simulations that are computed together draw from one seed, that of the first of them."""
        return self._found is not None and self._found.batched

    def prepare(self, theta: np.ndarray) -> None:
        """Find out, with a few simulations at ``theta`` (n, d), what the features are and whether it takes batches.

        Raises
        ------
        InputError
            If none of the first simulations gives features.
        """
        with self._lock:
            if self._found is not None:
                return
            found = find_form(self._open().replies, check_theta(theta), self.batched, self._names)
            found = found.in_order_of(self._names)
            self._learn(found.names, found.units)
            self._found = found

    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray, on_row: OnRow | None = None) -> SimulationBatch:
        """Simulate every row with the seed (uint64) beside it; ``on_row`` is told of each as soon as it is finished."""
        theta = check_theta(theta, self._parameter_names)
        if not len(theta):
            return judge(np.zeros((0, len(self.feature_names))), self.missing)
        self.prepare(theta)
        assert self._found is not None
        collected = Collector(len(theta), self._found.names, self.missing, on_row)
        self._open().blocks(theta, seeds, self._found, collected)
        return collected.batch()

    def close(self) -> None:
        """End the simulator's processes; the next run starts new ones."""
        if self._finalizer is not None:
            self._finalizer()
        self._place = None

    def __enter__(self) -> PythonSimulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Place:
        if self._place is None:
            self._place = self._new_place()
            self._finalizer = weakref.finalize(self, self._place.close)
        return self._place

    def _new_place(self) -> Place:
        if self.n_processes == 0 and self.executor is None:
            return Here(self.call.made())
        settings = WorkerSettings.of(self.call, self.timeout_s, self.memory_bytes, self.n_processes)
        if self.executor is not None:
            return Elsewhere(settings, self.executor)
        return Processes(settings, self.n_processes)


def _whole_bytes(memory_bytes: float | None) -> int | None:
    """As given, a whole number also where it was written as 2e9."""
    if isinstance(memory_bytes, float) and memory_bytes.is_integer():
        memory_bytes = int(memory_bytes)
    return None if memory_bytes is None else whole_number("memory_bytes", memory_bytes, 1)
