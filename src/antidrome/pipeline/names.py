"""Names of files of spikes, and of what a person named."""

import os

from antidrome.core.names import slug

SUFFIXES = {"nwb": ".nwb", "zarr": ".zarr", "netcdf": ".nc", "suite2p": ""}


def output_name(session_id: str, n_sessions: int, file_format: str) -> str:
    """``spikes.nwb`` for a single session, ``spikes-SESSION.nwb`` for each of several."""
    stem = "spikes" if n_sessions == 1 else f"spikes-{slug(session_id)}"
    return stem + SUFFIXES[file_format]


def whole_path(path: str | os.PathLike[str]) -> str:
    """A path from the root, under the name that it was given: a link, as annexes of data make them, stays a link."""
    whole = os.path.abspath(path)
    if os.path.realpath(whole) == os.path.realpath(path):
        return whole
    return os.path.join(os.getcwd(), path)  # a ".." behind a link to a folder leads to where that one lies
