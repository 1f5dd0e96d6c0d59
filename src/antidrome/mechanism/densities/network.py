"""A conditional density q(u | x): embedding of the features, and a mixture network or a flow behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.errors import InputError
from antidrome.mechanism.densities.embedding import Embedding, TraceFeatures
from antidrome.mechanism.densities.mixture_network import MixtureNetwork
from antidrome.mechanism.densities.spline_flow import SplineFlow


@dataclass(frozen=True, kw_only=True)
class MixtureSettings:
    """A mixture of Gaussians with full covariances.

    Parameters
    ----------
    components
        Largest number of components.
    first_components
        Components in the first rounds; all when not given. The others join in the last round.
    hidden
        Units of the hidden layers.
    bayesian
        Gaussian weights, with the divergence to those of the round before in the loss.
    prior_precision
        λ: in the first round the weights are drawn towards N(0, 1/λ).
    tempering
        Factor on the divergence in later rounds; below 1 the network stays ready to learn.
    prune_below
        Components that weigh less at the observation are retired after each round.
    """

    components: int = 8
    first_components: int | None = None
    hidden: tuple[int, ...] = (50, 50)
    bayesian: bool = False
    prior_precision: float = 0.01
    tempering: float = 1.0
    prune_below: float = 0.0

    def __post_init__(self) -> None:
        if self.components < 1 or not self.hidden or min(self.hidden) < 1 or self.prior_precision <= 0:
            raise InputError(f"{self}: sizes and prior_precision need to be positive.")
        if not 1 <= (self.first_components or 1) <= self.components:
            raise InputError(f"{self}: first_components needs to lie between 1 and components.")
        if not 0 <= self.tempering <= 1 or not 0 <= self.prune_below < 1:
            raise InputError(f"{self}: tempering needs to lie in [0, 1], prune_below in [0, 1).")


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """Autoregressive rational-quadratic splines.

    Parameters
    ----------
    layers
        Transforms.
    bins
        Bins of each spline.
    hidden
        Units of each masked network.
    context
        Units of the network from features to context.
    """

    layers: int = 3
    bins: int = 8
    hidden: int = 64
    context: int = 64

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden, self.context) < 1 or not 2 <= self.bins <= 100:
            raise InputError(f"{self}: sizes need to be positive, bins between 2 and 100.")


DensitySettings = MixtureSettings | FlowSettings


class DensityNetwork(eqx.Module):
    """q(u | x), with gaps (NaN) in x allowed.

    Made by `density_network`; both parts have `condition` and `log_prob`, the second does the rest.
    """

    embedding: Embedding
    body: MixtureNetwork | SplineFlow

    @property
    def n_dimensions(self) -> int:
        """D."""
        return self.body.n_dimensions

    def condition(self, x: Float[Array, "n k"], key: PRNGKeyArray | None = None) -> Any:
        """What the density of each row depends on; with a key Bayesian weights are sampled."""
        return self.body.condition(self.embedding(x), key)

    def log_prob(self, u: Float[Array, "n D"], context: Any) -> Float[Array, " n"]:
        """Log density of each row, given its context."""
        return self.body.log_prob(u, context)


def density_network(
    settings: DensitySettings,
    n_features: int,
    n_dimensions: int,
    *,
    mask: bool = False,
    trace: TraceFeatures | None = None,
    draw: np.random.Generator,
) -> DensityNetwork:
    """A fresh network.

    Parameters
    ----------
    settings
        Mixture or flow.
    n_features, n_dimensions
        Inputs and dimensions of the density.
    mask
        Hand the network which features are missing.
    trace
        Learned features of traces.
    draw
        Initial weights come from it.
    """
    embedding = Embedding(n_features, mask=mask, trace=trace, draw=draw)
    body: MixtureNetwork | SplineFlow
    if isinstance(settings, MixtureSettings):
        body = MixtureNetwork(
            embedding.n_outputs,
            n_dimensions,
            components=settings.components,
            hidden=settings.hidden,
            bayesian=settings.bayesian,
            n_active=settings.first_components,
            draw=draw,
        )
    else:
        body = SplineFlow(
            embedding.n_outputs,
            n_dimensions,
            layers=settings.layers,
            bins=settings.bins,
            hidden=settings.hidden,
            n_context=settings.context,
            draw=draw,
        )
    return DensityNetwork(embedding, body)
