"""A hash follows the content, and nothing else."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from antidrome.core import hashing
from antidrome.core.hashing import hash_arrays, hash_configuration, hash_recording
from antidrome.errors import InputError


def recording(values: np.ndarray, **attrs: object) -> xr.DataArray:
    n_frames, n_neurons = values.shape
    coords = {"time": (np.arange(n_frames) + 0.5) / 30, "neuron": [f"n{i}" for i in range(n_neurons)]}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, name="dff", attrs=attrs)


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=(101, 7)).astype(np.float32)
    values[3, 2] = np.nan
    return values


def test_storage_does_not_count(values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = hash_recording(recording(values))
    assert hash_recording(recording(np.asfortranarray(values))) == reference
    assert hash_recording(recording(values).chunk({"time": 13, "neuron": 3})) == reference
    assert hash_recording(recording(values, source="/some/where.nwb")) == reference
    other_nan = values.copy()
    other_nan[3, 2] = np.float32(-np.nan)
    assert hash_recording(recording(other_nan)) == reference
    monkeypatch.setattr(hashing, "BLOCK_BYTES", 100)
    assert hash_recording(recording(values)) == reference


def test_one_block_at_a_time_and_each_once(values: np.ndarray) -> None:
    """Blocks of whole traces, as readers make them, must not be joined: memory would grow with the recording."""
    import dask.array as da

    read = []

    def noted(block: np.ndarray) -> np.ndarray:
        read.append(block.shape)
        return block

    for chunks in ((-1, 2), (20, 7), (50, 3)):
        lazy = da.from_array(values, chunks=chunks)
        wanted = [block.shape for block in lazy.blocks.ravel()]
        read.clear()
        noting = lazy.map_blocks(noted, dtype=values.dtype, meta=values[:0, :0])
        assert hash_recording(recording(values).copy(data=noting)) == hash_recording(recording(values))
        assert sorted(read) == sorted(wanted)
    assert hash_recording(recording(values).T) == hash_recording(recording(values))


def test_content_counts(values: np.ndarray) -> None:
    reference = recording(values)
    changed = values.copy()
    changed[50, 5] += 1e-6
    variants = [
        recording(changed),
        recording(values.astype(np.float64)),
        recording(values, units="percent"),
        recording(values, frame_rate_hz=30.0),
        reference.assign_coords(time=reference.time + 1e-3),
        reference.assign_coords(neuron=[f"m{i}" for i in range(7)]),
        recording(values[:, ::-1]),
        recording(values[:-1]),
    ]
    hashes = {hash_recording(variant) for variant in [reference, *variants]}
    assert len(hashes) == len(variants) + 1


def test_negative_zero_is_zero() -> None:
    assert hash_arrays({"a": np.array([0.0])}) == hash_arrays({"a": np.array([-0.0])})
    assert hash_arrays({"a": np.array(1.0)}) != hash_arrays({"a": np.array([1.0])})


def test_byte_order_and_text_width_do_not_count() -> None:
    assert hash_arrays({"a": np.arange(3.0, dtype=">f8")}) == hash_arrays({"a": np.arange(3.0, dtype="<f8")})
    one = xr.DataArray(np.ones((3, 2), dtype=">f4"), dims=("time", "neuron"))
    assert hash_recording(one) == hash_recording(one.astype("<f4"))
    assert hash_arrays({"a": np.array(["x"], dtype="U1")}) == hash_arrays({"a": np.array(["x"], dtype="U9")})
    assert hash_arrays({"a": 1.0, "b": 2.0}) == hash_arrays({"b": 2.0, "a": 1.0})
    assert hash_arrays({"a": 1.0, "b": 2.0}) != hash_arrays({"a": 2.0, "b": 1.0})


def test_configurations() -> None:
    @dataclasses.dataclass(frozen=True)
    class Settings:
        tau_s: float = 0.4

    assert hash_configuration(Settings()) == hash_configuration({"tau_s": 0.4})
    assert hash_configuration(Settings(0.5)) != hash_configuration(Settings())
    with pytest.raises(InputError, match="cannot be hashed"):
        hash_configuration({"tau_s": float("inf")})
