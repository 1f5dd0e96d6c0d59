"""Recognition networks for a user's own recording: the paper's factorised and autoregressive posteriors.

Both read (batch, time, channel) inputs and speak of (step, sample, batch) spike counts, the layout of the generative
models. A network is small on purpose: it is trained in minutes on the recording at hand.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from antidrome.spikes.draws import OneOrEach, draw_rows
from antidrome.spikes.recognition import Convolution, Dense
from antidrome.spikes.variational.config import PosteriorConfig
from antidrome.spikes.variational.levels import choose_count, clip_logits
from antidrome.spikes.variational.recurrent import GatedUnit, run, run_sampling

LEAK = 0.2


class Draw(NamedTuple):
    """Samples: counts, their log probability per step, and the log odds behind them ((step, sample, batch, level))."""

    spikes: Float[Array, "step sample batch"]
    log_prob: Float[Array, "step sample batch"]
    logits: Float[Array, "step sample batch level"]


class AbstractPosterior(eqx.Module):
    """q(spikes | fluorescence)."""

    config: eqx.AbstractVar[PosteriorConfig]

    @abstractmethod
    def draw(
        self,
        inputs: Float[Array, "batch time channel"],
        n_samples: int,
        *,
        key: OneOrEach,
        temperature: float | None = None,
    ) -> Draw:
        """Sample spike trains; differentiable in everything but the spikes, and in these too with a temperature.

        The key is one for all, or an array of one for each row of the batch.
        """

    @abstractmethod
    def logits_given(
        self, inputs: Float[Array, "batch time channel"], spikes: Real[Array, "step sample batch"]
    ) -> Float[Array, "step sample batch level"]:
        """Log odds of every step given the trace and the spikes before it."""


class ConvolutionStack(eqx.Module):
    """Convolutions with leaky rectifiers, and a last one without."""

    layers: tuple[Convolution, ...]

    def __init__(self, config: PosteriorConfig, size_in: int, size_out: int, *, key: PRNGKeyArray):
        sizes = (size_in, *config.filters, size_out)
        widths = (*config.widths, config.last_width)
        keys = jax.random.split(key, len(widths))
        self.layers = tuple(
            Convolution(a, b, width, key=k) for a, b, width, k in zip(sizes[:-1], sizes[1:], widths, keys, strict=True)
        )

    def __call__(self, x: Float[Array, "batch time from"]) -> Float[Array, "batch time to"]:
        for layer in self.layers[:-1]:
            x = jax.nn.leaky_relu(layer(x), LEAK)
        return self.layers[-1](x)


class FactorisedPosterior(AbstractPosterior):
    """Convolutions to the log odds of every step."""

    stack: ConvolutionStack
    bias: Float[Array, " level"]
    config: PosteriorConfig = eqx.field(static=True)

    def __init__(self, config: PosteriorConfig, n_channels: int, *, key: PRNGKeyArray):
        self.config = config
        stack = ConvolutionStack(config, n_channels, config.superresolution * config.max_count, key=key)
        self.stack = _quiet(stack)
        self.bias = jnp.full(config.max_count, -3.0)

    def logits(self, inputs: Float[Array, "batch time channel"]) -> Float[Array, "step batch level"]:
        """Log odds of every step; they depend on the trace alone."""
        x = _to_steps(self.stack(inputs), self.config.superresolution)
        return clip_logits(x + self.bias)

    def draw(
        self,
        inputs: Float[Array, "batch time channel"],
        n_samples: int,
        *,
        key: OneOrEach,
        temperature: float | None = None,
    ) -> Draw:
        """See `AbstractPosterior.draw`."""
        logits = self.logits(inputs)[:, None]
        shape = (logits.shape[0], n_samples, *logits.shape[2:])
        spikes, log_prob = choose_count(
            logits, draw_rows(jax.random.uniform, key, shape, logits.dtype, axis=2), temperature
        )
        return Draw(spikes, log_prob, jnp.broadcast_to(logits, shape))

    def logits_given(
        self, inputs: Float[Array, "batch time channel"], spikes: Real[Array, "step sample batch"]
    ) -> Float[Array, "step sample batch level"]:
        """See `AbstractPosterior.logits_given`."""
        logits = self.logits(inputs)
        return jnp.broadcast_to(logits[:, None], (*spikes.shape, logits.shape[-1]))


class AutoregressivePosterior(AbstractPosterior):
    """Convolutions, a GRU backwards over the trace, a GRU forwards that sees the spikes drawn so far."""

    stack: ConvolutionStack
    backward: GatedUnit
    forward: GatedUnit
    spike_weight: Float[Array, " gates"]
    from_state: Dense
    from_inputs: Dense
    config: PosteriorConfig = eqx.field(static=True)

    def __init__(self, config: PosteriorConfig, n_channels: int, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 6)
        self.config = config
        self.stack = ConvolutionStack(config, n_channels, config.superresolution * config.features, key=keys[0])
        size = config.features + n_channels
        self.backward = GatedUnit(size, config.units, key=keys[1])
        self.forward = GatedUnit(size + config.units, config.units, key=keys[2])
        self.spike_weight = jax.random.normal(keys[3], (3 * config.units,)) / jnp.sqrt(config.units)
        self.from_state = Dense(config.units, config.max_count, key=keys[4], scale=0.3)
        from_inputs = Dense(size + config.units, config.max_count, key=keys[5], scale=0.1)
        self.from_inputs = eqx.tree_at(lambda d: d.bias, from_inputs, jnp.full(config.max_count, -4.0))

    def drive(self, inputs: Float[Array, "batch time channel"]) -> tuple[Array, Array]:
        """What does not depend on spikes: input of the forward GRU's gates and of the log odds, (step, batch, …)."""
        steps = self.config.superresolution
        features = jax.nn.leaky_relu(_to_steps(self.stack(inputs), steps), LEAK)
        trace = jnp.repeat(jnp.moveaxis(inputs, 1, 0), steps, axis=0)
        read = jnp.concatenate([features, trace], axis=-1)
        context = run(self.backward, self.backward.input_map(read), reverse=True)
        read = jnp.concatenate([read, context], axis=-1)
        return self.forward.input_map(read), self.from_inputs(read)

    def draw(
        self,
        inputs: Float[Array, "batch time channel"],
        n_samples: int,
        *,
        key: OneOrEach,
        temperature: float | None = None,
    ) -> Draw:
        """See `AbstractPosterior.draw`."""
        gates, odds = self.drive(inputs)
        shape = (gates.shape[0], n_samples, gates.shape[1], self.config.max_count)
        uniform = draw_rows(jax.random.uniform, key, shape, gates.dtype, axis=2)
        choose = partial(choose_count, temperature=temperature)
        return Draw(*run_sampling(self.forward, self.spike_weight, self.from_state, gates, odds, uniform, choose))

    def logits_given(
        self, inputs: Float[Array, "batch time channel"], spikes: Real[Array, "step sample batch"]
    ) -> Float[Array, "step sample batch level"]:
        """See `AbstractPosterior.logits_given`."""
        gates, odds = self.drive(inputs)
        before = jnp.concatenate([jnp.zeros_like(spikes[:1]), spikes[:-1]]).astype(gates.dtype)
        states = run(self.forward, gates[:, None] + before[..., None] * self.spike_weight)
        return clip_logits(odds[:, None] + self.from_state(states))


def make_posterior(config: PosteriorConfig, n_channels: int, *, key: PRNGKeyArray) -> AbstractPosterior:
    """The network that a configuration describes."""
    kind = {"factorised": FactorisedPosterior, "autoregressive": AutoregressivePosterior}[config.kind]
    return kind(config, n_channels, key=key)


def _to_steps(x: Float[Array, "batch time many"], steps: int) -> Float[Array, "step batch each"]:
    """Split the channels over the steps of a frame; time first."""
    batch, time, many = x.shape
    return jnp.moveaxis(x.reshape(batch, time * steps, many // steps), 1, 0)


def _quiet(stack: ConvolutionStack) -> ConvolutionStack:
    """Begin with log odds close to their bias."""
    return eqx.tree_at(lambda s: s.layers[-1].weight, stack, 0.1 * stack.layers[-1].weight)
