"""Claim: training is faster than that of `sbi`, compilation included; five rounds of two moons in 30 seconds, all in.

Same data (two moons), mixtures of ten Gaussians of full covariance behind two hidden layers of 50, same optimiser,
batch, held-out share and stopping (20 epochs without improvement), each in a process of its own on one core that is
chosen before anything is imported; three seeds, medians. The networks are not the same: ours has tanh units, a linear
step from the features to the density and biases spread over the parameters, and starts, as in every fit of the package,
from a linear regression of the parameters on the features, whose time counts; sbi's has ReLU units and none of these.
What first calls cost (compilation, once for all trainings of these shapes; a small training of sbi) is told apart, and
whole trainings are compared with and without it. Beside stands the time until the log density at which sbi ends is
first reached, by both on the same 20,000 fresh pairs, which take part in no decision: for sbi the weights of every
epoch are kept and judged afterwards, ours train again with the fresh pairs as the held-out ones. Then five rounds of
1000 simulations with the default method, import and compilation included, in a fresh process with an empty cache; and
the Hodgkin–Huxley simulator with its features.

    python -m benchmarks.mechanism_speed [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import time
from typing import Any

from benchmarks.processes import in_a_process

PACKAGES = ("sbi", "torch")
"""What is compared with, as pip calls it: the result names their versions."""
COMPONENTS, HIDDEN, BATCH, RATE, PATIENCE = 10, 50, 200, 5e-4, 20
SEEDS = 3
COLUMNS = ("first_call_s", "training_s", "reached_s", "epochs", "log_prob")


def two_moons(n: int, seed: int) -> tuple[Any, Any]:
    """Parameters (n, 2), uniform on [−1, 1]², and data (n, 2) (Greenberg et al. 2019)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    theta = rng.uniform(-1, 1, (n, 2))
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    x = np.column_stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)])
    x += np.column_stack([-np.abs(theta.sum(axis=1)), theta[:, 1] - theta[:, 0]]) / np.sqrt(2)
    return theta, x


def measure_ours(n: int, seed: int) -> dict[str, Any]:
    """Seconds of training (compiled before, on the same shapes), of 10,000 samples, and held-out log densities."""
    import jax
    import numpy as np

    from antidrome.mechanism.densities.linear_start import linear_start
    from antidrome.mechanism.densities.network import MixtureSettings, density_network
    from antidrome.mechanism.densities.trained import TrainedDensity
    from antidrome.mechanism.features import FeatureScaling
    from antidrome.mechanism.training import TrainingSettings, train_density
    from antidrome.mechanism.training_data import padded_capacity, training_data

    theta, x = two_moons(n, seed)
    scaling, spread = FeatureScaling.of(x), np.sqrt(1 / 3)
    settings = TrainingSettings(
        epochs=2000, batch=BATCH, learning_rate=RATE, clip=5.0, validation=0.1, patience=PATIENCE, drops=0
    )
    held_out = np.random.default_rng(seed + 1).random(n) < 0.1
    u, inputs = theta / spread, scaling(x)
    data = training_data(u, inputs, np.ones(n), np.zeros(n), held_out=held_out, capacity=padded_capacity(n))
    network = density_network(
        MixtureSettings(components=COMPONENTS, hidden=(HIDDEN, HIDDEN)), 2, 2, draw=np.random.default_rng(seed)
    )
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        start = linear_start(network, u, inputs, np.where(held_out, 0.0, 1.0))
        result = train_density(start, data, settings, key=jax.random.key(seed + 1))
        seconds.append(time.perf_counter() - started)
    trained = TrainedDensity((result.network,), scaling)
    started = time.perf_counter()
    trained.at(x[0]).sample(10_000, seed=seed)
    sampling = time.perf_counter() - started
    fresh_theta, fresh_x = two_moons(20_000, seed + 2)
    log_prob = float(trained.log_prob(fresh_theta / spread, fresh_x).mean() - 2 * np.log(spread))
    epochs, kept = len(result.training_curve), ~held_out
    u, inputs = (np.concatenate(parts) for parts in ((u[kept], fresh_theta / spread), (inputs[kept], scaling(fresh_x))))
    fresh = np.arange(len(u)) >= kept.sum()
    data = training_data(u, inputs, np.ones(len(u)), np.zeros(len(u)), held_out=fresh, capacity=padded_capacity(len(u)))
    again = dataclasses.replace(settings, epochs=epochs, patience=epochs)
    judged = train_density(start, data, again, key=jax.random.key(seed + 1)).validation_curve
    return {
        "training_s": seconds[1],
        "first_call_s": max(0.0, seconds[0] - seconds[1]),
        "epochs": epochs,
        "sampling_s": sampling,
        "log_prob": log_prob,
        "fresh_curve": (-judged - 2 * np.log(spread)).tolist(),
    }


def measure_sbi(n: int, seed: int) -> dict[str, Any]:
    """The same with `sbi`, after a first small training whose time, like that of our compilation, is told apart."""
    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn
    from sbi.utils import BoxUniform

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    theta, x = (torch.as_tensor(a, dtype=torch.float32) for a in two_moons(n, seed))
    build = posterior_nn("mdn", hidden_features=HIDDEN, num_components=COMPONENTS)

    kept: list[tuple[float, dict[str, Any]]] = []

    class Watched(NPE):
        """Keeps the weights after every epoch, and when that was."""

        def _converged(self, epoch: int, stop_after_epochs: int) -> bool:
            weights = {name: value.clone() for name, value in self._neural_net.state_dict().items()}
            kept.append((time.perf_counter(), weights))
            return super()._converged(epoch, stop_after_epochs)

    def trained(rows: int, **limits: int) -> tuple[Any, Any]:
        inference = Watched(
            BoxUniform(-torch.ones(2), torch.ones(2)), density_estimator=build, show_progress_bars=False
        )
        inference.append_simulations(theta[:rows], x[:rows])
        estimator = inference.train(
            training_batch_size=min(BATCH, rows // 2),
            learning_rate=RATE,
            validation_fraction=0.1,
            stop_after_epochs=PATIENCE,
            **limits,
        )
        return inference, estimator

    started = time.perf_counter()
    trained(100, max_num_epochs=2)
    first_call = time.perf_counter() - started
    kept.clear()
    started = begun = time.perf_counter()
    inference, estimator = trained(n)
    training = time.perf_counter() - started
    started = time.perf_counter()
    with torch.no_grad():
        estimator.sample((10_000,), condition=x[:1])
    sampling = time.perf_counter() - started
    fresh_theta, fresh_x = (torch.as_tensor(a, dtype=torch.float32) for a in two_moons(20_000, seed + 2))
    with torch.no_grad():
        log_prob = float(estimator.log_prob(fresh_theta[None], condition=fresh_x).mean())
        reached = training
        for when, weights in kept:
            estimator.load_state_dict(weights)
            if float(estimator.log_prob(fresh_theta[None], condition=fresh_x).mean()) >= log_prob:
                reached = min(training, when - begun)
                break
    return {
        "training_s": training,
        "first_call_s": first_call,
        "epochs": int(inference.summary["epochs_trained"][-1]),
        "sampling_s": sampling,
        "log_prob": log_prob,
        "reached_s": reached,
    }


def measure_rounds(n: int, seed: int) -> dict[str, float]:
    """Seconds from before the first import to 10,000 posterior samples: five rounds of n simulations."""
    started = time.perf_counter()
    import numpy as np

    from antidrome.mechanism import SNPE, Uniform

    class TwoMoons:
        feature_names, feature_units = ("x", "y"), ("1", "1")

        def run(self, theta: np.ndarray, seed: int) -> Any:
            from antidrome.mechanism.simulate.batch import judge

            rng = np.random.default_rng(seed)
            angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, len(theta)), rng.normal(0.1, 0.01, len(theta))
            x = np.column_stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)])
            x += np.column_stack([-np.abs(theta.sum(axis=1)), theta[:, 1] - theta[:, 0]]) / np.sqrt(2)
            return judge(x)

    model = SNPE(n_rounds=5, n_simulations=n, seed=seed, diagnose=False)
    model.fit(TwoMoons(), {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}, [0.0, 0.0], progress=False)
    model.sample(10_000)
    return {"seconds": time.perf_counter() - started}


def measure_hodgkin_huxley(n: int, seed: int) -> dict[str, float]:
    """Simulations a second in one thread: 8 parameters over the whole prior, 120 ms at 0.025 ms, noise, 7 features.

    Compilation is not counted. The best of three runs.
    """
    from antidrome.mechanism.models import HodgkinHuxley, eight_parameter_prior

    model, theta = HodgkinHuxley(n_threads=1), eight_parameter_prior().sample(n, seed=seed)
    model.run(theta[:1], seed)
    seconds = []
    for repetition in range(3):
        started = time.perf_counter()
        model.run(theta, seed + repetition)
        seconds.append(time.perf_counter() - started)
    return {"sims_per_s": n / min(seconds)}


def reached_s(ours: dict[str, Any], log_prob: float) -> float | None:
    """Seconds in which our training first reaches a log density of the fresh pairs; None where it never does."""
    curve = ours["fresh_curve"]
    epochs = next((i + 1 for i, value in enumerate(curve) if value >= log_prob), None)
    return None if epochs is None else ours["training_s"] * epochs / ours["epochs"]


def measured(what: str, n: int, seed: int, *, cores: int = 1) -> dict[str, Any]:
    """One measurement in a fresh process with an empty compilation cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PLATFORMS": "cpu"}
        numbers = (n, seed, cores)
        return in_a_process("benchmarks.mechanism_speed", "--measure", what, *numbers, environment=environment)


def main() -> None:
    """Run the benchmark."""
    from benchmarks.harness import finish, options, show
    from benchmarks.tables.headlines import headline_of

    arguments = options(__doc__).parse_args()
    started = time.time()
    rows = []
    for n in [1000] if arguments.quick else [1000, 10_000]:
        for seed in range(arguments.seed, arguments.seed + (1 if arguments.quick else SEEDS)):
            ours, sbi = (measured(what, n, seed) for what in ("ours", "sbi"))
            ours["reached_s"] = reached_s(ours, sbi["log_prob"])
            rows.append(
                {
                    "simulations": n,
                    "seed": seed,
                    "ours": ours,
                    "sbi": sbi,
                    "speedup": sbi["training_s"] / ours["training_s"],
                }
            )
    rounds = measured("rounds", 200 if arguments.quick else 1000, arguments.seed, cores=os.cpu_count() or 1)
    cell = measured("hh", 2000 if arguments.quick else 10_000, arguments.seed)
    show(
        "Training on one core, two moons, mixture-density networks of one size",
        [
            "simulations",
            "seed",
            *(f"{who} {what}" for what in COLUMNS for who in ("our", "sbi")),
            "speed-up",
        ],
        [
            [
                row["simulations"],
                row["seed"],
                *(row[who][what] for what in COLUMNS for who in ("ours", "sbi")),
                row["speedup"],
            ]
            for row in rows
        ],
    )
    result = {
        "five_rounds_seconds": rounds["seconds"],
        "hh_sims_per_s_core": cell["sims_per_s"],
        "rows": rows,
    }
    finish({"headline": headline_of("mechanism_speed", result), **result}, started, arguments.json, PACKAGES)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        kind, *numbers = sys.argv[2:]
        n_simulations, run_seed, n_cores = map(int, numbers)
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:n_cores]))
        measure = {
            "ours": measure_ours,
            "sbi": measure_sbi,
            "rounds": measure_rounds,
            "hh": measure_hodgkin_huxley,
        }[kind]
        print(f"\n{json.dumps(measure(n_simulations, run_seed))}")  # sbi leaves a line of its own unfinished
    else:
        main()
