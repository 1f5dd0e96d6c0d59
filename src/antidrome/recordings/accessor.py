"""``recording.antidrome``: what labelled arrays and datasets can do by themselves, once Antidrome has made one."""

from __future__ import annotations

import importlib
from typing import Any

import xarray as xr


@xr.register_dataset_accessor("antidrome")
@xr.register_dataarray_accessor("antidrome")
class Accessor:
    """Methods of recordings and labelled results, under ``.antidrome``."""

    def __init__(self, labelled: Any) -> None:
        self._labelled = labelled

    def plot(self, *, backend: str = "bokeh") -> Any:
        """Draw it, as `antidrome.plot` does, in bokeh or matplotlib."""
        # pictures stand above this file: only the public face knows them
        return importlib.import_module("antidrome").plot(self._labelled, backend=backend)
