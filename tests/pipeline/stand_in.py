"""A stand-in for the network, and a job that uses it: what the pipeline does must not depend on what infers.

Also a program: ``python stand_in.py kill FOLDER`` kills the job (SIGKILL) after every single rename that it makes,
finishes it with the same call, and writes what it found to ``FOLDER/found.json``.
"""

import json
import os
import re
import signal
import sys
import tomllib
from pathlib import Path

import numpy as np
import xarray as xr

from antidrome.recordings import from_array, noise_level


class Model:
    """Spikes are the rises of the trace; ``calls`` counts blocks."""

    model = "stand-in"
    model_card = {"trained_on": "nothing"}  # noqa: RUF012

    def __init__(self):
        self.calls = 0

    def _engine(self):
        return None, self.model_card

    def predict(self, recording, *, n_samples=0, progress=True):
        self.calls += 1
        trace = recording.values
        rise = np.clip(np.nan_to_num(np.diff(trace, axis=0, prepend=trace[:1])), 0, None).astype(np.float32)
        dims = ("time", "neuron")
        result = xr.Dataset(
            {
                "expected_spikes": (dims, rise, {"units": "spikes per frame"}),
                "expected_spikes_sd": (dims, np.sqrt(rise), {"units": "spikes per frame"}),
                "spike_probability": (dims, 1 - np.exp(-rise), {"units": "1"}),
                "rate_hz": (dims, rise * np.float32(recording.attrs["frame_rate_hz"]), {"units": "spikes/s"}),
                "noise_level": ("neuron", noise_level(recording).values, {"units": "% Hz^-1/2"}),
            },
            coords=dict(recording.coords),
            attrs={
                "frame_rate_hz": recording.attrs["frame_rate_hz"],
                "findings": "[]",
                "citations": json.dumps(["speiser2017"]),
                "notes": json.dumps([*recording.attrs.get("notes", []), "made by a stand-in"]),
                "model": self.model,
            },
        )
        if n_samples:
            result["samples"] = (("sample", *dims), np.repeat((rise > 0.1).astype(np.int16)[None], n_samples, axis=0))
        return result

    def spike_times(self, recording, *, result=None, executor=None):
        assert result["expected_spikes"].shape == recording.shape
        found = result["expected_spikes"].stack(spike=("neuron", "time"))
        found = found[found.values > 0.5]
        return xr.Dataset({"neuron": ("spike", found["neuron"].values), "time_s": ("spike", found["time"].values)})


def stage():
    """A later stage that costs nothing: total spikes of each session; ``stage().calls`` counts."""
    from antidrome.pipeline.stages.stage import Stage, file_of
    from antidrome.recordings.xarray_writing import read_xarray_result, write_netcdf
    from antidrome.report.page import Part, render

    def name(one, ids):
        return file_of("total", one, ids)

    def compute(activity, config, place):
        for one, recording in activity.items():
            write_netcdf(xr.Dataset({"total": recording.sum()}), place.output / name(one, list(activity)))

    def summarise(output, ids):
        totals = [float(read_xarray_result(output / name(one, ids))["total"]) for one in ids]
        return {"totals": [float(f"{total:.4g}") for total in totals], "citations": []}

    def part(output, ids):
        return Part(sections={"results": render("stages_skipped", reasons={"totals": str(summarise(output, ids))})})

    return Stage(
        "dimension",
        lambda ids: {name(one, ids): "total spikes" for one in ids},
        lambda config: {"bin_s": config.bin_s},
        compute,
        summarise,
        part,
    )


def install(setattr_, block_values=900, *, charts=False):
    """Put the stand-in where the network would be, a trivial stage after it, and cut the work into small blocks.

    Without `charts` the page has none: they have tests of their own, and take as long as everything else.
    """
    from antidrome.pipeline import entering, infer, job, model, rebuild, single
    from antidrome.report import spikes_part

    stand_in = Model()
    for module in (job, single):
        setattr_(module, "load_model", lambda config: stand_in)
    for module in (model, infer):
        setattr_(module, "model_hash", lambda model: "stand-in")
    setattr_(infer, "BLOCK_VALUES", block_values)
    if not charts:
        setattr_(spikes_part, "_figures", lambda has: {})
    for module in (entering, job, rebuild):
        setattr_(module, "LATER", (stage(),))
    return stand_in


def recording(seed=0, n_neurons=7, n_frames=300, **attrs):
    """A small ΔF/F recording."""
    rng = np.random.default_rng(seed)
    kernel = np.exp(-np.arange(60) / 20)
    spikes = rng.poisson(0.03, (n_frames, n_neurons))
    trace = np.stack([np.convolve(s, kernel)[:n_frames] for s in spikes.T], axis=1)
    trace = 0.5 * trace + 0.1 * rng.standard_normal(trace.shape)
    return from_array(trace.astype(np.float32), 30.0, quantity="dff", attrs={"session_id": f"day-{seed}", **attrs})


def contents(folder):
    """Everything that a results folder says, without the times of day."""
    from antidrome.recordings import read_spikes

    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    created = summary.pop("created")
    for entry in [*summary["sessions"], *summary["stages"].values()]:
        entry.pop("seconds", None)
    page = (folder / "report.html").read_text("utf-8")
    results = {path.name: read_spikes(path) for path in sorted(folder.glob("spikes*"))}
    return summary, page.replace(created.replace("T", " ")[:16], ""), results


def different(first, second):
    """What two folders do not say alike, to the bit; empty if they do."""
    (summary, page, results), (other_summary, other_page, other_results) = first, second
    found = [key for key in summary if summary[key] != other_summary.get(key)]
    found += ["page"] if page != other_page else []
    names = results.keys() | other_results.keys()
    both = results.keys() & other_results.keys()
    return found + [name for name in names if name not in both or not results[name].identical(other_results[name])]


def half_files(folder):
    """Files in the folder, as a person sees it, that cannot be read to their end."""
    from antidrome.recordings import read_spikes

    broken = []
    for path in (p for p in folder.glob("*") if not p.name.startswith(".")):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text("utf-8"))
            elif path.suffix == ".toml":
                tomllib.loads(path.read_text("utf-8"))
            elif path.suffix == ".html":
                assert path.read_text("utf-8").endswith("</html>\n") or path.read_text("utf-8").endswith("</html>")
            else:
                read_spikes(path)
        except Exception as error:
            broken.append(f"{path.name}: {error}")
    return broken


def _job(folder, inputs):
    from antidrome.pipeline import RunConfig, run

    run(inputs, folder, RunConfig(format="netcdf"), command="antidrome run", progress=False)


def _in_a_child(action):
    """Run in a forked process; return the signal that ended it, or minus its exit code."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException as error:
            sys.stderr.write(f"{error}\n")
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def _killed_after(n_renames, action):
    rename, seen = os.replace, 0

    def counting(source, target, **options):
        nonlocal seen
        if seen == n_renames:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        return rename(source, target, **options)

    os.replace = counting
    action()


def kill_everywhere(folder):
    """Kill before rename 0, 1, 2 …, until a run gets through; after each, go on and compare."""
    import dask

    dask.config.set(scheduler="synchronous")  # no threads in a process that forks
    inputs = sorted(str(path) for path in folder.glob("*.nc"))
    install(setattr, block_values=1500, charts=True)
    _job(folder / "whole", inputs)
    wanted, found = contents(folder / "whole"), []
    for n in range(100):
        out = folder / f"killed-{n}"
        ended = _in_a_child(lambda n=n, out=out: _killed_after(n, lambda: _job(out, inputs)))
        if ended == 0:
            break
        record = {"kill": n, "ended": ended, "half": half_files(out) if out.exists() else []}
        record["resumed"] = _in_a_child(lambda out=out: _job(out, inputs))
        record["different"] = different(contents(out), wanted) if record["resumed"] == 0 else ["all"]
        record["left"] = [path.name for path in out.rglob("*partial*")]
        found.append(record)
    (folder / "found.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    assert re.fullmatch("kill", sys.argv[1])
    kill_everywhere(Path(sys.argv[2]))
