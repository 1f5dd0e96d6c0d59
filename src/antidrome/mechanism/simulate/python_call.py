"""How a user's function is called: with a vector or by name, one simulation or many, with its own seed."""

from __future__ import annotations

import functools
import inspect
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from antidrome.mechanism.simulate.outputs import to_rows, to_vector

MAX_TRACEBACK = 6000
SEED_ARGUMENTS = ("seed", "rng", "random_state", "seeds")

Reply = tuple[str, tuple[str, ...], tuple[str, ...], np.ndarray] | tuple[str, str, str, str]


@dataclass(frozen=True)
class Call:
    """A function with all that is needed to call it.

    Parameters
    ----------
    function
        The simulator, or with ``factory`` a function without arguments that makes it (where it is used: for what cannot
        be sent to another process, such as a NEURON cell).
    features
        Applied to the simulator's output, or None.
    parameter_names
        Names of the columns of theta; a function whose arguments have these names is called with them.
    """

    function: Callable[..., Any]
    features: Callable[[Any], Any] | None = None
    parameter_names: tuple[str, ...] = ()
    factory: bool = False

    def made(self) -> Call:
        """The call with its function made."""
        return Call(self.function(), self.features, self.parameter_names) if self.factory else self

    def single(self, theta: np.ndarray, seed: int, again: Callable[[], None] | None = None) -> Reply:
        """One simulation: ("values", names, units, (k,)) or ("failed", kind, message, traceback).

        `again` is told before the call is made a second time.
        """
        return _caught(lambda: to_vector(self._output(theta, np.uint64(seed))), seed, again)

    def many(self, theta: np.ndarray, seeds: np.ndarray, again: Callable[[], None] | None = None) -> Reply:
        """A batched call: values are (n, k)."""
        return _caught(lambda: to_rows(self._output(theta, seeds), len(theta)), int(seeds[0]), again)

    @property
    def is_by_name(self) -> bool:
        """Whether the function is called with the parameters' names."""
        return bool(self.parameter_names) and set(self.parameter_names) <= set(argument_names(self.function))

    def _output(self, theta: np.ndarray, seeds: Any) -> Any:
        arguments = argument_names(self.function)
        extra = {name: _seed_as(name, seeds) for name in SEED_ARGUMENTS if name in arguments}
        if self.is_by_name:
            output = self.function(**dict(zip(self.parameter_names, np.moveaxis(theta, -1, 0), strict=True)), **extra)
        else:
            output = self.function(theta, **extra)
        return output if self.features is None else self.features(output)


def _caught(run: Callable[[], tuple], seed: int, again: Callable[[], None] | None) -> Reply:
    """The reply of a call; one that imported torch or numba is made again, as what it drew from these had no seed."""
    before = _with_generators()
    reply = _caught_once(run, seed)
    if before == _with_generators():
        return reply
    if again is not None:
        again()
    return _caught_once(run, seed)


def _with_generators() -> list[str]:
    """Libraries with global generators of their own, as far as they have been imported."""
    return [name for name in ("torch", "numba") if name in sys.modules]


def _caught_once(run: Callable[[], tuple], seed: int) -> Reply:
    try:
        with _own_random_state(seed):
            names, units, values = run()
        return "values", names, units, values
    except MemoryError as error:
        return "failed", "memory", f"MemoryError: {error}".rstrip(": "), traceback.format_exc()[-MAX_TRACEBACK:]
    except Exception as error:  # whatever a user's function raises is a failed simulation
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return "failed", "exception", text[:500], traceback.format_exc()[-MAX_TRACEBACK:]


def argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's arguments; none where it does not tell them."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _seed_as(name: str, seeds: Any) -> Any:
    """The seed in the form that an argument of this name asks for."""
    if name == "seeds":
        return np.atleast_1d(seeds)
    first = int(np.atleast_1d(seeds)[0])
    if name == "rng":
        return np.random.default_rng(first)
    if name == "random_state":
        return np.random.RandomState(first % 2**32)
    return first % 2**31


@contextmanager
def _own_random_state(seed: int) -> Iterator[None]:
    """Seed the global generators that a user's function may draw from, and put them back afterwards.

    That of numba's compiled functions cannot be read, and stays as it is then.
    """
    legacy, standard = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002
    random.setstate(random.Random(seed).getstate())
    torch = sys.modules.get("torch")
    of_torch = None
    if torch is not None and hasattr(torch, "manual_seed"):
        of_torch = torch.get_rng_state()
        torch.manual_seed(seed % 2**63)
    if hasattr(sys.modules.get("numba"), "njit"):
        _seed_of_numba()(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(standard)
        if torch is not None and of_torch is not None:
            torch.set_rng_state(of_torch)


@functools.cache
def _seed_of_numba() -> Callable[[int], Any]:
    """Compiled once a process: only compiled code reaches the generators of compiled code, those of this thread."""
    import numba

    # lambdas, as the type checks of the test run wrap nested functions, and numba does not compile wrappers
    of_numpy, of_random = np.random.seed, random.seed
    seeding = [numba.njit(lambda seed: of_numpy(seed)), numba.njit(lambda seed: of_random(seed))]
    return lambda seed: [one(seed) for one in seeding]
