"""Measurements in a process of their own; what is imported here is in their memory, so it is little."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def in_a_process(module: str, *arguments: Any, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that ``python -m MODULE ARGUMENTS …`` prints last, from a fresh interpreter."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} failed:\n{done.stderr[-3000:]}")
    return json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))


def peak_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux that of its own program alone: `ru_maxrss` begins at what the process held that started it.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    own = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    unit = 1 if sys.platform == "darwin" else 1024
    return 1024 * own[0] if own else unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_gb() -> float:
    """Largest resident memory of this process so far, in GB of 10⁹ bytes."""
    return peak_bytes() / 1e9
