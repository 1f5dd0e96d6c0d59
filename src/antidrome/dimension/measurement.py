"""One measurement of one set of points, as layers and populations need it: TwoNN with its error, beside linear figures.

Everything comes from one neighbour graph and one spectrum; the dependence on the number of points from halves and
quarters of the same points (disjoint blocks, Facco et al. 2017).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import xarray as xr

from antidrome.core.seeds import generator
from antidrome.dimension.graph import Duplicates, nearest_neighbours
from antidrome.dimension.points import Points, as_points
from antidrome.dimension.ratios import ratios
from antidrome.dimension.spectrum import covariance_spectrum, participation_ratio, principal_components
from antidrome.dimension.two_nn import check_discard, estimate_from
from antidrome.dimension.uncertainty import uncertainty
from antidrome.errors import InputError

LOWER_BOUND = 20.0
TOO_FEW = 50
PLATEAU = 0.1
VARIANCE = 0.9
BLOCKS = (2, 4)

Verdict = Literal["reliable", "depends on scale", "too few points", "scale not examined"]


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
        Also halves and quarters of the points.
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

    def to_dict(self) -> dict[str, Any]:
        """The settings, ready for JSON and for attributes of a file."""
        return {key: int(value) if isinstance(value, bool) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The dimension of one set of points, at its number of points and its scale.

    Parameters
    ----------
    dimension, standard_error, low, high
        TwoNN by the paper's fit, its standard error by bootstrap over the ratios, its 90 % interval.
    pca_dimension
        Principal components for 90 % of the variance of the centred points.
    pca_dimension_standardised
        The same after dividing each unit by its standard deviation, as the paper does.
    participation_ratio
        (Σ λ)² / Σ λ² of the covariance.
    dimension_half, dimension_quarter
        TwoNN at half and a quarter of the points, mean over the blocks.
    n_points, n_used, n_zero, n_ties
        Points; points in the fit; points left out because of an exact copy; because of two equally far neighbours.
    lower_bound
        Above 20, or still growing with the number of points.
    verdict
        "reliable", "depends on scale", "too few points", or "scale not examined".
    notes
        What was left out or looked odd.
    """

    dimension: float
    standard_error: float
    low: float
    high: float
    pca_dimension: float = math.nan
    pca_dimension_standardised: float = math.nan
    participation_ratio: float = math.nan
    dimension_half: float = math.nan
    dimension_quarter: float = math.nan
    n_points: int
    n_used: int
    n_zero: int
    n_ties: int
    lower_bound: bool
    verdict: Verdict
    notes: tuple[str, ...] = ()

    @classmethod
    def number_names(cls) -> list[str]:
        """Names of what is a number."""
        return [field.name for field in fields(cls) if field.name not in ("verdict", "notes")]

    def numbers(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: float(getattr(self, name)) for name in self.number_names()}

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; NaN as None."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measurement:
        """What `to_dict` gave."""
        restored = {k: math.nan if v is None else v for k, v in values.items()}
        return cls(**{**restored, "notes": tuple(values["notes"])})


def measure(points: Any, *, progress: bool = True, **settings: Any) -> Measurement:
    """Measure points, or given neighbours `(distances, indices)`; settings as in `MeasurementConfig`.

    Raises
    ------
    InputError
        Too few points, no usable ratios, values that are not finite.
    """
    if isinstance(points, tuple):
        settings = {**settings, "linear": False, "scale": False}
    return measure_with(points, MeasurementConfig(**settings), progress=progress)


def measure_with(points: Any, config: MeasurementConfig, *, progress: bool = True) -> Measurement:
    """Measure points with settings in one object; see `measure`."""
    given = points if isinstance(points, tuple) else as_points(points)
    graph = nearest_neighbours(given, 2, duplicates=config.duplicates, progress=progress)
    found = ratios(graph)
    value = _two_nn(graph, config)
    error = uncertainty(graph, found, "fit", config.discard_fraction, seed=config.seed)
    half, quarter = math.nan, math.nan
    if config.scale and isinstance(given, Points):
        half, quarter = (_in_blocks(given, blocks, config) for blocks in BLOCKS)
    linear = _linear(given) if config.linear and isinstance(given, Points) else {}
    verdict, growing = _judge(value, error.standard_error, half, found.mu.size, config.scale)
    return Measurement(
        dimension=value,
        standard_error=error.standard_error,
        low=error.low,
        high=error.high,
        dimension_half=half,
        dimension_quarter=quarter,
        n_points=int(graph.attrs["n_points"]),
        n_used=int(found.mu.size),
        n_zero=found.n_zero,
        n_ties=found.n_tied,
        lower_bound=value > LOWER_BOUND or growing,
        verdict=verdict,
        notes=found.notes,
        **linear,
    )


def _two_nn(graph: xr.Dataset, config: MeasurementConfig) -> float:
    return estimate_from(np.sort(np.log(ratios(graph).mu)), "fit", config.discard_fraction)


def _in_blocks(points: Points, blocks: int, config: MeasurementConfig) -> float:
    """Mean estimate over disjoint random blocks; NaN where they are too small."""
    if points.n_points // blocks < TOO_FEW // 2:
        return math.nan
    order = generator(config.seed, f"dimension/measurement/blocks-{blocks}").permutation(points.n_points)
    values = []
    for part in np.array_split(order, blocks):
        try:
            graph = nearest_neighbours(points.select(np.sort(part)), 2, duplicates=config.duplicates, progress=False)
            values.append(_two_nn(graph, config))
        except InputError:
            return math.nan
    return float(np.mean(values))


def _linear(points: Points) -> dict[str, float]:
    raw, standardised = covariance_spectrum(points)
    return {
        "pca_dimension": float(principal_components(raw, VARIANCE)),
        "pca_dimension_standardised": float(principal_components(standardised, VARIANCE)),
        "participation_ratio": participation_ratio(raw),
    }


def _judge(value: float, error: float, half: float, n_used: int, examined: bool) -> tuple[Verdict, bool]:
    """The verdict, and whether the estimate still grows with the number of points."""
    if n_used < TOO_FEW or (examined and math.isnan(half)):
        return "too few points", False
    if not examined:
        return "scale not examined", False
    change = value - half
    if abs(change) <= max(PLATEAU * value, 2 * error):
        return "reliable", False
    return "depends on scale", change > 0
