"""The model of a command, with its simulator on what it was asked to run on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from antidrome.cli.options import given
from antidrome.errors import InputError

if TYPE_CHECKING:
    from antidrome.mechanism.models.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfModel:
    """Options of every command that simulates."""

    model: Annotated[str, tyro.conf.Positional]
    """A model by name (two_moons, hodgkin_huxley_8, …), or FILE.py or package.module that defines simulator and prior;
    either with :NAME."""
    timeout_s: float | None = None
    """Longest time of one simulation of a Python function in a process of its own, seconds; inf: no limit. By default
    what the model's own PythonSimulator says, else 300."""
    processes: int | None = None
    """Processes for a Python function; by default one for each core."""
    cluster: str | None = None
    """Address of a Dask scheduler to simulate on (Python functions)."""


@contextlib.contextmanager
def opened_model(config: OfModel) -> Iterator[Model]:
    """Simulator and prior of the model; processes that run the simulator end with the block.

    Raises
    ------
    InputError
        There is no such model, or it is no Python function but an option for these was given.
    """
    if config.processes is not None and config.processes < 0:
        raise InputError(f"--processes is {config.processes}; expected 0 (this process) or more.")
    from antidrome.core.executor import open_executor
    from antidrome.mechanism.loading import read_model
    from antidrome.mechanism.simulate.adapt import as_simulator
    from antidrome.mechanism.simulate.python_simulator import PythonSimulator

    model = read_model(config.model)
    simulator = as_simulator(model.simulator, parameter_names=model.prior.names)
    with contextlib.ExitStack() as stack:
        if isinstance(simulator, PythonSimulator):
            executor = stack.enter_context(open_executor(config.cluster))
            changed = simulator.changed(timeout_s=config.timeout_s, n_processes=config.processes, executor=executor)
            simulator = stack.enter_context(changed)
        elif named := given(config, "timeout_s", "processes", "cluster"):
            raise InputError(f"{named}: only for simulators that are Python functions.")
        yield dataclasses.replace(model, simulator=simulator)


def model_identity(model: str) -> str:
    """What the simulations are of: a model's name; for a file or a module also its content, wherever it lies."""
    place = model if model.endswith(".py") else model.rpartition(":")[0] or model
    source = None if model.isidentifier() else _source_of(place)
    if source is None:
        return model
    name = model[model.rfind(source.name) :] if place.endswith(".py") else model
    return f"{name}, BLAKE2b {digest_of(source)}"


def digest_of(path: Path) -> str:
    """Of the content of a file."""
    import hashlib

    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _source_of(place: str) -> Path | None:
    """The file of ``FILE.py`` or ``package.module``; None where there is none."""
    import importlib.util

    origin: str | None = place
    if not place.endswith(".py"):
        try:
            found = importlib.util.find_spec(place)
        except (ImportError, ValueError):  # it is no name of a module, or none of this environment
            return None
        origin = None if found is None else found.origin
    return Path(origin) if origin is not None and Path(origin).is_file() else None
