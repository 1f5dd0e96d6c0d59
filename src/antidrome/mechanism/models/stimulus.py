"""Injected currents: as densities, in µA/cm², whatever unit they came in."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.signal import lfilter

from antidrome.core.seeds import generator
from antidrome.errors import InputError

UNITS_IN_UA = {"A": 1e6, "mA": 1e3, "µA": 1.0, "uA": 1.0, "nA": 1e-3, "pA": 1e-6}
DENSITY_UNITS_IN_UA_CM2 = {"µA/cm²": 1.0, "uA/cm2": 1.0, "nA/cm²": 1e-3, "nA/cm2": 1e-3, "A/m²": 100.0, "A/m2": 100.0}
PLAUSIBLE_UA_CM2 = 1e3
PAPER_AREA_CM2 = math.pi * (70e-4) ** 2
"""Soma of Lueckmann et al. (2017): π (70 µm)², 1.54·10⁻⁴ cm²."""


@dataclasses.dataclass(frozen=True)
class Stimulus:
    """A current injected into a cell.

    Parameters
    ----------
    current_ua_cm2
        (time,) current density; sample i holds from ``i * dt_ms`` to ``(i + 1) * dt_ms``.
    dt_ms
        Time step of the simulation.
    on_ms, off_ms
        When the stimulus is on: rest is before, features are computed between.
    """

    current_ua_cm2: np.ndarray
    dt_ms: float
    on_ms: float
    off_ms: float

    def __post_init__(self) -> None:
        current = np.asarray(self.current_ua_cm2)
        if current.ndim != 1 or len(current) < 3 or not np.isfinite(current).all():
            raise InputError(
                f"A stimulus of shape {current.shape} was given; expected (time,) finite values in µA/cm²."
            )
        if not 0 < self.dt_ms <= 0.5:
            raise InputError(f"dt_ms is {self.dt_ms}; a Hodgkin–Huxley model needs a step of at most 0.5 ms (0.025).")
        if not 0 <= self.on_ms < self.off_ms <= len(current) * self.dt_ms * (1 + 1e-9):
            raise InputError(
                f"The stimulus is on from {self.on_ms} to {self.off_ms} ms, but the current lasts from 0 to"
                f" {len(current) * self.dt_ms:g} ms."
            )
        if np.abs(current).max() > PLAUSIBLE_UA_CM2:
            raise InputError(
                f"The stimulus reaches {np.abs(current).max():.3g} µA/cm², more than any cell bears: is it in another"
                " unit? Use current_density(values, unit, area_cm2)."
            )

    @property
    def time_ms(self) -> np.ndarray:
        """(time,) ms."""
        return np.arange(len(self.current_ua_cm2)) * self.dt_ms


def step_stimulus(
    amplitude_ua_cm2: float = 5e-4 / PAPER_AREA_CM2,
    *,
    duration_ms: float = 120.0,
    on_ms: float = 10.0,
    off_ms: float = 110.0,
    dt_ms: float = 0.025,
) -> Stimulus:
    """A current step; by default that of Lueckmann et al. (2017), 0.5 nA into a soma of 1.54·10⁻⁴ cm²."""
    time = np.arange(round(duration_ms / dt_ms)) * dt_ms
    return Stimulus(np.where((time >= on_ms) & (time < off_ms), amplitude_ua_cm2, 0.0), dt_ms, on_ms, off_ms)


def noise_stimulus(
    amplitude_ua_cm2: float = 5e-4 / PAPER_AREA_CM2,
    *,
    duration_ms: float = 120.0,
    on_ms: float = 10.0,
    tau_ms: float = 3.0,
    dt_ms: float = 0.025,
    seed: int = 0,
) -> Stimulus:
    """Coloured noise of Lueckmann et al. (2017): an Ornstein–Uhlenbeck current about a fifth of the step.

    τ dI = (-I + 0.2 A) dt + 2 A √τ dW while the step of amplitude A is on, and -I dt else.
    """
    off_ms = duration_ms - on_ms
    step = step_stimulus(amplitude_ua_cm2, duration_ms=duration_ms, on_ms=on_ms, off_ms=off_ms, dt_ms=dt_ms)
    target, noise = step.current_ua_cm2, generator(seed, "mechanism/noise-stimulus").normal(size=len(step.time_ms))
    drive = (0.2 * target * dt_ms + 2 * target * np.sqrt(tau_ms * dt_ms) * noise) / tau_ms
    current = lfilter([0.0, 1.0], [1.0, dt_ms / tau_ms - 1], drive)
    return Stimulus(current, dt_ms, on_ms, off_ms)


def current_density(current: np.ndarray | float, unit: str, area_cm2: float | None = None) -> np.ndarray:
    """A current in µA/cm².

    Parameters
    ----------
    current
        Values in ``unit``.
    unit
        A current (A, mA, µA, nA, pA), which needs the membrane's area, or a density (µA/cm², nA/cm², A/m²).
    area_cm2
        Area of the membrane, cm².

    Raises
    ------
    InputError
        If the unit is unknown, or the area is missing or implausible.

    Examples
    --------
    >>> float(current_density(100.0, "pA", 1e-4).round(9))
    1.0
    """
    values = np.asarray(current, np.float64)
    name = unit.strip().replace("μ", "µ").replace("^", "")
    if name in DENSITY_UNITS_IN_UA_CM2:
        return np.asarray(values * DENSITY_UNITS_IN_UA_CM2[name])
    if name not in UNITS_IN_UA:
        raise InputError(
            f"{unit!r} is no unit of current known here; known are"
            f" {', '.join([*UNITS_IN_UA, *DENSITY_UNITS_IN_UA_CM2])}."
        )
    if area_cm2 is None or not 1e-7 < area_cm2 < 0.1:
        raise InputError(
            f"A current in {unit} needs the area of the membrane in cm² (got {area_cm2}): a soma of 50 µm has about"
            " 8e-5, and capacitance / (1 µF/cm²) estimates it."
        )
    return np.asarray(values * UNITS_IN_UA[name] / area_cm2)


def resampled_stimulus(
    current_ua_cm2: np.ndarray, sampling_ms: float, on_ms: float, off_ms: float, *, dt_ms: float = 0.025
) -> Stimulus:
    """A recorded current at the time step of the simulation: each step takes the sample that holds at its beginning.

    Where the recording ends within a step, that step counts only if the stimulus is still on.
    """
    values = np.asarray(current_ua_cm2, np.float64)
    steps = len(values) * sampling_ms / dt_ms
    n = int(np.floor(steps + 1e-6))
    if n * dt_ms < off_ms:
        n = int(np.ceil(steps - 1e-6))
    rows = np.minimum(np.floor(np.arange(n) * dt_ms / sampling_ms + 1e-6).astype(int), len(values) - 1)
    return Stimulus(values[rows], dt_ms, on_ms, off_ms)
