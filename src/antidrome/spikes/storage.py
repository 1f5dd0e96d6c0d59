"""Fitted estimators as model files: the network, the cells' parameters, the settings; read back without any code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from antidrome.core.configuration import from_dict, to_dict
from antidrome.core.model_files import ModelHeader, load_model, save_model
from antidrome.errors import AntidromeError, InputError, ModelFileError
from antidrome.spikes.adaptation import AdaptationConfig, Cells
from antidrome.spikes.inference import SummaryPrior
from antidrome.spikes.own import OwnInference
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.same_cells import FittedTraces
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import STARTS, Generative, calibration_of, make_model
from antidrome.spikes.variational import Fit, FitConfig
from antidrome.spikes.variational.problem import Learned, Problem, generative, in_frames, rates
from antidrome.spikes.variational.sanity import Sanity
from antidrome.spikes.weights import pack, unpack, unpack_network

UNITS = {
    "amplitude": "ΔF/F per spike",
    "decay_s": "s",
    "rise_s": "s",
    "baseline": "ΔF/F",
    "noise_sd": "ΔF/F per frame",
    "rate_hz": "spikes/s",
}
CLASS = "SpikeVAE"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Constructor arguments of a fitted estimator as its file holds them; the defaults are what older files lack.

    `generative` is the name of a built-in model, None where it was a function: files hold no code.
    """

    posterior: str
    seed: int
    fitted_from: str
    generative: str | None = None
    drift_s: float = 20.0
    amplitude_factors: tuple[float, ...] | None = None
    config: AdaptationConfig | FitConfig | None = None


def save_fitted(
    path: Path,
    inference: SharedInference | OwnInference,
    *,
    settings: Settings,
    data_hash: str | None,
    report: Any,
) -> None:
    """Write a fitted estimator; `report` is what the fit said of itself, JSON-ready."""
    arrays = pack("network", inference.network) if inference.network is not None else {}
    cells = inference.cells._asdict() if inference.cells is not None else {}
    arrays |= {f"cells/{name}": np.asarray(values, float) for name, values in cells.items()}
    config: dict[str, Any] = {"settings": to_dict(settings), "cold": inference.network is None}
    if inference.network is not None:
        config["network"] = to_dict(inference.network.config)
    if isinstance(inference, SharedInference) and inference.prior is not None:
        arrays["prior/mean"] = np.asarray(inference.prior.mean, float)
        config["prior_share"] = inference.prior.share
    if inference.traces is not None:
        arrays["fingerprints"] = inference.traces.fingerprints
        config["numbered"] = inference.traces.numbered
    if isinstance(inference, OwnInference):
        if inference.population is not None:
            arrays["population"] = inference.population
        fitted = inference.fitted
        arrays |= pack("learned", fitted.learned)
        arrays |= {f"sanity/{name}": np.asarray(v, float) for name, v in fitted.sanity._asdict().items()}
        named = inference.generative if isinstance(inference.generative, str) else None
        config |= {
            "fit": to_dict(fitted.config),
            "frame_rate_hz": inference.frame_rate_hz,
            "amplitude_factor": inference.amplitude_factor,
            "drift_s": fitted.observation.drift_s,
            "generative": named,
            "n_windows": fitted.problem.n_windows,
            "bound": fitted.bound,
        }
    save_model(
        path,
        arrays,
        class_name=CLASS,
        config=config,
        units=UNITS | {"expected_spikes": "spikes per frame"},
        seed=settings.seed,
        data_hash=data_hash,
        citations=("speiser2017",),
        extra={"labels": list(inference.labels), "report": report},
    )


def load_fitted(
    path: str | Path, generative_model: Generative | None = None
) -> tuple[SharedInference | OwnInference, ModelHeader]:
    """Read a fitted estimator.

    Parameters
    ----------
    generative_model
        The function that built the generative model, where it was the user's own: files hold numbers, not code.

    Raises
    ------
    ModelFileError
        No such file, damaged, or not of this class.
    InputError
        The generative model was the user's own and is not given.
    """
    arrays, header = load_model(path, expected_class=CLASS)
    config, labels = header.config, tuple(map(str, header.extra.get("labels", ())))
    try:
        network = None
        if not config["cold"]:
            network = unpack_network("network", arrays, config["network"], path)
        cells = Cells(*(arrays[f"cells/{name}"] for name in Cells._fields)) if "cells/amplitude" in arrays else None
        traces = None
        if "numbered" in config:
            traces = FittedTraces(bool(config["numbered"]), np.asarray(arrays["fingerprints"], np.uint64))
        if "fit" not in config:
            if network is None:
                raise ModelFileError(f"{path}: the file is damaged (it holds no network).")
            prior = None
            if "prior_share" in config:
                prior = SummaryPrior(np.asarray(arrays["prior/mean"], np.float32), float(config["prior_share"]))
            return SharedInference(network, labels, cells, prior, traces=traces), header
        own = _own(path, arrays, config, labels, cells, network, generative_model)
        return dataclasses.replace(own, traces=traces, population=arrays.get("population")), header
    except KeyError as error:
        raise ModelFileError(f"{path}: the file is damaged ({error} is missing).") from error
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, AntidromeError):
            raise
        raise ModelFileError(f"{path}: the file is damaged ({error}).") from error


def settings_of(header: ModelHeader, path: str | Path) -> Settings:
    """The constructor arguments that a file holds, or ModelFileError."""
    return _from_file(Settings, header.config, "settings", path)


def _from_file(cls: type[T], config: dict[str, Any], key: str, path: str | Path) -> T:
    try:
        return from_dict(cls, config[key], where=key)
    except (InputError, KeyError) as error:
        raise ModelFileError(f"{path}: the file is damaged ({error}).") from error


def _own(
    path: str | Path,
    arrays: dict[str, np.ndarray],
    config: dict[str, Any],
    labels: tuple[str, ...],
    cells: Cells | None,
    network: RecognitionNetwork | None,
    generative_model: Generative | None,
) -> OwnInference:
    name = config["generative"]
    chosen = generative_model if name is None else name
    if chosen is None or cells is None or (name is not None and name not in STARTS):
        raise InputError(
            f"{path} was fitted with a generative model of your own, and files hold no code. Give the function that"
            " built it: SpikeVAE.load(path, generative=…)."
        )
    settings = _from_file(FitConfig, config, "fit", path)
    start = in_frames(make_model(chosen, cells), cells.noise_sd, settings, float(config["drift_s"]))
    problem = Problem.of(start, calibration_of(cells), config["frame_rate_hz"], settings, int(config["n_windows"]))
    template = Learned.start(problem, settings, key=jax.random.key(0))
    learned = unpack("learned", arrays, template, path)
    sanity = Sanity(*(arrays[f"sanity/{field}"] for field in Sanity._fields))
    fitted = Fit(
        learned,
        problem,
        settings,
        generative(learned, problem, settings),
        np.asarray(rates(learned, problem, settings)),
        float(config["bound"]),
        sanity._replace(explained_by_noise=sanity.explained_by_noise.astype(bool)),
        {},
    )
    factor = float(config.get("amplitude_factor", 1.0))
    return OwnInference(fitted, labels, cells, chosen, network, float(config["frame_rate_hz"]), amplitude_factor=factor)
