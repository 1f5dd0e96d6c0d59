"""Simulators written in JAX: vectorised and compiled, features computed in the same call."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core import cores
from antidrome.core.compilation import enable_compilation_cache
from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import Failure, Missing, SimulationBatch, check_theta, judge
from antidrome.mechanism.simulate.outputs import default_names
from antidrome.mechanism.simulate.python_call import MAX_TRACEBACK
from antidrome.mechanism.simulate.seeded import SeededSimulator


class JaxSimulator(SeededSimulator):
    """A JAX function as a simulator.

    Parameters
    ----------
    function
        ``function(theta, key)`` (or ``function(theta)``) of one simulation: theta (d,) float32, a JAX random key of its
        own; returns an array or a dict of arrays. With ``batched=True``: theta (n, d), keys (n,), and every output has
        n rows. Where its arguments have the parameters' names, it is called with them, and with ``key``. What it raises
        while it runs (`equinox.error_if`) fails the simulations that raise it.
    parameter_names
        Names of the columns of theta, for functions that are called by name.
    batched
        Whether the function takes many simulations at once.
    feature_names, feature_units
        By default the keys of the dict, or x[0], x[1], …; the same keys in another order put the features in that.
    batch
        Simulations in one compiled call; smaller numbers are padded, so that nothing is compiled twice.
    missing
        What a NaN among numbers means: a missing "feature", or a "failure" of the simulation.
    n_threads
        Compiled calls that run at once; by default one for each core.

    Raises
    ------
    InputError
        If the function cannot be traced by JAX, or names and features do not agree.

    Examples
    --------
    >>> import jax
    >>> simulator = JaxSimulator(lambda theta, key: theta + jax.random.normal(key, theta.shape))
    >>> simulator.run(np.zeros((3, 2)), seed=0).features.shape
    (3, 2)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        parameter_names: Sequence[str] = (),
        batched: bool = False,
        feature_names: Sequence[str] | None = None,
        feature_units: Sequence[str] | None = None,
        batch: int = 1024,
        missing: Missing = "feature",
        n_threads: int | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"batch is {batch}; expected at least 1.")
        super().__init__(feature_names, feature_units, missing)
        self.function, self.batched, self.batch = function, batched, batch
        self.features: Callable[..., Any] | None = None
        """What ``function`` applies to its output, where `as_simulator` put the two together."""
        self.identity_settings: Mapping[str, Any] | None = None
        """What ``function`` was made with, where that is not in its source: with other settings it is another one."""
        self.n_threads = n_threads or cores.n_threads()
        self._parameter_names = tuple(parameter_names)
        self._arguments = _Arguments.of(function, self._parameter_names)
        self._compiled: dict[int, Callable[..., jax.Array]] = {}
        self._lock = threading.Lock()

    @property
    def called_by_name(self) -> bool:
        """Whether the function is called with the parameters' names."""
        return bool(self._arguments.names)

    @property
    def aligned_rows(self) -> int:
        """Simulations that are always computed together, so that results do not depend on interruptions."""
        return self.batch

    def prepare(self, theta: np.ndarray) -> None:
        """Find the features (by tracing, without simulating) for parameters like ``theta`` (n, d)."""
        n_parameters = check_theta(theta).shape[1]
        with self._lock:
            if n_parameters not in self._compiled:
                self._compiled[n_parameters] = self._compile(n_parameters)

    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray) -> SimulationBatch:
        """Simulate every row with the seed (uint64) that stands beside it."""
        theta = check_theta(theta, self._parameter_names)
        self.prepare(theta)
        compiled = self._compiled[theta.shape[1]]
        starts = range(0, len(theta), self.batch)
        features, raised = np.zeros((len(theta), len(self.feature_names))), {}

        def one(start: int) -> None:
            rows = np.arange(start, min(start + self.batch, len(theta)))
            self._call(compiled, theta, seeds, rows, features, raised)

        if self.n_threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(min(self.n_threads, len(starts))) as threads:
                list(threads.map(one, starts))
        else:
            for start in starts:
                one(start)
        return _with_raised(judge(features, self.missing), raised)

    def _call(
        self,
        compiled: Callable[..., jax.Array],
        theta: np.ndarray,
        seeds: np.ndarray,
        rows: np.ndarray,
        features: np.ndarray,
        raised: dict[int, Failure],
    ) -> None:
        """Fill the rows of `features` by one padded call; if it raises, by halves, down to the row that does."""
        padded = rows[np.minimum(np.arange(self.batch), len(rows) - 1)]
        try:
            values = compiled(theta[padded].astype(np.float32), seed_words(seeds[padded]))
            features[rows] = np.asarray(values, np.float64)[: len(rows)]
        except Exception as error:  # a failed check in the function, or what a callback raised
            if "RESOURCE_EXHAUSTED" in str(error):
                raise InputError(
                    f"{self.batch} simulations at once do not fit into memory; give JaxSimulator a smaller batch."
                ) from error
            if len(rows) == 1:
                features[rows] = np.nan
                raised[int(rows[0])] = _failure(int(rows[0]), error)
                return
            for half in np.array_split(rows, 2):
                self._call(compiled, theta, seeds, half, features, raised)

    def _compile(self, n_parameters: int) -> Callable[..., jax.Array]:
        enable_compilation_cache()
        lead = (self.batch,) if self.batched else ()
        theta = jax.ShapeDtypeStruct((*lead, n_parameters), np.float32)
        words = jax.ShapeDtypeStruct((*lead, 2), np.uint32)
        found: list[tuple[str, ...]] = []

        def call(theta: jax.Array, words: jax.Array) -> jax.Array:
            key = jax.random.wrap_key_data(words, impl="threefry2x32")
            names, values = self._named(self._arguments.call(self.function, theta, key))
            found.append(names)
            return values

        try:
            jax.eval_shape(call, theta, words)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"JAX cannot run this function with theta of shape {theta.shape}: {type(error).__name__}: {error}."
                " A function that takes something else than (theta, key) or the parameters by name has to say so; one"
                " that is not written in JAX is wrapped with PythonSimulator."
            ) from error
        self._learn(found[0])
        return jax.jit(call if self.batched else jax.vmap(call))

    def _named(self, output: Any) -> tuple[tuple[str, ...], jax.Array]:
        """Names and values, (k,) or (n, k), of an output while it is traced."""
        lead = (self.batch,) if self.batched else ()
        parts = dict(output) if isinstance(output, dict) else {"x": output}
        names: list[str] = []
        columns: list[jax.Array] = []
        for name, part in parts.items():
            values = jnp.asarray(part)
            if values.shape[: len(lead)] != lead:
                raise InputError(f"Batched {name!r} has shape {values.shape}, expected {self.batch} rows.")
            shape = values.shape[len(lead) :]
            names += [str(name)] if shape == () else [f"{name}[{','.join(map(str, i))}]" for i in np.ndindex(shape)]
            columns.append(values.reshape(*lead, -1).astype(jnp.float32))
        if not isinstance(output, dict):
            names = list(default_names(len(names)))
        found = jnp.concatenate(columns, axis=-1)
        wanted = list(self.feature_names)
        if wanted != names and sorted(wanted) == sorted(names):
            return tuple(wanted), found[..., np.array([names.index(name) for name in wanted])]
        return tuple(names), found


def seed_words(seeds: np.ndarray) -> np.ndarray:
    """Seeds (n,) uint64 as the two words of JAX keys, (n, 2) uint32."""
    seeds = np.asarray(seeds, np.uint64)
    return np.stack([seeds >> np.uint64(32), seeds & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)


@dataclass(frozen=True)
class _Arguments:
    """How a function wants its arguments: parameters by name or as a vector; a key after them, by name, or none."""

    names: tuple[str, ...] = ()
    key: Literal["second", "by name", "none"] = "second"

    @classmethod
    def of(cls, function: Callable[..., Any], parameter_names: tuple[str, ...]) -> _Arguments:
        """As its signature says."""
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return cls()
        if parameter_names and set(parameter_names) <= set(parameters):
            return cls(parameter_names, "by name" if "key" in parameters else "none")
        kinds = [p.kind for p in parameters.values()]
        if "key" in parameters and parameters["key"].kind is inspect.Parameter.KEYWORD_ONLY:
            return cls((), "by name")
        positional = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
        positional += kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return cls((), "second" if positional > 1 or inspect.Parameter.VAR_POSITIONAL in kinds else "none")

    def call(self, function: Callable[..., Any], theta: jax.Array, key: jax.Array) -> Any:
        """The function's output."""
        named = {name: theta[..., i] for i, name in enumerate(self.names)}
        if self.key == "by name":
            named["key"] = key
        vector = () if self.names else (theta,)
        return function(*vector, *([key] if self.key == "second" else []), **named)


def _failure(row: int, error: Exception) -> Failure:
    text = str(error)
    told = [line for line in text.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    message = told[-1] if told else f"{type(error).__name__}: {text}".splitlines()[0]
    return Failure(row, "exception", message[:500], text[-MAX_TRACEBACK:])


def _with_raised(batch: SimulationBatch, raised: dict[int, Failure]) -> SimulationBatch:
    """The batch, with what was raised as the reason of its failed rows."""
    failures = tuple(raised.get(failure.index, failure) for failure in batch.failures)
    return batch._replace(failures=failures)
