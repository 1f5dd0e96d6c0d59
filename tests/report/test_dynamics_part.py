"""The page of a stitched linear dynamical system: everything that was asked for, drawn from the fit's own numbers."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import NotFittedError

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.dynamics.comparing import ComparedPairs
from antidrome.report import RunInfo, dynamics_part, dynamics_report, write_dynamics_report
from antidrome.report.dynamics_charts import _thinned
from antidrome.report.dynamics_part import statements
from antidrome.report.dynamics_view import MAX_POINTS, _trajectories, dynamics_view

HOSTILE = "</script><img src=x onerror=alert(1)>"
RUN = RunInfo(title="A run", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})
QUICK = {"n_starts": 1, "max_iterations": 8, "n_folds": 1, "seed": 1}


def sessions(n_components, names=("mon", "tue"), shared=12):
    truth = simulate(30, n_components, 300, seed=4)
    half = (30 + shared) // 2
    parts = (slice(0, 150), slice(0, half)), (slice(150, 300), slice(30 - half, 30))
    labels = np.arange(30).astype(str)
    return {name: (truth.activity[part], labels[part[1]]) for name, part in zip(names, parts, strict=True)}


@pytest.fixture(scope="module")
def fitted():
    made = sessions(3)
    model = ad.StitchedLDS("auto", orders=(2, 3), refine="em", em_iterations=3, **QUICK)
    model.fit(made, frame_rate_hz=10.0, progress=False)
    return model, model.transform(made, frame_rate_hz=10.0), model.stationarity(made, frame_rate_hz=10.0)


def data_of(part, name, series):
    plot = part.figures[f"figure-{name}"]
    return next(one.data_source.data for one in plot.renderers if one.data_source.tags == [series])


def test_everything_is_drawn(fitted):
    model, latents, stationarity = fitted
    part = dynamics_part(model, latents, stationarity=stationarity)
    expected = {"overlap", "shared", "loss", "likelihood", "spectrum", "pairs", "order"}
    expected |= {f"trajectory-{pair}" for pair in (("1-2", "1-3", "2-3") if model.n_components_ == 3 else ("1-2",))}
    assert set(part.figures) == {f"figure-dynamics-{name}" for name in expected}
    assert set(part.sections) == {"run", "checks", "results", "trust"}
    for name in part.figures:
        assert f'id="{name}"' in part.sections["results"]
        assert f'data-chart="{name.removeprefix("figure-")}"' in part.sections["results"]


def test_the_page_tells_of_all_pairs_that_the_fit_keeps(fitted):
    """They are sorted by neuron; the correlation of the first alone would be another."""
    predicted = np.sort(np.random.default_rng(0).normal(size=2000))
    pairs = np.array([predicted, np.where(np.arange(2000) < 1500, predicted, 0.0)])
    model = copy.copy(fitted[0])
    model.result_ = dataclasses.replace(model.result_, pairs=ComparedPairs(seen=pairs, held_out=pairs))
    drawn = data_of(dynamics_part(model), "dynamics-pairs", "held out")
    np.testing.assert_array_equal(drawn["predicted"], predicted)
    r = np.corrcoef(pairs)[0, 1]
    assert r < 0.9
    assert f"r = {r:.2f}" in statements(dynamics_view(model))[0].text


def test_figures_hold_the_fits_own_numbers(fitted):
    model, latents, _ = fitted
    part = dynamics_part(model, latents)
    table = model.dynamics_table()
    np.testing.assert_allclose(
        data_of(part, "dynamics-spectrum", "eigenvalue")["time_constant"], table["time_constant_s"]
    )
    np.testing.assert_allclose(data_of(part, "dynamics-loss", "loss")["loss"], model.losses_)
    x = np.array(data_of(part, "dynamics-trajectory-1-2", "tue")["x"])
    np.testing.assert_allclose(x, latents["tue"]["latent"][:, 0])
    shared = np.array(data_of(part, "dynamics-shared", "shared neurons")["shared"]).reshape(2, 2)
    np.testing.assert_array_equal(shared, model.overlap_.shared)
    counts = np.array(data_of(part, "dynamics-overlap", "recorded")["count"])
    assert counts.sum() == model.observed_.sum()
    curve = data_of(part, "dynamics-order", "time lags")
    assert curve["dimensions"] == [2, 3]


def test_seen_and_held_out_pairs_are_correlations(fitted):
    model = fitted[0]
    view = dynamics_view(model)
    assert view.seen.shape[1] > 100
    assert np.corrcoef(view.seen)[0, 1] > 0.3
    assert view.held_out.shape[1] > 5
    for pairs in (view.seen, view.held_out):
        assert np.abs(pairs).max() < 2
    predicted, measured = model.compare_pairs(sessions(3), pairs="seen", frame_rate_hz=10.0)
    assert abs(np.corrcoef(view.seen)[0, 1] - np.corrcoef(predicted, measured)[0, 1]) < 0.1


def test_a_loaded_fit_has_the_same_page(fitted, tmp_path):
    model, latents, _ = fitted
    model.save(tmp_path / "fit.safetensors")
    loaded = ad.StitchedLDS.load(tmp_path / "fit.safetensors")
    assert dynamics_report(loaded, RUN, latents) == dynamics_report(model, RUN, latents)


@pytest.mark.parametrize("n_components", [1, 2])
def test_few_dimensions_have_few_projections(n_components):
    made = sessions(2)
    fixed = {"coupling": 0.03, "shrinkage": 0.0, "zero_lag": "never", "private_noise": "white"}
    model = ad.StitchedLDS(n_components, **fixed, **QUICK)
    part = dynamics_part(model.fit(made, progress=False), model.transform(made))
    found = [name for name in part.figures if "trajectory" in name]
    assert found == ["figure-dynamics-trajectory-time-1" if n_components == 1 else "figure-dynamics-trajectory-1-2"]
    if n_components == 1:
        assert part.figures[found[0]].xaxis[0].axis_label == "frame"  # nobody told the frame rate
    assert "figure-dynamics-order" not in part.figures
    assert "No pairs were held out" in part.sections["trust"]


def test_two_neurons_have_no_picture_of_pairs():
    values = sessions(2)["mon"][0][:, :2]
    part = dynamics_part(ad.StitchedLDS(1, **QUICK).fit(values, progress=False))
    assert "figure-dynamics-pairs" not in part.figures
    assert "There is one session" in part.sections["checks"]
    assert "One session: its neurons with themselves." in part.sections["results"]
    assert "tied together" not in part.sections["results"]
    assert "the others" not in part.sections["checks"]


def test_a_session_beyond_chance_is_named(fitted):
    model, latents, stationarity = fitted
    made = {"gap": [0.42, 0.1], "expected_gap": [0.07, 0.1], "deviates": [True, False]}
    marked = stationarity.assign({name: ("session", values) for name, values in made.items()})
    checks = dynamics_part(model, latents, stationarity=marked).sections["checks"]
    assert "Session mon differs from the others: its own latent covariances change 42 % of what it shows; 7 %" in checks
    assert "Session tue" not in checks
    fine = marked.assign(deviates=("session", [False, False]))
    assert "by more than chance" in dynamics_part(model, latents, stationarity=fine).sections["checks"]
    assert "by more than chance" not in dynamics_part(model, latents).sections["checks"]


def test_the_page_is_one_quiet_file(fitted, tmp_path):
    model, latents, stationarity = fitted
    write_dynamics_report(tmp_path / "report.html", model, RUN, latents, stationarity=stationarity)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", text) == [
        "What was run", "Checks", "Results", "How far to trust it", "Citations",
    ]  # fmt: skip
    assert "nonnenmacher2017" in text
    assert "default-src &#39;none&#39;" in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    document = re.search(r'id="page-figures">(.*?)</script>', text, re.S)[1]
    assert len(json.loads(document)["roots"]) == len(re.findall("data-chart=", text))


def test_the_page_says_how_it_was_made(fitted):
    """Command, seed, files and versions were handed over, and the page had none of them."""
    files = [{"name": "fit.safetensors", "what": "the fit"}]
    run = RunInfo.of("A fit", "…", command="antidrome dynamics fit a.nc --seed 7", seed=7, files=files)
    text = dynamics_report(fitted[0], run)
    assert text.count("<code>antidrome dynamics fit a.nc --seed 7</code>") == 1
    assert "<dt>seed</dt><dd>7</dd>" in text
    assert "<dt>antidrome version</dt>" in text
    assert "<code>fit.safetensors</code>: the fit" in text
    assert text.index("antidrome dynamics fit") < text.index("Shared dynamics")
    assert "antidrome version" not in dynamics_part(fitted[0]).sections["run"], "the page of a run has its own"


def test_hostile_names_stay_text():
    made = sessions(2, names=(HOSTILE, "b"), shared=2)
    model = ad.StitchedLDS(3, coupling=0.03, shrinkage=0.0, zero_lag="never", **QUICK).fit(made, progress=False)
    text = dynamics_report(model, RUN, model.transform(made))
    assert HOSTILE not in text
    assert "share 2 neurons, fewer than the 3 latent dimensions" in text
    assert any(one.level == "care" for one in statements(dynamics_view(model)))


def test_equal_sessions_are_good_news_only_where_every_mode_is_measured(fitted):
    model, latents, stationarity = fitted
    fine = stationarity.assign(deviates=xr.zeros_like(stationarity["deviates"]))
    view = dynamics_view(model, latents, stationarity=fine)
    limit = dataclasses.replace(view, modes=view.modes.assign(measured=xr.zeros_like(view.modes["measured"])))
    levels = [{s.level for s in statements(one) if s.text.startswith("No session")} for one in (view, limit)]
    assert levels == [{"good"}, {"care"}]


def trials(n_trials, n_bins, first=0):
    """Latent states that are their own times: trials of bins of 0.1 s with 3 s between them, the first one longer."""
    lengths = np.r_[n_bins + first, np.full(n_trials - 1, n_bins)]
    time = 0.1 * np.arange(lengths.sum()) + 3 * np.repeat(np.arange(n_trials), lengths)
    return xr.Dataset({"latent": (("time", "component"), time[:, None])}, coords={"time": time}), lengths


@pytest.mark.parametrize(("n_trials", "n_bins"), [(300, 20), (2000, 20), (6000, 5), (1, 50_000), (60, 1)])
def test_trials_are_drawn_from_their_first_bin_and_apart(n_trials, n_bins):
    latents, _ = trials(n_trials, n_bins)
    (drawn,) = _trajectories(latents)
    known = np.isfinite(drawn.states[:, 0])
    assert (~known).sum() == drawn.n_shown - 1
    np.testing.assert_array_equal(drawn.states[known, 0], drawn.time_s[known])
    starts = latents["time"].values.reshape(n_trials, n_bins)[:, 0]
    first = drawn.time_s[np.r_[True, ~known[:-1]]]
    assert np.isin(first, starts).all()
    assert len(set(first)) == drawn.n_shown
    lines = (known[1:] & known[:-1]).sum()
    assert lines >= 0.5 * min(n_trials * (n_bins - 1), MAX_POINTS)
    assert known.sum() <= MAX_POINTS
    some = f"{drawn.n_shown} of {drawn.n_stretches} stretches between pauses, evenly spread; "
    assert _thinned([drawn]).startswith(some) == (drawn.n_shown < drawn.n_stretches)


def test_a_long_stretch_before_short_ones_does_not_fill_the_page():
    latents, lengths = trials(1500, 5, first=40_000)
    (drawn,) = _trajectories({"day": latents})
    assert drawn.n_stretches == lengths.size
    assert drawn.states.shape[0] <= MAX_POINTS + 2 * drawn.n_shown
    assert drawn.step > 1


def test_unfitted_models_have_no_page():
    with pytest.raises((NotFittedError, AttributeError)):
        dynamics_part(ad.StitchedLDS(2))
