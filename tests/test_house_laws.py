"""The house laws can be broken, and say so."""

import importlib.util
import pathlib
import types

import pytest

LAWS = pathlib.Path(__file__).resolve().parents[1] / ".ci" / "house_laws.py"


@pytest.fixture
def laws(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The script, looking at an empty repository."""
    spec = importlib.util.spec_from_file_location("house_laws", LAWS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "src" / "antidrome").mkdir(parents=True)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "src" / "antidrome")
    return module


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ("x = 1\n" * 401, "401 lines, at most 400"),
        ("np.load(path, allow_pickle=True)\n", "allow_pickle=True: pickles run code"),
        ("np.random.seed(0)\n", "np.random.seed(): no global random state"),
        ("print(1)\n", "print(): results are returned"),
        ("def f():\n    raise NotImplementedError('later')\n", "raise NotImplementedError"),
        ("import antidrome as ad\n", "import antidrome"),
        ("x = 1  # TO" + "DO\n", "finish it or leave it out"),
    ],
)
def test_breaches_are_found(laws: types.ModuleType, capsys: pytest.CaptureFixture, source: str, breach: str) -> None:
    (laws.PACKAGE / "a.py").write_text(source)
    assert laws.main() == 1
    assert breach in capsys.readouterr().out


def test_a_lawful_file_passes(laws: types.ModuleType) -> None:
    (laws.PACKAGE / "a.py").write_text('"""Nothing."""\n\nfrom antidrome.errors import InputError\n')
    assert laws.main() == 0


def test_benchmarks_and_results_belong_together(laws: types.ModuleType, capsys: pytest.CaptureFixture) -> None:
    results = laws.ROOT / "benchmarks" / "results"
    results.mkdir(parents=True)
    (laws.ROOT / "benchmarks" / "new.py").write_text("parser = options(__doc__)\n")
    (results / "old.json").write_text("{}")
    assert laws.main() == 1
    found = capsys.readouterr().out
    assert "benchmarks/new.py: no result" in found
    assert "old.json: no benchmark of this name" in found
