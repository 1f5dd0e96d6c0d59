"""The benchmarks are modules of the source tree, beside the package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def source_tree(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the source tree, from which `benchmarks` is imported."""
    monkeypatch.syspath_prepend(ROOT)
    return ROOT
