"""``antidrome mechanism``: the posterior over the parameters of a mechanistic model."""

from typing import Annotated

import tyro

from antidrome.cli.mechanism_diagnose import Diagnose, run_diagnose
from antidrome.cli.mechanism_fit import Fit, run_fit
from antidrome.cli.mechanism_simulate import SimulateModel, run_simulate


def run(
    config: (
        Annotated[Fit, tyro.conf.subcommand("fit", prefix_name=False)]
        | Annotated[SimulateModel, tyro.conf.subcommand("simulate", prefix_name=False)]
        | Annotated[Diagnose, tyro.conf.subcommand("diagnose", prefix_name=False)]
    ),
) -> int:
    """Fit, simulate or judge; return the exit code."""
    if isinstance(config, Fit):
        return run_fit(config)
    if isinstance(config, SimulateModel):
        return run_simulate(config)
    return run_diagnose(config)
