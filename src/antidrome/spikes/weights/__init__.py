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
    save_model(
        path,
        pack("leaf", network),
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
    file = _file(path)
    arrays, header = load_model(file, expected_class="RecognitionNetwork")
    return unpack_network("leaf", arrays, header.config, file), header


def stored_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a model's file, whatever its class: what its results depend on."""
    return load_model(_file(path))[0]


def pack(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a pytree by name, as files hold them."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    return {f"{prefix}/{i:03d}": np.asarray(leaf, np.float32) for i, leaf in enumerate(leaves)}


def unpack(prefix: str, arrays: dict[str, np.ndarray], template: Any, path: str | Path) -> Any:
    """The pytree that `pack` was given, in the structure of `template`.

    Raises
    ------
    ModelFileError : the arrays have other sizes than the template.
    """
    leaves, structure = jax.tree.flatten(template)
    stored = [arrays[name] for name in sorted(arrays) if name.startswith(prefix + "/")]
    if [leaf.shape for leaf in leaves] != [a.shape for a in stored]:
        raise ModelFileError(f"{path}: the arrays do not have the sizes that the settings say; the file is damaged.")
    return jax.tree.unflatten(structure, [jnp.asarray(a) for a in stored])


def unpack_network(
    prefix: str, arrays: dict[str, np.ndarray], sizes: dict[str, Any], path: str | Path
) -> RecognitionNetwork:
    """The recognition network among the arrays of a file; see `unpack`."""
    config = from_dict(RecognitionConfig, sizes, where=str(path))
    return unpack(
        prefix, arrays, eqx.filter_eval_shape(lambda: RecognitionNetwork(config, key=jax.random.key(0))), path
    )


def _file(path: str | Path) -> Path:
    return Path(__file__).parent / SHIPPED[str(path)] if str(path) in SHIPPED else Path(path)
