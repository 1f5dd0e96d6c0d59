"""Claim: TwoNN end to end is faster than DADApy, scikit-dimension and faiss at every size, exact, in less than 2 GB.

Every measurement runs in a process of its own on the same file of points (a curved 10-dimensional manifold, float32),
after a call on few points (imports, compilation); reading the file is not counted, the estimate with its error bar is.
The bare float32 matrix product X Xᵀ, block by block in NumPy, is the yardstick at 512 columns and more. A peer that
needs longer than the limit is stopped, and counted with the limit. DADApy and scikit-dimension search in float64; faiss
in float32, which is not exact on all points (`dimension_exactness`).

    python -m benchmarks.dimension_speed [--quick] [--json FILE] [--seed N] [--limit SECONDS] [--size NxD …] [--blocks]
                                         [--add]

Measured in pieces: with --add, what FILE has already is taken from it, except what --size and --blocks name, which is
measured again.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import in_a_process, peak_gb

PACKAGES = ("dadapy", "scikit-dimension", "faiss-cpu")
"""What is compared with, as pip calls it: the result names their versions."""
SIZES = [(20_000, 20), (20_000, 512), (5_000, 16_384), (2_000, 100_000), (100_000, 128), (1_000_000, 20)]
QUICK_SIZES = [(5_000, 20), (5_000, 512)]
BLOCKS_SIZE = (5_000, 512)
PEERS = ("dadapy", "skdim", "faiss")


def write_points(path: Path, n: int, width: int, seed: int) -> None:
    """Cosines of random projections of a 10-dimensional Gaussian, written block by block."""
    from antidrome.core.seeds import generator

    rng = generator(seed, "benchmarks/dimension_speed")
    latent = rng.standard_normal((n, 10), dtype=np.float32) / 3
    target = np.lib.format.open_memmap(path, "w+", np.float32, (n, width))
    for start in range(0, width, 4096):
        mixing = rng.standard_normal((10, min(4096, width - start)), dtype=np.float32)
        target[:, start : start + 4096] = np.cos(latent @ mixing)
    target.flush()


def run_ours(points: np.ndarray) -> dict[str, Any]:
    """`TwoNN().fit`: neighbours, fit, error, dependence on scale."""
    import antidrome as ad

    model = ad.TwoNN().fit(points, progress=False)
    return {"value": model.dimension_, "standard_error": model.standard_error_}


def run_blocks(points: np.ndarray) -> dict[str, Any]:
    """The paper's block analysis, b = 1…20, each block searched for itself."""
    from antidrome.dimension import block_analysis

    curve = block_analysis(points, "paper", progress=False)
    return {"value": float(curve["dimension"].values[0])}


def run_product(points: np.ndarray) -> dict[str, Any]:
    """The bare product of all pairs, 256 rows at a time."""
    out = np.empty((256, len(points)), np.float32)
    for start in range(0, len(points), 256):
        block = points[start : start + 256]
        np.matmul(block, points.T, out=out[: len(block)])
    return {"value": float(out[0, 0])}


RUNS = {"ours": run_ours, "ours, blocks": run_blocks, "product": run_product}


def measure(what: str, path: str) -> None:
    """Print the costs of one run as JSON."""
    few = np.random.default_rng(0).random((400, 30)).astype(np.float32)
    RUNS[what](few)
    points = np.load(path)
    started, cpu = time.perf_counter(), time.process_time()
    result = RUNS[what](points)
    costs = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_rss_gb": peak_gb(),
    }
    sys.stdout.write(json.dumps({**result, **costs}) + "\n")


def measured(what: str, path: Path) -> dict[str, Any]:
    """One of our runs in a fresh process."""
    return in_a_process("benchmarks.dimension_speed", "--measure", what, path)


def one_size(n: int, width: int, seed: int, limit_s: float) -> dict[str, Any]:
    """Ours, the product (from 512 columns), and the peers at one size."""
    from benchmarks.dimension_peers import ask

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        write_points(path, n, width, seed)
        row: dict[str, Any] = {"points": n, "dimensions": width, "ours": measured("ours", path)}
        if width >= 512:
            row["product"] = measured("product", path)
        for peer in PEERS:
            row[peer] = ask(peer, path, limit_s=limit_s)
    return row


def block_row(n: int, width: int, seed: int, limit_s: float) -> dict[str, Any]:
    """The full block analysis against DADApy's scan."""
    from benchmarks.dimension_peers import ask

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        write_points(path, n, width, seed)
        scan = ask("dadapy_blocks", path, limit_s=limit_s)
        return {"points": n, "dimensions": width, "ours": measured("ours, blocks", path), "dadapy": scan}


def parse_size(text: str) -> tuple[int, int]:
    """`20000x512` as two numbers, one of the sizes of this benchmark."""
    size = tuple(int(part) for part in text.split("x"))
    if size not in [*QUICK_SIZES, *SIZES]:
        raise ValueError(text)
    return size[0], size[1]


def kept(path: Path | None) -> tuple[dict[tuple[int, int], dict[str, Any]], dict[str, Any] | None]:
    """Rows, and the block analysis, of an earlier run."""
    if path is None or not path.exists():
        return {}, None
    before = json.loads(path.read_text())
    return {(row["points"], row["dimensions"]): row for row in before["rows"]}, before["blocks"]


def speedups(row: dict[str, Any]) -> dict[str, float]:
    """Seconds of each peer that ran (or the limit at which it was stopped) over ours."""
    ours = row["ours"]["seconds"]
    return {peer: row[peer]["seconds"] / ours for peer in PEERS if "seconds" in row.get(peer, {})}


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:4])
        return
    from benchmarks.dimension_peers import PEERS as NAMES
    from benchmarks.harness import finish, options, show
    from benchmarks.tables.headlines import headline_of

    parser = options(__doc__)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a peer is stopped")
    parser.add_argument("--size", action="append", type=parse_size, help="points x dimensions; all by default")
    parser.add_argument("--blocks", action="store_true", help="measure the block analysis, even if --add finds it")
    parser.add_argument("--add", action="store_true", help="keep what else the JSON file has")
    arguments = parser.parse_args()
    started = time.time()
    rows, blocks = kept(arguments.json) if arguments.add else ({}, None)
    if arguments.size or not arguments.blocks:
        for size in arguments.size or (QUICK_SIZES if arguments.quick else SIZES):
            if size not in rows or arguments.size:
                rows[size] = one_size(*size, arguments.seed, arguments.limit)
    rows = [rows[size] for size in sorted(rows, key=[*QUICK_SIZES, *SIZES].index)]
    if blocks is None or arguments.blocks:
        blocks = block_row(*((2000, 128) if arguments.quick else BLOCKS_SIZE), arguments.seed, arguments.limit)
    ratios = {
        f"{row['points']}x{row['dimensions']}": row["ours"]["seconds"] / row["product"]["seconds"]
        for row in rows
        if "product" in row
    }
    fastest = [min(found.values()) for row in rows if (found := speedups(row))]
    scan = [blocks["dadapy"]["seconds"] / blocks["ours"]["seconds"]] if "seconds" in blocks["dadapy"] else []
    show(
        "TwoNN end to end, seconds (CPU seconds)",
        ["N × D", "ours", "peak GB", "X Xᵀ", *(NAMES[p] for p in PEERS), "dimension: ours", "DADApy"],
        [
            [
                f"{row['points']} × {row['dimensions']}",
                _seconds(row["ours"]),
                f"{row['ours']['peak_rss_gb']:.2f}",
                _seconds(row.get("product", {})),
                *(_seconds(row[p]) for p in PEERS),
                f"{row['ours']['value']:.4f}",
                f"{row['dadapy'].get('value') or float('nan'):.4f}",
            ]
            for row in rows
        ],
    )
    show(
        "Block analysis, b = 1…20, seconds (CPU seconds)",
        ["N × D", "ours", "DADApy's scan"],
        [[f"{blocks['points']} × {blocks['dimensions']}", _seconds(blocks["ours"]), _seconds(blocks["dadapy"])]],
    )
    peak = max(row["ours"]["peak_rss_gb"] for row in [*rows, blocks])
    median = float(np.median(fastest)) if fastest else None
    worst = min([*fastest, *scan], default=None)
    ratio = max(ratios.values(), default=None)
    result = {
        "limit_s": arguments.limit,
        "rows": rows,
        "blocks": blocks,
        "speedups": [speedups(row) for row in rows],
        "median_speedup": median,
        "worst_speedup": worst,
        "ratio_to_matmul": ratio,
        "ratios_to_matmul": ratios,
        "peak_rss_gb": peak,
    }
    finish({"headline": headline_of("dimension_speed", result), **result}, started, arguments.json, PACKAGES)


def _seconds(costs: dict[str, Any]) -> str:
    if "seconds" not in costs:
        return "absent" if "absent" in costs else str(costs.get("error", "—"))[:20]
    if costs.get("timed_out"):
        return f"> {costs['seconds']:.0f}"
    return f"{costs['seconds']:.2f} ({costs['cpu_seconds']:.2f})"


if __name__ == "__main__":
    main()
