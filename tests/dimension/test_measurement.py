"""One measurement: its verdicts, and what it says of bad points."""

import numpy as np
import pytest

from antidrome.dimension.measurement import FRACTIONS, Measurement, MeasurementConfig, measure
from antidrome.errors import InputError


def test_a_plane_in_many_dimensions_is_reliably_two(rng) -> None:
    points = rng.uniform(size=(1500, 2)) @ rng.normal(size=(2, 30))
    found = measure(points, progress=False)
    assert found.dimension == pytest.approx(2, abs=0.2)
    assert found.low < found.dimension < found.high
    assert found.verdict == "reliable"
    assert not found.lower_bound
    assert found.pca_dimension == 2
    assert found.n_points == 1500
    assert found.by_points[0] == found.dimension
    assert np.isfinite(found.by_points).sum() == len(FRACTIONS)


def test_many_dimensions_are_a_lower_bound(rng) -> None:
    found = measure(rng.normal(size=(800, 60)), MeasurementConfig(linear=False), progress=False)
    assert found.lower_bound
    assert found.dimension < 60
    assert np.isnan(found.pca_dimension)


def test_few_points_are_said(rng) -> None:
    assert measure(rng.normal(size=(30, 3)), progress=False).verdict == "too few points"
    with pytest.raises(InputError):
        measure(np.ones((40, 3)), progress=False)


def test_copies_are_counted(rng) -> None:
    points = rng.normal(size=(300, 3))
    found = measure(np.concatenate([points, points[:40]]), progress=False)
    assert found.n_zero == 80
    assert any("exact copy" in note for note in found.notes)


def test_a_measurement_survives_json(rng) -> None:
    found = measure(rng.normal(size=(100, 3)), MeasurementConfig(linear=False), progress=False)
    again = Measurement.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict()
    assert np.isnan(again.pca_dimension)


def test_neighbours_may_be_given(rng) -> None:
    points = rng.normal(size=(200, 3))
    distance = np.sort(np.linalg.norm(points[:, None] - points, axis=-1), axis=1)[:, 1:3]
    assert measure((distance, None)).dimension == pytest.approx(measure(points, progress=False).dimension, rel=1e-12)
