"""``antidrome mechanism simulate``: simulations at parameters drawn from the prior, kept, in shards if wanted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from antidrome.cli.mechanism_opening import OfModel, model_identity, opened_model
from antidrome.cli.text import say
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

if TYPE_CHECKING:
    import numpy

    from antidrome.mechanism.priors import Prior

THETA_BLOCK = 1024
LISTED = 8
"""Names of features that are printed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateModel(OfModel):
    """Simulate at draws of the prior. Interrupted, the same command goes on; more simulations may be added later."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the simulations; the jobs of an array share it."""
    simulations: int = 1000
    """Simulations in all shards together."""
    shard: str | None = None
    """i/n: only the i-th of n parts, counted from 0; for job arrays."""
    seed: int = 0
    """Seed of parameters and simulations."""


def run_simulate(config: SimulateModel) -> int:
    """Simulate, keep, say what there is; return 0."""
    from antidrome.mechanism.simulate.parameters import SAME_DRAW
    from antidrome.mechanism.simulate.run import run_simulations

    if config.simulations < 1:
        raise InputError(f"simulations is {config.simulations}; expected at least 1.")
    shard = _shard(config.shard)
    with opened_model(config) as model:
        done = run_simulations(
            model.simulator,
            draw_from_prior(model.prior, config.simulations, config.seed),
            seed=config.seed,
            store=config.output,
            parameter_names=model.prior.names,
            shard=shard,
            identity={"model": model_identity(config.model), "prior": model.prior.to_dict()},
            tolerance=SAME_DRAW,
        )
    failed = int((~done.valid).sum())
    say(f"{len(done):,} of {config.simulations:,} simulations in {config.output}, {failed:,} of them failed")
    kinds = sorted({f"{failure.kind}: {failure.message}" for failure in done.failures})
    for kind in kinds[:5]:
        say(f"  {kind}")
    _tell_of_features(model.simulator, done.feature_names, model.prior.n_parameters)
    return 0


def _tell_of_features(simulator: Any, names: Sequence[str], n_parameters: int) -> None:
    """What was found out of the simulator, for whoever meant it otherwise."""
    from antidrome.mechanism.simulate.outputs import are_rows
    from antidrome.mechanism.simulate.python_simulator import PythonSimulator

    some = f"{', '.join(names[:LISTED])}{', …' if len(names) > LISTED else ''}"
    of_python = isinstance(simulator, PythonSimulator) and simulator.is_batched is not None
    taken = "many parameter sets a call" if of_python and simulator.is_batched else "one parameter set a call"
    say(f"{counted(len(names), 'feature')}: {some}{f'; {taken}' if of_python else ''}")
    one_array = of_python and not simulator.is_batched and not simulator.called_by_name
    if one_array and are_rows(names, n_parameters):
        say(
            f"note: One parameter set of {counted(n_parameters, 'value')} gave {counted(n_parameters, 'row')}, all of"
            f" which count as features of one simulation. If the function takes many sets at once, (n, {n_parameters}),"
            " and gives a row for each, say so in the model file, simulator = PythonSimulator(FUNCTION, batched=True)"
            " of antidrome.mechanism.simulate, and simulate in another folder."
        )


def draw_from_prior(prior: Prior, n_simulations: int, seed: int) -> numpy.ndarray:
    """(n, d) draws; the first ones are the same however many there are, and in every shard."""
    import numpy as np

    from antidrome.core.seeds import fold_in

    blocks = [
        prior.sample(THETA_BLOCK, seed=fold_in(seed, f"mechanism/theta-{b}"))
        for b in range(-(-n_simulations // THETA_BLOCK))
    ]
    return np.concatenate(blocks)[:n_simulations]


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not int(found[1]) < int(found[2]):
        raise InputError(f"--shard {text}: expected i/n with i from 0 to n-1, for example 0/10.")
    return int(found[1]), int(found[2])
