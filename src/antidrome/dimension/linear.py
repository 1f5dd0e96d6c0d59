"""Linear companions of the intrinsic dimension: how many directions, not how many parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dimension.points import Points, as_points
from antidrome.dimension.units import with_units
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

MAX_SIDE = 20_000
CHUNK_BYTES = 64 * 2**20


class Spectrum(NamedTuple):
    """Variances along the principal components, falling; fourth moment of the centred norms; number of points."""

    variances: Float[np.ndarray, " components"]
    norm_fourth_moment: float
    n_points: int
    n_dimensions: int
    n_constant: int


def linear_dimension(
    points: Any, *, share: float = 0.9, standardise: bool = True, n_shuffles: int = 0, seed: int = 0
) -> xr.Dataset:
    """Components for a share of the variance, participation ratio, and components above chance.

    Parameters
    ----------
    points
        (points, …), as for `nearest_neighbours`; read in blocks.
    share
        Share of the variance, by habit 0.9.
    standardise
        Divide each column by its standard deviation, as Ansuini et al. (2019) do; constant columns are left out, and
        counted.
    n_shuffles
        Column-wise shuffles for parallel analysis; 0 leaves it out.
    seed
        Of the shuffles.

    Returns
    -------
    xr.Dataset
        `pca_dimension` (components, counted from 1), `participation_ratio` (corrected for the number of points) and
        `participation_ratio_raw`, `parallel_analysis` if asked for, and the `variance` per `component`.

    Raises
    ------
    InputError
        Fewer than five points, no variance at all, or more than 20,000 points and 20,000 columns at once.
    """
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; expected a share of the variance, such as 0.9.")
    n_shuffles = whole_number("n_shuffles", n_shuffles, 0)
    points = as_points(points)
    spectrum = principal_variances(points, standardise=standardise)
    data: dict[str, Any] = {
        "pca_dimension": components_for(spectrum.variances, share),
        "participation_ratio": participation_ratio(spectrum),
        "participation_ratio_raw": float(spectrum.variances.sum() ** 2 / np.sum(spectrum.variances**2)),
        "variance": ("component", spectrum.variances),
    }
    if n_shuffles:
        data["parallel_analysis"] = _parallel_analysis(points, spectrum, standardise, n_shuffles, seed)
    attrs = {
        "share": share,
        "standardised": int(standardise),
        "n_points": spectrum.n_points,
        "n_constant_columns": spectrum.n_constant,
        "citations": ["ansuini2019", "himeno2014", *(["horn1965"] if n_shuffles else [])],
    }
    found = xr.Dataset(data, coords={"component": np.arange(1, spectrum.variances.size + 1)}, attrs=attrs)
    return with_units(found, variance="1" if standardise else "as the points, squared")


def companions(points: Any, notes: list[str]) -> dict[str, float]:
    """Components and participation ratio of columns as they are, and components of standardised ones.

    Nothing, and a note, where they fail.
    """
    try:
        plain, standardised = (linear_dimension(points, standardise=one) for one in (False, True))
    except InputError as problem:
        notes.append(f"No linear companions: {problem}")
        return {}
    return {
        "pca_dimension": plain["pca_dimension"].item(),
        "pca_dimension_standardised": standardised["pca_dimension"].item(),
        "participation_ratio": plain["participation_ratio"].item(),
    }


def components_for(variances: Float[np.ndarray, " components"], share: float) -> int:
    """How many components hold that share of the variance, counted from one."""
    total = np.cumsum(variances)
    return int(np.searchsorted(total, share * total[-1] * (1 - 1e-12)) + 1)


def participation_ratio(spectrum: Spectrum) -> float:
    """(tr Σ)² / tr Σ² with unbiased numerator and denominator, which the plain ratio has not for few points.

    Himeno and Yamada (2014), without normality; n = number of points, S = sample covariance, Q = Σ|x − x̄|⁴/(n − 1):
    tr Σ² ≈ c [(n−1)(n−2) tr S² + (tr S)² − nQ], (tr Σ)² ≈ c [2 tr S² + (n²−3n+1)(tr S)² − nQ],
    c = (n−1)/(n(n−2)(n−3)). Where the first is not positive, the data do not bound the ratio: it is NaN.
    """
    n = spectrum.n_points
    if n < 5:
        raise InputError(f"{counted(n, 'point', 'is')} too few for a participation ratio; at least 5 are needed.")
    trace, squared = float(spectrum.variances.sum()), float(np.sum(spectrum.variances**2))
    q = spectrum.norm_fourth_moment * n / (n - 1)
    below = (n - 1) * (n - 2) * squared + trace**2 - n * q
    above = 2 * squared + (n**2 - 3 * n + 1) * trace**2 - n * q
    return above / below if below > 0 else float("nan")


def principal_variances(
    points: Points, *, standardise: bool = True, shuffle: np.random.Generator | None = None
) -> Spectrum:
    """Eigenvalues of the sample covariance by the smaller of the two Gram matrices, float64, read in column chunks.

    With `shuffle`, each column is permuted by itself first.
    """
    n, d = points.n_points, points.n_dimensions
    if n < 5:
        raise InputError(f"{counted(n, 'point', 'is')} too few for principal components; at least 5 are needed.")
    if min(n, d) > MAX_SIDE:
        raise InputError(f"Principal components of {n} × {d} need a matrix of side {min(n, d)}; at most {MAX_SIDE}.")
    if d <= n:
        gram, norms, n_constant = _covariance(points, standardise, shuffle)
    else:
        gram, norms, n_constant = _gram(points, standardise, shuffle)
    variances = np.linalg.eigvalsh(gram / (n - 1))[::-1]
    variances = np.clip(variances[: min(n - 1, d - n_constant)], 0.0, None)
    if variances.size == 0 or variances[0] <= 0:
        raise InputError("The points do not vary: there are no principal components.")
    return Spectrum(variances, float(np.mean(norms**2)), n, d, n_constant)


def _columns(points: Points, columns: slice, standardise: bool, shuffle: np.random.Generator | None) -> np.ndarray:
    """Centred (and standardised) columns; constant ones are zero."""
    block = points.rows(0, points.n_points, columns).astype(np.float64)
    if not np.isfinite(block).all():
        row, column = np.argwhere(~np.isfinite(block))[0]
        raise InputError(f"Point {row} has the value {block[row, column]}; principal components need finite numbers.")
    constant = np.ptp(block, axis=0) == 0
    block -= block.mean(axis=0)
    block[:, constant] = 0.0
    if standardise:
        spread = block.std(axis=0)
        block /= np.where(spread > 0, spread, 1.0)
    if shuffle is not None:
        block = shuffle.permuted(block, axis=0)
    return block


def _gram(points: Points, standardise: bool, shuffle: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray, int]:
    n, d = points.n_points, points.n_dimensions
    total, n_constant = np.zeros((n, n)), 0
    step = max(1, CHUNK_BYTES // (8 * n))
    for start in range(0, d, step):
        block = _columns(points, slice(start, min(start + step, d)), standardise, shuffle)
        n_constant += int((~block.any(axis=0)).sum())
        total += block @ block.T
    return total, np.diag(total).copy(), n_constant


def _covariance(
    points: Points, standardise: bool, shuffle: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray, int]:
    n, d = points.n_points, points.n_dimensions
    if 8 * n * d <= 4 * CHUNK_BYTES or shuffle is not None:
        block = _columns(points, slice(0, d), standardise, shuffle)
        return block.T @ block, np.einsum("ij,ij->i", block, block), int((~block.any(axis=0)).sum())
    first = points.rows(0, 1).astype(np.float64)
    mean, square = np.zeros(d), np.zeros(d)
    for start, stop in points.blocks():
        moved = points.rows(start, stop) - first
        mean += moved.sum(axis=0) / n
    for start, stop in points.blocks():
        square += np.sum((points.rows(start, stop) - first - mean) ** 2, axis=0)
    if not np.isfinite(square).all():
        raise InputError("The points hold values that are not finite; principal components need finite numbers.")
    constant = square <= 1e-30 * np.maximum(np.abs(first[0] + mean), 1e-300) ** 2 * n
    spread = np.sqrt(square / n) if standardise else np.ones(d)
    spread[constant] = np.inf
    total, norms = np.zeros((d, d)), np.empty(n)
    for start, stop in points.blocks():
        block = (points.rows(start, stop) - first - mean) / spread
        total += block.T @ block
        norms[start:stop] = np.einsum("ij,ij->i", block, block)
    return total, norms, int(constant.sum())


def _parallel_analysis(points: Points, spectrum: Spectrum, standardise: bool, n_shuffles: int, seed: int) -> int:
    """Components whose variance exceeds the 95th percentile of that of column-wise shuffled points (Horn 1965)."""
    rng = generator(seed, "dimension/parallel-analysis")
    chance = [principal_variances(points, standardise=standardise, shuffle=rng).variances for _ in range(n_shuffles)]
    size = min(spectrum.variances.size, *(values.size for values in chance))
    bar = np.quantile([values[:size] for values in chance], 0.95, axis=0)
    above = spectrum.variances[:size] > bar * (1 + 1e-9)
    return int(size if above.all() else np.argmin(above))
