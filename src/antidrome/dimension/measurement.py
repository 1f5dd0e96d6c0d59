"""One measurement of one set of points, as layers and populations need it: TwoNN and linear figures in one row."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from antidrome.core.seeds import check_seed
from antidrome.dimension.estimator import TwoNN
from antidrome.dimension.graph import Duplicates, is_graph
from antidrome.dimension.linear import companions
from antidrome.dimension.two_nn import check_discard

FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Shares of the points at which the dependence on their number is measured."""


@dataclass(frozen=True, kw_only=True)
class MeasurementConfig:
    """How points are measured.

    Parameters
    ----------
    discard_fraction
        Share of the largest ratios that the fit leaves out.
    duplicates
        What to do with equal points: "drop", "merge" or "raise".
    linear
        Also principal components and the participation ratio.
    scale
        Judge by disjoint blocks of half the points, a quarter, …; else by neighbours of higher rank, at no cost.
    seed
        Seed of the bootstrap and of the blocks.
    """

    discard_fraction: float = 0.1
    duplicates: Duplicates = "drop"
    linear: bool = True
    scale: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_discard(self.discard_fraction)
        check_seed(self.seed)

    def to_dict(self) -> dict[str, Any]:
        """The settings, ready for JSON and for attributes of a file."""
        return {key: int(value) if isinstance(value, bool) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The dimension of one set of points, at its number of points and its scale.

    Parameters
    ----------
    dimension, standard_error, low, high
        TwoNN by the paper's fit, its standard error, its 90 % interval.
    pca_dimension
        Principal components for 90 % of the variance of the centred points.
    pca_dimension_standardised
        The same after dividing each unit by its standard deviation, as the paper does.
    participation_ratio
        Of the covariance, corrected for the number of points.
    n_points, n_used, n_zero, n_ties
        Points; points in the fit; points left out because of an exact copy; because of two equally far neighbours.
    lower_bound
        Too large, or still growing with the number of points, to be more than a lower bound.
    verdict, reason
        Whether the estimate depends on scale, and why it is judged so.
    notes
        What was left out or looked odd.
    by_points
        Estimate at each of `FRACTIONS` of the points; NaN where blocks would be too small.
    """

    dimension: float
    standard_error: float
    low: float
    high: float
    pca_dimension: float
    pca_dimension_standardised: float
    participation_ratio: float
    n_points: int
    n_used: int
    n_zero: int
    n_ties: int
    lower_bound: bool
    verdict: str
    reason: str
    notes: tuple[str, ...]
    by_points: tuple[float, ...]

    @classmethod
    def number_names(cls) -> list[str]:
        """Names of what is one number."""
        return [field.name for field in fields(cls) if field.name not in ("verdict", "reason", "notes", "by_points")]

    def numbers(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: float(getattr(self, name)) for name in self.number_names()}

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; NaN as None."""
        values = asdict(self) | {"by_points": [_json(value) for value in self.by_points], "notes": list(self.notes)}
        return {key: _json(value) for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measurement:
        """What `to_dict` gave."""
        restored = {key: math.nan if value is None else value for key, value in values.items()}
        by_points = tuple(math.nan if value is None else value for value in values["by_points"])
        return cls(**{**restored, "notes": tuple(values["notes"]), "by_points": by_points})


def measure(
    points: Any, config: MeasurementConfig | None = None, *, executor: Executor | None = None, progress: bool = True
) -> Measurement:
    """Measure points, or given neighbours (a graph, or `(distances, indices)`); the search runs on the executor.

    Raises
    ------
    InputError
        Too few points, no usable ratios, values that are not finite.
    """
    config = config or MeasurementConfig()
    given = isinstance(points, tuple) or is_graph(points)
    model = TwoNN(
        discard_fraction=config.discard_fraction,
        duplicates=config.duplicates,
        scale="blocks" if config.scale and not given else "gride",
        seed=config.seed,
    ).fit(points, executor=executor, progress=progress)
    notes = list(model.notes_)
    linear = companions(points, notes) if config.linear and not given else {}
    return Measurement(
        dimension=model.dimension_,
        standard_error=model.standard_error_,
        low=model.low_,
        high=model.high_,
        pca_dimension=float(linear.get("pca_dimension", math.nan)),
        pca_dimension_standardised=float(linear.get("pca_dimension_standardised", math.nan)),
        participation_ratio=float(linear.get("participation_ratio", math.nan)),
        n_points=int(model.n_points_),
        n_used=int(model.n_used_),
        n_zero=model.n_zero_,
        n_ties=model.n_ties_,
        lower_bound=bool(model.lower_bound_),
        verdict=model.verdict_,
        reason=model.reason_,
        notes=tuple(notes),
        by_points=_by_points(model),
    )


def _by_points(model: TwoNN) -> tuple[float, ...]:
    """The block analysis as estimates at each of `FRACTIONS`."""
    if "n_blocks" not in model.scale_.dims:
        return (model.dimension_, *[math.nan] * (len(FRACTIONS) - 1))
    found = dict(zip(1 / model.scale_["n_blocks"].values, model.scale_["dimension"].values, strict=True))
    return tuple(float(found.get(fraction, np.nan)) for fraction in FRACTIONS)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
