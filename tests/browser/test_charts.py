"""Charts that any method adds to the page, in a page without spikes."""

import csv
import io

import numpy as np
import pytest

from antidrome.report import RunInfo, spikes_report
from antidrome.report.charts import Chart, draw, frame, panels
from antidrome.report.page import Part, page_html

pytestmark = pytest.mark.browser

RUN = RunInfo(title="A run", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def page(show):
    plot = frame("curve", 220, x_label="points", y_label="dimension")
    data = {"n": np.array([100.0, 200.0, 400.0]), "d": np.array([3.1, np.nan, 4.5])}
    draw(plot, "line", data, series="measured", ink="blue", legend=True, x="n", y="d")
    draw(plot, "scatter", {"n": [150.0], "d": [3.0], "label": [HOSTILE]}, series=HOSTILE, ink="orange", x="n", y="d")
    html, figures = panels([Chart("curve", "A curve", "Its caption.", plot)])
    return show(page_html(RUN, [Part(sections={"results": html}, figures=figures)], units="Dimensions."))


def test_it_is_drawn_quietly(page):
    assert page.box("#figure-curve")["height"] > 150
    assert page.problems == []
    assert page.dialogs == []
    assert len(page.requests) == 1


def test_its_data_can_be_downloaded(page):
    with page.page.expect_download() as caught:
        page.page.click("button[data-chart=curve]")
    text = caught.value.path().read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["series"] for row in rows] == ["measured"] * 3 + [HOSTILE]
    assert [row["d"] for row in rows] == ["3.1", "", "4.5", "3"]
    assert rows[3]["label"] == HOSTILE


def test_a_session_may_be_called_like_a_part_of_the_page(fake_spikes, show):
    """The page finds its models by name, and two of one name threw."""
    plot = frame("curve", 220, x_label="points", y_label="dimension")
    names = ("baseline", "trace", "time", "window", "row", "overview-plot", "curve-plot")
    for name in names:
        draw(plot, "line", {"n": [1.0], "d": [2.0]}, series=name, legend=True, x="n", y="d")
    html, figures = panels([Chart("curve", "A curve", "Its caption.", plot)])
    page = show(spikes_report([fake_spikes()], RUN, parts=[Part(sections={"results": html}, figures=figures)]))
    assert len(page.column("trace", "t")) == fake_spikes().sizes["time"]
    assert page.problems == []
    text = page.downloads(page.page.locator("figure:has(#figure-curve)"))["csv"]
    assert [row["series"] for row in csv.DictReader(io.StringIO(text))] == list(names)


def test_its_colours_follow_the_theme(page):
    def colour():
        return page.page.evaluate(
            "antidrome.charts().get_model_by_name('curve-plot').renderers[0].glyph.line_color.value"
        )

    before = colour()
    page.page.click("#theme")
    page.page.click("#theme")
    assert page.page.get_attribute("html", "data-theme") == "dark"
    assert colour() != before
