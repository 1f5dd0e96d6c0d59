"""How fast the Hodgkin–Huxley simulator is on this machine."""

from __future__ import annotations

import time

from antidrome.mechanism.models.hodgkin_huxley import HodgkinHuxley, eight_parameter_prior


def hodgkin_huxley_speed(n: int = 4096, seed: int = 0, *, batch: int = 1024) -> float:
    """Simulations a second in one thread: 8 parameters over the whole prior, 120 ms at 0.025 ms, noise, 7 features.

    Compilation is not counted. The best of three runs.
    """
    model = HodgkinHuxley(batch=batch, n_threads=1)
    theta = eight_parameter_prior().sample(max(n, 1), seed=seed)
    model.run(theta[:1], seed)
    best = float("inf")
    for repetition in range(3):
        started = time.perf_counter()
        model.run(theta, seed + repetition)
        best = min(best, time.perf_counter() - started)
    return len(theta) / best
