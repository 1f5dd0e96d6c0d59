"""The recognition network: a trace in, the posterior over spike counts of every frame out, in one pass.

Convolutions read the local shape of the trace; a bidirectional GRU on a coarser grid carries what the cell does over
seconds (amplitude, bursts, baseline); a summary of the whole recording modulates every layer (FiLM), which is how one
network serves all frame rates, noise levels and indicators. Factorised posterior (Speiser et al. 2017, §2.2), with a
count per frame instead of a Bernoulli.

Arrays are batch first and channels last; weights are stored in the layout that the compiled convolutions want.
"""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.spikes.conditioning import N_CHANNELS, N_SUMMARY
from antidrome.spikes.counts import CountPosterior


@dataclass(frozen=True, kw_only=True)
class RecognitionConfig:
    """Sizes of the recognition network.

    Parameters
    ----------
    channels
        Features per frame.
    first_width, width
        Widths of the first and of the residual convolutions, frames.
    dilations
        One residual convolution for each, frames between taps.
    stride
        Frames per step of the recurrent part.
    recurrent
        Units of the GRU in each direction.
    """

    channels: int = 56
    first_width: int = 15
    width: int = 9
    dilations: tuple[int, ...] = (1, 2, 3)
    stride: int = 4
    recurrent: int = 64


class Dense(eqx.Module):
    """Affine map of the last axis."""

    weight: Float[Array, "from to"]
    bias: Float[Array, " to"]

    def __init__(self, size_in: int, size_out: int, *, key: PRNGKeyArray, scale: float = 1.0):
        self.weight = scale * jax.random.normal(key, (size_in, size_out)) / jnp.sqrt(size_in)
        self.bias = jnp.zeros(size_out)

    def __call__(self, x: Float[Array, "... from"]) -> Float[Array, "... to"]:
        return x @ self.weight + self.bias


class Convolution(eqx.Module):
    """One-dimensional convolution over time, 'same' zero padding."""

    weight: Float[Array, "width from to"]
    bias: Float[Array, " to"]
    dilation: int = eqx.field(static=True)

    def __init__(self, size_in: int, size_out: int, width: int, *, key: PRNGKeyArray, dilation: int = 1):
        self.weight = jax.random.normal(key, (width, size_in, size_out)) * jnp.sqrt(2.0 / (width * size_in))
        self.bias = jnp.zeros(size_out)
        self.dilation = dilation

    def __call__(self, x: Float[Array, "batch time from"]) -> Float[Array, "batch time to"]:
        y = jax.lax.conv_general_dilated(
            x, self.weight, (1,), "SAME", rhs_dilation=(self.dilation,), dimension_numbers=("NWC", "WIO", "NWC")
        )
        return y + self.bias


class BidirectionalGRU(eqx.Module):
    """Two gated recurrent units, forward and backward in time."""

    input_map: Dense
    recurrent: Float[Array, "2 unit gates"]

    def __init__(self, size_in: int, units: int, *, key: PRNGKeyArray):
        first, second = jax.random.split(key)
        self.input_map = Dense(size_in, 6 * units, key=first)
        self.recurrent = jax.random.normal(second, (2, units, 3 * units)) / jnp.sqrt(units)

    def __call__(self, x: Float[Array, "batch time from"]) -> Float[Array, "batch time to"]:
        drive = jnp.moveaxis(self.input_map(x), 1, 0)
        half = drive.shape[-1] // 2
        forward = _recur(drive[..., :half], self.recurrent[0])
        backward = _recur(drive[::-1, :, half:], self.recurrent[1])[::-1]
        return jnp.moveaxis(jnp.concatenate([forward, backward], axis=-1), 0, 1)


def _recur(
    drive: Float[Array, "time batch gates"], weight: Float[Array, "unit gates"]
) -> Float[Array, "time batch unit"]:
    def step(state: Array, now: Array) -> tuple[Array, Array]:
        state = gated_step(state, now, weight)
        return state, state

    return jax.lax.scan(step, jnp.zeros((drive.shape[1], weight.shape[0]), drive.dtype), drive)[1]


def gated_step(
    state: Float[Array, "*lanes unit"], drive: Float[Array, "*lanes gates"], weight: Float[Array, "unit gates"]
) -> Float[Array, "*lanes unit"]:
    """The next state of a gated recurrent unit.

    The gates use x/(1+|x|) in place of the logistic function and the hyperbolic tangent: on a CPU these two took two
    thirds of the unit's time.
    """
    units = state.shape[-1]
    inner = state @ weight
    switch = 0.5 + 0.5 * jax.nn.soft_sign(drive[..., : 2 * units] + inner[..., : 2 * units])
    reset, update = switch[..., :units], switch[..., units:]
    candidate = jax.nn.soft_sign(drive[..., 2 * units :] + reset * inner[..., 2 * units :])
    return update * state + (1 - update) * candidate


class RecognitionNetwork(eqx.Module):
    """Convolutions, a bidirectional GRU and a head, modulated by the recording's summary."""

    first: Convolution
    blocks: tuple[Convolution, ...]
    gru: BidirectionalGRU
    merge: Dense
    last: Convolution
    head: Dense
    summary_hidden: Dense
    modulation: Dense
    config: RecognitionConfig = eqx.field(static=True)

    def __init__(self, config: RecognitionConfig, *, key: PRNGKeyArray):
        keys = iter(jax.random.split(key, 8 + len(config.dilations)))
        c = config.channels
        self.config = config
        self.first = Convolution(N_CHANNELS, c, config.first_width, key=next(keys))
        self.blocks = tuple(Convolution(c, c, config.width, key=next(keys), dilation=d) for d in config.dilations)
        self.gru = BidirectionalGRU(c, config.recurrent, key=next(keys))
        self.merge = Dense(2 * config.recurrent, c, key=next(keys))
        self.last = Convolution(c, c, 5, key=next(keys))
        head = Dense(c, 2, key=next(keys), scale=0.1)
        self.head = eqx.tree_at(lambda d: d.bias, head, jnp.array([-3.0, -2.0]))
        self.summary_hidden = Dense(N_SUMMARY, c, key=next(keys))
        self.modulation = Dense(c, 2 * c * (2 + len(config.dilations)), key=next(keys), scale=0.1)

    def __call__(
        self, channels: Float[Array, "batch time channel"], summary: Float[Array, "batch summary"]
    ) -> CountPosterior:
        """Posterior over spike counts; time must be a multiple of the stride."""
        scales, shifts = self._modulate(summary)

        def block(y: Array, index: int) -> Array:
            return jax.nn.silu(y * scales[:, index, None] + shifts[:, index, None])

        x = block(self.first(channels), 0)
        for index, convolution in enumerate(self.blocks, start=1):
            x = x + block(convolution(x), index)
        x = x + self._context(x)
        x = x + block(self.last(x), len(self.blocks) + 1)
        logit, extra = jnp.moveaxis(self.head(x), -1, 0)
        return CountPosterior(jnp.clip(logit, -12, 12), jax.nn.softplus(extra) + 1e-3)

    def _modulate(self, summary: Float[Array, "batch summary"]) -> tuple[Array, Array]:
        hidden = jax.nn.silu(self.summary_hidden(summary))
        both = self.modulation(hidden).reshape(len(summary), 2, -1, self.config.channels)
        return 1 + both[:, 0], both[:, 1]

    def _context(self, x: Float[Array, "batch time channel"]) -> Float[Array, "batch time channel"]:
        """What the GRU knows, on the coarse grid."""
        batch, time, c = x.shape
        coarse = x.reshape(batch, time // self.config.stride, self.config.stride, c).mean(axis=2)
        context = self.merge(self.gru(coarse))
        return jnp.repeat(context, self.config.stride, axis=1)
