"""Claim: on real recordings, correlations of pairs never recorded together are predicted better than by zero-lag FA.

Worms (NeuroPAL, named neurons): half of the neuron classes are hidden in each worm, left and right sisters together,
five mask seeds. Mice (CA1, cells registered over 8 days; 0.5 s bins, Gaussian of one bin): 60 % of the cells of every
session are kept, three seeds. The targets are pairs that the masked data never hold together and the full data do; the
truth is the mean over sessions of their correlation. Everything that is chosen (dimensions, shrinkage, coupling,
private noise, lags or not) is chosen on pairs held out of the masked data. Beside us: factor analysis by zero-lag
moments as it is usually done (no shrinkage), with its own number of dimensions chosen in the same way; the same with
our shrinkage; EM, 15 iterations, from random loadings and from our solution.

    python -m benchmarks.dynamics_real [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

import antidrome as ad
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.em import EMState, expectation_maximisation
from antidrome.dynamics.reports import compare_pairs
from antidrome.dynamics.selection import agreement
from benchmarks.dynamics_rows import KeptRows
from benchmarks.harness import data_folder, finish, options, require_data, show
from benchmarks.tables.headlines import headline_of

BIN_FRAMES = 10
KEPT_SHARE = 0.6
ORDERS = {"worm": (2, 3, 4, 6, 8, 12), "mouse": (4, 8, 12, 20)}
LAGS = range(6)
EM_ITERATIONS = 15

Sessions = dict[str, tuple[np.ndarray, np.ndarray]]


def main() -> None:
    """Run, print, write."""
    parser = options(__doc__)
    parser.add_argument("--kept", type=Path, help="file for finished rows: an interrupted run goes on from there")
    parser.add_argument("--mouse-seeds", type=int, default=3, help="mask seeds for each mouse")
    parser.add_argument("--finished", action="store_true", help="report the rows of --kept, and make no others")
    arguments, started = parser.parse_args(), time.time()
    require_data("dynamics_real")
    kept, rows = KeptRows(arguments.kept), []
    for kind, name, seed, make in cases(arguments.seed, arguments.quick, arguments.mouse_seeds):
        if arguments.finished and f"{name}/{seed}" not in kept.rows:
            continue
        rows += kept.get(f"{name}/{seed}", lambda: [one_case(kind, name, seed, *make(), arguments.quick)])  # noqa: B023
    gains = [row["gain_over_fa"] for row in rows]
    result = {
        "mean_gain_over_fa": float(np.mean(gains)),
        "worst_gain_over_fa": float(np.min(gains)),
        "slope": float(np.median([row["slope"] for row in rows])),
        "mean_gain_over_shrunken_fa": float(np.mean([row["r"] - row["r_fa_shrunken"] for row in rows])),
        "rows": rows,
    }
    columns = ["set", "seed", "pairs", "n", "r", "r_fa", "r_fa_shrunken", "slope", "r_em", "r_em_random", "seconds"]
    show("Correlations of pairs never recorded together", columns, [[row[c] for c in columns] for row in rows])
    finish({"headline": headline_of("dynamics_real", result), **result}, started, arguments.json)


Case = tuple[str, str, int, Callable[[], tuple[Sessions, Sessions]]]


def cases(first: int, quick: bool, mouse_seeds: int) -> Iterator[Case]:
    """(kind, set, mask seed, maker of masked and full sessions)."""
    folder = data_folder() / "dynamics"
    for seed in range(first, first + (2 if quick else 5)):
        yield "worm", "worms", seed, functools.partial(masked_worms, folder / "worm_dag2023_neuropal.npz", seed)
    if quick:
        return
    for seed in range(first, first + mouse_seeds):
        for path in sorted(folder.glob("mouse_ca1_*.npz")):
            name = path.stem.removeprefix("mouse_ca1_sheintuch2020_")
            yield "mouse", name, seed, functools.partial(masked_mouse, path, seed)


def masked_worms(path: Path, seed: int) -> tuple[Sessions, Sessions]:
    """Worms without half of their neuron classes, and whole."""
    full, names = worms(path)
    return mask_classes(full, names, seed), full


def masked_mouse(path: Path, seed: int) -> tuple[Sessions, Sessions]:
    """Days of a mouse with 60 % of their cells, and whole."""
    full = mouse(path)
    return mask_cells(full, seed), full


def one_case(kind: str, name: str, seed: int, masked: Sessions, full: Sessions, quick: bool) -> dict[str, Any]:
    """Fit everything to the masked sessions, compare on the pairs that only the full ones hold together."""
    begin = time.perf_counter()
    ours = fitted(masked, kind, seed)
    seconds = time.perf_counter() - begin
    plain = fitted(masked, kind, seed, zero_lag="always", lags=[0], shrinkage=0.0, coupling=np.inf)
    shrunken = fitted(masked, kind, seed, zero_lag="always", lags=[0])
    r, slope, n_pairs = judged(ours, full)
    row = {
        "kind": kind,
        "set": name,
        "seed": seed,
        "pairs": n_pairs,
        "n": ours.n_components_,
        "n_fa": plain.n_components_,
        "shrinkage": ours.result_.settings.shrinkage,
        "share_of_lags": ours.result_.share_of_lags,
        "private_noise": "autocorrelated" if ours.result_.settings.hollow_lags else "white",
        **held_out(ours),
        "r": r,
        "slope": slope,
        "r_fa": judged(plain, full)[0],
        "slope_fa": judged(plain, full)[1],
        "r_fa_shrunken": judged(shrunken, full)[0],
        "r_em": None,
        "r_em_random": None,
        "seconds": seconds,
    }
    row["gain_over_fa"] = row["r"] - row["r_fa"]
    if not quick and seed == 0 and (kind == "worm" or name.startswith("C6")):
        row["r_em"] = em_from(ours, masked, full, None)
        row["r_em_random"] = em_from(ours, masked, full, seed)
    return row


def held_out(ours: ad.StitchedLDS) -> dict[str, float]:
    """Best correlation on the pairs that were held out of the masked data, by kind of model."""
    found = {"held_out_r_white": [], "held_out_r_autocorrelated": [], "held_out_r_zero_lag": []}
    for one in ours.result_.candidates:
        kind = "autocorrelated" if one.settings.hollow_lags else "white"
        found[f"held_out_r_{'zero_lag' if one.settings.zero_lag else kind}"].append(one.correlation)
    return {name: max(values) for name, values in found.items()}


def fitted(masked: Sessions, kind: str, seed: int, **settings: Any) -> ad.StitchedLDS:
    """The estimator with its order chosen on held-out pairs of the masked data."""
    given = {"lags": LAGS, "orders": ORDERS[kind], **settings}
    return ad.StitchedLDS("auto", scaling="session", seed=seed, **given).fit(masked, progress=False)


def judged(model: ad.StitchedLDS, full: Sessions) -> tuple[float, float, int]:
    """Correlation, slope of measured on predicted, and number of target pairs."""
    predicted, measured = model.compare_pairs(full, pairs="unseen", max_pairs=10**7)
    return (*agreement(predicted, measured), len(predicted))


def em_from(ours: ad.StitchedLDS, masked: Sessions, full: Sessions, seed: int | None) -> float:
    """EM from our solution, or from random loadings, judged on the same pairs."""
    population = ad.dynamics.as_population(masked)
    data = [SessionData(one, 1 / np.sqrt(one.variance)).in_memory() for one in population.sessions]
    system, n = ours.result_.system, ours.n_components_
    if seed is None:
        noise = np.maximum(system.noise_variance, 1e-2)
        start = EMState(
            system.dynamics, system.innovation, system.stationary, system.loadings, noise, system.stationary
        )
    else:
        loadings = np.random.default_rng(seed).standard_normal(system.loadings.shape) / np.sqrt(2 * n)
        one = np.eye(n)
        start = EMState(0.9 * one, 0.19 * one, one, loadings, np.full(len(loadings), 0.5), one)
    state = expectation_maximisation(data, start, EM_ITERATIONS)
    total = np.einsum("ia,ab,ib->i", state.loadings, state.second, state.loadings) + state.noise_variance
    loadings = state.loadings / np.sqrt(total)[:, None]
    fit = ours._system()
    predictor = type(fit.lagged)(loadings, state.second[None])
    judge = type(fit)(**{**vars(fit), "lagged": predictor, "zero": None, "share": 1.0, "calibration": 1.0})
    judge = type(fit)(**{**vars(judge), "variance": np.ones(len(loadings)), "lags": (0,)})
    population = ad.dynamics.as_population(full)
    return agreement(*compare_pairs(judge, population, "unseen", 10**7, np.random.default_rng(0)))[0]


def worms(path: Path) -> tuple[Sessions, np.ndarray]:
    """Worms with their named neurons."""
    stored = np.load(path, allow_pickle=False)
    names, worm = stored["stitched/names"], stored["stitched/session"]
    sessions = {}
    for k in np.unique(worm):
        values = stored["stitched/Y"][worm == k].astype(float)
        seen = np.isfinite(values).all(axis=0)
        sessions[f"worm-{k}"] = (values[:, seen], names[seen])
    return sessions, names


def neuron_class(name: str) -> str:
    """Left and right sisters are one class: AVAL, AVAR → AVA."""
    return name[:-1] if len(name) > 2 and name[-1] in "LR" and name not in ("AVL",) else name


def mask_classes(full: Sessions, names: np.ndarray, seed: int) -> Sessions:
    """Hide half of the neuron classes of every worm."""
    rng, masked = np.random.default_rng(seed), {}
    for session, (values, labels) in full.items():
        classes = np.array([neuron_class(name) for name in labels.tolist()])
        found = np.unique(classes)
        kept = np.isin(classes, rng.permutation(found)[len(found) // 2 :])
        masked[session] = (values[:, kept], labels[kept])
    return masked


def mouse(path: Path) -> Sessions:
    """Days of one animal on one track: smoothed event amplitudes in bins of half a second."""
    stored = np.load(path, allow_pickle=False)
    sessions = {}
    for day, n_frames in enumerate(stored["n_frames"].tolist()):
        chosen = stored["ev_session"] == day
        n_bins = n_frames // BIN_FRAMES
        binned = stored["ev_frame"][chosen] // BIN_FRAMES
        values = np.zeros((n_bins, stored["observed"].shape[1]))
        inside = binned < n_bins
        np.add.at(
            values,
            (binned[inside], stored["ev_cell"][chosen][inside]),
            stored["ev_amp"][chosen][inside].astype(float),
        )
        values = gaussian_filter1d(values, 1.0, axis=0)
        seen = stored["observed"][day] & (values.std(axis=0) > 0)
        sessions[f"day-{day}"] = (values[:, seen], np.flatnonzero(seen).astype(str))
    return sessions


def mask_cells(full: Sessions, seed: int) -> Sessions:
    """Keep 60 % of the cells of every session."""
    rng, masked = np.random.default_rng(seed), {}
    for session, (values, labels) in full.items():
        kept = np.sort(rng.permutation(len(labels))[: int(KEPT_SHARE * len(labels))])
        masked[session] = (values[:, kept], labels[kept])
    return masked


if __name__ == "__main__":
    main()
