"""Controls: closed forms of their moments, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from antidrome.dimension.controls import (
    dimension_against_accuracy,
    gaussian_twin,
    perturbed_gradient,
    perturbed_luminance,
    shuffled_columns,
    shuffled_labels,
)
from antidrome.dimension.measurement import MeasurementConfig, measure
from antidrome.dimension.untrained import untrained
from antidrome.errors import InputError

QUICK = MeasurementConfig(linear=False, scale=False)


def test_shuffled_labels_keep_classes() -> None:
    labels = np.repeat(["a", "b", "c"], [5, 20, 75])
    shuffled = shuffled_labels(labels, seed=1)
    assert sorted(shuffled) == sorted(labels)
    assert not np.array_equal(shuffled, labels)
    np.testing.assert_array_equal(shuffled, shuffled_labels(labels, seed=1))
    with pytest.raises(InputError, match="one label for each"):
        shuffled_labels(np.zeros((3, 2)))


def test_the_gaussian_twin_has_the_data_s_spectrum(rng) -> None:
    points = rng.normal(size=(4000, 5)) * [5, 3, 2, 1, 0.5] + 100
    expected = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(gaussian_twin(points).var(axis=0), expected, rtol=0.1)


def test_the_published_twin_is_flatter(rng) -> None:
    points = rng.normal(size=(4000, 3)) * [9, 3, 1]
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(gaussian_twin(points, spectrum="published").std(axis=0), np.sqrt(singular), rtol=0.1)


def test_standardising_ignores_units_and_constants(rng) -> None:
    points = rng.normal(size=(3000, 3)) * [100, 1, 0] + [0, 0, 7]
    twin = gaussian_twin(points, standardise=True)
    assert twin.shape == (3000, 2)
    np.testing.assert_allclose(twin.var(axis=0), 1, rtol=0.15)


def test_wide_layers_need_only_as_many_numbers_as_points(rng, tmp_path) -> None:
    np.save(tmp_path / "wide.npy", rng.normal(size=(40, 3000)).astype(np.float32))
    wide = np.load(tmp_path / "wide.npy", mmap_mode="r")
    twin = gaussian_twin(wide)
    assert twin.shape == (40, 39)
    total = np.var(np.asarray(wide, float), axis=0, ddof=1).sum()
    assert np.sum(twin**2) / 40 == pytest.approx(total, rel=0.15)


def test_a_curve_s_twin_is_no_curve(rng) -> None:
    angle = rng.uniform(0, 2 * np.pi, 1500)[:, None] * np.arange(1, 11)
    curve = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    assert measure(curve, QUICK, progress=False).dimension == pytest.approx(1, abs=0.1)
    assert measure(gaussian_twin(curve), QUICK, progress=False).dimension > 10


def test_shuffled_columns_keep_each_unit(rng) -> None:
    points = rng.normal(size=(500, 4))
    points[:, 1] = points[:, 0]
    shuffled = shuffled_columns(points)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(points, axis=0))
    assert abs(np.corrcoef(shuffled[:, 0], shuffled[:, 1])[0, 1]) < 0.2


def test_luminance_adds_one_direction(rng) -> None:
    images = rng.uniform(size=(50, 8, 8))
    added = perturbed_luminance(images, 30, seed=2) - images
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-12)
    assert 20 < added.max() <= 30
    assert added.min() >= 0
    np.testing.assert_array_equal(perturbed_luminance(images, 0), images)


@pytest.mark.parametrize("shape", [(60, 8, 6), (60, 3, 8, 6)])
def test_gradients_add_two_directions(rng, shape) -> None:
    images = rng.uniform(size=shape)
    added = (perturbed_gradient(images, 30) - images).reshape(60, -1)
    assert np.linalg.matrix_rank(added, tol=1e-8) == 2
    assert np.abs(added.mean(axis=1)).max() < 1e-12
    assert np.ptp(added, axis=1).max() <= 30 * np.sqrt(2)


@pytest.mark.parametrize(
    ("images", "amplitude", "message"),
    [
        (np.full((3, 4, 4), 255.0), 1, "Divide bytes by 255"),
        (np.zeros((3, 4, 4)), -1, "amplitude is -1"),
        (np.zeros((0, 4, 4)), 1, "expected"),
        (np.full((3, 4, 4), np.nan), 1, "values from nan"),
    ],
)
def test_images_that_are_none(images, amplitude, message) -> None:
    with pytest.raises(InputError, match=message):
        perturbed_luminance(images, amplitude)


def test_the_correlation_and_its_interval(rng) -> None:
    x = rng.normal(size=14)
    y = x + rng.normal(size=14)
    found = dimension_against_accuracy(x, y)
    assert found.r == pytest.approx(np.corrcoef(x, y)[0, 1])
    reach = stats.norm.ppf(0.975) / np.sqrt(11)
    assert found.lower == pytest.approx(np.tanh(np.arctanh(found.r) - reach))
    assert found.upper == pytest.approx(np.tanh(np.arctanh(found.r) + reach))
    assert found.p_value == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.02)
    assert "n = 14" in str(found)
    other = dimension_against_accuracy(x, y, level=0.5, n_permutations=99)
    assert found.lower < other.lower < other.r < other.upper < found.upper
    assert 100 * other.p_value == pytest.approx(round(100 * other.p_value))


def test_networks_with_the_same_labels_belong_together_by_these() -> None:
    dimension = pd.Series([3.0, 4, 5, 6, 7], index=list("abcde"))
    accuracy = pd.Series([0.9, 0.8, 0.85, 0.7, 0.6], index=list("abcde"))
    plain = dimension_against_accuracy(dimension.values, accuracy.values)
    turned = accuracy.sort_values()
    for x, y in ((dimension, turned), (dimension.rename_axis("network").to_xarray(), turned)):
        assert dimension_against_accuracy(x, y).r == pytest.approx(plain.r)
        assert dimension_against_accuracy(y, x).r == pytest.approx(plain.r)
        assert dimension_against_accuracy(dict(x.to_series() if hasattr(x, "dims") else x), dict(y)).r == plain.r
    by_place = dimension_against_accuracy(dimension.values, turned)
    assert by_place.r == dimension_against_accuracy(dimension, turned.reset_index(drop=True)).r > 0 > plain.r


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (pd.Series(range(5), list("abcde")), pd.Series(range(5), list("axcde")), "only the dimension .* 'b', 'x'"),
        (dict.fromkeys("abcde", 1.0), dict.fromkeys("abcd", 1.0), "only the dimension .* 'e'"),
        (pd.Series(range(5), list("aabcd")), pd.Series(range(5), list("dcbaa")), "'a' occurs twice"),
        (pd.Series(range(5), list("aabcd")), pd.Series(range(5), list("abbcd")), "'a' occurs twice"),
        ([1, 2, 3], [1, 2, 3], "too few"),
        ([1, 2, 3, 4], [1, 2, 3], "shapes"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], "NaN"),
        ([1, 1, 1, 1], [1, 2, 3, 4], "one value"),
    ],
)
def test_no_correlation_of_nothing(x, y, message) -> None:
    with pytest.raises(InputError, match=message):
        dimension_against_accuracy(x, y)


def test_no_p_value_without_permutations() -> None:
    with pytest.raises(InputError, match="n_permutations = 0, expected a whole number, at least 1"):
        dimension_against_accuracy([1, 2, 3, 4], [1, 3, 2, 4], n_permutations=0)


def test_an_untrained_torch_twin() -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten())
    with torch.no_grad():
        network[1].running_mean += 5
        network[1].weight += 1
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = torch.random.get_rng_state()
    twin, again, other = untrained(network), untrained(network), untrained(network, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert torch.equal(twin[0].weight, again[0].weight)
    assert not torch.equal(twin[0].weight, other[0].weight)
    assert not torch.equal(twin[0].weight, network[0].weight)
    assert twin[1].running_mean.abs().max() == 0
    own = untrained(network, initialise=lambda m: torch.nn.init.ones_(m.weight) if hasattr(m, "weight") else None)
    assert (own[0].weight == 1).all()


def test_modules_that_cannot_be_reset_are_named() -> None:
    torch = pytest.importorskip("torch")

    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = torch.nn.Parameter(torch.ones(2, 2))

    with pytest.raises(InputError, match="Own has parameters of its own"):
        untrained(torch.nn.Sequential(Own()))
    with pytest.raises(InputError, match=r"'0\.matrix' would still be those of the trained network"):
        untrained(torch.nn.Sequential(Own()), initialise=lambda module: None)


def test_scales_that_nobody_sets_are_named() -> None:
    torch = pytest.importorskip("torch")

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma, self.linear = torch.nn.Parameter(torch.full((4,), 7.0)), torch.nn.Linear(4, 4)

    with pytest.raises(InputError, match="The weights 'gamma' would still"):
        untrained(Scaled(), initialise=lambda module: None)
    for value in (0.1, 7.0):
        twin = untrained(Scaled(), initialise=lambda m, to=value: m.gamma.fill_(to) if hasattr(m, "gamma") else None)
        assert (twin.gamma == value).all()


def test_an_untrained_equinox_twin() -> None:
    import equinox as eqx
    import jax

    network = eqx.nn.MLP(4, 3, 200, depth=1, key=jax.random.key(0))
    twin = untrained(network, seed=2)
    first = np.asarray(twin.layers[1].weight)
    assert not np.array_equal(first, network.layers[1].weight)
    assert first.var() == pytest.approx(2 / 200, rel=0.2)
    assert not np.any(twin.layers[0].bias)
    np.testing.assert_array_equal(first, untrained(network, seed=2).layers[1].weight)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_untrained_twin_of_any_precision(dtype) -> None:
    import equinox as eqx
    import jax

    network = eqx.nn.Linear(4, 3, key=jax.random.key(0), dtype=dtype)
    twin = untrained(network)
    assert twin.weight.dtype == dtype
    assert (twin.weight != network.weight).all()
    with pytest.raises(InputError, match=r"\.weight is complex"):
        untrained(eqx.nn.Linear(4, 3, key=jax.random.key(0), dtype=jax.numpy.complex64))


@pytest.mark.usefixtures("unchecked_types")
def test_other_things_have_no_twin() -> None:
    with pytest.raises(InputError, match="untrained twin of a dict"):
        untrained({})
    with pytest.raises(InputError, match="expected one of 'covariance'"):
        gaussian_twin(np.eye(5), spectrum="other")
    with pytest.raises(InputError, match="do not vary"):
        gaussian_twin(np.ones((5, 2)))
    with pytest.raises(InputError, match="at least 5"):
        gaussian_twin(np.ones((1, 2)))
