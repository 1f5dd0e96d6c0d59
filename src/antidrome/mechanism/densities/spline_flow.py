"""The conditional spline flow: a linear-Gaussian step, then autoregressive rational-quadratic splines.

Neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019) in its autoregressive form: each layer maps u to
z_i = spline_i((u_i − shift_i)·e^(−scale_i)), all parameters of dimension i being functions of u_1…u_{i−1} and of the
features through one masked network (Germain et al. 2015). The step before them is a linear regression of u on the
features with full covariance; it can be started where least squares put it (`linear_start`), and the splines bend
what is left. Beyond ±BOUND the splines are the identity, and the networks see their inputs clipped there and may
shift and widen by so much only: the tails are Gaussian, and no point, however far out, is thrown further by the
dimensions before it.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from antidrome.mechanism.densities.bayesian import Linear
from antidrome.mechanism.densities.linear_step import LinearStep

BOUND = 5.0
SMALLEST_BIN = 1e-3
SMALLEST_SLOPE = 1e-3
NARROWEST = -7.0  # of a dimension given those before it, log of standard deviations of the linear step's residuals
WIDEST = 2.0


def rational_quadratic(
    x: Float[Array, "n D"], raw: Float[Array, "n D P"], *, inverse: bool
) -> tuple[Float[Array, "n D"], Float[Array, "n D"]]:
    """Monotone rational-quadratic spline on [−BOUND, BOUND], the identity outside.

    Parameters
    ----------
    x
        Points.
    raw
        P = 3·bins − 1 unconstrained parameters: widths, heights, inner slopes.
    inverse
        Map backwards.

    Returns
    -------
    The image and the log derivative of the map that was applied, elementwise (Durkan et al. 2019, eqs. 4–8).
    """
    bins = (raw.shape[-1] + 1) // 3
    left, width = _knots(raw[..., :bins])
    bottom, height = _knots(raw[..., bins : 2 * bins])
    inner = SMALLEST_SLOPE + jax.nn.softplus(raw[..., 2 * bins :] + jnp.log(jnp.expm1(1 - SMALLEST_SLOPE)))
    edge = jnp.ones((*raw.shape[:-1], 1), raw.dtype)
    slopes = jnp.concatenate([edge, inner, edge], axis=-1)
    inside = jnp.abs(x) < BOUND
    safe = jnp.where(inside, x, 0.0)
    start = bottom if inverse else left
    here = jax.lax.stop_gradient((safe[..., None] >= start).sum(axis=-1) - 1)
    chosen = jax.nn.one_hot(here, bins, dtype=raw.dtype)

    def pick(values: Array) -> Array:
        return jnp.sum(values * chosen, axis=-1)

    x0, w, y0, h = pick(left), pick(width), pick(bottom), pick(height)
    d0, d1, s = pick(slopes[..., :-1]), pick(slopes[..., 1:]), pick(height / width)
    bend = d0 + d1 - 2 * s
    if inverse:
        y = safe - y0
        a = h * (s - d0) + y * bend
        b = h * d0 - y * bend
        c = -s * y
        root = jnp.sqrt(jnp.maximum(jnp.square(b) - 4 * a * c, 1e-12))
        t = jnp.clip(2 * c / (-b - root), 0.0, 1.0)
        image = x0 + t * w
    else:
        t = (safe - x0) / w
        image = y0 + h * (s * jnp.square(t) + d0 * t * (1 - t)) / (s + bend * t * (1 - t))
    denominator = s + bend * t * (1 - t)
    slope = jnp.square(s) * (d1 * jnp.square(t) + 2 * s * t * (1 - t) + d0 * jnp.square(1 - t))
    log_slope = jnp.log(slope) - 2 * jnp.log(denominator)
    log_slope = -log_slope if inverse else log_slope
    return jnp.where(inside, image, x), jnp.where(inside, log_slope, 0.0)


def _knots(raw: Float[Array, "n D bins"]) -> tuple[Float[Array, "n D bins"], Float[Array, "n D bins"]]:
    """Left edges and sizes of bins that fill [−BOUND, BOUND]."""
    bins = raw.shape[-1]
    share = SMALLEST_BIN + (1 - SMALLEST_BIN * bins) * jax.nn.softmax(raw, axis=-1)
    upper = jnp.asarray(np.triu(np.ones((bins, bins), np.float32), 1))
    return 2 * BOUND * (share @ upper) - BOUND, 2 * BOUND * share


def _bounded(raw: Float[Array, "n D"], lowest: float, highest: float) -> Float[Array, "n D"]:
    """The identity near zero, saturating at the two limits (lowest < 0 < highest)."""
    limit = jnp.where(raw > 0, highest, -lowest)
    return limit * jnp.tanh(raw / limit)


class FlowContext(NamedTuple):
    """What the density of each row depends on: hidden units, and the mean of the linear step."""

    hidden: Float[Array, "n c"]
    mean: Float[Array, "n D"]


class AutoregressiveLayer(eqx.Module):
    """One masked network with two hidden layers and the transform that it parameterises."""

    first: Linear
    context: Linear
    second: Linear
    context_again: Linear
    last: Linear
    n_dimensions: int = eqx.field(static=True)
    bins: int = eqx.field(static=True)

    def __init__(self, n_dimensions: int, n_context: int, *, hidden: int, bins: int, draw: np.random.Generator) -> None:
        n_out = n_dimensions * (3 * bins + 1)
        self.first = Linear(n_dimensions, hidden, gain=0.7, spread=1.0, draw=draw)
        self.context = Linear(n_context, hidden, gain=0.7, draw=draw)
        self.second = Linear(hidden, hidden, gain=0.7, draw=draw)
        self.context_again = Linear(n_context, hidden, gain=0.5, draw=draw)
        self.last = Linear(hidden, n_out, gain=0.02, draw=draw)
        self.n_dimensions, self.bins = n_dimensions, bins

    def forward(self, u: Float[Array, "n D"], context: Float[Array, "n c"]) -> tuple[Array, Array]:
        """z (n, D) and log |det dz/du| (n,)."""
        shift, log_scale, raw = self._parameters(u, context)
        z, log_slope = rational_quadratic((u - shift) * jnp.exp(-log_scale), raw, inverse=False)
        return z, jnp.sum(log_slope - log_scale, axis=-1)

    def backward(self, z: Float[Array, "n D"], context: Float[Array, "n c"]) -> Float[Array, "n D"]:
        """u of z: dimension after dimension."""

        def fill(_: Array | int, u: Array) -> Array:
            shift, log_scale, raw = self._parameters(u, context)
            return shift + jnp.exp(log_scale) * rational_quadratic(z, raw, inverse=True)[0]

        return jax.lax.fori_loop(0, self.n_dimensions, fill, jnp.zeros_like(z))

    def _parameters(self, u: Array, context: Array) -> tuple[Array, Array, Array]:
        into, within, out = self._masks()
        u = jnp.clip(u, -BOUND, BOUND)
        h = jax.nn.gelu(u @ (self.first.weight * into) + self.first.bias + self.context(context))
        h = h + jax.nn.gelu(h @ (self.second.weight * within) + self.second.bias + self.context_again(context))
        raw = (h @ (self.last.weight * out) + self.last.bias).reshape(u.shape[0], self.n_dimensions, -1)
        shift = _bounded(raw[..., 0], -2 * BOUND, 2 * BOUND)
        log_scale = _bounded(raw[..., 1], NARROWEST, WIDEST)
        return shift, log_scale, raw[..., 2:]

    def _masks(self) -> tuple[Array, Array, Array]:
        """Unit h sees the dimensions before its degree; output i sees the units of degree ≤ i."""
        hidden = self.second.weight.shape[0]
        degree_in = np.arange(1, self.n_dimensions + 1)
        degree = np.arange(hidden) % max(self.n_dimensions, 1)  # 0: features alone
        degree_out = np.repeat(degree_in, 3 * self.bins + 1)
        return (
            jnp.asarray((degree_in[:, None] <= degree[None]).astype(np.float32)),
            jnp.asarray((degree[:, None] <= degree[None]).astype(np.float32)),
            jnp.asarray((degree[:, None] < degree_out[None]).astype(np.float32)),
        )


class SplineFlow(eqx.Module):
    """Features through a residual network to a context; layers of autoregressive splines, the order reversed between.

    Parameters
    ----------
    n_features
        Inputs.
    n_dimensions
        D.
    layers, bins, hidden, n_context
        Transforms, bins of each spline, units of each masked network, width of the context.
    """

    linear: LinearStep
    entry: Linear
    blocks: tuple[Linear, ...]
    transforms: AutoregressiveLayer  # all of them, stacked along a first axis, so that one is compiled
    n_dimensions: int = eqx.field(static=True)

    def __init__(
        self,
        n_features: int,
        n_dimensions: int,
        *,
        layers: int,
        bins: int,
        hidden: int,
        n_context: int,
        draw: np.random.Generator,
    ) -> None:
        self.linear = LinearStep(n_features, n_dimensions)
        self.entry = Linear(n_features, n_context, gain=0.7, spread=1.0, draw=draw)
        self.blocks = tuple(Linear(n_context, n_context, gain=0.5, draw=draw) for _ in range(2))
        each = [
            AutoregressiveLayer(n_dimensions, n_context, hidden=hidden, bins=bins, draw=draw) for _ in range(layers)
        ]
        self.transforms = jax.tree.map(lambda *parts: jnp.asarray(np.stack(parts)), *each)
        self.n_dimensions = n_dimensions

    def condition(self, x: Float[Array, "n k"], key: PRNGKeyArray | None = None) -> FlowContext:
        """The context of each row; nothing is sampled, the key is ignored."""
        h = jax.nn.gelu(self.entry(x))
        for block in self.blocks:
            h = h + jax.nn.gelu(block(h))
        return FlowContext(h, self.linear.mean(x))

    def log_prob(self, u: Float[Array, "n D"], context: FlowContext) -> Float[Array, " n"]:
        """Log density, row by row."""
        arrays, static = eqx.partition(self.transforms, eqx.is_array)

        def step(state: tuple[Array, Array], layer: PyTree) -> tuple[tuple[Array, Array], None]:
            u, total = state
            u, change = eqx.combine(layer, static).forward(u, context.hidden)
            return (u[:, ::-1], total + change), None

        (u, total), _ = jax.lax.scan(step, self.linear.forward(u, context.mean), arrays)
        return total - 0.5 * jnp.sum(jnp.square(u), axis=1) - 0.5 * self.n_dimensions * jnp.log(2 * jnp.pi)

    def sample(self, noise: Float[Array, "n D"], context: FlowContext) -> Float[Array, "n D"]:
        """Standard normal noise to samples, row by row."""
        arrays, static = eqx.partition(self.transforms, eqx.is_array)

        def step(z: Array, layer: PyTree) -> tuple[Array, None]:
            return eqx.combine(layer, static).backward(z[:, ::-1], context.hidden), None

        return self.linear.backward(jax.lax.scan(step, noise, arrays, reverse=True)[0], context.mean)
