"""Untrained twins: the same architecture with fresh weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.core.seeds import fold_in, generator
from antidrome.dimension.networks.steps import framework_of
from antidrome.errors import InputError
from antidrome.recordings.arguments import listing


def untrained(network: Any, *, seed: int = 0, initialise: Callable[[Any], None] | None = None) -> Any:
    """Return a copy of a network with freshly drawn weights, as if it had never been trained.

    PyTorch modules are reset by their own `reset_parameters`, which also sets batch statistics back to mean 0 and
    variance 1. In Equinox modules matrices and kernels are redrawn (normal, variance 2/fan-in), vectors named `weight`
    become one, other vectors zero.

    Parameters
    ----------
    network
        `torch.nn.Module` or `equinox.Module`; it stays as it is.
    seed
        Seed of the weights.
    initialise
        For PyTorch, called with each submodule after the reset, for networks that start from other weights than
        PyTorch's defaults (`lambda m: torch.nn.init.kaiming_normal_(m.weight) if isinstance(m, torch.nn.Conv2d) …`).

    Raises
    ------
    InputError
        A network of another kind, weights that nothing resets (neither their submodule nor `initialise`), or, in
        Equinox modules, complex ones.

    Notes
    -----
    Two untrained twins differ as two seeds do; use several.
    """
    framework = framework_of(network)
    if framework == "torch":
        return _untrained_torch(network, seed, initialise)
    if framework == "equinox":
        return _untrained_equinox(network, seed)
    raise InputError(
        f"An untrained twin of a {type(network).__name__} cannot be made; give a torch.nn.Module or an equinox.Module."
    )


def _untrained_torch(network: Any, seed: int, initialise: Callable[[Any], None] | None) -> Any:
    import torch

    twin = copy.deepcopy(network)
    before = {name: parameter.detach().clone() for name, parameter in twin.named_parameters()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for parameter in twin.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.fill_(float("nan"))  # what nobody sets is told by it
        torch.manual_seed(fold_in(seed, "dimension/controls/untrained"))
        for module in twin.modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if reset is not None:
                reset()
            elif initialise is None and module._parameters and any(p is not None for p in module._parameters.values()):
                raise InputError(
                    f"{type(module).__name__} has parameters of its own and no reset_parameters; give initialise=, a"
                    " function that is called with each submodule and sets its weights."
                )
            if initialise is not None:
                initialise(module)
    kept = [
        name
        for name, parameter in twin.named_parameters()
        if bool(parameter.isnan().any()) or (parameter.ndim >= 2 and torch.equal(parameter, before[name]))
    ]
    if kept:
        raise InputError(
            f"The weights {listing(kept)} would still be those of the trained network; initialise= has to set them."
        )
    return twin


def _untrained_equinox(network: Any, seed: int) -> Any:
    import jax

    draw = generator(seed, "dimension/controls/untrained")

    def fresh(path: Any, leaf: Any) -> Any:
        if not hasattr(leaf, "dtype") or not jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact):
            return leaf
        if jax.numpy.issubdtype(leaf.dtype, jax.numpy.complexfloating):
            raise InputError(f"{jax.tree_util.keystr(path)} is complex; it cannot be drawn anew.")
        if leaf.ndim >= 2:
            fan_in = max(1, int(np.prod(leaf.shape[1:])))
            values = draw.standard_normal(leaf.shape) * np.sqrt(2 / fan_in)
        else:
            values = np.full(leaf.shape, float(getattr(path[-1], "name", "") == "weight"))
        return jax.numpy.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fresh, network)
