"""Held-out pairs choose what seen pairs cannot: dimensions, shrinkage, coupling, diagonals, and whether lags help.

Pairs between two random groups of neurons are hidden, fitted as if never recorded together, and predicted. Fits on seen
pairs always get better with more dimensions; predictions of unseen pairs have a clear optimum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.dynamics.plain import plain, restored
from antidrome.dynamics.problem import Fit
from antidrome.dynamics.resuming import Stages
from antidrome.dynamics.solving import FitSettings, PairSolver, Solver

MOST_NEURONS = 1500
MOST_IN_GROUP = 300
SHRINKAGES = (0.0, 0.1, 0.3, 1.0)
STRONGER = (3.0, 10.0)
COUPLINGS = (np.inf, 0.03)
N_ITERATIONS, N_STARTS = 30, 2
TOLERANCE = 1e-4
WORTHWHILE = 0.001
AS_GOOD = 0.005


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One set of settings and how it predicted the hidden pairs.

    Parameters
    ----------
    settings
        What was fitted.
    correlations, slopes
        (fold,) correlation of predicted and measured covariances, and the slope of measured on predicted.
    predictions
        One array of predicted covariances a fold.
    """

    settings: FitSettings
    correlations: tuple[float, ...]
    slopes: tuple[float, ...]
    predictions: tuple[np.ndarray, ...] = dataclasses.field(repr=False, default=())

    @property
    def correlation(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.correlations))

    @property
    def merit(self) -> float:
        """The correlation, less what private autocovariances have to be worth to be taken."""
        return self.correlation - WORTHWHILE * self.settings.hollow_lags

    @property
    def slope(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.slopes))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        settings = self.settings
        return {
            "n_components": settings.n_components,
            "shrinkage": settings.shrinkage,
            "coupling": plain(settings.coupling),
            "zero_lag": settings.zero_lag,
            "hollow_lags": settings.hollow_lags,
            "correlation": self.correlation,
            "slope": self.slope,
            "correlations": list(self.correlations),
            "slopes": list(self.slopes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Candidate:
        """From `to_dict`, without predictions; the infinity of early files is None."""
        names = ("n_components", "shrinkage", "zero_lag", "hollow_lags", "n_iterations", "n_starts")
        settings = {name: values[name] for name in names if name in values}
        coupling = np.inf if values["coupling"] is None else float(restored(values["coupling"]))
        return cls(FitSettings(coupling=coupling, **settings), tuple(values["correlations"]), tuple(values["slopes"]))


@dataclasses.dataclass(frozen=True)
class Fold:
    """Hidden pairs: the solver without them, the groups, and what was measured between them."""

    solver: Solver
    first: np.ndarray
    second: np.ndarray
    measured: np.ndarray
    known: np.ndarray

    def predict(self, loadings: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Predicted covariances of the hidden pairs, (pair,)."""
        return (loadings[self.first] @ covariance @ loadings[self.second].T)[self.known]

    def judge(self, predicted: np.ndarray) -> tuple[float, float]:
        """Correlation with the measured covariances, and their slope on the prediction."""
        return agreement(predicted, self.measured[self.known])


def agreement(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Correlation of two lists of covariances and the slope of the second on the first; 0 where nothing varies."""
    if predicted.size < 3 or not np.isfinite(predicted).all():
        return 0.0, 0.0
    a, b = predicted - predicted.mean(), measured - measured.mean()
    spread = float(a @ a)
    if spread <= 0 or not b.any():
        return 0.0, 0.0
    return float(a @ b / np.sqrt(spread * (b @ b))), float(a @ b / spread)


def make_folds(solver: Solver, seen: np.ndarray, n_folds: int, rng: np.random.Generator) -> list[Fold]:
    """Hide the pairs between random quarters of the neurons (`seen`: places of neurons that have data).

    Neurons that lose all their sessions to the hiding, or keep next to nothing, cannot be predicted, and are not asked
    for; nor are pairs that were recorded together next to never.
    """
    if len(seen) > MOST_NEURONS:
        seen = np.sort(rng.choice(seen, MOST_NEURONS, replace=False))
        solver = solver.among(seen)
    folds = []
    for _ in range(n_folds):
        order = rng.permutation(seen)
        size = max(1, len(seen) // 4)
        first, second = order[:size], order[size : 2 * size]
        left, right = first[:MOST_IN_GROUP], second[:MOST_IN_GROUP]
        measured, count = solver.measured(left, right)
        hidden = solver.without(first, second, rng)
        negligible = solver.negligible()
        still = hidden.amount() > negligible
        measurable = count > np.minimum.outer(negligible[left], negligible[right])
        known = measurable & still[left][:, None] & still[right][None, :]
        folds.append(Fold(hidden, left, right, measured, known))
    return [fold for fold in folds if fold.known.sum() >= 3]


def shrinkage_path(
    folds: Sequence[Fold],
    settings: FitSettings,
    shrinkages: Sequence[float],
    rng: np.random.Generator,
    on_fit: Callable[[], Any] | None = None,
    n_iterations: int = N_ITERATIONS,
) -> list[Candidate]:
    """One candidate for each shrinkage, from the strongest down, each fold's fit starting from the one before."""
    states: list[Fit | None] = [None] * len(folds)
    solvers = [fold.solver.at_lag_zero() if settings.zero_lag else fold.solver for fold in folds]
    result = []
    for shrinkage in sorted(shrinkages, reverse=True):
        chosen = dataclasses.replace(
            settings,
            shrinkage=shrinkage,
            n_iterations=n_iterations,
            n_starts=min(N_STARTS, settings.n_starts),
            tolerance=TOLERANCE,
        )
        predictions, judged = [], []
        for index, fold in enumerate(folds):
            fit, _ = solvers[index].fit(chosen, rng, states[index])
            if isinstance(fold.solver, PairSolver) and states[index] is not None:
                afresh, _ = solvers[index].fit(chosen, rng)  # a start is random: one optimum would be handed on to all
                fit = min(fit, afresh, key=lambda found: found.loss)
            states[index] = fit
            predictions.append(fold.predict(fit.loadings, solvers[index].mean_latent(fit)[0]))
            judged.append(fold.judge(predictions[-1]))
        correlations, slopes = zip(*judged, strict=True)
        result.append(Candidate(chosen, correlations, slopes, tuple(predictions)))
        if on_fit is not None:
            on_fit()
    return result


def race(
    folds: Sequence[Fold],
    orders: Sequence[int],
    shrinkages: Sequence[float],
    couplings: Sequence[float],
    zero_lag: Sequence[bool],
    hollow_lags: Sequence[bool],
    rng: np.random.Generator,
    on_fit: Callable[[], Any] | None = None,
    n_iterations: int = N_ITERATIONS,
    n_starts: int = N_STARTS,
    stages: Stages | None = None,
) -> list[Candidate]:
    """All candidates; diagonals and coupling other than the first only at the best shrinkage of each order.

    Stronger shrinkage is tried as long as the strongest is the best. Only the best of each order and kind keeps its
    predictions.
    """
    stages, candidates = stages or Stages(), []
    for n_components in orders:
        for zero in zero_lag:
            child = rng.spawn(1)[0]
            name = f"held-out-{n_components}{'-zero-lag' if zero else ''}"
            kept = stages.load(name)
            if kept is not None:
                candidates += _decoded(*kept)
                continue
            diagonals = (False,) if zero else tuple(hollow_lags)
            base = FitSettings(
                n_components=n_components,
                coupling=couplings[0],
                zero_lag=zero,
                hollow_lags=diagonals[0],
                n_starts=n_starts,
            )
            tried = shrinkage_path(folds, base, shrinkages, child, on_fit, n_iterations)
            for stronger in STRONGER if SHRINKAGES[-1] in shrinkages and len(shrinkages) > 1 else ():
                if _best(tried).settings.shrinkage < max(one.settings.shrinkage for one in tried):
                    break
                tried += shrinkage_path(folds, base, (stronger,), child, on_fit, n_iterations)
            for field, values in (("hollow_lags", diagonals[1:]), ("coupling", couplings[1:])):
                best = _best(tried).settings
                for value in values:
                    other = dataclasses.replace(best, **{field: value})
                    tried += shrinkage_path(folds, other, (best.shrinkage,), child, on_fit, n_iterations)
            top = tried.index(_best(tried))
            tried = [one if i == top else dataclasses.replace(one, predictions=()) for i, one in enumerate(tried)]
            stages.save(name, *_encoded(tried))
            candidates += tried
    return candidates


def _encoded(candidates: Sequence[Candidate]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays = {
        f"prediction/{i}/{fold}": predicted
        for i, one in enumerate(candidates)
        for fold, predicted in enumerate(one.predictions)
    }
    rows = [
        {**one.to_dict(), "n_iterations": one.settings.n_iterations, "n_starts": one.settings.n_starts}
        for one in candidates
    ]
    return {"n_candidates": np.array(len(candidates)), **arrays}, {"done": True, "candidates": rows}


def _decoded(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> list[Candidate]:
    result = []
    for i, row in enumerate(notes["candidates"]):
        n_predictions = sum(key.startswith(f"prediction/{i}/") for key in arrays)
        predictions = tuple(arrays[f"prediction/{i}/{fold}"] for fold in range(n_predictions))
        result.append(dataclasses.replace(Candidate.from_dict(row), predictions=predictions))
    return result


def best_of(candidates: Sequence[Candidate], *, zero_lag: bool | None = None) -> Candidate:
    """The candidate with the highest held-out correlation (of one kind), or a smaller one that is surely as good.

    Surely as good: over the folds, its correlation is less by at most 0.005 with one standard error to spare. Held-out
    curves are flat beyond the true order, and dimensions without need make dynamics that mean nothing.
    """
    allowed = [one for one in candidates if zero_lag is None or one.settings.zero_lag == zero_lag]
    top = _best(allowed)
    for order in sorted({one.settings.n_components for one in allowed}):
        smaller = _best([one for one in allowed if one.settings.n_components == order])
        loss = np.subtract(top.correlations, smaller.correlations)
        if len(loss) > 1 and loss.mean() + loss.std(ddof=1) / np.sqrt(len(loss)) <= AS_GOOD:
            return smaller
    return top


def _best(candidates: Sequence[Candidate]) -> Candidate:
    return max(candidates, key=lambda one: one.merit)


def share_of_lags(folds: Sequence[Fold], lagged: Candidate, zero: Candidate) -> tuple[float, float, float]:
    """Weight of the lagged prediction (0, ½ or 1) that predicts hidden pairs best, its correlation and its slope.

    The average of two predictions with independent errors is often better than either.
    """
    best = (1.0, -np.inf, 1.0)
    for share in (1.0, 0.5, 0.0):
        judged = [
            fold.judge(share * a + (1 - share) * b)
            for fold, a, b in zip(folds, lagged.predictions, zero.predictions, strict=True)
        ]
        correlation, slope = (float(np.mean(values)) for values in zip(*judged, strict=True))
        if correlation > best[1] + WORTHWHILE:
            best = (share, correlation, slope)
    return best
