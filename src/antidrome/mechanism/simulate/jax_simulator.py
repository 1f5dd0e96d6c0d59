"""Simulators written in JAX: vectorised and compiled, features computed in the same call."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.compilation import enable_compilation_cache
from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import Missing, SimulationBatch, check_theta, judge, simulation_seeds
from antidrome.mechanism.simulate.outputs import default_names


class JaxSimulator:
    """A JAX function as a simulator.

    Parameters
    ----------
    function
        ``function(theta, key)`` (or ``function(theta)``) of one simulation: theta (d,) float32, a JAX random key of its
        own; returns an array or a dict of arrays. With ``batched=True``: theta (n, d), keys (n,), and every output has
        n rows.
    batched
        Whether the function takes many simulations at once.
    feature_names, feature_units
        By default the keys of the dict, or x[0], x[1], …
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
        batched: bool = False,
        feature_names: Sequence[str] | None = None,
        feature_units: Sequence[str] | None = None,
        batch: int = 1024,
        missing: Missing = "feature",
        n_threads: int | None = None,
    ) -> None:
        if batch < 1:
            raise InputError(f"batch is {batch}; expected at least 1.")
        self.function, self.batched, self.batch, self.missing = function, batched, batch, missing
        self.n_threads = n_threads or os.cpu_count() or 1
        self._takes_key = _takes_key(function)
        self._names = None if feature_names is None else tuple(feature_names)
        self._units = None if feature_units is None else tuple(feature_units)
        self._compiled: dict[int, Callable[..., jax.Array]] = {}
        self._lock = threading.Lock()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features; () before `prepare` or the first run, unless they were given."""
        return self._names or ()

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Units of the features, "" where nobody said."""
        return self._units or ("",) * len(self.feature_names)

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

    def run(self, theta: np.ndarray, seed: int) -> SimulationBatch:
        """Simulate every row of ``theta`` (n, d); see `Simulator`."""
        theta = check_theta(theta)
        return self.run_seeded(theta, simulation_seeds(seed, len(theta)))

    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray) -> SimulationBatch:
        """Simulate every row with the seed (uint64) that stands beside it."""
        theta = check_theta(theta)
        self.prepare(theta)
        compiled = self._compiled[theta.shape[1]]
        starts = range(0, len(theta), self.batch)

        def one(start: int) -> np.ndarray:
            rows = slice(start, start + self.batch)
            return self._call(compiled, theta[rows], seeds[rows])

        if self.n_threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(min(self.n_threads, len(starts))) as threads:
                parts = list(threads.map(one, starts))
        else:
            parts = [one(start) for start in starts]
        return judge(np.concatenate(parts) if parts else np.zeros((0, len(self.feature_names))), self.missing)

    def _call(self, compiled: Callable[..., jax.Array], theta: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """One padded batch: (n, k) float64."""
        n = len(theta)
        rows = np.minimum(np.arange(self.batch), n - 1)
        return np.asarray(compiled(theta[rows].astype(np.float32), seed_words(seeds[rows])), np.float64)[:n]

    def _compile(self, n_parameters: int) -> Callable[..., jax.Array]:
        enable_compilation_cache()
        lead = (self.batch,) if self.batched else ()
        theta = jax.ShapeDtypeStruct((*lead, n_parameters), np.float32)
        words = jax.ShapeDtypeStruct((*lead, 2), np.uint32)
        found: list[tuple[str, ...]] = []

        def call(theta: jax.Array, words: jax.Array) -> jax.Array:
            key = jax.random.wrap_key_data(words, impl="threefry2x32")
            names, values = self._named(self.function(theta, key) if self._takes_key else self.function(theta))
            found.append(names)
            return values

        try:
            jax.eval_shape(call, theta, words)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"JAX cannot run this function with theta of shape {theta.shape}: {type(error).__name__}: {error}."
                " A function that is not written in JAX is wrapped with PythonSimulator."
            ) from error
        names = found[0]
        for given, what in ((self._names, "names"), (self._units, "units")):
            if given is not None and len(given) != len(names):
                raise InputError(f"{len(given)} feature {what} were given for {len(names)} features.")
        self._names = self._names or names
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
        return tuple(names), jnp.concatenate(columns, axis=-1)


def seed_words(seeds: np.ndarray) -> np.ndarray:
    """Seeds (n,) uint64 as the two words of JAX keys, (n, 2) uint32."""
    seeds = np.asarray(seeds, np.uint64)
    return np.stack([seeds >> np.uint64(32), seeds & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)


def _takes_key(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    return len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in positional)
