"""Claim: the cost of stitching grows linearly with the neurons and the bytes read, up to a million neurons on disk.

Three sessions of 1000 frames, each of 40 % of the neurons, neighbours sharing 10 % (`--overlaps`: less, down to 1 %);
n = 10 slow latents, half of the variance private noise; float32. p = 10³ to 2·10⁵ in memory; with `--disk`, p = 10⁶ ×
T = 2000 frames a session in memory-mapped files of 9.6 GB, made in the folder given and read from there. Each size runs
in its own process, so that its peak memory is its own. Unseen pairs: correlation of predicted and true covariance. The
fits are given the dimensions and the settings (`SETTINGS`) that are chosen by default; up to 10,000 neurons the default
settings are measured beside, with the dimensions alone given.

    python -m benchmarks.dynamics_scale [--quick] [--json FILE] [--seed N] [--disk FOLDER] [--sizes P …]
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import antidrome as ad
from antidrome.dynamics.simulate import SimulatedPopulation, simulate
from benchmarks.dynamics_rows import KeptRows
from benchmarks.harness import finish, options, show
from benchmarks.processes import in_a_process, peak_gb
from benchmarks.tables.dynamics import is_default
from benchmarks.tables.headlines import headline_of

N_COMPONENTS = 10
SETTINGS = {"solver": "sketch", "shrinkage": 0.0, "coupling": 0.03, "zero_lag": "never", "private_noise": "white"}
"""What the fits are given beside the dimensions and the lags, and a user has chosen by default."""
LAGS = range(6)
PAIRED = 400
"""Neurons of the first and of the last session whose covariances are compared."""
ROWS = 50
SIZES = (1_000, 10_000, 100_000, 200_000)
QUICK_SIZES = (1_000, 4_000)
LARGEST_DEFAULTS = 10_000
"""Neurons up to which the default settings are measured, too."""


def main() -> None:
    """Run every size in its own process; print, write."""
    parser = options(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of neurons")
    parser.add_argument("--disk", type=Path, help="folder for the memory-mapped case of 10⁶ neurons")
    parser.add_argument("--disk-neurons", type=int, default=1_000_000)
    parser.add_argument(
        "--disk-frames", type=int, nargs="+", default=(6_000,), help="frames of the three sessions together"
    )
    parser.add_argument(
        "--overlaps", type=float, nargs="+", default=(0.1,), help="shares of neurons that neighbours share"
    )
    parser.add_argument("--kept", type=Path, help="file for finished sizes: an interrupted run goes on from there")
    parser.add_argument("--plot", type=Path, help="write the cost over the size as a page (.html)")
    parser.add_argument("--one", help="(internal) one case as JSON")
    arguments, started = parser.parse_args(), time.time()
    if arguments.one:
        sys.stdout.write(json.dumps(run_one(**json.loads(arguments.one))) + "\n")
        return
    sizes = arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES)
    cases = [{"p": p, "overlap": o, "seed": arguments.seed} for p in sizes for o in arguments.overlaps]
    if not arguments.quick and not arguments.sizes:
        cases += [{"p": 10_000, "overlap": overlap, "seed": arguments.seed} for overlap in (0.03, 0.01)]
    cases += [
        {**case, "settings": "defaults"}
        for case in cases
        if case["p"] <= LARGEST_DEFAULTS and case["overlap"] == max(arguments.overlaps)
    ]
    if arguments.disk:
        disk = str(arguments.disk)
        case = {"p": arguments.disk_neurons, "overlap": 0.1, "seed": arguments.seed, "disk": disk}
        cases += [{**case, "n_frames": n_frames} for n_frames in arguments.disk_frames]
    kept = KeptRows(arguments.kept)
    rows = [row for case in map(json.dumps, cases) for row in kept.get(case, functools.partial(measured, case))]
    memory = [row for row in rows if not (row["disk"] or is_default(row)) and row["overlap"] == max(arguments.overlaps)]
    sizes_and_times = np.log([[row["p"], row["seconds"]] for row in memory])
    slope = float(np.polyfit(*sizes_and_times.T, 1)[0]) if len(memory) > 1 else None
    result = {"rows": rows, "settings": SETTINGS | {"lags": list(LAGS)}, "growth_exponent": slope}
    headline = headline_of("dynamics_scale", result)
    columns = ["p", "overlap", "settings", "gigabytes_read", "seconds", "core_seconds", "peak_gb", "unseen_r"]
    show("Stitching of three sessions", columns, [[row[c] for c in columns] for row in rows])
    if arguments.plot:
        plot(rows, headline, arguments.plot)
    finish({"headline": headline, **result}, started, arguments.json)


def plot(rows: list[dict[str, Any]], headline: str, path: Path) -> None:
    """Seconds over neurons and over gigabytes, both logarithmic, beside a line of slope 1."""
    from antidrome.report import RunInfo
    from antidrome.report.charts import Chart, draw, frame, panels
    from antidrome.report.page import Part, page_html, write_html

    charts = []
    chosen = sorted((row for row in rows if row["overlap"] == 0.1 and not is_default(row)), key=lambda row: row["p"])
    for key, label in (("p", "neurons"), ("gigabytes_read", "gigabytes")):
        figure = frame(
            f"cost-{key}", 300, x_label=label, y_label="seconds", x_axis_type="log", y_axis_type="log", tools="save"
        )
        x, seconds = np.array([[row[key], row["seconds"]] for row in chosen]).T
        linear = {"x": x, "s": seconds[-1] * x / x[-1]}
        draw(figure, "line", linear, series="linear", ink="grey", legend=True, x="x", y="s")
        draw(figure, "line", {"x": x, "s": seconds}, series="measured", ink="blue", legend=True, x="x", y="s")
        draw(figure, "scatter", {"x": x, "s": seconds}, series="points", ink="blue", size=8, x="x", y="s")
        charts.append(Chart(f"cost-{key}", f"Time over {label}", "Both axes logarithmic; grey: proportional.", figure))
    html, figures = panels(charts)
    part = Part(sections={"results": html}, figures=figures)
    run = RunInfo.of("Cost of stitching", headline)
    write_html(path, page_html(run, [part], units="Time is wall-clock time in seconds."))


def measured(case: str) -> list[dict[str, Any]]:
    """One case in a fresh process."""
    return [in_a_process("benchmarks.dynamics_scale", "--one", case)]


def run_one(
    p: int, overlap: float, seed: int, disk: str | None = None, n_frames: int = 3000, settings: str = "given"
) -> dict[str, Any]:
    """Make the data, fit with `SETTINGS` or (`settings="defaults"`) those of the package, and compare unseen pairs."""
    truth = simulate(1, N_COMPONENTS, n_frames, seed, eigenvalue_range=(0.9, 0.97))
    loadings = np.random.default_rng([seed, 1]).standard_normal((p, N_COMPONENTS), dtype=np.float32)
    loadings /= np.sqrt(N_COMPONENTS)
    sessions, n_values = make_sessions(truth, loadings, overlap, seed, Path(disk) if disk else None)
    base_gb = peak_gb()
    given: dict[str, Any] = {} if settings == "defaults" else {**SETTINGS, "lags": LAGS}
    begin, busy = time.perf_counter(), time.process_time()
    model = ad.StitchedLDS(N_COMPONENTS, seed=seed, **given).fit(sessions, progress=False)
    seconds, core_seconds = time.perf_counter() - begin, time.process_time() - busy
    return {
        "p": p,
        "overlap": overlap,
        "disk": bool(disk),
        "n_frames": n_frames,
        "gigabytes_read": 4e-9 * n_values,
        "settings": settings,
        "seconds": seconds,
        "core_seconds": core_seconds,
        "iterations": len(model.losses_),
        "peak_gb": peak_gb(),
        "peak_gb_before": base_gb,
        "unseen_r": unseen_r(model, loadings, seed),
    }


def make_sessions(
    truth: SimulatedPopulation, loadings: np.ndarray, overlap: float, seed: int, disk: Path | None
) -> tuple[dict[str, Any], int]:
    """Three sessions of a third of the frames and about 40 % of the neurons; on disk: one file each, then mapped."""
    p, n_frames = len(loadings), len(truth.latents)
    width = round(p * (1 + 2 * overlap) / 3)
    bounds = [0, n_frames // 3, 2 * n_frames // 3, n_frames]
    sessions, n_values = {}, 0
    for k, start in enumerate((0, (p - width) // 2, p - width)):
        rng = np.random.default_rng([seed, 2, k])
        x = truth.latents[bounds[k] : bounds[k + 1]].astype(np.float32)
        c = loadings[start : start + width]
        chunks = (
            x[first : first + ROWS] @ c.T
            + np.linalg.norm(c, axis=1) * rng.standard_normal((len(x[first : first + ROWS]), width), dtype=np.float32)
            for first in range(0, len(x), ROWS)
        )
        values = np.concatenate(list(chunks)) if disk is None else written(disk / f"{p}-{k}.npy", len(x), width, chunks)
        n_values += values.size
        sessions[f"session-{k}"] = (values, np.arange(start, start + width).astype(str))
    return sessions, n_values


def written(path: Path, n_frames: int, width: int, chunks: Iterable[np.ndarray]) -> np.ndarray:
    """Write chunks of frames to a file, and map it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_frames, width)}
        np.lib.format.write_array_header_1_0(stream, header)
        for chunk in chunks:
            stream.write(np.ascontiguousarray(chunk, dtype="<f4").tobytes())
    return np.lib.format.open_memmap(path, "r")


def unseen_r(model: ad.StitchedLDS, loadings: np.ndarray, seed: int) -> float:
    """Correlation of predicted and true covariance between neurons of the first and the last session alone."""
    rng = np.random.default_rng([seed, 3])
    only_first = np.flatnonzero(model.observed_[0] & ~model.observed_[1] & ~model.observed_[2])
    only_last = np.flatnonzero(model.observed_[2] & ~model.observed_[0] & ~model.observed_[1])
    i = rng.choice(only_first, min(PAIRED, len(only_first)), replace=False)
    j = rng.choice(only_last, min(PAIRED, len(only_last)), replace=False)
    predicted = model.predict_covariance(i, j).values
    places = model.neurons_.astype(int)
    true = loadings[places[i]] @ loadings[places[j]].T
    return float(np.corrcoef(predicted.ravel(), true.ravel())[0, 1])


if __name__ == "__main__":
    main()
