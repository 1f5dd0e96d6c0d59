"""What a generative model is known again by, on any machine: what it makes of spikes, and what it holds."""

from __future__ import annotations

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.spikes.generative.base import AbstractGenerativeModel

_SPIKES = {8: 1, 20: 1, 21: 1, 36: 3, 37: 2}
"""Counts by frame: isolated ones, and others that a nonlinear or refractory model answers otherwise."""
_N_FRAMES, _STEPS_S = 64, (0.05, 0.005)
_SUMMED = (10, 14, 20, 24, 32, 40, 50, 64)
"""First frames of a trace, of which the sums tell when it answers."""


def describe_model(model: AbstractGenerativeModel, n_cells: int) -> list[str]:
    """A few words of each thing that its fluorescence depends on: class, fields that are no arrays, values, code.

    The code of a model of one's own is told by when it answers, too.
    """
    spikes = np.zeros((_N_FRAMES, 1, n_cells), np.float32)
    for frame, count in _SPIKES.items():
        spikes[frame] = count
    is_own = not type(model).__module__.startswith("antidrome.")
    traces = [model.fluorescence(jnp.asarray(spikes), step_s) for step_s in (_STEPS_S if is_own else _STEPS_S[:1])]
    fields = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(model)))
    return [type(model).__name__, fields, *rounded((model, traces)), *(map(_timed, traces) if is_own else ())]


def _timed(trace: Any) -> str:
    """When the answer comes: sums from the start to some frames, as shares of the largest; three digits, as below."""
    values = np.nan_to_num(np.asarray(trace, float), posinf=0.0, neginf=0.0).sum(axis=(1, 2))
    sums = np.cumsum(values)[np.array(_SUMMED) - 1]
    shares = sums / (np.abs(sums).max() or 1.0)
    return " ".join(f"{share:.3f}" for share in np.round(shares, 3) + 0.0)


def rounded(values: Any) -> list[str]:
    """Mean and spread of all arrays in something.

    Three digits of each: another machine may differ in the last ones, and goes on all the same.
    """
    arrays = [np.asarray(one, float) for one in jax.tree.leaves(eqx.filter(values, eqx.is_inexact_array))]
    finite = [one[np.isfinite(one)] for one in arrays]
    return [f"{one.mean():.3g} ± {one.std():.3g}" if one.size else "nothing finite" for one in finite]
