"""What every generative model is: a module that turns spikes into fluorescence, with declared parameters.

**Your own model** is a class of three parts: fields declared with `parameter`, and one method::

    class Sublinear(AbstractGenerativeModel):
        amplitude: Array = parameter("positive")        # one value a cell
        decay_s: Array = parameter("positive")
        baseline: Array = parameter()
        exponent: Array = parameter("positive", shared=True)   # one value for all cells

        def fluorescence(self, spikes, step_s):
            calcium = decay_filter(spikes, jnp.exp(-step_s / self.decay_s))
            return self.amplitude * calcium**self.exponent + self.baseline

The declared support lets gradient methods move freely (`to_unconstrained`, `from_unconstrained`); ``shared`` tells
which parameters are not one value a cell (`take_cells`). ``fluorescence`` may be anything that JAX differentiates: time
is the first axis, the cell is the last, axes between are posterior samples. Fields that are no arrays (sizes,
functions) are declared with ``eqx.field(static=True)`` and left alone.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from antidrome.recordings.arguments import one_of

Support = Literal["real", "positive", "above one", "unit"]
Module = TypeVar("Module", bound=eqx.Module)

_SUPPORTS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "real": (lambda x: x, lambda u: u),
    "positive": (jnp.log, jnp.exp),
    "above one": (lambda x: jnp.log(x - 1), lambda u: 1 + jnp.exp(u)),
    "unit": (lambda x: jnp.log(x) - jnp.log1p(-x), jax.nn.sigmoid),
}


def parameter(support: Support = "real", *, shared: bool = False) -> Any:
    """Declare a parameter of a generative model.

    Parameters
    ----------
    support
        Values it can take: "real", "positive", "above one" or "unit" (between 0 and 1). A value on the border of its
        support (a rise time of 0) stays there when the others are fitted.
    shared
        True for what is common to all cells.
    """
    one_of("support", support, tuple(_SUPPORTS))
    return eqx.field(metadata={"support": support, "shared": shared})


class AbstractGenerativeModel(eqx.Module):
    """What turns spikes into fluorescence; one parameter value per cell."""

    @abstractmethod
    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """Noiseless ΔF/F (fraction) at the end of each grid step of ``step_s`` seconds."""


def to_unconstrained(module: Module) -> Module:
    """The module with every parameter mapped to the real line; undone by `from_unconstrained`."""
    return map_parameters(module, lambda x, field: _SUPPORTS[field.get("support", "real")][0](x))


def from_unconstrained(module: Module) -> Module:
    """The module in physical units from its unconstrained twin; differentiable."""
    return map_parameters(module, lambda u, field: _SUPPORTS[field.get("support", "real")][1](u))


def take_cells(module: Module, cells: Int[Array, " row"]) -> Module:
    """The module for the given cells, one row each (cells may repeat); shared parameters stay whole."""
    return map_parameters(module, lambda x, field: x if field.get("shared") else x[..., cells])


def named_parameters(module: eqx.Module, prefix: str = "") -> dict[str, tuple[np.ndarray, bool]]:
    """Every parameter by dotted name: its values and whether it is shared."""
    found: dict[str, tuple[np.ndarray, bool]] = {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name, None)
        if isinstance(value, eqx.Module):
            found |= named_parameters(value, f"{prefix}{field.name}.")
        elif eqx.is_array(value):
            found[prefix + field.name] = (np.asarray(value), bool(field.metadata.get("shared")))
    return found


def map_parameters(module: Module, change: Callable[[Array, Any], Array]) -> Module:
    """The module with `change(values, metadata)` applied to every array field, through nested modules."""
    names, values = [], []
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if isinstance(value, eqx.Module):
            value = map_parameters(value, change)
        elif eqx.is_inexact_array(value):
            value = change(value, field.metadata)
        else:
            continue
        names.append(field.name)
        values.append(value)
    if not names:
        return module
    return eqx.tree_at(lambda m: [getattr(m, name) for name in names], module, values)
