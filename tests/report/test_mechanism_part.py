"""The page of a posterior: its sections, what it holds, and that hostile names stay text."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.mechanism import SNPE, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings
from antidrome.report import mechanism_report, write_mechanism_report
from antidrome.report.decimate import thinned
from antidrome.report.mechanism_charts import calibration_charts
from antidrome.report.mechanism_part import mechanism_part, posterior_run
from antidrome.report.mechanism_view import PREDICTED, Traces, mechanism_view, predicted_traces
from antidrome.report.table import digits_between

HOSTILE = "</script><img src=x onerror=alert(1)>"
PRIOR = Prior({"a": Uniform(-2, 2), HOSTILE: Uniform(0, 1)}, {"a": "mV"})


class Gaussian:
    feature_names = ("x", "y")
    feature_units = ("mV", "")

    def run(self, theta, seed):
        return judge(theta + 0.3 * np.random.default_rng(seed).standard_normal(theta.shape))


@pytest.fixture(scope="module")
def fitted() -> SNPE:
    model = SNPE(
        n_rounds=2,
        n_simulations=150,
        n_networks=1,
        density=MixtureSettings(components=1, hidden=(8,)),
        training=TrainingSettings(epochs=10, batch=50),
        n_predictive=20,
    )
    return model.fit(Gaussian(), PRIOR, [0.5, 0.5], progress=False)


@pytest.fixture(scope="module")
def page(fitted: SNPE) -> str:
    time = np.arange(9000) * 0.1
    return mechanism_report(fitted, traces=Traces(time, np.sin(time), np.stack([np.cos(time)] * 2)))


def island(page: str, name: str) -> dict:
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)[1])


def test_sections_and_charts(page: str) -> None:
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert titles == ["What was run", "Results", "How far to trust it", "Data tables", "Citations"]
    charts = set(island(page, "page-figures")["roots"].values())
    assert charts == {f"figure-{name}" for name in ("traces", "training", "effective", "ranks", "coverage")}
    assert all(f'id="{name}"' in page for name in charts)
    assert "Lueckmann" in page
    assert page.count('type="range"') == 2


def test_samples_in_the_page_are_those_of_the_posterior(fitted: SNPE, page: str) -> None:
    import base64

    text = re.search(r'id="mechanism-samples">([^<]*)</script>', page)[1]
    values = np.frombuffer(base64.b64decode(text), "<f8").reshape(-1, 2)
    np.testing.assert_array_equal(values, fitted.posterior_.sample(len(values)).values)
    assert island(page, "page-data")["mechanism"]["best"] == fitted.posterior_.map().values.tolist()


@pytest.mark.parametrize(
    ("values", "digits"), [((-1, 1), 4), ((0.1, 0.5), 4), ((1e6, 1e6 + 1), 10), ((1e6, np.nan), 4), ((0, 0), 4)]
)
def test_figures_have_the_digits_that_tell_them_apart(values: tuple[float, float], digits: int) -> None:
    assert digits_between(*values) == digits


def test_a_narrow_parameter_is_more_than_one_number(fitted: SNPE) -> None:
    """Of a parameter between 1000000 and 1000001 the table showed 1e+06 in every column."""
    view = mechanism_view(fitted)
    moved = {key: one + 1e6 if key != "sd" else one for key, one in view.summary.data_vars.items()}
    narrow = dataclasses.replace(view, summary=xr.Dataset(moved), best=view.best + 1e6)
    shown = mechanism_part(narrow, posterior_run(narrow)).sections["tables"]
    for key in ("median", "low_95", "high_95"):
        number = re.search(rf"{1_000_000 + math.floor(float(view.summary[key][0]))}\.\d", shown)
        assert number, key
    assert f"{float(view.summary['sd'][0]):.4g}" in shown
    assert "e+06" not in shown


def test_the_exact_line_has_the_columns_of_its_chart(fitted: SNPE) -> None:
    for chart, across in zip(calibration_charts(mechanism_view(fitted)), ("rank", "level"), strict=True):
        for one in chart.plot.renderers:
            assert set(one.data_source.data) == {across, "share"}


def test_hostile_names_stay_text(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;/script&gt;" in page


def test_what_was_done_to_the_measurement_stands_on_the_page(fitted: SNPE, tmp_path) -> None:
    note = "A liquid-junction potential of -14 mV, as the recording says, was added."
    write_mechanism_report(tmp_path / "page.html", fitted, notes=[note])
    assert note in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert note not in mechanism_report(fitted)


def test_a_posterior_alone_has_a_page(fitted: SNPE, tmp_path) -> None:
    alone = mechanism_report(fitted.posterior_)
    assert "was not judged" in alone
    write_mechanism_report(tmp_path / "page.html", fitted, model="gaussian", observed="x.json", command="antidrome …")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Posterior of gaussian" in text
    assert "posterior.safetensors" in text
    with pytest.raises(InputError, match="fitted SNPE"):
        mechanism_report(SNPE())


def test_thinning_keeps_spikes() -> None:
    time, values = np.arange(100_000) * 0.02, np.zeros(100_000)
    values[[123, 50_001, 99_999]] = 40.0
    t, v = thinned(time, values)
    assert len(v) <= 4002
    assert np.array_equal(t[v == 40], time[values == 40])
    assert (np.diff(t) > 0).all()
    short = thinned(time[:100], values[:100])
    assert short[1].size == 100


def test_predicted_traces_have_the_measured_times(fitted: SNPE) -> None:
    class Simulator:
        def voltage(self, theta, seed):
            time = np.arange(50) * 0.5
            return xr.DataArray(theta[:, :1] + 0 * time, dims=("simulation", "time"), coords={"time": time})

    measured = xr.DataArray(np.zeros(30), dims=("time",), coords={"time": np.arange(30) * 1.0})
    traces = predicted_traces(Simulator(), fitted.posterior_, measured)
    assert traces.predicted_mv.shape == (PREDICTED, 25)
    np.testing.assert_allclose(traces.predicted_mv[:, 0], fitted.posterior_.sample(PREDICTED).values[:, 0])


def test_the_table_is_that_of_the_summary_with_the_same_seed(fitted: SNPE) -> None:
    """With --seed 3 the page's table, of seed 0, differed in the third digit from summary.json and from what is shown
    in the terminal."""
    for seed in (0, 3):
        table, shown = fitted.posterior_.summary(seed=seed), mechanism_report(fitted, seed=seed)
        for key in ("median", "low_95", "high_95"):
            assert f"{float(table[key][0]):.4g}" in shown


def test_only_a_density_of_flows_is_said_to_be_one(fitted: SNPE) -> None:
    """A mixture of Gaussians was cited as neural spline flows."""
    assert fitted.posterior_.citations == ("lueckmann2017", "deistler2022")
    assert "Neural spline flows" not in mechanism_report(fitted)
