"""The registry: a check is a small pure function of a view of the recording, known by a stable id."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from antidrome.recordings.checks.finding import Finding, Problem, Severity
from antidrome.recordings.checks.view import RecordingView

CheckFunction = Callable[[RecordingView], Problem | None]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A registered check; calling it on a view gives a `Finding` or None."""

    id: str
    severity: Severity
    function: CheckFunction

    @property
    def why(self) -> str:
        """Why the check exists: its docstring."""
        return inspect.getdoc(self.function) or ""

    def __call__(self, view: RecordingView) -> Finding | None:
        """Run the check on a view of a recording."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # infinity has its own check
            problem = self.function(view)
        if problem is None:
            return None
        return Finding(
            id=self.id,
            severity=problem.severity or self.severity,
            message=problem.message,
            fix=problem.fix,
            neurons=problem.neurons,
        )


_REGISTRY: dict[str, Check] = {}


def register_check(*, id: str, severity: Severity) -> Callable[[CheckFunction], CheckFunction]:
    """Register the function below under `id`; it returns a `Problem` or None, and its docstring says why it exists.

    Raises
    ------
    ValueError
        If the id is taken or the function has no docstring.
    """

    def register(function: CheckFunction) -> CheckFunction:
        if id in _REGISTRY:
            raise ValueError(f"The check id {id!r} is taken by {_REGISTRY[id].function.__name__}.")
        if not inspect.getdoc(function):
            raise ValueError(f"The check {id!r} has no docstring; say why it exists.")
        _REGISTRY[id] = Check(id=id, severity=severity, function=function)
        return function

    return register


def registered_checks() -> tuple[Check, ...]:
    """All checks in the order in which they were registered."""
    return tuple(_REGISTRY.values())
