"""``mechanism fit --overwrite``: what an earlier fit left is put aside until the new one is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from antidrome.cli.text import say
from antidrome.core.locks import try_lock
from antidrome.errors import InputError, ResumeError

ASIDE = ".replaced"
"""Folder for the work of an earlier fit; where it is, a fit with --overwrite has begun and is not complete."""
HALF_ASIDE = f"{ASIDE}.half"
"""The same, while files are being moved there."""
BEGUN = "begun.txt"
"""In that folder, which fit has begun."""


def fit_anew(fit: Callable[[], None], output: Path, *, recorded: Path | None, of: str = "") -> None:
    """Fit in a folder as if there were no earlier fit; interrupted, the same call goes on from its own work.

    Parameters
    ----------
    fit
        Fits and writes.
    output
        The folder.
    recorded
        Folder of simulations that are fitted; they are never put aside.
    of
        Which model and observation are fitted. The work of an interrupted fit of others is dropped.

    Raises
    ------
    ResumeError
        If another process is writing simulations there.
    """
    if (output / ASIDE).is_dir():
        _go_on(fit, output, recorded, of)
        return
    _put_aside(output, recorded, of)
    try:
        fit()
    except InputError:
        if not _work_in(output, recorded):
            _put_back(output)
        raise


def forget_replaced(output: Path) -> None:
    """Drop what was put aside, once a fit is complete."""
    shutil.rmtree(output / ASIDE, ignore_errors=True)


def _go_on(fit: Callable[[], None], output: Path, recorded: Path | None, of: str) -> None:
    """Fit where an interrupted fit with --overwrite has left its work, if it was the same; else without that."""
    told = output / ASIDE / BEGUN
    same = told.is_file() and told.read_text(encoding="utf-8") == of
    if _work_in(output, recorded):
        if same:
            say("The fit with --overwrite that was interrupted goes on.")
        else:
            say("The model or the observation is not that of the interrupted fit with --overwrite: it begins anew.")
            _drop(_work_in(output, recorded))
    told.write_text(of, encoding="utf-8")
    try:
        fit()
    except ResumeError:  # what was interrupted was another fit
        _drop(_work_in(output, recorded))
        fit()


def _drop(work: list[Path]) -> None:
    for path in _unlocked(work):
        path.unlink()


def _put_aside(output: Path, recorded: Path | None, of: str) -> None:
    """Move the work of an earlier fit; the folder has its name when all of it is there."""
    work, half = _unlocked(_work_in(output, recorded)), output / HALF_ASIDE
    half.mkdir(parents=True, exist_ok=True)
    for path in work:
        path.rename(half / path.name)
    (half / BEGUN).write_text(of, encoding="utf-8")
    half.rename(output / ASIDE)


def _put_back(output: Path) -> None:
    """A fit that was refused before it did anything leaves everything as it was."""
    from antidrome.mechanism.snapshots import CHECKPOINT

    (output / ASIDE / BEGUN).unlink()
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
