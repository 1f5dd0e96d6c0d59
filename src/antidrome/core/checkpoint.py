"""Checkpoints: the whole state of a long run in one model file, written atomically, continued only where it belongs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.model_files import ModelHeader, load_model, save_model
from antidrome.errors import ResumeError

State = TypeVar("State")
History = TypeVar("History")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file that holds a pytree of arrays and a history.

    Parameters
    ----------
    path
        The file.
    identity
        JSON-ready description of the run; a file with another one is refused.
    """

    path: Path
    identity: dict[str, Any]

    def save(self, state: Any, history: Any) -> None:
        """Write the state (pytree of arrays) and the history (dataclass of lists), atomically."""
        leaves = {f"leaf/{i:05d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        save_model(
            self.path,
            leaves,
            class_name="TrainingCheckpoint",
            config=self.identity,
            extra={"history": dataclasses.asdict(history)},
        )

    def restore(self, state: State, history: History) -> tuple[State, History]:
        """What was saved, in the structure of `state`; the arguments themselves where there is no file.

        Raises
        ------
        ResumeError
            The file belongs to another run; the message names the fields that differ.
        ModelFileError
            The file is damaged.
        """
        found = read_checkpoint(self.path, self.identity, class_name="TrainingCheckpoint")
        if found is None:
            return state, history
        arrays, header = found
        leaves, structure = jax.tree.flatten(state)
        saved = [arrays[name] for name in sorted(arrays)]
        if [a.shape for a in saved] != [np.shape(leaf) for leaf in leaves]:
            raise _of_another_run(self.path, ["parameter shapes"])
        restored = [jnp.asarray(a, leaf.dtype) for a, leaf in zip(saved, leaves, strict=True)]
        return jax.tree.unflatten(structure, restored), type(history)(**header.extra["history"])


def read_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    *,
    class_name: str,
    refusal: Callable[[Mapping[str, Any], list[str]], ResumeError] | None = None,
) -> tuple[dict[str, np.ndarray], ModelHeader] | None:
    """Arrays and header of a checkpoint of this run; None where there is no file.

    Parameters
    ----------
    path
        The file.
    identity
        JSON-ready description of the run.
    class_name
        Of the file.
    refusal
        Makes the error for a file of another run, of that run's description and the names of what differs; by default
        one that names these.

    Raises
    ------
    ResumeError
        The file belongs to another run; the message names what differs.
    ModelFileError
        The file is damaged.
    """
    if not path.exists():
        return None
    arrays, header = load_model(path, expected_class=class_name)
    differing = [key for key in identity if header.config.get(key) != identity[key]]
    if differing:
        raise _of_another_run(path, differing) if refusal is None else refusal(header.config, differing)
    return arrays, header


def _of_another_run(path: Path, differing: Sequence[str]) -> ResumeError:
    return ResumeError(
        f"{path} is the checkpoint of another run: {', '.join(differing)} differ. Continue with the original settings"
        " and data, or delete the file to start anew."
    )
