"""The pair plot of a posterior in a browser: it is drawn, and holding a parameter conditions the others."""

import csv
import io

import numpy as np
import pytest
import xarray as xr

from antidrome.mechanism.priors import Prior, Uniform
from antidrome.report.mechanism_part import UNITS, mechanism_part
from antidrome.report.mechanism_view import MechanismView, Traces
from antidrome.report.page import RunInfo, page_html

pytestmark = pytest.mark.browser

RUN = RunInfo(title="A posterior", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})
HELD = "antidrome.state.pairs"


class Posterior:
    """What the page asks of a posterior."""

    prior = Prior({"g_na": Uniform(0, 10), "g_k": Uniform(0, 10)}, {"g_na": "mS/cm²"})
    names = prior.names
    reports, notes, feature_units = (), ("A note.",), ()


def mechanism_html():
    """The page of a posterior, with its pairs and traces."""
    rng = np.random.default_rng(0)
    first = rng.normal(5, 1, 4000)
    samples = np.column_stack([first, first + 0.1 * rng.standard_normal(4000)])
    keys = ("mean", "sd", "median", "low_95", "high_95", "prior_low_95", "prior_high_95")
    summary = xr.Dataset({key: ("parameter", [5.0, 5.0]) for key in keys})
    time = np.arange(500) * 0.1
    traces = Traces(time, np.sin(time), np.cos(time)[None])
    prior = Posterior.prior.sample(4000, seed=0)
    view = MechanismView(Posterior(), samples, prior, np.array([5.0, 5.0]), summary, traces=traces)
    return page_html(RUN, [mechanism_part(view, RUN)], units=UNITS)


@pytest.fixture
def page(show):
    return show(mechanism_html())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(show, serious, scheme):
    assert serious(show(mechanism_html(), color_scheme=scheme, bypass_csp=True)) == []


def ink(page):
    """How many pixels of the canvas are drawn on."""
    return page.page.evaluate(
        "(() => { const c = document.getElementById('pairs'); const d = c.getContext('2d').getImageData(0, 0, c.width,"
        " c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()"
    )


def test_it_is_drawn_quietly(page):
    assert ink(page) > 2000
    assert page.problems == []
    assert len(page.requests) == 1
    assert page.box("#figure-traces")["height"] > 150


def test_holding_a_parameter_conditions_the_others(page):
    before = ink(page)
    page.page.locator("[data-slide='0']").evaluate(
        "(slider) => { slider.value = 700; slider.dispatchEvent(new Event('input')); }"
    )
    state = page.page.evaluate(HELD)
    assert state["held"] == 1
    assert 50 < state["left"] < 2000
    assert page.page.locator("[data-hold='0']").is_checked()
    assert ink(page) != before
    page.page.click("#pairs-free")
    assert page.page.evaluate(HELD)["held"] == 0
    assert page.page.locator("#pairs-left").text_content() == ""


def test_the_pairs_give_their_samples_and_themselves(page):
    page.page.locator("[data-slide='0']").evaluate(
        "(slider) => { slider.value = 700; slider.dispatchEvent(new Event('input')); }"
    )
    found = page.downloads(page.page.locator("figure:has(#pairs)"))
    rows = list(csv.DictReader(io.StringIO(found["csv"])))
    posterior = [row for row in rows if row["series"] == "posterior"]
    assert len(posterior) == 4000
    weights = np.array([float(row["weight"]) for row in posterior])
    assert np.average([float(row["g_na (mS/cm²)"]) for row in posterior], weights=weights) > 5.3
    assert [float(row["g_k"]) for row in rows if row["series"] == "most probable"] == [5.0]
    assert found["svg"].count("<path") > 80
    assert found["png"].startswith(b"\x89PNG")
    assert page.problems == []
