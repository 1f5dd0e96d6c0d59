"""Bad inputs to the job and its results folder; the rest is in ``cases.py``, here under the name ``hazard_cases``."""

import json

import numpy as np
import xarray as xr
import zarr
from hazard_cases import case, traces


@case("The job", "the same recording twice")
def _(folder):
    from antidrome.pipeline import run

    xr.Dataset({"dff": (("time", "neuron"), traces())}).to_netcdf(folder / "day1.nc", engine="h5netcdf")
    run([folder / "day1.nc", folder / "day1.nc"], folder / "results", progress=False)


@case("The job", "a results folder that holds files of someone else")
def _(folder):
    from antidrome.pipeline.folder import Manifest

    (folder / "results").mkdir()
    (folder / "results" / "report.html").write_text("mine")
    Manifest(folder / "results").claim(["report.html"], overwrite=False)


@case("The job", "results in the place of the recording, with --overwrite")
def _(folder):
    from antidrome.pipeline import InferenceConfig, deconvolve

    np.save(folder / "day1.npy", traces())
    settings = InferenceConfig(frame_rate_hz=30.0, quantity="dff", overwrite=True)
    deconvolve(folder / "day1.npy", folder / "day1.npy", settings, format="netcdf", progress=False)


@case("The job", "a results folder inside of a Zarr recording")
def _(folder):
    from antidrome.pipeline import RunConfig, run

    zarr.save_array(folder / "day1.zarr", traces())
    run([folder / "day1.zarr"], folder / "day1.zarr" / "results", RunConfig(frame_rate_hz=30.0, quantity="dff"))


@case("The job", "a results folder whose summary names a file elsewhere")
def _(folder):
    from antidrome.pipeline import rebuild_report

    session = {"session_id": "a", "input": {}, "findings": [], "notes": [], "neurons": []}
    session["result"] = {"file": "../secret.nc"}
    summary = {"created": "", "command": "", "config": {}, "versions": {}, "files": [], "sessions": [session]}
    (folder / "summary.json").write_text(json.dumps(summary))
    rebuild_report(folder)


@case("The job", "a misspelt setting in a settings file")
def _(folder):
    from antidrome.cli.config_file import defaults_from_file
    from antidrome.cli.run import Run

    (folder / "run.toml").write_text("bin_z = 0.1\n")
    defaults_from_file(Run, ["--config", str(folder / "run.toml")])
