"""``import antidrome`` is instant, and so is help on the command line.

If a test here fails, some module on the way imports a heavy package at its top: move that import into the function
that needs it. ``python -X importtime -c "import antidrome"`` shows which.
"""

import ast
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import antidrome

HEAVY = ("jax", "torch", "bokeh", "pynwb", "h5py", "zarr", "dask", "distributed", "xarray", "pandas", "scipy", "numpy")
SCRIPT = """
import json, sys, time
start = time.perf_counter()
import antidrome
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "loaded": [name for name in HEAVY if name in sys.modules]}))
"""


def run_python(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


def test_import_is_fast_and_light() -> None:
    runs = [json.loads(run_python(f"HEAVY = {HEAVY!r}{SCRIPT}")) for _ in range(5)]
    assert runs[0]["loaded"] == []
    assert min(run["seconds"] for run in runs) < 0.3


def test_help_is_fast_and_light() -> None:
    script = f"""
import sys
from antidrome.cli import main
assert main(["--help"]) == 0
assert not [name for name in {HEAVY!r} if name in sys.modules]
"""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        assert "usage: antidrome" in run_python(script)
        best = min(best, time.perf_counter() - start)
    assert best < 1.0


@pytest.mark.parametrize("command", ["run", "spikes", "check", "simulate", "report"])
def test_help_of_a_command_loads_no_engine(command: str) -> None:
    script = f"""
import sys
from antidrome.cli import main
assert main([{command!r}, "--help"]) == 0
assert not [name for name in ("jax", "torch", "bokeh", "pynwb") if name in sys.modules]
"""
    assert "usage: antidrome " + command in run_python(script)


def test_what_is_imported_late_is_there() -> None:
    """Imports inside functions run only when these do; a name that was moved would be missed there first."""
    missing = []
    for file in sorted(Path(antidrome.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("antidrome"):
                module = importlib.import_module(str(node.module))
                names = {name.name for name in node.names if not hasattr(module, name.name)}
                modules = {name for name in names if importlib.util.find_spec(f"{node.module}.{name}")}
                missing += [f"{file}:{node.lineno} {name}" for name in names - modules]
    assert not missing
