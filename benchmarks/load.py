"""Claim: the whole job takes 10,000 neurons × 50,000 frames from Zarr, block by block; only dimension holds the bins.

A simulated population is written as Zarr and goes through the job, one stage after the other, each in a process of its
own whose highest memory is read. Beside them stands one pass over the data: every block read and summed. What is
finished is kept in the folder, and so is the time that unfinished stages took: the same command goes on after an
interruption.

    python -m benchmarks.load [--quick] [--json FILE] [--seed N] [--folder FOLDER] [--sizes 1000x10000 …]
                              [--components N] [--chosen] [--costs FILE]

The latent dimensions are the true ones (as in `--components 5`); 0 has them chosen, which is what a user gets who
says nothing, and `--chosen` does so at the first size, beside. `--sizes 40x3000 150x9000 --costs
src/antidrome/pipeline/costs.json` writes what a frame was found to cost into the package, from where
`antidrome run --dry-run` reads it; the sizes are small enough for the larger one to hold more in memory. Core seconds
are seconds that a core was busy: they hardly depend on what else the machine does.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from antidrome.core.files import atomic_write
from antidrome.core.model_files import package_versions
from antidrome.pipeline.planning import BYTES_HELD, work_of
from benchmarks.harness import finish, machine, options, show
from benchmarks.processes import peak_gb
from benchmarks.tables.headlines import headline_of

FRAME_RATE_HZ, N_FACTORS = 30.0, 5
STAGES = ("spikes", "dynamics", "dimension")
QUICK, FULL = ["200x2000"], ["1000x10000", "10000x50000"]
TICK_S = 5.0


def main() -> None:
    """Measure every size; print; write."""
    parser = options(__doc__)
    parser.add_argument("--sizes", nargs="+", help=f"NEURONSxFRAMES; default {' '.join(FULL)}")
    parser.add_argument("--folder", type=Path, help="where recordings, results and what is finished are kept")
    parser.add_argument("--components", type=int, default=N_FACTORS, help="of the dynamics; 0: chosen")
    parser.add_argument("--chosen", action="store_true", help="the smallest size also with dimensions that are chosen")
    parser.add_argument("--costs", type=Path, help="write the costs for --dry-run here; needs two sizes")
    arguments, started = parser.parse_args(), time.time()
    sizes = [one.split("x") for one in arguments.sizes or (QUICK if arguments.quick else FULL)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        rows = [row for n, t in sizes for row in measured(folder, int(n), int(t), arguments.seed, arguments.components)]
        chosen = measured(folder, int(sizes[0][0]), int(sizes[0][1]), arguments.seed, 0) if arguments.chosen else []
    columns = ["neurons", "frames", "stage", "seconds", "core_seconds", "peak_gb", "mb_per_s", "passes"]
    show("Stages of the job, and one pass over the data", columns, [[row[key] for key in columns] for row in rows])
    started = min(started, time.time() - sum(row["seconds"] for row in rows))  # stages of calls before this one count
    result = {
        **keys(rows),
        "components": arguments.components,
        "rows": rows,
        "chosen": [row | {"stage": "dynamics, dimensions chosen"} for row in chosen if row["stage"] == "dynamics"],
    }
    finish({"headline": headline_of("load", result), **result}, started, arguments.json)
    if arguments.costs:
        write_costs(rows, arguments.costs)


def measured(folder: Path, neurons: int, frames: int, seed: int, n_components: int) -> list[dict[str, Any]]:
    """One row for the single pass and one for each stage."""
    place = folder / f"{neurons}x{frames}-{seed}-{n_components}"
    place.mkdir(parents=True, exist_ok=True)
    recording, ledger = place / "recording.zarr", Ledger(place / "measured.json")
    ledger.measure("writing", write_recording, recording, neurons, frames, seed)
    ledger.measure("one pass", single_pass, recording)
    for last in range(1, len(STAGES) + 1):
        ledger.measure(STAGES[last - 1], run_stages, recording, place / "results", STAGES[:last], seed, n_components)
    megabytes, whole = 4e-6 * neurons * frames, ledger.of("one pass")["seconds"]
    rows = []
    for stage in ("one pass", *STAGES):
        found = {name: value for name, value in ledger.of(stage).items() if name != "spent"}
        speed = {"mb_per_s": megabytes / found["seconds"], "passes": found["seconds"] / whole}
        rows.append({"neurons": neurons, "frames": frames, "stage": stage, **found, **speed})
    return rows


class Ledger:
    """What was measured in one folder: seconds, over all attempts, and the highest memory of each piece of work."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, name: str) -> dict[str, float]:
        """Seconds and peak of finished work."""
        return self.found[name]

    def measure(self, name: str, work: Callable[..., float | None], *arguments: Any) -> None:
        """Do the work in a process of its own, unless it is finished; what an attempt took is kept as it goes.

        Where the work returns seconds (a part of the process's time), these count, else the time of all attempts.
        """
        entry = self.found.setdefault(name, {"spent": 0.0})
        if "seconds" in entry:
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            future, last = pool.submit(_measured, work, arguments), time.perf_counter()
            while True:
                over = wait([future], timeout=TICK_S).done
                now = time.perf_counter()
                entry["spent"] += now - last
                last = now
                self._save()
                if over:
                    break
            seconds, share, peak = future.result()
        seconds = entry["spent"] if seconds is None else seconds
        entry |= {"seconds": seconds, "core_seconds": seconds * share, "peak_gb": peak}
        self._save()

    def _save(self) -> None:
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self.found))


def _measured(work: Callable[..., float | None], arguments: tuple[Any, ...]) -> tuple[float | None, float, float]:
    """What the work returned, cores that were busy on average, and the highest memory in GB."""
    begin, busy = time.perf_counter(), time.process_time()
    seconds = work(*arguments)
    share = (time.process_time() - busy) / (time.perf_counter() - begin)
    return seconds, share, peak_gb()


def write_recording(path: Path, neurons: int, frames: int, seed: int) -> None:
    """ΔF/F of Poisson spikes with shared rates, a decay of 0.7 s and noise, as Zarr; block by block."""
    import dask.array as da
    import numpy as np

    from antidrome.recordings import from_array, write
    from antidrome.recordings.lazy import block_neurons

    width = block_neurons(frames, 4, 1, neurons)
    widths = [min(width, neurons - first) for first in range(0, neurons, width)]
    blocks = [
        da.from_delayed(_delayed(traces)(frames, n, seed, number), (frames, n), dtype=np.float32)
        for number, n in enumerate(widths)
    ]
    recording = from_array(da.concatenate(blocks, axis=1), FRAME_RATE_HZ, quantity="dff")
    write(recording.rename("dff"), path)


def _delayed(function: Callable[..., Any]) -> Callable[..., Any]:
    import dask

    return dask.delayed(function, pure=True)


def traces(frames: int, neurons: int, seed: int, block: int) -> Any:
    """(frames, neurons) float32; all blocks share their factors."""
    import numpy as np
    from scipy.signal import lfilter

    shared, own = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1, block])
    factors = lfilter([np.sqrt(1 - 0.98**2)], [1, -0.98], shared.standard_normal((frames, N_FACTORS)), axis=0)
    gain = factors @ (own.standard_normal((N_FACTORS, neurons)) / np.sqrt(N_FACTORS))
    spikes = own.poisson(np.exp(gain - 0.5) / FRAME_RATE_HZ)
    clean = lfilter([0.2], [1, -np.exp(-1 / (0.7 * FRAME_RATE_HZ))], spikes, axis=0)
    return (clean + 0.06 * own.standard_normal(clean.shape)).astype(np.float32)


def single_pass(path: Path) -> float:
    """Seconds to read and sum every block, one after the other."""
    import numpy as np

    from antidrome.recordings import read

    begin = time.perf_counter()
    data = read(path).data
    blocks = [data.blocks[place] for place in np.ndindex(*data.numblocks)] if hasattr(data, "blocks") else [data]
    sums = [np.nansum(np.asarray(block)) for block in blocks]
    assert np.isfinite(sums).all()
    return time.perf_counter() - begin


def run_stages(path: Path, output: Path, stages: tuple[str, ...], seed: int, n_components: int) -> float | None:
    """Run the job up to the last of `stages`; seconds of a stage after the spikes, which come with all that is around.

    Returns None for the spikes: their time is that of the command.
    """
    from antidrome.pipeline import RunConfig, run

    config = RunConfig(format="zarr", stages=stages, seed=seed, n_components=n_components, force=True)
    summary = run([path], output, config, progress=False)
    if stages[-1] == "spikes":
        return None
    stage = summary["stages"][stages[-1]]
    if "skipped" in stage:
        raise SystemExit(f"{stages[-1]} was skipped: {stage['skipped']}")
    return float(stage["seconds"])


def keys(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of the largest size."""
    largest = {row["stage"]: row for row in rows[-1 - len(STAGES) :]}
    return {
        "seconds_total": sum(largest[stage]["seconds"] for stage in STAGES),
        "peak_gb": max(largest[stage]["peak_gb"] for stage in STAGES),
        **{f"passes_{stage}": largest[stage]["passes"] for stage in STAGES},
    }


def write_costs(rows: list[dict[str, Any]], path: Path) -> None:
    """Fixed cost and slope of each stage, in core seconds and in gigabytes, from the smallest and the largest size.

    What the later stages hold is counted, not measured: small sizes do not show it.
    """
    seconds, memory = {}, {}
    for place, stage in enumerate(STAGES):
        two = rows[1 + place], rows[place - len(STAGES)]
        work = [work_of([(row["frames"], row["neurons"])], FRAME_RATE_HZ)[stage] for row in two]
        seconds[stage] = _line([one.steps for one in work], [row["core_seconds"] for row in two])
        peaks, held = [row["peak_gb"] for row in two], [one.held for one in work]
        slope = _short(1e-9 * BYTES_HELD.get(stage, 0))
        memory[stage] = (
            _line(held, peaks) if not slope else {"fixed": _short(peaks[1] - slope * held[1]), "slope": slope}
        )
    document = {
        "from": "python -m benchmarks.load --costs",
        "sizes": list(dict.fromkeys(f"{row['neurons']}x{row['frames']}" for row in rows)),
        "machine": machine(),
        "versions": package_versions(),
        "core_seconds": seconds,
        "memory_gb": memory,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _line(x: list[float], y: list[float]) -> dict[str, float]:
    """Through both points; a slope is never negative."""
    if x[1] <= x[0]:
        raise SystemExit("Costs need two sizes, the smaller one first, and of the larger one no more than a block.")
    slope = max(0.0, (y[1] - y[0]) / (x[1] - x[0]))
    return {"fixed": _short(max(0.0, y[0] - slope * x[0])), "slope": _short(slope)}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
