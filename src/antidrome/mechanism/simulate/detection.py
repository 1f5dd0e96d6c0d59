"""What a user's function is like, found out by a few calls: features, time of a call, whether it takes batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import simulation_seeds
from antidrome.mechanism.simulate.outputs import is_unnamed, part_of
from antidrome.mechanism.simulate.python_call import Reply

N_TRIES = 20
SIZES = (11, 13, 17)
"""Of the batches that are tried: the first that is neither the number of parameters nor that of features, so that
columns are not taken for rows."""
SLOW_S = 2.0
WARM_TRIES = 2
TRYING_S = 10.0
TIMEOUTS = 3
"""So many calls that run into the time limit are waited for; with 300 s each, more would be hours without a word."""
Replies = Callable[[np.ndarray, np.ndarray, bool], list[Reply]]


@dataclass(frozen=True)
class Found:
    """The form of a simulator: names and units of features, batched or not, seconds of one call."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    batched: bool
    seconds: float

    def in_order_of(self, names: tuple[str, ...] | None) -> Found:
        """The same, with its features in the order of these names, if its own are among these."""
        of_some = names is not None and set(self.names) < set(names) and not is_unnamed(self.names)
        if names is None or not (of_some or sorted(names) == sorted(self.names)):
            return self
        units = dict(zip(self.names, self.units, strict=True))
        return replace(self, names=names, units=tuple(units.get(name, "") for name in names))


def find_form(replies: Replies, theta: np.ndarray, batched: bool | None, names: tuple[str, ...] | None = None) -> Found:
    """Try a function at rows of ``theta``; ``names`` are the features, if the user gave any, also where all calls fail.

    A function counts as batched only if a call with many rows gives for each what a single call gives, and if no row
    depends on the others (`_takes_batches`). One of which that cannot be told is called row by row.

    Raises
    ------
    InputError
        If no call gives features; with the first traceback.
    """
    seeds, failures = simulation_seeds(0, 2 * N_TRIES), []
    found = None if batched else _tried_singly(replies, theta, seeds, failures, names, or_batched=batched is None)
    hangs = bool(failures) and all(reply[1] == "timeout" for reply in failures)
    if found is None and batched is not False and not hangs:
        found = _tried_in_batches(replies, theta, seeds, failures)
    if found is not None:
        return found
    if names is not None:
        return Found(names, ("",) * len(names), bool(batched), 0.0)
    first, n_tried = failures[0], min(N_TRIES, len(theta), len(failures))
    longer = " a larger timeout_s if it is only slow, or" if first[1] == "timeout" else ""
    raise InputError(
        f"The simulator failed at each of the first {n_tried} parameter sets, so its features are"
        f" not known: {first[2].rstrip('.')}. Give{longer} feature_names=… if failures are this common.\n{first[3]}"
    )


def _tried_singly(
    replies: Replies,
    theta: np.ndarray,
    seeds: np.ndarray,
    failures: list[Reply],
    wanted: tuple[str, ...] | None,
    *,
    or_batched: bool,
) -> Found | None:
    """The form by the first call with one row that gives features; None, and what failed, where none does."""
    for i in range(min(N_TRIES, len(theta))):
        start = time.perf_counter()
        reply = replies(theta[i : i + 1], seeds[i : i + 1], False)[0]
        if reply[0] == "values":
            seconds = time.perf_counter() - start
            seconds = _warm_seconds(replies, theta[i : i + 1], seeds[i : i + 1], seconds)
            tried = or_batched and seconds < SLOW_S
            if tried and _takes_batches(replies, theta[i:], seeds[i:], reply, seconds):
                return Found(reply[1], reply[2], True, seconds)
            further = slice(i + 1, i + 1 + int(np.clip(TRYING_S / max(seconds, 1e-6), 0, N_TRIES)))
            return Found(*_with_left_out(replies, theta[further], seeds[further], reply, wanted), False, seconds)
        failures.append(reply)
        if _given_up(failures):
            break
    return None


def _with_left_out(
    replies: Replies, theta: np.ndarray, seeds: np.ndarray, first: Reply, wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the features of the first call, and of those that it left out, as a call without a spike may
    leave out the spike's shape, but others at theta (n, d) have. Where the user named the features, only of these."""
    names, units = list(first[1]), list(first[2])
    if is_unnamed(names):
        return tuple(names), tuple(units)
    for i in range(len(theta)):
        if wanted is not None and len(names) >= len(wanted):
            break
        reply = replies(theta[i : i + 1], seeds[i : i + 1], False)[0]
        if reply[0] == "failed" and reply[1] == "timeout":
            break
        if reply[0] == "values":
            known = {part_of(name) for name in names}
            new = [
                j
                for j, name in enumerate(reply[1])
                if part_of(name) not in known and (wanted is None or name in wanted)
            ]
            names += [reply[1][j] for j in new]
            units += [reply[2][j] for j in new]
    return tuple(names), tuple(units)


def _tried_in_batches(replies: Replies, theta: np.ndarray, seeds: np.ndarray, failures: list[Reply]) -> Found | None:
    """The form by the first batched call, of many rows or of one, that gives features."""
    for rows in (theta[: SIZES[0]], *(theta[i : i + 1] for i in range(min(N_TRIES, len(theta))))):
        start = time.perf_counter()
        reply = replies(rows, seeds[: len(rows)], True)[0]
        if reply[0] == "values":
            return Found(reply[1], reply[2], True, time.perf_counter() - start)
        failures.append(reply)
        if _given_up(failures):
            break
    return None


def _given_up(failures: list[Reply]) -> bool:
    """Whether as many calls ran into the time limit as are waited for."""
    return sum(failure[1] == "timeout" for failure in failures) >= TIMEOUTS


def _warm_seconds(replies: Replies, theta: np.ndarray, seeds: np.ndarray, first: float) -> float:
    """Seconds of a call, of which the first also started a process and compiled what there was to compile.

    Whether batches are tried hangs on this, and with it the noise of every simulation: a machine that is busy for a
    moment must not decide it.
    """
    seconds = first
    for _ in range(WARM_TRIES):
        if not SLOW_S / 10 < seconds < 10 * SLOW_S:
            break
        start = time.perf_counter()
        replies(theta, seeds, False)
        seconds = min(seconds, time.perf_counter() - start)
    return seconds


def _takes_batches(replies: Replies, theta: np.ndarray, seeds: np.ndarray, single: Reply, seconds: float) -> bool:
    """Whether calls with many rows are like single calls, row by row, as far as a few tries can tell.

    Parameters
    ----------
    theta, seeds
        (n, d) and at least n; the first of each gave the reply `single`, in `seconds`.
    """
    n = next(size for size in SIZES if size not in (theta.shape[1], len(single[3])))
    rows = np.unique(theta, axis=0)
    rows = np.concatenate([theta[:1], rows[(rows != theta[0]).any(axis=1)]])
    if len(rows) < 2:
        return False
    rows = rows[np.arange(n) % len(rows)]

    def call(rows: np.ndarray, *, many: bool = True, seeds: np.ndarray = seeds) -> np.ndarray:
        """Features (rows, k); NaN where the call fails or gives other features."""
        reply = replies(rows, seeds[: len(rows)], many)[0]
        found = np.atleast_2d(reply[3]) if reply[0] == "values" and reply[1] == single[1] else np.zeros((0, 0))
        return found if found.shape == (len(rows), len(single[3])) else np.full((len(rows), 1), np.nan)

    random = ~_equal(call(rows[:1], many=False, seeds=seeds[::-1])[0], single[3])
    if not _has_noise_of_its_own(call(np.tile(rows[:1], (n, 1))), single[3], random):
        return False
    tries = int(np.clip(TRYING_S / (4 * max(seconds, 1e-6)), 2, n))
    return all(_stands_alone(call, np.roll(rows, -i, axis=0), random) for i in range(tries))


def _has_noise_of_its_own(alike: np.ndarray, single: np.ndarray, random: np.ndarray) -> bool:
    """Whether equal rows (n, k) differ in what is random (k,), and are like a single call (k,) in the rest: a function
    that draws its noise once for all rows would give simulations that share it."""
    if alike.shape[1:] != single.shape or (random & _equal(alike, alike[:1]).all(axis=0)).any():
        return False
    return bool(_equal(alike[:, ~random], single[~random]).all())


def _stands_alone(call: Callable[..., np.ndarray], rows: np.ndarray, random: np.ndarray) -> bool:
    """Whether the first of rows (n, d) is the same with any others beside it, and, alone, like a single call.

    Seeds are equal, so noise is too: that of the first row is drawn first.
    """
    single, alone, mixed = call(rows[:1], many=False)[0], call(rows[:1])[0], call(rows)[0]
    alike = call(np.tile(rows[:1], (len(rows), 1)))[0]
    if not single.shape == alone.shape == mixed.shape == alike.shape == random.shape:
        return False
    return bool(_equal(alone, single).all() and _equal(mixed, alike).all() and _equal(mixed, single)[~random].all())


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isclose(a, b, rtol=1e-9, atol=0, equal_nan=True)
