"""Finished estimates beside the activations, so that an interrupted call makes none of them twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.files import read_json, write_json
from antidrome.core.hashing import hash_configuration
from antidrome.dimension.measurement import Measurement, MeasurementConfig
from antidrome.dimension.networks.sources import Source, folder_name


class SavedEstimates:
    """Finished estimates of one network in a store, one file, rewritten atomically."""

    def __init__(
        self, folder: Path | None, name: str, n_networks: int, source: Source, config: MeasurementConfig
    ) -> None:
        self.path = None
        if folder is not None and source.identity:
            self.path = folder / folder_name(name, n_networks) / "estimates.json"
        self.key = hash_configuration({"source": source.identity, "config": config.to_dict()})
        known = {} if self.path is None else read_json(self.path)  # of a damaged file all are made again
        rows = known.get("rows") if known.get("key") == self.key else None
        self.rows: dict[str, Any] = rows if isinstance(rows, dict) else {}

    def get(self, layer: str, group: str, index: np.ndarray | None) -> Measurement | str | None:
        row = self.rows.get(_key(layer, group, index))
        return Measurement.from_dict(row) if isinstance(row, dict) else row

    def put(self, layer: str, group: str, index: np.ndarray | None, row: Measurement | str) -> None:
        if self.path is None:
            return
        self.rows[_key(layer, group, index)] = row if isinstance(row, str) else row.to_dict()
        write_json(self.path, {"key": self.key, "rows": self.rows})


def _key(layer: str, group: str, index: np.ndarray | None) -> str:
    members = "" if index is None else hash_configuration({"rows": index.tolist()})
    return json.dumps([layer, group, members])
