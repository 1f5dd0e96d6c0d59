"""Every plain block of Python in the documentation runs, on small files under the names that it uses.

Blocks of ``{code-cell}`` run when the documentation is built. A block that needs what no test has (a queue, a
simulator) stands under a comment ``<!-- not run by the tests: why -->``, and is compiled; its names are checked in
``test_documentation.py``.
"""

import importlib.util
import pathlib
import re
import types
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

import antidrome as ad

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
if not PAGES[0].exists():
    pytest.skip("the documentation is not here", allow_module_level=True)

BLOCK = re.compile(r"(<!-- not run by the tests: [^>]+ -->\n+)?^```python\n(.*?)^```", re.M | re.S)
NEEDED = {"neuron.md": "neuron", "brian2.md": "brian2"}  # what is between `def make` and its end needs these
WORMS = ["AVAL", "AVAR", "RIML", "RIMR", "AVBL", "AVBR", "AIBL", "AIBR", "RID", "SMDVL", "VB02", "DB01"]


def blocks(name: str) -> list[tuple[bool, str]]:
    """Plain blocks of a page: whether they are run, and their code."""
    page = next(page for page in PAGES if page.name == name)
    return [(not marker, code) for marker, code in BLOCK.findall(page.read_text("utf-8"))]


def sessions(n: int, n_neurons: int = 12) -> Iterator[xr.DataArray]:
    """Recordings of a population with shared dynamics; ΔF/F."""
    truth = ad.dynamics.simulate(n_neurons=n_neurons, n_components=2, n_frames=400 * n, seed=3)
    for values in np.split(np.asarray(truth.activity), n):
        yield ad.recordings.from_array(values, 20.0, quantity="dff")


def suite2p(folder: pathlib.Path, values: np.ndarray) -> None:
    """Lay out a plane of suite2p from ΔF/F, (frame, ROI)."""
    folder.mkdir(parents=True)
    np.save(folder / "F.npy", 100 * (1.5 + values.T).astype(np.float32))
    np.save(folder / "Fneu.npy", np.full_like(values.T, 20, dtype=np.float32))
    np.save(folder / "ops.npy", np.array({"fs": 20.0, "neucoeff": 0.7}, dtype=object), allow_pickle=True)


def readme(folder: pathlib.Path) -> dict:
    simulated = ad.spikes.simulate(n_neurons=2, duration_s=20, frame_rate_hz=20, seed=1)
    suite2p(folder / "suite2p/plane0", simulated["dff"].values)
    return {}


def cluster(folder: pathlib.Path) -> dict:
    recording = ad.spikes.simulate(n_neurons=2, duration_s=20, frame_rate_hz=20, seed=1)["dff"]
    prior = {"drive": ad.mechanism.Uniform(0, 4), "leak": ad.mechanism.Uniform(1, 2)}
    mechanism = {"neuron": lambda drive, leak: {"rest": drive / leak}, "prior": prior, "measured": {"rest": 1.0}}
    points = np.random.default_rng(0).standard_normal((300, 3))
    return {"sessions": dict(enumerate(sessions(2))), "recording": recording, "points": points, **mechanism}


def days_of_imaging(folder: pathlib.Path) -> dict:
    for day, recording in enumerate(sessions(3)):
        suite2p(folder / f"day{day}/suite2p/plane0", recording.values)
    table = np.tile(np.arange(12)[:, None], 3)
    table[:3, 0] = table[9:, 2] = -1
    np.save(folder / "cell_to_roi.npy", table)
    return {}


def many_animals(folder: pathlib.Path) -> dict:
    for number, recording in enumerate(sessions(3), 1):
        names = [name + "?" if name == "RID" and number == 1 else name for name in WORMS]
        named = recording.assign_coords(neuron=names).isel(neuron=slice(0, 12 - number))
        ad.write(named.to_dataset(name="dff"), folder / f"worm-{number}.nc")
    return {"paths": sorted(folder.glob("*.nc"))}


def neuron(folder: pathlib.Path) -> dict:
    """A measurement, and simulations such as the page's cell would have left."""
    from antidrome.mechanism import LogUniform, Uniform, as_prior
    from antidrome.mechanism.simulate import PythonSimulator, run_simulations

    prior = as_prior({"g_na": Uniform(0.01, 0.3), "g_k": LogUniform(0.001, 0.1), "g_leak": LogUniform(1e-5, 1e-2)})
    names, features = prior.names, ("spike_count", "latency_ms", "rest_mean_mv", "mean_mv", "sd_mv")
    theta = np.asarray(prior.sample(300, seed=0))
    simulator = PythonSimulator(stand_in, parameter_names=names, feature_names=features, batched=False)
    run_simulations(simulator, theta, seed=0, store=folder / "sims", parameter_names=names, progress=False)
    return {"measured": stand_in(*theta[0])}


def stand_in(g_na: float, g_k: float, g_leak: float) -> dict:
    """Five features of three conductances, without any cell."""
    return {"spike_count": g_na, "latency_ms": g_k, "rest_mean_mv": g_leak, "mean_mv": g_na + g_k, "sd_mv": g_na - g_k}


GIVEN = {
    "README.md": readme,
    "brian2.md": lambda folder: {},
    "cluster.md": cluster,
    "days_of_imaging.md": days_of_imaging,
    "many_animals.md": many_animals,
    "neuron.md": neuron,
}


def test_no_page_is_left_out():
    assert {page.name for page in PAGES if "```python" in page.read_text("utf-8")} == set(GIVEN)
    assert sum(page.read_text("utf-8").count("```python") for page in PAGES) == sum(len(blocks(name)) for name in GIVEN)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a cluster of one worker, in a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
@pytest.mark.parametrize("page", GIVEN)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    names = types.ModuleType("page")
    vars(names).update(GIVEN[page](tmp_path))
    for number, (is_run, code) in enumerate(blocks(page)):
        compiled = compile(code, f"{page}, block {number}", "exec")
        if "node-1" in code:
            compiled = compile(code.replace("tcp://node-1:8786", request.getfixturevalue("scheduler")), page, "exec")
        if is_run:
            exec(compiled, vars(names))
        if named := re.match(r"# (\w+)\.py\n", code):  # the block is a file, which later ones import
            vars(names)[named[1]] = names
    if "make" in vars(names) and importlib.util.find_spec(NEEDED[page]):
        names.make()
