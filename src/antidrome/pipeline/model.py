"""The network that a run uses, and what its results depend on."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from antidrome.pipeline.config import InferenceConfig
from antidrome.pipeline.sessions import Session

if TYPE_CHECKING:
    from antidrome.spikes import SpikeVAE

Config = TypeVar("Config", bound=InferenceConfig)


def with_absolute_model(config: Config) -> Config:
    """The configuration with the whole path of its model file, so that it holds in any folder."""
    from antidrome.spikes.weights import SHIPPED

    if config.model in SHIPPED:
        return config
    return dataclasses.replace(config, model=str(Path(config.model).resolve()))


def load_model(config: InferenceConfig) -> "SpikeVAE":
    """The shipped network, or the one of a model file."""
    from antidrome.spikes import SpikeVAE

    return SpikeVAE(model=config.model, seed=config.seed)


def model_hash(model: "SpikeVAE") -> str:
    """Hash of the network's weights, so that results of an older model are never taken for those of a newer one."""
    from antidrome.core.hashing import hash_arrays
    from antidrome.spikes.weights import stored_arrays

    return hash_arrays(stored_arrays(str(model.model)))


def origin_of(session: Session, config: InferenceConfig, model: "SpikeVAE") -> dict[str, Any]:
    """Everything that a session's numbers depend on, by name; and how its blocks are cut, where samples shrink them."""
    from antidrome import __version__
    from antidrome.pipeline.infer import block_values

    values = block_values(config.samples)
    return {
        "input": session.input_hash,
        **config.inference_settings(),
        "model weights": model_hash(model),
        "antidrome version": __version__,
        **({} if values == block_values(0) else {"values of a block": values}),
    }
