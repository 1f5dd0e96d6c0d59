"""Model selection without true spikes: several starts, the highest held-out bound among those that make sense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from antidrome.spikes.variational.calibration import Calibration, rescaled
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.fit import Fit, fit

MOST_SUSPECT = 0.25


class Candidate(NamedTuple):
    """One start and what came of it."""

    amplitude_factor: float
    bound: float
    share_suspect: float


class Selection(NamedTuple):
    """The chosen fit and all candidates, in the order they were tried; `place` of the chosen one among them."""

    chosen: Fit
    candidates: list[Candidate]
    place: int


def fit_with_restarts(
    traces: np.ndarray,
    frame_rate_hz: float,
    config: FitConfig,
    calibration: Calibration,
    *,
    amplitude_factors: Sequence[float],
    checkpoint: Path | None = None,
    **arguments: Any,
) -> Selection:
    """Fit from several initial amplitudes; rates are scaled so that the mean fluorescence stays what it is.

    Parameters
    ----------
    amplitude_factors
        Factors on the calibrated amplitudes, one fit each.
    arguments
        Further arguments of `fit`.

    Returns
    -------
    Selection. A fit with more than a quarter of its cells suspect (see `Sanity`) is chosen only if all are.
    """
    fits, candidates = [], []
    for factor in amplitude_factors:
        where = None if checkpoint is None else checkpoint / f"amplitude-{factor:g}"
        fitted = fit(
            traces,
            frame_rate_hz,
            config,
            calibration=rescaled(calibration, factor),
            checkpoint=where,
            **arguments,
        )
        fits.append(fitted)
        candidates.append(Candidate(factor, fitted.bound, fitted.sanity.share_suspect))
    sound = [i for i, c in enumerate(candidates) if c.share_suspect <= MOST_SUSPECT] or list(range(len(candidates)))
    best = max(sound, key=lambda i: candidates[i].bound)
    return Selection(fits[best], candidates, best)
