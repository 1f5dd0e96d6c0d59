"""Posterior predictive checks: does the model, at the posterior, give what was observed?"""

from __future__ import annotations

import numpy as np
import xarray as xr


def predictive_check(
    observation: np.ndarray,
    simulated: np.ndarray,
    valid: np.ndarray,
    feature_names: tuple[str, ...],
    feature_units: tuple[str, ...] = (),
) -> xr.Dataset:
    """Where each observed feature lies among features simulated at posterior samples.

    Parameters
    ----------
    observation
        (k,), NaN where missing.
    simulated
        (n, k), NaN where missing.
    valid
        (n,).
    feature_names, feature_units
        (k,); no units: none are known.

    Returns
    -------
    Dataset over `feature`: `observed`, `median`, `low_95`, `high_95` in the unit that the coordinate `unit` gives;
    `tail_probability` (two-sided, of the observed value), `missing` (share of simulations without the feature).
    """
    x = simulated[valid]
    columns = {name: np.full(len(observation), np.nan) for name in ("median", "low_95", "high_95", "tail_probability")}
    missing = np.isnan(x).mean(axis=0) if len(x) else np.ones(len(observation))
    for i, value in enumerate(observation):
        values = x[~np.isnan(x[:, i]), i]
        if not len(values):
            continue
        columns["low_95"][i], columns["median"][i], columns["high_95"][i] = np.quantile(values, [0.025, 0.5, 0.975])
        if not np.isnan(value):
            lower, upper = np.sum(values <= value), np.sum(values >= value)
            columns["tail_probability"][i] = min(1.0, 2 * (1 + min(lower, upper)) / (1 + len(values)))
    columns |= {"observed": observation, "missing": missing}
    shares = ("tail_probability", "missing")
    data = {name: ("feature", values, {"units": "1"} if name in shares else None) for name, values in columns.items()}
    units = list(feature_units or [""] * len(feature_names))
    coordinates = {"feature": list(feature_names), "unit": ("feature", units)}
    return xr.Dataset(data, coordinates, {"simulations": len(x), "failed": int((~valid).sum())})
