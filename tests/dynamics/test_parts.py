"""Sessions whose neurons come and go: pairs never recorded together are unseen, however the data are given."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics import as_population, overlap_report, simulate
from antidrome.dynamics.memory import estimate
from antidrome.dynamics.patterns import recorded_sets
from antidrome.dynamics.preparation import choose_form
from antidrome.dynamics.storage import load
from antidrome.errors import InputError

QUICK = {"n_starts": 2, "max_iterations": 40, "n_folds": 2, "seed": 1}
HALVES = {"apart": (10, 10), "sharing": (14, 6)}


@pytest.fixture(scope="module")
def truth():
    return simulate(20, 2, 600, seed=5)


def both_ways(truth, kind):
    """The same two parts of a population as two sessions, and as one matrix with NaN."""
    stop, start = HALVES[kind]
    sessions = {"a": (truth.activity[:300, :stop], range(stop)), "b": (truth.activity[300:, start:], range(start, 20))}
    matrix = truth.activity.copy()
    matrix[:300, stop:] = np.nan
    matrix[300:, :start] = np.nan
    return sessions, matrix


@pytest.fixture(scope="module", params=HALVES)
def fits(request, truth):
    """Fits of sessions and of the matrix, from sketches, whose parts are the same sessions, and from pooled pairs."""
    sessions, matrix = both_ways(truth, request.param)
    sketched = [ad.StitchedLDS(2, solver="sketch", **QUICK).fit(one, progress=False) for one in (sessions, matrix)]
    return [*sketched, ad.StitchedLDS(2, **QUICK).fit(matrix, progress=False)]


@pytest.mark.parametrize("kind", HALVES)
def test_the_report_before_a_fit_is_that_of_the_parts(truth, kind):
    sessions, matrix = both_ways(truth, kind)
    expected, found = (overlap_report(one, n_components=3) for one in (sessions, matrix))
    assert found.share_never_together == expected.share_never_together > 0
    assert found.shared.tolist() == expected.shared.tolist()
    assert found.n_groups == expected.n_groups == (2 if kind == "apart" else 1)
    assert len(found.warnings) == len(expected.warnings)


def test_fits_know_what_was_never_recorded_together(fits, truth):
    expected = fits[0].overlap_
    for found in fits[1:]:
        assert found.overlap_.share_never_together == expected.share_never_together > 0
        assert found.overlap_.n_groups == expected.n_groups
        warned = [len([note for note in one.notes_ if "fewer than the 2" in note]) for one in (fits[0], found)]
        assert warned[0] == warned[1] == expected.n_groups - 1
        np.testing.assert_array_equal(found.observed_, fits[0].observed_)
        assert len(found.sessions_) == 2
        whole, unseen, seen = (found.compare_pairs(truth.activity, pairs=kind)[0] for kind in ("all", "unseen", "seen"))
        assert len(unseen) == round(expected.share_never_together * 190)
        assert len(seen) + len(unseen) == len(whole) == 190


def test_parts_are_fitted_as_sessions_are(fits):
    """The means of neurons that both parts share are those of the whole matrix: a small difference."""
    expected, found, _ = fits
    assert len(found.result_.candidates) == len(expected.result_.candidates)
    assert found.result_.calibration == pytest.approx(expected.result_.calibration, rel=0.02)
    one, other = (model.predict_covariance(["0", "5"], ["15", "19"]).values for model in (expected, found))
    np.testing.assert_allclose(other, one, rtol=0.1, atol=0.02 * np.abs(one).max())


def test_predictions_of_unseen_pairs_are_calibrated(fits, tmp_path):
    for number, model in enumerate(fits):
        model.save(tmp_path / f"{number}.safetensors")
        factors = []
        for calibration in (1.0, 0.5):
            again = load(ad.StitchedLDS, tmp_path / f"{number}.safetensors")
            assert again.overlap_.to_dict() == model.overlap_.to_dict()
            object.__setattr__(again.result_, "calibration", calibration)
            factors.append(again.predict_covariance("1", ["3", "18"]).values[0])
        np.testing.assert_allclose(factors[1] / factors[0], [1, 0.5])


def test_pairs_are_counted_where_entries_are_missing_here_and_there(truth, rng, tmp_path):
    """Too many patterns for parts; two neurons that took turns are a pair that nobody has seen."""
    holes = np.where(rng.random((600, 20)) < 0.1, np.nan, truth.activity)
    holes[:300, 0] = holes[300:, 1] = np.nan
    model = ad.StitchedLDS(2, **QUICK).fit(holes, progress=False)
    model.save(tmp_path / "fit.safetensors")
    for one in (model, load(ad.StitchedLDS, tmp_path / "fit.safetensors")):
        assert one.overlap_.share_never_together == pytest.approx(1 / 190)
        assert one.overlap_.n_groups == 1
        predicted, _ = one.compare_pairs(truth.activity)
        assert predicted == pytest.approx([one.predict_correlation("0", "1").item()])


def test_the_moments_of_every_part_count_as_memory(truth):
    values = truth.activity.copy()
    for k in range(10):
        values[60 * k : 60 * (k + 1), k] = np.nan
    needed = []
    for one in (truth.activity, values):
        form, sessions = choose_form(as_population(one), "lbfgs", "session", 3)
        assert form == "dense"
        needed.append(estimate(sessions, form, 2, 3, 40).moments)
    assert needed[1] == pytest.approx(10 * (19 / 20) ** 2 * needed[0])
    with pytest.raises(InputError, match="would take about"):
        ad.StitchedLDS(2, solver="lbfgs", lags=range(3)).fit(values, memory_limit_bytes=10**6, progress=False)


def test_parts_within_others_are_no_parts_of_their_own(truth):
    """A few frames in which hardly any neuron was recorded tie nothing, and warn of nothing."""
    gaps = truth.activity[:300].copy()
    gaps[40:44, 3:] = np.nan
    names, observed = recorded_sets(as_population(gaps))
    assert observed.all()
    assert len(names) == 1
    assert not overlap_report(gaps, n_components=3).warnings
    turns = both_ways(truth, "sharing")[1]
    names, observed = recorded_sets(as_population({"a": turns, "a-2": truth.activity[:50]}))
    assert names == ("a", "a-3", "a-2")
    assert observed.sum(axis=1).tolist() == [14, 14, 20]


@pytest.mark.parametrize("weights", ["session", "pairs"])
@pytest.mark.parametrize("kind", ["one neuron a session", "turns of many frames", "turns from frame to frame"])
def test_neurons_that_were_never_recorded_together_are_refused(rng, kind, weights):
    values = rng.standard_normal((300, 3))
    turn = np.arange(300) % 3 if kind == "turns from frame to frame" else np.arange(300) // 100
    given = np.where(turn[:, None] == np.arange(3), values, np.nan)
    if kind == "one neuron a session":
        given = {f"day-{i}": (values[turn == i, i : i + 1], [f"cell-{i}"]) for i in range(3)}
    with pytest.raises(InputError, match="No two neurons were recorded together in more than one frame"):
        ad.StitchedLDS(1, weights=weights, **QUICK).fit(given, progress=False)
