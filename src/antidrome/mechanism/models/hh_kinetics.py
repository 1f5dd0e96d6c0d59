r"""The Hodgkin–Huxley membrane of Pospischil et al. (2008): rates, and one time step for many cells at once.

.. math::
    C \dot V = g_l (E_l - V) + g_{Na} m^3 h (E_{Na} - V) + g_K n^4 (E_K - V) + g_M p (E_K - V) + I + \sigma\,\xi(t)

with :math:`\dot q = \alpha_q(V)(1-q) - \beta_q(V) q` for m, h and n, and for p
:math:`\dot p = (p_\infty(V) - p)/\tau_p(V)`; with :math:`u = V - V_T`:

    α_m = 0.32 (u-13) / (1 - e^{-(u-13)/4})        β_m = 0.28 (u-40) / (e^{(u-40)/5} - 1)
    α_h = 0.128 e^{-(u-17)/18}                     β_h = 4 / (1 + e^{-(u-40)/5})
    α_n = 0.032 (u-15) / (1 - e^{-(u-15)/5})       β_n = k₁ e^{-(u-10)/k₂}
    p_∞ = 1 / (1 + e^{-(V+35)/10})                 τ_p = τ_max / (3.3 e^{(V+35)/20} + e^{-(V+35)/20})

Units: mV, ms, µA/cm², mS/cm², C = 1 µF/cm².

The step is exponential Euler: first V with the gates held, then the gates at the new V. It is written for speed. All
exponentials whose exponents are multiples of u/40 are powers of one; the decay factor e^{-z} of a step is its
[2/2] Padé approximant, which is positive and below 1 for every z > 0 and off by z⁵/720 (z < 1 at a step of 0.025 ms).
Noise is drawn by a counter-based hash as the sum of four bytes (variance 1), enough for a weak Euler scheme, for which
only the first moments of the increments matter (Kloeden & Platen 1992, §14.1).

References
----------
Pospischil et al. (2008), Minimal Hodgkin–Huxley type models for different classes of cortical and thalamic neurons,
Biological Cybernetics 99:427.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

CAPACITANCE_UF_CM2 = 1.0


class Membrane(NamedTuple):
    """Parameters of the cells: (n,) arrays, or scalars where all cells share a value."""

    g_na: Array
    g_k: Array
    g_leak: Array
    g_m: Array
    e_na: Array
    e_k: Array
    e_leak: Array
    v_t: Array
    tau_max: Array
    k_beta_n1: Array
    k_beta_n2: Array
    noise: Array


class State(NamedTuple):
    """Voltage (mV) and gates, each (n,)."""

    v: Float[Array, " n"]
    m: Float[Array, " n"]
    h: Float[Array, " n"]
    n: Float[Array, " n"]
    p: Float[Array, " n"]


class Rates(NamedTuple):
    """Opening rates and sums of opening and closing rates of the gates, 1/ms."""

    alpha_m: Array
    sum_m: Array
    alpha_h: Array
    sum_h: Array
    alpha_n: Array
    sum_n: Array
    alpha_p: Array
    sum_p: Array


def rates(v: Array, membrane: Membrane, usual_k: bool) -> Rates:
    """All rates at voltage v; ``usual_k`` says that k₂ is 40 mV in every cell, which saves an exponential."""
    u = v - membrane.v_t
    q = jnp.exp((u - 40) * np.float32(1 / 40))
    q2 = q * q
    q4 = q2 * q2
    e5 = q4 * q4
    e4 = e5 * q2
    u_m, e_m = u - 13, e4 * np.float32(np.exp(27 / 4))
    alpha_m = jnp.where(jnp.abs(u_m) < 0.04, 1.28 + 0.16 * u_m, 0.32 * u_m * e_m / _not_zero(e_m - 1))
    u_40 = u - 40
    beta_m = jnp.where(jnp.abs(u_40) < 0.04, 1.4 - 0.14 * u_40, 0.28 * u_40 / _not_zero(e5 - 1))
    u_n, e_n = u - 15, e5 * np.float32(np.exp(5))
    alpha_n = jnp.where(jnp.abs(u_n) < 0.04, 0.16 + 0.016 * u_n, 0.032 * u_n * e_n / _not_zero(e_n - 1))
    if usual_k:
        beta_n = membrane.k_beta_n1 * np.float32(np.exp(-30 / 40)) / q
    else:
        beta_n = membrane.k_beta_n1 * jnp.exp((10 - u) / membrane.k_beta_n2)
    alpha_h = 0.128 * jnp.exp((17 - u) * np.float32(1 / 18))
    beta_h = 4 * e5 / (1 + e5)
    s = jnp.exp((v + 35) * np.float32(1 / 20))
    s2 = s * s
    rate_p = (3.3 * s2 + 1) / (s * membrane.tau_max)
    alpha_p = s2 / (1 + s2) * rate_p
    return Rates(alpha_m, alpha_m + beta_m, alpha_h, alpha_h + beta_h, alpha_n, alpha_n + beta_n, alpha_p, rate_p)


def steady_state(v: Array, membrane: Membrane) -> State:
    """The state of a cell that has been at voltage v for long."""
    at = rates(v, membrane, usual_k=False)
    return State(v, at.alpha_m / at.sum_m, at.alpha_h / at.sum_h, at.alpha_n / at.sum_n, at.alpha_p / at.sum_p)


def step(state: State, membrane: Membrane, current: Array, noise: Array, dt: float, usual_k: bool) -> State:
    """The state ``dt`` ms later; ``noise`` is the noise current of this step, µA/cm²."""
    conductance_na = membrane.g_na * state.m * state.m * state.m * state.h
    n2 = state.n * state.n
    conductance_k = membrane.g_k * n2 * n2 + membrane.g_m * state.p
    total = conductance_na + conductance_k + membrane.g_leak
    drive = conductance_na * membrane.e_na + conductance_k * membrane.e_k + membrane.g_leak * membrane.e_leak
    v = _relax(state.v, drive + current + noise, total, dt / CAPACITANCE_UF_CM2)
    at = rates(v, membrane, usual_k)
    return State(
        v,
        _relax(state.m, at.alpha_m, at.sum_m, dt),
        _relax(state.h, at.alpha_h, at.sum_h, dt),
        _relax(state.n, at.alpha_n, at.sum_n, dt),
        _relax(state.p, at.alpha_p, at.sum_p, dt),
    )


def noise_of_step(words: UInt32[Array, "n 2"], number: UInt32[Array, ""]) -> Float[Array, " n"]:
    """Independent noise, mean 0 and variance 1, of one step in each cell, from the two words of the cell's key."""
    x = words[:, 0] + number * np.uint32(0x9E3779B9)
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = ((x ^ (x >> 15)) + words[:, 1]) * np.uint32(0x846CA68B)
    x = x ^ (x >> 16)
    total = (x & 255) + ((x >> 8) & 255) + ((x >> 16) & 255) + (x >> 24)
    return (total.astype(jnp.float32) - 510.0) * np.float32(1 / np.sqrt(4 * (256**2 - 1) / 12))


def _relax(value: Array, gain: Array, rate: Array, dt: float) -> Array:
    """Solution of dy/dt = gain - rate·y after dt, with e^{-z} ≈ (1 - z/2 + z²/12) / (1 + z/2 + z²/12)."""
    z = np.float32(dt) * rate
    return value + np.float32(dt) * (gain - rate * value) / (1 + z * (0.5 + z * np.float32(1 / 12)))


def _not_zero(x: Array) -> Array:
    return jnp.where(x == 0, 1.0, x)
