"""From an estimator's settings to a fit of one of the two kinds, and what it says of itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from antidrome.core.files import finite
from antidrome.core.seeds import check_seed
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, one_of
from antidrome.spikes.adaptation import Adaptation, Cells
from antidrome.spikes.adaptation.lots import RECORDED_FRAMES
from antidrome.spikes.known import Known, notes_on_known
from antidrome.spikes.learning import FEWEST_FRAMES, Lesson, Opened, config_for, fit_own, fit_shared
from antidrome.spikes.opening import open_model
from antidrome.spikes.own import OwnInference
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import make_model
from antidrome.spikes.storage import UNITS
from antidrome.spikes.variational import Selection

if TYPE_CHECKING:
    from antidrome.spikes.estimator import SpikeVAE

POOLED = " What its cells share (kinetics, activity) tells the network about each of them."
POSTERIORS = ("shared", "factorised", "autoregressive")


class Fitted(NamedTuple):
    """A fit as the estimator keeps it."""

    inference: SharedInference | OwnInference
    report: dict[str, Any]
    notes: list[str]
    frame_rate_hz: float

    def parameters(self) -> xr.Dataset:
        """Generative parameters over `neuron`; those that all cells share have dimensions of their own."""
        variables = {}
        for name, (values, shared) in self.inference.parameters().items():
            plain = name.rsplit(".", 1)[-1]
            dims = [f"{plain}_{i}" for i in range(values.ndim)]
            if not shared:
                dims[-1] = "neuron"
            variables[plain] = (dims, values, {"units": UNITS.get(plain, "s" if plain.endswith("_s") else "1")})
        return xr.Dataset(variables, coords={"neuron": list(self.inference.labels)})


def fit_estimator(
    model: SpikeVAE,
    sessions: list[Opened],
    known: list[Known],
    checkpoint: Path | None,
    progress: bool,
) -> Fitted:
    """Fit as the estimator's constructor says.

    Raises
    ------
    InputError
        Settings that do not go together.
    """
    _check(model)
    rate, seed = sessions[0].frame_rate_hz, check_seed(model.seed)
    config = config_for(model.posterior, model.config, model.superresolution, rate)
    network = _network(model)
    if model.posterior == "shared":
        if network is None:
            raise InputError("model is None, and posterior='shared' adapts a network; choose model='default'.")
        inference, adaptation, lessons = fit_shared(
            network, sessions, config, known, model.generative, seed, checkpoint, progress
        )
        report, notes = _of_adaptation(adaptation)
    elif len(sessions) > 1:
        raise InputError(
            f"{len(sessions)} sessions were given; a network of the recording's own learns from one. Fit one session,"
            " or use posterior='shared'."
        )
    else:
        inference, selection, learned = fit_own(
            network,
            sessions[0],
            config,
            known[0],
            model.generative or "linear",
            float(model.drift_s),
            None if model.amplitude_factors is None else tuple(map(float, model.amplitude_factors)),
            seed,
            checkpoint,
            progress,
        )
        lessons = [learned]
        report, notes = _of_selection(selection)
    for learn, opened, own in zip(lessons, sessions, known, strict=True):
        notes += _of_lesson(learn, opened.recording)
        notes += notes_on_known(own, opened.recording, opened.frame_rate_hz)
    return Fitted(inference, finite(report), notes, rate)


def _check(model: SpikeVAE) -> None:
    one_of("posterior", model.posterior, POSTERIORS)
    if whole_number("superresolution", model.superresolution, 1) > 1 and model.posterior == "shared":
        raise InputError(
            f"superresolution is {model.superresolution}; expected 1 with posterior='shared', else 1 or more."
        )
    if not 0 <= model.drift_s < np.inf:
        raise InputError(f"drift_s is {model.drift_s}; expected 0 (none) or seconds.")
    factors = model.amplitude_factors
    if factors is not None and (not len(factors) or not all(0 < factor < np.inf for factor in factors)):
        raise InputError(f"amplitude_factors is {factors}; expected one or more positive factors, or None.")
    if isinstance(model.generative, str):
        make_model(model.generative, _one_cell())


def _one_cell() -> Cells:
    one = np.ones(1)
    return Cells(one, one, 0.1 * one, one, one, one)


def _network(model: SpikeVAE) -> RecognitionNetwork | None:
    return None if model.model is None else open_model(model.model, model.generative)[0].network


def _of_adaptation(adaptation: Adaptation) -> tuple[dict[str, Any], list[str]]:
    pooled = 0.0 if adaptation.prior is None else adaptation.prior.share
    report = {
        "mixture": adaptation.mixture,
        "pooling": pooled,
        "candidates": adaptation.report,
        "losses": vars(adaptation.history),
    }
    if adaptation.mixture == 0:
        return report, [
            "The fit kept the network that it started from: adapted weights were not better by the criteria that need"
            f" no true spikes.{POOLED if pooled else ''}"
        ]
    first, kept = adaptation.report[0], next(r for r in adaptation.report if r["mixture"] == adaptation.mixture)
    return report, [
        f"The network was adapted to the recording: correlation on simulations of its cells {first['matched_r']:.3f}"
        f" before and {kept['matched_r']:.3f} after." + (POOLED if pooled else "")
    ]


def _of_selection(selection: Selection) -> tuple[dict[str, Any], list[str]]:
    chosen = selection.chosen
    report = {
        "bound": chosen.bound,
        "share_suspect": chosen.sanity.share_suspect,
        "candidates": [candidate._asdict() for candidate in selection.candidates],
        "losses": {name: dataclasses.asdict(history) for name, history in chosen.histories.items()},
    }
    notes = []
    if chosen.sanity.share_suspect > 0:
        n = int(np.sum(chosen.sanity.suspect))
        notes.append(
            f"{n} of {len(chosen.sanity.suspect)} fitted cells look suspect (spikes that explain noise, implausible"
            " counts, or large residuals); do not trust their spikes."
        )
    return report, notes


def _of_lesson(learn: Lesson, recording: xr.DataArray) -> list[str]:
    notes = []
    if learn.n_unusable:
        notes.append(
            f"{counted(learn.n_unusable, 'neuron', 'was')} not learned from: no variation in at least {FEWEST_FRAMES}"
            " observed frames."
        )
    if len(learn.labels) + learn.n_unusable < recording.sizes["neuron"]:
        notes.append(
            f"{counted(len(learn.labels), 'neuron', 'was', of=recording.sizes['neuron'])} learned from, drawn at"
            " random."
        )
    if learn.n_known_left_out:
        notes.append(
            f"{counted(learn.n_known_left_out, 'known spike', 'was')} not learned from: {RECORDED_FRAMES:,} frames of a"
            " recording are, those of which most are known."
        )
    return notes
