"""Missing entries: a session whose neurons come and go in a few patterns is several recordings, one a pattern."""

from __future__ import annotations

import dataclasses

import numpy as np

from antidrome.core.names import unique
from antidrome.dynamics.data import column_statistics, frames_at_once, read_rows
from antidrome.dynamics.population import Population, Session

MOST_PATTERNS = 24
FEWEST_FRAMES = 2


def split_by_pattern(population: Population) -> Population:
    """Cut every session with at most 24 patterns of observed neurons into one part for each pattern.

    A session that records neurons 1–40 in some frames and 30–70 in others is two recordings, and no lag joins frames
    of different patterns; frames without any observed neuron belong to no part. Sessions with more patterns (single
    entries missing here and there) and complete sessions stay as they are.
    """
    parts: list[Session] = []
    for session in population.sessions:
        parts.extend([session] if session.is_complete else _parts(session))
    return dataclasses.replace(population, sessions=tuple(parts))


def recorded_sets(population: Population) -> tuple[tuple[str, ...], np.ndarray]:
    """Names (set,) and neurons (set, neuron) of the sets of neurons that were recorded together.

    One set a session; of a session with at most 24 patterns each that no other of them holds, as parts: ``a, a-2``.
    """
    names, is_later, rows = [], [], []
    for session in population.sessions:
        for number, columns in enumerate(_largest(session)):
            names.append(session.name)
            is_later.append(number > 0)
            rows.append(session.rows[columns])
    observed = np.zeros((len(rows), population.n_neurons), dtype=bool)
    for flags, row in zip(observed, rows, strict=True):
        flags[row] = True
    order = np.argsort(is_later, kind="stable").tolist()  # the first set of a session has its very name
    named = dict(zip(order, unique([names[i] for i in order], key=str), strict=True))
    return tuple(named[i] for i in range(len(names))), observed


def _largest(session: Session) -> np.ndarray:
    """(set, neuron) patterns of observed neurons of a session that are no part of another; all neurons for many."""
    everything = np.ones((1, len(session.rows)), dtype=bool)
    found = None if session.is_complete else row_patterns(session)
    if found is None:
        return everything
    patterns, of_frame = found
    frames = np.array([(of_frame == index).sum() for index in range(len(patterns))])
    patterns = patterns[patterns.any(axis=1) & (frames >= FEWEST_FRAMES)]
    flags = patterns.astype(np.float32)
    inside = flags @ flags.T == flags.sum(axis=1)[:, None]  # no two are equal: a largest one lies in itself alone
    return patterns[inside.sum(axis=1) == 1] if len(patterns) else everything


def row_patterns(session: Session) -> tuple[np.ndarray, np.ndarray] | None:
    """Distinct patterns (pattern, neuron) of observed neurons and the pattern of each frame (−1 outside segments).

    None when there are more than 24.
    """
    known: dict[bytes, int] = {}
    patterns: list[np.ndarray] = []
    of_frame = np.full(session.n_frames, -1)
    size = frames_at_once(session)
    for start in range(0, session.n_frames, size):
        stop = min(start + size, session.n_frames)
        inside = start + np.flatnonzero(session.segment[start:stop] >= 0)
        finite = np.isfinite(read_rows(session, start, stop))[inside - start]
        rows, first, which = np.unique(np.packbits(finite, axis=1), axis=0, return_index=True, return_inverse=True)
        numbers = np.empty(len(rows), dtype=int)
        for k in np.argsort(first):  # in the order in which they come
            key = rows[k].tobytes()
            if key not in known:
                known[key] = len(patterns)
                patterns.append(finite[first[k]])
                if len(patterns) > MOST_PATTERNS:
                    return None
            numbers[k] = known[key]
        of_frame[inside] = numbers[which.ravel()]
    return np.array(patterns), of_frame


def _parts(session: Session) -> list[Session]:
    found = row_patterns(session)
    if found is None:
        return [session]
    parts, (patterns, of_frame) = [], found
    for index, pattern in enumerate(patterns):
        inside = of_frame == index
        if not pattern.any() or inside.sum() < FEWEST_FRAMES:
            continue
        cut = np.zeros(session.n_frames, dtype=bool)
        cut[1:] = (np.diff(session.segment) != 0) | (np.diff(of_frame) != 0)
        segment = np.where(inside, np.cumsum(cut), -1).astype(np.int32)
        statistics = column_statistics(session.values, segment, session.name)
        # the mean is the session's: a part of it may be short, and all parts share one baseline
        part = dataclasses.replace(
            session.restricted(pattern),
            segment=segment,
            variance=_about(statistics, session, pattern),
            n_observed=statistics["n_observed"][session.columns[pattern]],
        )
        parts.append(part)
    return parts


def _about(statistics: dict[str, np.ndarray], session: Session, pattern: np.ndarray) -> np.ndarray:
    """Mean square deviation of a part from the mean of the whole session."""
    columns = session.columns[pattern]
    return statistics["variance"][columns] + (statistics["mean"][columns] - session.mean[pattern]) ** 2
