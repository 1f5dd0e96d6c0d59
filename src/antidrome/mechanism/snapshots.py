"""Fits as named arrays: what a checkpoint and a posterior file hold, and how they come back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.checkpoint import read_checkpoint
from antidrome.core.configuration import from_dict, to_dict
from antidrome.core.model_files import save_model
from antidrome.errors import InputError, ModelFileError
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.network import (
    DensityNetwork,
    DensitySettings,
    FlowSettings,
    MixtureSettings,
    density_network,
)
from antidrome.mechanism.failures import FailureClassifier
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.other_fits import refusal
from antidrome.mechanism.rounds import FitSimulations, Progress, RoundReport
from antidrome.mechanism.training import TrainingSettings
from antidrome.mechanism.weights import KernelSettings

CHECKPOINT_CLASS = "SNPECheckpoint"
_KINDS = {"mixture": MixtureSettings, "flow": FlowSettings}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What is needed to rebuild a network before its arrays are filled in.

    Parameters
    ----------
    density
        Mixture or flow.
    n_features, n_parameters
        Sizes.
    mask
        Whether masks are inputs.
    trace
        Learned features of traces.
    """

    density: DensitySettings
    n_features: int
    n_parameters: int
    mask: bool
    trace: TraceFeatures | None

    def template(self) -> DensityNetwork:
        """An untrained network of this shape."""
        return density_network(
            self.density,
            self.n_features,
            self.n_parameters,
            mask=self.mask,
            trace=self.trace,
            draw=np.random.default_rng(0),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "density": _density_to_dict(self.density),
            "n_features": self.n_features,
            "n_parameters": self.n_parameters,
            "mask": self.mask,
            "trace": None if self.trace is None else to_dict(self.trace),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], *, where: str) -> Architecture:
        """Read `to_dict` back; InputError where it is none."""
        trace = description["trace"]
        return cls(
            _density_from_dict(description["density"], where),
            int(description["n_features"]),
            int(description["n_parameters"]),
            bool(description["mask"]),
            None if trace is None else from_dict(TraceFeatures, trace, where=where),
        )


def settings_to_dict(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an estimator, JSON-ready."""

    def plain(value: Any) -> Any:
        if isinstance(value, MixtureSettings | FlowSettings):
            return _density_to_dict(value)
        return to_dict(value) if dataclasses.is_dataclass(value) else np.asarray(value).tolist()

    return {name: plain(value) for name, value in settings.items()}


def settings_from_dict(description: Any, *, where: str) -> dict[str, Any]:
    """Read `settings_to_dict` back, with tuples for lists; InputError where it is none."""
    kinds = {"kernel": KernelSettings, "training": TrainingSettings, "trace": TraceFeatures}
    if not isinstance(description, Mapping):
        raise InputError(f"{where}: settings are a {type(description).__name__}; expected names and values.")

    def parsed(name: str, value: Any) -> Any:
        if not isinstance(value, dict):
            return tuple(value) if isinstance(value, list) else value
        return _density_from_dict(value, where) if name == "density" else from_dict(kinds[name], value, where=where)

    return {name: parsed(name, value) for name, value in description.items()}


def _density_to_dict(density: DensitySettings) -> dict[str, Any]:
    kind = next(kind for kind, cls in _KINDS.items() if isinstance(density, cls))
    return {"kind": kind, **to_dict(density)}


def _density_from_dict(description: Mapping[str, Any], where: str) -> DensitySettings:
    settings = {name: value for name, value in description.items() if name != "kind"}
    return from_dict(_KINDS[description["kind"]], settings, where=where)


def network_arrays(network: DensityNetwork, prefix: str) -> dict[str, np.ndarray]:
    """All arrays of a network, by position."""
    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_array))
    return {f"{prefix}/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}


def network_from_arrays(template: DensityNetwork, arrays: Mapping[str, np.ndarray], prefix: str) -> DensityNetwork:
    """The template with its arrays replaced.

    Raises
    ------
    ModelFileError
        Arrays are missing or of other shapes.
    """
    parts, rest = eqx.partition(template, eqx.is_array)
    leaves, structure = jax.tree.flatten(parts)
    names = sorted(name for name in arrays if name.startswith(f"{prefix}/"))
    if [np.shape(arrays[name]) for name in names] != [leaf.shape for leaf in leaves]:
        raise ModelFileError(f"The arrays of {prefix!r} do not have the shapes that the file's settings describe.")
    filled = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in zip(names, leaves, strict=True)]
    return eqx.combine(jax.tree.unflatten(structure, filled), rest)


def scaling_arrays(scaling: FeatureScaling, prefix: str = "scaling") -> dict[str, np.ndarray]:
    """Of a file."""
    return {f"{prefix}/{name}": value for name, value in scaling.to_arrays().items()}


def scaling_from_arrays(arrays: Mapping[str, np.ndarray], prefix: str = "scaling") -> FeatureScaling:
    """Of a file."""
    return FeatureScaling.from_arrays(_under(arrays, prefix))


def simulation_arrays(simulations: FitSimulations) -> dict[str, np.ndarray]:
    """Of a file."""
    return {f"simulations/{f.name}": getattr(simulations, f.name) for f in dataclasses.fields(simulations)}


def simulations_from_arrays(arrays: Mapping[str, np.ndarray]) -> FitSimulations:
    """Of a file."""
    return FitSimulations(**_under(arrays, "simulations"))


CHECKPOINT = "fit.safetensors"
"""What an interrupted fit goes on from, in its folder."""


@dataclasses.dataclass(frozen=True)
class FitCheckpoint:
    """The file from which a fit goes on.

    Parameters
    ----------
    path
        The file.
    identity
        JSON-ready description of the fit; a file with another one is refused.
    """

    path: Path
    identity: dict[str, Any]

    def save(self, progress: Progress, architecture: Architecture | None) -> None:
        """Write where the fit stands, atomically."""
        arrays = simulation_arrays(progress.simulations)
        if progress.scaling is not None:
            arrays |= scaling_arrays(progress.scaling)
        for r, scaling in enumerate(progress.scalings):
            arrays |= scaling_arrays(scaling, f"round-{r}/scaling")
        if progress.unrecorded is not None:
            arrays["unrecorded"] = progress.unrecorded
        if progress.error is not None:
            arrays["error"] = progress.error
        for r, networks in enumerate(progress.networks):
            for m, network in enumerate(networks):
                arrays |= network_arrays(network, f"round-{r}/network-{m}")
        for r, classifier in enumerate(progress.classifiers):
            for name, value in (classifier.arrays if classifier else {}).items():
                arrays[f"round-{r}/failures/{name}"] = value
        for r, (training, validation) in enumerate(progress.curves):
            arrays |= {f"round-{r}/curves/training": training, f"round-{r}/curves/validation": validation}
        extra = {
            "reports": [dataclasses.asdict(report) for report in progress.reports],
            "classifiers": [classifier is not None for classifier in progress.classifiers],
            "members": [len(networks) for networks in progress.networks],
            "architecture": None if architecture is None else architecture.to_dict(),
        }
        save_model(self.path, arrays, class_name=CHECKPOINT_CLASS, config=self.identity, extra=extra)

    def restore(self) -> Progress | None:
        """Where the fit stood; None where there is no file.

        Raises
        ------
        ResumeError
            The file belongs to another fit; the message names what was changed.
        ModelFileError
            The file is damaged.
        """
        found = read_checkpoint(
            self.path,
            self.identity,
            class_name=CHECKPOINT_CLASS,
            refusal=lambda other, differing: refusal(self.path, other, self.identity, differing),
        )
        if found is None:
            return None
        arrays, header = found
        return _progress(arrays, header.extra, str(self.path))


def _progress(arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any], where: str) -> Progress:
    progress = Progress(simulations_from_arrays(arrays))
    if any(name.startswith("scaling/") for name in arrays):
        progress.scaling = scaling_from_arrays(arrays)
    progress.scalings = [scaling_from_arrays(arrays, f"round-{r}/scaling") for r in range(len(extra["members"]))]
    progress.unrecorded, progress.error = arrays.get("unrecorded"), arrays.get("error")
    for r, present in enumerate(extra["classifiers"]):
        found = _under(arrays, f"round-{r}/failures")
        progress.classifiers.append(FailureClassifier(found) if present else None)
    if extra["members"]:
        template = Architecture.from_dict(extra["architecture"], where=where).template()
        for r, n in enumerate(extra["members"]):
            prefixes = [f"round-{r}/network-{m}" for m in range(n)]
            progress.networks.append(tuple(network_from_arrays(template, arrays, prefix) for prefix in prefixes))
            curves = _under(arrays, f"round-{r}/curves")
            progress.curves.append((curves["training"], curves["validation"]))
    progress.reports = [RoundReport(**report) for report in extra["reports"]]
    return progress


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{prefix}/"): a for name, a in arrays.items() if name.startswith(f"{prefix}/")}
