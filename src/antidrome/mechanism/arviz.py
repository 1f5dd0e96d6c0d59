"""Posteriors as ArviZ objects: `InferenceData` of ArviZ 0.x, `DataTree` of 1.x."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from antidrome.core.seeds import fold_in
from antidrome.errors import InputError
from antidrome.mechanism.posterior import Posterior


def arviz_groups(
    posterior: Posterior,
    n_samples: int,
    seed: int,
    *,
    simulated: tuple[np.ndarray, np.ndarray] | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Named groups of arrays with leading dimensions (chain 1, draw n).

    Parameters
    ----------
    simulated
        Prior draws (m, parameter) and their features (m, k), for the groups prior and prior_predictive.
    predicted
        Features of simulations at posterior samples, (m, k), for posterior_predictive.
    """
    density = posterior.density()
    theta = density.sample(n_samples, seed=seed).values
    prior = posterior.prior.sample(n_samples, seed=fold_in(seed, "prior")) if simulated is None else simulated[0]
    groups = {
        "posterior": _columns(theta, posterior.names),
        "sample_stats": {"lp": density.log_prob(theta)[None]},
        "prior": _columns(prior, posterior.names),
        "observed_data": {
            name: np.atleast_1d(value)
            for name, value in zip(posterior.feature_names, posterior.observation, strict=True)
        },
    }
    if simulated is not None:
        groups["prior_predictive"] = _columns(simulated[1], posterior.feature_names)
    if predicted is not None:
        groups["posterior_predictive"] = _columns(predicted, posterior.feature_names)
    return groups


def to_arviz(groups: dict[str, dict[str, np.ndarray]]) -> Any:
    """The groups as the object that the installed ArviZ uses.

    Raises
    ------
    InputError
        ArviZ is not installed.
    """
    for name in ("arviz_base", "arviz"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.from_dict(groups) if name == "arviz_base" else module.from_dict(**groups)
    raise InputError("ArviZ is not installed; install it with: pip install 'antidrome[arviz]'.")


def _columns(values: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: values[None, :, i] for i, name in enumerate(names)}
