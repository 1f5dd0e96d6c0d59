"""Ground-truth neurons through every format: what was measured is what is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from antidrome.recordings import read, read_with_neuropil, write

pytestmark = [pytest.mark.data, pytest.mark.filterwarnings("ignore::UserWarning")]
N_FRAMES = 2000


@pytest.fixture
def measured(data_folder: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Raw fluorescence and neuropil of six XCaMPgf neurons at 122 Hz, (time, neuron)."""
    folder = data_folder / "spikes" if (data_folder / "spikes").is_dir() else data_folder
    path = next(folder.rglob("DS28-XCaMPgf-m-V1.npz"))
    raw = np.load(path.with_name(path.stem + ".rawneuropil.npz"))
    shape = np.load(path)
    fluorescence, neuropil, seen = [], [], set()
    for i, (start, end) in enumerate(zip(shape["frame_offsets"][:-1], shape["frame_offsets"][1:], strict=True)):
        if end - start < N_FRAMES or shape["neuron"][i] in seen or len(seen) == 6:
            continue
        seen.add(shape["neuron"][i])
        part = slice(start, start + N_FRAMES)
        fluorescence.append(raw["raw_q"][part] * raw["raw_scale"][i] + raw["raw_offset"][i])
        neuropil.append(raw["neuropil_q"][part] * raw["neuropil_scale"][i] + raw["neuropil_offset"][i])
    values = np.array(fluorescence, np.float32).T, np.array(neuropil, np.float32).T
    return *values, float(shape["fs"][0])


def test_suite2p_and_nwb_give_the_same_traces(
    measured: tuple[np.ndarray, np.ndarray, float],
    make_suite2p: Callable[..., Path],
    make_nwb: Callable[..., Path],
    make_caiman: Callable[..., Path],
    tmp_path: Path,
) -> None:
    fluorescence, neuropil, rate = measured
    n_rois = fluorescence.shape[1]
    folder = make_suite2p(fluorescence.T, neuropil.T, np.ones((n_rois, 2)), {"fs": rate})
    time = np.arange(N_FRAMES) / rate
    nwb = make_nwb({"Fluorescence/F": fluorescence, "Neuropil/F": neuropil}, timestamps=time, n_rois=n_rois)
    caiman = make_caiman({"C": fluorescence.T, "YrA": np.zeros_like(fluorescence.T)}, rate_hz=rate)
    for path in (folder, nwb):
        recording, around = read_with_neuropil(path)
        assert np.array_equal(recording.values, fluorescence)
        assert around is not None
        assert np.array_equal(around.values, neuropil)
        assert recording.attrs["frame_rate_hz"] == pytest.approx(rate)
    assert np.array_equal(read(caiman).values, fluorescence)
    for name in ("a.zarr", "a.nc"):
        write(read(folder), tmp_path / name)
        assert np.array_equal(read(tmp_path / name).values, fluorescence)
