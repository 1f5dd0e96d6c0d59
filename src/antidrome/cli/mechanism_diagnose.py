"""``antidrome mechanism diagnose``: how far a fitted posterior can be trusted."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.text import printable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Judge a posterior by its held-out simulations.

    Exit code: 0 nothing speaks against it, 1 something does, or the simulations are too few to tell, 2 a file is bad.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `antidrome mechanism fit` wrote."""
    pairs: int = 500
    """Simulations to judge by, at most."""
    draws: int = 200
    """Posterior samples at each."""
    json: bool = False
    """Print the figures as JSON."""
    seed: int = 0
    """Seed of the samples."""


def run_diagnose(config: Diagnose) -> int:
    """Judge and print; return 0 if nothing speaks against the posterior, else 1 (also if there is too little)."""
    import json

    from antidrome.mechanism.judgement import diagnose_folder

    found = diagnose_folder(config.folder, pairs=config.pairs, draws=config.draws, seed=config.seed)
    if config.json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n")
    else:
        for sentence in found.verdict:
            sys.stdout.write(printable(sentence) + "\n")
    return 0 if found.trustworthy else 1
