"""Claim: the two nearest neighbours, and TwoNN on them, are exact where peers are silently wrong; the interval covers.

Compared with a plain float64 reference (all differences), and with DADApy, scikit-dimension, faiss and torch, each in
its own process, with the same options (fit, 10 % discarded, F = i/N); a peer that is not installed is printed as such.
For all alike, an estimate is right, silently wrong or NaN, and an error is a refusal.
Then points of known dimension against N, hostile points, MNIST, and the coverage of the 90 % interval.

    python -m benchmarks.dimension_exactness [--quick] [--json FILE] [--seed N]
"""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import antidrome as ad
from antidrome.core.seeds import generator
from antidrome.dimension.ratios import ratios
from antidrome.dimension.uncertainty import uncertainty
from antidrome.errors import AntidromeError
from benchmarks.dimension_peers import PEERS, ask, fit
from benchmarks.harness import data_folder, finish, options, require_data, show
from benchmarks.tables.dimension import ANSWERS, answers
from benchmarks.tables.headlines import headline_of

Points = np.ndarray
Rng = np.random.Generator
PACKAGES = ("dadapy", "scikit-dimension", "faiss-cpu", "torch")
"""What is compared with, as pip calls it: the result names their versions."""
MNIST_ANCHORS = {"fit": 13.21, "mle": 13.25}


def reference_distances(points: Points) -> np.ndarray:
    """r1 and r2 from all differences in float64 (longdouble where squares overflow), block by block."""
    wide = points.astype(np.float64)
    extreme = np.abs(wide[wide != 0]).max(initial=1.0) > 1e150 or np.abs(wide[wide != 0]).min(initial=1.0) < 1e-150
    wide = wide.astype(np.longdouble) if extreme else wide
    out = np.empty((len(wide), 2))
    step = max(1, 2**24 // wide.size)
    for start in range(0, len(wide), step):
        block = wide[start : start + step]
        squares = np.stack([np.sum((row - wide) ** 2, axis=1) for row in block])
        squares[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        out[start : start + step] = np.sqrt(np.sort(np.partition(squares, 1, axis=1)[:, :2], axis=1)).astype(float)
    return out


def curved(rng: Rng, n: int, width: int, d: int = 10) -> Points:
    """A curved d-dimensional manifold: cosines of random projections."""
    return np.cos(rng.standard_normal((n, d)) @ rng.standard_normal((d, width)) / 3).astype(np.float32)


def sphere(rng: Rng, n: int, d: int, width: int) -> Points:
    """A d-dimensional sphere."""
    points = rng.standard_normal((n, d + 1))
    return _embedded(rng, points / np.linalg.norm(points, axis=1, keepdims=True), width)


def swiss_roll(rng: Rng, n: int, d: int, width: int) -> Points:
    """A rolled sheet, with d − 2 further straight axes."""
    angle = 1.5 * np.pi * (1 + 2 * rng.random(n))
    straight = 21 * rng.random((n, d - 1))
    return _embedded(rng, np.column_stack([angle * np.cos(angle), angle * np.sin(angle), straight]), width)


def torus(rng: Rng, n: int, d: int, width: int) -> Points:
    """A flat torus: neither border nor curvature."""
    angle = 2 * np.pi * rng.random((n, d))
    return _embedded(rng, np.concatenate([np.cos(angle), np.sin(angle)], axis=1), width)


def nonlinear(rng: Rng, n: int, d: int, width: int) -> Points:
    """A smooth nonlinear map of a d-dimensional Gaussian."""
    hidden = np.tanh(rng.standard_normal((n, d)) @ rng.standard_normal((d, 4 * d)) / np.sqrt(d))
    return (hidden @ rng.standard_normal((4 * d, width)) / np.sqrt(4 * d)).astype(np.float32)


def _embedded(rng: Rng, points: Points, width: int) -> Points:
    basis = np.linalg.qr(rng.standard_normal((width, points.shape[1])))[0]
    return (points @ basis.T).astype(np.float32)


def hostile(rng: Rng, n: int) -> dict[str, Points]:
    """Points at which float32 expansions of the distance fail, and others that hide copies and ties."""
    clean = curved(rng, n, 512)
    centres = 20 * rng.standard_normal((10, 512))
    cluster = centres[rng.integers(0, 10, n)] + 0.05 * rng.standard_normal((n, 5)) @ rng.standard_normal((5, 512))
    noise = 1e-4 * np.linalg.norm(clean, axis=1, keepdims=True) / np.sqrt(512)
    close = clean[: n // 2] + noise[: n // 2] * rng.standard_normal((n // 2, 512)).astype(np.float32)
    narrow = curved(rng, n, 64)
    return {
        "clean": clean,
        "offset +300": clean + np.float32(300),
        "tight clusters": cluster.astype(np.float32),
        "near-duplicates": np.vstack([clean[: n // 2], close]).astype(np.float32),
        "exact copies": np.vstack([clean[: n // 2], clean[: n // 40]]),
        "counts": rng.poisson(3 * np.exp(narrow[: n // 2])).astype(np.float32),
        "scale 1e-30": narrow[: n // 2] * np.float32(1e-30),
        "scale 1e30": narrow[: n // 2] * np.float32(1e30),
        "float16": clean[: n // 2].astype(np.float16),
        "constant columns": np.hstack([narrow[: n // 2], np.full((n // 2, 64), 7e4, np.float32)]),
        "all equal": np.ones((100, 20), np.float32),
    }


def ours(points: Points, **settings: Any) -> tuple[float | None, str]:
    """Our value; what the result says about the points, or the sentence of the error."""
    try:
        model = ad.TwoNN(**settings).fit(points, progress=False)
    except AntidromeError as error:
        return None, str(error)
    return model.dimension_, " ".join(model.notes_)


def compare(points: Points, folder: Path, peers: list[str]) -> dict[str, Any]:
    """Reference, ours and every peer on the same points."""
    distances = reference_distances(points)
    used = (distances[:, 0] > 0) & (distances[:, 1] > distances[:, 0])
    exact = fit(*distances.T) if used.sum() > 9 else None
    value, said = ours(points)
    row: dict[str, Any] = {"reference": exact, "ours": value, "said": said}
    np.save(folder / "points.npy", points)
    for peer in peers:
        answer = ask(peer, folder / "points.npy")
        row[peer] = answer.get("value", "absent" if "absent" in answer else answer.get("error", "timed out"))
    return row


def periodic_neighbours(rng: Rng, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Two neighbours of uniform points in a periodic box: no border and no curvature, so that the dimension is d."""
    from scipy.spatial import cKDTree

    points = rng.random((n, d))
    distance, index = cKDTree(points, boxsize=1.0).query(points, 3)
    return distance[:, 1:], index[:, 1:]


def coverage(rng: Rng, repeats: int) -> dict[str, float]:
    """Share of simulated data sets whose 90 % interval holds the true dimension."""
    found = {}
    for d, n in ((1, 500), (2, 500), (5, 500), (10, 500)):
        hits = []
        for repeat in range(repeats):
            graph = ad.dimension.nearest_neighbours(periodic_neighbours(rng, n, d), 2, progress=False)
            error = uncertainty(graph, ratios(graph), "fit", 0.1, level=0.9, seed=repeat)
            hits.append(error.low <= d <= error.high)
        found[f"periodic box, d={d}, N={n}"] = float(np.mean(hits))
    return found


def bias_table(rng: Rng, quick: bool) -> list[dict[str, Any]]:
    """Our estimate on manifolds of known dimension, against N."""
    makers: dict[str, Callable[..., Points]] = {
        "sphere": sphere,
        "swiss roll": swiss_roll,
        "torus": torus,
        "nonlinear map": nonlinear,
    }
    sizes = (500, 1000) if quick else (500, 2000, 8000)
    cases = [(name, d, w) for name in makers for d, w in ((2, 50), (5, 200), (10, 1000))]
    cases += [("nonlinear map", 2, 10_000), ("nonlinear map", 20, 2000), ("nonlinear map", 50, 10_000)]
    rows = []
    for name, d, width in cases[:: 3 if quick else 1]:
        row: dict[str, Any] = {"manifold": name, "dimension": d, "width": width}
        for n in sizes:
            if n * width <= 2e7 or n == sizes[0]:
                row[f"N={n}"] = ours(makers[name](rng, n, d, width))[0]
        rows.append(row)
    return rows


def mnist(quick: bool) -> dict[str, float]:
    """TwoNN of the first 2,000 test images, and of all of them."""
    file = next((data_folder() / "dimension" / "mnist").glob("t10k-images*"))
    with gzip.open(file) as stream:
        images = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 784)
    found = {method: ours(images[:2000], method=method)[0] for method in MNIST_ANCHORS}
    return found if quick else {**found, "all 10,000, fit": ours(images)[0]}


def main() -> None:
    """Run the benchmark."""
    arguments = options(__doc__).parse_args()
    require_data("dimension_exactness")
    started, rng = time.time(), generator(arguments.seed, "benchmarks/dimension_exactness")
    peers = ["faiss"] if arguments.quick else list(PEERS)
    n = 1000 if arguments.quick else 4000
    with tempfile.TemporaryDirectory() as name:
        rows = {kind: compare(points, Path(name), peers) for kind, points in hostile(rng, n).items()}
    differences = [abs(r["ours"] - r["reference"]) for r in rows.values() if r["ours"] and r["reference"]]
    clean = [rows["clean"][p] for p in peers if isinstance(rows["clean"][p], float)]
    bias, anchors = bias_table(rng, arguments.quick), mnist(arguments.quick)
    covered = coverage(rng, 300 if arguments.quick else 1000)
    show(
        "Hostile points: TwoNN, fit",
        ["points", "float64 reference", "ours", *(PEERS[p] for p in peers)],
        [[k, *(_cell(r[c]) for c in ("reference", "ours", *peers))] for k, r in rows.items()],
    )
    columns = list(dict.fromkeys(key for row in bias for key in row))
    show("Known dimensions", columns, [[_cell(row.get(c)) for c in columns] for row in bias])
    show("MNIST test images, first 2,000", ["method", "ours"], [[k, v] for k, v in anchors.items()])
    show("Coverage of the 90 % interval", ["points", "covered"], [[k, v] for k, v in covered.items()])
    mean = float(np.mean(list(covered.values())))
    kinds = [{"points": kind, **row} for kind, row in rows.items()]
    show(
        "Hostile points: kinds",
        ["package", *ANSWERS],
        [[name, *found.values()] for name, found in answers(kinds).items()],
    )
    result = {
        "quick": arguments.quick,
        "max_abs_difference": max(differences),
        "max_peer_difference_clean": max((abs(v - rows["clean"]["reference"]) for v in clean), default=None),
        "coverage_90": mean,
        "coverage_90_by_dimension": covered,
        "hostile": kinds,
        "bias": bias,
        "mnist": anchors,
        "mnist_expected": MNIST_ANCHORS,
    }
    finish({"headline": headline_of("dimension_exactness", result), **result}, started, arguments.json, PACKAGES)


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    return f"{value:.3f}" if isinstance(value, float) else str(value)[:24]


if __name__ == "__main__":
    main()
