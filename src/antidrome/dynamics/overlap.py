"""The overlap report: what the sessions share, and where stitching would rest on dynamics alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from antidrome.dynamics.patterns import recorded_sets
from antidrome.dynamics.sessions import as_population
from antidrome.recordings.arguments import counted

PATTERNS_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class OverlapReport:
    """Which sessions are tied together, and by how much.

    A session whose neurons come and go in a few patterns counts as several: one for each set of neurons that were
    recorded together, beside none that holds it.

    Parameters
    ----------
    sessions
        (session,) ids; parts of a session are numbered: ``a, a-2``.
    n_neurons
        Neurons in all.
    n_observed
        (session,) neurons of each session.
    shared
        (session, session) neurons that both have seen.
    n_components
        Latent dimensions asked for: two sessions are tied when they share at least as many neurons with independent
        loadings (Bishop & Yu 2014).
    rank
        (session, session) numerical rank of the loadings on the shared neurons; before a fit, the largest that it can
        be, min(shared, n_components).
    smallest_singular_value
        (session, session) of the loadings on the shared neurons, relative to their root mean square; NaN before a fit.
    component
        (session,) number of the group of sessions that are tied together, directly or through others.
    share_never_together
        Share of all pairs of neurons that no session has recorded together. Where entries are missing here and there,
        a fit of a small population has counted them pair by pair; otherwise such a session counts as complete.
    warnings
        Plain sentences; empty when every session is tied to every other through enough neurons.
    """

    sessions: tuple[str, ...]
    n_neurons: int
    n_observed: np.ndarray
    shared: np.ndarray
    n_components: int
    rank: np.ndarray
    smallest_singular_value: np.ndarray
    component: np.ndarray
    share_never_together: float
    warnings: tuple[str, ...]

    @property
    def n_groups(self) -> int:
        """Groups of sessions that only the dynamics could tie together."""
        return int(self.component.max()) + 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        fields = dataclasses.asdict(self)
        listed = {key: value.tolist() for key, value in fields.items() if isinstance(value, np.ndarray)}
        listed.pop("smallest_singular_value")
        return {**fields, **listed, "smallest_singular_value": _finite(self.smallest_singular_value)}

    def __str__(self) -> str:
        lines = [
            f"{counted(len(self.sessions), 'session')}, {counted(self.n_neurons, 'neuron')};"
            f" {100 * self.share_never_together:.1f} % of the pairs were never recorded together;"
            f" {counted(self.n_groups, 'group')} of tied sessions.",
            *self.warnings,
        ]
        return "\n".join(lines)


def overlap_report(recordings: Any, n_components: int = 10, **options: Any) -> OverlapReport:
    """Look at what sessions share before a fit; after it, `StitchedLDS.overlap_` knows the loadings too.

    Parameters
    ----------
    recordings, options
        As for `StitchedLDS.fit`.
    n_components
        Latent dimensions that are to be tied.
    """
    return report_of(*recorded_sets(as_population(recordings, **options)), n_components)


def report_of(
    names: tuple[str, ...],
    observed: np.ndarray,
    n_components: int,
    loadings: np.ndarray | None = None,
    together: np.ndarray | None = None,
) -> OverlapReport:
    """The report of sessions or parts of them, by name and (session, neuron) flags.

    With the loadings of a fit (neuron, latent), ranks are theirs; `together` (neuron, neuron) are the pairs that were
    recorded together, where they were counted one by one.
    """
    shared = observed.astype(float) @ observed.T.astype(float)
    if loadings is None:
        rank = np.minimum(shared, n_components)
        smallest = np.full(shared.shape, np.nan)
    else:
        rank, smallest = _ranks(observed, loadings)
    tied = rank >= n_components
    np.fill_diagonal(tied, True)
    n_groups, component = connected_components(csr_matrix(tied), directed=False)
    never = share_never_together(observed) if together is None else share_of_pairs_unseen(together)
    return OverlapReport(
        names,
        observed.shape[1],
        observed.sum(axis=1),
        shared.astype(int),
        n_components,
        rank.astype(int),
        smallest,
        component,
        never,
        tuple(_warnings(names, shared, component, n_groups, n_components)),
    )


def share_never_together(observed: np.ndarray) -> float:
    """Share of pairs of distinct neurons that no session has seen together, from (session, neuron) flags.

    Counted between the distinct observation patterns, so that it costs nothing for many neurons of few patterns.
    """
    n = observed.shape[1]
    if n < 2:
        return 0.0
    patterns, counts = np.unique(observed.T, axis=0, return_counts=True)
    together = 0.0
    for start in range(0, len(patterns), PATTERNS_AT_ONCE):
        some = slice(start, start + PATTERNS_AT_ONCE)
        meet = patterns[some].astype(np.float32) @ patterns.T.astype(np.float32) > 0
        together += float(counts[some] @ meet @ counts)
    return float(max(0.0, 1 - (together - n) / (n * (n - 1.0))))


def share_of_pairs_unseen(together: np.ndarray) -> float:
    """Share of pairs of distinct neurons without a flag, (neuron, neuron)."""
    n = len(together)
    return float(1 - together[np.triu_indices(n, 1)].mean()) if n > 1 else 0.0


def _ranks(observed: np.ndarray, loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n_sessions, n = len(observed), loadings.shape[1]
    rank, smallest = np.zeros((n_sessions, n_sessions)), np.zeros((n_sessions, n_sessions))
    typical = np.sqrt((loadings**2).sum() / max(loadings.size, 1))
    for a in range(n_sessions):
        for b in range(a, n_sessions):
            rows = loadings[observed[a] & observed[b]]
            values = np.linalg.eigvalsh(rows.T @ rows)
            singular = np.sqrt(np.maximum(values, 0))
            rank[a, b] = rank[b, a] = min((singular > 1e-3 * typical * np.sqrt(max(len(rows), 1))).sum(), n)
            smallest[a, b] = smallest[b, a] = singular[0] / max(typical, 1e-300)
    return rank, smallest


def _warnings(
    names: tuple[str, ...], shared: np.ndarray, component: np.ndarray, n_groups: int, n_components: int
) -> list[str]:
    if n_groups == 1:
        return []
    sentences = []
    for group in range(1, n_groups):
        inside, outside = np.flatnonzero(component == group), np.flatnonzero(component < group)
        block = shared[np.ix_(inside, outside)]
        i, j = np.unravel_index(block.argmax(), block.shape)
        n = int(block.max())
        sentences.append(
            f"Sessions {names[inside[i]]} and {names[outside[j]]} share {counted(n, 'neuron')}, fewer than the"
            f" {n_components} latent dimensions{', and no other pair ties their groups' if n else ''}: their latent"
            " axes are linked only through dynamics, which real data rarely determine. Do not trust correlations"
            " between their neurons without a check on held-out pairs."
        )
    return sentences


def _finite(values: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in values]
