"""Models by name, for the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.models.autapse import autapse
from antidrome.mechanism.models.glm import glm
from antidrome.mechanism.models.hodgkin_huxley import (
    TWELVE_PARAMETERS,
    HodgkinHuxley,
    eight_parameter_prior,
    twelve_parameter_prior,
)
from antidrome.mechanism.models.mixtures import bimodal_mixture, unimodal_mixture
from antidrome.mechanism.models.model import Model
from antidrome.mechanism.models.sbibm_tasks import SBIBM_TASKS, sbibm_task
from antidrome.mechanism.models.voltage_features import TWENTY_FEATURES


def _hodgkin_huxley_8() -> Model:
    return Model("hodgkin_huxley_8", HodgkinHuxley(), eight_parameter_prior())


def _hodgkin_huxley_12() -> Model:
    simulator = HodgkinHuxley(parameters=TWELVE_PARAMETERS, features=TWENTY_FEATURES)
    return Model("hodgkin_huxley_12", simulator, twelve_parameter_prior())


_MODELS: dict[str, Callable[[], Model]] = {
    "hodgkin_huxley_8": _hodgkin_huxley_8,
    "hodgkin_huxley_12": _hodgkin_huxley_12,
    "glm": glm,
    "autapse": autapse,
    "unimodal_mixture": unimodal_mixture,
    "bimodal_mixture": bimodal_mixture,
    **{name: functools.partial(sbibm_task, name) for name in SBIBM_TASKS},
}
MODELS = tuple(_MODELS)
"""Names of all models."""


def named_model(name: str) -> Model:
    """The model of this name, with its defaults.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in _MODELS:
        raise InputError(f"There is no model {name!r}.{did_you_mean(name, MODELS)} There are {', '.join(MODELS)}.")
    return _MODELS[name]()
