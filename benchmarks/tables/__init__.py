"""Which columns of a benchmark's result are shown beside those of its peers, what they are called, and their units."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.tables import dimension, dynamics, mechanism, real_sets, spikes, whole_job
from benchmarks.tables.table import Table

TABLES: dict[str, Callable[[Mapping[str, Any]], list[Table]]] = {
    "dimension_exactness": dimension.exactness,
    "dimension_neural": dimension.neural,
    "dimension_paper": dimension.paper,
    "dimension_speed": dimension.speed,
    "dynamics_real": dynamics.real,
    "dynamics_reference": dynamics.reference,
    "dynamics_scale": dynamics.scale,
    "end_to_end": whole_job.end_to_end,
    "load": whole_job.load,
    "mechanism_paper": mechanism.paper,
    "mechanism_recordings": mechanism.recordings,
    "mechanism_sbibm": mechanism.sbibm,
    "mechanism_speed": mechanism.speed,
    "spikes_adaptation": real_sets.adaptation,
    "spikes_calibration": spikes.calibration,
    "spikes_ground_truth": real_sets.ground_truth,
    "spikes_speed": spikes.speed,
    "spikes_spikefinder": spikes.spikefinder,
    "spikes_training": spikes.training,
    "spikes_unsupervised": spikes.unsupervised,
}

DATA: dict[str, tuple[str, ...]] = {
    "dimension_exactness": ("dimension-mnist",),
    "dimension_neural": (
        "dynamics-worms",
        "dynamics-mice",
        "dynamics-zebrafish-tectum",
        "dynamics-zebrafish-regions",
        "dynamics-monkey",
    ),
    "dimension_paper": ("dimension-mnist", "dimension-cifar10", "dimension-cifar-resnets"),
    "dynamics_real": ("dynamics-worms", "dynamics-mice"),
    "end_to_end": ("dynamics-worms", "spikes-cascade"),
    "mechanism_recordings": ("mechanism-allen",),
    "mechanism_sbibm": ("mechanism-sbibm", "mechanism-sbibm-results"),
    "spikes_adaptation": ("spikes-cascade", "spikes-peers"),
    "spikes_calibration": ("spikes-cascade",),
    "spikes_ground_truth": ("spikes-cascade", "spikes-peers"),
    "spikes_spikefinder": ("spikes-spikefinder",),
}
"""The data sets that a benchmark reads, as `antidrome data list` names them; the others simulate theirs."""


def tables_of(benchmark: str, result: Mapping[str, Any]) -> list[Table]:
    """The tables of one benchmark; SystemExit where no columns are named for it, or the result does not have them."""
    if benchmark not in TABLES:
        raise SystemExit(f"results/{benchmark}.json: no columns are named for it: add them to benchmarks/tables.")
    try:
        tables = TABLES[benchmark](result)
    except (KeyError, IndexError) as error:
        raise SystemExit(f"results/{benchmark}.json does not hold {error}, which benchmarks/tables shows.") from error
    if not tables:
        raise SystemExit(f"results/{benchmark}.json: benchmarks/tables makes no table of it.")
    return tables
