"""Model files: what is written is read back; what is damaged, foreign or newer is refused with a sentence."""

import json
import os
import pathlib
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from antidrome.core import model_files
from antidrome.core.model_files import load_model, read_header, save_model
from antidrome.errors import ModelFileError

ARRAYS = {
    "encoder/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scale": np.float64(0.5),
    "flags": np.array([True, False]),
    "counts": np.arange(4, dtype=np.uint8),
    "empty": np.zeros((0, 3), np.float32),
}
CONFIG = {"channels": 32, "name": "Ünïcode </script>"}


def write(path: pathlib.Path, **changes: object) -> pathlib.Path:
    settings = {"class_name": "SpikeVAE", "config": CONFIG, "units": {"tau_s": "s"}, "seed": 3}
    save_model(path, ARRAYS, **{**settings, "data_hash": "ab", "citations": ["speiser2017"], **changes})
    return path


def header(**changes: object) -> dict:
    """A valid header as version 1 writes it, with changes."""
    values = {"format_version": 1, "class": "SpikeVAE", "config": {}, "units": {}, "seed": 0, "versions": {}}
    return {**values, "data_hash": None, "citations": [], "extra": {}, **changes}


def craft(path: pathlib.Path, metadata: dict[str, str] | None, **arrays: np.ndarray) -> pathlib.Path:
    save_file(arrays or {"a": np.zeros(3, np.float32)}, path, metadata=metadata)
    return path


def test_round_trip(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "model.safetensors", extra={"r": 0.5})
    arrays, head = load_model(path, expected_class="SpikeVAE")
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value, strict=isinstance(value, np.ndarray))
        assert arrays[name].shape == np.shape(value)
    assert (head.class_name, head.config, head.units, head.seed) == ("SpikeVAE", CONFIG, {"tau_s": "s"}, 3)
    assert (head.data_hash, head.citations, head.extra) == ("ab", ("speiser2017",), {"r": 0.5})
    assert {"antidrome", "numpy", "jax", "python"} <= head.versions.keys()


def test_the_same_model_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    first, second = write(tmp_path / "a.safetensors"), write(tmp_path / "b.safetensors")
    assert first.read_bytes() == second.read_bytes()


def test_memory_order_and_byte_order_do_not_matter(tmp_path: pathlib.Path) -> None:
    values = np.arange(12, dtype=">f4").reshape(3, 4)
    arrays = {"swapped": values, "fortran": np.asfortranarray(values), "strided": values[:, ::2]}
    save_model(tmp_path / "m", arrays, class_name="SpikeVAE", config={})
    loaded, _ = load_model(tmp_path / "m")
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded[name], value)


def test_every_truncation_is_refused(tmp_path: pathlib.Path) -> None:
    data = write(tmp_path / "whole").read_bytes()
    path = tmp_path / "cut"
    for n_bytes in [*range(0, len(data), 7), len(data) - 1]:
        path.write_bytes(data[:n_bytes])
        with pytest.raises(ModelFileError, match=r"cut: .*(truncated|damaged)"):
            load_model(path)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_refused(tmp_path_factory: pytest.TempPathFactory, position: int, value: int) -> None:
    path = write(tmp_path_factory.mktemp("flip") / "m")
    data = bytearray(path.read_bytes())
    position %= len(data)
    data[position] = value if value != data[position] else value ^ 1
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as refused:
        load_model(path)
    assert str(path) in str(refused.value)


def test_changed_numbers_are_told(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "m")
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(data)
    assert read_header(path).class_name == "SpikeVAE"
    with pytest.raises(ModelFileError, match=r"do not match the checksum in its header\)\. Copy or download it again"):
        load_model(path)


@pytest.mark.parametrize("changes", [{"sha256": 5}, {"sha257": "ab"}, {"sha256": "ab"}, {"sha256": None}])
def test_a_checksum_that_is_none_is_no_licence(tmp_path: pathlib.Path, changes: dict) -> None:
    path = craft(tmp_path / "m", {"antidrome": json.dumps(header(**changes))})
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)


def test_files_of_before_there_was_a_checksum_are_read(tmp_path: pathlib.Path) -> None:
    arrays, head = load_model(craft(tmp_path / "m", {"antidrome": json.dumps(header())}))
    assert head.sha256 is None
    np.testing.assert_array_equal(arrays["a"], np.zeros(3))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x80\x04\x95 pickle", "this is a Python pickle, not a model file of Antidrome, and it was not opened"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file"),
        ((10**15).to_bytes(8, "little"), "header of 1,000,000,000,000,000 bytes"),
        (b"", "only 0 bytes"),
        (b"\x02\0\0\0\0\0\0\0[]", "not a table"),
        ((200_000).to_bytes(8, "little") + b"[" * 200_000, "not JSON"),
    ],
)
def test_foreign_files_are_refused(tmp_path: pathlib.Path, start: bytes, message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(start)
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


def test_a_pytorch_archive_is_refused(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x04")
    with pytest.raises(ModelFileError, match="this is a ZIP archive"):
        load_model(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not written by Antidrome"),
        ({"format": "pt"}, "not written by Antidrome"),
        ({"antidrome": "{"}, "header is not JSON"),
        ({"antidrome": "[]"}, "names no format version"),
        ({"antidrome": json.dumps(header(format_version=0))}, "format version 0"),
        (
            {"antidrome": json.dumps(header(format_version=9, versions={"antidrome": "7.1"}))},
            r"format 9 \(written by Antidrome 7\.1\) is newer .* pip install --upgrade antidrome",
        ),
        ({"antidrome": json.dumps(header(config=[]))}, "header field 'config'"),
        (
            {"antidrome": json.dumps(header(**{"class": "SpikeVAF"}))},
            "'SpikeVAF' is unknown .* Did you mean 'SpikeVAE'",
        ),
    ],
)
def test_other_headers_are_refused(tmp_path: pathlib.Path, metadata: dict | None, message: str) -> None:
    path = craft(tmp_path / "m", metadata)
    for read in (load_model, read_header):
        with pytest.raises(ModelFileError, match=message):
            read(path)


def test_the_wrong_class_is_named(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "m")
    with pytest.raises(ModelFileError, match=r"holds a SpikeVAE, not a StitchedLDS\. Load it with SpikeVAE\.load"):
        load_model(tmp_path / "m", expected_class="StitchedLDS")


def test_caps_hold(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m")
    monkeypatch.setattr(model_files, "MAX_ENTRIES", 3)
    with pytest.raises(ModelFileError, match="lists 6 arrays; the most allowed is 3"):
        load_model(path)
    with pytest.raises(ModelFileError, match="more than a model file may hold"):
        write(path)
    monkeypatch.setattr(model_files, "MAX_FILE_BYTES", os.path.getsize(path) - 1)
    with pytest.raises(ModelFileError, match="a model file has at most"):
        load_model(path)
    monkeypatch.undo()
    size = model_files.MAX_HEADER_BYTES + sum(np.asarray(value).nbytes for value in load_model(path)[0].values())
    monkeypatch.setattr(model_files, "MAX_FILE_BYTES", size - 1)
    with pytest.raises(ModelFileError, match="more than a model file may hold"):
        write(path)  # rather than a file that nobody opens
    monkeypatch.setattr(model_files, "MAX_FILE_BYTES", size)
    write(path)


def test_unusual_number_types_are_refused(tmp_path: pathlib.Path) -> None:
    data = save({"a": np.zeros(2, np.float16)}, metadata={"antidrome": json.dumps(header())})
    (tmp_path / "m").write_bytes(data.replace(b'"F16"', b'"BF16"'.replace(b'"BF16"', b'"B16"')))
    with pytest.raises(ModelFileError, match="array 'a' has the type 'B16'"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([object()]), np.array([1j])])
def test_what_is_no_number_is_not_written(tmp_path: pathlib.Path, value: np.ndarray) -> None:
    with pytest.raises(ModelFileError, match="array 'a' has the type"):
        save_model(tmp_path / "m", {"a": value}, class_name="SpikeVAE", config={})
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_json_cannot_hold_is_not_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be written as JSON"):
        write(tmp_path / "m", config={"a": float("nan")})
    with pytest.raises(ModelFileError, match="is unknown"):
        write(tmp_path / "m", class_name="Nothing")


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone\.safetensors: the model file cannot be read \(No such file"):
        load_model(tmp_path / "gone.safetensors")
