"""What a long fit keeps in its checkpoint folder, so that the same call goes on after a kill, to the same result.

A fit is a row of named stages (sketches, held-out choices, starts, solution, refinement). Each is a pure function of
its state and of the stages before it, so that a stage goes on from any state that was kept as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from antidrome.core.hashing import hash_arrays
from antidrome.core.model_files import load_model, save_model
from antidrome.dynamics.population import Population
from antidrome.errors import ResumeError

State = TypeVar("State")


@dataclasses.dataclass
class Stages:
    """The stages of one fit.

    Parameters
    ----------
    folder
        Where they are kept; None: nowhere.
    identity
        JSON-ready description of the fit; files of another one are refused.
    every_s
        The state of a stage under way is kept at most so often, in seconds.
    """

    folder: Path | None = None
    identity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    every_s: float = 30.0
    prefix: str = ""
    _kept_at: float = dataclasses.field(default_factory=time.monotonic)

    def named(self, prefix: str) -> Stages:
        """The same, with another beginning of all names."""
        return dataclasses.replace(self, prefix=f"{self.prefix}{prefix}-")

    def run(
        self,
        name: str,
        kind: type[State],
        begin: Callable[[], State],
        work: Callable[[State, Callable[[State], Any]], State],
        on_iteration: Callable[[State], Any] | None = None,
    ) -> State:
        """The result of a stage: what was kept where it was finished, else what `work` makes of its state.

        Parameters
        ----------
        name
            Of the stage, unique within the fit.
        kind
            Dataclass of the state: arrays, tuples of numbers, and flags.
        begin
            Makes the state to start from.
        work
            ``work(state, tell)`` goes on from a state, and calls ``tell(state)`` after each iteration.
        on_iteration
            Called with these states too.
        """
        found = self.load(name)
        if found is not None and found[1]["done"]:
            return decoded(kind, found[0])

        def tell(now: State) -> None:
            self._keep(name, now)
            if on_iteration is not None:
                on_iteration(now)

        result = work(begin() if found is None else decoded(kind, found[0]), tell)
        self.save(name, encoded(result), {"done": True})
        return result

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and notes of a stage, or None where nothing was kept.

        Raises
        ------
        ResumeError
            If the file belongs to another fit; the message names what differs.
        """
        path = self._path(name)
        if path is None or not path.exists():
            return None
        arrays, header = load_model(path, expected_class="DynamicsStage")
        require_identity(path, header.config, self.identity)
        return arrays, header.extra

    def save(self, name: str, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        """Keep a stage, atomically."""
        path = self._path(name)
        if path is not None:
            save_model(path, arrays, class_name="DynamicsStage", config=dict(self.identity), extra=dict(notes))

    def _keep(self, name: str, state: Any) -> None:
        if self.folder is None or time.monotonic() - self._kept_at < self.every_s:
            return
        self.save(name, encoded(state), {"done": False})
        self._kept_at = time.monotonic()

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.prefix}{name}.safetensors"


def encoded(state: Any) -> dict[str, np.ndarray]:
    """A dataclass of arrays, tuples of numbers and flags as arrays."""
    return {field.name: np.asarray(getattr(state, field.name)) for field in dataclasses.fields(state)}


def decoded(kind: type[State], arrays: Mapping[str, np.ndarray]) -> State:
    """The dataclass again."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = arrays[field.name]
        if str(field.type).startswith("tuple"):
            values[field.name] = tuple(value.astype(float).tolist())
        else:
            values[field.name] = bool(value) if field.type in (bool, "bool") else value
    return kind(**values)


def require_identity(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ResumeError if a file belongs to another fit.

    Raises
    ------
    ResumeError
        With what differs.
    """
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        raise ResumeError(
            f"{path} belongs to another fit: {', '.join(differing)} differ. Continue with the original settings and"
            " data, or choose another checkpoint folder."
        )


def fingerprint(population: Population) -> str:
    """Hash of labels, segments, and every neuron's trace (its digest): known without another read."""
    arrays: dict[str, np.ndarray] = {"labels": population.labels}
    for k, session in enumerate(population.sessions):
        for name in ("columns", "rows", "segment", "n_observed", "digest"):
            arrays[f"{k}/{name}"] = getattr(session, name)
    return hash_arrays(arrays)
