"""The restricted unpickler reads genuine suite2p settings and refuses whatever could run or exhaust."""

import collections
import datetime
import io
import os
import pathlib
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antidrome.errors import AntidromeError, FileFormatError, UnsafeFileError
from antidrome.recordings.pickles import load_settings


def genuine_ops() -> dict[str, Any]:
    """The kinds of values that suite2p keeps in ``ops.npy``."""
    return {
        "fs": 30.0, "tau": np.float64(1.25), "nplanes": np.int64(1), "do_registration": True, "flag": np.bool_(True),
        "save_path": "/data/plane0", "data_path": ["/data"], "diameter": (12, 12), "nothing": None, "xrange": [0, 512],
        "meanImg": np.random.default_rng(0).random((16, 12)).astype("f4"),
        "fortran": np.asfortranarray(np.ones((3, 4))),
        "yoff": np.arange(300_000, dtype=np.int32), "big_endian": np.arange(5, dtype=">i4"),
        "names": np.array(["a", "bc"]),
        "date_proc": datetime.datetime.now(datetime.UTC), "fast_disk": pathlib.PurePosixPath("/x"),
        "nested": {"regPC": [np.zeros(3), {"a": 1j}]}, "objects": np.array([{"a": 1}, None], dtype=object),
        "ordered": collections.OrderedDict(a=1), "set": {1, 2}, "empty": np.zeros((0, 3)),
    }  # fmt: skip


def save_pickle(path: Path, content: bytes) -> Path:
    """A 0-d object array file around a hand-made pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(header.getvalue() + content)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_genuine_settings_are_read(tmp_path: Path, protocol: int) -> None:
    ops = genuine_ops()
    array = np.empty((), dtype=object)
    array[()] = ops
    read = load_settings(save_pickle(tmp_path / "ops.npy", pickle.dumps(array, protocol=protocol)))
    assert (read["fs"], read["tau"], read["nplanes"], read["flag"], read["data_path"]) == (
        30.0,
        1.25,
        1,
        True,
        ["/data"],
    )
    for name in ("meanImg", "fortran", "yoff", "big_endian", "names", "empty"):
        assert np.array_equal(read[name], ops[name])
        assert read[name].dtype == ops[name].dtype
    assert np.array_equal(read["nested"]["regPC"][0], np.zeros(3))
    assert read["nested"]["regPC"][1] == {"a": 1j}
    assert read["objects"][0] == {"a": 1}
    assert read["date_proc"] is None
    assert read["fast_disk"] is None
    assert read["ordered"] == {"a": 1}


def test_what_numpy_saves_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "ops.npy", genuine_ops(), allow_pickle=True)
    assert load_settings(tmp_path / "ops.npy")["fs"] == 30.0


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        Call(os.system, "touch pwned"),
        Call(subprocess.Popen, ["touch", "pwned"]),
        Call(eval, "1"),
        Call(getattr, "a", "upper"),
        Call(np.load, "x"),
        Call(np.zeros, 10**13),
        Call(bytearray, 10**13),
        Call(__import__, "os"),
        Call(open, "pwned", "w"),
        Call(collections.Counter, "abc"),
    ],
    ids=lambda call: f"{call.call[0].__module__}.{call.call[0].__qualname__}",
)
def test_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("ops.npy", {"fs": call}, allow_pickle=True)
    with pytest.raises(UnsafeFileError, match="pass frame_rate_hz instead"):
        load_settings("ops.npy")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": Call(np.ndarray, (10**13,))}),
        pickle.dumps({"a": Call(np.dtype, {"names": ["a"], "formats": ["f8"], "offsets": [10**9]})}),
        pickle.dumps({"a": np.zeros(2, dtype=[("x", "f8")])}),
        pickle.dumps([1, 2]),
        pickle.dumps({"a": np.arange(5.0)})[:-20],
        b"",
        b"\x80\x04\x95" + struct.pack("<Q", 2**60),
        b"\x80\x04]" + b"\x94" * 10 + b"P1\n.",
        pickle.dumps({"a": 1})[:-1] + b"Qx.",
    ],
    ids=[
        "ndarray call",
        "dtype from dict",
        "fields",
        "a list",
        "cut",
        "nothing",
        "huge frame",
        "persistent",
        "persistent 2",
    ],
)
def test_other_tricks_and_damage_give_a_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileFormatError):
        load_settings(save_pickle(tmp_path / "ops.npy", content))


def test_a_tampered_array_cannot_read_beyond_its_bytes(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.arange(4, dtype="u1")}, protocol=2)
    tampered = content.replace(b"K\x04\x85", b"K\xff\x85")
    assert tampered != content
    with pytest.raises(FileFormatError, match="damaged"):
        load_settings(save_pickle(tmp_path / "ops.npy", tampered))


def test_a_far_place_takes_no_memory(tmp_path: Path) -> None:
    """The parser makes room for every place before the one that is named: 10 GB for these 20 bytes."""
    program = b"\x80\x02}r" + (600_000_000).to_bytes(4, "little") + b"."
    with pytest.raises(UnsafeFileError, match="600000000 places"):
        load_settings(save_pickle(tmp_path / "ops.npy", program))


def test_plain_arrays_are_no_settings(tmp_path: Path) -> None:
    np.save(tmp_path / "ops.npy", np.zeros(3))
    with pytest.raises(FileFormatError, match="expected one dictionary"):
        load_settings(tmp_path / "ops.npy")


def test_the_size_is_capped(tmp_path: Path) -> None:
    np.save(tmp_path / "ops.npy", {"a": np.zeros(1000)}, allow_pickle=True)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        load_settings(tmp_path / "ops.npy", max_bytes=1000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_random_damage_gives_a_sentence_or_a_dictionary(tmp_path: Path, data: st.DataObject) -> None:
    small = {"fs": 30.0, "a": np.arange(6.0).reshape(2, 3), "b": [1, "x", None], "c": np.float32(2)}
    content = bytearray(pickle.dumps(small, protocol=data.draw(st.sampled_from([2, 4]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(load_settings(save_pickle(tmp_path / "ops.npy", bytes(content))), dict)
    except AntidromeError as error:
        assert "ops.npy" in str(error) or str(error)
