"""The benchmarks are modules of the source tree, beside the package."""

import pytest


@pytest.fixture(autouse=True)
def _importable(source_tree: object) -> None:
    """Every test here imports from the source tree."""
