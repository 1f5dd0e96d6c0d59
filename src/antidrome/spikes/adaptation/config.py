"""Settings of the adaptation."""

from __future__ import annotations

from dataclasses import dataclass

from antidrome.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AdaptationConfig:
    """How far the network may move, and by what it is led.

    Parameters
    ----------
    steps, batch, learning_rate
        Of the gradient steps; AdamW with averaged weights.
    matched, wide, real
        Shares of a batch: simulations of the described cells, simulations over wide ranges, real windows.
    consistency
        Weight of what the start said about real windows.
    supervised
        Weight in sampling of real windows with known spikes, against the other real ones.
    simulated_cells
        Simulated cells to learn from, about: they are made 32 at once, at least as many for every recording.
    pooling
        Weight of the preparation's mean in the summary of every cell: cells of one recording share an indicator. Used
        where there are at least four cells.
    mixtures
        How far to go from the start to the adapted weights; the best by the criteria is kept.
    gain
        Least improvement of the correlation on matched simulations.
    patience
        Evaluations without improvement that end the steps (0: never).
    """

    steps: int = 80
    batch: int = 16
    learning_rate: float = 5e-4
    matched: float = 0.5
    wide: float = 0.2
    real: float = 0.3
    consistency: float = 1.0
    supervised: float = 4.0
    simulated_cells: int = 128
    pooling: float = 0.4
    mixtures: tuple[float, ...] = (0.25,)
    gain: float = 0.002
    patience: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.simulated_cells) < 1 or self.learning_rate <= 0:
            raise InputError("steps, batch and simulated_cells need to be 1 or more, and learning_rate above 0.")
        if not 0 <= self.pooling <= 1:
            raise InputError(f"pooling is {self.pooling}; expected a weight between 0 and 1.")
        if min(self.matched, self.wide, self.real) < 0 or self.matched + self.wide + self.real <= 0:
            raise InputError("The shares matched, wide and real need to be 0 or more, and one of them above 0.")
