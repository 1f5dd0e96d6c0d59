"""Tables of the benchmarks of the whole job."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.table import Table, beside, constant


def end_to_end(result: Mapping[str, Any]) -> list[Table]:
    """One process beside the cluster that loses a worker."""
    rows = [row | {"n_differ": len(row["differ"])} for row in result["rows"]]
    return [
        Table(
            "A row is a job, run once each way.",
            {
                "job": "job",
                "files": "files",
                "one process, s": "local",
                "cluster, s": "cluster",
                "worker killed": "killed",
                "variables that differ": "n_differ",
            },
            rows,
            [beside("Time", rows, "cluster", {"one process": "local"}, name="job", who="the cluster", more=False)],
        )
    ]


def load(result: Mapping[str, Any]) -> list[Table]:
    """Time and memory of every stage."""
    given = result.get("components", constant("load", "N_FACTORS"))
    how = f"given the {given} latent dimensions" if given else "not given the latent dimensions"
    return [
        Table(
            "A row is a stage at one size, run once; passes: its time over that of reading the data once. Dynamics are"
            f" {how} of the simulation (a row that says 'chosen' is not).",
            {
                "neurons": "neurons",
                "frames": "frames",
                "stage": "stage",
                "time, s": "seconds",
                "core time, s": "core_seconds",
                "peak memory, GB": "peak_gb",
                "MB/s": "mb_per_s",
                "passes over the data": "passes",
            },
            [*result["rows"], *result.get("chosen", [])],
        )
    ]
