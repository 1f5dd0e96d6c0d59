"""What every test runs under. Nothing of antidrome is imported here: annotations are instrumented at first import."""

import importlib.util
import os
import pathlib
import pkgutil
import tempfile
import warnings
from collections.abc import Callable, Iterator

_cache = tempfile.mkdtemp(prefix="antidrome-tests-")
os.environ.update(
    XDG_CACHE_HOME=_cache,
    JAX_COMPILATION_CACHE_DIR=os.path.join(_cache, "compiled"),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.1",
    JAX_PLATFORMS="cpu",
)

import jaxtyping  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from beartype import BeartypeConf  # noqa: E402
from beartype.claw import beartype_package  # noqa: E402
from hypothesis import settings  # noqa: E402


class AnnotationWarning(UserWarning):
    """A value that is not what an annotation says; an error as every warning is, where it is not asked for."""


# Annotations are executed; as everywhere in Python's typing, an int will do for a float. Jaxtyping, which checks
# shapes, takes half of the time of the solvers of dynamics, whose annotations state none: beartype alone does there.
_parts = pkgutil.iter_modules(importlib.util.find_spec("antidrome").submodule_search_locations)
jaxtyping.install_import_hook(
    [f"antidrome.{part.name}" for part in _parts if part.name != "dynamics"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)
beartype_package(
    "antidrome.dynamics",
    conf=BeartypeConf(is_pep484_tower=True, violation_type=AnnotationWarning, claw_is_pep526=False),
)

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
def source_tree(monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The root of the source tree, from which `benchmarks` and `training` can then be imported."""
    root = pathlib.Path(__file__).resolve().parents[1]
    monkeypatch.syspath_prepend(root)
    return root


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy random generator, the same for every test."""
    return np.random.default_rng(20)


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """Switch the executed annotations off, for tests that pass what only a user without them can pass."""
    jaxtyping.config.update("jaxtyping_disable", True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnotationWarning)
        yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def happened(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Callable[[str], None]:
    """Say what came of a fault: ``happened("exit code 2: …")``, held to the row of ``docs/what_was_tried.md``."""
    here = pathlib.Path(__file__).parent
    spec = importlib.util.spec_from_file_location("hazard_page", here / "hazards" / "page.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    name = f"{request.path.relative_to(here.parent).as_posix()}::{request.node.originalname}"
    return lambda said: page.hold(name, said, tmp_path)


@pytest.fixture
def fake_spikes():
    """A maker of spikes results of the agreed form, without a network: ``fake_spikes(n_neurons=4, n_frames=600)``."""
    return _fake_spikes


def _fake_spikes(n_neurons=4, n_frames=600, *, frame_rate_hz=30.0, seed=0, neuron=None, findings=(), **attrs):
    import json

    import xarray as xr
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    shape = (n_frames, n_neurons)
    rates_hz = rng.gamma(2.0, 0.5, n_neurons) * (1 + 4 * (rng.random((n_frames, 1)) < 0.02))
    spikes = rng.poisson(rates_hz / frame_rate_hz, shape).astype(np.float32)
    noise_sd = rng.uniform(0.05, 0.3, n_neurons)
    dff = lfilter([0.5], [1, -np.exp(-1 / frame_rate_hz)], spikes, axis=0) + noise_sd * rng.standard_normal(shape)
    expected = np.clip(0.8 * spikes + 0.05 * rng.random(shape), 0, None).astype(np.float32)
    traces = {
        "dff": dff,
        "expected_spikes": expected,
        "expected_spikes_sd": np.sqrt(expected) * 0.4,
        "spike_probability": 1 - np.exp(-2 * expected),
        "rate_hz": expected * frame_rate_hz,
    }
    numbers = {
        "noise_level": 100 * noise_sd / np.sqrt(frame_rate_hz),
        "amplitude": rng.uniform(0.3, 0.7, n_neurons),
        "tau_s": rng.uniform(0.5, 1.5, n_neurons),
        "baseline": rng.normal(0, 0.02, n_neurons),
    }
    return xr.Dataset(
        {name: (("time", "neuron"), values.astype(np.float32)) for name, values in traces.items()}
        | {name: ("neuron", values) for name, values in numbers.items()},
        coords={
            "time": (np.arange(n_frames) + 0.5) / frame_rate_hz,
            "neuron": [f"n{i:03d}" for i in range(n_neurons)] if neuron is None else list(neuron),
        },
        attrs={
            "findings": json.dumps(list(findings)),
            "frame_rate_hz": frame_rate_hz,
            "model": "default",
            "session_id": "session-1",
            "citations": json.dumps(["speiser2017"]),
            "antidrome_version": "0.1.0",
            "notes": [],
            **attrs,
        },
    )
