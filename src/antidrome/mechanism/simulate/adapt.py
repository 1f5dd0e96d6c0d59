"""Anything as a simulator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.simulate.batch import Simulator
from antidrome.mechanism.simulate.seeded import SeededSimulator


def as_simulator(simulator: Any, *, parameter_names: Sequence[str] = (), **settings: Any) -> Simulator:
    """A simulator from whatever simulates.

    A function that takes a ``key`` or was jitted is taken for JAX (`JaxSimulator`: compiled, vectorised); every other
    function runs in processes of its own (`PythonSimulator`). What already is a simulator is returned as it is, a
    `PythonSimulator` whose function takes the parameters by name with their names.

    Parameters
    ----------
    simulator
        A `Simulator` or a function.
    parameter_names
        Names of the columns of theta, for functions that are called by name.
    settings
        Of `JaxSimulator` or `PythonSimulator`: ``timeout_s=…``, ``features=…``, ``batched=…``, …

    Raises
    ------
    InputError
        If it is neither, or settings were given for a finished simulator.
    """
    if isinstance(simulator, Simulator):
        if settings:
            raise InputError(f"{', '.join(settings)}: settings of a simulator that is already made; set them there.")
        return named(simulator, parameter_names)
    if not callable(simulator):
        raise InputError(
            f"The simulator is a {type(simulator).__name__}; expected a function of the parameters, or an object with"
            " run(theta, seed), feature_names and feature_units."
        )
    from antidrome.mechanism.simulate.python_simulator import PythonSimulator

    if not _is_jax(simulator):
        _check_settings(settings, PythonSimulator)
        return PythonSimulator(simulator, parameter_names=parameter_names, **settings)
    from antidrome.mechanism.simulate.jax_simulator import JaxSimulator

    _check_settings(settings, JaxSimulator, "features")
    features = settings.pop("features", None)
    whole = simulator if features is None else _then(simulator, features)
    made = JaxSimulator(whole, parameter_names=parameter_names, **settings)
    made.features = features
    return made


def named(simulator: Any, parameter_names: Sequence[str]) -> Any:
    """A simulator that is already made, with the names of the parameters where its function is called by them.

    One that has names of its own, in another order, is told so: it is part of which simulator it is.
    """
    from antidrome.mechanism.simulate.python_simulator import PythonSimulator

    if isinstance(simulator, PythonSimulator):
        simulator = simulator.for_parameters(parameter_names)
    if isinstance(simulator, SeededSimulator):
        simulator.note_order(parameter_names)
    return simulator


def _check_settings(settings: Mapping[str, Any], made: type, *further: str) -> None:
    known = [*inspect.signature(made).parameters, *further]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise InputError(
            f"There is no setting {unknown[0]!r} for a {made.__name__}, which this function needs."
            f"{did_you_mean(unknown[0], known)} There are: {', '.join(known[1:])}."
        )


def _then(simulator: Callable[..., Any], features: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(simulator)
    def simulate(*args: Any, **kwargs: Any) -> Any:
        return features(simulator(*args, **kwargs))

    return simulate


def _is_jax(function: Callable[..., Any]) -> bool:
    """Whether a function says that it is JAX: it is jitted, or takes a ``key``."""
    if hasattr(function, "lower") and hasattr(function, "eval_shape"):
        return True
    try:
        return "key" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
