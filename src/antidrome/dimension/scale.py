"""Does the dimension depend on the scale it is measured at? Block decimation, Gride, and a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from antidrome.core.progress import progress as show_progress
from antidrome.core.whole import whole_numbers
from antidrome.dimension.decimation import Blocks, over_blocks
from antidrome.dimension.graph import Duplicates
from antidrome.dimension.metrics import Metric
from antidrome.dimension.points import as_points
from antidrome.dimension.two_nn import Method, check_discard
from antidrome.dimension.units import with_units
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

Verdict = Literal["reliable", "depends on scale", "too few points"]
OCTAVES = (1, 2, 4, 8, 16)
PAPER_BLOCKS = tuple(range(1, 21))
MIN_BLOCK = 50
FLAT = 0.04
"""Largest change per doubling of N, relative to d, that still counts as a plateau."""
MAX_RELATIVE_ERROR = 0.15
LOWER_BOUND_ABOVE = 20.0
PLATEAU_OCTAVES = 2.01
Z90 = 1.645


class Judgement(NamedTuple):
    """Verdict, why, whether the number is only a lower bound, and the change per doubling of N."""

    verdict: Verdict
    reason: str
    lower_bound: bool
    change_per_doubling: float


def block_analysis(
    points: Any,
    blocks: Sequence[int] | Literal["octaves", "paper"] = "octaves",
    *,
    metric: Metric = "euclidean",
    method: Method = "fit",
    discard_fraction: float = 0.1,
    duplicates: Duplicates = "drop",
    seed: int = 0,
    whole: xr.Dataset | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """ID against sample size: the points are split at random into b disjoint blocks, and each is measured.

    Parameters
    ----------
    points
        As for `nearest_neighbours`.
    blocks
        Numbers of blocks b: "octaves" (1, 2, 4, 8, 16), "paper" (1…20, Ansuini et al. 2019) or a list. Those that
        leave fewer than 50 points per block are left out, and noted.
    metric, method, discard_fraction, duplicates
        As for `TwoNN`.
    seed
        Of the split.
    whole
        The neighbour graph of all points, if it is there already.
    progress
        Show a progress bar.

    Returns
    -------
    xr.Dataset
        Along `n_blocks`: `n_points` per block, `dimension` (mean over blocks), `standard_error` of that mean,
        `sd_over_blocks` (the paper's bar; NaN for one block). Attributes: `verdict`, `reason`, `lower_bound`.
    """
    check_discard(discard_fraction)
    points = as_points(points)
    if metric == "precomputed":
        raise InputError("Block analysis needs points; for a distance matrix use Gride on its neighbour graph.")
    chosen, left_out = _choose(blocks, points.n_points)
    how = Blocks(metric=metric, method=method, discard_fraction=discard_fraction, duplicates=duplicates, seed=seed)
    rows: dict[int, tuple[float, float, float]] = {}
    with show_progress("Block analysis", total=sum(chosen), unit="blocks", enabled=progress) as bar:
        for b, found in over_blocks(points, chosen, how, whole, bar.advance):
            if found is None:
                left_out.append(b)
            else:
                rows[b] = _summary(found)
    said = f"Blocks {sorted(left_out)} were left out: fewer than {MIN_BLOCK} points each, or too few usable ratios."
    if not rows:
        raise InputError(
            f"{counted(points.n_points, 'point')} cannot be split as asked. {said} Give smaller numbers of blocks, or"
            " more points."
        )
    mean, error, spread = np.array(list(rows.values())).T
    result = xr.Dataset(
        {
            "n_points": ("n_blocks", points.n_points // np.array(list(rows))),
            "dimension": ("n_blocks", mean),
            "standard_error": ("n_blocks", error),
            "sd_over_blocks": ("n_blocks", spread),
        },
        coords={"n_blocks": list(rows)},
    )
    judged = judge(result["n_points"].values, mean, error)
    notes = [said] if left_out else []
    return with_units(result).assign_attrs(**attributes(judged), notes=notes, citations=["facco2017", "ansuini2019"])


def judge(n_points: np.ndarray, dimension: np.ndarray, standard_error: np.ndarray) -> Judgement:
    """Judge a curve of ID against sample size (or N/n for Gride's rank n).

    The plateau is looked for over the upper two octaves of N; the line through them, weighted by the errors, gives the
    change per doubling.
    """
    order = np.argsort(n_points)[::-1]
    n_points, dimension, standard_error = (np.asarray(x)[order] for x in (n_points, dimension, standard_error))
    d, relative = float(dimension[0]), float(standard_error[0] / dimension[0])
    top = np.log2(n_points[0] / n_points) <= PLATEAU_OCTAVES
    if top.sum() < 2:
        text = f"{n_points[0]:.0f} points are too few to see how the estimate depends on their number."
        return Judgement("too few points", text, True, float("nan"))
    change, error = _slope(np.log2(n_points[top]), dimension[top] / d, standard_error[top] / d)
    grows = change - Z90 * error > 0
    bound = d > LOWER_BOUND_ABOVE
    described = f"{100 * change:+.1f} ± {100 * error:.1f} % per doubling of N"
    if relative > MAX_RELATIVE_ERROR:
        text = f"The standard error is {100 * relative:.0f} % of the estimate ({n_points[0]:.0f} points)."
        return Judgement("too few points", text, bound or grows, change)
    if abs(change) <= FLAT or abs(change) - Z90 * error <= 0:
        if error > FLAT:
            return Judgement("too few points", f"No plateau can be told: {described}.", bound, change)
        text = f"The estimate is on a plateau: {described}."
        if bound:
            text += f" Above {LOWER_BOUND_ABOVE:.0f} any number of points is few: a lower bound."
        return Judgement("reliable", text, bound, change)
    cause = (
        "it grows with N, so that it is a lower bound (or noise that shows at small distances)"
        if change > 0
        else "it falls as N grows: at smaller distances the points have fewer dimensions (curvature, or near-copies)"
    )
    return Judgement("depends on scale", f"There is no plateau: {described}; {cause}.", bound or change > 0, change)


def judge_gride(curve: xr.Dataset, n_points: int) -> Judgement:
    """Judge Gride's curve: the ratio at rank n looks as far as TwoNN with N/n points."""
    return judge(n_points / curve["rank"].values, curve["dimension"].values, curve["standard_error"].values)


def attributes(judged: Judgement) -> dict[str, Any]:
    """A judgement as attributes of a result."""
    return {
        "verdict": judged.verdict,
        "reason": judged.reason,
        "lower_bound": int(judged.lower_bound),
        "change_per_doubling": judged.change_per_doubling,
    }


def _choose(blocks: Sequence[int] | str, n: int) -> tuple[list[int], list[int]]:
    if isinstance(blocks, str):
        if blocks not in ("octaves", "paper"):
            raise InputError(f"blocks is {blocks!r}; expected 'octaves', 'paper' or numbers of blocks.")
        wanted = OCTAVES if blocks == "octaves" else PAPER_BLOCKS
    else:
        wanted = whole_numbers(blocks)
    if wanted is None or min(wanted) < 1:
        raise InputError(f"blocks is {blocks!r}; expected several positive numbers of blocks, such as (1, 2, 4).")
    chosen = sorted({int(b) for b in wanted if b == 1 or n // int(b) >= MIN_BLOCK})
    return chosen, sorted({int(b) for b in wanted} - set(chosen))


def _summary(found: np.ndarray) -> tuple[float, float, float]:
    """Mean over blocks, its standard error (from the errors within blocks, or the spread if larger), the spread."""
    values, errors = found.T
    b = values.size
    within = float(np.sqrt(np.mean(errors**2) / b))
    spread = float(np.std(values, ddof=1)) if b > 1 else float("nan")
    between = spread / np.sqrt(b) if b >= 5 else 0.0
    return float(values.mean()), max(within, between), spread


def _slope(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    weight = 1 / np.maximum(error, 1e-12) ** 2
    centre = np.sum(weight * x) / weight.sum()
    spread = np.sum(weight * (x - centre) ** 2)
    return float(np.sum(weight * (x - centre) * y) / spread), float(np.sqrt(1 / spread))
