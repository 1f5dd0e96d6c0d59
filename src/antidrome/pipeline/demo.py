"""The recording that a run without a path works on: simulated, two sessions of one population, spikes known."""

from typing import TYPE_CHECKING

from antidrome.pipeline.config import ReadingConfig
from antidrome.pipeline.sessions import Session, session_from_recording

if TYPE_CHECKING:
    import xarray as xr

N_NEURONS, N_PER_SESSION, N_FACTORS = 40, 26, 3
SECONDS_PER_SESSION = 150.0
FRAME_RATE_HZ = 30.0
SEED = 7
SOURCE = "simulated by antidrome"
"""In place of a path."""


def demo_sessions(config: ReadingConfig) -> list[Session]:
    """Two sessions of the same 40 cells, 26 seen in each and 12 in both, three shared factors; always the same."""
    from antidrome.spikes import simulate

    both = simulate(N_NEURONS, 2 * SECONDS_PER_SESSION, FRAME_RATE_HZ, SEED, indicator="slow", n_factors=N_FACTORS)
    n_frames = both.sizes["time"] // 2
    parts = {
        "simulated-session-1": both.isel(time=slice(0, n_frames), neuron=slice(0, N_PER_SESSION)),
        "simulated-session-2": both.isel(time=slice(n_frames, None), neuron=slice(N_NEURONS - N_PER_SESSION, None)),
    }
    return [_session(name, part, config) for name, part in parts.items()]


def _session(name: str, part: "xr.Dataset", config: ReadingConfig) -> Session:
    part = part.assign_coords(time=part["time"] - part["time"][0] + 0.5 / FRAME_RATE_HZ)
    recording = part["dff"].assign_attrs(session_id=name)
    return session_from_recording(name, SOURCE, recording, config, truth=part["spike_count"])
