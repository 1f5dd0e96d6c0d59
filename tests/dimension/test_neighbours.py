"""Neighbours are exact whatever the points are like: compared with all differences in float64 (or exact fractions)."""

import os
import signal
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import antidrome.dimension.boxes as boxes
import antidrome.dimension.engines as engines
import antidrome.dimension.pairs as pairs
import antidrome.dimension.products as products
import antidrome.dimension.selection as selection
import antidrome.dimension.squares as squares
import antidrome.dimension.tree as tree
from antidrome.core.executor import cluster_executor, process_pool
from antidrome.dimension.graph import nearest_neighbours
from antidrome.dimension.points import as_points
from antidrome.dimension.preparation import survey
from antidrome.errors import InputError


def plain(points, k):
    """Distances of the k nearest by float64 differences of all pairs."""
    flat = np.asarray(points, np.float64).reshape(len(points), -1)
    with np.errstate(over="ignore", under="ignore"):
        distance = cdist(flat, flat)
    np.fill_diagonal(distance, np.inf)
    return np.sort(distance, axis=1)[:, :k]


def found(points, k=2, **options):
    return nearest_neighbours(points, k, progress=False, **options)


def curved(rng, n, d_ambient, d=5):
    latent = rng.standard_normal((n, d))
    return np.cos(latent @ rng.standard_normal((d, d_ambient)) / 2)


def clusters(rng, n=600, d=100):
    centre = 20 * rng.standard_normal((10, d))
    inside = 0.05 * rng.standard_normal((n, 5)) @ rng.standard_normal((5, d))
    return centre[rng.integers(0, 10, n)] + inside


HOSTILE = {
    "clean": lambda rng: curved(rng, 700, 60),
    "offset": lambda rng: curved(rng, 700, 60) + 3e4,
    "tight clusters": clusters,
    "near-duplicates": lambda rng: np.repeat(curved(rng, 300, 60), 2, 0) * (1 + 1e-6 * rng.standard_normal((600, 60))),
    "tiny": lambda rng: 1e-30 * curved(rng, 300, 20),
    "huge": lambda rng: 1e30 * curved(rng, 300, 20),
    "constant columns": lambda rng: np.hstack([curved(rng, 300, 20), np.full((300, 40), 7e5)]),
    "one huge row": lambda rng: curved(rng, 300, 20) * np.where(np.arange(300) == 5, 1e20, 1.0)[:, None],
    "heavy tails": lambda rng: rng.standard_cauchy((400, 10)) ** 3,
    "one column": lambda rng: rng.standard_normal((300, 1)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("engine", ["products", "tree"])
@pytest.mark.parametrize("name", HOSTILE)
def test_exact_on_hostile_points(name, engine, dtype, rng) -> None:
    points = HOSTILE[name](rng).astype(dtype)
    graph = found(points, 3, engine=engine)
    np.testing.assert_allclose(graph["distance"], plain(points, 3), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_no_overflow_and_no_underflow(scale, rng) -> None:
    points = rng.random((200, 4))
    np.testing.assert_allclose(found(points * scale)["distance"] / scale, plain(points, 2), rtol=1e-12)


def test_float16_and_integers(rng) -> None:
    half = curved(rng, 300, 30).astype(np.float16)
    np.testing.assert_allclose(found(half, duplicates="merge")["distance"], plain(half, 2), rtol=1e-12)
    counts = rng.poisson(3.0, (400, 30)).astype(np.int16)
    np.testing.assert_allclose(found(counts, 5)["distance"], plain(counts, 5), rtol=1e-12)


def test_against_exact_fractions() -> None:
    points = np.array([[0.1, 1e8], [0.1 + 1e-9, 1e8], [0.3, 1e8 + 1e-7], [5.0, 1e8]])
    exact = [[sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, y, strict=True)) for x in points] for y in points]
    nearest = [sorted(float(v) ** 0.5 for j, v in enumerate(row) if j != i)[:2] for i, row in enumerate(exact)]
    np.testing.assert_allclose(found(points)["distance"], nearest, rtol=1e-14)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks so small that a few hundred points meet every way of cutting them."""
    monkeypatch.setattr(products, "BAND_ROWS", 32)
    monkeypatch.setattr(products, "SEGMENT_COLUMNS", 48)
    monkeypatch.setattr(products, "TILE_ROWS", 96)
    monkeypatch.setattr(squares, "CHUNK", 16)


@pytest.mark.parametrize("n", [97, 128, 255, 256, 301])
@pytest.mark.parametrize("k", [1, 2, 9, 40])
@pytest.mark.parametrize("way", ["in tiles", "by rows", "in memory"])
def test_every_way_of_cutting(n, k, way, small_blocks, monkeypatch, rng) -> None:
    monkeypatch.setattr(products, "RESIDENT_BYTES", 0 if way == "in tiles" else 2**30)
    if way == "in memory":
        monkeypatch.setattr(products, "WHOLE_ROWS_BELOW", 0)
        monkeypatch.setattr(products, "FEWEST", 60)
    points = curved(rng, n, 50).astype(np.float32)
    graph = found(points, k, engine="products")
    np.testing.assert_allclose(graph["distance"], plain(points, k), rtol=1e-12)
    gap = points.astype(np.float64)[:, None] - points.astype(np.float64)[graph["neighbour"].values]
    np.testing.assert_allclose(np.linalg.norm(gap, axis=-1), graph["distance"], rtol=1e-12)
    assert graph.attrs["n_rows_in_float64"] < n / 4


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.integers(1, 6), st.integers(1, 2))
def test_ties_and_copies_of_any_kind(seed, n, d, k) -> None:
    points = np.random.default_rng(seed).integers(0, 3, (n, d)).astype(np.float64)
    if len(np.unique(points, axis=0)) < 4:
        with pytest.raises(InputError) if len(np.unique(points, axis=0)) < 2 else _nothing():
            found(points, k)
        return
    np.testing.assert_allclose(found(points, k)["distance"], plain(points, k), rtol=1e-13)
    distinct = np.unique(points, axis=0)
    merged = found(points, k, duplicates="merge")
    np.testing.assert_allclose(np.sort(merged["distance"].values, axis=0), np.sort(plain(distinct, k), axis=0))
    assert int(merged["copies"].sum()) == n


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask", "xarray", "images", "fortran", "list"])
def test_all_kinds_of_arrays(kind, rng, tmp_path) -> None:
    points = curved(rng, 120, 24).astype(np.float32)
    if kind == "memmap":
        np.save(tmp_path / "points.npy", points)
        given_ = np.load(tmp_path / "points.npy", mmap_mode="r")
    elif kind == "zarr":
        given_ = zarr.create_array(tmp_path / "points.zarr", shape=(120, 4, 6), chunks=(16, 4, 6), dtype="float32")
        given_[:] = points.reshape(120, 4, 6)
    else:
        given_ = {
            "dask": da.from_array(points, chunks=(32, 5)),
            "xarray": xr.DataArray(points, dims=("trial", "neuron")),
            "images": points.reshape(120, 2, 3, 4),
            "fortran": np.asfortranarray(points),
            "list": points.tolist(),
        }[kind]
    np.testing.assert_allclose(found(given_)["distance"], plain(points, 2), rtol=1e-6 if kind == "list" else 1e-12)


@pytest.fixture
def small_pairs(monkeypatch):
    """Pairs of points are measured a few numbers at a time."""
    small = {"READ_NUMBERS": 2000, "CACHED_NUMBERS": 64, "CACHED_COLUMNS": 16, "PAIRS_AT_A_TIME": 100}
    for name, value in small.items():
        monkeypatch.setattr(pairs, name, value)


@pytest.mark.parametrize("apart", [0, 2**28])
@pytest.mark.parametrize("on_disk", [False, True])
def test_wide_points_in_column_chunks(apart, on_disk, rng, tmp_path, small_blocks, small_pairs, monkeypatch) -> None:
    monkeypatch.setattr(products, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(products, "APART_BYTES", apart)
    points = clusters(rng, 200, 170).astype(np.float32)
    points = np.vstack([points, points[:7], curved(rng, 100, 170)]).astype(np.float32)
    if on_disk:
        np.save(tmp_path / "points.npy", points)
        points = np.load(tmp_path / "points.npy", mmap_mode="r")
    np.testing.assert_allclose(found(points)["distance"], plain(points, 2), rtol=1e-12)


@pytest.mark.slow
def test_blocks_on_other_processes(rng, tmp_path) -> None:
    points = curved(rng, 300, 20)
    np.save(tmp_path / "points.npy", points)
    with process_pool(1) as pool:
        graph = found(np.load(tmp_path / "points.npy", mmap_mode="r"), executor=pool)
    np.testing.assert_allclose(graph["distance"], plain(points, 2), rtol=1e-12)


def test_cosine_is_the_angle(rng) -> None:
    points = rng.standard_normal((100, 5))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    angle = np.arccos(np.clip(unit @ unit.T, -1, 1))
    np.fill_diagonal(angle, np.inf)
    np.testing.assert_allclose(found(points, metric="cosine")["distance"], np.sort(angle, 1)[:, :2], rtol=1e-6)
    with pytest.raises(InputError, match="Point 3 is all zeros"):
        found(np.where(np.arange(100)[:, None] == 3, 0.0, points), metric="cosine")


@pytest.mark.parametrize("symbols", [2, 5])
def test_hamming_counts_differences(symbols, rng) -> None:
    points = rng.integers(0, symbols, (120, 40))
    expected = cdist(points, points, "hamming") * 40
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(found(points, metric="hamming")["distance"], np.sort(expected, 1)[:, :2])
    with pytest.raises(InputError, match="at most 64 are symbols"):
        found(rng.random((100, 5)), metric="hamming")


def test_precomputed_and_given(rng) -> None:
    points = rng.random((80, 4))
    matrix = cdist(points, points)
    graph = found(matrix, 3, metric="precomputed")
    np.testing.assert_allclose(graph["distance"], plain(points, 3))
    order = np.argsort(matrix, axis=1)[:, :4]
    with_self = found((np.sort(matrix, axis=1)[:, :4], order), 3)
    np.testing.assert_allclose(with_self["distance"], plain(points, 3))
    assert found(graph, 3) is graph
    for bad, message in (
        (matrix[:, :5], "square"),
        (matrix + 1, "diagonal"),
        (np.triu(matrix), "symmetric"),
        (-matrix, "no distance"),
    ):
        with pytest.raises(InputError, match=message):
            found(bad, metric="precomputed")
    with pytest.raises(InputError, match="do not rise"):
        found((np.array([[2.0, 1.0]]), np.array([[1, 2]])))
    near = np.sort(matrix, axis=1)[:, 1:4]
    for unknown in (-1, 80):
        beyond = np.where(np.arange(3) == 2, unknown, order[:, 1:])
        with pytest.raises(InputError, match="alone where the neighbours are others"):
            found((near, beyond), 3)
    np.testing.assert_allclose(found((near,), 3)["distance"], near)
    with pytest.raises(InputError, match="has 3 ranks; 5 are needed"):
        found(graph, 5)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((5, 3)), {}, "All 5 points are equal"),
        (np.ones((2, 3)), {}, "2 points are too few"),
        (np.array([[0.0, 1], [np.nan, 1], [2, 2], [3, 4]]), {}, "Point 1 has the value nan in column 0"),
        (np.array([[0.0, 1], [1, 1], [2, np.inf], [3, 4]], np.float32), {}, "Point 2 has the value inf in column 1"),
        (np.zeros((0, 3)), {}, "shape"),
        (np.zeros((3, 0)), {}, "shape"),
        (np.array([["a", "b"]]), {}, "real numbers"),
        (np.zeros((9, 2), complex), {}, "real numbers"),
        (np.eye(9), {"n_neighbours": 0}, "n_neighbours = 0, expected a whole number, at least 1"),
        (np.eye(9), {"n_neighbours": 2.5}, "n_neighbours = 2.5, expected a whole number"),
        ((np.eye(9), np.eye(9), np.eye(9)), {}, "A tuple of 3 was given"),
        (1e-320 * np.arange(39.0).reshape(13, 3), {}, "multiply them by a constant first"),
        (np.float32(1e-42) * np.arange(39, dtype=np.float32).reshape(13, 3), {}, "within .* of their middle"),
        (np.eye(9), {"metric": "manhattan"}, "metric = 'manhattan'"),
    ],
)
def test_what_cannot_be_used_is_said(points, options, message, unchecked_types) -> None:
    with pytest.raises(InputError, match=message):
        nearest_neighbours(points, **{"progress": False, **options})


def test_approximate_neighbours_say_how_good_they_are(rng) -> None:
    pytest.importorskip("faiss")
    points = curved(rng, 800, 12)
    graph = found(points, 3, engine="approximate")
    assert graph.attrs["approximate_recall"] > 0.95
    gap = points[:, None] - points[graph["neighbour"].values]
    np.testing.assert_allclose(np.linalg.norm(gap, axis=-1), graph["distance"], rtol=1e-12)


def test_tight_clusters_go_to_float64_at_once(rng, small_blocks) -> None:
    points = clusters(rng, 300).astype(np.float32)
    graph = found(points, engine="products")
    np.testing.assert_allclose(graph["distance"], plain(points, 2), rtol=1e-12)
    assert graph.attrs["n_rows_in_float64"] == 300


@pytest.mark.parametrize(("n", "d"), [(40, 3), (700, 200), (2600, 30), (2501, 140)])
def test_every_way_through_the_products_is_exact(n, d, rng) -> None:
    points = np.cos(rng.standard_normal((n, 6)) @ rng.standard_normal((6, d)))
    found = nearest_neighbours(points, 3, engine="products", progress=False)
    rows = np.arange(0, n, max(1, n // 60))
    distance = np.sqrt(((points[rows, None] - points) ** 2).sum(axis=2)) if n * d < 1e5 else None
    if distance is None:
        distance = np.stack([np.sqrt(((points - points[row]) ** 2).sum(axis=1)) for row in rows])
    np.testing.assert_allclose(found["distance"].values[rows], np.sort(distance, axis=1)[:, 1:4], rtol=1e-12)


@pytest.fixture
def small_boxes(monkeypatch):
    """Boxes of a few points, used whatever the share of pairs that they save."""
    small = {"FROM_POINTS": 1, "BOX_POINTS": 16, "FIRST_BOXES": (3, 4), "BOXES_AT_A_TIME": 3, "WORTH": 2.0}
    small |= {"ROWS_AT_A_TIME": 50, "TESTED_SPREAD": 0.5, "TESTED_ROWS": 70, "BOXES_OF_A_GROUP": 3, "MANY_BOXES": 5}
    for name, value in small.items():
        monkeypatch.setattr(boxes, name, value)
    monkeypatch.setattr(selection, "HITS_AT_A_TIME", 40)


@pytest.mark.parametrize("name", [name for name in HOSTILE if "clusters" not in name])
def test_boxes_leave_out_no_neighbour(name, small_boxes, monkeypatch, rng) -> None:
    used = []
    monkeypatch.setattr(products, "near_candidates", lambda *given_: used.append(1) or boxes.near_candidates(*given_))
    points = HOSTILE[name](rng).astype(np.float32)
    np.testing.assert_allclose(found(points, 3, engine="products")["distance"], plain(points, 3), rtol=1e-12)
    assert used or name == "near-duplicates"


def test_boxes_with_ties_and_copies(small_boxes, rng) -> None:
    points = rng.integers(0, 4, (900, 6)).astype(np.float32)
    graph = found(points, 5, engine="products")
    np.testing.assert_allclose(graph["distance"], plain(points, 5), rtol=1e-12)


def test_boxes_are_small_and_given_up_where_points_are_in_all_of_them(small_boxes, monkeypatch, rng) -> None:
    right = np.hstack([rng.random((3000, 2)), np.ones((3000, 1)), np.zeros((3000, 1))]).astype(np.float32)
    right[:, -1] = (right[:, :2] ** 2).sum(axis=1)
    order, parts = boxes.split(right[:, :2])
    assert np.diff(parts.edges).max() <= 16
    assert sorted(order) == list(range(3000))
    groups = parts.groups()
    assert groups.edges.tolist() == [*parts.edges[:-1:3].tolist(), 3000]
    assert (groups.low[1] == parts.low[3:6].min(axis=0)).all()
    candidates = boxes.Candidates(3000, 4, np.float32)
    bounds = boxes._Bounds(right[order], parts, (parts.low + parts.high) / 2, candidates, 1e-6)
    bounds.begin(7, 4)
    rows = parts.rows(7)
    fourth = plain(right[order, :2], 4)[rows, 3] ** 2
    assert (candidates.worst[rows] > fourth).all()
    assert np.isinf(candidates.worst).sum() == 3000 - rows.size
    share, n_first, seconds = bounds.probe()
    assert share < 0.1
    assert n_first in boxes.FIRST_BOXES
    assert boxes.near_candidates(right, 4, 0.0, 0.5 * seconds / 3000, lambda _: None) is None
    monkeypatch.setattr(boxes, "WORTH", 0.0)
    assert boxes.near_candidates(right, 4, 0.0, np.inf, lambda _: None) is None


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_finds_the_same_neighbours(monkeypatch, rng) -> None:
    """A real cluster of processes; one is killed in the middle of the search."""
    from distributed import LocalCluster

    points, every = curved(rng, 600, 20), engines.map_tasks
    monkeypatch.setattr(engines, "TASK_ROWS", 20)
    finished = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        worker = next(iter(cluster.workers.values())).process.pid

        def and_kill(function, tasks, *, executor, on_result):
            def on_one(index, result):
                finished.append(index)
                if len(finished) == 5:
                    os.kill(worker, signal.SIGKILL)
                on_result(index, result)

            return every(function, tasks, executor=executor, on_result=on_one)

        monkeypatch.setattr(engines, "map_tasks", and_kill)
        with cluster_executor(cluster.scheduler_address) as executor:
            graph = found(points, 3, executor=executor)
    assert sorted(finished) == list(range(30))
    np.testing.assert_array_equal(graph["distance"], found(points, 3)["distance"])


def test_tight_clusters_in_few_dimensions_go_to_the_tree(rng) -> None:
    points = clusters(rng, 400, 30).astype(np.float32)
    graph = found(points, 3)
    assert graph.attrs["engine"] == "tree"
    np.testing.assert_allclose(graph["distance"], plain(points, 3), rtol=1e-12)


@pytest.mark.parametrize(("d", "d_ambient", "engine"), [(2, 100, "tree"), (40, 100, "products")])
def test_wide_points_of_low_dimension_go_to_the_tree(d, d_ambient, engine, monkeypatch, rng) -> None:
    monkeypatch.setattr(engines, "TREE_FROM_POINTS", 100)
    monkeypatch.setattr(engines, "AT_ONCE", np.inf)
    points = (rng.random((600, d)) @ rng.standard_normal((d, d_ambient))).astype(np.float32)
    graph = found(points, 3)
    assert graph.attrs["engine"] == engine
    np.testing.assert_allclose(graph["distance"], plain(points, 3), rtol=1e-12)


def test_a_few_points_tell_the_dimension_of_all(rng) -> None:
    points = np.vstack([rng.random((3000, 3)) @ rng.standard_normal((3, 50))] * 2)
    dimension = tree.sampled_dimension(as_points(points), survey(as_points(points)))
    assert 2.5 < dimension < 3.5
