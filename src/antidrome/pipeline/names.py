"""Names of files of spikes."""

from antidrome.core.names import slug

SUFFIXES = {"nwb": ".nwb", "zarr": ".zarr", "netcdf": ".nc", "suite2p": ""}


def output_name(session_id: str, n_sessions: int, file_format: str) -> str:
    """``spikes.nwb`` for a single session, ``spikes-SESSION.nwb`` for each of several."""
    stem = "spikes" if n_sessions == 1 else f"spikes-{slug(session_id)}"
    return stem + SUFFIXES[file_format]
