"""A fit as one `.safetensors` file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.model_files import load_model, save_model
from antidrome.dynamics.comparing import ComparedPairs
from antidrome.dynamics.fitting import PairPredictor, Result
from antidrome.dynamics.overlap import report_of
from antidrome.dynamics.plain import plain, restored
from antidrome.dynamics.preparation import Units
from antidrome.dynamics.selection import Candidate
from antidrome.dynamics.solving import FitSettings
from antidrome.dynamics.system import LinearSystem
from antidrome.errors import ModelFileError

UNITS = {"loadings": "scaled units per latent unit", "scale": "recording units", "offset": "recording units"}


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted `StitchedLDS`."""
    found: Result = estimator.result_
    arrays = {f"system/{field.name}": getattr(found.system, field.name) for field in dataclasses.fields(LinearSystem)}
    arrays |= {"lagged/loadings": found.lagged.loadings, "lagged/latent": found.lagged.latent}
    if found.zero is not None:
        arrays |= {"zero/loadings": found.zero.loadings, "zero/latent": found.zero.latent}
    if found.together is not None:
        arrays["together"] = np.packbits(found.together, axis=1)
    arrays |= {
        "scale": found.units.scale,
        "variance": found.variance,
        "offset": estimator.offset_,
        "observed": estimator.observed_,
        "losses": np.asarray(found.losses, dtype=float),
        "log_likelihoods": np.asarray(found.log_likelihoods, dtype=float),
        "process": found.process,
        "pairs/seen": found.pairs.seen,
        "pairs/held_out": found.pairs.held_out,
        **_encode_labels(estimator.neurons_),
    }
    settings = dataclasses.asdict(found.settings)
    extra = {
        "share_of_lags": found.share_of_lags,
        "calibration": found.calibration,
        "settings": plain(settings),
        "candidates": [one.to_dict() for one in found.candidates],
        "start_losses": list(found.start_losses),
        "form": found.form,
        "notes": list(estimator.notes_),
        "lags": list(estimator.lags_),
        "sessions": list(estimator.sessions_),
        "frame_rate_hz": estimator.frame_rate_hz_,
        "recording_units": estimator.units_,
    }
    config = plain(estimator.get_params())
    save_model(
        path,
        arrays,
        class_name="StitchedLDS",
        config=config,
        units=UNITS,
        seed=int(estimator.seed),
        data_hash=estimator.data_hash_,
        citations=estimator.citations_,
        extra=extra,
    )


def load(cls: type, path: str | Path) -> Any:
    """Read a fitted `StitchedLDS`.

    Raises
    ------
    ModelFileError
        If the file is damaged or of another class.
    """
    arrays, header = load_model(path, expected_class="StitchedLDS")
    extra = header.extra
    try:
        estimator = cls(**{key: restored(value) for key, value in header.config.items()})
        system = LinearSystem(**{f.name: arrays[f"system/{f.name}"] for f in dataclasses.fields(LinearSystem)})
        zero = PairPredictor(arrays["zero/loadings"], arrays["zero/latent"]) if "zero/loadings" in arrays else None
        found = Result(
            PairPredictor(arrays["lagged/loadings"], arrays["lagged/latent"]),
            zero,
            float(extra["share_of_lags"]),
            float(extra["calibration"]),
            system,
            FitSettings(**{key: restored(value) for key, value in extra["settings"].items()}),
            tuple(Candidate.from_dict(one) for one in extra["candidates"]),
            tuple(arrays["losses"].tolist()),
            tuple(extra["start_losses"]),
            tuple(arrays["log_likelihoods"].tolist()),
            Units(arrays["scale"], ()),
            arrays["variance"],
            str(extra["form"]),
            tuple(extra["notes"]),
            ComparedPairs(arrays["pairs/seen"], arrays["pairs/held_out"]),
            arrays["process"],
            _together(arrays),
        )
        estimator.result_ = found
        estimator.lags_ = tuple(int(lag) for lag in extra["lags"])
        estimator.neurons_ = _decode_labels(arrays)
        estimator.n_components_ = found.settings.n_components
        estimator.frame_rate_hz_ = extra["frame_rate_hz"]
        estimator.units_ = extra.get("recording_units")  # files of earlier versions do not say
        estimator.offset_, estimator.scale_ = arrays["offset"], arrays["scale"]
        estimator.observed_ = arrays["observed"].astype(bool)
        estimator.sessions_ = tuple(extra["sessions"])
        estimator.notes_ = list(extra["notes"])
        estimator.losses_ = arrays["losses"]
        estimator.data_hash_ = header.data_hash
        estimator.overlap_ = report_of(
            estimator.sessions_,
            estimator.observed_,
            estimator.n_components_,
            found.lagged.loadings,
            found.together,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: the file is damaged ({error}).") from error
    return estimator


def _together(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Pairs recorded together; None where `observed` tells them, and in files that do not say."""
    packed = arrays.get("together")
    return None if packed is None else np.unpackbits(packed, axis=1, count=len(packed)).astype(bool)


def _encode_labels(labels: np.ndarray) -> dict[str, np.ndarray]:
    encoded = [label.encode() for label in labels.tolist()]
    return {
        "labels/text": np.frombuffer(b"".join(encoded) or b"\0", dtype=np.uint8),
        "labels/length": np.array([len(one) for one in encoded], dtype=np.int64),
    }


def _decode_labels(arrays: dict[str, np.ndarray]) -> np.ndarray:
    text, stops = arrays["labels/text"].tobytes(), np.cumsum(arrays["labels/length"])
    starts = stops - arrays["labels/length"]
    return np.array([text[a:b].decode() for a, b in zip(starts.tolist(), stops.tolist(), strict=True)], dtype=str)
