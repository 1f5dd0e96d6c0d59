"""The model of a command, with its simulator on what it was asked to run on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from antidrome.errors import InputError

if TYPE_CHECKING:
    from antidrome.mechanism.loading import LoadedModel


@contextlib.contextmanager
def opened_model(
    where: str, *, timeout_s: float | None = None, processes: int | None = None, cluster: str | None = None
) -> Iterator[LoadedModel]:
    """Simulator and prior of ``where``; processes that run the simulator end with the block.

    Parameters
    ----------
    where
        A model's name, or FILE.py or package.module (:NAME).
    timeout_s, processes, cluster
        Longest time of one simulation in seconds (inf: no limit), processes, address of a Dask scheduler; for Python
        functions. None leaves what the simulator says.

    Raises
    ------
    InputError
        There is no such model, or it is no Python function but one of these was given.
    """
    if processes is not None and processes < 0:
        raise InputError(f"--processes is {processes}; expected 0 (this process) or more.")
    from antidrome.core.executor import open_executor
    from antidrome.mechanism.loading import LoadedModel, load_model
    from antidrome.mechanism.simulate.adapt import as_simulator
    from antidrome.mechanism.simulate.python_simulator import PythonSimulator

    model = load_model(where)
    simulator = as_simulator(model.simulator, parameter_names=model.prior.names)
    with contextlib.ExitStack() as stack:
        if not isinstance(simulator, PythonSimulator):
            given = {"--timeout-s": timeout_s, "--processes": processes, "--cluster": cluster}
            named = [name for name, value in given.items() if value is not None]
            if named:
                raise InputError(f"{', '.join(named)}: only for simulators that are Python functions.")
        else:
            executor = stack.enter_context(open_executor(cluster))
            changed = simulator.changed(timeout_s=timeout_s, n_processes=processes, executor=executor)
            simulator = stack.enter_context(changed)
        yield LoadedModel(simulator, model.prior)
