"""How much memory a fit will take, before it starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from antidrome.dynamics.data import BLOCK_VALUES, frames_at_once, is_dask
from antidrome.dynamics.population import Population
from antidrome.errors import InputError

BYTES_OF_A_VALUE = 3 * 8
"""As float64, three times: as read, prepared, and in what is made of it."""


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a fit holds at its peak, by what holds them."""

    moments: int
    loadings: int
    blocks: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.moments + self.loadings + self.blocks

    def __str__(self) -> str:
        parts = (f"{name} {getattr(self, name) / 2**20:,.0f} MiB" for name in ("moments", "loadings", "blocks"))
        return f"{self.total / 2**20:,.0f} MiB ({', '.join(parts)})"


def estimate(population: Population, form: str, n_components: int, n_lags: int, rank: int) -> MemoryEstimate:
    """Peak memory of a fit.

    Parameters
    ----------
    population
        The sessions, or the parts of them that have moments of their own.
    form
        "dense", "sketch", "stream" or "pairs": how the moments are held (with the copies of three sets of held-out
        pairs).
    n_components, n_lags, rank
        Latent dimensions, lags, columns of a sketch.
    """
    p = population.n_neurons
    sizes = [len(session.rows) for session in population.sessions]
    held = {
        "dense": sum(12 * n_lags * size**2 for size in sizes),
        "sketch": sum(8 * size * rank for size in sizes) + 24 * max(sizes) * rank,
        "stream": sum(16 * size for size in sizes),
        "pairs": 8 * p**2 * (9 * n_lags + n_components**2 // max(p, 1)) + 16 * p * n_components**2,
    }
    small = sum(session.n_frames * len(session.rows) for session in population.sessions)
    lazy = [session for session in population.sessions if is_dask(session.values)]
    at_once = max([BLOCK_VALUES, *(frames_at_once(session) * session.values.shape[1] for session in lazy)])
    blocks = BYTES_OF_A_VALUE * min(at_once, small)
    return MemoryEstimate(held[form], 10 * 8 * p * n_components, blocks)


def require_memory(needed: MemoryEstimate, limit_bytes: int | None) -> None:
    """Raise InputError if the estimate is beyond the limit, or beyond what this machine has free.

    Raises
    ------
    InputError
        With the estimate, and what to do.
    """
    available = available_bytes() if limit_bytes is None else limit_bytes
    if available is not None and needed.total > available:
        raise InputError(
            f"The fit would take about {needed}, and {available / 2**20:,.0f} MiB are"
            f" {'free' if limit_bytes is None else 'allowed'}. Use solver='sketch', fewer lags or n_components, or give"
            " the sessions as memmap, Zarr or dask arrays."
        )


def available_bytes() -> int | None:
    """Free memory of this machine, where it can be told (Linux)."""
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    for line in table.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
