"""The page under axe-core, in both colour schemes: no serious finding; and the sizes that it must open at."""

import re
import struct
from xml.etree import ElementTree

import numpy as np
import pytest

import antidrome as ad
from antidrome.pipeline.stages.activity import binned_spikes
from antidrome.report import RunInfo, spikes_report
from antidrome.report.dimension_part import layers_part, points_part, population_part
from antidrome.report.dynamics_part import dynamics_part
from antidrome.report.page import page_html

pytestmark = pytest.mark.browser

RUN = RunInfo(title="A run", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})


@pytest.fixture(scope="module")
def whole_page(fake_spikes_of_a_population):
    """A page with spikes, dynamics and dimension of two sessions."""
    results = fake_spikes_of_a_population
    activity = {result.attrs["session_id"]: binned_spikes(result, 0.1) for result in results}
    system = ad.StitchedLDS(2, n_starts=1).fit(activity, progress=False)
    found = {
        name: ad.dimension.population(one, n_draws=1, n_shuffles=1, progress=False) for name, one in activity.items()
    }
    parts = [dynamics_part(system, system.transform(activity)), population_part(found)]
    return spikes_report(results, RUN, parts=parts)


@pytest.fixture(scope="module")
def fake_spikes_of_a_population():
    """Spikes of two sessions that share neurons and a rhythm."""
    import xarray as xr

    draw, results = np.random.default_rng(0), []
    for number, name in enumerate(("first", "second")):
        time = (np.arange(1800) + 0.5) / 30
        rhythm = np.stack([np.sin(2 * time), np.cos(2 * time)], axis=1) @ np.random.default_rng(9).standard_normal(
            (2, 16)
        )
        neurons = [f"n{i:02d}" for i in range(16)][number * 4 : number * 4 + 12]
        rates = np.exp(0.5 * rhythm[:, number * 4 : number * 4 + 12] - 3)
        counts = draw.poisson(rates).astype(np.float32)
        results.append(
            xr.Dataset(
                {"expected_spikes": (("time", "neuron"), counts), "dff": (("time", "neuron"), counts + 0.1)},
                coords={"time": time, "neuron": neurons},
                attrs={"frame_rate_hz": 30.0, "session_id": name},
            )
        )
    return results


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(whole_page, show, serious, scheme):
    assert serious(show(whole_page, color_scheme=scheme, bypass_csp=True)) == []


@pytest.fixture(scope="module")
def pages_of_dimension():
    """The pages of points and of the layers of two networks, for every class."""
    draw = np.random.default_rng(0)
    points = {name: draw.standard_normal((300, 4)) @ draw.standard_normal((4, 12)) for name in ("conv", "fc")}
    classes = np.repeat([0, 1], 150)
    networks = {"trained": points, "untrained": {name: np.tanh(one) for name, one in points.items()}}
    layered = ad.dimension.layers(networks, classes=classes, progress=False)
    estimated = {"conv": ad.dimension.estimate(points["conv"], progress=False)}
    return {
        "layers": page_html(RUN, [layers_part(layered, {"trained": 0.9, "untrained": 0.5})], units="Dimensions."),
        "points": page_html(RUN, [points_part(estimated)], units="Dimensions."),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["layers", "points"])
def test_axe_finds_nothing_serious_in_dimensions(pages_of_dimension, show, serious, page, scheme):
    assert serious(show(pages_of_dimension[page], color_scheme=scheme, bypass_csp=True)) == []


def test_every_part_is_there_and_quiet(whole_page, show):
    opened = show(whole_page)
    assert opened.problems == []
    assert len(opened.requests) == 1
    headings = opened.page.locator("h3").all_text_contents()
    assert any("pectrum" in heading for heading in headings), headings
    assert any("imension" in heading for heading in headings), headings


def test_every_figure_gives_its_data_and_itself(whole_page, show):
    opened = show(whole_page)
    figures = opened.page.locator("figure.panel").all()
    assert len(figures) > 8
    for figure in figures:
        found = opened.downloads(figure)
        assert found["csv"].count("\n") >= 2
        drawing = ElementTree.fromstring(found["svg"])
        assert len(list(drawing.iter())) > 20
        width, height = struct.unpack(">II", found["png"][16:24])
        assert found["png"].startswith(b"\x89PNG")
        assert width == 3 * float(drawing.get("width"))
        assert height == 3 * float(drawing.get("height"))
    assert opened.problems == []
    assert opened.dialogs == []
    assert len(opened.requests) == 1 + len(figures)  # and the SVG of each PNG, from memory
    assert all(url.startswith("blob:") for url in opened.requests[1:])


def test_figures_are_saved_in_light_colours(whole_page, show):
    light, dark = (show(whole_page, color_scheme=scheme) for scheme in ("light", "dark"))
    for name in ("browser", "rate-histogram"):
        drawn = [one.downloads(one.page.locator(f"figure:has(#figure-{name})"))["svg"] for one in (light, dark)]
        assert sorted(colours(drawn[0])) == sorted(colours(drawn[1])), name
    assert dark.page.get_attribute("html", "data-theme") == "dark"
    assert dark.page.evaluate("antidrome.figures().get('trace-line').glyph.line_color.value") == "#aeb9c4"


def colours(svg):
    """The colours that an SVG draws with."""
    return set(re.findall(r"(?:stroke|fill)=\"([^\"]+)\"", svg))
