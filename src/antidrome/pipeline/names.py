"""Names of files from names of sessions."""

import re
from collections.abc import Sequence

SUFFIXES = {"nwb": ".nwb", "zarr": ".zarr", "netcdf": ".nc", "suite2p": ""}


def slug(name: str) -> str:
    """A session's name as part of a file name: letters, digits, dots, dashes and underscores only."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "session"


def unique(names: Sequence[str]) -> list[str]:
    """The names, later ones of the same file name numbered: ``a, b, a`` gives ``a, b, a-2``."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while slug(candidate).lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(slug(candidate).lower())
        result.append(candidate)
    return result


def output_name(session_id: str, n_sessions: int, file_format: str) -> str:
    """``spikes.nwb`` for a single session, ``spikes-SESSION.nwb`` for each of several."""
    stem = "spikes" if n_sessions == 1 else f"spikes-{slug(session_id)}"
    return stem + SUFFIXES[file_format]
