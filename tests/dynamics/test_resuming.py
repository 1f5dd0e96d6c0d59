"""A fit that was interrupted anywhere goes on to the same result, to the last bit."""

import contextlib
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics import resuming, simulate
from antidrome.dynamics.choosing import N_FOLDS
from antidrome.dynamics.em import EMState
from antidrome.dynamics.problem import Fit
from antidrome.dynamics.resuming import Stages, decoded, encoded
from antidrome.dynamics.solving import FitSettings
from antidrome.errors import ResumeError

SETTINGS = {"n_starts": 2, "max_iterations": 12, "n_folds": 2, "seed": 3}
STREAM = {"n_starts": FitSettings.n_starts, "n_folds": N_FOLDS}


class Killed(Exception):
    """Stands for the end of the process."""


def sessions():
    truth = simulate(24, 2, 240, seed=2)
    return {"a": (truth.activity[:120, :16], range(16)), "b": (truth.activity[120:, 8:], range(8, 24))}


def killed_after(monkeypatch, n_saves):
    """Let the process "die" after so many writes, whatever they are."""
    save, left = resuming.save_model, [n_saves]

    def counted(*arguments, **options):
        save(*arguments, **options)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(resuming, "save_model", counted)


@pytest.fixture
def keep_always(monkeypatch):
    made = resuming.Stages.__init__

    def always(self, *arguments, **options):
        made(self, *arguments, **{**options, "every_s": 0.0})

    monkeypatch.setattr(resuming.Stages, "__init__", always)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"refine": "em", "em_iterations": 4},
        {"solver": "sketch", "coupling": 0.03, "shrinkage": 0.0, "zero_lag": "never"},
        {"solver": "adam", **STREAM},
        {"weights": "pairs", "solver": "als"},
    ],
    ids=str,
)
def test_interrupted_fits_end_as_uninterrupted_ones(options, tmp_path, monkeypatch, keep_always):
    made, settings = sessions(), {**SETTINGS, **options}
    expected = ad.StitchedLDS(2, **settings).fit(made, progress=False)
    for n_saves in (1, 5, 17, 40):
        with monkeypatch.context() as patch:
            killed_after(patch, n_saves)
            with contextlib.suppress(Killed):
                ad.StitchedLDS(2, **settings).fit(made, checkpoint=tmp_path / str(n_saves), progress=False)
        found = ad.StitchedLDS(2, **settings).fit(made, checkpoint=tmp_path / str(n_saves), progress=False)
        np.testing.assert_array_equal(found.loadings_.values, expected.loadings_.values)
        np.testing.assert_array_equal(found.losses_, expected.losses_)
        np.testing.assert_array_equal(found.result_.system.dynamics, expected.result_.system.dynamics)
        assert found.notes_ == expected.notes_


def test_a_finished_fit_is_read_back(tmp_path, monkeypatch):
    made = sessions()
    expected = ad.StitchedLDS(2, **SETTINGS).fit(made, checkpoint=tmp_path, progress=False)

    def never(*_):
        raise AssertionError("this was iterated before")

    monkeypatch.setattr("antidrome.dynamics.als.iterate", never)
    again = ad.StitchedLDS(2, **SETTINGS).fit(made, checkpoint=tmp_path, progress=False)
    np.testing.assert_array_equal(again.loadings_.values, expected.loadings_.values)


def test_other_data_and_settings_are_refused(tmp_path):
    made = sessions()
    ad.StitchedLDS(2, **SETTINGS).fit(made, checkpoint=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="settings differ"):
        ad.StitchedLDS(2, **{**SETTINGS, "seed": 4}).fit(made, checkpoint=tmp_path, progress=False)
    values, labels = made["a"]
    with pytest.raises(ResumeError, match="data differ"):
        ad.StitchedLDS(2, **SETTINGS).fit({**made, "a": (values[::-1], labels)}, checkpoint=tmp_path, progress=False)
        ad.StitchedLDS(2, **SETTINGS).fit({**made, "a": (2 * values, labels)}, checkpoint=tmp_path, progress=False)


def test_shifted_neurons_are_other_data(tmp_path):
    """As in a control: every neuron keeps its mean, its variance, and all its values."""
    counts = np.random.default_rng(0).poisson(0.5, (512, 10)).astype(float)
    first = ad.StitchedLDS(2, **SETTINGS).fit(counts, checkpoint=tmp_path, progress=False)
    shifted = np.column_stack([np.roll(trace, 40 * k) for k, trace in enumerate(counts.T)])
    with pytest.raises(ResumeError, match="data differ"):
        ad.StitchedLDS(2, **SETTINGS).fit(shifted, checkpoint=tmp_path, progress=False)
    assert ad.StitchedLDS(2, **SETTINGS).fit(shifted, progress=False).data_hash_ != first.data_hash_


def test_states_survive_their_files(tmp_path, rng):
    fit = Fit(rng.standard_normal((5, 2)), rng.standard_normal((1, 3, 2, 2)), (0.5, 0.25), True)
    state = EMState(*(rng.standard_normal((2, 2)) for _ in range(6)), (-3.5,))
    stages = Stages(tmp_path, {"settings": "x"}, every_s=0.0)
    for kind, one in ((Fit, fit), (EMState, state)):
        stages.save(kind.__name__, encoded(one), {"done": True})
        found = decoded(kind, stages.load(kind.__name__)[0])
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(found, name), value)
            assert type(getattr(found, name)) is type(value)


CHILD = """
import os, signal
import numpy as np
import antidrome as ad
from antidrome.dynamics import resuming, simulate
save, left = resuming.save_model, [{n_saves}]
def counted(*arguments, **options):
    save(*arguments, **options)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
resuming.save_model = counted
truth = simulate(24, 2, 240, seed=2)
made = {{"a": (truth.activity[:120, :16], range(16)), "b": (truth.activity[120:, 8:], range(8, 24))}}
ad.StitchedLDS(2, **{settings!r}).fit(made, checkpoint={folder!r}, progress=False)
"""


@pytest.mark.slow
def test_a_killed_process_is_continued_by_another(tmp_path, happened):
    expected = ad.StitchedLDS(2, **SETTINGS).fit(sessions(), progress=False)
    for n_saves in (2, 4):
        code = CHILD.format(n_saves=n_saves, settings=SETTINGS, folder=str(tmp_path / str(n_saves)))
        done = subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parent, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        found = ad.StitchedLDS(2, **SETTINGS).fit(sessions(), checkpoint=tmp_path / str(n_saves), progress=False)
        differ = int((found.loadings_.values != expected.loadings_.values).sum())
        happened(f"another process goes on; loadings that differ from those of a fit left alone: {differ}")
        np.testing.assert_array_equal(found.loadings_.values, expected.loadings_.values)
