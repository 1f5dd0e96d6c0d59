"""The metrics against brute force, closed forms, and the published scores of the spikefinder challenge."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from antidrome.errors import InputError
from antidrome.spikes import metrics


def poisson_pair(rng, n=2000, n_neurons=3):
    true = rng.poisson(0.1, (n, n_neurons)).astype(float)
    return 0.7 * true + 0.1 * rng.random(true.shape), true


def test_correlation_is_pearson_without_nan_pairs(rng):
    expected, true = poisson_pair(rng)
    expected[::7, 1] = np.nan
    true[3::11, 1] = np.nan
    keep = np.isfinite(expected[:, 1]) & np.isfinite(true[:, 1])
    r = metrics.correlation(expected, true)
    assert r[0] == pytest.approx(np.corrcoef(expected[:, 0], true[:, 0])[0, 1])
    assert r[1] == pytest.approx(np.corrcoef(expected[keep, 1], true[keep, 1])[0, 1])


def test_correlation_with_a_constant_is_undefined(rng):
    assert np.isnan(metrics.correlation(np.full(100, 0.1), rng.random(100)))
    assert np.isnan(metrics.correlation(rng.random(100), np.zeros(100)))


def test_a_late_prediction_has_a_positive_lag(rng):
    _, true = poisson_pair(rng)
    curve = metrics.correlation_at_lags(np.roll(true, 2, axis=0), true, range(-3, 4), edge=5)
    np.testing.assert_allclose(curve[5], 1.0)
    assert (curve.argmax(axis=0) == 5).all()


def test_lags_are_learnt_on_the_others():
    curves = np.array([[0.9, 0.1, 0.1], [0.2, 0.5, 0.4], [0.1, 0.3, 0.6]])
    np.testing.assert_array_equal(metrics.learnt_lags(curves), [1, 0, 0])
    np.testing.assert_array_equal(metrics.learnt_lags(curves[:, 2:]), [2])
    assert metrics.learnt_lags(np.full((5, 2), np.nan)).tolist() == [2, 2]


def test_error_and_bias_count_what_is_spurious_and_what_is_missed():
    error, bias = metrics.error_and_bias(np.array([0.5, 0.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert (float(error), float(bias)) == pytest.approx((2.5 / 3, 0.5 / 3))
    assert np.isnan(metrics.error_and_bias(np.ones(3), np.zeros(3))).all()
    assert metrics.count_ratio(np.array([3.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(2.0)


def test_information_gain_is_zero_for_the_mean_and_entropy_like_for_the_truth(rng):
    rate = np.where(np.arange(40_000) % 10 == 0, 0.5, 0.02)
    count = rng.poisson(rate).astype(float)
    assert metrics.information_gain(np.full(len(count), count.mean()), count) == pytest.approx(0, abs=1e-12)
    expected = (rate * np.log2(rate / rate.mean())).sum() / rate.sum()
    assert metrics.information_gain(rate, count) == pytest.approx(expected, rel=0.03)
    assert metrics.information_gain(3 * rate, count) < metrics.information_gain(rate, count)


def largest_matching(a, b, tolerance):
    near = np.abs(a[:, None] - b[None]) <= tolerance
    return int((maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).sum())


def test_matching_is_a_largest_one(rng):
    for _ in range(60):
        a, b = rng.random(rng.integers(1, 15)), rng.random(rng.integers(1, 15))
        matches = metrics.match_spikes(a, b, 0.06)
        assert matches.n_matched == largest_matching(a, b, 0.06)
        assert matches.f1 == pytest.approx(2 * matches.n_matched / (len(a) + len(b)))


def test_matching_without_spikes_is_undefined_not_zero():
    assert np.isnan(metrics.match_spikes(np.zeros(0), np.zeros(0)).f1)
    assert np.isnan(metrics.match_spikes(np.zeros(0), np.ones(1)).precision)
    assert metrics.match_spikes(np.zeros(0), np.ones(1)).recall == 0


def slow_synchrony(a, b):
    def gaps(x, i):
        around = np.r_[np.inf, np.diff(x), np.inf]
        return [around[i], around[i + 1]]

    def hit(x, y, i):
        return any(abs(x[i] - y[j]) < min(gaps(x, i) + gaps(y, j)) / 2 for j in range(len(y)))

    return np.mean([hit(a, b, i) for i in range(len(a))] + [hit(b, a, i) for i in range(len(b))])


def test_synchrony_against_the_definition(rng):
    for _ in range(60):
        a, b = np.sort(rng.random(rng.integers(1, 12))), np.sort(rng.random(rng.integers(1, 12)))
        assert metrics.spike_synchrony(a, b) == pytest.approx(slow_synchrony(a, b))
    train = np.sort(rng.random(30))
    assert metrics.spike_synchrony(train, train) == 1.0
    assert metrics.spike_synchrony(train, np.zeros(0)) == 0.0


def test_placed_spikes_keep_the_rounded_count():
    time_s = np.arange(6) / 10
    placed = metrics.place_spikes(np.array([0, 1.0, 0, 0.5, 0.6, 0.4]), time_s, 10.0)
    assert len(placed) == 3  # 2.5 rounds up
    np.testing.assert_allclose(placed, [0.1, 0.35, 0.55])
    assert len(metrics.place_spikes(np.zeros(5), np.arange(5.0), 1.0)) == 0


def test_bins_keep_every_spike_and_mask_gaps():
    rate, time_s = 10.0, np.r_[np.arange(20), np.arange(30, 50)] / 10.0
    binned, edges = metrics.bin_expected(np.full(40, 0.2), time_s, rate, 0.25)
    masked = np.isnan(binned)
    assert masked.sum() == 4  # the gap from 1.95 to 2.95 s
    np.testing.assert_allclose(binned[~masked], 0.5)
    assert edges[0] == pytest.approx(-0.05)
    with pytest.raises(InputError, match="frames 3 and 4"):
        metrics.bin_expected(np.ones(6), np.array([0, 1, 2, 3, 2.5, 5.0]), 1.0)


@pytest.mark.parametrize("clock", ["29.97 Hz", "29.9 Hz", "jitter", "milliseconds"])
def test_scores_do_not_depend_on_how_exact_the_clock_is(clock, rng):
    n, rate = 6000, 30.0
    count = rng.poisson(0.05, n)
    expected = 0.8 * count + 0.1 * rng.random(n)
    exact = np.arange(n) / rate
    told = {
        "29.97 Hz": np.arange(n) / 29.97,
        "29.9 Hz": np.arange(n) / 29.9,
        "jitter": exact + rng.uniform(-0.002, 0.002, n),
        "milliseconds": exact.round(3),
    }[clock]
    of_exact, found = (metrics.score(expected, np.repeat(time_s, count), rate, time_s) for time_s in (exact, told))
    for name in ("r", "r_smooth", "error", "bias", "information_gain"):
        assert getattr(found, name) == pytest.approx(getattr(of_exact, name), abs=0.03), name
    assert np.isfinite(metrics.bin_expected(expected, told, rate, 0.01)[0]).all()


def test_an_exact_posterior_is_calibrated(rng):
    rate = rng.gamma(1.0, 2.0, (4000, 1))
    true = rng.poisson(rate)
    samples = rng.poisson(rate, (200, 4000, 1))
    place = metrics.probability_integral_transform(samples, true, 1, rng)
    np.testing.assert_allclose(np.quantile(place, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)
    assert 0.9 <= metrics.coverage(samples, true, 10).share[0] < 0.97
    assert 0.5 <= metrics.coverage(samples, true, 10, level=0.5).share[0] < 0.6
    assert metrics.coverage(samples + 4, true, 10).share[0] < 0.1


def fake_result(rng, n=3000, rate=30.0, late=0):
    count = rng.poisson(0.05, (n, 3)) * (rng.random((n, 3)) < 0.5)
    times = {f"n{i}": np.repeat(np.arange(n) / rate, count[:, i]) for i in range(3)}
    expected = np.roll(count, late, axis=0).astype(float)
    return (
        xr.Dataset(
            {
                "expected_spikes": (("time", "neuron"), expected),
                "samples": (("sample", "time", "neuron"), np.repeat(expected[None], 20, axis=0)),
            },
            coords={"time": np.arange(n) / rate, "neuron": list(times)},
            attrs={"frame_rate_hz": rate},
        ),
        times,
    )


def test_evaluate_gives_a_perfect_prediction_perfect_scores(rng):
    scores = metrics.evaluate(*fake_result(rng))
    for name in ("r_smooth", "f1", "precision", "recall", "count_ratio", "coverage"):
        np.testing.assert_allclose(scores[name], 1.0, atol=2e-3, err_msg=name)
    np.testing.assert_allclose(scores["error"], 0, atol=0.05)
    np.testing.assert_allclose(scores["learnt_lag_s"], 0)
    assert (scores["r"] > 0.8).all()


def test_evaluate_takes_the_frame_rate_of_the_times_and_refuses_another(rng):
    result, times = fake_result(rng)
    expected = metrics.evaluate(result, times)
    in_ms = result.assign_coords(time=("time", result["time"].values * 1000, {"units": "ms"}))
    for same in (result.drop_attrs(), in_ms):
        np.testing.assert_allclose(metrics.evaluate(same, times)["r"], expected["r"], atol=1e-6)
    with pytest.raises(InputError, match=r"30, but the times of the recording run at 15 Hz"):
        metrics.evaluate(result.isel(time=slice(None, None, 2)), times)


def test_evaluate_finds_a_common_delay_and_takes_it_out(rng):
    late = metrics.evaluate(*fake_result(rng, late=6))
    np.testing.assert_allclose(late["learnt_lag_s"], 0.2)
    assert (late["r_learnt_lag"] > 0.8).all()
    assert (late["r"] < 0.1).all()


def test_evaluate_takes_no_counts_for_times(rng, unchecked_types):
    result, _ = fake_result(rng)
    for counts in (result["expected_spikes"].transpose("neuron", "time"), result):
        with pytest.raises(InputError, match="expected times in seconds"):
            metrics.evaluate(result, counts)
    with pytest.raises(InputError, match="Got a DataArray; expected the Dataset"):
        metrics.evaluate(result["expected_spikes"], [])


def test_evaluate_takes_neither_counts_of_one_neuron_nor_dates_for_times(rng, unchecked_types):
    result, times = fake_result(rng)
    counts = np.zeros(result.sizes["time"], int)
    for wrong, match in ((counts, "looks like counts"), (["a"], "finite times"), (np.zeros((2, 2)), "finite times"),
                         (times["n1"].astype("datetime64[s]"), "finite times")):  # fmt: skip
        with pytest.raises(InputError, match=match):
            metrics.evaluate(result, {"n1": wrong})


def test_evaluate_heeds_the_names_of_the_axes(rng):
    result, times = fake_result(rng)
    xr.testing.assert_equal(metrics.evaluate(result.transpose(), times), metrics.evaluate(result, times))


def test_evaluate_takes_one_selected_neuron_and_labels_that_are_numbers(rng):
    result, times = fake_result(rng)
    expected = metrics.evaluate(result, times)
    one = metrics.evaluate(result.sel(neuron="n1"), {"n1": times["n1"]})
    np.testing.assert_allclose(one["count_ratio"], expected["count_ratio"].sel(neuron=["n1"]))
    numbered = metrics.evaluate(result.assign_coords(neuron=[7, 8, 9]), {"9": times["n2"], "7": times["n0"]})
    np.testing.assert_array_equal(numbered["r"], expected["r"].sel(neuron=["n2", "n0"]))


def test_trains_that_pandas_grouped_are_taken_by_their_names(rng, unchecked_types):
    result, times = fake_result(rng)
    result = result.assign_coords(neuron=["9", "10", "11"])
    rows = [(label, t) for label, train in zip([9, 10, 11], times.values(), strict=True) for t in train]
    table = pd.DataFrame(rows, columns=["neuron", "time_s"]).astype({"neuron": str})
    grouped = table.groupby("neuron")["time_s"].apply(np.asarray)
    assert list(grouped.index) == ["10", "11", "9"]
    expected = metrics.evaluate(result, list(times.values()))
    for trains in (grouped, pd.Series(list(times.values()))):
        found = metrics.evaluate(result, trains)
        np.testing.assert_array_equal(found["r"].sel(neuron=expected["neuron"]), expected["r"])
    for wrong in (table, grouped.to_frame(), table["time_s"]):
        with pytest.raises(InputError, match=r"expected times in seconds, \{neuron label"):
            metrics.evaluate(result, wrong)
    with pytest.raises(InputError, match="more than once"):
        metrics.evaluate(result, pd.concat([grouped, grouped[:1]]))


def test_evaluate_counts_true_spikes_outside_the_recording(rng):
    result, times = fake_result(rng)
    assert metrics.evaluate(result, times).attrs["notes"] == []
    notes = metrics.evaluate(result, {name: train * 1e3 + 1e6 for name, train in times.items()}).attrs["notes"]
    n = sum(map(len, times.values()))
    assert notes[0].startswith(f"{n} of {n} true spikes lie before the first or after the last frame")


def test_true_spikes_between_trials_or_where_nothing_was_inferred_are_not_missed(rng):
    result, times = fake_result(rng)
    n, clock = result.sizes["time"], result["time"].values
    away = (clock[n // 3], clock[n // 2])
    kept = {name: train[(train < away[0] - 0.5 / 30) | (train > away[1] - 0.5 / 30)] for name, train in times.items()}
    trials = result.isel(time=np.r_[: n // 3, n // 2 : n])
    hidden = result.drop_vars("samples").where((result["time"] < away[0]) | (result["time"] >= away[1]))
    for one in (trials, hidden):
        found, expected = metrics.evaluate(one, times), metrics.evaluate(one, kept)
        for name in ("count_ratio", "precision", "recall", "f1", "synchrony"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found["count_ratio"], 1.0 + found["bias"], atol=0.05)
    assert "or in a gap between frames" in metrics.evaluate(trials, times).attrs["notes"][0]


def test_evaluate_leaves_out_what_was_not_seen_in_every_score(rng):
    """True spikes in gaps and in frames without a value were missed by nobody: no score may count them."""
    result, times = fake_result(rng)
    blank = result.copy(deep=True)
    blank["expected_spikes"][900:1800] = np.nan
    with_gap = result.isel(time=np.r_[0:900, 1800:3000])
    seen = {name: train[(train < 29.98) | (train > 59.99)] for name, train in times.items()}
    for one in (blank, with_gap):
        found, expected = metrics.evaluate(one, times), metrics.evaluate(one, seen)
        for name in ("count_ratio", "precision", "recall", "f1", "synchrony", "coverage"):
            np.testing.assert_allclose(found[name], expected[name], err_msg=name)
        np.testing.assert_allclose(found["coverage"], 1.0, atol=0.03)
        np.testing.assert_allclose(found["count_ratio"], 1 + found["bias"], atol=0.02)
    assert "in a gap between frames" in found.attrs["notes"][0]
    blank["expected_spikes"][:, 0] = np.nan
    dead = metrics.evaluate(blank, times).sel(neuron="n0")
    assert all(np.isnan(dead[name]) for name in ("count_ratio", "recall", "f1", "synchrony", "coverage"))


def test_evaluate_says_nothing_of_a_neuron_of_which_nothing_was_inferred(rng):
    result, times = fake_result(rng)
    dead = result.assign(expected_spikes=result["expected_spikes"].where(result["neuron"] != "n1"))
    scores, others = metrics.evaluate(dead, times), {name: times[name] for name in ("n0", "n2")}
    for name in ("r", "r_smooth", "error", "count_ratio", "recall", "f1", "coverage"):
        assert np.isnan(scores[name].sel(neuron="n1")), name
    left = metrics.evaluate(result, others)
    xr.testing.assert_identical(scores.sel(neuron=["n0", "n2"]).drop_attrs(), left.drop_attrs())


def test_windows_with_missing_frames_do_not_count(rng):
    true, samples = rng.poisson(0.3, (100, 2)).astype(float), rng.poisson(0.3, (40, 100, 2)).astype(float)
    samples[:, 30:35, 0] = np.nan
    found, first = metrics.coverage(samples, true, 10), np.r_[0:30, 40:100]
    expected = metrics.coverage(samples[:, first], true[first], 10), metrics.coverage(samples, true, 10)
    assert found.share[0] == expected[0].share[0]
    assert found.width[0] == expected[0].width[0]
    places = metrics.probability_integral_transform(samples, true, 10, rng)
    assert np.flatnonzero(np.isnan(places[:, 0])).tolist() == [3]
    assert np.isfinite(places[:, 1]).all()


def test_evaluate_heeds_units_of_spike_times_and_masks(rng, unchecked_types):
    result, times = fake_result(rng)
    times = {name: np.round(train, 3) for name, train in times.items()}
    expected = metrics.evaluate(result, times)
    for convert in (
        lambda train: np.round(train * 1000).astype("timedelta64[ms]"),
        lambda train: xr.DataArray(train * 1000, dims="spike", attrs={"units": "ms"}),
        lambda train: train[:, None],
    ):
        found = metrics.evaluate(result, {name: convert(train) for name, train in times.items()})
        np.testing.assert_allclose(found["r"].values, expected["r"].values, atol=1e-6)
    for wrong in (np.ma.masked_less(times["n1"], 5.0), times["n1"].astype("datetime64[s]"), ["early"]):
        with pytest.raises(InputError, match="'n1': expected a list of finite times"):
            metrics.evaluate(result, {"n1": wrong})


def test_evaluate_names_the_unknown_neuron(rng):
    result, times = fake_result(rng)
    with pytest.raises(InputError, match="Did you mean 'n1'"):
        metrics.evaluate(result, {"n11": times["n1"]})
    with pytest.raises(InputError, match="2 spike trains for 3 neurons"):
        metrics.evaluate(result, list(times.values())[:2])
    one = metrics.evaluate(result, {"n1": times["n1"]})
    assert one.sizes["neuron"] == 1
    assert "2 neurons have no true spike times" in one.attrs["notes"][0]


@pytest.mark.data
@pytest.mark.parametrize("dataset", [4, 5])
def test_spikefinder_correlations_are_the_published_ones(data_folder, dataset):
    """Per neuron to < 5e-4 at 25 Hz for every team but chenkov (sets 4 and 5 differ in the published table itself)."""
    folder = data_folder / "spikes" / "spikefinder"
    with gzip.open(folder / "results_23_01_18_25Hz.csv.gz", "rt") as file:
        published = {
            (row["algo"], int(row["cell"])): float(row["value"] or "nan")
            for row in csv.DictReader(file)
            if (row["dset"], row["measure"], row["split"]) == (str(dataset), "corr", "test")
        }
    with np.load(folder / f"sf{dataset}.test.npz") as file:
        arrays = dict(file)
    compared = 0
    for cell, (a, b) in enumerate(zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True)):
        true = metrics.bin_frames(arrays["spikes"][a:b], 4)
        for team in {name for name, _ in published} - {"chenkov"}:
            r = metrics.correlation(metrics.bin_frames(arrays[f"pred_{team}"][a:b].astype(float), 4), true)
            assert r == pytest.approx(published[team, cell], abs=5e-4), (team, cell)
            compared += 1
    assert compared == 11 * (len(arrays["offsets"]) - 1)


@pytest.mark.data
@pytest.mark.usefixtures("source_tree")
def test_scores_are_those_of_the_ground_truth_protocol(data_folder, rng):
    from benchmarks.ground_truth import cases, score, summarise

    rows, ours = [], []
    for case in cases(data_folder / "spikes" / "cascade" / "DS20-jRCaMP1a-m-V1.npz"):
        expected = np.maximum(np.gradient(case.dff), 0) + 0.01 * rng.random(len(case.dff))
        reference = score(expected, case)
        scores = metrics.score(expected, case.spikes_s, case.frame_rate_hz, start_s=case.start_s)
        np.testing.assert_allclose(scores.r_by_lag, reference.r_by_lag, atol=1e-6)
        assert scores.r_smooth == pytest.approx(reference.r_smooth, abs=1e-3, nan_ok=True)
        if len(case.spikes_s):
            assert scores.count_ratio == pytest.approx(reference.count_ratio, rel=0.05)
        rows.append((case, reference))
        if np.isfinite(scores.r):
            ours.append((case.seconds, case.neuron, scores.r_by_lag))
    neurons = list(dict.fromkeys(name for _, name, _ in ours))
    curves = np.stack(
        [
            np.average([r for _, n, r in ours if n == name], axis=0, weights=[s for s, n, _ in ours if n == name])
            for name in neurons
        ],
        axis=1,
    )
    learnt = curves[metrics.learnt_lags(curves), np.arange(len(neurons))]
    table, _ = summarise({"DS20": rows})
    assert np.median(learnt) == pytest.approx(table["DS20"]["r_learnt_lag"], abs=1e-6)
