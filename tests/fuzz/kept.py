"""What the package itself wrote and reads again: models, results, simulations, checkpoints, folders of a run.

The seeds are the files of `tests/formats`. Model files are fuzzed without their checksum, as the first ones were, for
else nothing behind it would be reached.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = Path(__file__).parents[1] / "formats"
FIRST, SEALED = FORMATS / "0.1.0", FORMATS / "0.1.0-sealed"


@dataclasses.dataclass(frozen=True)
class Kept:
    """One kind: the ending of its name ("" for a folder), what writes a seed, what reads it."""

    suffix: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]


def _copy(source: Path) -> Callable[[Path], Any]:
    """Write a seed that is a copy."""
    return lambda path: (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)


def _of(source: Path, *names: str) -> Callable[[Path], None]:
    """Write a seed that is a folder with some files of another."""

    def write(path: Path) -> None:
        path.mkdir()
        for name in names:
            shutil.copyfile(source / name, path / name)

    return write


def _unsealed(source: Path) -> Callable[[Path], None]:
    """Write a seed that is a model file without its checksum."""

    def write(path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        content = source.read_bytes()
        entries = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        header = json.loads(entries["__metadata__"]["antidrome"])
        del header["sha256"]
        save_file(load_file(source), path, metadata={"antidrome": json.dumps(header, sort_keys=True)})

    return write


def _estimator(name: str) -> Callable[[Path], Any]:
    """Open a model as its class does."""

    def read(path: Path) -> Any:
        import antidrome as ad

        return getattr(ad, name).load(path)

    return read


def _fitted_spikes(path: Path) -> None:
    from antidrome.spikes.storage import load_fitted

    load_fitted(path)


def _spikes(path: Path) -> Any:
    import antidrome as ad

    return ad.recordings.read_spikes(path).load()


def _layers(path: Path) -> None:
    from antidrome.dimension import Activations

    for values in Activations(path).values():
        np.asarray(values)


def _simulations(path: Path) -> None:
    from antidrome.mechanism.simulate import read_simulations

    read_simulations(path)


def _judgement(path: Path) -> None:
    """Too few simulations to judge by: what is read is checked, nothing is computed."""
    from antidrome.mechanism.judgement import diagnose_folder

    diagnose_folder(path)


def _few_to_judge_by(path: Path) -> None:
    _of(SEALED / "mechanism", "posterior.safetensors", "judgement.npz")(path)
    with np.load(path / "judgement.npz") as kept:
        few = {name: values[:4] if values.ndim else values for name, values in kept.items()}
    np.savez(path / "judgement.npz", **few)


def _observation(path: Path) -> None:
    from antidrome.mechanism.loading import read_observation

    read_observation(path)


def _table_of_simulations(path: Path) -> None:
    from antidrome.mechanism.simulate import read_external

    read_external(path, parameter_names=["a"])


def _known_spikes(path: Path) -> None:
    from antidrome.cli.spikes_fit import read_known

    read_known(path)


def _points(path: Path) -> None:
    from antidrome.dimension.reading import read_points

    np.asarray(read_points(path, drop_missing=True)[0])


def _fit_checkpoint(path: Path) -> None:
    from antidrome.mechanism.snapshots import FitCheckpoint

    FitCheckpoint(path, {}).restore()


def _dynamics_checkpoint(path: Path) -> None:
    from antidrome.dynamics.resuming import Stages

    Stages(path).load("start-0")


def _run_folder(path: Path) -> None:
    from antidrome.pipeline import rebuild_report

    rebuild_report(path)


def _small_run_folder(path: Path) -> None:
    """Without later stages, which make the page slow."""
    _of(SEALED / "run", "run.json", "run.toml", "spikes-a.nc")(path)
    summary = json.loads((SEALED / "run" / "summary.json").read_text("utf-8"))
    summary |= {"sessions": summary["sessions"][:1], "stages": {}}
    (path / "summary.json").write_text(json.dumps(summary), "utf-8")


KEPT: dict[str, Kept] = {
    "fit_checkpoint": Kept(".safetensors", _copy(SEALED / "mechanism" / "fit.safetensors"), _fit_checkpoint),
    "dynamics_checkpoint": Kept("", _of(SEALED / "dynamics", "start-0.safetensors"), _dynamics_checkpoint),
    "judgement": Kept("", _few_to_judge_by, _judgement),
    "known_spikes": Kept(".csv", lambda path: path.write_text("neuron,time_s\na,0.5\nb,1.25\n"), _known_spikes),
    "layers": Kept("", _copy(SEALED / "layers"), _layers),
    "observation_csv": Kept(".csv", lambda path: path.write_text("name,value\nrate,3.5\nsd,na\n"), _observation),
    "observation_json": Kept(".json", lambda path: path.write_text('{"rate": 3.5, "sd": null}'), _observation),
    "observation_npy": Kept(".npy", lambda path: np.save(path, [3.5, np.nan]), _observation),
    "observation_npz": Kept(".npz", lambda path: np.savez(path, rate=3.5, sd=np.nan), _observation),
    "points_npy": Kept(".npy", lambda path: np.save(path, np.arange(24.0).reshape(8, 3)), _points),
    "points_npz": Kept(".npz", lambda path: np.savez(path, a=np.arange(24.0).reshape(8, 3)), _points),
    "points_csv": Kept(".csv", lambda path: path.write_text("a,b\n1,2.5\n2,nan\n3,0.5\n"), _points),
    "points_zarr": Kept(".zarr", _copy(SEALED / "recording.zarr"), _points),
    "run_folder": Kept("", _small_run_folder, _run_folder),
    "simulations": Kept("", _copy(SEALED / "simulations"), _simulations),
    "simulations_csv": Kept(".csv", lambda path: path.write_text("a,x\n1,2.5\n2,nan\n"), _table_of_simulations),
    "simulations_npz": Kept(
        ".npz", lambda path: np.savez(path, theta=np.ones((3, 1)), x=np.ones((3, 2))), _table_of_simulations
    ),
    "snpe": Kept(".safetensors", _copy(FIRST / "snpe.safetensors"), _estimator("SNPE")),
    "spike_vae": Kept(".safetensors", _unsealed(SEALED / "spike_vae.safetensors"), _fitted_spikes),
    "spikes_netcdf": Kept(".nc", _copy(SEALED / "spikes.nc"), _spikes),
    "spikes_nwb": Kept(".nwb", _copy(SEALED / "spikes.nwb"), _spikes),
    "spikes_suite2p": Kept("", _copy(SEALED / "spikes"), _spikes),
    "spikes_zarr": Kept(".zarr", _copy(SEALED / "spikes.zarr"), _spikes),
    "stitched_lds": Kept(".safetensors", _copy(FIRST / "stitched_lds.safetensors"), _estimator("StitchedLDS")),
    "two_nn": Kept(".safetensors", _copy(FIRST / "two_nn.safetensors"), _estimator("TwoNN")),
}
