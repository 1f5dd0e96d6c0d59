"""All diagnostics of one posterior, and what they let conclude, in plain words."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.seeds import fold_in, generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.diagnostics.calibration import (
    Pairs,
    coverage_levels,
    empirical_curve,
    rank_levels,
    tarp_levels,
    uniformity,
)
from antidrome.mechanism.diagnostics.local_c2st import LocalTest, local_c2st
from antidrome.mechanism.features import UNREACHED
from antidrome.mechanism.posterior import Posterior
from antidrome.mechanism.weights import effective_sample_size

GRID = np.linspace(0, 1, 51)
SUSPICIOUS = 0.01
FEW_PAIRS = 30.0
"""Effective pairs; with fewer, calibration is hardly tested."""
PAIRS, SAMPLES = 300, 100
"""Pairs that a posterior is judged by at most, and posterior samples at each, where nothing else is said."""
FEWEST_PAIRS, FEWEST_SAMPLES = 10, 10
"""Pairs, and posterior samples at each; with fewer, nothing is judged."""
NOT_JUDGED = (
    f"This posterior was not judged: fewer than {FEWEST_PAIRS} simulations with a weight are there to judge by."
    " Simulate more."
)


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """How far a posterior can be trusted.

    Parameters
    ----------
    ranks
        SBC levels (n, D).
    coverage, tarp
        Levels (n,).
    weights
        Of the pairs (n,).
    held_out
        Whether the pairs were kept out of training.
    calibration
        Dataset over `parameter` and `level`: curves and their tests.
    local
        L-C2ST at the observation.
    predictive
        Posterior predictive check; None without a simulator.
    conclusions
        Sentences, worst first.
    trustworthy
        Whether nothing speaks against the posterior, and the simulations are enough to tell.
    """

    ranks: np.ndarray
    coverage: np.ndarray
    tarp: np.ndarray
    weights: np.ndarray
    held_out: bool
    calibration: xr.Dataset
    local: LocalTest
    predictive: xr.Dataset | None
    conclusions: tuple[str, ...]
    trustworthy: bool

    def __str__(self) -> str:
        return "\n".join(self.conclusions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready figures."""
        numbers = {name: float(value) for name, value in self.calibration.attrs.items()}
        return {
            "trustworthy": self.trustworthy,
            "conclusions": list(self.conclusions),
            "pairs": len(self.weights),
            "effective_pairs": effective_sample_size(self.weights),
            "held_out": self.held_out,
            "rank_p": dict(
                zip(
                    self.calibration["parameter"].values.tolist(),
                    self.calibration["rank_p"].values.tolist(),
                    strict=True,
                )
            ),
            "local_c2st": self.local.statistic,
            "local_c2st_p": self.local.p,
            **numbers,
        }


def diagnose(
    posterior: Posterior,
    u: np.ndarray,
    features: np.ndarray,
    weights: np.ndarray,
    *,
    held_out: bool = True,
    predictive: xr.Dataset | None = None,
    n_pairs: int = PAIRS,
    n_samples: int = SAMPLES,
    seed: int = 0,
) -> Diagnosis:
    """Calibration, local test and conclusions from weighted simulations.

    Ranks, coverage and TARP are those of the mean weights of a Bayesian network, whatever the posterior's
    `n_weight_samples`.

    Parameters
    ----------
    posterior
        To judge.
    u, features, weights
        Simulations (n, D), (n, k), (n,): parameters in unconstrained coordinates, features as simulated, and prior
        over proposal times kernel.
    held_out
        Whether they were kept out of training.
    predictive
        From `predictive_check`.
    n_pairs, n_samples
        Simulations that are used at most (drawn at random among those with weight), posterior samples at each.

    Raises
    ------
    InputError
        Fewer than ten simulations have a weight, or `n_pairs` or `n_samples` are fewer.
    """
    n_pairs = whole_number("n_pairs", n_pairs, FEWEST_PAIRS)
    n_samples = whole_number("n_samples", n_samples, FEWEST_SAMPLES)
    usable = usable_pairs(weights)
    if len(usable) < FEWEST_PAIRS:
        raise InputError(f"{len(usable)} simulations have a weight; diagnostics need at least {FEWEST_PAIRS}.")
    if len(usable) > n_pairs:
        usable = np.sort(generator(seed, "mechanism/diagnose").choice(usable, n_pairs, replace=False))
    visible = posterior.visible(features[usable])
    found = Pairs.of(posterior.trained, u[usable], visible, weights[usable], n_samples=n_samples, seed=seed)
    ranks, tarp = rank_levels(found), tarp_levels(found, seed=seed)
    coverage = coverage_levels(found, posterior.trained)
    local = local_c2st(
        found,
        posterior.trained.scaling(visible),
        posterior.trained.scaling(posterior.visible(posterior.observation)[None])[0],
        posterior.density().density.sample(1000, seed=fold_in(seed, "local")),
        seed=seed,
    )
    table = _calibration(posterior.names, ranks, coverage, tarp, found.weights)
    against = _objections(table, local, predictive, posterior, found.effective)
    basis = "held-out simulations" if held_out else "simulations that it was trained on"
    judged = f"judged by {found.effective:.0f} effective {basis}."
    conclusions = (*against, judged.capitalize()) if against else (f"Nothing speaks against this posterior, {judged}",)
    return Diagnosis(ranks, coverage, tarp, found.weights, held_out, table, local, predictive, conclusions, not against)


def usable_pairs(weights: np.ndarray) -> np.ndarray:
    """Rows of the simulations with more than next to no weight."""
    return np.flatnonzero(weights > 1e-6 * weights.max(initial=0.0))


def _calibration(
    names: tuple[str, ...], ranks: np.ndarray, coverage: np.ndarray, tarp: np.ndarray, weights: np.ndarray
) -> xr.Dataset:
    tests = [uniformity(ranks[:, i], weights) for i in range(len(names))]
    curves = np.stack([empirical_curve(ranks[:, i], weights, GRID) for i in range(len(names))])
    (coverage_d, coverage_p), (tarp_d, tarp_p) = uniformity(coverage, weights), uniformity(tarp, weights)
    plain = {"units": "1"}
    return xr.Dataset(
        {
            "rank_curve": (("parameter", "level"), curves, plain),
            "rank_deviation": ("parameter", [d for d, _ in tests], plain),
            "rank_p": ("parameter", [p for _, p in tests], plain),
            "coverage_curve": ("level", empirical_curve(coverage, weights, GRID), plain),
            "tarp_curve": ("level", empirical_curve(tarp, weights, GRID), plain),
        },
        {"parameter": list(names), "level": GRID},
        {"coverage_deviation": coverage_d, "coverage_p": coverage_p, "tarp_deviation": tarp_d, "tarp_p": tarp_p},
    )


def _objections(
    table: xr.Dataset, local: LocalTest, predictive: xr.Dataset | None, posterior: Posterior, effective: float
) -> list[str]:
    """What speaks against the posterior, or leaves it untested, in sentences."""
    sentences = []
    few = SUSPICIOUS / table.sizes["parameter"]  # Bonferroni: of many parameters some p is always small
    biased = [str(n) for n, p in zip(table["parameter"].values, table["rank_p"].values, strict=True) if p < few]
    if biased:
        sentences.append(
            f"Ranks of {', '.join(biased)} are not uniform: these marginals are biased or of the wrong width. Simulate"
            " more, or use a richer density."
        )
    if table.attrs["coverage_p"] < SUSPICIOUS:
        too = "narrow (overconfident)" if table.attrs["coverage_deviation"] < 0 else "wide (cautious)"
        sentences.append(
            f"Credible regions are too {too}: coverage is off by {abs(table.attrs['coverage_deviation']):.2f}."
        )
    if table.attrs["tarp_p"] < SUSPICIOUS:
        sentences.append("TARP finds the joint posterior miscalibrated.")
    if local.p < 0.04 and local.statistic > 2 * np.median(local.null):
        sentences.append("A classifier tells the posterior from the truth at this observation (L-C2ST).")
    sentences += _of_predictive(predictive, posterior)
    last = posterior.reports[-1] if posterior.reports else None
    if last is not None and (last.effective < 100 or last.largest_weight > 0.1):
        sentences.append(
            f"The importance weights of the last round leave {last.effective:.0f} effective simulations, the largest"
            f" has {100 * last.largest_weight:.0f} %: more simulations would help, or with a simulator method='default'"
            " or 'tsnpe'."
        )
    sentences += [note for note in posterior.notes if UNREACHED in note]
    if effective < FEW_PAIRS:
        sentences.append(f"Only {effective:.0f} effective simulations to judge by: calibration is hardly tested.")
    return sentences


def _of_predictive(predictive: xr.Dataset | None, posterior: Posterior) -> list[str]:
    if predictive is None:
        return []
    sentences = []
    if predictive.attrs["simulations"] == 0:
        return ["Every simulation at posterior samples failed."]
    n, lacking = predictive.attrs["simulations"], predictive["missing"].values
    gap = np.isnan(predictive["observed"].values)
    unrecorded = np.zeros(len(gap), bool) if posterior.unrecorded is None else posterior.unrecorded
    rare = (1 + n * np.where(gap, lacking, 1 - lacking)) / (1 + n) < SUSPICIOUS  # a feature, or a gap, as observed
    far = predictive["feature"].values[(predictive["tail_probability"] < SUSPICIOUS).values | (rare & ~gap)]
    if len(far):
        some = ", ".join(map(str, far[:6]))
        sentences.append(f"Simulations at the posterior do not give the observed {some}.")
    odd = predictive["feature"].values[rare & gap & ~unrecorded]
    if len(odd):
        some = ", ".join(map(str, odd[:6]))
        sentences.append(
            f"Simulations at the posterior have what the observation lacks ({some}): if it was only not measured, fit"
            " with missing='unrecorded' (--missing unrecorded)."
        )
    failed = predictive.attrs["failed"]
    total = failed + predictive.attrs["simulations"]
    if failed > 0.2 * total:
        sentences.append(f"{failed} of {total} simulations at posterior samples failed.")
    return sentences
