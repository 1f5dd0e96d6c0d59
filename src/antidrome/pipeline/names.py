"""Names of files from names of sessions."""

import hashlib
import re
from collections.abc import Sequence

LONGEST = 80
"""Bytes of a session's name in the name of a file, which also holds what and where it is while it is written."""
SUFFIXES = {"nwb": ".nwb", "zarr": ".zarr", "netcdf": ".nc", "suite2p": ""}


def slug(name: str) -> str:
    """A session's name as part of a file name: letters, digits, dots, dashes and underscores only.

    Of a long name the beginning is kept, and a hash of the whole: no two long names become one.
    """
    short = re.sub(r"[^\w.-]+", "_", name).strip("._") or "session"
    if len(short.encode()) <= LONGEST:
        return short
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{short.encode()[: LONGEST - len(mark) - 1].decode(errors='ignore')}-{mark}"


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
