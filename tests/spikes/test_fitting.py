"""What an estimator hands to a fit, and keeps of what the fit says: all of it can be saved."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import antidrome as ad
from antidrome.core.training import TrainingHistory
from antidrome.spikes import fitting
from antidrome.spikes.adaptation import Adaptation
from antidrome.spikes.learning import config_for


@pytest.fixture
def opened(unchecked_types):
    recording = ad.spikes.simulate(n_neurons=2, duration_s=10, frame_rate_hz=20, seed=3)["dff"]
    return SimpleNamespace(recording=recording, frame_rate_hz=20.0, session=None)


def test_a_criterion_that_is_no_number_does_not_keep_a_fit_from_its_file(opened, monkeypatch):
    row = {"mixture": 0.0, "matched_r": float("nan"), "bound": -np.inf}
    adaptation = Adaptation(None, 0.0, [row], TrainingHistory([1], [np.nan], [0.5]))
    lesson = SimpleNamespace(labels=np.array(["0", "1"]), n_unusable=0, n_known_left_out=0)
    monkeypatch.setattr(fitting, "fit_shared", lambda *_: (None, adaptation, [lesson]))
    report = fitting.fit_estimator(ad.SpikeVAE(), [opened], [None], None, False).report
    assert report["candidates"] == [{"mixture": 0.0, "matched_r": None, "bound": None}]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(("rate_hz", "n_frames"), [(10.0, 102), (25.0, 125), (60.0, 300), (100.0, 300)])
def test_windows_last_five_seconds_within_bounds(rate_hz, n_frames):
    assert config_for("factorised", None, 1, rate_hz).window_frames == n_frames


def test_factors_of_numpy_become_numbers_that_a_report_holds(opened, monkeypatch):
    class Reached(Exception):
        pass

    def fit_own(*arguments):
        raise Reached(json.dumps(arguments[6]))

    monkeypatch.setattr(fitting, "fit_own", fit_own)
    model = ad.SpikeVAE(posterior="factorised", amplitude_factors=np.array([1, 2]))
    with pytest.raises(Reached, match=r"\[1.0, 2.0\]"):
        fitting.fit_estimator(model, [opened], [None], None, False)
