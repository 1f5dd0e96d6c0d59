"""Fuzzing of the readers: whatever the bytes, a file is read or refused with an error of ours, never anything else.

``make fuzz`` runs it for a bounded time over every format; a failing input is left in ``.fuzz`` and printed:

    python tests/fuzz/readers.py FORMAT FOLDER [libFuzzer options, such as -max_total_time=60]
    python tests/fuzz/readers.py FORMAT FOLDER FILE      # one input again
"""

import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

SUFFIXES = {
    "csv": ".csv",
    "mat": ".mat",
    "model": ".safetensors",
    "netcdf": ".nc",
    "npy": ".npy",
    "npz": ".npz",
    "ops": ".npy",
    "toml": ".toml",
}


def seeds(kind: str, folder: Path) -> None:
    """Small valid files, from which the fuzzer starts."""
    import scipy.io

    traces = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    path = folder / f"seed{SUFFIXES[kind]}"
    if kind == "csv":
        path.write_text("time,a,b\n" + "\n".join(f"{i / 30},{x},{y}" for i, (x, y, _) in enumerate(traces)) + "\n")
    elif kind == "mat":
        scipy.io.savemat(path, {"dff": traces, "frame_rate": 30.0})
    elif kind == "model":
        from antidrome import TwoNN

        TwoNN().fit(np.random.default_rng(0).standard_normal((200, 3)), progress=False).save(path)
    elif kind == "netcdf":
        import xarray as xr

        xr.Dataset({"dff": (("time", "neuron"), traces)}).to_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC")
    elif kind == "npy":
        np.save(path, traces)
    elif kind == "npz":
        np.savez(path, dff=traces, frame_rate=30.0)
    elif kind == "ops":
        np.save(path, np.array({"fs": 30.0, "nframes": 12, "neucoeff": np.float32(0.7)}, dtype=object))
    else:
        path.write_text('paths = ["a.nwb"]\nbin_s = 0.2\nstages = ["spikes"]\n')


def target(kind: str, path: Path) -> None:
    """Read the file as a user would."""
    import antidrome as ad

    if kind == "model":
        ad.TwoNN.load(path)
    elif kind == "ops":
        from antidrome.recordings.pickles import load_settings

        load_settings(path)
    elif kind == "toml":
        from antidrome.cli.run import Run
        from antidrome.core.configuration import from_dict
        from antidrome.pipeline.settings_file import read_toml

        from_dict(Run, read_toml(path))
    else:
        np.asarray(ad.read(path, frame_rate_hz=30.0))


def main() -> None:
    """Fuzz one format, or read one file."""
    import atheris

    kind, corpus, *rest = sys.argv[1:]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    seeds(kind, folder)
    scratch = Path(tempfile.mkdtemp()) / f"input{SUFFIXES[kind]}"
    with atheris.instrument_imports(include=["antidrome"]):
        target(kind, next(folder.glob("seed*")))  # imports everything, instrumented
    from antidrome.errors import AntidromeError

    warnings.simplefilter("ignore")

    def one_input(data: bytes) -> None:
        scratch.write_bytes(data)
        try:
            target(kind, scratch)
        except AntidromeError as error:
            if not str(error).strip():
                raise AssertionError("refused without a word") from error

    atheris.Setup([sys.argv[0], *rest, f"-artifact_prefix={folder}{os.sep}", str(folder)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
