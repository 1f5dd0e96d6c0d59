"""From features as simulated to the inputs of a density network: missing values, masks, learned features of traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.densities.bayesian import Linear, as_float32


@dataclass(frozen=True, kw_only=True)
class TraceFeatures:
    """Features that are learned from traces, together with the density.

    The features of a simulation are a trace, flattened from (steps, channels), followed by any further ones, which
    go around the network.

    Parameters
    ----------
    kind
        "gru" (the paper's: the last state of a gated recurrent unit) or "convolution" (strided, faster).
    steps, channels
        Shape of the trace.
    units
        Learned features.
    downsample
        Time steps averaged into one, first of all.
    """

    kind: Literal["gru", "convolution"] = "gru"
    steps: int
    channels: int = 1
    units: int = 25
    downsample: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("gru", "convolution"):
            raise InputError(f"kind is {self.kind!r}; expected 'gru' or 'convolution'.")
        for name in ("steps", "channels", "units", "downsample"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if min(self.steps, self.channels, self.units, self.downsample) < 1 or self.downsample > self.steps:
            raise InputError(f"{self}: sizes need to be positive, and downsample at most steps.")

    @property
    def n_inputs(self) -> int:
        """Values of a flattened trace."""
        return self.steps * self.channels


class GatedRecurrentUnit(eqx.Module):
    """A gated recurrent unit (Cho et al. 2014) over a batch of traces; its last state."""

    inwards: Linear
    recurrent: Linear
    units: int = eqx.field(static=True)

    def __init__(self, channels: int, units: int, *, draw: np.random.Generator) -> None:
        self.inwards = Linear(channels, 3 * units, gain=0.7, draw=draw)
        self.recurrent = Linear(units, 3 * units, gain=0.7, draw=draw)
        self.units = units

    def __call__(self, trace: Float[Array, "n T C"]) -> Float[Array, "n units"]:
        """The state after the last time step."""
        n, steps, channels = trace.shape
        driven = self.inwards(trace.reshape(-1, channels)).reshape(n, steps, -1).transpose(1, 0, 2)

        def step(state: Array, drive: Array) -> tuple[Array, None]:
            recurrent = self.recurrent(state)
            size = self.units
            gates = jax.nn.sigmoid(drive[:, : 2 * size] + recurrent[:, : 2 * size])
            proposal = jnp.tanh(drive[:, 2 * size :] + gates[:, :size] * recurrent[:, 2 * size :])
            return gates[:, size:] * state + (1 - gates[:, size:]) * proposal, None

        return jax.lax.scan(step, jnp.zeros((n, self.units), trace.dtype), driven)[0]


class Convolution(eqx.Module):
    """Strided one-dimensional convolutions down to a few time steps, then a linear read-out."""

    kernels: tuple[Float[Array, "width into out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    last: Linear

    WIDTH = 7
    STRIDE = 4
    CHANNELS = 16
    FEW_STEPS = 8

    def __init__(self, steps: int, channels: int, units: int, *, draw: np.random.Generator) -> None:
        kernels, biases = [], []
        while True:
            scale = np.sqrt(2.0 / (self.WIDTH * channels))
            kernels.append(as_float32(scale * draw.standard_normal((self.WIDTH, channels, self.CHANNELS))))
            biases.append(as_float32(np.zeros(self.CHANNELS)))
            steps, channels = -(-steps // self.STRIDE), self.CHANNELS
            if steps <= self.FEW_STEPS:
                break
        self.kernels, self.biases = tuple(kernels), tuple(biases)
        self.last = Linear(steps * channels, units, gain=0.7, draw=draw)

    def __call__(self, trace: Float[Array, "n T C"]) -> Float[Array, "n units"]:
        """Learned features of each trace."""
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            trace = jax.lax.conv_general_dilated(
                trace, kernel, (self.STRIDE,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
            )
            trace = jax.nn.gelu(trace + bias)
        return self.last(trace.reshape(trace.shape[0], -1))


class Embedding(eqx.Module):
    """Missing features are filled, (1 − m) x + m (e + c), and the mask m is handed on.

    c is learned with the density (Lueckmann et al. 2017). e is what the other features let expect
    (`FeatureScaling.inputs`), so that a network that has seen every feature missing at times need not learn anew what
    to make of each combination of those that are there.

    Parameters
    ----------
    n_features
        Features of a simulation.
    mask
        Hand on which features are missing (those that are not part of a trace).
    trace
        Learned features of traces.
    """

    imputed: Float[Array, " k"]
    network: GatedRecurrentUnit | Convolution | None
    trace: TraceFeatures | None = eqx.field(static=True)
    mask: bool = eqx.field(static=True)

    def __init__(self, n_features: int, *, mask: bool, trace: TraceFeatures | None, draw: np.random.Generator) -> None:
        if trace is not None and trace.n_inputs > n_features:
            raise InputError(
                f"The trace features expect {trace.steps} steps × {trace.channels} channels = {trace.n_inputs} values,"
                f" but a simulation gives {n_features} features."
            )
        self.imputed = as_float32(0.1 * draw.standard_normal(n_features))
        self.network = _trace_network(trace, draw)
        self.trace, self.mask = trace, mask

    @property
    def n_trace(self) -> int:
        """Values of a flattened trace."""
        return 0 if self.trace is None else self.trace.n_inputs

    @property
    def n_outputs(self) -> int:
        """Inputs of the density network."""
        n_other = self.imputed.shape[0] - self.n_trace
        return n_other * (2 if self.mask else 1) + (0 if self.trace is None else self.trace.units)

    def __call__(self, x: Float[Array, "n k"]) -> Float[Array, "n out"]:
        """Inputs of the density network.

        Parameters
        ----------
        x
            Scaled features, NaN where missing; behind them, if there are more columns than features, what is expected
            of those that are no part of a trace.
        """
        n_features, n_trace = self.imputed.shape[0], self.n_trace
        given, expected = x[:, :n_features], x[:, n_features:]
        missing = jnp.isnan(given)
        filler = self.imputed
        if expected.shape[1]:
            filler = filler + jnp.pad(expected, ((0, 0), (n_trace, 0)))
        filled = jnp.where(missing, filler, given)
        parts = [filled[:, n_trace:]]
        if self.mask:
            parts.append(missing[:, n_trace:].astype(x.dtype))
        if self.trace is not None and self.network is not None:
            traces = filled[:, :n_trace].reshape(-1, self.trace.steps, self.trace.channels)
            parts.append(self.network(_average(traces, self.trace.downsample)))
        return jnp.concatenate(parts, axis=1)

    def of_array(self, x: np.ndarray) -> np.ndarray:
        """The same of an array (n, k), without a trace, with nothing compiled."""
        n_features = self.imputed.shape[0]
        missing = np.isnan(x[:, :n_features])
        filler = np.asarray(self.imputed, float) + (x[:, n_features:] if x.shape[1] > n_features else 0.0)
        filled = np.where(missing, filler, x[:, :n_features])
        return np.column_stack([filled, missing]) if self.mask else filled


def _trace_network(trace: TraceFeatures | None, draw: np.random.Generator) -> GatedRecurrentUnit | Convolution | None:
    if trace is None:
        return None
    if trace.kind == "gru":
        return GatedRecurrentUnit(trace.channels, trace.units, draw=draw)
    return Convolution(trace.steps // trace.downsample, trace.channels, trace.units, draw=draw)


def _average(traces: Float[Array, "n T C"], downsample: int) -> Float[Array, "n t C"]:
    n, steps, channels = traces.shape
    whole = steps // downsample
    return traces[:, : whole * downsample].reshape(n, whole, downsample, channels).mean(axis=2)
