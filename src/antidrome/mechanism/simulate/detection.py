"""What a user's function is like, found out by a few calls: features, time of a call, whether it takes batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import simulation_seeds
from antidrome.mechanism.simulate.python_call import Reply

N_TRIES = 20
N_BATCH = 8
SLOW_S = 5.0
Replies = Callable[[np.ndarray, np.ndarray, bool], list[Reply]]


@dataclass(frozen=True)
class Found:
    """The form of a simulator: names and units of features, batched or not, seconds of one call."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    batched: bool
    seconds: float


def find_form(replies: Replies, theta: np.ndarray, batched: bool | None, names: tuple[str, ...] | None = None) -> Found:
    """Try a function at rows of ``theta``; ``names`` are the features where all of these fail, if the user gave any.

    A function counts as batched only if one call with many equal rows gives as many rows of features, and rows that
    differ wherever two single calls with different seeds differ: a function that draws its noise once for all rows
    would otherwise give simulations that share it.

    Raises
    ------
    InputError
        If no call gives features; with the first traceback.
    """
    seeds = simulation_seeds(0, 2 * N_TRIES)
    single: tuple[Reply, int, float] | None = None
    first_failure: Reply | None = None
    if not batched:
        for i in range(min(N_TRIES, len(theta))):
            start = time.perf_counter()
            reply = replies(theta[i : i + 1], seeds[i : i + 1], False)[0]
            if reply[0] == "values":
                single = (reply, i, time.perf_counter() - start)
                break
            first_failure = first_failure or reply
            if reply[1] == "timeout" and i >= 2:
                break
    if single is not None:
        reply, row, seconds = single
        alike = batched is None and seconds < SLOW_S and _takes_batches(replies, theta[row], seeds, reply)
        return Found(reply[1], reply[2], alike, seconds)
    if batched is not False:
        for rows in (theta[:N_BATCH], *(theta[i : i + 1] for i in range(min(N_TRIES, len(theta))))):
            start = time.perf_counter()
            reply = replies(rows, seeds[: len(rows)], True)[0]
            if reply[0] == "values":
                return Found(reply[1], reply[2], True, time.perf_counter() - start)
            first_failure = first_failure or reply
    if names is not None:
        return Found(names, ("",) * len(names), bool(batched), 0.0)
    assert first_failure is not None
    raise InputError(
        f"The simulator failed at each of the first {min(N_TRIES, len(theta))} parameter sets, so its features are"
        f" not known: {first_failure[2]}. Give feature_names=… if failures are this common.\n{first_failure[3]}"
    )


def _takes_batches(replies: Replies, theta: np.ndarray, seeds: np.ndarray, single: Reply) -> bool:
    """Whether a call with equal rows gives rows that are like single calls, and independent of one another."""
    many = replies(np.tile(theta, (N_BATCH, 1)), seeds[:N_BATCH], True)[0]
    if many[0] != "values" or many[3].shape != (N_BATCH, len(single[3])) or many[1] != single[1]:
        return False
    other = replies(theta[None], seeds[-1:], False)[0]
    if other[0] != "values":
        return False
    random = ~_equal(other[3], single[3])
    same = _equal(many[3], many[3][:1]).all(axis=0)
    if (random & same).any():
        return False
    return bool(_equal(many[3][0], single[3])[~random].all())


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isclose(a, b, rtol=1e-9, atol=0, equal_nan=True)
