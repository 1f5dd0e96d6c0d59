"""Hostile and damaged HDF5 and Zarr files are refused with a sentence, before anything is read."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antidrome.errors import AntidromeError, FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import read, safety, zarr_guard
from antidrome.recordings.safety import human_bytes, open_hdf5


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the hostile one, 1200 bytes."""
    path = tmp_path / "secret.bin"
    path.write_bytes(struct.pack("<300f", *range(300)))
    return path


def test_external_link(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros((50, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("deep")["F"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(UnsafeFileError, match="link into another file"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0)
    with open_hdf5(tmp_path / "a.h5", allow_external=True) as file:
        assert file["deep/F"].shape == (50, 2)


def test_external_storage(tmp_path: Path, secret: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", (150, 2), "f4", external=[(str(secret), 0, 1200)])
    with pytest.raises(UnsafeFileError, match="keeps its data in another file"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0)
    allowed = read(tmp_path / "a.h5", frame_rate_hz=10.0, allow_external=True)
    assert allowed.values[1, 1] == 3.0


def test_virtual_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((50, 2))
    layout = h5py.VirtualLayout((50, 2), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (50, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("F", layout)
    with pytest.raises(UnsafeFileError, match="virtual dataset"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0)
    assert read(tmp_path / "a.h5", frame_rate_hz=10.0, allow_external=True).values.sum() == 100


def test_a_file_replaced_after_the_look_is_looked_at_again(
    tmp_path: Path, secret: Path, happened: Callable[[str], None]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = np.zeros((150, 2), "f4")
    recording = read(tmp_path / "a.h5", frame_rate_hz=10.0)
    os.remove(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", (150, 2), "f4", external=[(str(secret), 0, 1200)])
    with pytest.raises(UnsafeFileError, match="another file") as error:
        recording.compute()
    happened(f"looked at again, and refused: {error.value}")


@pytest.mark.parametrize("n_frames", [10**7, 10**9])
def test_declared_size_that_is_not_stored(tmp_path: Path, n_frames: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", (n_frames, 100), "f8", chunks=(1000, 10))
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    with pytest.raises(UnsafeFileError, match="stores 0 bytes"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0)


@pytest.mark.parametrize("name", ["a.h5", "a.npy", "2.zarr", "3.zarr"])
def test_what_is_stored_may_be_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(safety, "DEFAULT_MAX_BYTES", 10_000)
    monkeypatch.setattr(safety, "SUSPECT_BYTES", 10_000)
    monkeypatch.setattr(zarr_guard, "SUSPECT_BYTES", 10_000)
    path, traces = tmp_path / name, np.random.default_rng(0).random((1000, 4))
    if name == "a.h5":
        with h5py.File(path, "w") as file:
            file["F"] = traces
    elif name == "a.npy":
        np.save(path, traces)
    else:
        group = zarr.open_group(path, mode="w", zarr_format=int(name[0]))
        group.create_array("F", data=traces, chunks=(1000, 1))
        if name == "2.zarr":
            zarr.consolidate_metadata(path, zarr_format=2)
    np.testing.assert_array_equal(read(path, frame_rate_hz=10.0), traces)
    with pytest.raises(UnsafeFileError, match="raise max_bytes"):
        read(path, frame_rate_hz=10.0, max_bytes=10_000)


def test_one_axis_is_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "DEFAULT_MAX_BYTES", 10_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"], file["time"] = np.ones((2000, 2), "i1"), np.arange(2000.0)
    with pytest.raises(UnsafeFileError, match=r"/time declares 15\.62 KiB, more than the cap of 9\.766 KiB"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("place", ["F", "../outside"])
def test_an_array_that_only_consolidated_metadata_know_stores_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "0.0").write_bytes(b"x" * 10**7)
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    array = {"zarr_format": 2, "shape": [10**9, 10], "chunks": [10**4, 10], "dtype": "<f4", "order": "C",
             "fill_value": 0, "compressor": None, "filters": None}  # fmt: skip
    listed = {"zarr_consolidated_format": 1, "metadata": {".zgroup": {"zarr_format": 2}, f"{place}/.zarray": array}}
    (tmp_path / "a.zarr" / ".zmetadata").write_text(json.dumps(listed))
    with pytest.raises(UnsafeFileError, match="stores 0 bytes"):
        read(tmp_path / "a.zarr", frame_rate_hz=10.0)


def test_a_movie_beside_the_traces_may_be_large(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("movie", (10**6, 512, 512), "u2", chunks=(10, 512, 512))
        file["F"] = np.zeros((100, 2))
    assert read(tmp_path / "a.h5", frame_rate_hz=10.0).shape == (100, 2)


def test_the_cap_can_be_set(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = np.zeros((1000, 2))
    with pytest.raises(UnsafeFileError, match="raise max_bytes"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0, max_bytes=1000)


def test_cycles_of_links_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a/b")
        group["again"] = file["a"]
        group["soft"] = h5py.SoftLink("/a/b/soft")
        file["F"] = np.zeros((50, 2))
    assert read(tmp_path / "a.h5", frame_rate_hz=10.0, series="F").shape == (50, 2)


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.05])
def test_a_truncated_file(tmp_path: Path, keep: float) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = np.random.default_rng(0).random((1000, 4))
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FileFormatError, match="cut short"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0)


def test_what_is_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"hello, this is not HDF5" * 100)
    with pytest.raises(FileFormatError, match="not an HDF5 file"), open_hdf5(tmp_path / "a.h5"):
        pass
    with pytest.raises(InputError, match="no such file"), open_hdf5(tmp_path / "none.h5"):
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_give_a_sentence_or_a_recording(
    tmp_path: Path, happened: Callable[[str], None], flips: list[tuple[float, int]]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = np.ones((60, 2), "f4")
    content = bytearray((tmp_path / "a.h5").read_bytes())
    for place, value in flips:
        content[min(int(place * len(content)), len(content) - 1)] = value
    (tmp_path / "b.h5").write_bytes(bytes(content))
    try:
        assert read(tmp_path / "b.h5", frame_rate_hz=10.0).ndim == 2
        happened("read as a recording, where the bytes are of no structure")
    except AntidromeError as error:
        assert str(error)
        happened("refused with a sentence")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file with texts of variable length, some of them written over and deleted."""
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file["F"] = np.ones((60, 3), "f4")
        file["neuron"] = ["a", "b", "c"]
        file["notes"] = ["x" * length for length in range(200)]
        file["notes"][5] = "y" * 99
        file.attrs["about"] = "z"
        file.attrs["about"] = ["p", "q" * 3000]
    return path


def test_texts_of_variable_length_are_read(texts: Path) -> None:
    assert texts.read_bytes().count(b"GCOL") > 1
    assert read(texts, frame_rate_hz=10.0)["neuron"].values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("index", "size"), [(0, 0), (0, 8), (1, 2**64 - 16), (1, 10**6)])
def test_a_heap_that_would_hold_hdf5_for_ever(texts: Path, index: int, size: int) -> None:
    content = bytearray(texts.read_bytes())
    struct.pack_into("<H6xQ", content, content.index(b"GCOL") + 16, index, size)
    texts.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"texts\.h5 is damaged: the texts in its heap"):
        read(texts, frame_rate_hz=10.0)


@pytest.mark.parametrize("where", ["of the file", "of a group", "of a dataset", "of a member", "the values"])
def test_values_of_variable_length_that_are_no_lists_and_no_texts(tmp_path: Path, where: str) -> None:
    """HDF5 ends the process that reads them."""
    path, lists, values = tmp_path / "a.h5", h5py.vlen_dtype(np.int32), np.empty(1, object)
    values[0] = np.arange(3, dtype=np.int32)
    with h5py.File(path, "w") as file:
        file["g/F"] = np.ones((60, 3), "f4")
        things = {"of the file": file, "of a group": file["g"]}
        if where == "the values":
            file.create_dataset("g/odd", (2,), lists)[0] = np.arange(3)
        elif where == "of a member":
            kind = np.dtype([("n", "i4"), ("odd", lists)])
            file["g/F"].attrs.create("odd", np.array([(1, np.arange(3, dtype="i4"))], dtype=kind), dtype=kind)
        else:
            things.get(where, file["g/F"]).attrs.create("odd", values, dtype=lists)
    read(path, frame_rate_hz=10.0)
    content = path.read_bytes()
    assert content.count(b"\x19\x00\x00\x00\x10\x00\x00\x00") == 1
    path.write_bytes(content.replace(b"\x19\x00\x00\x00\x10\x00\x00\x00", b"\x19\x08\x00\x00\x10\x00\x00\x00"))
    with pytest.raises(FileFormatError, match=r"a\.h5.*damaged, these values are neither lists nor texts") as raised:
        read(path, frame_rate_hz=10.0)
    assert str(raised.value).count("damaged") == 1


def test_a_heap_of_impossible_size_is_left_to_hdf5(texts: Path) -> None:
    content = bytearray(texts.read_bytes())
    struct.pack_into("<Q", content, content.index(b"GCOL") + 8, 2**40)
    texts.write_bytes(content)
    with pytest.raises(FileFormatError, match="is damaged"):
        read(texts, frame_rate_hz=10.0)


def test_a_heap_that_begins_where_the_file_ends_is_none(texts: Path) -> None:
    whole = read(texts, frame_rate_hz=10.0)
    texts.write_bytes(texts.read_bytes() + b"GCOL\x01\x00\x00\x00")
    np.testing.assert_array_equal(read(texts, frame_rate_hz=10.0), whole)


def test_a_zarr_codec_that_unpickles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    metadata = {
        "zarr_format": 2, "shape": [50, 2], "chunks": [50, 2], "dtype": "|O", "order": "C", "fill_value": None,
        "compressor": None, "filters": [numcodecs.Pickle().get_config()],
    }  # fmt: skip
    (path / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(UnsafeFileError, match="'pickle'"):
        read(path, frame_rate_hz=10.0)


def test_a_hostile_codec_in_consolidated_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("F", data=np.zeros((50, 2)))
    zarr.consolidate_metadata(path, zarr_format=2)
    hidden = json.loads((path / ".zmetadata").read_text())
    hidden["metadata"]["F/.zarray"]["filters"] = [{"id": "pickle", "protocol": 5}]
    (path / ".zmetadata").write_text(json.dumps(hidden))
    with pytest.raises(UnsafeFileError, match="pickle"):
        read(path, frame_rate_hz=10.0)


def test_zarr_arrays_may_lie_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr_guard, "SUSPECT_BYTES", 1000)
    traces = np.random.default_rng(0).random((500, 4))
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).create_array("F", data=traces)
    zarr.consolidate_metadata(tmp_path / "a.zarr", zarr_format=2)
    (tmp_path / "a.zarr" / "F").rename(tmp_path / "elsewhere")
    (tmp_path / "a.zarr" / "F").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", frame_rate_hz=10.0).values, traces)


def test_a_hostile_codec_behind_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).create_array("F", data=np.zeros((50, 2)))
    (path / "root").symlink_to("/")
    assert read(path, series="F", frame_rate_hz=10.0).shape == (50, 2)
    described = json.loads((path / "F" / ".zarray").read_text())
    (path / "F" / ".zarray").write_text(json.dumps({**described, "filters": [{"id": "pickle", "protocol": 5}]}))
    (path / "F").rename(tmp_path / "elsewhere")
    (path / "F").symlink_to(tmp_path / "elsewhere")
    (path / "loop").symlink_to(path)
    with pytest.raises(UnsafeFileError, match="'pickle'"):
        read(path, series="F", frame_rate_hz=10.0)
    (tmp_path / "elsewhere" / ".zarray").write_text(json.dumps(described))
    zarr_guard.guard_zarr(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_sizes_are_capped(tmp_path: Path, zarr_format: int) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(10**9, 100), chunks=(1000, 10), dtype="f8", zarr_format=zarr_format)
    with pytest.raises(UnsafeFileError, match=r"745\.1 GiB"):
        read(tmp_path / "a.zarr", frame_rate_hz=10.0)
    zarr.create_array(tmp_path / "b.zarr", shape=(10**7, 100), chunks=(1000, 10), dtype="f8", zarr_format=zarr_format)
    with pytest.raises(UnsafeFileError, match="the data are missing"):
        read(tmp_path / "b.zarr", frame_rate_hz=10.0)


@pytest.mark.parametrize("content", [b"{", b"[1, 2]", b"\xff\xfe", b"{}", b'{"zarr_format": 7}', b"[" * 100_000])
@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
def test_damaged_zarr_metadata(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / name).write_bytes(content)
    with pytest.raises(AntidromeError, match=r"a\.zarr"):
        read(path, frame_rate_hz=10.0)


def test_sizes_for_people() -> None:
    assert [human_bytes(n) for n in (10, 2048, 5 * 2**40)] == ["10 bytes", "2 KiB", "5 TiB"]


def test_a_damaged_block_is_named_when_it_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", data=np.random.default_rng(0).random((1000, 2)), chunks=(1000, 1), compression="gzip")
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[-3000:-1000] = bytes(2000)
    (tmp_path / "a.h5").write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match=r"a\.h5 is damaged"):
        read(tmp_path / "a.h5", frame_rate_hz=10.0).compute()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_chunk_beyond_its_array_is_refused(tmp_path: Path, zarr_format: int) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(300, 2), chunks=(10**5, 10**4), dtype="f8", zarr_format=zarr_format)
    with pytest.raises(UnsafeFileError, match=r"declares chunks of 7\.451 GiB for an array of 4\.688 KiB"):
        read(tmp_path / "a.zarr", frame_rate_hz=30.0)
    zarr.create_array(tmp_path / "b.zarr", shape=(300, 2), chunks=(1000, 1000), dtype="f8", zarr_format=zarr_format)
    assert read(tmp_path / "b.zarr", frame_rate_hz=30.0).shape == (300, 2)


def test_an_hdf5_chunk_beyond_its_dataset_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", (300, 2), "f8", chunks=(10**6, 100), maxshape=(None, None))
    with pytest.raises(UnsafeFileError, match="declares chunks of"):
        read(tmp_path / "a.h5", frame_rate_hz=30.0)
