"""The Hodgkin–Huxley neuron as a simulator: 8 or 12 (or any of its) parameters, voltage features or traces."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.labelled import in_rows
from antidrome.mechanism.models.hh_kinetics import Membrane, State, noise_of_step, steady_state, step
from antidrome.mechanism.models.online_features import OnlineFeatures, Windows, windows
from antidrome.mechanism.models.stimulus import Stimulus, step_stimulus
from antidrome.mechanism.models.voltage_features import (
    FEATURE_UNITS,
    SEVEN_FEATURES,
    check_features,
    voltage_features,
)
from antidrome.mechanism.priors import LogUniform, Prior, Uniform
from antidrome.mechanism.simulate.batch import SimulationBatch, check_theta, simulation_seeds
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator, seed_words


class _Parameter(NamedTuple):
    default: float
    low: float
    high: float
    unit: str
    meaning: str


PARAMETERS: dict[str, _Parameter] = {
    "g_na": _Parameter(50.0, 0.5, 80.0, "mS/cm²", "sodium conductance"),
    "g_k": _Parameter(5.0, 1e-4, 15.0, "mS/cm²", "delayed-rectifier potassium conductance"),
    "g_leak": _Parameter(0.1, 1e-4, 0.6, "mS/cm²", "leak conductance"),
    "g_m": _Parameter(0.07, 1e-4, 0.6, "mS/cm²", "slow (M) potassium conductance"),
    "tau_max": _Parameter(600.0, 50.0, 3000.0, "ms", "time constant of the M current"),
    "minus_v_t": _Parameter(60.0, 40.0, 90.0, "mV", "minus the spike threshold V_T"),
    "noise": _Parameter(0.1, 1e-4, 0.15, "µA/cm²·√ms", "standard deviation of the white noise current"),
    "minus_e_leak": _Parameter(70.0, 35.0, 100.0, "mV", "minus the reversal potential of the leak"),
    "e_na": _Parameter(53.0, 25.0, 75.0, "mV", "reversal potential of sodium"),
    "minus_e_k": _Parameter(107.0, 45.0, 135.0, "mV", "minus the reversal potential of potassium"),
    "k_beta_n1": _Parameter(0.5, 0.25, 0.75, "1/ms", "k₁ of the closing rate of the potassium gate"),
    "k_beta_n2": _Parameter(40.0, 20.0, 60.0, "mV", "k₂ of the closing rate of the potassium gate"),
}
"""Name → default, range, unit and meaning."""

EIGHT_PARAMETERS = ("g_na", "g_k", "g_leak", "g_m", "tau_max", "minus_v_t", "noise", "minus_e_leak")
"""Those of Gonçalves et al. (2020), inferred from in-vitro recordings."""

TWELVE_TRUE_VALUES: dict[str, float] = {
    "g_na": 50.0,
    "g_k": 5.0,
    "g_leak": 0.1,
    "e_na": 50.0,
    "minus_e_k": 90.0,
    "minus_e_leak": 70.0,
    "g_m": 0.07,
    "tau_max": 600.0,
    "k_beta_n1": 0.5,
    "k_beta_n2": 40.0,
    "minus_v_t": 60.0,
    "noise": 0.5,
}
"""Parameters of Lueckmann et al. (2017) and the values that they were to recover."""

TWELVE_PARAMETERS = tuple(TWELVE_TRUE_VALUES)


def eight_parameter_prior() -> Prior:
    """Uniform, within the ranges of Gonçalves et al. (2020)."""
    return Prior(
        {name: Uniform(PARAMETERS[name].low, PARAMETERS[name].high) for name in EIGHT_PARAMETERS},
        units={name: PARAMETERS[name].unit for name in EIGHT_PARAMETERS},
    )


def twelve_parameter_prior() -> Prior:
    """Uniform in the logarithm, between half and one and a half times the true values (Lueckmann et al. 2017)."""
    return Prior(
        {name: LogUniform(0.5 * true, 1.5 * true) for name, true in TWELVE_TRUE_VALUES.items()},
        units={name: PARAMETERS[name].unit for name in TWELVE_TRUE_VALUES},
    )


class HodgkinHuxley:
    """One compartment with sodium, potassium, M and leak currents and noise; equations in ``hh_kinetics``.

    Features are computed while the voltage is simulated: nothing of it is kept.

    Parameters
    ----------
    stimulus
        Current; by default the step of the paper.
    parameters
        Names of the parameters that theta gives, in order.
    features
        Names of features (see ``voltage_features.FEATURE_UNITS``), in order.
    fixed
        Values of the other parameters, where they are not the defaults.
    batch
        Simulations in one compiled call.
    n_threads
        Calls at once; by default one for each core.

    References
    ----------
    Pospischil et al. (2008), Biological Cybernetics 99:427; Lueckmann et al. (2017), NeurIPS 30; Gonçalves et al.
    (2020), eLife 9:e56261.

    Examples
    --------
    >>> model = HodgkinHuxley(step_stimulus(duration_ms=40, on_ms=5, off_ms=35), batch=16)
    >>> model.run(np.array([model.defaults]), seed=0).features.shape
    (1, 7)
    """

    def __init__(
        self,
        stimulus: Stimulus | None = None,
        *,
        parameters: Sequence[str] = EIGHT_PARAMETERS,
        features: Sequence[str] = SEVEN_FEATURES,
        fixed: Mapping[str, float] | None = None,
        batch: int = 1024,
        n_threads: int | None = None,
    ) -> None:
        self.stimulus = stimulus or step_stimulus()
        self.parameter_names = _check_parameters(parameters, fixed or {})
        self.fixed = {name: p.default for name, p in PARAMETERS.items()} | dict(fixed or {})
        self._features = check_features(features)
        self._engine = JaxSimulator(
            self._simulate_features,
            batched=True,
            feature_names=self._features,
            feature_units=tuple(FEATURE_UNITS[name] for name in self._features),
            batch=batch,
            n_threads=n_threads,
        )
        self._traces: dict[int, Callable[..., Any]] = {}

    @property
    def defaults(self) -> np.ndarray:
        """(d,) default values of the parameters."""
        return np.array([self.fixed[name] for name in self.parameter_names])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self._features

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Units of the features."""
        return self._engine.feature_units

    @property
    def identity_settings(self) -> dict[str, Any]:
        """What makes it another simulator: a fit does not go on with simulations that were made with other settings."""
        stimulus = self.stimulus
        return {
            "current_ua_cm2": np.asarray(stimulus.current_ua_cm2, float),
            "times_ms": (stimulus.dt_ms, stimulus.on_ms, stimulus.off_ms),
            "parameters": self.parameter_names,
            "fixed": {name: float(value) for name, value in self.fixed.items()},
            "features": self._features,
        }

    @property
    def aligned_rows(self) -> int:
        """Simulations that are always computed together."""
        return self._engine.aligned_rows

    @property
    def n_threads(self) -> int:
        """Compiled calls that run at once."""
        return self._engine.n_threads

    def run(self, theta: np.ndarray, seed: int) -> SimulationBatch:
        """Features of every row of ``theta`` (n, d); see `Simulator`."""
        return self._engine.run(self._checked(theta), seed)

    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray) -> SimulationBatch:
        """As `run`, with a seed (uint64) for every row."""
        return self._engine.run_seeded(self._checked(theta), seeds)

    def voltage(self, theta: ArrayLike, seed: int = 0, *, every: int = 1) -> xr.DataArray:
        """Voltage traces: (simulation, time), mV, of the same simulations that `run` summarises.

        Parameters
        ----------
        theta
            (n, d) or (d,); with labels (`Posterior.sample`, `Posterior.map`) by name.
        every
            Keep each so-manieth time step.
        """
        theta = self._checked(in_rows(theta))
        if len(theta) not in self._traces:
            self._traces[len(theta)] = jax.jit(self._simulate_voltage)
        words = seed_words(simulation_seeds(seed, len(theta)))
        traces = np.asarray(self._traces[len(theta)](theta.astype(np.float32), words)).T[:, ::every]
        return xr.DataArray(
            traces,
            dims=("simulation", "time"),
            coords={"time": ("time", self.stimulus.time_ms[::every], {"units": "ms"})},
            attrs={"units": "mV", "long_name": "membrane voltage"},
            name="voltage_mv",
        )

    def features_of(self, voltage_mv: np.ndarray, sampling_ms: float | None = None) -> np.ndarray:
        """The features (k,) of a recorded trace, as an observation for this simulator."""
        found = voltage_features(
            voltage_mv,
            sampling_ms or self.stimulus.dt_ms,
            self.stimulus.on_ms,
            self.stimulus.off_ms,
            self._features,
        )
        return np.array([found[name] for name in self._features])

    def _checked(self, theta: ArrayLike) -> np.ndarray:
        theta = check_theta(theta, self.parameter_names)
        if theta.shape[1] != len(self.parameter_names):
            raise InputError(
                f"theta has {theta.shape[1]} columns; this model takes {len(self.parameter_names)} parameters:"
                f" {', '.join(self.parameter_names)}."
            )
        return theta

    def _membrane(self, theta: jax.Array) -> Membrane:
        values = {name: jnp.float32(value) for name, value in self.fixed.items()}
        values |= {name: theta[:, i] for i, name in enumerate(self.parameter_names)}
        return Membrane(
            g_na=values["g_na"],
            g_k=values["g_k"],
            g_leak=values["g_leak"],
            g_m=values["g_m"],
            e_na=values["e_na"],
            e_k=-values["minus_e_k"],
            e_leak=-values["minus_e_leak"],
            v_t=-values["minus_v_t"],
            tau_max=values["tau_max"],
            k_beta_n1=values["k_beta_n1"],
            k_beta_n2=values["k_beta_n2"],
            noise=values["noise"] / np.float32(np.sqrt(self.stimulus.dt_ms)),
        )

    def _start(self, theta: jax.Array) -> tuple[Membrane, State]:
        membrane = self._membrane(theta)
        rest = jnp.broadcast_to(membrane.e_leak, (theta.shape[0],))
        state = steady_state(rest, membrane)
        return membrane, State(*(jnp.broadcast_to(x, rest.shape) for x in state))

    def _stepper(self, membrane: Membrane, words: jax.Array) -> Callable:
        usual_k = "k_beta_n2" not in self.parameter_names and self.fixed["k_beta_n2"] == 40.0
        advance = functools.partial(step, dt=self.stimulus.dt_ms, usual_k=usual_k)

        def one(state: State, now: tuple) -> tuple[State, jax.Array]:
            current, number = now
            new = advance(state, membrane, current, membrane.noise * noise_of_step(words, number))
            return new, new.v

        return one

    def _simulate_voltage(self, theta: jax.Array, words: jax.Array) -> jax.Array:
        membrane, state = self._start(theta)
        current = jnp.asarray(self.stimulus.current_ua_cm2[:-1], jnp.float32)
        numbers = jnp.arange(len(current), dtype=jnp.uint32)
        _, v = jax.lax.scan(self._stepper(membrane, words), state, (current, numbers))
        return jnp.concatenate([state.v[None], v])

    def _simulate_features(self, theta: jax.Array, keys: jax.Array) -> jax.Array:
        words = jax.random.key_data(keys)
        membrane, state = self._start(theta)
        online = OnlineFeatures(self._features, self.stimulus.dt_ms)
        one = self._stepper(membrane, words)

        def block(carry: tuple, now: tuple) -> tuple[tuple, None]:
            state, features = carry
            current, numbers, window = now
            state, v = jax.lax.scan(one, state, (current, numbers))
            return (state, online.update(features, v, window)), None

        blocks, start_ms = self._blocks(online.block)
        (state, features), _ = jax.lax.scan(block, (state, online.start(state.v)), blocks)
        found = online.finish(features, start_ms)
        values = jnp.stack([found[name] for name in self._features], axis=1)
        return jnp.where(jnp.isfinite(state.v)[:, None], values, jnp.nan)

    def _blocks(self, size: int) -> tuple[tuple, float]:
        """Current, step numbers and windows in blocks of ``size`` steps (beyond the end: no current, no window)."""
        time = self.stimulus.time_ms[1:]
        whole = windows(time, self.stimulus.on_ms, self.stimulus.off_ms)
        n = -len(time) % size

        def cut(values: np.ndarray) -> jax.Array:
            return jnp.asarray(np.pad(values, (0, n)).reshape(-1, size))

        current = cut(self.stimulus.current_ua_cm2[:-1].astype(np.float32))
        numbers = cut(np.arange(len(time), dtype=np.uint32))
        start = float(time[np.argmax(whole.on)] - self.stimulus.dt_ms)
        return (current, numbers, Windows(*(cut(values) for values in whole))), start


def _check_parameters(parameters: Sequence[str], fixed: Mapping[str, float]) -> tuple[str, ...]:
    for name in [*parameters, *fixed]:
        if name not in PARAMETERS:
            raise InputError(f"The Hodgkin–Huxley model has no parameter {name!r}.{did_you_mean(name, PARAMETERS)}")
    both = set(parameters) & set(fixed)
    if both or len(set(parameters)) != len(parameters) or not parameters:
        raise InputError(
            f"Each parameter is either in theta (once) or fixed; got {tuple(parameters)} and {dict(fixed)}."
        )
    return tuple(parameters)
