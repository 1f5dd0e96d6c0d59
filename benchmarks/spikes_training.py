"""Gradient steps of the autoencoder per second, against the same step in eager PyTorch.

The sizes are those of Speiser et al. (2017): Ex1 (factorised network, AR(1), 64 samples, 20 windows of 300 bins) and
Ex2 (autoregressive network, SCDF, 64 samples, 30 windows of 250 bins), each a VIMCO step for network and generative
parameters. Both sides run in this process, one after the other, with as many threads as the machine has; compilation
is told apart. The PyTorch side (extra `[bench]`) is written as one would write it: convolutions and cells of the
library, and a loop over time.

    python -m benchmarks.spikes_training [--quick] [--json FILE]
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from antidrome.core.compilation import enable_compilation_cache
from antidrome.spikes.generative import Observation
from antidrome.spikes.variational import FitConfig, autocalibrate, linear_model
from antidrome.spikes.variational.problem import Learned, Problem
from antidrome.spikes.variational.wake import wake_loss
from antidrome.spikes.variational.windows import cut_windows
from benchmarks.harness import finish, options, show
from benchmarks.paper_simulations import FRAME_RATE_HZ, linear_cells, paper_start, scdf_cells
from benchmarks.spikes_unsupervised import LINEAR, SCDF

PACKAGES = ("torch",)
"""What is compared with, as pip calls it: the result names their versions."""
PAPER = {"samples": 64, "wake_posterior": 1.0, "sleep_in_wake": 0.0, "prior": "count"}
N_CELLS, N_FRAMES = 6, 2000


def configuration(name: str, quick: bool) -> FitConfig:
    """The paper's sizes; eight samples with --quick."""
    config = dataclasses.replace(LINEAR if name == "ex1" else SCDF, **PAPER)
    return dataclasses.replace(config, samples=8, batch=4) if quick else config


def timed(step: Callable[[], Any], n: int) -> tuple[float, float]:
    """Seconds of the first call (with compilation), and of one call after that."""
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(n):
        step()
    return first, (time.perf_counter() - started) / n


def ours(name: str, config: FitConfig, n: int) -> tuple[float, float]:
    """One VIMCO step with Adam, compiled."""
    data = (linear_cells if name == "ex1" else scdf_cells)(0, N_CELLS, N_FRAMES)
    calibration = autocalibrate(data.traces, FRAME_RATE_HZ, data.cell, drift=False)
    model = (linear_model if name == "ex1" else paper_start)(calibration)
    windows = cut_windows(data.traces, config, data.cell)
    start = Observation(model, jax.numpy.asarray(calibration.noise_sd, jax.numpy.float32))
    problem = Problem.of(start, calibration, FRAME_RATE_HZ, config, len(windows.cell))
    learned = Learned.start(problem, config, key=jax.random.key(0))
    config = dataclasses.replace(config, supervised=0.0)
    optimiser = optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate))
    batch = windows.take(np.arange(config.batch))

    @jax.jit
    def update(state: tuple, key: jax.Array) -> tuple:
        parameters, memory = state
        gradient = jax.grad(wake_loss)(parameters, batch, key, problem, config)
        change, memory = optimiser.update(gradient, memory)
        return optax.apply_updates(parameters, change), memory

    state = (learned, optimiser.init(learned))
    return timed(lambda: jax.block_until_ready(update(state, jax.random.key(1))), n)


def eager(name: str, config: FitConfig, n: int) -> tuple[float, float] | None:
    """The same step in PyTorch; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    from benchmarks.torch_autoencoder import Autoencoder

    torch.manual_seed(0)
    network = Autoencoder(config, autoregressive=name == "ex2")
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate)
    traces = torch.randn(config.batch, config.window_frames)

    def step() -> None:
        optimiser.zero_grad()
        network.vimco_loss(traces).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimiser.step()

    return timed(step, n)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    chosen = options(__doc__).parse_args(arguments)
    enable_compilation_cache()
    started, rows = time.time(), {}
    n = 2 if chosen.quick else 8
    for name in ("ex1", "ex2"):
        config = configuration(name, chosen.quick)
        compiled, peer = ours(name, config, n), eager(name, config, n)
        rows[name] = {
            "steps_per_second": 1 / compiled[1],
            "first_step_s": compiled[0],
            "torch_steps_per_second": None if peer is None else 1 / peer[1],
            "ratio": None if peer is None else peer[1] / compiled[1],
        }
    columns = ["steps_per_second", "torch_steps_per_second", "ratio", "first_step_s"]
    show("VIMCO steps per second", ["sizes", *columns], [[k, *(v[c] for c in columns)] for k, v in rows.items()])
    parts = [
        f"{name} {row['steps_per_second']:.1f} steps/s"
        + (" (no PyTorch here)" if row["ratio"] is None else f" ({row['ratio']:.1f}× eager PyTorch)")
        for name, row in rows.items()
    ]
    result = {"headline": "VIMCO at the paper's sizes: " + ", ".join(parts) + ".", "sizes": rows}
    finish(result, started, chosen.json, PACKAGES)


if __name__ == "__main__":
    main()
