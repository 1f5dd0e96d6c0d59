"""Cells of Jaxley (Deistler et al. 2024) as simulators, with the voltage features of this package.

Jaxley builds single cells and networks with any channels and morphology; it is an extra: ``pip install
antidrome[jaxley]``. The cell brings its stimuli, one recording, and the parameters that were made trainable, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.errors import InputError
from antidrome.mechanism.models.online_features import OnlineFeatures, windows
from antidrome.mechanism.models.voltage_features import FEATURE_UNITS, SEVEN_FEATURES, check_features
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator


def jaxley_simulator(
    cell: Any,
    *,
    stimulus_on_ms: float,
    stimulus_off_ms: float,
    dt_ms: float = 0.025,
    duration_ms: float | None = None,
    features: Sequence[str] = SEVEN_FEATURES,
    batch: int = 256,
) -> JaxSimulator:
    """A simulator from a Jaxley module (a compartment, branch, cell or network).

    Parameters
    ----------
    cell
        With ``cell.record("v")`` called once, its stimulus attached, and ``cell.make_trainable(NAME)`` called for each
        parameter; theta gives these parameters in that order, or by these names (see `jaxley_parameters`).
    stimulus_on_ms, stimulus_off_ms
        Between them features are computed; rest is before.
    dt_ms
        Time step.
    duration_ms
        By default that of the stimulus.
    features
        Names of voltage features.

    Raises
    ------
    InputError
        If Jaxley is not installed, nothing is trainable, or not exactly one voltage is recorded.
    """
    try:
        import jaxley
    except ImportError as error:
        raise InputError("Cells of Jaxley need it installed: pip install 'antidrome[jaxley]'") from error
    names = check_features(features)
    parameters = cell.get_parameters()
    sizes = [int(np.size(value)) for entry in parameters for value in entry.values()]
    if not sizes:
        raise InputError("The cell has no trainable parameter; call cell.make_trainable(NAME) for each one of theta.")
    if len(cell.recordings) != 1:
        raise InputError(f"The cell has {len(cell.recordings)} recordings; call cell.record('v') at one place.")
    own, online = jaxley_parameters(cell), OnlineFeatures(names, dt_ms)

    def simulate(theta: Float[Array, " d"]) -> dict[str, Array]:
        if theta.shape != (sum(sizes),):
            raise InputError(f"theta has {theta.shape[0]} columns; the cell has {sum(sizes)} trainable parameters.")
        values = iter(jnp.split(theta, np.cumsum(sizes)[:-1]))
        filled = [
            {key: jnp.reshape(next(values), np.shape(value)) for key, value in entry.items()} for entry in parameters
        ]
        trace = jaxley.integrate(cell, params=filled, delta_t=dt_ms, t_max=duration_ms)[0]
        return features_of_traces(trace[:, None], online, dt_ms, stimulus_on_ms, stimulus_off_ms)

    made = JaxSimulator(
        simulate,
        parameter_names=own if len(set(own)) == len(own) else (),
        feature_names=names,
        feature_units=tuple(FEATURE_UNITS[name] for name in names),
        batch=batch,
    )
    times = {"dt_ms": dt_ms, "on_ms": stimulus_on_ms, "off_ms": stimulus_off_ms, "duration_ms": duration_ms}
    made.identity_settings = times | _settings_of_cell(cell)
    return made


def _settings_of_cell(cell: Any) -> dict[str, Any]:
    """Of what a cell consists, as far as numbers tell: its stimuli, the parameters of its compartments, and where it is
    stimulated, recorded and trained."""
    compartments = getattr(cell, "nodes", None)
    numbers = None if compartments is None else compartments.select_dtypes("number")
    recordings = getattr(cell, "recordings", None)
    places = recordings.to_dict("list") if hasattr(recordings, "to_dict") else recordings
    return {
        "stimuli": dict(getattr(cell, "externals", {})),
        "compartments": numbers,
        "recorded": places,
        "stimulated": dict(getattr(cell, "external_inds", {})),
        "trained": list(getattr(cell, "indices_set_by_trainables", [])),
    }


def jaxley_parameters(cell: Any) -> tuple[str, ...]:
    """Names of the cell's trainable parameters, one for each column of theta."""
    names = []
    for entry in cell.get_parameters():
        for key, value in entry.items():
            n = int(np.size(value))
            names += [key] if n == 1 else [f"{key}[{i}]" for i in range(n)]
    return tuple(names)


def features_of_traces(
    voltage_mv: Float[Array, "time n"], online: OnlineFeatures, dt_ms: float, on_ms: float, off_ms: float
) -> dict[str, Array]:
    """Features of whole traces, within JAX, (n,) or () for one trace; NaN where the voltage is not finite."""
    time = np.arange(1, voltage_mv.shape[0]) * dt_ms
    window = windows(time, on_ms, off_ms)
    carry = online.update(online.start(voltage_mv[0]), voltage_mv[1:], jax.tree.map(jnp.asarray, window))
    start_ms = float(time[np.argmax(window.on)] - dt_ms)
    found = online.finish(carry, start_ms)
    finite = jnp.isfinite(voltage_mv).all(axis=0)
    return {name: jnp.squeeze(jnp.where(finite, value, jnp.nan)) for name, value in found.items()}
