"""Intrinsic dimension of recorded populations (mouse, worm, fish, monkey), with the controls that say what it is worth.

For each recording: the estimate with its error, the same neurons shifted against one another in time, random halves and
quarters of the neurons, of the points, and what cannot be concluded, in sentences.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.dimension.populations import population
from benchmarks.harness import data_folder, finish, options, require_data, show

MOUSE_BIN_FRAMES = 40
MONKEY_KEYS = ("Yte", "Ytr")


def recordings(folder: Path, quick: bool) -> Iterator[tuple[str, str, xr.DataArray, dict[str, Any]]]:
    """Name, kind, recording (time or trial, neuron) and settings of each."""
    yield from _worms(folder / "worm_dag2023_neuropal.npz", 1 if quick else 5)
    yield from _mice(sorted(folder.glob("mouse_ca1_*.npz"))[: 1 if quick else None], 1 if quick else 2)
    yield from _fish(folder)
    yield from _monkeys(sorted(folder.glob("monkey_*.npz"))[: 1 if quick else None])


def _worms(path: Path, n: int) -> Iterator[tuple[str, str, xr.DataArray, dict[str, Any]]]:
    with np.load(path) as content:
        for uid in content["stitched/uids"][:n]:
            traces = content[f"{uid}/traces"]
            yield f"worm {uid}", "fluorescence", xr.DataArray(traces, dims=("time", "neuron")), {}


def _mice(paths: list[Path], n_sessions: int) -> Iterator[tuple[str, str, xr.DataArray, dict[str, Any]]]:
    """Events of the cells that a session has seen, in bins of two seconds."""
    for path in paths:
        with np.load(path) as content:
            for session in range(n_sessions):
                inside = content["ev_session"] == session
                events = np.zeros((int(content["n_frames"][session]), content["observed"].shape[1]), np.float32)
                cells, frames = content["ev_cell"][inside], content["ev_frame"][inside]
                np.add.at(events, (frames, cells), content["ev_amp"][inside].astype(np.float32))
                seen = events[:, content["observed"][session]]
                name = "_".join(path.stem.split("_")[3:])
                yield (
                    f"mouse {name} session {session + 1}",
                    "events",
                    xr.DataArray(seen, dims=("time", "neuron")),
                    {"bin_frames": MOUSE_BIN_FRAMES},
                )


def _fish(folder: Path) -> Iterator[tuple[str, str, xr.DataArray, dict[str, Any]]]:
    for path in sorted(folder.glob("zebrafish_*.npz")):
        with np.load(path) as content:
            kind = "regions" if "regions" in path.stem else "fluorescence"
            name = path.stem.split("_")[-1] if kind == "regions" else path.stem.split("2018_")[-1]
            yield f"fish {name}", kind, xr.DataArray(content["Y"], dims=("time", "neuron")), {}


def _monkeys(paths: list[Path]) -> Iterator[tuple[str, str, xr.DataArray, dict[str, Any]]]:
    """Counts in bins that need not follow one another: trials."""
    for path in paths:
        with np.load(path) as content:
            for key in MONKEY_KEYS:
                if key in content:
                    counts = xr.DataArray(content[key], dims=("trial", "neuron"))
                    yield f"monkey {path.stem.split('_')[-1]} {key}", "counts", counts, {}


def row_of(name: str, kind: str, found: xr.Dataset) -> dict[str, Any]:
    """One recording's figures, for the JSON object."""
    return {
        "recording": name,
        "kind": kind,
        "n_neurons": int(found.attrs["n_neurons"]),
        "n_points": int(found.attrs["n_points"]),
        "dimension": float(found["dimension"]),
        "standard_error": float(found["standard_error"]),
        "interval_90": [float(found["low"]), float(found["high"])],
        "shuffled": [float(value) for value in found["shuffled_dimension"].values],
        "shuffled_apart": [_or_none(float(value)) for value in found["shuffled_apart"].values],
        "pca_dimension": float(found["pca_dimension"]),
        "participation_ratio": float(found["participation_ratio"]),
        "components_above_shuffled": int(found["components_above_shuffled"]),
        "temporal_neighbours": float(found["temporal_neighbours"]),
        "dimension_apart": _or_none(float(found["dimension_apart"])),
        "by_neurons": _curve(found, "n_neurons", "dimension_by_neurons"),
        "shuffled_by_neurons": [float(value) for value in found["shuffled_by_neurons"].values],
        "by_points": _curve(found, "n_points_drawn", "dimension_by_points"),
        "lower_bound": bool(found["lower_bound"]),
        "verdict": found.attrs["verdict"],
        "conclusions": list(found.attrs["conclusions"]),
        "notes": list(found.attrs["notes"]),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _mean_of(values: list[float | None]) -> str | float:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else "—"


def _curve(found: xr.Dataset, along: str, name: str) -> list[dict[str, float]]:
    values = found[name]
    return [
        {along: int(size), "mean": _or_none(float(np.mean(v))), "sd": _or_none(float(np.std(v, ddof=1)))}
        for size, v in zip(found[along].values, values.values, strict=True)
    ]


def table(rows: list[dict[str, Any]]) -> None:
    """Print the figures, then the sentences."""

    def growth(curve: list[dict[str, float]]) -> str:
        if len(curve) < 2 or curve[-1]["mean"] is None or curve[-2]["mean"] is None:
            return "—"
        return f"{curve[-1]['mean'] / curve[-2]['mean'] - 1:+.0%}"

    show(
        "Populations: dimension beside its controls",
        [
            "recording",
            "points × neurons",
            "dimension",
            "shifted",
            "apart in time",
            "shifted, apart",
            "neurons × 2",
            "points × 2",
            "PCA 90 %",
        ],
        [
            [
                row["recording"],
                f"{row['n_points']} × {row['n_neurons']}",
                f"{row['dimension']:.1f} ± {row['standard_error']:.1f}",
                float(np.mean(row["shuffled"])),
                "—" if row["dimension_apart"] is None else float(row["dimension_apart"]),
                _mean_of(row["shuffled_apart"]),
                growth(row["by_neurons"]),
                growth(row["by_points"]),
                int(row["pca_dimension"]),
            ]
            for row in rows
        ],
    )
    for row in rows:
        sentences = [[sentence] for sentence in row["conclusions"]]
        show(row["recording"], ["what can, and what cannot, be concluded"], sentences)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    given = options(__doc__).parse_args(arguments)
    require_data("dimension_neural")
    started = time.time()
    size = {"n_draws": 2, "n_shuffles": 2, "max_points": 1000} if given.quick else {"n_draws": 5, "n_shuffles": 5}
    rows = []
    for name, kind, recording, settings in recordings(data_folder() / "dynamics", given.quick):
        found = population(recording, seed=given.seed, progress=False, **size, **settings)
        rows.append(row_of(name, kind, found))
    table(rows)
    below = [row for row in rows if not any("shared structure cannot" in sentence for sentence in row["conclusions"])]
    growing = [row for row in rows if any("twice the neurons" in sentence for sentence in row["conclusions"])]
    clean = [row for row in rows if "None of the controls" in row["conclusions"][-1]]
    headline = (
        f"Of {len(rows)} recordings, {len(below)} have a dimension clearly below that of their shifted neurons;"
        f" {len(growing)} still grow with the number of neurons; {len(clean)} pass every control."
    )
    result = {
        "headline": f"{'Quick version: ' if given.quick else ''}{headline}",
        "quick": given.quick,
        "recordings": rows,
        "below_shuffled": len(below),
        "growing_with_neurons": len(growing),
        "pass_every_control": len(clean),
    }
    finish(result, started, given.json)


if __name__ == "__main__":
    main()
