"""The current at the samples of the voltage, where a stimulus has a sampling rate or a beginning of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.errors import InputError

_SLACK_SAMPLES = 0.1
"""How much later than a sample of the response a value of the stimulus may come and still count: times are rounded."""
_SAME_RATE = 1e-4
_RETURNS = 0.05
"""Share of its range by which a command may differ between its beginning and its end and still have returned."""


class Sampling(NamedTuple):
    """When the samples of a series were taken."""

    start_s: float
    rate_hz: float
    n_samples: int

    @property
    def end_s(self) -> float:
        """When the last sample is over."""
        return self.start_s + self.n_samples / self.rate_hz

    def includes(self, time_s: float) -> bool:
        """Whether a time is between the beginning and the end."""
        slack = _SLACK_SAMPLES / self.rate_hz
        return self.start_s - slack <= time_s < self.end_s


def current_at_response(
    values: np.ndarray, stimulus: Sampling, response: Sampling, *, timed: bool, where: str
) -> tuple[np.ndarray, list[str]]:
    """The current (A) at each sample of the response, and notes on what was done.

    A command holds each of its values until the next: the one at or just before a sample of the response counts.
    Where no command is given, the current is the holding current.

    Parameters
    ----------
    values
        Current of the stimulus, A, (n_samples,).
    stimulus, response
        When they were sampled.
    timed
        Whether the starting times of the file's stimuli say when they were given. If not, a stimulus that does not
        start within its response is taken to start with it.
    where
        File and names, for messages.

    Raises
    ------
    InputError
        If the stimulus is given at no time of the response.
    """
    notes = []
    if not timed and not response.includes(stimulus.start_s):
        stimulus = stimulus._replace(start_s=response.start_s)
        notes.append("the starting times of the stimuli do not say when they were given: each starts with its response")
    times = np.arange(response.n_samples) / response.rate_hz + (response.start_s - stimulus.start_s)
    positions = np.floor(times * stimulus.rate_hz + _SLACK_SAMPLES)
    given = (positions >= 0) & (positions < stimulus.n_samples)
    if not given.any():
        raise InputError(
            f"{where}: the stimulus is given from {stimulus.start_s:g} to {stimulus.end_s:g} s, the response recorded"
            f" from {response.start_s:g} to {response.end_s:g} s: they do not overlap. Correct their starting times."
        )
    if abs(stimulus.rate_hz / response.rate_hz - 1) > _SAME_RATE:
        notes.append(
            f"the stimulus has {stimulus.rate_hz:g} Hz and the response {response.rate_hz:g} Hz: each value of the"
            " stimulus is held until the next"
        )
    current = values[np.clip(positions, 0, stimulus.n_samples - 1).astype(np.int64)]
    if not given.all():
        holding = _holding(values)
        current = np.where(given, current, holding)
        notes.append(_padded(given, holding, response.rate_hz))
    return current, notes


def _holding(values: np.ndarray) -> float:
    """The value that a command leaves and returns to; 0 where there is none, as in a command that is only a step."""
    span = np.ptp(values)
    return float(values[0]) if span > 0 and abs(values[-1] - values[0]) <= _RETURNS * span else 0.0


def _padded(given: np.ndarray, holding: float, rate_hz: float) -> str:
    inside = np.flatnonzero(given)
    before, after = int(inside[0]), len(given) - 1 - int(inside[-1])
    parts = [f"{n / rate_hz * 1e3:g} ms {word} it" for n, word in ((before, "before"), (after, "after")) if n]
    source = "that it leaves and returns to" if holding else "no command"
    return (
        f"the stimulus does not cover the sweep: {' and '.join(parts)} are filled with {holding * 1e12:g} pA, {source}"
    )
