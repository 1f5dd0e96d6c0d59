"""Block decimation, and the verdict on how the dimension depends on scale."""

import numpy as np
import pytest

from antidrome.core.seeds import generator
from antidrome.dimension import block_analysis, nearest_neighbours
from antidrome.dimension.ratios import ratios
from antidrome.dimension.scale import judge
from antidrome.dimension.two_nn import line_fit
from antidrome.errors import InputError


def test_blocks_are_disjoint_searches(rng) -> None:
    points = rng.random((400, 3))
    result = block_analysis(points, [1, 4], seed=3, progress=False)
    order = generator(3, "dimension/blocks").permutation(400)
    values = []
    for block in np.array_split(order, 4):
        graph = nearest_neighbours(points[block], progress=False)
        values.append(line_fit(ratios(graph).mu).dimension)
    assert result["dimension"].values[1] == pytest.approx(np.mean(values), rel=1e-9)
    assert result["sd_over_blocks"].values[1] == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    assert np.isnan(result["sd_over_blocks"].values[0])
    assert result["n_points"].values.tolist() == [400, 100]


def test_a_plateau_is_reliable(rng) -> None:
    angle = 2 * np.pi * rng.random((2000, 2))
    points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    result = block_analysis(points, progress=False)
    assert result.attrs["verdict"] == "reliable"
    assert result.attrs["lower_bound"] == 0


def test_noise_and_high_dimension_depend_on_scale(rng) -> None:
    angle = 2 * np.pi * rng.random((4000, 1))
    circle = np.concatenate([np.cos(angle), np.sin(angle), np.zeros((4000, 6))], axis=1)
    noisy = block_analysis(circle + 0.002 * rng.standard_normal(circle.shape), progress=False)
    assert noisy.attrs["verdict"] == "depends on scale"
    wide = block_analysis(rng.standard_normal((3000, 40)), progress=False)
    assert wide.attrs["lower_bound"] == 1


def test_verdicts_of_made_up_curves() -> None:
    n = np.array([2000, 1000, 500, 250])
    flat = judge(n, np.full(4, 7.0), np.full(4, 0.1))
    assert (flat.verdict, flat.lower_bound) == ("reliable", False)
    rising = judge(n, np.array([10.0, 9.0, 8.0, 7.0]), np.full(4, 0.1))
    assert (rising.verdict, rising.lower_bound) == ("depends on scale", True)
    assert rising.change_per_doubling == pytest.approx(0.1)
    falling = judge(n, np.array([7.0, 8.0, 9.0, 10.0]), np.full(4, 0.1))
    assert (falling.verdict, falling.lower_bound) == ("depends on scale", False)
    assert judge(n, np.full(4, 7.0), np.full(4, 2.0)).verdict == "too few points"
    assert judge(n, np.full(4, 7.0), np.full(4, 0.6)).verdict == "too few points"
    assert judge(n[:1], np.full(1, 7.0), np.full(1, 0.1)).verdict == "too few points"
    high = judge(n, np.full(4, 33.0), np.full(4, 0.1))
    assert (high.verdict, high.lower_bound) == ("reliable", True)


def test_small_blocks_are_left_out_and_said(rng) -> None:
    result = block_analysis(rng.random((120, 2)), progress=False)
    assert result["n_blocks"].values.tolist() == [1, 2]
    assert "[4, 8, 16] were left out" in result.attrs["notes"][0]
    with pytest.raises(InputError, match="positive numbers of blocks"):
        block_analysis(rng.random((120, 2)), [0])
    with pytest.raises(InputError, match=r"120 points cannot be split as asked\. Blocks \[4, 20\] were left out"):
        block_analysis(rng.random((120, 2)), (4, 20), progress=False)


@pytest.mark.parametrize("resident", [0, 2**30])
@pytest.mark.parametrize("copies", [0, 30])
def test_one_pass_over_all_pairs_gives_what_single_searches_give(copies, resident, rng, monkeypatch) -> None:
    from antidrome.dimension import decimation, splits

    points = np.tanh(rng.standard_normal((700, 4)) @ rng.standard_normal((4, 30))).astype(np.float32)
    points = np.vstack([points, points[:copies]])
    monkeypatch.setattr(splits, "RESIDENT_BYTES", resident)
    monkeypatch.setattr(splits, "BAND_ROWS", 64)
    together = block_analysis(points, "paper", progress=False)
    monkeypatch.setattr(decimation, "nearest_in_blocks", lambda *_: {})
    alone = block_analysis(points, "paper", progress=False)
    np.testing.assert_array_equal(together["dimension"], alone["dimension"])
    np.testing.assert_allclose(together["standard_error"], alone["standard_error"], rtol=1e-12)


@pytest.mark.parametrize("n", [480, 481, 545, 559])
def test_points_that_are_left_over_by_every_number_of_blocks(n, rng, monkeypatch) -> None:
    from antidrome.dimension import decimation

    points = rng.standard_normal((n, 20)).astype(np.float32)
    together = block_analysis(points, [2, 16], progress=False)
    monkeypatch.setattr(decimation, "nearest_in_blocks", lambda *_: {})
    np.testing.assert_array_equal(together["dimension"], block_analysis(points, [2, 16], progress=False)["dimension"])


def test_single_rows_whose_certificates_fail_are_searched_again(rng, monkeypatch) -> None:
    from antidrome.dimension import decimation

    points = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 40))
    points[::20] = points[0] + 1e-5 * rng.standard_normal((20, 40))
    points, searched, every = points.astype(np.float32), [], decimation.scan_rows
    monkeypatch.setattr(decimation, "scan_rows", lambda *given: searched.append(given[2].size) or every(*given))
    together = block_analysis(points, [1, 2, 4], progress=False)
    assert 20 <= sum(searched) <= 3 * 40
    monkeypatch.setattr(decimation, "nearest_in_blocks", lambda *_: {})
    np.testing.assert_array_equal(together["dimension"], block_analysis(points, [1, 2, 4], progress=False)["dimension"])


def test_blocks_whose_certificates_fail_are_searched_for_themselves(rng) -> None:
    centres = 20 * rng.standard_normal((6, 40))
    points = centres[rng.integers(0, 6, 400)] + 1e-4 * rng.standard_normal((400, 3)) @ rng.standard_normal((3, 40))
    found = block_analysis(points, [1, 2, 3], progress=False)
    order = generator(0, "dimension/blocks").permutation(400)
    for b in (2, 3):
        values = []
        for block in np.array_split(order[: 400 // b * b], b):
            distance = np.sort(np.linalg.norm(points[block][:, None] - points[block], axis=2), axis=1)
            values.append(line_fit(distance[:, 2] / distance[:, 1]).dimension)
        assert found["dimension"].sel(n_blocks=b).item() == pytest.approx(np.mean(values), rel=1e-9)


def test_blocks_of_angles_are_measured_in_angles(rng) -> None:
    points = rng.standard_normal((300, 3))
    found = block_analysis(points, [1], metric="cosine", progress=False)
    graph = nearest_neighbours(points, 2, metric="cosine", progress=False)
    assert found["dimension"].item() == pytest.approx(line_fit(ratios(graph).mu).dimension, rel=1e-12)
