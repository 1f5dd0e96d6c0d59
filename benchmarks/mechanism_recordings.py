"""Claim: the posterior of an eight-parameter Hodgkin–Huxley model reproduces in-vitro recordings, in minutes a cell.

Current-clamp sweeps of mouse cortex (Allen Cell Types Database, as in Gonçalves et al. 2020), seven features (spike
count, mean and standard deviation of the resting potential, and mean, standard deviation, skewness and kurtosis during
the step), voltages corrected for a liquid-junction potential of -14 mV. The fit assumes the model error of a recorded
cell; the traces that are compared are the model's own, without it. Goals: posterior predictive traces with the
spike count within 2 of the measured one, rest within 1 mV, below 10 minutes a cell on two cores.

    python -m benchmarks.mechanism_recordings [--cells N] [--budget 100000] [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import data_folder, finish, options, require_data, show
from benchmarks.tables.headlines import headline_of

ROUNDS = 5
PREDICTIVE = 200


def run_cell(path: Path, budget: int, seed: int) -> dict[str, Any]:
    """Fit one cell; how far posterior predictive features are from the measured ones."""
    from antidrome.mechanism import SNPE
    from antidrome.mechanism.models import recorded_cell
    from antidrome.recordings.current_clamp import read_current_clamp

    started = time.perf_counter()
    cell = recorded_cell(read_current_clamp(path))
    observed, model = cell.observation, cell.simulator
    estimator = SNPE(
        n_rounds=ROUNDS, n_simulations=budget // ROUNDS, model_error=cell.model_error, diagnose=False, seed=seed
    )
    estimator.fit(model, cell.prior, observed, progress=False)
    samples = estimator.sample(PREDICTIVE, seed=seed).values
    minutes = (time.perf_counter() - started) / 60
    batch = model.run(samples, seed=seed)
    features = batch.features[batch.valid]
    names = list(model.feature_names)
    error = np.abs(np.median(features, axis=0) - observed)
    count, rest, mean = (names.index(name) for name in ("spike_count", "rest_mean_mv", "mean_mv"))
    prior = model.run(cell.prior.sample(PREDICTIVE, seed=seed), seed=seed).features
    return {
        "cell": path.stem,
        "spikes": float(observed[count]),
        "spike_count_error": float(error[count]),
        "rest_error_mv": float(error[rest]),
        "mean_error_mv": float(error[mean]),
        "share_of_traces_within_2_spikes": float(np.mean(np.abs(features[:, count] - observed[count]) <= 2)),
        "share_of_traces_within_1_mv_of_rest": float(np.mean(np.abs(features[:, rest] - observed[rest]) <= 1)),
        "share_of_prior_within_2_spikes": float(np.mean(np.abs(prior[:, count] - observed[count]) <= 2)),
        "minutes": minutes,
        "observed": dict(zip(names, observed.tolist(), strict=True)),
        "predicted": dict(zip(names, np.median(features, axis=0).tolist(), strict=True)),
        "rounds": [
            {"effective": report.effective, "largest_weight": report.largest_weight}
            for report in estimator.posterior_.reports
        ],
    }


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--cells", type=int, help="only the first so many")
    parser.add_argument("--budget", type=int, help="simulations a cell")
    arguments = parser.parse_args()
    require_data("mechanism_recordings")
    started = time.time()
    paths = sorted((data_folder() / "mechanism" / "allen_cell_types").glob("*.npz"))
    paths = paths[: arguments.cells or (1 if arguments.quick else len(paths))]
    budget = arguments.budget or (1500 if arguments.quick else 100_000)
    cells = []
    for path in paths:
        cells.append(run_cell(path, budget, arguments.seed))
        print(f"{path.stem}: {cells[-1]['minutes']:.1f} minutes", flush=True)
    columns = ["spikes", "spike_count_error", "rest_error_mv", "mean_error_mv", "share_of_traces_within_2_spikes"]
    show(
        f"In-vitro recordings, {budget:,} simulations a cell (errors of the median posterior predictive trace)",
        ["cell", *columns, "minutes"],
        [[cell["cell"], *(cell[name] for name in columns), cell["minutes"]] for cell in cells],
    )
    result = {"cells": cells, "budget": budget}
    finish({"headline": headline_of("mechanism_recordings", result), **result}, started, arguments.json)


if __name__ == "__main__":
    main()
