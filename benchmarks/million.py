"""Write docs/explanation/million.md: what a million neurons × a million frames cost, from measured constants alone.

python -m benchmarks.million            # writes the page
python -m benchmarks.million --check    # exit code 1 if the page says something else than the measurements
"""

from __future__ import annotations

import json
from typing import Any

from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.infer import BLOCK_VALUES
from antidrome.pipeline.planning import COSTS, N_COPIES, N_RESULTS, work_of
from antidrome.pipeline.stages.dimension import MAX_POINTS
from benchmarks.readme import RESULTS, ROOT, settle

PAGE = ROOT / "docs" / "explanation" / "million.md"
NEURONS = FRAMES = 10**6
RATE_HZ = 30.0
CORES = 1000
VALUE_BYTES = 4


def page() -> str:
    """The whole page."""
    spikes, dynamics = (_result(name) for name in ("spikes_speed", "dynamics_scale"))
    costs = json.loads(COSTS.read_text("utf-8"))
    largest = max(dynamics["rows"], key=lambda row: row["p"])
    n_cores = dynamics["machine"]["cores"]
    values = NEURONS * FRAMES
    spikes_s = 1e-6 * spikes["us_per_frame"] * values
    bins = FRAMES / RATE_HZ / RunConfig.bin_s
    binned_gb = 1e-9 * VALUE_BYTES * bins * NEURONS
    per_gb = n_cores * largest["seconds"] / largest["gigabytes_read"]
    products = work_of([(FRAMES, NEURONS)], RATE_HZ)["dimension"].steps
    dimension_s = costs["core_seconds"]["dimension"]["slope"] * products
    rows = [
        ("read once", "–", f"{1e-12 * VALUE_BYTES * values:.0f} TB", "–", "–"),
        (
            "spikes",
            f"{spikes['us_per_frame']:.1f} µs a frame and neuron on one core",
            f"{1e-12 * VALUE_BYTES * N_RESULTS * N_COPIES * values:.0f} TB of results, kept twice",
            _days(spikes_s),
            f"{spikes['memory']['peak_rss_gb']:.1f} GB a process",
        ),
        (
            "dynamics",
            f"{per_gb:.0f} core seconds per GB at {largest['p']:,} neurons",
            f"{binned_gb:,.0f} GB in bins of {RunConfig.bin_s} s",
            _days(per_gb * binned_gb),
            f"{largest['peak_gb']:.1f} GB",
        ),
        (
            "dimension",
            f"{1e9 * costs['core_seconds']['dimension']['slope']:.3g} ns a product of {MAX_POINTS:,} points",
            f"{1e-9 * 8 * bins * NEURONS:,.0f} GB in memory",
            _days(dimension_s),
            "does not fit",
        ),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# A million neurons, a million frames

What the whole job would cost on {NEURONS:,} neurons × {FRAMES:,} frames ({FRAMES / RATE_HZ / 3600:.1f} hours at
{RATE_HZ:.0f} Hz), on paper: measured constants times sizes. Nothing here was run at that size; the page is written by
`python -m benchmarks.million` from the committed results.

| stage | measured | data | core days | memory |
|---|---|---|---|---|
{table}

**Spikes** are independent from neuron to neuron; {BLOCK_VALUES // FRAMES} whole traces are a unit of work. The time
is linear in both sizes, the memory in neither; on {CORES:,} cores
that read their own part, {spikes_s / 3600 / CORES:.1f} hours. What is sent to a worker is 4 bytes for
{spikes["us_per_frame"]:.0f} µs of work: {CORES:,} cores take {4e-6 * CORES / (1e-6 * spikes["us_per_frame"]):,.0f} MB/s
from the machine that hands them out, which one network link can give.

**Dynamics** never form the neurons × neurons covariance: sessions are sketched in a pass over the data and the fit
iterates on sketches. Measured at {largest["p"]:,} neurons × {largest["n_frames"]:,} frames from disk
({largest["seconds"]:.0f} s on {n_cores} cores, {largest["peak_gb"]:.1f} GB); taken as linear in the frames, which is
an upper limit, since the fit itself does not grow with them. That is for given latent dimensions; having them chosen
repeats the fit for every candidate.

**Dimension** compares {MAX_POINTS:,} bins, whatever the length of the recording, so its time is linear in the neurons
alone. Its controls shift every neuron in time and hold the binned population in float64, which does not fit into a
machine: take a subset of the neurons (the estimate by number of neurons, which the page shows, says whether more would
change it) or wider bins.

What stands in the way at this size is none of the four methods but the files: a run opens each input on one machine,
hashes it once, and writes one results file a session. Spikes can be inferred from files of a part of the neurons each
(`antidrome spikes`, one job a file); `ad.StitchedLDS().fit` takes the results of all as one dask array.
"""


def _result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def _days(core_seconds: float) -> str:
    return f"{core_seconds / 86400:.3g}"


def main() -> None:
    """Write the page, or compare."""
    settle(PAGE, page(), "benchmarks.million")


if __name__ == "__main__":
    main()
