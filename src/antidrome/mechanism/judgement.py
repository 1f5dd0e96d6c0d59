"""Simulations kept beside a fit, so that its posterior can be judged later."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from antidrome.core.files import atomic_write
from antidrome.errors import FileFormatError, InputError
from antidrome.mechanism.diagnostics.diagnose import FEWEST_PAIRS, PAIRS, SAMPLES, Diagnosis, diagnose, usable_pairs
from antidrome.mechanism.posterior import Posterior
from antidrome.mechanism.rounds import FitSimulations
from antidrome.recordings.archives import load_npz

NAME = "judgement.npz"


def keep_for_judgement(
    folder: Path, simulations: FitSimulations, weights: np.ndarray, held_out: bool, posterior: str
) -> None:
    """Write the simulations that a posterior is judged by, their weights (n,), and the fingerprint of the posterior.

    Not compressed: features that are mostly zeros would shrink so far that `load_npz` takes the file for a bomb.
    """
    used = weights > 0
    with atomic_write(folder / NAME) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            u=simulations.u[used],
            features=simulations.features[used],
            weights=weights[used],
            held_out=np.array(held_out),
            posterior=np.frombuffer(bytes.fromhex(posterior), np.uint8),
        )


def diagnose_folder(
    folder: str | Path, *, n_pairs: int = PAIRS, n_samples: int = SAMPLES, seed: int | None = None
) -> Diagnosis | None:
    """Judge the posterior that a fit left in a folder; None if the fit left too few simulations to judge by.

    With the defaults the figures are those of the fit, whose seed is used where none is given; there is no predictive
    check.

    Raises
    ------
    FileFormatError
        The folder lacks the posterior or the simulations, or they are damaged.
    InputError
        `n_pairs` or `n_samples` are too few, or the simulations are those of another fit, which was interrupted.
    """
    folder = Path(folder)
    posterior = Posterior.load(folder / "posterior.safetensors")
    path = folder / NAME
    if not path.is_file():
        raise FileFormatError(f"{folder} holds no {NAME}; is it a folder that `antidrome mechanism fit` wrote?")
    kept = load_npz(path)
    lacking = {"u", "features", "weights", "held_out"} - set(kept)
    if lacking:
        raise FileFormatError(f"{path} lacks {', '.join(sorted(lacking))}.")
    if "posterior" in kept and kept["posterior"].tobytes().hex() != posterior.fingerprint():
        raise InputError(
            f"{path} is of another fit than {folder / 'posterior.safetensors'}: one that was begun later in this folder"
            " and is not finished. Let it finish, with the command that began it, and judge it then."
        )
    if len(usable_pairs(kept["weights"])) < FEWEST_PAIRS:
        return None
    return diagnose(
        posterior,
        kept["u"],
        kept["features"],
        kept["weights"],
        held_out=bool(kept["held_out"]),
        n_pairs=n_pairs,
        n_samples=n_samples,
        seed=posterior.seed if seed is None else seed,
    )
