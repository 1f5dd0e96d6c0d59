"""``antidrome mechanism fit``: simulator, prior and measurement in; the posterior, and how far to trust it, out."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from antidrome.cli.text import printable
from antidrome.errors import InputError

if TYPE_CHECKING:
    from antidrome.mechanism.estimator import SNPE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """Infer a model's parameters from a measurement. Interrupted, the same command goes on where it was."""

    model: Annotated[str, tyro.conf.Positional]
    """A model by name (two_moons, hodgkin_huxley_8, …), or FILE.py or package.module that defines simulator and prior;
    either with :NAME."""
    observation: Path
    """Measured features: JSON or CSV with feature names, npz, or npy; NaN or null where missing."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the posterior, its samples, figures, and what is needed to go on."""
    method: Literal["default", "snpe-b", "tsnpe", "snpe-c", "npe"] = "default"
    """Method; "snpe-b" is the paper's."""
    rounds: int | None = None
    """Rounds; by default the method's."""
    simulations: int = 1000
    """Simulations a round."""
    density: Literal["flow", "mixture"] | None = None
    """Density estimator; by default the method's."""
    networks: int | None = None
    """Networks in the ensemble."""
    samples: int = 10_000
    """Posterior samples to write."""
    predictive: int = 100
    """Simulations at posterior samples, to check the posterior by."""
    seed: int = 0
    """Seed of everything: the same seed, the same posterior."""


def run_fit(config: Fit) -> int:
    """Fit, print figures and verdict, write; return 0."""
    from antidrome.mechanism.estimator import SNPE
    from antidrome.mechanism.loading import load_model, read_observation

    if config.samples < 1:
        raise InputError(f"samples is {config.samples}; expected at least 1.")
    observation, model = read_observation(config.observation), load_model(config.model)
    estimator = SNPE(
        config.method,
        rounds=config.rounds,
        simulations=config.simulations,
        density=config.density,
        networks=config.networks,
        predictive=config.predictive,
        seed=config.seed,
    )
    estimator.fit(
        model.simulator,
        model.prior,
        observation,
        checkpoint=config.output,
        on_round=lambda line: _say(line),
    )
    _write(estimator, config)
    _show(estimator, config.output)
    return 0


def _write(estimator: SNPE, config: Fit) -> None:
    """Posterior, samples as CSV, summary and diagnosis as JSON."""
    import json

    import numpy as np

    from antidrome.core.files import atomic_write

    posterior = estimator.posterior_
    estimator.save(config.output / "posterior.safetensors")
    samples = posterior.sample(config.samples, seed=config.seed).values
    with atomic_write(config.output / "samples.csv") as temporary:
        np.savetxt(temporary, samples, delimiter=",", header=",".join(posterior.names), comments="", fmt="%.8g")
    table = posterior.summary(seed=config.seed)
    summary = {
        "parameters": {
            name: {key: float(table[key][i]) for key in table.data_vars} | {"unit": posterior.prior.units[i]}
            for i, name in enumerate(posterior.names)
        },
        "rounds": [dataclasses.asdict(report) for report in posterior.reports],
        "notes": list(posterior.notes),
        "diagnosis": None if estimator.diagnosis_ is None else estimator.diagnosis_.to_dict(),
    }
    with atomic_write(config.output / "summary.json") as temporary:
        Path(temporary).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(estimator: SNPE, output: Path) -> None:
    """The parameters' table, notes and verdict."""
    from rich.console import Console
    from rich.table import Table

    posterior = estimator.posterior_
    summary = posterior.summary(seed=0)
    table = Table(box=None)
    for column in ("parameter", "unit", "median", "95 % interval", "prior's 95 %"):
        table.add_column(column)
    for i, name in enumerate(posterior.names):
        row = {key: f"{float(summary[key][i]):.4g}" for key in summary.data_vars}
        table.add_row(
            printable(name),
            printable(posterior.prior.units[i]),
            row["median"],
            f"{row['low_95']} … {row['high_95']}",
            f"{row['prior_low_95']} … {row['prior_high_95']}",
        )
    console = Console(highlight=False)
    console.print(table)
    for note in posterior.notes:
        console.print(printable(f"note: {note}"), markup=False)
    if estimator.diagnosis_ is not None:
        for sentence in estimator.diagnosis_.verdict:
            console.print(printable(sentence), markup=False)
    console.print(printable(f"Written to {output}"), markup=False)


def _say(line: str) -> None:
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
