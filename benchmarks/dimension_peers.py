"""One peer's estimate of one file of points, in a process of its own: prints one JSON object with value and costs.

Needs only NumPy and the peer, so that it also runs in an environment of another Python. DADApy 0.3.4 asks for NumPy 1
and JAX 0.4.30, which cannot share an environment with Antidrome: give it one of its own, for example

    python -m venv .venv/peers && .venv/peers/bin/pip install dadapy==0.3.4

(or name its interpreter in $ANTIDROME_PEERS).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import peak_gb

PEERS = {"dadapy": "DADApy", "skdim": "scikit-dimension", "faiss": "faiss-cpu", "torch": "torch.cdist"}
ROOT = Path(__file__).resolve().parents[1]


def fit(r1: Any, r2: Any, discard_fraction: float = 0.1) -> float:
    """The paper's fit on given distances, rows with r1 = 0 or r1 = r2 left out; plain NumPy."""
    import numpy as np

    used = (r1 > 0) & (r2 > r1)
    x = np.sort(np.log(r2[used].astype(float) / r1[used].astype(float)))
    n = x.size
    kept = int(n * (1 - discard_fraction) + 1e-9)
    y = -np.log(1 - np.arange(1, n + 1)[:kept] / n)
    return float(np.dot(x[:kept], y) / np.dot(x[:kept], x[:kept]))


def dadapy(points: Any) -> float:
    """TwoNN of DADApy with two neighbours."""
    from dadapy import Data

    return float(Data(points, maxk=2).compute_id_2NN(mu_fraction=0.9)[0])


def dadapy_blocks(points: Any) -> float:
    """DADApy's scan of TwoNN against the number of points."""
    from dadapy import Data

    return float(Data(points, maxk=2).return_id_scaling_2NN(n_min=max(20, len(points) // 20))[0][0])


def skdim(points: Any) -> float:
    """TwoNN of scikit-dimension."""
    from skdim.id import TwoNN

    return float(TwoNN(discard_fraction=0.1).fit(points).dimension_)


def faiss(points: Any) -> float:
    """Exact search of faiss in float32, and the fit on its distances."""
    import faiss as library
    import numpy as np

    points = np.ascontiguousarray(points, np.float32)
    index = library.IndexFlatL2(points.shape[1])
    index.add(points)
    squares = np.maximum(index.search(points, 3)[0], 0)
    return fit(np.sqrt(squares[:, 1]), np.sqrt(squares[:, 2]))


def torch(points: Any) -> float:
    """torch.cdist in float32, block by block, and the fit on its distances."""
    import numpy as np
    import torch as library

    tensor = library.from_numpy(np.ascontiguousarray(points, np.float32))
    near = [library.cdist(part, tensor).topk(3, largest=False).values for part in tensor.split(512)]
    distance = library.cat(near).numpy()
    return fit(distance[:, 1], distance[:, 2])


def elsewhere() -> str:
    """The Python of the separate environment."""
    return os.environ.get("ANTIDROME_PEERS", str(ROOT / ".venv" / "peers" / "bin" / "python"))


def version_elsewhere(package: str) -> str | None:
    """Version of a package in the separate environment; None where there is no such environment, or no package."""
    if not Path(elsewhere()).exists():
        return None
    command = [elsewhere(), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None


def interpreter(peer: str) -> str | None:
    """A Python that has this peer: this one, or that of a separate environment."""
    module = {"dadapy_blocks": "dadapy"}.get(peer, peer)
    for python in (sys.executable, elsewhere()):
        check = [python, "-c", f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"]
        if Path(python).exists() and subprocess.run(check, check=False).returncode == 0:
            return python
    return None


def ask(peer: str, path: Path, *, limit_s: float = 900.0) -> dict[str, Any]:
    """Run one peer on a .npy file: value, seconds, CPU seconds, peak memory; or why there is no value."""
    python = interpreter(peer)
    if python is None:
        return {"absent": True}
    command = [python, "-m", "benchmarks.dimension_peers", peer, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return {"timed_out": True, "seconds": limit_s}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the peer named on the command line."""
    import warnings

    import numpy as np

    warnings.simplefilter("ignore")
    peer, path = sys.argv[1:3]
    points = np.load(path)
    function = globals()[peer]
    few = np.random.default_rng(0).random((64, 5))
    function(few)  # imports and compilation are not counted
    started, cpu = time.perf_counter(), time.process_time()
    with np.errstate(all="ignore"):
        value = function(points)
    print(
        json.dumps(
            {
                "value": value if np.isfinite(value) else None,
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - cpu,
                "peak_rss_gb": peak_gb(),
            }
        )
    )


if __name__ == "__main__":
    main()
