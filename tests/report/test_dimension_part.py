"""The page of intrinsic dimensions: what was estimated is what is drawn, in the table and in the CSV."""

import json
import re

import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.errors import InputError
from antidrome.report import RunInfo, dimension_report, write_dimension_report
from antidrome.report.charts import MAX_NAME
from antidrome.report.dimension_part import layers_part, points_part, population_part

HOSTILE = "</script><img src=x onerror=alert(1)>"
RUN = RunInfo(title="A run", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})


def data_of(part, name, series):
    plot = part.figures[f"figure-{name}"]
    return next(one.data_source.data for one in plot.renderers if one.data_source.tags == [series])


def test_the_page_says_how_it_was_made(estimated) -> None:
    """The command line and the seed were handed over, and the page had neither."""
    run = RunInfo.of("Points", "…", command="antidrome dimension a.npy --seed 7", seed=7)
    page = dimension_report(estimated, run)
    assert "<code>antidrome dimension a.npy --seed 7</code>" in page
    assert "<dt>seed</dt><dd>7</dd>" in page


@pytest.fixture(scope="module")
def layered():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((300, 4))
    one = {"input": hidden @ rng.standard_normal((4, 30)), "deep": hidden[:, :2] @ rng.standard_normal((2, 20))}
    two = {"input": one["input"], "deep": rng.standard_normal((300, 6))}
    classes = np.repeat(["a", "b", "c"], 100)
    return ad.dimension.layers({"first": one, HOSTILE: two}, classes=classes, progress=False)


@pytest.fixture(scope="module")
def estimated():
    rng = np.random.default_rng(1)
    plane = rng.random((400, 3)) @ rng.standard_normal((3, 12))
    return {
        "plane": ad.dimension.estimate(plane, progress=False),
        "short": ad.dimension.estimate(plane[:60], progress=False),
    }


@pytest.fixture(scope="module")
def populations():
    rng = np.random.default_rng(2)
    traces = np.cumsum(rng.standard_normal((300, 3)), axis=0) @ rng.standard_normal((3, 12))
    traces += rng.standard_normal(traces.shape)
    return {"mon": ad.dimension.population(traces, n_draws=2, n_shuffles=2, progress=False)}


def test_layers_are_drawn_with_their_own_numbers(layered) -> None:
    part = layers_part(layered)
    whole = layered.sel({"class": "all", "network": "first"}).sortby("relative_depth")
    drawn = data_of(part, "dimension-layers", "first: ID")
    np.testing.assert_allclose(drawn["dimension"], whole["dimension"])
    np.testing.assert_allclose(drawn["low"], whole["low"])
    assert drawn["layer"] == ["input", "deep"]
    np.testing.assert_allclose(
        data_of(part, "dimension-layers", "first: PCA, 90 %")["pca_dimension"], whole["pca_dimension"]
    )
    scale = data_of(part, "dimension-layers-scale-1", "input")
    np.testing.assert_allclose(scale["points"], 300 * layered["fraction"])
    np.testing.assert_allclose(scale["dimension"], whole["dimension_by_points"].sel(layer="input"))
    assert f"{float(whole['dimension'].sel(layer='deep')):.1f} ±" in part.sections["tables"]


def test_layers_are_good_only_where_all_are_estimated_and_reliable(layered) -> None:
    """Where every layer was unreliable, or none had an estimate, the page said "good"."""

    def first_said(verdict: str, bound: float = 0.0, missing: int = 0) -> str:
        one = layered.isel(network=[0]).copy(deep=True)
        one["verdict"][:], one["lower_bound"][:] = verdict, bound
        one["dimension"][:, :missing] = np.nan
        return re.search(r'<li class="(.*?)</li>', layers_part(one).sections["trust"], re.S)[1]

    assert first_said("reliable").startswith('good"')
    assert "2 of 2 estimates are reliable; 0 lower bounds." in first_said("reliable")
    assert "0 of 2 estimates are reliable; 0 lower bounds." in first_said("unreliable")
    assert "1 of 1 estimate is reliable; 0 lower bounds; 1 layer has none." in first_said("reliable", missing=1)
    assert "2 of 2 estimates are reliable; 2 lower bounds." in first_said("reliable", bound=1.0)
    assert "0 of 0 estimates are reliable" in first_said("", missing=2)
    for said in (("unreliable", 0.0, 0), ("reliable", 1.0, 0), ("reliable", 0.0, 1), ("", 0.0, 2)):
        assert first_said(*said).startswith('care"'), said


def test_classes_are_summed_up(layered) -> None:
    part = layers_part(layered)
    values = layered["dimension"].sel(network="first").drop_sel({"class": "all"})
    drawn = data_of(part, "dimension-classes-1", "mean over classes ± SD")
    np.testing.assert_allclose(drawn["dimension"], values.mean("class"))
    np.testing.assert_allclose(np.subtract(drawn["high"], drawn["dimension"]), values.std("class", ddof=1))
    assert len(data_of(part, "dimension-classes-1", "single classes")["dimension"]) == values.size
    assert not any("classes" in name for name in layers_part(layered.sel({"class": ["all"]})).figures)


def test_accuracy_is_drawn_for_networks_whose_last_hidden_layer_is_known(layered) -> None:
    known = layered.copy()
    known["last_hidden"] = xr.zeros_like(known["last_hidden"]) | (known["layer"] == "deep")
    part = layers_part(known, {"first": 0.9, HOSTILE: 0.7, "another": 0.1})
    drawn = data_of(part, "dimension-accuracy", "network")
    assert drawn["network"] == ["first", HOSTILE]
    np.testing.assert_allclose(drawn["dimension"], known["dimension"].sel({"layer": "deep", "class": "all"}))
    assert "at least 4" in part.sections["results"]
    alone = layers_part(layered, {"first": 0.9})
    assert "figure-dimension-accuracy" not in alone.figures
    assert "Dimension is not drawn against accuracy" in alone.sections["trust"]
    assert "Dimension is not drawn against accuracy" not in part.sections["trust"]


def test_the_correlation_comes_with_its_interval(layered) -> None:
    four = xr.concat([layered.isel(network=[0])] * 4, "network").assign_coords(network=list("abcd"))
    four["dimension"] = four["dimension"] * xr.DataArray([1.0, 1.2, 1.1, 2.0], dims="network")
    four["last_hidden"] = xr.zeros_like(four["last_hidden"]) | (four["layer"] == "deep")
    html = layers_part(four, {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.2}).sections["results"].unescape()
    assert re.search(r"4 networks\. Correlation -0\.\d\d \(95% interval -[\d.]+ to -?[\d.]+, p = ", html)


def test_points_and_their_scale(estimated) -> None:
    part = points_part(estimated)
    one = estimated["plane"]
    np.testing.assert_allclose(data_of(part, "dimension-estimators", "plane")["dimension"], one["dimension"])
    np.testing.assert_allclose(data_of(part, "dimension-blocks", "plane")["dimension"], one["block_dimension"])
    np.testing.assert_allclose(data_of(part, "dimension-gride", "short")["dimension"], estimated["short"]["gride"])
    assert one.attrs["reason"] in part.sections["trust"].unescape()


def test_sentences_that_an_early_file_calls_a_verdict_are_shown(populations) -> None:
    one = populations["mon"]
    attrs = {**one.attrs, "verdict": json.dumps(one.attrs["conclusions"]), "reliability": one.attrs["verdict"]}
    early = one.copy()
    early.attrs = {key: value for key, value in attrs.items() if key != "conclusions"}
    part = population_part({"mon": early})
    assert part.sections["trust"] == population_part(populations).sections["trust"]


def test_populations_and_their_control(populations) -> None:
    part = population_part(populations)
    one = populations["mon"]
    drawn = data_of(part, "dimension-population-neurons", "mon")
    np.testing.assert_allclose(drawn["dimension"], one["dimension_by_neurons"].mean("draw"))
    control = data_of(part, "dimension-population-neurons", "mon, neurons shifted")
    np.testing.assert_allclose(control["dimension"], one["shuffled_by_neurons"])
    for sentence in one.attrs["conclusions"]:
        assert sentence in part.sections["trust"].unescape()


def test_every_figure_has_its_place_and_its_csv(layered, estimated, populations) -> None:
    for part in (layers_part(layered), points_part(estimated), population_part(populations)):
        for name in part.figures:
            assert f'id="{name}"' in part.sections["results"]
            assert f'data-chart="{name.removeprefix("figure-")}"' in part.sections["results"]


def test_the_page_is_safe_and_whole(layered, tmp_path) -> None:
    write_dimension_report(tmp_path / "page.html", layered, RUN)
    html = (tmp_path / "page.html").read_text("utf-8")
    assert HOSTILE not in html
    assert "default-src &#39;none&#39;" in html
    assert "Facco" in html
    figures = re.search(r'id="page-figures">(.*?)</script>', html, re.S)
    assert "figure-dimension-layers" in json.loads(figures[1])["roots"].values()


def test_results_read_from_files_make_the_same_page(populations, tmp_path) -> None:
    one = populations["mon"]
    kept = one.assign_attrs({key: json.dumps(v) if isinstance(v, list) else v for key, v in one.attrs.items()})
    assert population_part({"mon": kept}).sections["trust"] == population_part(populations).sections["trust"]


def test_one_result_is_a_page_too(estimated) -> None:
    assert "A run" in dimension_report(estimated["plane"], RUN)


@pytest.mark.parametrize("found", [{}, {"a": xr.Dataset()}])
def test_what_is_no_result_is_refused(found) -> None:
    with pytest.raises(InputError, match="not of one kind"):
        dimension_report(found, RUN)


def test_long_names_stay_apart_in_the_legend_and_whole_in_the_csv(estimated):
    days = [f"sub-YutaMouse41_ses-YutaMouse41-15090{day}_ophys" for day in (3, 4)]
    same = [f"{days[0][:20]}{middle}{days[0][20:]}" for middle in "xy"]
    figure = points_part(dict.fromkeys([*days, *same], estimated["plane"])).figures["figure-dimension-gride"]
    labels = [item.label.value for item in figure.legend[0].items]
    assert len(set(labels)) == 4
    assert max(map(len, labels)) <= MAX_NAME + 2
    assert "150903_ophys" in labels[0]
    assert {one.data_source.tags[0] for one in figure.renderers} >= {*days, *same}
