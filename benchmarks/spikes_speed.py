"""Claim: 10 µs or less per frame and core at 30 Hz, and 10,000 neurons × 20,000 frames in less than 2 GB of memory.

Every measurement runs in a process of its own; the speeds are measured on one core (affinity set before anything is
imported), OASIS (`oasis-deconv`, automatic parameters) on the same simulated traces. First calls (compilation) are
timed apart, since a user meets them once.

    python -m benchmarks.spikes_speed [--quick] [--json FILE]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import in_a_process, peak_gb

PACKAGES = ("oasis-deconv",)
"""What is compared with, as pip calls it: the result names their versions."""
FRAME_RATE_HZ = 30.0


def traces(n_neurons: int, n_frames: int, seed: int) -> Any:
    """ΔF/F (time, neuron) of `n_neurons` simulated cells, made from 50 different ones."""
    import numpy as np

    from antidrome.spikes import simulate

    few = simulate(min(50, n_neurons), n_frames / FRAME_RATE_HZ, FRAME_RATE_HZ, seed)["dff"].values
    return np.tile(few, (1, -(-n_neurons // few.shape[1])))[:, :n_neurons]


def measure_ours(n_neurons: int, n_frames: int, seed: int) -> dict[str, float]:
    """µs per frame of `SpikeVAE.predict`, all of its outputs, after a first call on 100 neurons of the same length."""
    from antidrome.spikes import SpikeVAE

    dff, model = traces(n_neurons, n_frames, seed), SpikeVAE()
    few = dff[:, :100]
    started = time.perf_counter()
    model.predict(few, FRAME_RATE_HZ, progress=False)
    first = time.perf_counter() - started
    started = time.perf_counter()
    model.predict(dff, FRAME_RATE_HZ, progress=False)
    per_frame = (time.perf_counter() - started) / dff.size
    return {"us_per_frame": 1e6 * per_frame, "compile_s": max(0.0, first - per_frame * few.size)}


def measure_oasis(n_neurons: int, n_frames: int, seed: int) -> dict[str, float]:
    """µs per frame of OASIS with automatic parameters, one trace after the other, on at most 100 neurons."""
    from oasis.functions import deconvolve

    dff = traces(min(n_neurons, 100), n_frames, seed).astype(float)
    deconvolve(dff[:2000, 0], penalty=1)
    started = time.perf_counter()
    for i in range(dff.shape[1]):
        deconvolve(dff[:, i], penalty=1)
    return {"us_per_frame": 1e6 * (time.perf_counter() - started) / dff.size}


def measure_memory(n_neurons: int, n_frames: int, seed: int) -> dict[str, float]:
    """Peak resident memory (GB) and seconds of inference from a Zarr recording into a Zarr result, on all cores."""
    import zarr

    import antidrome as ad

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "recording.zarr"
        block = traces(500, n_frames, seed)
        array = zarr.create_array(source, shape=(n_frames, n_neurons), chunks=(n_frames, 50), dtype="float32")
        for start in range(0, n_neurons, block.shape[1]):
            array[:, start : start + block.shape[1]] = block[:, : n_neurons - start]
        del block
        started = time.perf_counter()
        recording = ad.read(source, frame_rate_hz=FRAME_RATE_HZ, quantity="dff", orientation="time,neuron")
        result = ad.SpikeVAE().predict(recording, progress=False)
        ad.write(result, Path(folder) / "spikes.zarr", format="zarr")
        seconds = time.perf_counter() - started
    return {"peak_rss_gb": peak_gb(), "seconds": seconds}


def measured(what: str, n_neurons: int, n_frames: int, seed: int) -> dict[str, float]:
    """One measurement in a fresh process; the speeds on one core."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    numbers = (n_neurons, n_frames, seed)
    return in_a_process("benchmarks.spikes_speed", "--measure", what, *numbers, environment=environment)


def main() -> None:
    """Run the benchmark."""
    from benchmarks.harness import finish, options, show

    arguments = options(__doc__).parse_args()
    started = time.time()
    sizes = [(100, 3000)] if arguments.quick else [(100, 18_000), (1000, 18_000)]
    rows = []
    for n_neurons, n_frames in sizes:
        ours = measured("ours", n_neurons, n_frames, arguments.seed)
        oasis = measured("oasis", n_neurons, n_frames, arguments.seed)
        rows.append(
            {
                "neurons": n_neurons,
                "frames": n_frames,
                "us_per_frame": ours["us_per_frame"],
                "compile_s": ours["compile_s"],
                "peer_us_per_frame": oasis["us_per_frame"],
                "ratio": ours["us_per_frame"] / oasis["us_per_frame"],
            }
        )
    size = (1000, 5000) if arguments.quick else (10_000, 20_000)
    memory = measured("memory", *size, arguments.seed)
    show(
        "One core, 30 Hz",
        ["neurons", "frames", "µs per frame", "OASIS µs per frame", "ratio", "compilation s"],
        [
            [r["neurons"], r["frames"], r["us_per_frame"], r["peer_us_per_frame"], r["ratio"], r["compile_s"]]
            for r in rows
        ],
    )
    show(
        "From Zarr to Zarr, all cores",
        ["neurons", "frames", "peak GB", "seconds"],
        [[*size, memory["peak_rss_gb"], memory["seconds"]]],
    )
    last = rows[-1]
    headline = (
        f"{last['us_per_frame']:.1f} µs per frame and core ({last['neurons']} neurons × {last['frames']} frames; OASIS"
        f" {last['peer_us_per_frame']:.1f}); {size[0]} × {size[1]} from Zarr in {memory['peak_rss_gb']:.2f} GB."
    )
    finish(
        {
            "headline": headline,
            "us_per_frame": last["us_per_frame"],
            "peer_us_per_frame": last["peer_us_per_frame"],
            "peak_rss_gb": memory["peak_rss_gb"],
            "rows": rows,
            "memory": memory,
        },
        started,
        arguments.json,
        PACKAGES,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        kind, *numbers = sys.argv[2:]
        if kind != "memory":
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
        measure = {"ours": measure_ours, "oasis": measure_oasis, "memory": measure_memory}[kind]
        print(json.dumps(measure(*map(int, numbers))))
    else:
        main()
