"""The network that a run uses, and what its results depend on."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from antidrome.errors import InputError
from antidrome.pipeline.config import InferenceConfig
from antidrome.pipeline.names import whole_path
from antidrome.pipeline.sessions import Session

if TYPE_CHECKING:
    from antidrome.spikes import SpikeVAE

Config = TypeVar("Config", bound=InferenceConfig)


def with_absolute_model(config: Config) -> Config:
    """The configuration with the whole path of its model file, so that it holds in any folder."""
    from antidrome.spikes.weights import SHIPPED

    if config.model in SHIPPED:
        return config
    return dataclasses.replace(config, model=whole_path(config.model))


def file_of_model(config: InferenceConfig) -> dict[str, str]:
    """Where the model file lies, under ``"model"``; nothing of a shipped network."""
    from antidrome.spikes.weights import SHIPPED

    return {} if config.model in SHIPPED else {"model": config.model}


def load_model(config: InferenceConfig) -> "SpikeVAE":
    """The shipped network, or the one of a model file."""
    from antidrome.spikes import SpikeVAE

    return SpikeVAE(model=config.model, seed=config.seed)


def refuse_other_rates(model: "SpikeVAE", sessions: Sequence[Session]) -> None:
    """InputError if a session has a frame rate that the model does not know, before hours of work on the others."""
    from antidrome.spikes.own import OwnInference
    from antidrome.spikes.weights import SHIPPED

    if str(model.model) in SHIPPED:
        return
    inference, _ = model._engine()
    if not isinstance(inference, OwnInference):
        return
    for session in sessions:
        try:
            inference.require_rate(float(session.recording.attrs["frame_rate_hz"]))
        except InputError as error:
            raise InputError(f"{session.session_id}: {error}") from None


def model_hash(model: "SpikeVAE") -> str:
    """Hash of the network's weights, so that results of an older model are never taken for those of a newer one.

    Of a model file it is that of its settings and of its neurons' labels, too.
    """
    from antidrome.core.files import finite
    from antidrome.core.hashing import hash_arrays, hash_configuration
    from antidrome.core.model_files import read_header
    from antidrome.spikes.weights import SHIPPED, stored_arrays

    path = str(model.model)
    weights = hash_arrays(stored_arrays(path))
    if path in SHIPPED:
        return weights
    header = read_header(path)
    return hash_configuration(
        finite({"weights": weights, "settings": header.config, "labels": header.extra.get("labels", [])})
    )


def origin_of(session: Session, config: InferenceConfig, model: "SpikeVAE") -> dict[str, Any]:
    """Everything that a session's numbers depend on, by name; and how its blocks are cut, where samples shrink them.

    Of a model file that is its weights, wherever it lies.
    """
    from antidrome import __version__
    from antidrome.pipeline.infer import block_values

    values = block_values(config.samples)
    return {
        "input": session.input_hash,
        **{name: value for name, value in config.inference_settings().items() if name not in file_of_model(config)},
        "model weights": model_hash(model),
        "antidrome version": __version__,
        **({} if values == block_values(0) else {"values of a block": values}),
    }
