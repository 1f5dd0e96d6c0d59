"""Fuzzing of the readers: whatever the bytes, a file is read or refused with an error of ours, never anything else.

``make fuzz`` runs it for a bounded time over every format; a failing input is left in ``.fuzz`` and printed:

    python tests/fuzz/readers.py FORMAT FOLDER [libFuzzer options, such as -max_total_time=60]
    python tests/fuzz/readers.py FORMAT FOLDER FILE      # one input again
"""

import contextlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from kept import KEPT
from seeds import Scratch


def target(kind: str, path: Path) -> None:
    """Read the file as a user would."""
    import antidrome as ad

    if kind in KEPT:
        KEPT[kind].read(path)
    elif kind == "ops":
        from antidrome.recordings.pickles import load_settings

        load_settings(path)
    elif kind == "toml":
        from antidrome.cli.run import Run
        from antidrome.core.configuration import from_dict
        from antidrome.pipeline.settings_file import read_toml

        from_dict(Run, read_toml(path))
    elif kind == "abf" or kind.startswith("clamp"):
        ad.recordings.read_current_clamp(path)
    elif kind == "ground_truth":
        ad.recordings.read_ground_truth_mat(path)
    else:
        np.asarray(ad.read(path, frame_rate_hz=30.0))


def main() -> None:
    """Fuzz one format, or read one file."""
    import atheris

    kind, corpus, *rest = sys.argv[1:]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Scratch(kind, Path(tempfile.mkdtemp()))
    for number, data in enumerate(scratch.inputs()):
        (folder / f"seed-{number}").write_bytes(data)
    from antidrome.errors import AntidromeError

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["antidrome"]), contextlib.suppress(AntidromeError):
        target(kind, scratch.path)  # imports everything, instrumented

    def one_input(data: bytes) -> None:
        scratch.lay_out(data)
        try:
            target(kind, scratch.path)
        except AntidromeError as error:
            if not str(error).strip():
                raise AssertionError("refused without a word") from error

    again = any(not option.startswith("-") for option in rest)
    where = [] if again else [f"-artifact_prefix={folder}{os.sep}", str(folder)]
    atheris.Setup([sys.argv[0], *rest, *where], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
