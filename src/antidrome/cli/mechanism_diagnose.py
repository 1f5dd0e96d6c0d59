"""``antidrome mechanism diagnose``: how far a fitted posterior can be trusted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.text import say, say_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Judge a posterior by its held-out simulations.

    Exit code: 0 nothing speaks against it, 1 something does, or the simulations are too few to tell, 2 a file is bad.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `antidrome mechanism fit` wrote."""
    pairs: int = 300
    """Pairs of parameters and simulation to judge by, at most."""
    samples: int = 100
    """Posterior samples at each."""
    json: bool = False
    """Print the figures as JSON."""
    seed: int | None = None
    """Seed of the samples; by default that of the fit."""


def run_diagnose(config: Diagnose) -> int:
    """Judge and print; return 0 if nothing speaks against the posterior, else 1 (also if there is too little)."""
    from antidrome.mechanism.diagnostics.diagnose import NOT_JUDGED
    from antidrome.mechanism.judgement import diagnose_folder

    found = diagnose_folder(config.folder, n_pairs=config.pairs, n_samples=config.samples, seed=config.seed)
    conclusions = (NOT_JUDGED,) if found is None else found.conclusions
    if config.json:
        say_json({"trustworthy": False, "conclusions": [NOT_JUDGED]} if found is None else found.to_dict())
    else:
        for sentence in conclusions:
            say(sentence)
    return 0 if found is not None and found.trustworthy else 1
