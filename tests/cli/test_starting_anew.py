"""``mechanism fit --overwrite``: nothing is lost before a new fit is complete, and an interrupted one goes on."""

import os
from pathlib import Path

import numpy as np
import pytest

from antidrome.cli.starting_anew import ASIDE, fit_anew, forget_replaced
from antidrome.core.locks import try_lock
from antidrome.errors import InputError, ResumeError
from antidrome.mechanism.simulate.store import SUFFIX, SimulationStore, read_simulations, simulator_of


def leave(folder: Path, simulator: object) -> None:
    """A checkpoint and simulations of a fit."""
    with SimulationStore(
        folder / "simulations", parameter_names=("a",), feature_names=("x",), simulator=simulator
    ) as store:
        store.append(np.arange(2), np.ones((2, 1)), np.ones((2, 1)), np.ones(2, bool), np.arange(2))
    (folder / "fit.safetensors").write_text(f"of {simulator}")


def work_in(folder: Path) -> tuple[object, str | None]:
    """Whose simulations and whose checkpoint are there."""
    checkpoint = folder / "fit.safetensors"
    return simulator_of(folder / "simulations"), checkpoint.read_text() if checkpoint.exists() else None


def test_a_complete_fit_replaces_the_earlier_one(tmp_path):
    leave(tmp_path, "earlier")

    def fit() -> None:
        assert work_in(tmp_path) == (None, None)
        leave(tmp_path, "new")

    fit_anew(fit, tmp_path, recorded=None)
    forget_replaced(tmp_path)
    assert work_in(tmp_path) == ("new", "of new")
    assert not (tmp_path / ASIDE).exists()


def test_an_interrupted_one_goes_on(tmp_path):
    leave(tmp_path, "earlier")

    def interrupted() -> None:
        leave(tmp_path, "new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_anew(interrupted, tmp_path, recorded=None)
    fit_anew(lambda: None, tmp_path, recorded=None)
    assert work_in(tmp_path) == ("new", "of new")


def test_the_interrupted_work_of_another_fit_makes_way(tmp_path):
    (tmp_path / ASIDE).mkdir()
    leave(tmp_path, "interrupted")

    def fit() -> None:
        if work_in(tmp_path) != (None, None):
            raise ResumeError("of another fit")
        leave(tmp_path, "new")

    fit_anew(fit, tmp_path, recorded=None)
    assert work_in(tmp_path) == ("new", "of new")


def test_a_fit_that_is_refused_changes_nothing(tmp_path):
    leave(tmp_path, "earlier")

    def refused() -> None:
        raise InputError("0 rounds")

    with pytest.raises(InputError, match="0 rounds"):
        fit_anew(refused, tmp_path, recorded=None)
    assert work_in(tmp_path) == ("earlier", "of earlier")
    assert len(read_simulations(tmp_path / "simulations")) == 2
    assert not (tmp_path / ASIDE).exists()


def test_simulations_that_another_process_writes_are_left_to_it(tmp_path):
    leave(tmp_path, "earlier")
    descriptor = os.open(tmp_path / "simulations" / f"all{SUFFIX}", os.O_RDWR)
    assert try_lock(descriptor)
    with pytest.raises(ResumeError, match="written by another process"):
        fit_anew(lambda: None, tmp_path, recorded=None)
    os.close(descriptor)
    assert work_in(tmp_path) == ("earlier", "of earlier")


def test_simulations_that_are_no_fits_own_stay(tmp_path):
    """Those that are fitted, and those of `mechanism simulate`."""
    leave(tmp_path, "earlier")
    fit_anew(lambda: None, tmp_path, recorded=tmp_path / "simulations")
    forget_replaced(tmp_path)
    assert work_in(tmp_path) == ("earlier", None)
    other = tmp_path / "other"
    leave(other, {"model": "model.py", "prior": {}})
    fit_anew(lambda: None, other, recorded=None)
    assert work_in(other) == ({"model": "model.py", "prior": {}}, None)


@pytest.mark.parametrize(("of", "there"), [("model 1", ("new", "of new")), ("model 2", (None, None))])
def test_an_interrupted_one_of_another_state_of_the_model_begins_anew(tmp_path, capsys, of, there):
    """Simulations of both states were mixed."""
    leave(tmp_path, "earlier")

    def interrupted() -> None:
        leave(tmp_path, "new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_anew(interrupted, tmp_path, recorded=None, of="model 1")
    found = []
    fit_anew(lambda: found.append(work_in(tmp_path)), tmp_path, recorded=None, of=of)
    assert found == [there]
    assert capsys.readouterr().out.count("goes on." if of == "model 1" else "it begins anew.") == 1
    assert (tmp_path / ASIDE / "fit.safetensors").read_text() == "of earlier"


def test_what_was_half_put_aside_is_not_taken_for_new_work(tmp_path, monkeypatch):
    leave(tmp_path, "earlier")
    with monkeypatch.context() as patch:
        patch.setattr("antidrome.cli.starting_anew.BEGUN", "no/such/folder")
        with pytest.raises(FileNotFoundError):
            fit_anew(lambda: None, tmp_path, recorded=None)
    assert not (tmp_path / ASIDE).exists()
    fit_anew(lambda: None, tmp_path, recorded=None)
    assert work_in(tmp_path) == (None, None)
    assert (tmp_path / ASIDE / "fit.safetensors").read_text() == "of earlier"
