"""Trained recognition networks: the shipped ones, and reading and writing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.configuration import from_dict, to_dict
from antidrome.core.model_files import ModelHeader, load_model, save_model
from antidrome.errors import ModelFileError
from antidrome.spikes.recognition import RecognitionConfig, RecognitionNetwork

SHIPPED = {"default": "recognition.safetensors", "simulations": "simulations.safetensors"}


def save_network(path: Path, network: RecognitionNetwork, *, seed: int, card: dict[str, Any]) -> None:
    """Write a network with its model card (what it was trained on, what it reached) as one model file."""
    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_array))
    arrays = {f"leaf/{i:03d}": np.asarray(leaf, np.float32) for i, leaf in enumerate(leaves)}
    save_model(
        path,
        arrays,
        class_name="RecognitionNetwork",
        config=to_dict(network.config),
        units={"expected_spikes": "spikes per frame"},
        seed=seed,
        citations=("speiser2017",),
        extra={"card": card},
    )


def load_network(path: str | Path) -> tuple[RecognitionNetwork, ModelHeader]:
    """Read a network; `path` is a file or the name of a shipped network ("default", "simulations").

    Raises
    ------
    ModelFileError : no such file, damaged, or of other sizes than its configuration says.
    """
    file = Path(__file__).parent / SHIPPED[str(path)] if str(path) in SHIPPED else Path(path)
    arrays, header = load_model(file, expected_class="RecognitionNetwork")
    config = from_dict(RecognitionConfig, header.config, where=str(file))
    template = eqx.filter_eval_shape(lambda: RecognitionNetwork(config, key=jax.random.key(0)))
    leaves, structure = jax.tree.flatten(template)
    stored = [arrays[name] for name in sorted(arrays)]
    if [leaf.shape for leaf in leaves] != [a.shape for a in stored]:
        raise ModelFileError(
            f"{file}: the arrays do not have the sizes that its configuration says; the file is damaged."
        )
    return jax.tree.unflatten(structure, [jnp.asarray(a) for a in stored]), header


def stored_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a model's file, whatever its class: what its results depend on."""
    file = Path(__file__).parent / SHIPPED[str(path)] if str(path) in SHIPPED else Path(path)
    return load_model(file)[0]
