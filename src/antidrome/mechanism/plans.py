"""The methods by name, and the settings that make each what it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.densities.network import DensitySettings, FlowSettings, MixtureSettings
from antidrome.mechanism.training import Loss, TrainingSettings
from antidrome.mechanism.weights import KernelSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the rounds of a fit go.

    Parameters
    ----------
    n_rounds
        Rounds of simulating and training.
    proposal
        Where later rounds simulate: "posterior" of the round before; "truncated" prior; "robust", a mixture of both
        and of the prior; "prior".
    weighting
        "round": p/p̃ of this round (the paper); "mixture": against all rounds' proposals; "none".
    reuse
        Train on the simulations of all rounds.
    loss
        "direct" (weighted log density) or "atomic" (SNPE-C).
    density
        Mixture or flow.
    kernel
        Calibration kernel.
    training
        Training of each round.
    n_networks
        Members of the ensemble.
    defensive
        Share of the prior in the proposals of later rounds.
    degrees
        Mixture components become Student t with these degrees of freedom in proposals; None keeps Gaussians.
    """

    n_rounds: int
    proposal: Literal["prior", "posterior", "truncated", "robust"]
    weighting: Literal["none", "round", "mixture"]
    reuse: bool
    loss: Loss
    density: DensitySettings
    kernel: KernelSettings
    training: TrainingSettings
    n_networks: int = 1
    defensive: float = 0.0
    degrees: float | None = None

    def __post_init__(self) -> None:
        if self.n_rounds < 1 or self.n_networks < 1 or not 0 <= self.defensive < 1:
            raise InputError(
                f"{self.n_rounds} rounds, {self.n_networks} networks, defensive {self.defensive}: not possible."
            )
        if self.loss == "atomic" and self.kernel.shape != "none":
            raise InputError("A calibration kernel biases the atomic loss (SNPE-C); use KernelSettings(shape='none').")


_TRUNCATED = Plan(
    n_rounds=5,
    proposal="truncated",
    weighting="mixture",
    reuse=True,
    loss="direct",
    density=FlowSettings(),
    kernel=KernelSettings(shape="none"),
    training=TrainingSettings(),
)

METHODS: dict[str, Plan] = {
    "default": dataclasses.replace(_TRUNCATED, training=TrainingSettings(drops=2), n_networks=2),
    "weighted": dataclasses.replace(_TRUNCATED, proposal="robust", kernel=KernelSettings(), defensive=0.1),
    "snpe-b": Plan(
        n_rounds=5,
        proposal="posterior",
        weighting="round",
        reuse=False,
        loss="direct",
        density=MixtureSettings(components=4, hidden=(50, 50), bayesian=True),
        kernel=KernelSettings(share=0.4),
        training=TrainingSettings(epochs=200, batch=100, learning_rate=2e-3, validation=0.0),
        defensive=0.1,
        degrees=3.0,
    ),
    "tsnpe": _TRUNCATED,
    "snpe-c": dataclasses.replace(_TRUNCATED, proposal="posterior", weighting="none", loss="atomic"),
    "npe": dataclasses.replace(_TRUNCATED, n_rounds=1, proposal="prior", weighting="none"),
}

FLOW_WORK = "durkan2019"
CITATIONS = {
    "default": ("lueckmann2017", "deistler2022", "durkan2019"),
    "weighted": ("lueckmann2017", "deistler2022", "durkan2019"),
    "snpe-b": ("lueckmann2017",),
    "tsnpe": ("deistler2022", "durkan2019"),
    "snpe-c": ("greenberg2019", "durkan2019"),
    "npe": ("papamakarios2016", "durkan2019"),
}


def plan_for(method: str, **changes: object) -> Plan:
    """The plan of a method; entries of `changes` that are not None replace its own.

    Raises
    ------
    InputError
        There is no such method, or the settings do not go together.
    """
    if method not in METHODS:
        raise InputError(
            f"There is no method {method!r}.{did_you_mean(str(method), METHODS)} There are: {', '.join(METHODS)}."
        )
    return dataclasses.replace(METHODS[method], **{k: v for k, v in changes.items() if v is not None})
