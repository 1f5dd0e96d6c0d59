"""Dimension of a population of neurons: how many numbers describe its states, and what a recording cannot tell.

Noise fills every dimension that there is: independent noise in each neuron makes any population look as large as its
number of neurons, once distances are short enough to see it. So every estimate stands beside three others: the same
recording with the neurons shifted against one another (no shared structure at all), fewer neurons, and fewer points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from antidrome.core.progress import ProgressBar
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import check_seed, generator
from antidrome.core.whole import whole_number
from antidrome.dimension.conclusions import conclusions
from antidrome.dimension.graph import nearest_neighbours
from antidrome.dimension.linear import principal_variances
from antidrome.dimension.measurement import MeasurementConfig, measure
from antidrome.dimension.points import as_points
from antidrome.dimension.population_data import PopulationPoints, population_points, shifted
from antidrome.dimension.two_nn import check_discard
from antidrome.dimension.units import with_units
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

MIN_NEURONS = 3
MIN_POINTS = 50
SMALLEST_DRAW = 4


@dataclass(frozen=True, kw_only=True)
class PopulationConfig:
    """How a population is measured.

    Parameters
    ----------
    bin_frames
        Frames that are averaged to one point; for sparse spikes and slow indicators.
    max_points
        Points that are used at most, spread evenly over the recording; None for all.
    exclude_bins
        Neighbours at most so many bins away in time are counted, and an estimate is given without them.
    n_draws
        Random subsets for each number of neurons and of points.
    n_shuffles
        Recordings with circularly shifted neurons.
    standardise
        Divide each neuron by its standard deviation first.
    discard_fraction
        Share of the largest ratios that the fit leaves out.
    seed
        Seed of all draws.
    """

    bin_frames: int = 1
    max_points: int | None = 4000
    exclude_bins: int = 5
    n_draws: int = 5
    n_shuffles: int = 5
    standardise: bool = False
    discard_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, least in {"bin_frames": 1, "exclude_bins": 0, "n_draws": 1, "n_shuffles": 1}.items():
            whole_number(name, getattr(self, name), least)
        if self.max_points is not None and whole_number("max_points", self.max_points) < MIN_POINTS:
            raise InputError(
                f"max_points is {self.max_points}; at least {MIN_POINTS} points are needed, or None for all."
            )
        check_discard(self.discard_fraction)


def population(
    recording: Any, config: PopulationConfig | None = None, *, progress: bool = True, **settings: Any
) -> xr.Dataset:
    """Estimate the intrinsic dimension of the states of a population of neurons, with its controls.

    Parameters
    ----------
    recording
        DataArray or array (time, neuron) or (trial, neuron): spikes, latents or fluorescence. Points with NaN and
        neurons that are constant or mostly missing are left out, counted in the notes.
    config
        Settings; or give them one by one (`bin_frames=…`, see `PopulationConfig`).
    progress
        Show a progress bar.

    Returns
    -------
    Dataset with `dimension`, `standard_error`, `pca_dimension`, `participation_ratio`; `dimension_by_neurons`
    (n_neurons, draw) and `shuffled_by_neurons` (n_neurons); `dimension_by_points` (n_points_drawn, draw);
    `shuffled_dimension` (shuffle); `temporal_neighbours`, the share of points whose nearest neighbour is at most
    `exclude_bins` bins away in time, and `dimension_apart` and `shuffled_apart`, the estimates without such neighbours;
    `components_above_shuffled`. The attribute `conclusions` says in sentences what can, and what cannot, be concluded;
    `verdict` and `reason` are as `TwoNN` has them.

    Raises
    ------
    InputError
        Not a recording, or too few neurons or points.

    References
    ----------
    Altan et al. (2021), Estimating the dimensionality of the manifold underlying multi-electrode neural recordings,
    PLOS Computational Biology 17: e1008591.
    """
    if config is not None and settings:
        raise InputError("Give either a config or single settings, not both.")
    config = config or PopulationConfig(**settings)
    given = population_points(recording, config)
    if given.values.shape[1] < MIN_NEURONS or given.values.shape[0] < MIN_POINTS:
        raise InputError(
            f"{counted(given.values.shape[0], 'point')} × {counted(given.values.shape[1], 'neuron')} are left; at least"
            f" {MIN_POINTS} points"
            f" and {MIN_NEURONS} neurons are needed. {' '.join(given.notes)}".rstrip()
        )
    neuron_counts = _halvings(given.values.shape[1], SMALLEST_DRAW)
    point_counts = _halvings(given.n_used, 2 * MIN_POINTS)
    total = 2 + (config.n_draws + 1) * len(neuron_counts) + config.n_draws * len(point_counts) + config.n_shuffles
    with show_progress("Measuring the population", total, unit="estimates", enabled=progress) as bar:
        return _measured(given, config, neuron_counts, point_counts, bar)


def _measured(
    given: PopulationPoints,
    config: PopulationConfig,
    neuron_counts: list[int],
    point_counts: list[int],
    bar: ProgressBar,
) -> xr.Dataset:
    points = given.used()
    whole = measure(points, _settings(config, full=True), progress=False)
    bar.advance(figure=f"dimension {whole.dimension:.1f}")
    temporal_share, apart = _apart(points, given, config)
    bar.advance()
    shifts = [
        shifted(given.values, generator(config.seed, f"dimension/population/shift-{i}"), given.index)
        for i in range(config.n_shuffles)
    ]
    shuffled, shuffled_apart = [], []
    for shift in shifts:
        shuffled.append(_dimension(shift, config))
        shuffled_apart.append(_apart(shift, given, config)[1])
        bar.advance()
    by_neurons, shuffled_by_neurons = _over_neurons(points, shifts[0], config, neuron_counts, bar)
    by_points = _over_points(points, config, point_counts, bar)
    notes = [*given.notes, *whole.notes]
    n_missing = int(sum(np.isnan(values).sum() for values in (by_neurons, shuffled_by_neurons, by_points, shuffled)))
    if n_missing:
        notes.append(f"{n_missing} estimates of the controls are NaN: nearly all their points are equal to others.")
    result = xr.Dataset(
        {
            **{name: ((), value) for name, value in whole.numbers().items()},
            "dimension_by_neurons": (("n_neurons", "draw"), by_neurons),
            "shuffled_by_neurons": (("n_neurons",), shuffled_by_neurons),
            "dimension_by_points": (("n_points_drawn", "draw"), by_points),
            "shuffled_dimension": (("shuffle",), np.array(shuffled)),
            "shuffled_apart": (("shuffle",), np.array(shuffled_apart)),
            "temporal_neighbours": ((), temporal_share),
            "dimension_apart": ((), apart),
            "components_above_shuffled": ((), _components_above(points, shifts)),
        },
        coords={"n_neurons": neuron_counts, "n_points_drawn": point_counts},
        attrs={
            "n_neurons": given.values.shape[1],
            "n_points": given.n_used,
            "verdict": whole.verdict,
            "reason": whole.reason,
            "notes": notes,
            "citations": ["ansuini2019", "facco2017", "altan2021"],
            "kind": given.kind,
            "seed": config.seed,
        },
    )
    return with_units(result).assign_attrs(conclusions=conclusions(result))


def _dimension(points: Any, config: PopulationConfig) -> float:
    """One estimate of a control; NaN where it has no usable ratios (few sparse neurons: nearly all points equal)."""
    try:
        return measure(points, _settings(config), progress=False).dimension
    except InputError:
        return np.nan


def _settings(config: PopulationConfig, *, full: bool = False) -> MeasurementConfig:
    return MeasurementConfig(discard_fraction=config.discard_fraction, linear=full, scale=full, seed=config.seed)


def _over_neurons(
    points: np.ndarray, shift: np.ndarray, config: PopulationConfig, counts: list[int], bar: ProgressBar
) -> tuple[Float[np.ndarray, "counts draws"], Float[np.ndarray, " counts"]]:
    """Estimates from random subsets of neurons, and from one subset of the shifted recording."""
    n_neurons = points.shape[1]
    out, control = np.full((len(counts), config.n_draws), np.nan), np.full(len(counts), np.nan)
    for i, count in enumerate(counts):
        draw = generator(config.seed, f"dimension/population/neurons-{count}")
        for j in range(config.n_draws):
            chosen = np.sort(draw.choice(n_neurons, count, replace=False))
            out[i, j] = _dimension(points[:, chosen], config)
            if j == 0:
                control[i] = _dimension(shift[:, chosen], config)
                bar.advance()
            bar.advance(figure=f"{counted(count, 'neuron')}: {out[i, j]:.1f}")
    return out, control


def _over_points(
    points: np.ndarray, config: PopulationConfig, counts: list[int], bar: ProgressBar
) -> Float[np.ndarray, "counts draws"]:
    """Estimates from random subsets of points."""
    out = np.full((len(counts), config.n_draws), np.nan)
    for i, count in enumerate(counts):
        draw = generator(config.seed, f"dimension/population/points-{count}")
        for j in range(config.n_draws):
            chosen = np.sort(draw.choice(len(points), count, replace=False))
            out[i, j] = _dimension(points[chosen], config)
            bar.advance(figure=f"{counted(count, 'point')}: {out[i, j]:.1f}")
    return out


def _apart(points: np.ndarray, given: PopulationPoints, config: PopulationConfig) -> tuple[float, float]:
    """Share of points whose nearest neighbour is next to them in time, and the dimension without such neighbours."""
    reach = config.exclude_bins
    if given.kind != "time" or reach == 0:
        return 0.0, np.nan
    k = min(len(points) - 1, 2 + 2 * reach)
    graph = nearest_neighbours(points, k, progress=False)
    gap = np.abs(given.frame[graph["neighbour"].values] - given.frame[:, None])
    near = gap <= reach
    share = float(near[:, 0].mean())
    distances = _first_two(graph["distance"].values, ~near)
    enough = np.isfinite(distances).all(axis=1)
    if share == 0.0 or enough.sum() < MIN_POINTS:
        return share, np.nan
    return share, _dimension((distances[enough], None), config)


def _first_two(distance: Float[np.ndarray, "n k"], allowed: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """The two smallest allowed distances of each row; infinite where there are none."""
    return np.sort(np.where(allowed, distance, np.inf), axis=1)[:, :2]


def _components_above(points: np.ndarray, shuffles: list[np.ndarray]) -> int:
    """Leading principal components with more variance than any of the same rank in the shifted recordings."""
    spectra = [_spectrum(some) for some in (points, *shuffles)]
    size = min(spectrum.size for spectrum in spectra)  # rolled and cut, a sparse neuron can be constant
    own, *null = (spectrum[:size] for spectrum in spectra)
    above = own > np.max(null, axis=0)
    return int(above.size if above.all() else np.argmin(above))


def _spectrum(points: np.ndarray) -> Float[np.ndarray, " components"]:
    """Variances of the standardised points along their principal components, falling."""
    return principal_variances(as_points(points)).variances


def _halvings(largest: int, smallest: int) -> list[int]:
    """largest, largest/2, … down to smallest, rising."""
    counts: list[int] = []
    while largest >= smallest:
        counts.append(int(largest))
        largest //= 2
    return counts[::-1]


__all__ = ["PopulationConfig", "population"]
