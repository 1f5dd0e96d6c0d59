"""Checkpoints: the whole state of a long run in one model file, written atomically, continued only where it belongs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.model_files import load_model, save_model
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
        if not self.path.exists():
            return state, history
        arrays, header = load_model(self.path, expected_class="TrainingCheckpoint")
        differing = [k for k in self.identity if header.config.get(k) != self.identity[k]]
        leaves, structure = jax.tree.flatten(state)
        saved = [arrays[name] for name in sorted(arrays)]
        if not differing and [a.shape for a in saved] != [np.shape(leaf) for leaf in leaves]:
            differing = ["parameter shapes"]
        if differing:
            raise ResumeError(
                f"{self.path} is the checkpoint of another run: {', '.join(differing)} differ. Continue with the"
                " original settings and data, or delete the file to start anew."
            )
        restored = [jnp.asarray(a, leaf.dtype) for a, leaf in zip(saved, leaves, strict=True)]
        return jax.tree.unflatten(structure, restored), type(history)(**header.extra["history"])
