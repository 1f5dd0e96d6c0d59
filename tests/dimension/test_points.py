"""What users hand over as points: an array by any name, or one clear sentence."""

import tracemalloc

import dask.array
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
import zarr

import antidrome as ad
from antidrome.dimension.points import as_points
from antidrome.errors import InputError


@pytest.fixture(scope="module")
def sheet():
    rng = np.random.default_rng(0)
    return rng.random((120, 2)) @ rng.standard_normal((2, 6))


def dimension(points, **settings):
    return ad.TwoNN(**settings).fit(points, progress=False).dimension_


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.tolist(),
        pd.DataFrame,
        lambda x: dask.array.from_array(x, chunks=50),
        lambda x: zarr.array(x),
        lambda x: x.reshape(120, 3, 2),
        np.asfortranarray,
        lambda x: x.astype(">f8"),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.ma.masked_array(x, np.zeros(x.shape, bool)),
        lambda x: xr.DataArray(x, dims=("point", "unit")),
        lambda x: xr.DataArray(x.T, dims=("cell", "frame")),
        lambda x: pd.DataFrame(x).astype("Float64"),
        lambda x: x * 1e200,
        lambda x: x * 1e-200,
    ],
)
def test_the_same_points_in_any_form(same, sheet) -> None:
    assert dimension(same(sheet)) == pytest.approx(dimension(sheet), rel=1e-9)


class Chunked:
    """An array on disk, and how many numbers were read of it, in all and at most at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.n_read = self.n_at_once = 0

    def __getitem__(self, where):
        found = self.values[where]
        self.n_read, self.n_at_once = self.n_read + found.size, max(self.n_at_once, found.size)
        return found


@pytest.mark.parametrize("shape", [(40, 600), (40, 30, 20), (40, 1, 60, 10), (40, 600, 1, 1)])
def test_columns_of_a_store_with_several_axes_are_read_by_themselves(shape, monkeypatch) -> None:
    monkeypatch.setattr("antidrome.dimension.linear.CHUNK_BYTES", 8 * 40 * 50)
    values = np.random.default_rng(0).random(shape)
    store = Chunked(values)
    found = ad.dimension.linear_dimension(store)
    xr.testing.assert_allclose(found, ad.dimension.linear_dimension(values))
    assert store.n_at_once <= 40 * 60
    assert store.n_read <= 2 * values.size
    points = as_points(Chunked(values))
    for columns in (slice(0, 1), slice(7, 33), slice(599, 600), slice(590, 900)):
        np.testing.assert_array_equal(points.rows(3, 9, columns), values.reshape(40, -1)[3:9, columns])
        np.testing.assert_array_equal(points.take([8, 3], columns), values.reshape(40, -1)[[8, 3], columns])


@pytest.mark.parametrize("axes", [3, 4])
def test_fortran_order_is_not_copied_for_every_block(axes) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((200, 10, 20)).reshape((200, *[10, 20, 1][: axes - 1]))
    points = as_points(np.asfortranarray(values))
    np.testing.assert_array_equal(points.rows(3, 9, slice(5, 25)), values.reshape(200, -1)[3:9, 5:25])
    np.testing.assert_array_equal(points.take([9, 3], slice(5, 25)), values.reshape(200, -1)[[9, 3], 5:25])
    np.testing.assert_array_equal(points.take([9, 3]), values.reshape(200, -1)[[9, 3]])
    tracemalloc.start()
    points.rows(0, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_torch_tensors(sheet) -> None:
    torch = pytest.importorskip("torch")
    assert dimension(torch.from_numpy(sheet).requires_grad_()) == dimension(sheet)


def test_one_column_and_small_types(sheet) -> None:
    assert dimension(sheet[:, 0]) == dimension(sheet[:, :1]) == dimension(pd.Series(sheet[:, 0]))
    assert dimension(sheet.astype(np.float16)) == pytest.approx(dimension(sheet), rel=0.05)
    assert dimension((1e6 * sheet).astype(np.int32)) == pytest.approx(dimension(sheet), rel=0.01)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ("points.npy", "path 'points.npy'; open it first"),
        (None, "are a NoneType"),
        (3.0, "are a float"),
        ({"a": [1.0]}, "are a dict"),
        (xr.Dataset({"a": ("x", [1.0])}), "are a Dataset"),
        ((row for row in [[1.0]]), "are a generator"),
        ([[1, 2], [3]], "not one array of numbers"),
        (scipy.sparse.eye(20).tocsr(), "toarray"),
        (np.ma.masked_less(np.arange(40.0).reshape(20, 2), 3), "3 values of the points are masked"),
        (pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]}), "Column 'name'"),
        (pd.DataFrame({"time": [1.0, 2.0], "a": [1.0, 2.0]}), "column 'time' that tells of its rows"),
        (np.ones((20, 2), complex), "complex128"),
        (np.ones((20, 2), object), "type object"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        (np.ones((20, 2)), "All 20 points are equal"),
        (np.random.default_rng(0).random((20, 2)) > 0.5, "usable ratio"),
        (np.random.default_rng(0).random((3, 2)), "Only 3 of 3 points"),
        (np.random.default_rng(0).random((1, 2)), "too few"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(points, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        dimension(points)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_no_number_is_named(value, sheet) -> None:
    broken = sheet.copy()
    broken[7, 2] = value
    with pytest.raises(InputError, match=rf"Point 7 has the value {value} in column 2"):
        dimension(broken)


def test_a_dask_array_of_unknown_length(sheet) -> None:
    lazy = dask.array.from_array(sheet, chunks=50)
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        as_points(lazy[lazy[:, 0] > 0])


def test_trials_and_times_that_xarray_has_stacked_are_the_points(rng) -> None:
    cube = xr.DataArray(rng.random((4, 3, 20)), dims=("trial", "neuron", "time"))
    stacked = cube.stack(sample=("trial", "time"))
    assert stacked.dims == ("neuron", "sample")
    assert as_points(stacked).n_points == as_points(stacked.T).n_points == 80
    assert as_points(cube.stack(place=("neuron", "time"))).n_points == 4
