"""Models by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.models.model import Model

_SBIBM = (
    *("two_moons", "gaussian_linear", "gaussian_linear_uniform", "gaussian_mixture", "slcp", "slcp_distractors"),
    *("bernoulli_glm", "bernoulli_glm_raw", "sir", "lotka_volterra"),
)


def _hodgkin_huxley_8() -> Model:
    from antidrome.mechanism.models.hodgkin_huxley import HodgkinHuxley, eight_parameter_prior

    return Model("hodgkin_huxley_8", HodgkinHuxley(), eight_parameter_prior())


def _hodgkin_huxley_12() -> Model:
    from antidrome.mechanism.models.hodgkin_huxley import TWELVE_PARAMETERS, HodgkinHuxley, twelve_parameter_prior
    from antidrome.mechanism.models.voltage_features import TWENTY_FEATURES

    simulator = HodgkinHuxley(parameters=TWELVE_PARAMETERS, features=TWENTY_FEATURES)
    return Model("hodgkin_huxley_12", simulator, twelve_parameter_prior())


def _glm() -> Model:
    from antidrome.mechanism.models.glm import glm

    return glm()


def _autapse() -> Model:
    from antidrome.mechanism.models.autapse import autapse

    return autapse()


def _unimodal() -> Model:
    from antidrome.mechanism.models.mixtures import unimodal_mixture

    return unimodal_mixture()


def _bimodal() -> Model:
    from antidrome.mechanism.models.mixtures import bimodal_mixture

    return bimodal_mixture()


_MODELS: dict[str, Callable[[], Model]] = {
    "hodgkin_huxley_8": _hodgkin_huxley_8,
    "hodgkin_huxley_12": _hodgkin_huxley_12,
    "glm": _glm,
    "autapse": _autapse,
    "unimodal_mixture": _unimodal,
    "bimodal_mixture": _bimodal,
}
MODELS = (*_MODELS, *_SBIBM)
"""Names of all models."""


def named_model(name: str) -> Model:
    """The model of this name, with its defaults.

    Raises
    ------
    InputError
        If there is none.
    """
    if name in _SBIBM:
        from antidrome.mechanism.models.sbibm_tasks import sbibm_task

        return sbibm_task(name)
    if name not in _MODELS:
        raise InputError(f"There is no model {name!r}.{did_you_mean(name, MODELS)} There are {', '.join(MODELS)}.")
    return _MODELS[name]()
