"""The paper's controls: what would the dimension be, had the network learnt nothing, or were its activations Gaussian?

Ansuini et al. (2019): untrained networks (figure 5A), Gaussian activations of the same covariance ("linearised",
figure 5B), randomised labels and luminance-perturbed images (figure 6B), dimension of the last hidden layer against
accuracy (figure 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dimension.linear import principal_variances
from antidrome.dimension.points import as_points
from antidrome.dimension.untrained import untrained
from antidrome.errors import InputError
from antidrome.recordings.arguments import listing, one_of

MIN_NETWORKS = 4


def shuffled_labels(labels: Any, *, seed: int = 0) -> np.ndarray:
    """Labels in random order: each class keeps its size, and an image's label says nothing about the image.

    Parameters
    ----------
    labels
        One label for each data point, shape (n,).
    seed
        Seed of the order.

    Raises
    ------
    InputError
        No list of labels.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise InputError(f"The labels have the shape {labels.shape}; expected one label for each data point.")
    return generator(seed, "dimension/controls/labels").permutation(labels)


def gaussian_twin(
    points: Any,
    *,
    spectrum: Literal["covariance", "published"] = "covariance",
    standardise: bool = False,
    seed: int = 0,
) -> Float[np.ndarray, "points components"]:
    """Gaussian points with the mean-free second moments of the given ones: the linearised control.

    Given N points with singular values s of the centred data, independent normal numbers of standard deviation
    s/√(N − 1) are drawn along the principal axes. They are returned in these coordinates: a rotation changes no
    distance, and N − 1 numbers a point are enough, whatever the width of the layer.

    Parameters
    ----------
    points
        Activations (points, units), in memory or on disk; read in chunks of columns.
    spectrum
        "covariance": the standard deviations s/√(N − 1), so that the covariance is that of the data. "published": √s,
        as in the code of Ansuini et al. (2019), whose spectrum is flatter than the data's; for comparison with their
        figure only.
    standardise
        Divide each unit by its standard deviation first, as the paper does; constant units stay zero.
    seed
        Seed of the normal numbers.

    Raises
    ------
    InputError
        Fewer than five points, all points equal, or values that are not finite.
    """
    points = as_points(points)
    n = points.n_points
    one_of("spectrum", spectrum, ("covariance", "published"))
    variances = principal_variances(points, standardise=standardise).variances
    variances = variances[variances > variances[0] * n * np.finfo(float).eps]
    deviations = np.sqrt(variances) if spectrum == "covariance" else (variances * (n - 1)) ** 0.25
    return generator(seed, "dimension/controls/gaussian").standard_normal((n, deviations.size)) * deviations


def shuffled_columns(points: Any, *, seed: int = 0) -> np.ndarray:
    """Points whose units are permuted over the points, each for itself: units keep their values and lose their company.

    Parameters
    ----------
    points
        Activations (points, units).
    seed
        Seed of the permutations.
    """
    points = as_points(points)
    values = points.rows(0, points.n_points)
    return generator(seed, "dimension/controls/columns").permuted(values, axis=0)


def perturbed_luminance(images: Any, amplitude: float, *, seed: int = 0) -> np.ndarray:
    """Images with a random brightness added to each: x + U(0, amplitude), the paper's MNIST*.

    One strong direction is added to the data, so that the dimension falls as the amplitude grows.

    Parameters
    ----------
    images
        Images (points, …) with values in [0, 1].
    amplitude
        Largest brightness that is added; the paper's text says 100, its effect (dimension 3) needs about 1000.
    seed
        Seed of the brightness.

    Returns
    -------
    Images of the same shape, float64; not rescaled, which would change all distances by one factor.

    Raises
    ------
    InputError
        Images outside [0, 1], or a negative amplitude.
    """
    images, draw = _images(images, amplitude), generator(seed, "dimension/controls/luminance")
    return images + draw.uniform(0, amplitude, len(images)).reshape(-1, *[1] * (images.ndim - 1))


def perturbed_gradient(images: Any, amplitude: float, *, seed: int = 0) -> np.ndarray:
    """Images with a random linear gradient of brightness added to each, of any direction: two strong directions.

    Parameters
    ----------
    images
        Images (points, height, width) or (points, channels, height, width) with values in [0, 1].
    amplitude
        Largest difference of brightness between two opposite edges.
    seed
        Seed of strengths and directions.

    Raises
    ------
    InputError
        Other shapes, images outside [0, 1], or a negative amplitude.
    """
    images, draw = _images(images, amplitude), generator(seed, "dimension/controls/gradient")
    if images.ndim not in (3, 4):
        raise InputError(
            f"The images have the shape {images.shape}; a gradient needs (points, height, width) or (points, channels,"
            " height, width)."
        )
    y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, size) for size in images.shape[-2:]), indexing="ij")
    angle, strength = draw.uniform(0, 2 * np.pi, len(images)), draw.uniform(0, amplitude, len(images))
    along_x, along_y = strength * np.cos(angle), strength * np.sin(angle)
    ramp = along_x[:, None, None] * x + along_y[:, None, None] * y
    return images + (ramp if images.ndim == 3 else ramp[:, None])


@dataclass(frozen=True)
class Correlation:
    """How two lists of numbers go together.

    Parameters
    ----------
    r
        Pearson correlation.
    lower, upper
        Its confidence interval by Fisher's transformation.
    spearman
        Rank correlation.
    p_value
        Two-sided, of permutations.
    n_networks
        How many networks.
    level
        Of the interval.
    """

    r: float
    lower: float
    upper: float
    spearman: float
    p_value: float
    n_networks: int
    level: float

    def __str__(self) -> str:
        return (
            f"r = {self.r:.2f}, {self.level:.0%} interval {self.lower:.2f} … {self.upper:.2f}, Spearman"
            f" {self.spearman:.2f}, p = {self.p_value:.3g}, n = {self.n_networks}"
        )


def dimension_against_accuracy(
    dimension: Any, accuracy: Any, *, level: float = 0.95, n_permutations: int = 9999, seed: int = 0
) -> Correlation:
    """Correlation of the dimension of the last hidden layer with accuracy (or error) over networks.

    Ansuini et al. (2019) found r = 0.94 with the top-5 error over 14 ImageNet architectures, and −0.003 over 50 seeds
    of one architecture: few networks of one kind show nothing.

    Parameters
    ----------
    dimension, accuracy
        One number for each network; with the same labels (pandas, xarray, mappings) they belong together by these.
    level
        Of the interval.
    n_permutations
        Permutations of the test.
    seed
        Seed of the permutations.

    Raises
    ------
    InputError
        Fewer than four networks, other lengths, labels of which only some agree, or that occur twice and stand in
        another order, NaN, or one value for all.
    """
    names, others = _labels(dimension), _labels(accuracy)
    x, y = (np.asarray(list(v.values()) if isinstance(v, Mapping) else v, float) for v in (dimension, accuracy))
    if names != others and len(set(names)) == len(names) and sorted(names) == sorted(others):
        y = y[[others.index(name) for name in names]]
    elif (alone := set(names) ^ set(others)) and set(names) & set(others):
        raise InputError(
            f"Of some networks only the dimension or the accuracy is known: {listing(sorted(alone))}. Leave them out."
        )
    elif names != others and set(names) & set(others):
        twice = [name for name in dict.fromkeys(names) if max(names.count(name), others.count(name)) > 1]
        raise InputError(
            f"The name {twice[0]!r} occurs twice, so that it is not known which dimension goes with which accuracy."
            " Number such networks, as by their seeds."
        )
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(
            f"Dimension and accuracy have the shapes {x.shape} and {y.shape}; expected one number a network."
        )
    if x.size < MIN_NETWORKS:
        raise InputError(f"{x.size} networks are too few for an interval of a correlation; at least {MIN_NETWORKS}.")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a share such as 0.95.")
    whole_number("n_permutations", n_permutations, 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("Dimension or accuracy has NaN or infinite values; drop these networks first.")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise InputError("Dimension or accuracy has one value for all networks; a correlation is not defined.")
    pearson = stats.pearsonr(x, y)
    interval = pearson.confidence_interval(level)
    draw = generator(seed, "dimension/controls/accuracy")
    centred = y - y.mean()
    null = np.array([abs((x - x.mean()) @ draw.permutation(centred)) for _ in range(n_permutations)])
    observed = abs((x - x.mean()) @ centred)
    return Correlation(
        r=float(pearson.statistic),
        lower=float(interval.low),
        upper=float(interval.high),
        spearman=float(stats.spearmanr(x, y).statistic),
        p_value=float((1 + np.sum(null >= observed * (1 - 1e-12))) / (1 + n_permutations)),
        n_networks=x.size,
        level=level,
    )


def _labels(values: Any) -> list[str]:
    """Of a mapping, a series of pandas or a one-dimensional object of xarray; none of an array."""
    if isinstance(values, Mapping):
        return [str(name) for name in values]
    index = values.indexes.get(values.dims[0]) if np.ndim(values) == 1 and hasattr(values, "indexes") else None
    index = getattr(values, "index", None) if index is None else index
    return [str(name) for name in index] if hasattr(index, "get_indexer") else []


def _images(images: Any, amplitude: float) -> np.ndarray:
    images = np.asarray(images, np.float64)
    if images.ndim < 2 or images.size == 0:
        raise InputError(f"The images have the shape {images.shape}; expected (points, …).")
    if not (images.min() >= 0 and images.max() <= 1):
        raise InputError(
            f"The images have values from {images.min():g} to {images.max():g}; expected 0 … 1. Divide bytes by 255."
        )
    if not amplitude >= 0 or not np.isfinite(amplitude):
        raise InputError(f"The amplitude is {amplitude}; expected a finite number, 0 or more.")
    return images


__all__ = [
    "Correlation",
    "dimension_against_accuracy",
    "gaussian_twin",
    "perturbed_gradient",
    "perturbed_luminance",
    "shuffled_columns",
    "shuffled_labels",
    "untrained",
]
