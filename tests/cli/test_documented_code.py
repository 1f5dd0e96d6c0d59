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
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
if not (ROOT / "docs" / "index.md").exists():
    pytest.skip("the documentation is not here", allow_module_level=True)

BLOCK = re.compile(r"(<!-- not run by the tests: [^>]+ -->\n+)?^```python\n(.*?)^```", re.M | re.S)
FENCE = re.compile(r"^[ >]*(?:`{3,}|~{3,}|:{3,})(.*)$", re.M)
NEEDED = {
    "how-to/neuron.md": "neuron",
    "how-to/brian2.md": "brian2",
}  # what is between `def make` and its end needs these
WORMS = ["AVAL", "AVAR", "RIML", "RIMR", "AVBL", "AVBR", "AIBL", "AIBR", "RID", "SMDVL", "VB02", "DB01"]


def place(page: pathlib.Path) -> str:
    """A page's name: README.md, or the path below docs."""
    return page.name if page.parent == ROOT else page.relative_to(ROOT / "docs").as_posix()


def blocks(name: str) -> list[tuple[bool, str]]:
    """Plain blocks of a page: whether they are run, and their code."""
    page = next(page for page in PAGES if place(page) == name)
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


def whole_job(folder: pathlib.Path) -> dict:
    for day in range(2):
        recording = ad.spikes.simulate(n_neurons=4, duration_s=60, frame_rate_hz=20, seed=day)["dff"]
        ad.write(recording, folder / f"day-{day}.nc")
    return {}


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
    "faq.md": lambda folder: {},
    "how-to/brian2.md": lambda folder: {},
    "how-to/cluster.md": cluster,
    "how-to/days_of_imaging.md": days_of_imaging,
    "how-to/many_animals.md": many_animals,
    "how-to/neuron.md": neuron,
    "reference/index.md": whole_job,
}
QUICK = {
    "faq.md",
    "how-to/brian2.md",
    "how-to/days_of_imaging.md",
}  # the others wait for networks to be compiled or trained


def test_no_page_is_left_out():
    assert {place(page) for page in PAGES if blocks(place(page))} == set(GIVEN)


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_block_of_python_is_run_by_the_tests_or_by_the_documentation(page):
    """No other way to write a fence (a directive, an indent, tildes) hides code from both."""
    text = page.read_text("utf-8")
    named = [fence.strip() for fence in FENCE.findall(text) if re.search(r"\b(py|python3?|pycon|ipython)\b", fence)]
    assert named.count("python") == len(blocks(place(page)))
    assert named.count("{code-cell} python") == len(re.findall(r"^```{code-cell} python$", text, re.M))
    assert set(named) <= {"python", "{code-cell} python"}
    assert not re.search(r"{code-cell}", text) or "file_format: mystnb" in text.split("---")[1]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a cluster of one worker, in a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow]) for page in GIVEN]
)
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
