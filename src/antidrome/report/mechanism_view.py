"""What the page shows of a fitted posterior: samples, measured and predicted traces."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from antidrome.errors import InputError

if TYPE_CHECKING:
    from antidrome.mechanism.diagnostics import Diagnosis
    from antidrome.mechanism.posterior import Posterior

SAMPLES = 4000
"""Posterior samples in the page."""
PREDICTED = 6
"""Traces simulated at posterior samples."""


@dataclasses.dataclass(frozen=True)
class Traces:
    """A measured trace and simulated ones at posterior samples, at the same times.

    Parameters
    ----------
    time_ms
        (time,).
    measured_mv
        (time,).
    predicted_mv
        (trace, time).
    """

    time_ms: np.ndarray
    measured_mv: np.ndarray
    predicted_mv: np.ndarray


@dataclasses.dataclass(frozen=True)
class MechanismView:
    """A posterior, gathered for the page.

    Parameters
    ----------
    posterior
        With its rounds' figures and notes.
    samples, prior_samples
        (n, parameter), in the parameters' own units.
    best
        The parameter set of highest density, (parameter,).
    summary
        From `Posterior.summary`.
    curves
        Training and validation loss of each round.
    diagnosis
        None where too little was left to judge by.
    traces
        Measured and predicted voltage; None for other models.
    notes
        What was done to the measurement before.
    """

    posterior: Posterior
    samples: np.ndarray
    prior_samples: np.ndarray
    best: np.ndarray
    summary: xr.Dataset
    curves: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    diagnosis: Diagnosis | None = None
    traces: Traces | None = None
    notes: Sequence[str] = ()


def mechanism_view(
    fitted: Any, *, traces: Traces | None = None, notes: Sequence[str] = (), seed: int = 0
) -> MechanismView:
    """Gather what the page shows of a fitted `SNPE`, or of a `Posterior` alone; `seed` is that of its summary.

    Raises
    ------
    InputError
        What was given is neither, or not fitted.
    """
    from antidrome.mechanism.posterior import Posterior

    posterior = fitted if isinstance(fitted, Posterior) else getattr(fitted, "posterior_", None)
    if not isinstance(posterior, Posterior):
        raise InputError("The page needs a fitted SNPE, or a Posterior.")
    return MechanismView(
        posterior,
        posterior.sample(SAMPLES, seed=0).values,
        posterior.prior.sample(SAMPLES, seed=0),
        posterior.map().values,
        posterior.summary(seed=seed),
        tuple(getattr(fitted, "curves_", ())),
        getattr(fitted, "diagnosis_", None),
        traces,
        notes,
    )


def predicted_traces(simulator: Any, posterior: Posterior, measured_mv: xr.DataArray) -> Traces:
    """Voltage simulated at posterior samples, beside the measured one.

    Parameters
    ----------
    simulator
        With a method ``voltage(theta, seed)``, as `HodgkinHuxley` has it.
    measured_mv
        (time,), with times in ms.
    """
    simulated = simulator.voltage(posterior.sample(PREDICTED, seed=0), seed=0)
    at, measured = measured_mv["time"].values, measured_mv.values
    own = simulated["time"].values
    at, measured = at[at <= own[-1]], measured[at <= own[-1]]
    predicted = np.stack([np.interp(at, own, trace) for trace in simulated.values])
    return Traces(at, measured, predicted)
