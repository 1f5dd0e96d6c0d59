"""The registry of public data, and fetching from a mirror: checked, resumed, refused with a sentence."""

import hashlib
import re
import socket

import pytest

from antidrome import data
from antidrome.cli import main
from antidrome.data import catalogue
from antidrome.errors import InputError


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with one small set, and the registry that lists it."""
    folder = tmp_path / "mirror"
    (folder / "set").mkdir(parents=True)
    contents = {"set/a.bin": b"alpha", "set/b.bin": b"beta"}
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    files = tuple(data.File(p, len(c), hashlib.sha256(c).hexdigest()) for p, c in contents.items())
    known = {"letters": data.Dataset("letters", "Two letters", "https://example.org", "MIT", "Nobody (2026).", files)}
    monkeypatch.setattr(catalogue, "datasets", lambda: known)
    monkeypatch.delenv("ANTIDROME_MIRROR", raising=False)
    return folder


def test_every_set_is_described_and_has_files():
    for name, dataset in data.datasets().items():
        assert dataset.files, name
        assert dataset.size > 0
        assert re.search(r"\(\d{4}\)", dataset.cite), name
        assert dataset.licence
        assert dataset.origin.startswith("https://")
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in dataset.files)


def test_every_listed_file_belongs_to_a_set():
    owned = {file.path for dataset in data.datasets().values() for file in dataset.files}
    from importlib.resources import files

    listed = {line.split(" ", 2)[2] for line in files("antidrome.data").joinpath("files.txt").read_text().splitlines()}
    assert listed == owned


def test_a_set_is_fetched_once_and_checked(mirror, tmp_path):
    folder = data.get("letters", mirror=mirror, folder=tmp_path / "cache", progress=False)
    assert (folder / "b.bin").read_bytes() == b"beta"
    assert (folder / "b.bin").stat().st_mode & 0o044 == 0o044, "for a folder that a lab shares"
    (mirror / "set" / "a.bin").unlink()
    assert data.get("letters", mirror=mirror, folder=tmp_path / "cache", progress=False) == folder
    (folder / "b.bin").write_bytes(b"damaged")
    data.get("letters", mirror=mirror, folder=tmp_path / "cache", progress=False)
    assert (folder / "b.bin").read_bytes() == b"beta"


@pytest.mark.parametrize(
    ("break_mirror", "sentence"),
    [
        (lambda folder: (folder / "set" / "a.bin").unlink(), "does not hold set/a.bin"),
        (lambda folder: (folder / "set" / "a.bin").write_bytes(b"other"), "sha256 differs"),
    ],
)
def test_a_bad_mirror_is_refused(mirror, tmp_path, break_mirror, sentence):
    break_mirror(mirror)
    with pytest.raises(InputError, match=sentence):
        data.get("letters", mirror=mirror, folder=tmp_path / "cache", progress=False)
    assert not (tmp_path / "cache" / "set" / "a.bin").exists()


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_mirror_that_does_not_answer_is_named(mirror, tmp_path, scheme):
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"{url}/set/a.bin could not be fetched: .*already stays"):
            data.get("letters", mirror=url, folder=tmp_path / "cache", progress=False)


def test_an_address_without_a_host_is_not_taken_for_a_damaged_file(mirror, tmp_path):
    with pytest.raises(InputError, match=r"could not be fetched: "):
        data.get("letters", mirror="http://:80", folder=tmp_path / "cache", progress=False)


def test_a_scheme_that_cannot_be_fetched_is_named(mirror, tmp_path):
    with pytest.raises(InputError, match="scheme 'foo', which is not supported; expected one of https, http, ftp"):
        data.get("letters", mirror="foo://x", folder=tmp_path / "cache", progress=False)


def test_without_a_name_the_list_is_pointed_to(capsys):
    assert main(["data", "get"]) == 2
    assert "antidrome data list" in capsys.readouterr().err


def test_without_a_mirror_the_origin_is_named(mirror):
    with pytest.raises(InputError, match=r"no mirror is set.*example\.org"):
        data.get("letters", progress=False)


def test_what_was_fetched_needs_no_mirror_unless_it_is_damaged(mirror, tmp_path):
    folder = data.get("letters", mirror=mirror, folder=tmp_path, progress=False)
    assert data.get("letters", folder=tmp_path, progress=False) == folder
    (folder / "b.bin").write_bytes(b"other")
    with pytest.raises(InputError, match=r"no mirror is set.*set/b\.bin"):
        data.get("letters", folder=tmp_path, progress=False)


def test_the_mirror_may_come_from_the_environment(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ANTIDROME_MIRROR", str(mirror))
    assert main(["data", "get", "letters", "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "set")


def test_an_unknown_name_is_corrected(mirror, capsys):
    assert main(["data", "get", "leters"]) == 2
    assert "letters" in capsys.readouterr().err


def test_the_list_names_licence_and_citation(capsys):
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "dynamics-zebrafish-regions" in shown
    assert "CC-BY 4.0" in shown
