"""``.npy`` and ``.npz``: no pickles, no bombs, damage named."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antidrome.errors import AntidromeError, FileFormatError, UnsafeFileError
from antidrome.recordings import read
from antidrome.recordings.archives import load_npy, load_npz


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(tmp_path: Path, dtype: str, order: str) -> None:
    values = np.asarray(np.arange(12).reshape(4, 3), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", x=values, y=np.zeros(()))
    np.savez_compressed(tmp_path / "b.npz", x=values)
    assert np.array_equal(load_npy(tmp_path / "a.npy"), values)
    assert np.array_equal(load_npz(tmp_path / "a.npz")["x"], values)
    assert load_npz(tmp_path / "a.npz")["y"].shape == ()
    assert np.array_equal(load_npz(tmp_path / "b.npz")["x"], values)
    assert list(load_npz(tmp_path / "a.npz", only="y")) == ["y"]
    assert list(load_npz(tmp_path / "a.npz", only="z")) == ["x", "y"]


def test_pickles_inside_are_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UnsafeFileError, match="Python objects"):
            read(tmp_path / name, frame_rate_hz=10.0)


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04\x95\x00.")
    with pytest.raises(UnsafeFileError, match="Python pickle"):
        read(tmp_path / "a.pkl")


def test_a_header_that_promises_more_than_the_file(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 100)})
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"\0" * 100)
    with pytest.raises(FileFormatError, match="cut short"):
        load_npy(tmp_path / "a.npy")
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        load_npy(tmp_path / "a.npy", max_bytes=10**8)


@pytest.mark.parametrize(("descr", "shape"), [("<0f8", (2, 2)), ("<f8", (0, 2**70)), ("<f8", (1,) * 70)])
def test_a_header_of_what_no_array_can_be(tmp_path: Path, descr: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        header := io.BytesIO(), {"descr": descr, "fortran_order": False, "shape": shape}
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"\0" * 32)
    with pytest.raises(FileFormatError, match="damaged: its header"):
        load_npy(tmp_path / "a.npy")


def test_an_array_without_elements(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 2), np.float32))
    header = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(header.replace(b" \n", b"\xa0\n"))  # NumPy's own reader stumbles over it
    assert load_npy(tmp_path / "a.npy").shape == (0, 2)


def test_a_zip_bomb(tmp_path: Path) -> None:
    n_values = 100 * 2**20
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (n_values, 1)})
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        member.write(header.getvalue())
        for _ in range(100):
            member.write(bytes(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 200_000
    with pytest.raises(UnsafeFileError, match="exhaust memory"):
        read(tmp_path / "a.npz", frame_rate_hz=10.0)


def test_the_sum_of_members_is_capped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{f"x{i}": np.zeros(1000) for i in range(10)})
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        load_npz(tmp_path / "a.npz", max_bytes=50_000)


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(100))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    place = content.find(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 64)
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(FileFormatError):
        load_npz(tmp_path / "a.npz")


def test_an_altered_value_fails_the_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full(100, 7.25))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.find(struct.pack("<d", 7.25)) + 3] ^= 1
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match="damaged"):
        load_npz(tmp_path / "a.npz")


def test_a_member_name_that_is_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", dff=np.zeros((4, 2)))
    content = (tmp_path / "a.npz").read_bytes()
    broken, name = bytearray(content), content.index(b"dff.npy")
    broken[name - 30 + 7] |= 0x08  # the local header says that the name is UTF-8
    broken[name] = 0xBF
    (tmp_path / "a.npz").write_bytes(bytes(broken))
    with pytest.raises(FileFormatError, match="damaged"):
        read(tmp_path / "a.npz", frame_rate_hz=10.0)


def test_archives_without_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FileFormatError, match="no NumPy array"):
        read(tmp_path / "a.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data(), st.sampled_from(["npy", "npz"]))
def test_random_damage_gives_a_sentence_or_a_recording(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    (np.save if kind == "npy" else np.savez_compressed)(path, np.arange(40.0).reshape(20, 2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        assert read(path, frame_rate_hz=10.0).ndim == 2
    except AntidromeError as error:
        assert str(error)
