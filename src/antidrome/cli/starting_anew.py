"""``mechanism fit --overwrite``: what an earlier fit left is put aside until the new one is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from antidrome.core.locks import try_lock
from antidrome.errors import InputError, ResumeError

ASIDE = ".replaced"
"""Folder for the work of an earlier fit; where it is, a fit with --overwrite has begun and is not complete."""


def fit_anew(fit: Callable[[], None], output: Path, *, recorded: Path | None) -> None:
    """Fit in a folder as if there were no earlier fit; interrupted, the same call goes on from its own work.

    Parameters
    ----------
    fit
        Fits and writes.
    output
        The folder.
    recorded
        Folder of simulations that are fitted; they are never put aside.

    Raises
    ------
    ResumeError
        If another process is writing simulations there.
    """
    if (output / ASIDE).is_dir():
        try:
            fit()
        except ResumeError:  # what was interrupted was another fit
            for path in _unlocked(_work_in(output, recorded)):
                path.unlink()
            fit()
        return
    _put_aside(output, recorded)
    try:
        fit()
    except InputError:
        if not _work_in(output, recorded):
            _put_back(output)
        raise


def forget_replaced(output: Path) -> None:
    """Drop what was put aside, once a fit is complete."""
    shutil.rmtree(output / ASIDE, ignore_errors=True)


def _put_aside(output: Path, recorded: Path | None) -> None:
    work = _unlocked(_work_in(output, recorded))
    (output / ASIDE).mkdir(parents=True)
    for path in work:
        path.rename(output / ASIDE / path.name)


def _put_back(output: Path) -> None:
    """A fit that was refused before it did anything leaves everything as it was."""
    from antidrome.mechanism.snapshots import CHECKPOINT

    for path in (output / ASIDE).iterdir():
        path.rename(output / path.name if path.name == CHECKPOINT else output / "simulations" / path.name)
    (output / ASIDE).rmdir()


def _work_in(output: Path, recorded: Path | None) -> list[Path]:
    """The checkpoint of a fit and its simulations; those of `mechanism simulate` are nobody's to drop.

    A fit tells of its simulator in one line of text, `mechanism simulate` of model and prior.
    """
    from antidrome.mechanism.simulate.store import files_of, simulator_of
    from antidrome.mechanism.snapshots import CHECKPOINT

    kept = output / "simulations"
    given = recorded is not None and recorded.resolve() == kept.resolve()
    simulations = files_of(kept) if not given and isinstance(simulator_of(kept), str) else []
    return [*simulations, *(path for path in [output / CHECKPOINT] if path.exists())]


def _unlocked(work: list[Path]) -> list[Path]:
    """The files, if no other process is writing any of them."""
    for path in work:
        descriptor = os.open(path, os.O_RDWR)
        try:
            if not try_lock(descriptor):
                raise ResumeError(
                    f"{path} is being written by another process. Wait for it, or give another folder with -o."
                )
        finally:
            os.close(descriptor)
    return work
