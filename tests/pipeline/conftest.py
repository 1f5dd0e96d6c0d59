"""The main job with a stand-in for the network."""

import importlib.util
import pathlib

import pytest


def _load():
    path = pathlib.Path(__file__).with_name("stand_in.py")
    spec = importlib.util.spec_from_file_location("stand_in", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def helpers():
    """The module ``stand_in``."""
    return _load()


@pytest.fixture
def model(helpers, monkeypatch):
    """The stand-in, in place of the network; ``model.calls`` counts the blocks inferred."""
    return helpers.install(monkeypatch.setattr)


@pytest.fixture
def drawing_model(helpers, monkeypatch):
    """The same, and the page with its charts."""
    return helpers.install(monkeypatch.setattr, charts=True)


@pytest.fixture
def inputs(helpers, tmp_path):
    """Two small recordings on disk."""
    from antidrome.recordings import write

    folder = tmp_path / "inputs"
    return [write(helpers.recording(seed), folder / f"day-{seed}.nc") for seed in range(2)]
