"""What every test runs under. Nothing of antidrome is imported here: annotations are instrumented at first import."""

import os
import pathlib
import tempfile

_cache = tempfile.mkdtemp(prefix="antidrome-tests-")
os.environ.update(
    XDG_CACHE_HOME=_cache,
    JAX_COMPILATION_CACHE_DIR=os.path.join(_cache, "compiled"),
    JAX_PLATFORMS="cpu",
    JAX_NUMPY_RANK_PROMOTION="raise",  # a missing axis is an error, not a broadcast
    JAX_NUMPY_DTYPE_PROMOTION="strict",  # a mix of types is an error, not a cast
)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the real recordings where there are none."""
    if os.environ.get("ANTIDROME_DATA"):
        return
    skip = pytest.mark.skip(reason="set ANTIDROME_DATA to the folder of real recordings")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


def pytest_unconfigure() -> None:
    """Remove the caches of this run."""
    import shutil

    shutil.rmtree(_cache, ignore_errors=True)


@pytest.fixture
def data_folder() -> pathlib.Path:
    """The folder of real recordings ($ANTIDROME_DATA); for tests marked ``data``."""
    return pathlib.Path(os.environ["ANTIDROME_DATA"])


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy random generator, the same for every test."""
    return np.random.default_rng(20)
