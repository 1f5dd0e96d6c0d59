"""Claim: stitching in about a second, from no particular start, what EM finds from few random ones.

The demonstration problem of the S3ID reference code (p = 100 neurons, n = 4, T = 1000 frames), ten seeds: fully
observed, and as three subpopulations of 40 that overlap by 10, recorded in turn in stretches of 10 frames. Beside us:
our own EM (40 iterations) from one random start a seed and from the truth, zero-lag factor analysis by moments,
principal components, and, where installed and for the first seed, statsmodels' DynamicFactorMQ (15 iterations,
stitched) and dynamax (60 iterations, fully observed; compilation, which its every fit repeats, is told apart). The
reference code itself is not run. Subspaces are compared by principal angles in units of π/2, pairs
that were never recorded together by the correlation of predicted and true covariance C Π Cᵀ (ours predicts with
`of="process"`). The realised covariance of the same 1000 frames agrees with the true one only so far: `ceiling`, the
score of knowing C and every latent state; how well that realised covariance is predicted is printed beside.

    python -m benchmarks.dynamics_reference [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import functools
import importlib.util
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import antidrome as ad
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.em import EMState, expectation_maximisation
from antidrome.dynamics.gauge import principal_angles
from antidrome.dynamics.simulate import SimulatedPopulation, simulate
from benchmarks.dynamics_rows import KeptRows
from benchmarks.harness import finish, options, show
from benchmarks.tables.headlines import headline_of

PACKAGES = ("dynamax", "statsmodels")
"""What is compared with, as pip calls it: the result names their versions."""
N_NEURONS, N_COMPONENTS, N_FRAMES = 100, 4, 1000
SUBPOPULATIONS = ((0, 40), (30, 70), (60, 100))
STRETCH = 10
LARGEST_ANGLE = 0.08


def main() -> None:
    """Run, print, write."""
    parser = options(__doc__)
    parser.add_argument("--kept", type=Path, help="file for finished seeds: an interrupted run goes on from there")
    arguments, started = parser.parse_args(), time.time()
    kept = KeptRows(arguments.kept)
    seeds = range(arguments.seed, arguments.seed + (3 if arguments.quick else 10))
    warm_up()
    rows = [row for seed in seeds for row in kept.get(str(seed), functools.partial(one_seed, seed, arguments.quick))]
    full = [row for row in rows if row["method"] == "StitchedLDS" and row["data"] == "full"]
    from_truth = {row["seed"]: row for row in rows if row["method"] == "EM from the truth" and row["data"] == "full"}
    ok = [row for row in full if row["largest_angle"] <= LARGEST_ANGLE]
    within = [row["largest_angle"] <= 1.25 * from_truth[row["seed"]]["largest_angle"] for row in full]
    result = {
        "full_seconds": float(np.median([row["seconds"] for row in full])),
        "full_seeds_ok": len(ok),
        "full_seeds": len(full),
        "full_within_em_from_truth": int(sum(within)),
        "stitched_unseen_r": median_r(rows, "StitchedLDS"),
        "stitched_unseen_r_em": median_r(rows, "StitchedLDS + EM"),
        "stitched_unseen_r_ceiling": median_r(rows, "ceiling"),
        "stitched_unseen_r_em_from_truth": median_r(rows, "EM from the truth"),
        "stitched_unseen_r_realised": median_r(rows, "StitchedLDS", "unseen_r_realised"),
        "stitched_unseen_r_em_realised": median_r(rows, "StitchedLDS + EM", "unseen_r_realised"),
        "rows": rows,
    }
    for data in ("full", "stitched"):
        show(
            f"{data}, medians over the seeds",
            ["method", "seeds", "seconds", "largest angle", "unseen r", "of realised"],
            table(rows, data),
        )
    finish({"headline": headline_of("dynamics_reference", result), **result}, started, arguments.json, PACKAGES)


def warm_up() -> None:
    """Load what the first fit loads."""
    ad.StitchedLDS(2, n_starts=1, max_iterations=2).fit(simulate(10, 2, 50).activity, progress=False)


def one_seed(seed: int, quick: bool) -> list[dict[str, Any]]:
    """All methods on one simulated data set."""
    truth = simulate(N_NEURONS, N_COMPONENTS, N_FRAMES, seed)
    turn = (np.arange(N_FRAMES) // STRETCH) % len(SUBPOPULATIONS)
    observed = np.zeros((N_FRAMES, N_NEURONS), bool)
    for index, (start, stop) in enumerate(SUBPOPULATIONS):
        observed[np.ix_(turn == index, np.arange(start, stop))] = True
    unseen = np.triu(observed.T.astype(int) @ observed.astype(int) == 0, 1)
    data = {"full": truth.activity, "stitched": np.where(observed, truth.activity, np.nan)}
    rows = []
    for name, matrix in data.items():
        for method, run in methods(truth, name, seed, quick).items():
            begin = time.perf_counter()
            loadings, covariance, of_frames = run(matrix)
            seconds = time.perf_counter() - begin
            compilation = compilation_s(matrix) if method == "dynamax EM" else None
            predicted, shown = loadings @ covariance @ loadings.T, loadings @ of_frames @ loadings.T
            realised = truth.loadings @ np.cov(truth.latents.T) @ truth.loadings.T
            works = bool(np.isfinite(predicted).all() and np.isfinite(shown).all())
            angles = principal_angles(loadings, truth.loadings).tolist() if works else None
            true, realised = truth.covariance[unseen], realised[unseen]
            rows.append(
                {
                    "seed": seed,
                    "data": name,
                    "method": method,
                    "seconds": seconds if compilation is None else max(0.0, seconds - compilation),
                    "compilation_s": compilation,
                    "angles": angles,
                    "largest_angle": angles[-1] if angles else None,
                    "unseen_r": float(np.corrcoef(predicted[unseen], true)[0, 1]) if works else None,
                    "unseen_r_realised": float(np.corrcoef(shown[unseen], realised)[0, 1]) if works else None,
                }
            )
    return rows


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
Method = Callable[[np.ndarray], Found]


def methods(truth: SimulatedPopulation, data: str, seed: int, quick: bool) -> dict[str, Method]:
    """Name → function of the data that returns loadings and the latent covariances of the process and of its frames."""
    found: dict[str, Method] = {
        "StitchedLDS": lambda y: ours(y, seed),
        "zero-lag FA": lambda y: ours(y, seed, zero_lag="always", lags=[0], shrinkage=0.0),
        "EM from the truth": lambda y: em(y, truth, None),
        "ceiling": lambda _: (truth.loadings, np.cov(truth.latents.T), np.cov(truth.latents.T)),
    }
    if data == "stitched":
        found["StitchedLDS + EM"] = lambda y: ours(y, seed, refine="em")
    if not quick:
        found["EM from random"] = lambda y: em(y, truth, seed)
        if importlib.util.find_spec("statsmodels") and seed == 0 and data == "stitched":
            found["DynamicFactorMQ"] = attempted(dynamic_factor)
        if importlib.util.find_spec("dynamax") and data == "full" and seed == 0:
            found["dynamax EM"] = attempted(dynamax_em)
    if data == "full":
        found["PCA"] = principal_components
    return found


def attempted(peer: Method) -> Method:
    """A peer whose failure is a row without figures, not the end of the benchmark."""

    def run(matrix: np.ndarray) -> Found:
        try:
            return peer(matrix)
        except Exception as error:  # whatever another package raises
            warnings.warn(f"{peer.__name__}: {error}", stacklevel=1)
            nothing = np.full((N_COMPONENTS, N_COMPONENTS), np.nan)
            return np.full((matrix.shape[1], N_COMPONENTS), np.nan), nothing, nothing

    return run


def ours(matrix: np.ndarray, seed: int, **settings: Any) -> Found:
    """The estimator, as a user calls it."""
    model = ad.StitchedLDS(N_COMPONENTS, seed=seed, **settings).fit(matrix, progress=False)
    return model.loadings_.values, model.result_.process, model.result_.lagged.latent[0]


def em(matrix: np.ndarray, truth: SimulatedPopulation, seed: int | None) -> Found:
    """Our EM, 40 iterations, from the truth or from random loadings."""
    session = ad.dynamics.as_population(matrix).sessions[0]
    data = [SessionData(session, np.ones(N_NEURONS)).in_memory()]
    n = np.eye(N_COMPONENTS)
    if seed is None:
        start = EMState(truth.dynamics, truth.innovation, n, truth.loadings, truth.noise_variance, n)
    else:
        rng = np.random.default_rng(seed)
        loadings = rng.standard_normal(truth.loadings.shape) * np.sqrt(session.variance.mean() / 8)
        start = EMState(0.9 * n, 0.19 * n, n, loadings, session.variance / 2, n)
    state = expectation_maximisation(data, start, 40, 1e-8)
    return state.loadings, state.second, state.second


def principal_components(matrix: np.ndarray) -> Found:
    """The first four principal components."""
    _, values, vectors = np.linalg.svd(matrix - matrix.mean(0), full_matrices=False)
    covariance = np.diag(values[:N_COMPONENTS] ** 2 / len(matrix))
    return vectors[:N_COMPONENTS].T, covariance, covariance


def dynamic_factor(matrix: np.ndarray) -> Found:
    """statsmodels' EM with per-entry missing values (15 iterations, seconds each; it takes DataFrames only)."""
    import pandas as pd
    from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

    frame = pd.DataFrame(matrix - np.nanmean(matrix, axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DynamicFactorMQ(
            frame, factors=N_COMPONENTS, factor_orders=1, idiosyncratic_ar1=False, standardize=False
        )
        found = model.fit_em(maxiter=15, disp=False)
    states = np.asarray(found.smoothed_state)[:N_COMPONENTS]
    return np.asarray(model.ssm["design"])[:, :N_COMPONENTS], np.cov(states), np.cov(states)


def compilation_s(matrix: np.ndarray) -> float:
    """Seconds that dynamax takes for two iterations, which is what its every fit compiles."""
    begin = time.perf_counter()
    attempted(lambda y: dynamax_em(y, iterations=2))(matrix)
    return time.perf_counter() - begin


def dynamax_em(matrix: np.ndarray, iterations: int = 60) -> Found:
    """dynamax's EM (complete data only)."""
    import jax.numpy as jnp
    import jax.random as jr
    from dynamax.linear_gaussian_ssm import LinearGaussianSSM

    model = LinearGaussianSSM(N_COMPONENTS, N_NEURONS)
    parameters, properties = model.initialize(jr.PRNGKey(0))
    centred = jnp.asarray(matrix - matrix.mean(0))
    parameters, _ = model.fit_em(parameters, properties, centred, num_iters=iterations, verbose=False)
    states = model.smoother(parameters, centred).smoothed_means
    covariance = np.cov(np.asarray(states, float).T)
    return np.asarray(parameters.emissions.weights, float), covariance, covariance


def median_r(rows: list[dict[str, Any]], method: str, key: str = "unseen_r") -> float:
    """Median over the seeds, stitched data."""
    values = [row[key] for row in rows if row["method"] == method and row["data"] == "stitched"]
    return float(np.median(values))


def table(rows: list[dict[str, Any]], data: str) -> list[list[Any]]:
    """Medians of every method."""
    names = dict.fromkeys(row["method"] for row in rows if row["data"] == data)
    result = []
    for name in names:
        chosen = [row for row in rows if row["method"] == name and row["data"] == data]
        columns = ("seconds", "largest_angle", "unseen_r", "unseen_r_realised")
        known = [[row[column] for row in chosen if row[column] is not None] for column in columns]
        result.append([name, len(chosen), *(float(np.median(values)) if values else "–" for values in known)])
    return result


if __name__ == "__main__":
    main()
